//! A container's end ends its session and leaves nothing that keeps its namespace alive, whichever
//! way it was named and wherever its tunnel's device was made.

use std::fs;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use egress_core::api::{NetnsRef, SessionState};
use nix::sys::signal::Signal;

use crate::harness::container::Container;
use crate::harness::ending::Ending;
use crate::harness::http;
use crate::harness::lab::in_lab;
use crate::harness::process::Process;
use crate::harness::wait;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::{World, request, session_id};

/// "After those namespaces are gone it is 0 within a second."
pub const REAP: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(10);
const CROWD: u16 = 100;

type Name = fn(&Container) -> NetnsRef;

fn free(world: &World<'_>) {
    wait::until("the connection is free", REAP, || world.agent.live_connections() == 0);
}

fn still_connected(world: &World<'_>, container: &Container) {
    // Longer than a container's end takes to be noticed.
    sleep(REAP);
    let session = world.agent.session(&session_id("c-1")).expect("it goes on");
    assert_eq!(session.state, SessionState::Connected);
    container.wait_for_traffic(LIMIT);
}

fn nothing_of_an_ended_container_stays(device: &str, name: Name) {
    in_lab(|lab| {
        let config = format!("[wireguard]\ndevice = \"{device}\"\n");
        let world = World::with(lab, 1, Program::WireguardGo, &config);
        for round in 0..3 {
            let container = Container::with_process("c-1");
            let ending = Ending::of([&container]);
            world.agent.attach(&request(&format!("s-{round}"), name(&container), 0)).unwrap();
            container.destroy();
            free(&world);
            ending.wait(REAP);
        }
    });
}

#[test]
fn nothing_of_an_ended_container_stays_whose_device_was_made_inside() {
    nothing_of_an_ended_container_stays("inside", Container::by_pid);
    nothing_of_an_ended_container_stays("inside", Container::by_path);
}

#[test]
fn nothing_of_an_ended_container_stays_whose_device_was_moved() {
    nothing_of_an_ended_container_stays("moved", Container::by_pid);
    nothing_of_an_ended_container_stays("moved", Container::by_path);
}

#[test]
fn a_container_named_by_a_process_goes_on_until_its_last_one_ends() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let mut container = Container::with_process("c-1");
        let mut others: Vec<_> = (0..2)
            .map(|_| Process::start(container.namespace().command("sleep").arg("infinity")))
            .collect();
        for other in &others {
            wait::until("it is inside", LIMIT, || container.is_home_of(other));
        }
        world.agent.attach(&request("c-1", container.by_pid(), 0)).unwrap();
        container.end_process();
        still_connected(&world, &container);
        others.pop().unwrap().kill();
        still_connected(&world, &container);
        others.pop().unwrap().kill();
        // Its name keeps the namespace alive, and is not what the session was attached to.
        free(&world);
        assert_eq!(container.devices(), ["lo"]);
        let ending = Ending::of([&container]);
        container.destroy();
        ending.wait(REAP);
    });
}

#[test]
fn a_container_named_by_path_goes_on_without_its_name_or_without_processes() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (mut container, _) = world.attached("c-1");
        container.end_process();
        still_connected(&world, &container);
        let mut process = Process::start(container.namespace().command("sleep").arg("infinity"));
        wait::until("it is inside", LIMIT, || container.is_home_of(&process));
        let ending = Ending::of([&container]);
        container.namespace().remove();
        sleep(REAP);
        let session = world.agent.session(&session_id("c-1")).expect("it goes on");
        assert_eq!(session.state, SessionState::Connected);
        process.kill();
        free(&world);
        ending.wait(REAP);
    });
}

