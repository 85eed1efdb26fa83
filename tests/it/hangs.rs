//! Processes that live and do nothing: stopped by a signal, or waiting for what never comes.

use std::time::{Duration, Instant};

use egress_core::api::{AttachRequest, Code};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::container::Container;
use crate::harness::hang::Hang;
use crate::harness::lab::{Lab, SERVER_V4, in_lab};
use crate::harness::openvpn_world::OpenvpnWorld;
use crate::harness::process::limit_processes;
use crate::harness::traffic::Stream;
use crate::harness::wait;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::{World, request, session_id};

const LIMIT: Duration = Duration::from_secs(30);
/// How long a stopped data plane may go unnoticed, on a machine with too much to do.
const STOPPED: Duration = Duration::from_secs(5);
/// How long one that only hangs may.
const HUNG: Duration = Duration::from_secs(20);
/// How much later than its deadline an attach may be answered, on a machine with too much to do.
const OVERSTAY: Duration = Duration::from_secs(2);
/// What `/metrics` may take: less than Prometheus waits for.
const SCRAPE: Duration = Duration::from_secs(8);
/// `sessions.stop_s` of the default configuration, and what comes after it.
const STOP: Duration = Duration::from_secs(17);

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("signal a process of the lab");
}

fn dataplane(world: &World<'_>) -> i32 {
    world.agent.dataplane_pid().expect("a data plane runs")
}

/// Waits until another data plane runs, and the one before does not.
#[track_caller]
fn wait_for_another(world: &World<'_>, former: i32, limit: Duration) -> Duration {
    wait::until("another data plane runs", limit, || {
        // Of two that read one device each would get half of its packets.
        let all = world.agent.dataplane_pids();
        assert!(all.len() < 2, "two data planes at a time: {all:?}");
        all.first().is_some_and(|pid| *pid != former)
    })
}

/// Everything answers in time while the data plane does nothing, and traffic passes afterwards.
#[expect(clippy::print_stdout, reason = "the times are worth a look")]
fn go_on_while(world: &World<'_>, container: &Container, limit: Duration, held: i32) {
    let other = Container::with_process("c-2");
    let asked = AttachRequest { deadline_ms: 3_000, ..request("c-2", other.by_path(), 0) };
    let began = Instant::now();
    if let Err(problem) = world.agent.attach(&asked) {
        let codes = [Code::DataplaneUnavailable, Code::DeadlineExceeded, Code::HandshakeTimeout];
        assert!(codes.contains(&problem.code), "{problem:?}");
    }
    println!("an attach took {:?}", began.elapsed());
    let deadline = Duration::from_millis(asked.deadline_ms);
    assert!(began.elapsed() < deadline + OVERSTAY, "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(world.agent.metrics().contains("egress_sessions"));
    assert!(began.elapsed() < SCRAPE, "metrics: {:?}", began.elapsed());
    let took = wait_for_another(world, held, limit);
    println!("noticed after {took:?} at the most");
    container.wait_for_traffic(LIMIT);
    wait::until("the agent is ready", LIMIT, || world.agent.readiness().0 == 200);
    assert!(world.agent.counts("egress_dataplane_restarts_total", &[], 1));
}

#[test]
fn a_stopped_data_plane_is_replaced_at_once() {
    in_lab(|lab| {
        let mut world = World::new(lab, 2);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        let stopped = dataplane(&world);
        send(stopped, Signal::SIGSTOP);
        go_on_while(&world, &container, STOPPED, stopped);
        let echoes = stream.record().echoes;
        wait::until("the stream goes on", LIMIT, || stream.record().echoes > echoes + 10);
        let record = stream.finish();
        assert_eq!(record.broken, None);
        println!("the stop cost {:?}", record.longest_gap);
        world.agent.detach(&session_id("c-1"), false);
        assert!(world.agent.terminate(STOP).success());
    });
}

#[test]
fn a_data_plane_whose_main_thread_hangs_is_told_of_and_replaced() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let (container, _) = world.attached("c-1");
        let held = dataplane(&world);
        let hang = Hang::of(held, "egress-dataplan");
        wait::until("it is told", LIMIT, || {
            let (status, why) = world.agent.readiness();
            status == 503 && why.contains("data plane: it has not answered for")
        });
        go_on_while(&world, &container, HUNG, held);
        drop(hang);
    });
}

