//! Packets and fds between processes.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    thread,
};

use egress_linux::seqpacket::{FDS_MAX, accept, bind, connect, listen, pair, recv, send};

#[test]
fn packets_stay_whole_and_the_end_is_told_apart() {
    let (left, right) = pair().unwrap();
    send(&left, b"one", &[]).unwrap();
    send(&left, &vec![7; 100_000], &[]).unwrap();
    drop(left);
    let mut buffer = vec![0; 128 * 1024];
    assert_eq!(recv(&right, &mut buffer).unwrap().unwrap().0, 3);
    assert_eq!(recv(&right, &mut buffer).unwrap().unwrap().0, 100_000);
    assert!(recv(&right, &mut buffer).unwrap().is_none());
}

#[test]
fn fds_come_beside_their_packet_in_order_and_are_closed_on_exec() {
    let (left, right) = pair().unwrap();
    let (mut out, into) = std::io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    send(&left, b"x", &[into.as_fd(), null.as_fd()]).unwrap();
    drop(into);
    let (_, fds) = recv(&right, &mut [0; 16]).unwrap().unwrap();
    for fd in &fds {
        let flags = rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    let [into, _null] = fds.try_into().unwrap();
    File::from(into).write_all(b"canary").unwrap();
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text, "canary");
}

#[test]
fn a_packet_longer_than_the_buffer_is_an_error_and_its_fds_are_closed() {
    let (left, right) = pair().unwrap();
    let (mut out, into) = std::io::pipe().unwrap();
    send(&left, b"too long", &[into.as_fd()]).unwrap();
    drop(into);
    assert_eq!(recv(&right, &mut [0; 3]).unwrap_err().kind(), ErrorKind::InvalidData);
    // Ends only when nobody has the other end any more.
    assert_eq!(out.read(&mut [0]).unwrap(), 0);
    send(&left, b"ok", &[]).unwrap();
    assert_eq!(recv(&right, &mut [0; 3]).unwrap().unwrap().0, 2);
}

#[test]
fn an_empty_packet_and_too_many_fds_are_refused() {
    let (left, _right) = pair().unwrap();
    let null = File::open("/dev/null").unwrap();
    assert_eq!(send(&left, b"", &[]).unwrap_err().kind(), ErrorKind::InvalidInput);
    let many = vec![null.as_fd(); FDS_MAX + 1];
    assert_eq!(send(&left, b"x", &many).unwrap_err().kind(), ErrorKind::InvalidInput);
    send(&left, b"x", &many[..FDS_MAX]).unwrap();
}

#[test]
fn a_non_blocking_socket_says_that_there_is_nothing() {
    let (_left, right) = pair().unwrap();
    rustix::io::ioctl_fionbio(&right, true).unwrap();
    assert_eq!(recv(&right, &mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn only_the_owner_may_connect_and_only_after_listen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    listen(&listener).unwrap();
    let client = thread::spawn(move || {
        let client = connect(&path).unwrap();
        send(&client, b"hello", &[]).unwrap();
    });
    let server = accept(&listener).unwrap();
    assert_eq!(recv(&server, &mut [0; 16]).unwrap().unwrap().0, 5);
    client.join().unwrap();
}

#[test]
fn a_socket_left_behind_is_replaced_and_another_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    drop(bind(&path).unwrap());
    let listener = bind(&path).unwrap();
    listen(&listener).unwrap();
    connect(&path).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert_eq!(bind(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}
