//! Taking the seal off a container that its session left sealed, with a detach of its own.

use egress_core::api::{Code, NetnsRef, Problem, SessionState};

use crate::endings::REAP;
use crate::harness::container::Container;
use crate::harness::ending::Ending;
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;
use crate::harness::world::{World, request, session_id};
use crate::hostile_rules::nft;

fn tables(container: &Container) -> String {
    let output = container.namespace().command("nft").args(["list", "tables"]).output();
    String::from_utf8(output.expect("run nft").stdout).expect("nft speaks UTF-8")
}

fn is_sealed(container: &Container) -> bool {
    tables(container).contains("egress_agent")
}

/// The code of a refused release.
#[track_caller]
fn refused(world: &World<'_>, name: &str) -> Code {
    let reply = world.agent.ask("DELETE", &format!("/v1/sessions/{name}?release=true"), "");
    assert_ne!(reply.status, 200, "{}", reply.body);
    reply.json::<Problem>().code
}

fn left_sealed(world: &World<'_>, name: fn(&Container) -> NetnsRef) -> Container {
    let container = Container::with_process("c-1");
    world.agent.attach(&request("c-1", name(&container), 0)).unwrap();
    world.agent.detach(&session_id("c-1"), false);
    assert!(is_sealed(&container));
    container
}

#[test]
fn a_second_detach_takes_the_seal_off_that_the_first_one_left() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        for name in [Container::by_path, Container::by_pid] {
            let container = left_sealed(&world, name);
            let released = world.agent.detach(&session_id("c-1"), true);
            assert_eq!(released.state, SessionState::Closed);
            assert_eq!(tables(&container), "");
            // Once more is no error, and nothing that somebody has put there since is touched.
            nft(container.namespace(), "add table inet egress_agent");
            world.agent.detach(&session_id("c-1"), true);
            assert!(is_sealed(&container));
            container.destroy();
        }
    });
}

#[test]
fn a_container_that_was_left_sealed_is_released_also_after_the_agent_was_killed() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let container = left_sealed(&world, Container::by_path);
        world.agent.kill_control();
        world.agent.start_again();
        assert!(is_sealed(&container) && world.agent.sessions().is_empty());
        let output = host_command(env!("CARGO_BIN_EXE_egressctl"))
            .args(["detach", "c-1", "--release"])
            .output()
            .expect("run egressctl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(tables(&container), "");
        // It is not sealed once more by what was kept of it.
        world.agent.kill_control();
        world.agent.start_again();
        assert_eq!(tables(&container), "");
    });
}

#[test]
fn a_container_that_another_session_has_by_now_is_not_released_by_the_name_of_the_former() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let container = left_sealed(&world, Container::by_path);
        world.agent.attach(&request("c-2", container.by_path(), 0)).unwrap();
        assert_eq!(refused(&world, "c-1"), Code::NetnsInUse);
        assert!(is_sealed(&container));
        world.agent.detach(&session_id("c-2"), false);
        // It is the other's to release.
        assert_eq!(refused(&world, "c-1"), Code::NoSuchSession);
        assert!(is_sealed(&container));
        world.agent.detach(&session_id("c-2"), true);
        assert_eq!(tables(&container), "");
    });
}

#[test]
fn each_container_that_sessions_of_one_name_left_is_released() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let first = left_sealed(&world, Container::by_path);
        let second = Container::with_process("c-2");
        world.agent.attach(&request("c-1", second.by_path(), 0)).unwrap();
        world.agent.detach(&session_id("c-1"), true);
        // A detach of a session is about its own container.
        assert!(is_sealed(&first) && !is_sealed(&second));
        world.agent.detach(&session_id("c-1"), true);
        assert!(!is_sealed(&first));
    });
}

#[test]
fn a_container_that_has_ended_is_kept_alive_by_nothing_and_not_found() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let container = left_sealed(&world, Container::by_path);
        let ending = Ending::of([&container]);
        container.destroy();
        ending.wait(REAP);
        assert_eq!(refused(&world, "c-1"), Code::NetnsGone);
        assert_eq!(refused(&world, "never"), Code::NoSuchSession);
    });
}
