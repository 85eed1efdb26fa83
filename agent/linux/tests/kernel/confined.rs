//! Programs that may do next to nothing.

use std::{
    fs::File,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, process::ExitStatusExt},
    },
    process::ExitStatus,
    thread,
    time::Duration,
};

use egress_linux::{
    confined::{Answered, Program, spawn},
    memfd,
};

const UID: u32 = 1_900_000_007;

/// What a program writes, and how it ends.
fn outcome(path: &str, arguments: &[&str], input: &[u8]) -> (String, ExitStatus) {
    let (mut read, write) = std::io::pipe().unwrap();
    let program = Program {
        path: path.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        uid: UID,
        input: memfd::sealed("input", input).unwrap(),
        output: write.into(),
        device: OwnedFd::from(File::open("/dev/null").unwrap()),
    };
    let (mut child, listener) = spawn(program).unwrap();
    let answering = thread::spawn(move || {
        while listener.answer().unwrap() != Answered::Gone {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let mut said = String::new();
    read.read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    answering.join().unwrap();
    (said, status)
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim()
}

#[test]
fn it_is_nobody_and_has_nothing() {
    let (said, status) = outcome("/usr/bin/cat", &["/proc/self/status"], b"");
    assert!(status.success(), "{said}");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(&said, set), "0000000000000000", "{set}");
    }
    let uid = UID.to_string();
    for ids in ["Uid:", "Gid:"] {
        assert!(field(&said, ids).split('\t').all(|id| id == uid), "{said}");
    }
    assert_eq!((field(&said, "Groups:"), field(&said, "NoNewPrivs:")), ("", "1"));
    assert_eq!(field(&said, "Seccomp:"), "2");
    let (said, _) = outcome("/usr/bin/cat", &["/proc/self/environ"], b"");
    assert_eq!(said, "");
}

#[test]
fn it_reads_what_it_was_given_and_nobody_changes_that() {
    let (said, status) = outcome("/usr/bin/cat", &["/proc/self/fd/0"], b"given");
    assert!(status.success());
    assert_eq!(said, "given");
    let fd = memfd::sealed("x", b"given").unwrap();
    assert!(rustix::io::write(&fd, b"more").is_err());
}

#[test]
fn it_writes_no_file_starts_no_program_and_enters_no_namespace() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = dir.path().join("file");
    let argument = format!("of={}", path.display());
    let (said, status) = outcome("/usr/bin/dd", &["if=/proc/self/fd/0", &argument], b"x");
    assert!(!status.success() && said.contains("Permission denied"), "{said}");
    assert!(!path.exists());
    let (said, status) = outcome("/usr/bin/env", &["/usr/bin/true"], b"");
    assert!(!status.success() && said.contains("Operation not permitted"), "{said}");
    let (_, status) = outcome("/usr/bin/unshare", &["--net", "true"], b"");
    assert_eq!(status.signal(), Some(libc::SIGSYS));
}

#[test]
fn it_may_have_few_files_however_many_its_parent_has() {
    let null = File::open("/dev/null").unwrap();
    let _many: Vec<_> = (0..300).map(|_| null.try_clone().unwrap()).collect();
    let (said, status) = outcome("/usr/bin/cat", &["/proc/self/limits"], b"");
    assert!(status.success(), "{said}");
    let limit = field(&said, "Max open files").split_whitespace();
    assert_eq!(limit.take(2).collect::<Vec<_>>(), ["64", "64"]);
    let (said, status) = outcome("/usr/bin/ls", &["/proc/self/fd"], b"");
    assert!(status.success(), "{said}");
    assert_eq!(said.lines().count(), 4, "its standard files, and the directory: {said}");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let program = Program {
        path: "/nowhere/program".into(),
        arguments: Vec::new(),
        uid: UID,
        input: memfd::sealed("input", b"").unwrap(),
        output: OwnedFd::from(File::open("/dev/null").unwrap()),
        device: OwnedFd::from(File::open("/dev/null").unwrap()),
    };
    assert_eq!(spawn(program).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}
