//! Privileges and children.

use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
    thread,
};

use egress_linux::{
    netns::Netns,
    process::{PidFd, drop_capabilities_except, harden_self, raise_nofile_limit, spawn_as},
};
use rustix::{
    process::{DumpableBehavior, Resource, Signal, dumpable_behavior, getrlimit},
    thread::CapabilitySet,
};

fn said_as(uid: u32, script: &str) -> String {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn_as(command, uid, uid).unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    said.trim().to_owned()
}

#[test]
fn a_child_is_another_user_in_one_group_without_capabilities() {
    assert_eq!(said_as(2002, "id -u; id -G").lines().collect::<Vec<_>>(), ["2002", "2002"]);
    let status = said_as(2002, "grep -E '^(CapPrm|CapEff|NoNewPrivs|Groups)' /proc/self/status");
    let words: Vec<&str> = status.split_whitespace().collect();
    let none = "0000000000000000";
    assert_eq!(words, ["Groups:", "CapPrm:", none, "CapEff:", none, "NoNewPrivs:", "1"]);
}

#[test]
fn a_child_gets_none_of_our_files() {
    let leaky = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    // The last is the directory that ls reads.
    assert_eq!(said_as(2002, "ls /proc/self/fd").lines().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn a_child_is_not_reached_by_signals_to_our_group() {
    let group = said_as(2002, "echo $$; cut -d' ' -f5 /proc/$$/stat");
    let [pid, group] = group.lines().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(pid, group);
}

#[test]
fn a_process_is_signalled_by_its_fd_and_known_to_be_dead() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let process = PidFd::open(child.id()).unwrap();
    assert!(process.alive());
    process.send_signal(Signal::KILL).unwrap();
    child.wait().unwrap();
    assert!(!process.alive());
    assert!(process.send_signal(Signal::KILL).is_err());
    assert!(process.process_uid().is_err());
}

#[test]
fn a_hardened_process_leaves_no_core() {
    harden_self().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
}

#[test]
fn a_thread_keeps_the_capabilities_that_it_names_and_no_other() {
    let has = thread::spawn(|| {
        drop_capabilities_except(CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN).unwrap();
        Netns::create().expect("this needs SYS_ADMIN");
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(2002))
            .expect_err("this needs SETUID");
        rustix::thread::capabilities(None).unwrap()
    });
    let kept = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
    let has = has.join().unwrap();
    assert_eq!((has.effective, has.permitted), (kept, kept));
    assert_eq!(has.inheritable, CapabilitySet::empty());
}

#[test]
fn the_limit_of_open_files_is_raised_to_what_is_allowed() {
    let limit = raise_nofile_limit().unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current, Some(limit));
}
