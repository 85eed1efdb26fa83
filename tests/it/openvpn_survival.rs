//! What an OpenVPN session survives: the container keeps its device, and nothing gets out.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use egress_core::api::SessionState;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::container::Container;
use crate::harness::lab::{Lab, in_lab};
use crate::harness::openvpn_world::OpenvpnWorld;
use crate::harness::scene::Scene;
use crate::harness::sniffer::Sniffer;
use crate::harness::traffic::Hammer;
use crate::harness::verdict::Canary;
use crate::harness::wait;
use crate::harness::world::session_id;

const LIMIT: Duration = Duration::from_secs(30);

/// A session whose container hammers, with an ear outside.
struct Ongoing<'a> {
    world: OpenvpnWorld<'a>,
    container: Container,
    device: u32,
    sniffer: Sniffer,
    canary: Canary,
    _hammer: Hammer,
}

impl<'a> Ongoing<'a> {
    fn new(lab: &'a Lab) -> Self {
        let world = OpenvpnWorld::new(lab);
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        let (container, _) = world.attached("c-1");
        container.wait_for_traffic(LIMIT);
        let hammer = Hammer::start(&container, &canary, &[]);
        let device = device_of(&container);
        Self { world, container, device, sniffer, canary, _hammer: hammer }
    }

    #[track_caller]
    fn wait_for(&self, state: SessionState) {
        self.world.agent.wait_for_state(&session_id("c-1"), state, LIMIT);
    }

    /// Traffic passes again, through the same device, and nothing was heard outside.
    #[track_caller]
    fn assert_recovered(&self, what: &str) {
        self.wait_for(SessionState::Connected);
        self.container.wait_for_traffic(LIMIT);
        assert_eq!(device_of(&self.container), self.device, "{what}: another device");
        self.sniffer.assert_clean(what, &self.world.allowed(), &self.canary);
        assert_eq!(self.world.agent.live_connections(), 1);
    }

    fn openvpn(&self) -> i32 {
        wait::some("an openvpn runs", LIMIT, || self.world.openvpn_pids().first().copied())
    }
}

/// The number of the tunnel's device in a container.
fn device_of(container: &Container) -> u32 {
    container.run(|| nix::net::if_::if_nametoindex("eg0")).expect("there is a device")
}

#[test]
fn a_server_that_comes_back_finds_the_session_with_its_device() {
    in_lab(|lab| {
        let mut ongoing = Ongoing::new(lab);
        ongoing.world.server.kill();
        ongoing.wait_for(SessionState::Reconnecting);
        ongoing.sniffer.assert_clean("server gone", &ongoing.world.allowed(), &ongoing.canary);
        ongoing.world.server.restart();
        let back = Instant::now();
        ongoing.assert_recovered("the server is back");
        println!("traffic passed {:?} after the server was back", back.elapsed());
    });
}

#[test]
fn a_server_that_gives_another_address_finds_the_session_with_its_device() {
    in_lab(|lab| {
        let mut ongoing = Ongoing::new(lab);
        let before = ongoing.world.agent.session(&session_id("c-1")).unwrap().addresses;
        ongoing.world.server.kill();
        ongoing.world.server.set_pool(Ipv4Addr::new(10, 9, 0, 0));
        ongoing.world.server.restart();
        wait::until("the session has another address", LIMIT, || {
            let now = ongoing.world.agent.session(&session_id("c-1")).unwrap();
            now.state == SessionState::Connected && now.addresses != before
        });
        ongoing.assert_recovered("the server gives other addresses");
        let session = ongoing.world.agent.session(&session_id("c-1")).unwrap();
        assert!(session.addresses[0].to_string().starts_with("10.9.0."));
    });
}

#[test]
fn a_killed_openvpn_is_replaced_on_the_same_device() {
    in_lab(|lab| {
        let ongoing = Ongoing::new(lab);
        let pid = ongoing.openvpn();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let killed = Instant::now();
        ongoing.world.wait_for_another(pid, LIMIT);
        ongoing.assert_recovered("openvpn killed");
        println!("traffic passed {:?} after openvpn was killed", killed.elapsed());
        assert_eq!(ongoing.world.openvpn_pids().len(), 1);
    });
}

