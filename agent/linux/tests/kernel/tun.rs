//! Making and moving devices.

use std::{net::UdpSocket, process::Command, time::Duration};

use egress_linux::{
    link::{Interface, configure, links},
    netns::Netns,
    tun::{self, Offload, TunError, Uncut},
};
use rustix::io::Errno;

use crate::host::{netns, on_a_host, readable};

fn names() -> Vec<String> {
    links().unwrap().into_iter().map(|link| link.name).collect()
}

fn interface() -> Interface {
    Interface {
        addresses: vec!["10.9.0.2/32".parse().unwrap()],
        mtu: 1420,
        routes: vec!["0.0.0.0/0".parse().unwrap()],
    }
}

#[test]
fn a_new_device_is_down_does_not_block_and_goes_with_its_fd() {
    on_a_host(|| {
        let device = tun::create("egt%d", 1380, Offload::Off).unwrap();
        let link = links().unwrap().into_iter().find(|link| link.index == device.index).unwrap();
        assert_eq!((link.name.as_str(), link.kind.as_str(), link.up), ("egt0", "tun", false));
        assert_eq!(device.name, "egt0");
        let flags = rustix::fs::fcntl_getfl(&device.fd).unwrap();
        assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
        drop(device);
        assert_eq!(names(), ["lo"]);
    });
}

#[test]
fn a_device_is_taken_away_by_its_name_whoever_has_it_open_and_no_other_kind_is() {
    on_a_host(|| {
        let device = tun::create("egt0", 1420, Offload::Off).unwrap();
        tun::remove("egt0").unwrap();
        assert_eq!(names(), ["lo"]);
        assert_eq!(rustix::io::read(&device.fd, &mut [0; 64]), Err(Errno::BADFD));
        for name in ["egt0", "lo"] {
            tun::remove(name).unwrap();
        }
        // The name is free while the former device is still held.
        let another = tun::create("egt0", 1420, Offload::Off).unwrap();
        assert_eq!(names(), ["lo", "egt0"]);
        drop((device, another));
        assert_eq!(names(), ["lo"]);
    });
}

#[test]
fn a_device_arrives_under_its_new_name() {
    on_a_host(|| {
        let container = netns();
        let device = tun::create("egt%d", 1420, Offload::Off).unwrap();
        tun::move_into(device.index, &container, "eg0").unwrap();
        assert_eq!(names(), ["lo"]);
        assert_eq!(container.run(names).unwrap(), ["lo", "eg0"]);
    });
}

#[test]
fn the_namespace_that_a_device_is_in_is_found_by_its_fd() {
    on_a_host(|| {
        let container = netns();
        let device = tun::create("egt%d", 1420, Offload::Off).unwrap();
        tun::move_into(device.index, &container, "eg0").unwrap();
        let found = Netns::of_device(&device.fd).unwrap();
        assert_eq!(found.cookie(), container.cookie());
        drop((found, container));
        assert!(readable(&device.fd, Duration::from_secs(1)), "it is kept alive");
    });
}

#[test]
fn a_name_that_is_taken_inside_is_refused_and_closing_the_fd_leaves_nothing() {
    on_a_host(|| {
        let container = netns();
        let first = tun::create("a", 1420, Offload::Off).unwrap();
        let second = tun::create("b", 1420, Offload::Off).unwrap();
        tun::move_into(first.index, &container, "eg0").unwrap();
        let refused = tun::move_into(second.index, &container, "eg0");
        assert!(matches!(refused, Err(TunError::Move { index, .. }) if index == second.index));
        drop(second);
        assert_eq!(names(), ["lo"]);
        assert_eq!(container.run(names).unwrap(), ["lo", "eg0"]);
    });
}

#[test]
fn a_device_of_somebodys_is_not_taken_for_a_new_one() {
    on_a_host(|| {
        for kind in ["tuntap add eg0 mode tun", "link add eg0 type veth peer name eg1"] {
            let ip = |args: &str| Command::new("ip").args(args.split(' ')).status().unwrap();
            assert!(ip(kind).success());
            let Err(TunError::Create { name, source }) = tun::create("eg0", 1420, Offload::Off)
            else {
                panic!("{kind}: taken")
            };
            assert_eq!(name, "eg0");
            let taken = [Errno::BUSY, Errno::EXIST, Errno::INVAL].map(Errno::raw_os_error);
            assert!(taken.map(Some).contains(&source.raw_os_error()), "{kind}: {source}");
            assert!(ip("link del eg0").success());
        }
    });
}

#[test]
fn a_device_is_known_by_its_fd_whatever_it_is_called_and_only_where_it_is() {
    on_a_host(|| {
        let container = netns();
        let device = tun::create("egt%d", 1420, Offload::Off).unwrap();
        assert_eq!(tun::index(&device.fd).unwrap(), device.index);
        tun::move_into(device.index, &container, "eg0").unwrap();
        let elsewhere = tun::index(&device.fd).unwrap_err();
        assert_eq!(elsewhere.kind(), std::io::ErrorKind::NotFound);
        let swap = || {
            let ip = |args: &str| Command::new("ip").args(args.split(' ')).status().unwrap();
            let index = tun::index(&device.fd).unwrap();
            assert!(ip("link set eg0 name mine").success());
            assert!(ip("link add eg0 type veth peer name eg1").success());
            assert_eq!(tun::index(&device.fd).unwrap(), index);
            links().unwrap().into_iter().find(|link| link.index == index).unwrap().name
        };
        assert_eq!(container.run(swap).unwrap(), "mine");
    });
}

#[test]
fn what_the_container_sends_comes_out_as_one_plain_packet_and_without_it_nothing() {
    on_a_host(|| {
        let container = netns();
        let device = tun::create("a", 1420, Offload::Off).unwrap();
        tun::move_into(device.index, &container, "eg0").unwrap();
        let send = || {
            configure(tun::index(&device.fd).unwrap(), &interface()).unwrap();
            assert_eq!(rustix::io::read(&device.fd, &mut [0; 2048]), Err(Errno::AGAIN));
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(b"canary", "192.0.2.1:7").unwrap();
        };
        container.run(send).unwrap();
        let mut packet = [0; 2048];
        let length = rustix::io::read(&device.fd, &mut packet).unwrap();
        assert_eq!((packet[0], length), (0x45, 20 + 8 + 6));
        assert_eq!(packet[12..20], [10, 9, 0, 2, 192, 0, 2, 1]);
        assert_eq!(&packet[28..34], b"canary");
    });
}

#[test]
fn with_offload_there_is_a_header_before_the_packet() {
    on_a_host(|| {
        let device = tun::create("eg0", 1420, Offload::VnetHeader { segments: 16 }).unwrap();
        assert_ne!(device.uncut, Uncut::Nothing);
        let shown = Command::new("ip").args(["-details", "link", "show", "eg0"]).output().unwrap();
        assert!(String::from_utf8(shown.stdout).unwrap().contains("gso_max_segs 16 "));
        configure(device.index, &interface()).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"canary", "192.0.2.1:7").unwrap();
        assert!(readable(&device.fd, Duration::from_secs(1)));
        let mut packet = [0; 2048];
        let length = rustix::io::read(&device.fd, &mut packet).unwrap();
        assert_eq!((packet[10], length), (0x45, 10 + 20 + 8 + 6));
    });
}
