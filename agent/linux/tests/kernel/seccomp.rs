//! Processes that gave up system calls.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus},
    thread,
};

use egress_linux::seccomp::{Allowed, confine};
use rustix::process::Signal;

/// Runs one of the ignored tests below in a process of its own, since what it gives up is gone.
fn in_a_process(test: &str) -> ExitStatus {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--ignored", "--exact", test, "--test-threads=1"]);
    command.output().unwrap().status
}

fn killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::SYS.as_raw())
}

/// Every call but one of these numbers.
fn all_but(forbidden: &[i64]) -> Vec<Allowed> {
    (0..600).filter(|number| !forbidden.contains(number)).map(Allowed::always).collect()
}

#[test]
fn a_call_that_was_given_up_ends_the_process() {
    assert!(killed(in_a_process("seccomp::opens_a_file")));
}

#[test]
fn threads_that_run_already_give_it_up_too() {
    assert!(killed(in_a_process("seccomp::opens_a_file_in_an_older_thread")));
}

#[test]
fn a_call_is_possible_with_the_arguments_it_is_allowed_with() {
    assert!(in_a_process("seccomp::makes_an_ipv4_datagram_socket").success());
    assert!(killed(in_a_process("seccomp::makes_a_stream_socket")));
    assert!(killed(in_a_process("seccomp::makes_a_netlink_socket")));
}

#[test]
#[ignore = "ends its process"]
fn opens_a_file() {
    confine(&all_but(&[libc::SYS_openat])).unwrap();
    let _ = File::open("/dev/null");
}

#[test]
#[ignore = "ends its process"]
fn opens_a_file_in_an_older_thread() {
    let (tx, rx) = std::sync::mpsc::channel::<()>();
    let older = thread::spawn(move || {
        rx.recv().unwrap();
        let _ = File::open("/dev/null");
    });
    confine(&all_but(&[libc::SYS_openat])).unwrap();
    tx.send(()).unwrap();
    older.join().unwrap();
}

fn confine_to_ipv4_datagrams() {
    let mut allowed = all_but(&[libc::SYS_socket]);
    let socket = Allowed::always(libc::SYS_socket).with(0, libc::AF_INET.cast_unsigned());
    allowed.push(socket.with_bits(1, 0xf, libc::SOCK_DGRAM.cast_unsigned()));
    confine(&allowed).unwrap();
}

#[test]
#[ignore = "ends its process"]
fn makes_an_ipv4_datagram_socket() {
    confine_to_ipv4_datagrams();
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
}

#[test]
#[ignore = "ends its process"]
fn makes_a_stream_socket() {
    confine_to_ipv4_datagrams();
    let _ = std::net::TcpListener::bind("127.0.0.1:0");
}

#[test]
#[ignore = "ends its process"]
fn makes_a_netlink_socket() {
    confine_to_ipv4_datagrams();
    let _ = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Netlink,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::empty(),
        None,
    );
}
