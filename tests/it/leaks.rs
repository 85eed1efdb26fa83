//! Nothing leaves a container outside its tunnel, whatever state its session is in.
//!
//! In each state the container tries every way out without a pause, with a canary in every
//! packet; the sniffer on the outside must hear tunnel messages and the host's own link-layer
//! control, nothing else. `detector.rs` proves that it would.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use egress_core::api::{Code, SessionState};

use crate::harness::container::Container;
use crate::harness::lab::{Lab, SERVER_V4, SERVER_V6, in_lab};
use crate::harness::probe::{self, Probe};
use crate::harness::scene::{self, Make, Scene};
use crate::harness::sniffer::Sniffer;
use crate::harness::traffic::Hammer;
use crate::harness::verdict::Canary;
use crate::harness::wait;
use crate::harness::world::{request, session_id};

/// How long a state is watched: some 50 rounds of every probe.
const WATCH: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(20);

/// The same test with a gateway of either protocol.
macro_rules! with_either_protocol {
    ($($case:ident),* $(,)?) => {
        mod wireguard {
            $(#[test] fn $case() { super::$case(super::scene::wireguard); })*
        }
        mod openvpn {
            $(#[test] fn $case() { super::$case(super::scene::openvpn); })*
        }
    };
}

with_either_protocol! {
    nothing_leaves_before_an_attach_and_while_connected,
    nothing_leaves_while_the_gateway_does_not_answer_the_first_time,
    nothing_leaves_while_the_gateway_is_cut_off_and_comes_back,
    nothing_leaves_while_control_is_killed_and_starts_again,
    nothing_leaves_while_the_data_plane_is_killed,
    nothing_leaves_while_everything_of_the_agent_is_dead,
    nothing_leaves_while_and_after_a_session_is_detached,
    root_in_the_container_who_flushes_the_seal_has_no_other_way_out,
    the_gateways_own_address_is_no_way_out,
}

/// A container that hammers, and an ear outside.
struct Watched<'a> {
    world: Box<dyn Scene<'a> + 'a>,
    sniffer: Sniffer,
    canary: Canary,
    container: Container,
    hammer: Hammer,
}

impl<'a> Watched<'a> {
    /// Starts hammering before anything is attached.
    fn new(lab: &'a Lab, make: Make) -> Self {
        let world = make(lab);
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        let container = Container::with_process("c-1");
        let bound = [IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6)];
        let bound = bound.map(|server| Probe::BoundTo("eg0", server));
        let hammer = Hammer::start(&container, &canary, &bound);
        Self { world, sniffer, canary, container, hammer }
    }

    fn attach(&self) {
        let attached = self.world.agent().attach(&request("c-1", self.container.by_path(), 0));
        attached.unwrap_or_else(|problem| panic!("attach: {problem:?}"));
    }

    /// Watches for a while; the container must have tried meanwhile.
    #[track_caller]
    fn assert_clean(&self, state: &str) {
        thread::sleep(WATCH);
        self.sniffer.assert_clean(state, &self.world.allowed(), &self.canary);
    }

    #[track_caller]
    fn wait_for(&self, state: SessionState) {
        let limit = Duration::from_secs(40);
        self.world.agent().wait_for_state(&session_id("c-1"), state, limit);
    }

    /// Packets left system calls and went into the tunnel: the probes do work.
    #[track_caller]
    fn assert_hammering(&self) {
        let before = self.hammer.sent();
        wait::until("the container's packets leave", LIMIT, || self.hammer.sent() > before + 20);
    }
}

fn nothing_leaves_before_an_attach_and_while_connected(make: Make) {
    in_lab(|lab| {
        let watched = Watched::new(lab, make);
        watched.assert_clean("before attach");
        watched.attach();
        watched.assert_hammering();
        watched.assert_clean("connected");
    });
}

