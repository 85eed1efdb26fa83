//! What a container engine does to a namespace: it connects it to the host's network.

use std::time::Duration;

use super::lab::{Lab, SERVER_V4, SERVER_V6};
use super::namespace::{Namespace, host_ip, sysctl};
use super::probe::ping;
use super::wait;

const SOON: Duration = Duration::from_secs(10);

/// Gives a namespace a link `eth0` (number `number`, 0 to 255) through which the host routes its
/// packets to the internet in clear. Nothing in the namespace is asked whether it may.
pub fn connect(lab: &Lab, container: &Namespace, number: u8) {
    connect_as(lab, container, number, "eth0");
}

/// The same with a link of another name.
pub fn connect_as(lab: &Lab, container: &Namespace, number: u8, link: &str) {
    sysctl("ipv4/ip_forward", "1");
    sysctl("ipv6/conf/all/forwarding", "1");
    container.sysctl("ipv6/conf/default/accept_dad", "0");
    let name = container.name();
    host_ip(&format!(
        "link add toeth{number} type veth peer name {link} netns {name}
         addr add 198.18.{number}.1/24 dev toeth{number}
         addr add 2001:db8:18:{number:x}::1/64 dev toeth{number} nodad
         link set toeth{number} up
        "
    ));
    container.ip(&format!(
        "addr add 198.18.{number}.2/24 dev {link}
         addr add 2001:db8:18:{number:x}::2/64 dev {link} nodad
         link set {link} up
         route replace default via 198.18.{number}.1
         route replace default via 2001:db8:18:{number:x}::1
        "
    ));
    lab.wan.ip(&format!(
        "route add 198.18.{number}.0/24 via 192.0.2.2
         route add 2001:db8:18:{number:x}::/64 via 2001:db8:2::2
        "
    ));
}

/// Waits until packets of a connected namespace that nothing holds back reach the internet.
pub fn wait_until_open(container: &Namespace) {
    let reaches = |to| container.run(|| ping(to, Duration::from_millis(100))).is_ok();
    wait::until("the container's link carries IPv4", SOON, || reaches(SERVER_V4.into()));
    wait::until("the container's link carries IPv6", SOON, || reaches(SERVER_V6.into()));
}