#[test]
fn a_stopped_openvpn_is_replaced_on_the_same_device() {
    in_lab(|lab| {
        let ongoing = Ongoing::new(lab);
        let pid = ongoing.openvpn();
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        let took = ongoing.world.wait_for_another(pid, Duration::from_secs(5));
        println!("openvpn was replaced {took:?} after it was stopped");
        ongoing.assert_recovered("openvpn stopped");
        assert_eq!(ongoing.world.openvpn_pids().len(), 1);
    });
}

#[test]
fn a_killed_control_takes_the_session_up_on_the_same_device() {
    in_lab(|lab| {
        let mut ongoing = Ongoing::new(lab);
        let pid = ongoing.openvpn();
        ongoing.world.agent.kill_control();
        wait::until("openvpn has ended by itself", LIMIT, || {
            std::fs::metadata(format!("/proc/{pid}")).is_err()
        });
        assert_eq!(device_of(&ongoing.container), ongoing.device);
        ongoing.sniffer.assert_clean("control killed", &ongoing.world.allowed(), &ongoing.canary);
        ongoing.world.agent.start_again();
        let started = Instant::now();
        ongoing.assert_recovered("control killed and started");
        println!("traffic passed {:?} after control answered again", started.elapsed());
    });
}

#[test]
fn a_container_that_ended_while_control_was_dead_leaves_nothing() {
    in_lab(|lab| {
        let mut world = OpenvpnWorld::new(lab);
        let (container, _) = world.attached("c-1");
        world.agent.kill_control();
        container.destroy();
        world.agent.start_again();
        wait::until("nothing is left", LIMIT, || {
            world.agent.sessions().is_empty()
                && world.agent.live_connections() == 0
                && world.openvpn_pids().is_empty()
        });
        assert_eq!(world.server.goodbyes(), 1, "openvpn told its server when control died");
    });
}

#[test]
fn a_restart_in_order_takes_the_session_up_on_the_same_device() {
    in_lab(|lab| {
        let mut ongoing = Ongoing::new(lab);
        assert!(ongoing.world.agent.terminate(LIMIT).success());
        assert_eq!(ongoing.world.server.goodbyes(), 1, "the server was told");
        assert_eq!(device_of(&ongoing.container), ongoing.device);
        ongoing.world.agent.start_again();
        ongoing.assert_recovered("control restarted");
    });
}

#[test]
fn a_killed_data_plane_does_not_touch_the_session() {
    in_lab(|lab| {
        let mut ongoing = Ongoing::new(lab);
        let (pid, dataplane) = (ongoing.openvpn(), ongoing.world.agent.dataplane_pid());
        ongoing.world.agent.kill_dataplane();
        wait::until("another data plane runs", LIMIT, || {
            ongoing.world.agent.dataplane_pid().is_some_and(|pid| Some(pid) != dataplane)
        });
        ongoing.assert_recovered("data plane killed");
        assert_eq!(ongoing.openvpn(), pid, "openvpn goes on");
        wait::until("the new one keeps the device as well", LIMIT, || {
            ongoing.world.agent.devices_of_dataplane() == 1
        });
        ongoing.world.agent.kill_control();
        wait::until("openvpn has ended by itself", LIMIT, || {
            ongoing.world.openvpn_pids().is_empty()
        });
        assert_eq!(device_of(&ongoing.container), ongoing.device);
        ongoing.world.agent.start_again();
        ongoing.assert_recovered("data plane, then control killed");
    });
}

#[test]
fn a_containers_end_is_the_end_of_its_openvpn_and_frees_its_connection() {
    in_lab(|lab| {
        let world = OpenvpnWorld::new(lab);
        for round in 0..2 {
            let (container, _) = world.attached(&format!("c-{round}"));
            assert_eq!(world.openvpn_pids().len(), 1);
            container.destroy();
            let took = wait::until("openvpn is gone", Duration::from_secs(3), || {
                world.openvpn_pids().is_empty()
            });
            println!("openvpn was gone {took:?} after the container");
            wait::until("there is no session", Duration::from_secs(3), || {
                world.agent.sessions().is_empty()
            });
            // The server was told: nothing cools.
            let took = wait::until("the connection is free", Duration::from_secs(2), || {
                world.agent.live_connections() == 0
            });
            println!("and the connection free {took:?} later");
        }
    });
}
