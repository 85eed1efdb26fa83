//! Far ends that restart, move, or change their name's address.

use std::net::IpAddr;
use std::time::Duration;

use egress_core::api::SessionState;

use crate::harness::lab::{HOST_V4, HOST_V4_LATER, ROUTER_V4, SERVER_V4, in_lab};
use crate::harness::namespace::host_ip;
use crate::harness::probe;
use crate::harness::resolver::{self, Resolver};
use crate::harness::traffic::Stream;
use crate::harness::verdict::{Allowed, Canary};
use crate::harness::wait;
use crate::harness::world::{World, session_id};

/// A peer that has forgotten the tunnel is noticed after 15 s of silence under traffic
/// (`KEEPALIVE_TIMEOUT` + `REKEY_TIMEOUT`); the rest is a handshake and opening the seal.
const AFTER_RESTART: Duration = Duration::from_secs(20);
/// 15 s until the silence is noticed, 5 s until a handshake has had no answer, and a look-up.
const AFTER_MOVE: Duration = Duration::from_secs(30);
const GATEWAY_NAME: &str = "gateway.example";

#[test]
fn traffic_goes_on_after_the_far_end_restarts() {
    in_lab(|lab| {
        let sniffer = lab.sniff();
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        world.peer.restart();
        let took = container.wait_for_traffic(AFTER_RESTART);
        println!("traffic again {took:?} after the far end restarted");
        let record = stream.finish();
        assert_eq!(record.broken, None, "{record:?}");
        sniffer.assert_clean("far end restarted", &world.allowed(), &Canary::random());
    });
}

#[test]
fn traffic_goes_on_at_the_address_that_the_gateways_name_gets() {
    in_lab(|lab| {
        let sniffer = lab.sniff();
        let mut world = World::new(lab, 1);
        let resolver = Resolver::start(lab, world.gateway.v4(1));
        world.apply(&format!("{GATEWAY_NAME}:51820"));
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());

        world.gateway.move_address(1, 2);
        world.peer.restart();
        resolver.point_to(world.gateway.v4(2));
        let took = container.wait_for_traffic(AFTER_MOVE);
        println!("traffic again {took:?} after the name got another address");
        assert_eq!(stream.finish().broken, None);
        let ends = [world.peer.endpoint(1), world.peer.endpoint(2)];
        let allowed = Allowed { resolver: Some(resolver::ADDRESS), ..Allowed::tunnels(&ends) };
        sniffer.assert_clean("name re-pointed", &allowed, &Canary::random());
        assert!(sniffer.sent_to(world.gateway.v4(2).into()) > 0);
    });
}

#[test]
fn a_server_that_moved_is_followed_when_it_speaks() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        world.gateway.move_address(1, 2);
        let client: IpAddr = world.clients[0].v4.into();
        let short = Duration::from_millis(200);
        let took = wait::until("traffic passes", AFTER_MOVE, || {
            // The server has something to say, as servers with open connections have.
            let _ = world.gateway.namespace.run(|| probe::ping(client, short));
            container.run(|| probe::ping(SERVER_V4.into(), short)).is_ok()
        });
        println!("traffic again {took:?} after the server moved");
        assert_eq!(stream.finish().broken, None);
    });
}

#[test]
fn a_host_that_gets_another_address_sends_from_it() {
    in_lab(|lab| {
        let sniffer = lab.sniff();
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        host_ip(&format!(
            "addr del {HOST_V4}/24 dev uplink
             addr add {HOST_V4_LATER}/24 dev uplink
             route replace default via {ROUTER_V4}
            "
        ));
        let took = container.wait_for_traffic(AFTER_MOVE);
        println!("traffic again {took:?} after the host got another address");
        assert_eq!(stream.finish().broken, None);
        wait::until("the new address is refused", AFTER_MOVE, || {
            let rules = container.namespace().command("nft").args(["list", "ruleset"]).output();
            String::from_utf8(rules.unwrap().stdout).unwrap().contains(&HOST_V4_LATER.to_string())
        });
        container.wait_for_traffic(Duration::from_secs(1));
        let allowed = Allowed { renumbered: Some(HOST_V4_LATER.into()), ..world.allowed() };
        sniffer.assert_clean("host renumbered", &allowed, &Canary::random());
    });
}

#[test]
fn a_silent_gateway_is_noticed_and_the_session_comes_back_by_itself() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        world.gateway.set_connected(false);
        let id = session_id("c-1");
        let noticed = wait::until("the silence is noticed", AFTER_MOVE, || {
            // Only what wants an answer can notice that none comes.
            let _ = container.run(|| probe::ping(SERVER_V4.into(), Duration::from_millis(200)));
            world.agent.session(&id).unwrap().state == SessionState::Reconnecting
        });
        println!("noticed after {noticed:?}");
        assert_eq!(world.agent.live_connections(), 1);
        world.gateway.set_connected(true);
        world.agent.wait_for_state(&id, SessionState::Connected, Duration::from_secs(35));
        container.wait_for_traffic(Duration::from_secs(5));
        let record = stream.finish();
        assert_eq!(record.broken, None, "{record:?}");
    });
}