#[test]
fn a_data_plane_of_which_a_worker_hangs_is_replaced() {
    in_lab(|lab| {
        let world = World::with(lab, 2, Program::WireguardGo, "[dataplane]\nworkers = 1\n");
        let (container, _) = world.attached("c-1");
        let held = dataplane(&world);
        let hang = Hang::of(held, "worker-0");
        go_on_while(&world, &container, HUNG, held);
        drop(hang);
    });
}

#[test]
fn a_stopped_data_plane_goes_on_for_an_agent_that_starts() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        let stopped = dataplane(&world);
        world.agent.kill_control();
        send(stopped, Signal::SIGSTOP);
        world.agent.start_again();
        container.wait_for_traffic(LIMIT);
        assert_eq!(dataplane(&world), stopped);
        assert_eq!(stream.finish().broken, None);
    });
}

#[test]
fn a_data_plane_that_hangs_is_replaced_by_an_agent_that_starts() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let held = dataplane(&world);
        let hang = Hang::of(held, "egress-dataplan");
        world.agent.kill_control();
        world.agent.start_again();
        container.wait_for_traffic(LIMIT);
        let all = world.agent.dataplane_pids();
        assert!(all.len() == 1 && all[0] != held, "{held}, {all:?}");
        drop(hang);
    });
}

#[test]
fn traffic_flows_while_control_is_stopped_and_it_obeys_when_it_goes_on() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        let control = world.agent.pid();
        send(control, Signal::SIGSTOP);
        let before = stream.record().echoes;
        wait::until("the stream flows", LIMIT, || stream.record().echoes > before + 200);
        // What systemd does to stop a unit.
        send(control, Signal::SIGTERM);
        send(control, Signal::SIGCONT);
        assert!(world.agent.wait_for_end(STOP).success());
        world.agent.start_again();
        container.wait_for_traffic(LIMIT);
        let record = stream.finish();
        assert_eq!(record.broken, None);
        assert!(record.longest_gap < Duration::from_secs(1), "{record:?}");
    });
}

/// The agent is told to stop while something is wrong with its data plane.
#[expect(clippy::print_stdout, reason = "the time is worth a look")]
fn stop_beside(what: &str, harm: impl FnOnce(&World<'_>) -> Option<Hang> + Send) {
    in_lab(|lab: &Lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let hang = harm(&world);
        let began = Instant::now();
        assert!(world.agent.terminate(STOP).success());
        println!("{what}: stopped after {:?}", began.elapsed());
        drop(hang);
        world.agent.start_again();
        container.wait_for_traffic(LIMIT);
        assert_eq!(world.agent.live_connections(), 1);
    });
}

#[test]
fn the_agent_stops_in_time_beside_a_stopped_data_plane() {
    stop_beside("stopped", |world| {
        send(dataplane(world), Signal::SIGSTOP);
        None
    });
}

#[test]
fn the_agent_stops_in_time_beside_a_data_plane_that_hangs() {
    stop_beside("hanging", |world| Some(Hang::of(dataplane(world), "egress-dataplan")));
}

#[test]
fn the_agent_stops_in_time_without_a_data_plane() {
    stop_beside("dead", |world| {
        limit_processes(world.agent.pid(), "0");
        world.agent.kill_dataplane();
        wait::until("a start fails", LIMIT, || world.agent.log().contains("does not start"));
        None
    });
}

#[test]
fn the_agent_stops_in_time_beside_a_stopped_openvpn() {
    in_lab(|lab| {
        let mut world = OpenvpnWorld::new(lab);
        let _container = world.attached("c-1");
        send(world.openvpn_pids()[0], Signal::SIGSTOP);
        let began = Instant::now();
        assert!(world.agent.terminate(STOP).success());
        assert!(began.elapsed() < STOPPED, "{:?}", began.elapsed());
        wait::until("no openvpn is left", LIMIT, || world.openvpn_pids().is_empty());
        world.agent.start_again();
        assert_eq!(world.agent.live_connections(), 1);
    });
}
