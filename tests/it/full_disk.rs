//! A store whose disk is full: what ends then has ended.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use egress_core::api::{Code, SessionState};

use crate::harness::agent::{Agent, RUN_DIR, STATE_DIR};
use crate::harness::container::Container;
use crate::harness::lab::{Lab, in_lab};
use crate::harness::namespace::host_ip;
use crate::harness::probe::ping;
use crate::harness::small_disk::SmallDisk;
use crate::harness::wait;
use crate::harness::world::{World, request, session_id};

const SOON: Duration = Duration::from_secs(20);
/// The far end of an engine's own network.
const ENGINE: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);

fn world(lab: &Lab) -> (World<'_>, SmallDisk) {
    let disk = SmallDisk::mount(STATE_DIR);
    (World::new(lab, 1), disk)
}

fn tables(container: &Container) -> String {
    let output = container.namespace().command("nft").args(["list", "tables"]).output();
    String::from_utf8(output.expect("run nft").stdout).expect("nft speaks UTF-8")
}

/// Connects a container as an engine does, beside the agent.
fn connect_by_engine(container: &Container) {
    let name = container.namespace().name();
    host_ip(&format!(
        "link add engine type veth peer name eth0 netns {name}
         addr add {ENGINE}/24 dev engine
         link set engine up
        "
    ));
    container.namespace().ip("addr add 172.17.0.2/24 dev eth0\nlink set eth0 up\n");
    assert!(reaches_engine(container), "the engine's network does not work");
}

fn reaches_engine(container: &Container) -> bool {
    container.run(|| ping(ENGINE.into(), Duration::from_secs(2))).is_ok()
}

#[test]
fn a_detach_says_what_a_full_disk_did_not_take_and_it_is_written_once_there_is_room() {
    in_lab(|lab| {
        let (world, disk) = world(lab);
        let (container, _) = world.attached("c-1");
        disk.fill();
        let ended = world.agent.detach(&session_id("c-1"), false);
        assert_eq!(ended.state, SessionState::Closed);
        let unwritten = ended.unwritten.expect("it says nothing of the full disk");
        assert!(unwritten.contains("lease and row"), "{unwritten}");
        assert_eq!(container.devices(), ["lo"]);
        assert!(world.agent.session(&session_id("c-1")).is_none());
        assert_eq!(world.agent.live_connections(), 1, "its lease counts until it is given back");
        let second = Container::with_process("c-2");
        let problem = world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap_err();
        assert!([Code::KeyInUse, Code::StoreUnavailable].contains(&problem.code), "{problem:?}");

        disk.make_room();
        wait::until("the lease is given back", SOON, || world.agent.live_connections() == 0);
        world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap();
        // The same id and the same container again.
        world.agent.detach(&session_id("c-2"), false);
        world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        container.wait_for_traffic(SOON);
    });
}

#[test]
fn a_session_that_ended_on_a_full_disk_is_not_brought_back_by_a_restart() {
    in_lab(|lab| {
        let (mut world, disk) = world(lab);
        let (container, _) = world.attached("c-1");
        disk.fill();
        assert!(world.agent.detach(&session_id("c-1"), false).unwritten.is_some());
        world.agent.kill_control();
        disk.make_room();
        world.agent.start_again();
        assert!(world.agent.session(&session_id("c-1")).is_none(), "it is back");
        assert_eq!(world.agent.live_connections(), 0);
        assert_eq!(container.devices(), ["lo"]);
        assert!(tables(&container).contains("egress_agent"), "it was detached, not released");
        world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
    });
}

/// The session of a container that was released is over, and its engine's network works.
#[track_caller]
fn assert_left_alone(agent: &Agent<'_>, container: &Container) {
    assert!(agent.session(&session_id("c-1")).is_none(), "it is back");
    assert_eq!(tables(container), "");
    assert!(reaches_engine(container), "its own network is cut off");
    assert_eq!(agent.live_connections(), 0);
}

#[test]
fn a_container_that_was_released_on_a_full_disk_keeps_the_network_that_its_engine_gave_it() {
    in_lab(|lab| {
        let (mut world, disk) = world(lab);
        let (container, _) = world.attached("c-1");
        disk.fill();
        assert!(world.agent.detach(&session_id("c-1"), true).unwritten.is_some());
        connect_by_engine(&container);
        world.agent.kill_control();
        disk.make_room();
        world.agent.start_again();
        assert_left_alone(&world.agent, &container);
    });
}

#[test]
fn a_released_container_with_a_network_is_left_alone_also_when_nothing_tells_of_its_end() {
    in_lab(|lab| {
        let (mut world, disk) = world(lab);
        let (container, _) = world.attached("c-1");
        disk.fill();
        assert!(world.agent.detach(&session_id("c-1"), true).unwritten.is_some());
        connect_by_engine(&container);
        world.agent.kill_control();
        fs::remove_dir_all(Path::new(RUN_DIR).join("private/ended")).unwrap();
        disk.make_room();
        world.agent.start_again();
        assert_left_alone(&world.agent, &container);
    });
}

#[test]
fn a_session_that_was_blocked_on_a_full_disk_gives_its_lease_back_once_there_is_room() {
    in_lab(|lab| {
        let (mut world, disk) = world(lab);
        let (container, id) = (Container::with_process("c-1"), session_id("c-1"));
        world.gateway.set_connected(false);
        let mut asked = request("c-1", container.by_path(), 0);
        asked.deadline_ms = 4_000;
        thread::scope(|scope| {
            let attach = scope.spawn(|| world.agent.attach(&asked));
            wait::until("the lease is held", SOON, || world.agent.live_connections() == 1);
            disk.fill();
            let problem = attach.join().unwrap().expect_err("nobody answers");
            assert_eq!(problem.code, Code::HandshakeTimeout);
        });
        world.agent.wait_for_state(&id, SessionState::Blocked, SOON);
        assert_eq!(world.agent.live_connections(), 1);
        disk.make_room();
        wait::until("the lease is given back", SOON, || world.agent.live_connections() == 0);
        world.agent.kill_control();
        world.agent.start_again();
        let session = world.agent.session(&id).expect("it is listed");
        assert_eq!(session.state, SessionState::Blocked);
    });
}
