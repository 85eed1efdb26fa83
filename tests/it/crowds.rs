//! Two hundred attaches at once on one credential.

use std::thread;
use std::time::{Duration, Instant};

use egress_core::api::{Code, Problem, SessionView};
use serde_json::{Value, json};

use crate::harness::agent::Agent;
use crate::harness::container::Container;
use crate::harness::lab::in_lab;
use crate::harness::responders::Responders;
use crate::harness::wireguard_peer::Client;
use crate::harness::world::{GROUP, request};

const CROWD: u8 = 200;
const LIMIT: usize = 50;

/// A catalog of these gateways, with one credential for all of them.
fn catalog(client: &Client, gateways: &[Value]) -> Value {
    json!({
        "provider": [{ "name": "lab", "type": "wireguard" }],
        "gateway": gateways,
        "mapping": [{ "provider": "lab", "group": GROUP }],
        "credential": [{
            "provider": "lab",
            "name": "shared",
            "group": GROUP,
            "private_key": client.keys.private,
            "address": [format!("{}/32", client.v4)],
            "active_connection_limit": LIMIT,
        }],
    })
}

/// Attaches every container at once, each to the gateway that `gateway` names.
#[expect(clippy::print_stdout, reason = "the time is worth a look")]
fn at_once(
    agent: &Agent<'_>,
    containers: &[Container],
    gateway: impl Fn(u8) -> u8,
) -> Vec<Result<SessionView, Problem>> {
    let begun = Instant::now();
    let results = thread::scope(|scope| {
        let attaches: Vec<_> = (0..CROWD)
            .zip(containers)
            .map(|(number, container)| {
                let name = container.namespace().name();
                let mut asked = request(name, container.by_path(), gateway(number));
                asked.deadline_ms = 60_000;
                scope.spawn(move || agent.attach(&asked))
            })
            .collect();
        attaches.into_iter().map(|attach| attach.join().unwrap()).collect()
    });
    println!("{CROWD} attaches at once: {:.2?}", begun.elapsed());
    results
}

/// The sessions there are; everybody else was refused with this code.
#[track_caller]
fn winners(results: Vec<Result<SessionView, Problem>>, code: Code) -> Vec<SessionView> {
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    for problem in lost.into_iter().filter_map(Result::err) {
        assert_eq!(problem.code, code, "{}", problem.detail);
    }
    won.into_iter().flatten().collect()
}

#[test]
fn of_two_hundred_attaches_at_once_exactly_as_many_succeed_as_are_allowed() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let client = Client::new(0);
        let responders = Responders::start(&gateway, &client, CROWD.into());
        let agent = Agent::start(lab);
        agent.apply(&catalog(&client, &responders.gateways()));
        let containers: Vec<_> =
            (0..CROWD).map(|number| Container::named(&format!("c-{number}"))).collect();

        let sessions = winners(at_once(&agent, &containers, |number| number), Code::LimitReached);
        assert_eq!(sessions.len(), LIMIT);
        assert_eq!(agent.live_connections() as usize, LIMIT);
        for session in &sessions {
            agent.detach(&session.session_id, true);
        }
        assert_eq!(agent.live_connections(), 0);

        let sessions = winners(at_once(&agent, &containers, |_| 7), Code::KeyInUse);
        assert_eq!(sessions.len(), 1, "one key towards one gateway is one connection");
        assert_eq!(agent.live_connections(), 1);
        agent.detach(&sessions[0].session_id, true);
        assert_eq!(agent.live_connections(), 0);
        assert!(agent.counts("egress_sessions", &["connected"], 0), "{}", agent.metrics());
        wait_for_room(&agent);
    });
}

/// Nobody who was refused holds anything: there is room for another at once.
fn wait_for_room(agent: &Agent<'_>) {
    let container = Container::named("late");
    agent.attach(&request("late", container.by_path(), 3)).expect("there is room");
    agent.wait_for_state(
        &"late".parse().unwrap(),
        egress_core::api::SessionState::Connected,
        Duration::from_secs(5),
    );
}