fn nothing_leaves_while_the_gateway_does_not_answer_the_first_time(make: Make) {
    in_lab(|lab| {
        let mut watched = Watched::new(lab, make);
        watched.world.stop_far_end();
        let mut asked = request("c-1", watched.container.by_path(), 0);
        asked.deadline_ms = 3_000;
        let problem = watched.world.agent().attach(&asked).unwrap_err();
        let silent = [Code::HandshakeTimeout, Code::EndpointUnreachable];
        assert!(silent.contains(&problem.code), "{problem:?}");
        watched.assert_clean("connecting, then blocked");
        let state = watched.world.agent().session(&session_id("c-1")).unwrap().state;
        assert_eq!(state, SessionState::Blocked);
        assert_eq!(watched.world.agent().live_connections(), 0);

        watched.world.restart_far_end();
        watched.attach();
        watched.assert_hammering();
        watched.assert_clean("connected at the second try");
    });
}

fn nothing_leaves_while_the_gateway_is_cut_off_and_comes_back(make: Make) {
    in_lab(|lab| {
        let watched = Watched::new(lab, make);
        watched.attach();
        watched.assert_hammering();
        watched.world.gateway().set_connected(false);
        watched.assert_clean("gateway cut off");
        watched.wait_for(SessionState::Reconnecting);
        watched.assert_clean("reconnecting");
        watched.world.gateway().set_connected(true);
        watched.wait_for(SessionState::Connected);
        watched.assert_hammering();
        watched.assert_clean("connected again");
    });
}

fn nothing_leaves_while_control_is_killed_and_starts_again(make: Make) {
    in_lab(|lab| {
        let mut watched = Watched::new(lab, make);
        watched.attach();
        watched.assert_hammering();
        watched.world.agent_mut().kill_control();
        watched.assert_clean("control killed");
        watched.world.agent_mut().start_again();
        watched.assert_clean("control back");
        watched.assert_hammering();
    });
}

fn nothing_leaves_while_the_data_plane_is_killed(make: Make) {
    in_lab(|lab| {
        let watched = Watched::new(lab, make);
        watched.attach();
        watched.assert_hammering();
        watched.world.agent().kill_dataplane();
        watched.assert_clean("data plane killed");
        watched.container.wait_for_traffic(LIMIT);
        watched.assert_clean("data plane back");
    });
}

fn nothing_leaves_while_everything_of_the_agent_is_dead(make: Make) {
    in_lab(|lab| {
        let mut watched = Watched::new(lab, make);
        watched.attach();
        watched.assert_hammering();
        watched.world.agent_mut().kill_dataplane_and_control();
        watched.assert_clean("control and data plane killed");
        watched.world.agent_mut().start_again();
        watched.wait_for(SessionState::Connected);
        watched.container.wait_for_traffic(LIMIT);
        watched.assert_clean("everything back");
    });
}

fn nothing_leaves_while_and_after_a_session_is_detached(make: Make) {
    in_lab(|lab| {
        let watched = Watched::new(lab, make);
        watched.attach();
        watched.assert_hammering();
        watched.world.agent().detach(&session_id("c-1"), false);
        watched.assert_clean("detached");
        watched.attach();
        watched.assert_hammering();
        watched.assert_clean("attached again");
        watched.world.agent().detach(&session_id("c-1"), true);
        watched.assert_clean("released");
    });
}

fn root_in_the_container_who_flushes_the_seal_has_no_other_way_out(make: Make) {
    in_lab(|lab| {
        let watched = Watched::new(lab, make);
        watched.attach();
        let flush =
            watched.container.namespace().command("nft").args(["flush", "ruleset"]).status();
        assert!(flush.unwrap().success());
        // Devices, addresses and routes of the attacker's own.
        let lines = "link add trap0 type veth peer name trap1
                     link set trap0 up
                     link set trap1 up
                     addr add 192.0.2.2/24 dev trap0
                     route add 203.0.113.0/24 dev trap0\n";
        watched.container.namespace().ip(lines);
        watched.assert_clean("connected, seal flushed by the container");
        watched.world.gateway().set_connected(false);
        watched.wait_for(SessionState::Reconnecting);
        watched.assert_clean("reconnecting, seal flushed by the container");
    });
}

fn the_gateways_own_address_is_no_way_out(make: Make) {
    in_lab(|lab| {
        let watched = Watched::new(lab, make);
        watched.attach();
        let end = watched.world.end();
        watched.container.run(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            // Refused by the kernel or lost in the tunnel: both are right.
            let _ = socket.send_to(watched.canary.bytes(), end);
            let _ = probe::ping(end.ip(), Duration::from_millis(100));
        });
        watched.assert_clean("connected, container speaks to the gateway's address");
    });
}
