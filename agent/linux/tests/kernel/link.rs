//! Links, addresses, routes.

use std::{
    fs,
    net::{TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use egress_linux::{
    link::{self, Changes, Interface, LinkError, RouteError, addresses, links},
    tun::{self, Device, Offload},
};
use ipnet::IpNet;
use rustix::io::Errno;

use crate::host::{on_a_host, readable};

fn nets(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

fn device() -> Device {
    tun::create("eg0", 1500, Offload::Off).unwrap()
}

fn interface(addresses: &[&str], routes: &[&str]) -> Interface {
    let (addresses, routes) = (nets(addresses), nets(routes));
    Interface { addresses, mtu: 1420, routes }
}

fn configure(device: &Device, wanted: &Interface) {
    link::configure(device.index, wanted).unwrap();
}

/// What iproute2 shows of the routes on the device, both families, sorted.
fn routes() -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        let shown = Command::new("ip").args([family, "route", "show", "dev", "eg0"]).output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        lines.extend(shown.lines().map(|line| line.split(' ').next().unwrap().to_owned()));
    }
    lines.sort();
    lines
}

fn addresses_of_eg0() -> Vec<IpNet> {
    let all = addresses().unwrap();
    all.into_iter().filter(|net| !net.addr().is_loopback()).collect()
}

fn sysctl(path: &str) -> String {
    fs::read_to_string(format!("/proc/sys/net/{path}")).unwrap().trim().to_owned()
}

const BOTH: &[&str] = &["10.9.0.2/32", "fd09::2/128"];
const ALL: &[&str] = &["0.0.0.0/0", "::/0"];

#[test]
fn a_link_gets_its_addresses_routes_and_mtu_and_both_links_are_up() {
    on_a_host(|| {
        let device = device();
        configure(&device, &interface(BOTH, ALL));
        assert_eq!(addresses_of_eg0(), nets(BOTH));
        assert_eq!(routes(), ["default", "default", "fd09::2"]);
        assert!(links().unwrap().iter().all(|link| link.up));
        let shown = Command::new("ip").args(["link", "show", "eg0"]).output().unwrap();
        assert!(String::from_utf8(shown.stdout).unwrap().contains("mtu 1420"));
    });
}

#[test]
fn both_families_can_be_used_at_once() {
    on_a_host(|| {
        let device = device();
        configure(&device, &interface(BOTH, ALL));
        for to in ["192.0.2.1:7", "[2001:db8::1]:7"] {
            let any = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            UdpSocket::bind(any).unwrap().send_to(b"canary", to).unwrap();
        }
        let mut packet = [0; 2048];
        let seen: Vec<u8> = std::iter::from_fn(|| {
            rustix::io::read(&device.fd, &mut packet).ok().map(|_| packet[0] >> 4)
        })
        .collect();
        assert!(seen.contains(&4) && seen.contains(&6), "{seen:?}");
    });
}

#[test]
fn configuring_twice_is_configuring_once() {
    on_a_host(|| {
        let device = device();
        let wanted = interface(BOTH, &["0.0.0.0/0", "::/0", "10.1.0.0/16", "fd10::/16"]);
        configure(&device, &wanted);
        let changes = Changes::open().unwrap();
        // The kernel tells of a new link for a while.
        while readable(&changes, Duration::from_millis(200)) {
            changes.drain().unwrap();
        }
        let before = (addresses().unwrap(), routes());
        configure(&device, &wanted);
        assert_eq!((addresses().unwrap(), routes()), before);
        assert!(!changes.drain().unwrap(), "something was set again");
    });
}

#[test]
fn what_an_earlier_configuration_had_and_this_has_not_is_removed() {
    on_a_host(|| {
        let device = device();
        let old = ["10.9.0.2/24", "10.9.0.3/24", "fd09::2/64"];
        configure(&device, &interface(&old, &["0.0.0.0/0", "10.1.0.0/16", "fd10::/16"]));
        let new = ["10.9.0.3/24", "10.9.0.4/24", "fd09::3/64"];
        configure(&device, &interface(&new, &["10.2.0.0/16", "::/0"]));
        let mut has = addresses_of_eg0();
        has.sort();
        assert_eq!(has, nets(&new));
        assert_eq!(routes(), ["10.2.0.0/16", "10.9.0.0/24", "default", "fd09::/64"]);
    });
}

#[test]
fn what_is_named_twice_is_set_once() {
    on_a_host(|| {
        let device = device();
        let twice = interface(&["10.9.0.2/32", "10.9.0.2/32"], &["10.1.0.0/16", "10.1.2.3/16"]);
        configure(&device, &twice);
        assert_eq!(addresses_of_eg0(), nets(&["10.9.0.2/32"]));
        assert_eq!(routes(), ["10.1.0.0/16"]);
    });
}

#[test]
fn a_link_without_an_ipv6_address_has_no_ipv6_and_refuses_it_at_once() {
    on_a_host(|| {
        let device = device();
        configure(&device, &interface(&["10.9.0.2/32"], ALL));
        assert_eq!(routes(), ["default"]);
        let error = TcpStream::connect("[2001:db8::1]:80").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::NETUNREACH.raw_os_error()));
    });
}

