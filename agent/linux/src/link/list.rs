//! What there is in a namespace.

use std::{io, net::IpAddr};

use ipnet::IpNet;
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
};

use crate::netlink::Socket;

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in the namespace.
    pub index: u32,
    /// Its name there.
    pub name: String,
    /// `tun`, `veth`, …; empty for hardware and loopback.
    pub kind: String,
    /// Whether it is switched on; it may have no carrier all the same.
    pub up: bool,
    /// Whether it is `lo`.
    pub loopback: bool,
}

/// All links.
pub fn links() -> io::Result<Vec<Link>> {
    let all = Socket::route()?.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    Ok(all.iter().filter_map(link).collect())
}

/// All addresses of all links, each with the length of its prefix.
pub fn addresses() -> io::Result<Vec<IpNet>> {
    let all = Socket::route()?.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    Ok(all.iter().filter_map(address).map(|(_, net)| net).collect())
}

fn link(message: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    Some(Link {
        index: message.header.index,
        name: message.attributes.iter().find_map(name)?.to_owned(),
        kind: kind(message).map(ToString::to_string).unwrap_or_default(),
        up: message.header.flags.contains(LinkFlags::Up),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
    })
}

fn name(attribute: &LinkAttribute) -> Option<&str> {
    match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    }
}

pub(super) fn kind(message: &LinkMessage) -> Option<&InfoKind> {
    let infos = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos?.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    })
}

/// The link's number and the address.
pub(super) fn address(message: &RouteNetlinkMessage) -> Option<(u32, IpNet)> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    // IPv6 says it in another attribute, which for IPv4 is the other end's.
    let address = local.or_else(|| message.attributes.iter().find_map(other_end))?;
    Some((message.header.index, IpNet::new(address, message.header.prefix_len).ok()?))
}

fn other_end(attribute: &AddressAttribute) -> Option<IpAddr> {
    match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    }
}
