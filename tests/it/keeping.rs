//! The store, looked after while the agent runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use egress_core::api::SessionState;

use crate::harness::agent::STATE_DIR;
use crate::harness::container::Container;
use crate::harness::lab::{SERVER_V4, in_lab};
use crate::harness::namespace::host_command;
use crate::harness::probe::who_am_i;
use crate::harness::wait;
use crate::harness::world::{World, request, session_id};

const LIMIT: Duration = Duration::from_secs(20);
const COPY: &str = "/run/copy.sqlite";

#[track_caller]
fn egressctl(arguments: &[&str]) -> String {
    let output = host_command(env!("CARGO_BIN_EXE_egressctl")).args(arguments).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "egressctl {}: {said}", arguments.join(" "));
    said
}

/// The steps of the README.
fn restore() {
    let store = Path::new(STATE_DIR).join("store.sqlite");
    let _ = fs::remove_file(Path::new(STATE_DIR).join("store.sqlite-wal"));
    fs::copy(COPY, &store).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_restored_copy_goes_on_with_its_sessions_and_seals_those_it_does_not_know() {
    in_lab(|lab| {
        let mut world = World::new(lab, 2);
        let (known, before) = world.attached("known");
        let said = egressctl(&["store", "backup", COPY]);
        assert!(said.contains(COPY) && said.contains("key"), "{said}");
        assert_eq!(fs::metadata(COPY).unwrap().permissions().mode() & 0o777, 0o600);
        let key = world.clients[0].keys.private.as_bytes();
        let copy = fs::read(COPY).unwrap();
        assert!(!copy.windows(key.len()).any(|bytes| bytes == key), "a key lies in it in clear");

        let (unknown, _) = world.attached("unknown");
        world.agent.kill_control();
        restore();
        world.agent.start_again();
        let after = world.agent.session(&session_id("known")).expect("it is in the copy");
        assert_eq!(after.state, SessionState::Connected);
        assert_eq!(after.credential_id, before.credential_id);
        known.wait_for_traffic(LIMIT);
        assert!(world.agent.session(&session_id("unknown")).is_none());
        wait::until("who has no session has no way out", LIMIT, || {
            unknown.run(|| who_am_i(SERVER_V4.into(), Duration::from_secs(1))).is_err()
        });
        assert_eq!(world.agent.live_connections(), 1);

        let other = Container::with_process("other");
        world.agent.attach(&request("other", other.by_path(), 0)).expect("its key is free");
        other.wait_for_traffic(LIMIT);
        assert_eq!(world.agent.live_connections(), 2);
    });
}

#[test]
fn another_master_key_costs_no_session_and_opens_the_store_from_then_on() {
    in_lab(|lab| {
        let mut world = World::new(lab, 2);
        let (container, _) = world.attached("stays");
        let key_path = Path::new(STATE_DIR).join("store.key");
        let former = fs::read(&key_path).unwrap();
        let said = egressctl(&["store", "rotate-key"]);
        assert!(said.contains("master key"), "{said}");
        assert_ne!(fs::read(&key_path).unwrap(), former);
        assert_eq!(fs::metadata(&key_path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(world.agent.log().contains("rotate_key"), "it is not in the audit log");
        world.agent.kill_control();
        world.agent.start_again();
        container.wait_for_traffic(LIMIT);
        world.attached("after");
        assert_eq!(world.agent.live_connections(), 2);
    });
}