#[test]
fn ipv6_works_where_the_engine_switched_it_off_for_new_links() {
    on_a_host(|| {
        for which in ["all", "default"] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1").unwrap();
        }
        let device = device();
        configure(&device, &interface(&["fd09::2/128"], &["::/0"]));
        assert_eq!(addresses_of_eg0(), nets(&["fd09::2/128"]));
        UdpSocket::bind("[fd09::2]:0").unwrap().send_to(b"x", "[2001:db8::1]:7").unwrap();
    });
}

#[test]
fn a_link_is_closed_to_router_advertisements_and_strict_about_sources() {
    on_a_host(|| {
        let device = device();
        configure(&device, &interface(BOTH, ALL));
        assert_eq!(sysctl("ipv6/conf/eg0/accept_ra"), "0");
        assert_eq!(sysctl("ipv4/conf/eg0/rp_filter"), "1");
        assert_eq!(sysctl("ipv4/conf/eg0/arp_ignore"), "2");
    });
}

#[test]
fn a_missing_link_is_named() {
    on_a_host(|| {
        let index = device().index;
        let error = link::configure(index, &interface(&["10.9.0.2/32"], &[])).unwrap_err();
        assert!(matches!(error, LinkError::Missing { index: missing, .. } if missing == index));
    });
}

#[test]
fn a_link_is_configured_under_whatever_name_it_has_by_now() {
    on_a_host(|| {
        let device = device();
        let ip = |args: &str| Command::new("ip").args(args.split(' ')).status().unwrap().success();
        assert!(ip("link set eg0 name other"));
        assert!(ip("link add eg0 type veth peer name eg1"));
        configure(&device, &interface(BOTH, ALL));
        assert_eq!(routes(), [""; 0]);
        assert_eq!(sysctl("ipv4/conf/other/arp_ignore"), "2");
        assert_eq!(addresses_of_eg0(), nets(BOTH));
    });
}

#[test]
fn a_route_that_another_link_has_is_not_taken_from_it() {
    on_a_host(|| {
        let other = tun::create("other", 1420, Offload::Off).unwrap();
        let device = device();
        configure(&other, &interface(&["10.8.0.2/32"], &["0.0.0.0/0"]));
        let wanted = interface(&["10.9.0.2/32"], &["0.0.0.0/0"]);
        let error = link::configure(device.index, &wanted).unwrap_err();
        assert!(matches!(error, LinkError::Route(RouteError::Add { .. })), "{error}");
    });
}

#[test]
fn a_change_of_the_uplink_is_heard_and_a_tun_device_is_not() {
    on_a_host(|| {
        let changes = Changes::open().unwrap();
        drop(device());
        assert!(!changes.drain().unwrap());
        let ip = |args: &str| Command::new("ip").args(args.split(' ')).status().unwrap().success();
        for change in [
            "link add up0 type veth peer name up1",
            "link set up0 up",
            "addr add 192.0.2.9/24 dev up0",
            "route add default via 192.0.2.1",
            "route del default",
            "link set up0 down",
        ] {
            assert!(ip(change), "{change}");
            assert!(readable(&changes, Duration::from_secs(1)), "{change}");
            assert!(changes.drain().unwrap(), "{change}");
            assert!(!changes.drain().unwrap(), "{change} was told twice");
        }
    });
}
