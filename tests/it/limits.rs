//! Never more live connections than allowed.

use std::thread;
use std::time::Duration;

use egress_core::api::Code;
use serde_json::json;

use crate::harness::container::Container;
use crate::harness::lab::in_lab;
use crate::harness::world::{GROUP, World, request, session_id};

#[test]
fn one_wireguard_key_is_one_connection() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (first, _) = world.attached("c-1");
        let second = Container::with_process("c-2");
        let problem = world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap_err();
        assert_eq!((problem.code, problem.status), (Code::KeyInUse, 409));
        assert_eq!(world.agent.live_connections(), 1);
        first.wait_for_traffic(Duration::from_secs(1));
        world.agent.detach(&session_id("c-1"), false);
        world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap();
        second.wait_for_traffic(Duration::from_secs(5));
    });
}

#[test]
fn of_twelve_attaches_at_once_as_many_succeed_as_there_are_keys() {
    in_lab(|lab| {
        let world = World::new(lab, 5);
        let containers: Vec<_> =
            (0..12).map(|n| Container::with_process(&format!("c-{n}"))).collect();
        let results = thread::scope(|scope| {
            let agent = &world.agent;
            let attaches: Vec<_> = containers
                .iter()
                .enumerate()
                .map(|(n, container)| {
                    let asked = request(&format!("c-{n}"), container.by_path(), 0);
                    scope.spawn(move || agent.attach(&asked))
                })
                .collect();
            attaches.into_iter().map(|attach| attach.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
        for problem in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(problem.code, Code::KeyInUse, "{}", problem.detail);
        }
        assert_eq!(world.agent.live_connections(), 5);
        let mut used: Vec<_> =
            results.iter().flatten().map(|session| session.credential_id).collect();
        used.sort();
        used.dedup();
        assert_eq!(used.len(), 5, "two sessions share a key");
        for result in results.iter().flatten() {
            world.agent.detach(&result.session_id, false);
        }
        assert_eq!(world.agent.live_connections(), 0);
    });
}

#[test]
fn a_credentials_limit_is_kept_and_a_lowered_one_drains() {
    in_lab(|lab| {
        let world = World::new(lab, 0);
        let client = crate::harness::wireguard_peer::Client::new(0);
        let limit = |limit: u32| {
            world.agent.apply(&json!({
                "provider": [{ "name": "lab", "type": "wireguard", "key_sharing": "unlimited" }],
                "credential": [{
                    "provider": "lab",
                    "name": "shared",
                    "group": GROUP,
                    "private_key": client.keys.private,
                    "address": [format!("{}/32", client.v4)],
                    "active_connection_limit": limit,
                }],
            }));
        };
        limit(2);
        // The far end does not know this key: leases are taken before it could answer.
        let mut asked = Vec::new();
        let containers: Vec<_> =
            (0..3).map(|n| Container::with_process(&format!("c-{n}"))).collect();
        for (n, container) in containers.iter().enumerate() {
            let mut request = request(&format!("c-{n}"), container.by_path(), 0);
            request.deadline_ms = 4_000;
            asked.push(request);
        }
        let codes = thread::scope(|scope| {
            let agent = &world.agent;
            let attaches: Vec<_> =
                asked.iter().map(|asked| scope.spawn(move || agent.attach(asked))).collect();
            crate::harness::wait::until("two leases are held", Duration::from_secs(20), || {
                agent.live_connections() == 2
            });
            limit(1);
            let connections = agent.ask("GET", "/v1/connections", "").body;
            assert!(connections.contains("\"in_use\":2,\"limit\":1"), "{connections}");
            assert!(agent.counts("egress_credential_in_use", &[], 2));
            assert!(agent.counts("egress_credential_limit", &[], 1));
            let mut codes: Vec<_> = attaches
                .into_iter()
                .map(|attach| attach.join().unwrap().expect_err("nobody answers").code)
                .collect();
            codes.sort();
            codes
        });
        assert_eq!(codes, [Code::LimitReached, Code::HandshakeTimeout, Code::HandshakeTimeout]);
        assert_eq!(world.agent.live_connections(), 0);
    });
}

#[test]
fn a_slot_cools_after_an_unclean_end_and_after_no_other() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let agent = &world.agent;
        agent.apply(&json!({
            "provider": [{ "name": "lab", "type": "wireguard", "release_delay_s": 3 }],
        }));
        let (container, _) = world.attached("c-1");
        container.destroy();
        crate::harness::wait::until("the session is over", Duration::from_secs(5), || {
            agent.sessions().is_empty()
        });
        assert_eq!(agent.live_connections(), 1);
        let second = Container::with_process("c-2");
        let problem = agent.attach(&request("c-2", second.by_path(), 0)).unwrap_err();
        assert_eq!(problem.code, Code::KeyInUse);
        crate::harness::wait::until("the slot has cooled", Duration::from_secs(10), || {
            agent.live_connections() == 0
        });
        agent.attach(&request("c-2", second.by_path(), 0)).unwrap();
        agent.detach(&session_id("c-2"), false);
        assert_eq!(agent.live_connections(), 0);
    });
}

#[test]
fn a_gateway_that_is_not_offered_is_refused_with_the_reasons() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let container = Container::with_process("c-1");
        let mut asked = request("c-1", container.by_path(), 0);
        asked.subject.groups = vec!["Others".to_owned()];
        let problem = world.agent.attach(&asked).unwrap_err();
        assert_eq!((problem.code, problem.status), (Code::NotOffered, 403));
        asked.gateway = Some(crate::harness::world::gateway_id(77));
        assert_eq!(world.agent.attach(&asked).unwrap_err().code, Code::NoSuchGateway);
        asked.gateway = None;
        assert_eq!(world.agent.attach(&asked).unwrap_err().code, Code::GatewayRequired);
        assert_eq!(container.devices(), ["lo"]);
        world.agent.wait_until_idle();
        assert_eq!(world.agent.offers("user=bob&groups=Others").offers.len(), 0);
        assert_eq!(world.agent.offers("user=bob&groups=All%20Users").offers.len(), 1);
    });
}
