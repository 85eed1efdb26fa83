//! Attaches that run out of time at any of their steps.

use std::time::Duration;

use egress_core::api::SessionState;

use crate::harness::container::Container;
use crate::harness::lab::in_lab;
use crate::harness::wait;
use crate::harness::world::{World, request, session_id};

const SOON: Duration = Duration::from_secs(20);
/// The deadlines that an attach on any machine overruns somewhere, in milliseconds.
const DEADLINES: std::ops::RangeInclusive<u64> = 1..=12;
const TRIES: u64 = 5;

fn is_sealed(container: &Container) -> bool {
    let output = container.namespace().command("nft").args(["list", "tables"]).output();
    String::from_utf8_lossy(&output.expect("run nft").stdout).contains("egress_agent")
}

#[test]
fn no_deadline_is_so_short_that_it_leaves_a_seal_without_a_session() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let agent = &world.agent;
        let containers: Vec<_> = DEADLINES
            .flat_map(|deadline| {
                (0..TRIES).map(move |nth| (deadline, format!("d-{deadline}-{nth}")))
            })
            .map(|(deadline, name)| (deadline, Container::with_process(&name)))
            .collect();
        for (deadline, container) in &containers {
            let mut asked = request(container.namespace().name(), container.by_path(), 0);
            asked.deadline_ms = *deadline;
            let _ = agent.attach(&asked);
        }
        wait::until("every attach is over", SOON, || {
            let under_way = [SessionState::Connecting, SessionState::Disconnecting];
            !agent.sessions().iter().any(|session| under_way.contains(&session.state))
        });
        let listed: Vec<_> =
            agent.sessions().into_iter().map(|session| session.session_id).collect();
        let lost: Vec<_> = containers
            .iter()
            .map(|(_, container)| container)
            .filter(|it| is_sealed(it) && !listed.contains(&session_id(it.namespace().name())))
            .map(|container| container.namespace().name())
            .collect();
        assert!(lost.is_empty(), "sealed, and no session is listed: {lost:?}");
        for id in &listed {
            agent.detach(id, true);
        }
        let sealed = containers.iter().filter(|(_, container)| is_sealed(container)).count();
        assert_eq!(sealed, 0, "a release left containers sealed");
        agent.wait_until_idle();
    });
}
