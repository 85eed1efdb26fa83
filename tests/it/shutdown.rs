//! An orderly stop in the middle of work.

use std::thread;
use std::time::{Duration, Instant};

use egress_core::api::{Code, Problem, SessionState};
use nix::sys::signal::Signal;

use crate::harness::container::Container;
use crate::harness::lab::{SERVER_V4, in_lab};
use crate::harness::openvpn_server::PASSWORD;
use crate::harness::openvpn_world::{OpenvpnWorld, credential};
use crate::harness::traffic::{Hammer, Stream};
use crate::harness::verdict::Canary;
use crate::harness::wait;
use crate::harness::world::{World, request, session_id};

const ATTACHES: u16 = 50;
/// `sessions.stop_s` of the default configuration, and the last replies.
const DEADLINE: Duration = Duration::from_secs(13);
/// How long an openvpn is waited for that was asked to end.
const GOODBYE: Duration = Duration::from_millis(2_500);

#[test]
fn sigterm_during_fifty_attaches_ends_in_time_and_leaves_nothing_half_open() {
    in_lab(|lab| {
        let mut world = World::new(lab, ATTACHES + 1);
        let (standing, _) = world.attached("standing");
        let stream = Stream::start(&standing, SERVER_V4.into());
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        let containers: Vec<_> =
            (0..ATTACHES).map(|n| Container::with_process(&format!("c-{n}"))).collect();
        let hammer = Hammer::start(&containers[0], &canary, &[]);

        // Another gateway, which never answers: every attach is under way when the signal comes.
        let mute = world.gateway.v4(9);
        let config = world.peer.peer_section(&format!("{mute}:51820"));
        world.agent.apply(&serde_json::json!({ "gateway": [{
            "id": crate::harness::world::gateway_id(1),
            "provider": "lab",
            "name": "mute",
            "config": format!("[Interface]\n{config}").replace(world.peer.public_key(),
                &crate::harness::keys::KeyPair::random().public),
        }] }));
        let problems = thread::scope(|scope| {
            let agent = &world.agent;
            let attaches: Vec<_> = containers
                .iter()
                .enumerate()
                .map(|(n, container)| {
                    let mut asked = request(&format!("c-{n}"), container.by_path(), 1);
                    asked.deadline_ms = 60_000;
                    scope.spawn(move || agent.attach(&asked).expect_err("nobody answers"))
                })
                .collect();
            wait::until("every attach is under way", Duration::from_secs(20), || {
                let sessions = agent.sessions();
                sessions.iter().filter(|s| s.state == SessionState::Connecting).count()
                    == usize::from(ATTACHES)
            });
            thread::sleep(Duration::from_millis(300));
            agent.signal(Signal::SIGTERM);
            attaches.into_iter().map(|attach| attach.join().unwrap()).collect::<Vec<_>>()
        });
        let start = Instant::now();
        assert!(world.agent.wait_for_end(DEADLINE).success());
        println!("stopped {:?} after the last reply", start.elapsed());
        for problem in problems {
            assert_eq!(problem.code, Code::ShuttingDown, "{}", problem.detail);
        }
        for container in &containers {
            assert_eq!(container.devices(), ["lo"]);
            let rules = container.namespace().command("nft").args(["list", "ruleset"]).output();
            let rules = String::from_utf8(rules.unwrap().stdout).unwrap();
            assert!(rules.contains("egress_agent"), "not sealed: {rules:?}");
        }
        drop(hammer);
        let ends = [world.peer.endpoint(1), (mute, 51820).into()];
        let allowed = crate::harness::verdict::Allowed::tunnels(&ends);
        sniffer.assert_clean("stopped", &allowed, &canary);

        world.agent.start_again();
        assert_eq!(world.agent.live_connections(), 1);
        let sessions = world.agent.sessions();
        let connected = sessions.iter().filter(|s| s.state == SessionState::Connected).count();
        assert_eq!(connected, 1, "{sessions:?}");
        let record = stream.finish();
        assert_eq!(record.broken, None);
        assert!(record.longest_gap < Duration::from_secs(1), "{record:?}");
    });
}

#[test]
fn a_session_that_stands_is_no_ended_one_while_the_agent_stops() {
    in_lab(|lab| {
        let mut world = OpenvpnWorld::new(lab);
        // One that goes on for a while after it has said goodbye.
        let profile = world.server.profile();
        world.apply(&format!("{profile}\nexplicit-exit-notify 2\n"), &[credential(0, PASSWORD)]);
        let _held = world.attached("c-1");
        let first = world.openvpn_pids();
        world.apply(&profile, &[credential(0, PASSWORD)]);
        let _other = world.attached("c-2");
        world.agent.signal(Signal::SIGTERM);
        wait::until("the other has said goodbye", GOODBYE, || world.openvpn_pids() == first);
        let shown = world.agent.session(&session_id("c-2")).expect("it is on the list");
        assert_eq!(shown.state, SessionState::Connected);
        let refused = world.agent.ask("DELETE", "/v1/sessions/c-2", "");
        assert_eq!((refused.status, refused.json::<Problem>().code), (503, Code::ShuttingDown));
        assert!(world.agent.wait_for_end(DEADLINE).success());
        world.agent.start_again();
        assert_eq!(world.agent.live_connections(), 2);
    });
}

#[test]
fn the_agent_leaves_nothing_running_when_there_is_no_session() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        world.attached("c-1");
        world.agent.detach(&crate::harness::world::session_id("c-1"), false);
        let dataplane = world.agent.dataplane_pid().expect("a data plane runs");
        assert!(world.agent.terminate(Duration::from_secs(5)).success());
        wait::until("the data plane ends", Duration::from_secs(5), || {
            !lab.processes().contains(&dataplane)
        });
    });
}
