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
    /// Whether what it is made of, its other end or the way of its packets, is in another namespace.
    pub linked_elsewhere: bool,
    /// Its addresses, each with the length of its prefix.
    pub addresses: Vec<IpNet>,
}

/// All links.
pub fn links() -> io::Result<Vec<Link>> {
    let socket = Socket::route()?;
    let links = socket.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let addresses = socket.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let addresses: Vec<_> = addresses.iter().filter_map(address).collect();
    links.iter().map(|message| link(message, &addresses)).collect()
}

/// All addresses of all links, each with the length of its prefix.
pub fn addresses() -> io::Result<Vec<IpNet>> {
    let all = Socket::route()?.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    Ok(all.iter().filter_map(address).map(|(_, net)| net).collect())
}

/// A link that cannot be told is an error, so that none is overlooked.
fn link(message: &RouteNetlinkMessage, addresses: &[(u32, IpNet)]) -> io::Result<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let name = message.attributes.iter().find_map(name).ok_or(io::ErrorKind::InvalidData)?;
    let (index, flags) = (message.header.index, message.header.flags);
    let elsewhere = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::LinkNetNsId(_));
    Ok(Link {
        index,
        name: name.to_owned(),
        kind: kind(message).map(ToString::to_string).unwrap_or_default(),
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        linked_elsewhere: message.attributes.iter().any(elsewhere),
        addresses: addresses.iter().filter(|(of, _)| *of == index).map(|(_, it)| *it).collect(),
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