#[test]
fn a_hundred_containers_that_end_at_once_are_free_soon_and_gone() {
    in_lab(|lab| {
        let world = World::new(lab, CROWD);
        let containers: Vec<_> =
            (0..CROWD).map(|n| Container::with_process(&format!("c-{n}"))).collect();
        for (number, container) in containers.iter().enumerate() {
            let name: Name = [Container::by_pid, Container::by_path][number % 2];
            world.agent.attach(&request(&format!("s-{number}"), name(container), 0)).unwrap();
        }
        let ending = Ending::of(&containers);
        assert_eq!(world.agent.live_connections(), u32::from(CROWD));
        containers.into_iter().for_each(Container::destroy);
        let ended = Instant::now();
        wait::until("all are free", LIMIT, || world.agent.live_connections() == 0);
        println!("{CROWD} connections were free {:?} after the last end", ended.elapsed());
        ending.wait(LIMIT);
        println!("{CROWD} namespaces were gone {:?} after the last end", ended.elapsed());
        world.agent.wait_until_idle();
    });
}

#[test]
fn a_container_that_ended_while_control_was_dead_is_gone_after_its_start() {
    in_lab(|lab| {
        let mut world = World::new(lab, 2);
        for name in [Container::by_pid, Container::by_path] as [Name; 2] {
            let (ended, goes_on) = (Container::with_process("c-1"), Container::with_process("c-2"));
            world.agent.attach(&request("s-1", name(&ended), 0)).unwrap();
            world.agent.attach(&request("s-2", name(&goes_on), 0)).unwrap();
            let ending = Ending::of([&ended]);
            world.agent.kill_control();
            ended.destroy();
            world.agent.start_again();
            wait::until("one is free", REAP, || world.agent.live_connections() == 1);
            ending.wait(REAP);
            goes_on.wait_for_traffic(LIMIT);
            // What was taken up again is watched again.
            let ending = Ending::of([&goes_on]);
            goes_on.destroy();
            free(&world);
            ending.wait(REAP);
        }
    });
}

/// All are attached at once; of four one is detached and stays sealed, two are released, and one
/// ends as it is.
fn come_and_go(world: &World<'_>, containers: Vec<Container>) {
    // The agent may be killed at any moment.
    let ask =
        |method, path: &str, body: &str| drop(http::ask(world.agent.socket(), method, path, body));
    thread::scope(|scope| {
        for (number, container) in containers.into_iter().enumerate() {
            scope.spawn(move || {
                let name: Name = [Container::by_pid, Container::by_path][number % 2];
                let id = format!("s-{number}");
                let asked = serde_json::to_string(&request(&id, name(&container), 0)).unwrap();
                ask("POST", "/v1/sessions", &asked);
                if number % 4 > 0 {
                    let release = number % 4 > 1;
                    ask("DELETE", &format!("/v1/sessions/{id}?release={release}"), "");
                }
                container.destroy();
            });
        }
    });
}

fn crowd() -> (Vec<Container>, Ending) {
    let containers: Vec<_> =
        (0..CROWD).map(|n| Container::with_process(&format!("c-{n}"))).collect();
    let ending = Ending::of(&containers);
    (containers, ending)
}

#[test]
fn crowds_that_come_and_go_leave_nothing_open_and_no_namespace_alive() {
    in_lab(|lab| {
        let world = World::new(lab, CROWD);
        let files = || fs::read_dir(format!("/proc/{}/fd", world.agent.pid())).unwrap().count();
        let mut before = None;
        for _ in 0..3 {
            let (containers, ending) = crowd();
            come_and_go(&world, containers);
            wait::until("all are free", LIMIT, || world.agent.live_connections() == 0);
            ending.wait(LIMIT);
            let before = *before.get_or_insert_with(files);
            wait::until("no more is open than before", LIMIT, || files() <= before);
        }
    });
}

#[test]
fn a_crowd_that_comes_and_goes_while_control_is_killed_leaves_no_namespace_alive() {
    in_lab(|lab| {
        let mut world = World::new(lab, CROWD);
        for _ in 0..2 {
            let (containers, ending) = crowd();
            thread::scope(|scope| {
                let crowd = scope.spawn(|| come_and_go(&world, containers));
                let some = || world.agent.devices_of_dataplane() > 4 || crowd.is_finished();
                wait::until("some are attached", LIMIT, some);
                world.agent.signal(Signal::SIGKILL);
            });
            world.agent.kill_control();
            world.agent.start_again();
            wait::until("all are free", LIMIT, || world.agent.live_connections() == 0);
            ending.wait(LIMIT);
        }
    });
}
