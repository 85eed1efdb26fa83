//! What operators see: metrics, events, connections.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use egress_core::api::{Code, SessionState};

use crate::harness::container::Container;
use crate::harness::http;
use crate::harness::lab::{SERVER_V4, in_lab};
use crate::harness::probe::{self, Probe};
use crate::harness::verdict::Canary;
use crate::harness::world::{World, request, session_id};

#[test]
fn metrics_tell_states_traffic_handshakes_attaches_and_refusals() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, session) = world.attached("c-1");
        container.run(|| {
            for _ in 0..10 {
                probe::udp_echo(SERVER_V4.into(), &[7; 1000], Duration::from_secs(5)).unwrap();
            }
        });
        let second = Container::with_process("c-2");
        let problem = world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap_err();
        assert_eq!(problem.code, Code::KeyInUse);

        let agent = &world.agent;
        assert!(agent.counts("egress_sessions", &["state=\"connected\""], 1));
        for direction in ["rx", "tx"] {
            let bytes = agent.metric(&format!("egress_session_{direction}_bytes_total"), &["c-1"]);
            let packets =
                agent.metric(&format!("egress_session_{direction}_packets_total"), &["c-1"]);
            assert!((10_000.0..40_000.0).contains(&bytes), "{direction}: {bytes} bytes");
            assert!((10.0..40.0).contains(&packets), "{direction}: {packets} packets");
        }
        let age = agent.metric("egress_session_handshake_age_seconds", &["c-1"]);
        assert!((0.0..30.0).contains(&age), "{age}");
        for stage in ["seal", "select", "tunnel", "handshake", "open", "total"] {
            let label = format!("stage=\"{stage}\"");
            assert!(agent.counts("egress_attach_seconds_count", &[&label], 1), "{stage}");
        }
        assert!(agent.counts("egress_refusals_total", &["code=\"key_in_use\""], 1));
        let credential = session.credential_id.unwrap().to_string();
        assert!(agent.counts("egress_credential_in_use", &[&credential], 1));
        assert!(agent.counts("egress_build_info", &[], 1));

        agent.detach(&session_id("c-1"), false);
        assert!(!agent.metrics().contains("\"c-1\""), "a closed session has series");
        assert!(agent.counts("egress_credential_in_use", &[&credential], 0));
    });
}

#[test]
fn what_the_seal_keeps_in_is_counted() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        world.gateway.set_connected(false);
        let id = session_id("c-1");
        let canary = Canary::random();
        let limit = Duration::from_secs(40);
        crate::harness::wait::until("the session is sealed", limit, || {
            let _ = container.run(|| Probe::Udp(SERVER_V4.into()).send(&canary));
            world.agent.session(&id).unwrap().state == SessionState::Reconnecting
        });
        let before = world.agent.metric("egress_session_sealed_packets_total", &["c-1"]);
        container.run(|| {
            for _ in 0..20 {
                let _ = Probe::Udp(SERVER_V4.into()).send(&canary);
            }
        });
        let after = world.agent.metric("egress_session_sealed_packets_total", &["c-1"]);
        assert!(after - before >= 20.0, "counted {before}, then {after}");
        assert!(world.agent.counts("egress_session_reconnects_total", &["c-1"], 1));
    });
}

#[test]
fn events_follow_a_session_through_its_states() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let lines = http::follow(world.agent.socket(), "/v1/events").unwrap();
        let (line_tx, line_rx) = mpsc::channel();
        thread::spawn(move || {
            for line in lines {
                if line_tx.send(line).is_err() {
                    return;
                }
            }
        });
        let (_container, _) = world.attached("c-1");
        world.agent.detach(&session_id("c-1"), false);
        let mut wanted = ["connected", "disconnecting", "closed"].iter().peekable();
        let mut seen = Vec::new();
        while let Some(state) = wanted.peek() {
            let line = line_rx.recv_timeout(Duration::from_secs(5));
            let line = line.unwrap_or_else(|_| panic!("no event {state:?} after {seen:#?}"));
            if line.contains("\"c-1\"") && line.contains(&format!("\"{state}\"")) {
                wanted.next();
            }
            seen.push(line);
        }
    });
}
