//! Making a link what it is wanted to be.

use std::{fs, io, path::PathBuf};

use ipnet::IpNet;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkMessage},
};
use rustix::net::{AddressFamily, SocketType, netdevice::index_to_name, socket};

use super::{
    address::{AddressError, set_addresses},
    route::{RouteError, set_routes},
};
use crate::netlink::Socket;

/// The kernel gives this to `lo` in every namespace.
const LOOPBACK: u32 = 1;

/// What a link is wanted to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its addresses, as in wg-quick's `Address`. Without an IPv6 one the link has no IPv6.
    pub addresses: Vec<IpNet>,
    /// In bytes; with IPv6 at least 1280.
    pub mtu: u16,
    /// What goes out by it. Those of a family that it has no address of are left out, so that
    /// such packets are refused at once.
    pub routes: Vec<IpNet>,
}

/// What could not be set.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No netlink socket.
    #[error("talk to the kernel about links")]
    Open(#[source] io::Error),
    /// There is no such link.
    #[error("find the link {index}")]
    Missing {
        /// Its number.
        index: u32,
        /// Why.
        source: io::Error,
    },
    /// It was not switched on, or not given its MTU.
    #[error("set up the link {name}")]
    Up {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A setting below /proc/sys/net.
    #[error("set {} to {value}", path.display())]
    Sysctl {
        /// Which.
        path: PathBuf,
        /// The value it was to have.
        value: &'static str,
        /// Why.
        source: io::Error,
    },
    /// An address was not added or removed.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A route was not added or removed.
    #[error(transparent)]
    Route(#[from] RouteError),
}

/// Makes the link of this number and `lo` so: up, with these addresses and routes and no others, and closed to
/// what the other end of it might want to configure. Called again it changes only what differs,
/// new before old.
pub fn configure(index: u32, wanted: &Interface) -> Result<(), LinkError> {
    let socket = Socket::route().map_err(LinkError::Open)?;
    let name = name(index).map_err(|source| LinkError::Missing { index, source })?;
    let has_v6 = wanted.addresses.iter().any(is_v6);
    let has_v4 = wanted.addresses.iter().any(|address| !is_v6(address));

    set_sysctls(&name, has_v6)?;
    up(&socket, LOOPBACK, "lo", None)?;
    set_addresses(&socket, index, &wanted.addresses)?;
    up(&socket, index, &name, Some(wanted.mtu))?;
    let reachable = |route: &&IpNet| if is_v6(route) { has_v6 } else { has_v4 };
    let routes = wanted.routes.iter().filter(reachable).map(IpNet::trunc).collect();
    set_routes(&socket, index, &routes)?;
    Ok(())
}

fn is_v6(net: &IpNet) -> bool {
    net.addr().is_ipv6()
}

fn name(index: u32) -> io::Result<String> {
    let any = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    Ok(index_to_name(&any, index)?)
}

fn set_sysctls(name: &str, has_v6: bool) -> Result<(), LinkError> {
    let v4 = format!("/proc/sys/net/ipv4/conf/{name}");
    // The tunnel's address is told to nobody on another link (MLLVD-CR-24-03).
    set_sysctl(&v4, "arp_ignore", "2")?;
    // Only what the routes would answer by this link may come in by it (CVE-2019-14899).
    set_sysctl(&v4, "rp_filter", "1")?;
    set_sysctl(&v4, "accept_redirects", "0")?;
    // Removing an address must not take along its neighbours of the same network.
    set_sysctl(&v4, "promote_secondaries", "1")?;

    let v6 = format!("/proc/sys/net/ipv6/conf/{name}");
    if !has_v6 && !fs::exists(&v6).unwrap_or(true) {
        return Ok(()); // A kernel without IPv6.
    }
    set_sysctl(&v6, "accept_ra", "0")?;
    set_sysctl(&v6, "accept_redirects", "0")?;
    // No link-local address: none was given, and a made-up one would be seen at the other end.
    set_sysctl(&v6, "addr_gen_mode", "1")?;
    // Docker switches it off for new links of a container that has no IPv6 itself.
    set_sysctl(&v6, "disable_ipv6", if has_v6 { "0" } else { "1" })
}

/// /proc/sys/net shows the namespace of the thread that opens it. Writing costs the kernel more
/// than reading: `disable_ipv6` notifies everybody even when it stays as it is.
fn set_sysctl(dir: &str, key: &str, value: &'static str) -> Result<(), LinkError> {
    let path = PathBuf::from(dir).join(key);
    let is = fs::read_to_string(&path);
    if is.is_ok_and(|is| is.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(|source| LinkError::Sysctl { path, value, source })
}

fn up(socket: &Socket, index: u32, name: &str, mtu: Option<u16>) -> Result<(), LinkError> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.extend(mtu.map(|mtu| LinkAttribute::Mtu(mtu.into())));
    let result = socket.request(RouteNetlinkMessage::SetLink(message), 0);
    result.map(drop).map_err(|source| LinkError::Up { name: name.to_owned(), source })
}
