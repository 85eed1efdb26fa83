//! Many datagrams a system call.

use std::{io, net::UdpSocket, os::fd::OwnedFd, time::Duration};

use egress_linux::{
    udp::{Options, connected},
    udp_batch::{Batch, Message, SEND_MAX, enable_gro, receive, send},
};
use rustix::net::getsockname;

use crate::{
    host::{on_a_host, readable},
    udp::network,
};

const OPTIONS: Options = Options { mark: None, buffer: 1 << 20 };

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket
}

/// Two sockets that are connected to each other.
fn pair() -> (OwnedFd, OwnedFd) {
    let placeholder = peer();
    let near = connected(placeholder.local_addr().unwrap(), &OPTIONS).unwrap();
    let port = std::net::SocketAddr::try_from(getsockname(&near).unwrap()).unwrap().port();
    let far = connected(([127, 0, 0, 1], port).into(), &OPTIONS).unwrap();
    let address = getsockname(&far).unwrap().try_into().unwrap();
    egress_linux::udp::reconnect(&near, address).unwrap();
    (near, far)
}

fn numbered(count: usize, len: usize) -> Vec<u8> {
    (0..count).flat_map(|number| vec![number.to_le_bytes()[0]; len]).collect()
}

fn hear_all(socket: &OwnedFd, batch: &mut Batch) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    while readable(socket, Duration::from_millis(100)) {
        receive(socket, batch).unwrap();
        heard.extend(batch.datagrams().map(<[u8]>::to_vec));
    }
    heard
}

#[test]
fn segments_arrive_as_datagrams_of_that_length_and_a_shorter_last_one() {
    on_a_host(|| {
        let _network = network();
        let (near, far) = pair();
        let bytes = numbered(5, 100);
        let wanted: Vec<_> = bytes[..450].chunks(100).map(<[u8]>::to_vec).collect();
        let mut batch = Batch::new();
        for gro in [false, true] {
            if gro {
                enable_gro(&far).unwrap();
            }
            let message = Message { bytes: &bytes[..450], segment: Some(100) };
            assert_eq!(send(&near, [message]).unwrap(), 1);
            assert_eq!(hear_all(&far, &mut batch), wanted, "gro: {gro}");
        }
    });
}

#[test]
fn with_gro_the_segments_come_in_one_call() {
    on_a_host(|| {
        let _network = network();
        let (near, far) = pair();
        enable_gro(&far).unwrap();
        let bytes = numbered(40, 1000);
        send(&near, [Message { bytes: &bytes, segment: Some(1000) }]).unwrap();
        let mut batch = Batch::new();
        assert!(readable(&far, Duration::from_secs(1)));
        receive(&far, &mut batch).unwrap();
        assert_eq!(batch.datagrams().count(), 40);
        assert!(!batch.is_full());
    });
}

#[test]
fn messages_arrive_in_order_and_beyond_the_limit_wait_for_the_next_call() {
    on_a_host(|| {
        let _network = network();
        let (near, far) = pair();
        let bytes = numbered(SEND_MAX + 6, 10);
        let message = |bytes| Message { bytes, segment: None };
        let sent = send(&near, bytes.chunks(10).map(message)).unwrap();
        assert_eq!(sent, SEND_MAX);
        assert_eq!(send(&near, bytes.chunks(10).skip(sent).map(message)).unwrap(), 6);
        let heard = hear_all(&far, &mut Batch::new());
        assert_eq!(heard.concat(), bytes);
        assert_eq!(heard.len(), SEND_MAX + 6);
    });
}

#[test]
fn nothing_to_receive_would_block_and_leaves_the_batch_empty() {
    on_a_host(|| {
        let _network = network();
        let (near, far) = pair();
        let mut batch = Batch::new();
        send(&near, [Message { bytes: b"once", segment: None }]).unwrap();
        assert_eq!(hear_all(&far, &mut batch), [b"once"]);
        let error = receive(&far, &mut batch).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(batch.datagrams().count(), 0);
    });
}

#[test]
fn more_segments_than_the_kernel_takes_are_refused() {
    on_a_host(|| {
        let _network = network();
        let placeholder = peer();
        let near = connected(placeholder.local_addr().unwrap(), &OPTIONS).unwrap();
        let bytes = vec![0; 65_000];
        let message = Message { bytes: &bytes, segment: Some(100) };
        let error = send(&near, [message]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(22));
    });
}
