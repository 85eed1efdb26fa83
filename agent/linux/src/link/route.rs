//! The routes that lead out by a link.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
        RouteType,
    },
};

use crate::netlink::Socket;

/// A route that was not set.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Those that there are could not be read.
    #[error("list the routes")]
    List(#[source] io::Error),
    /// It was not added; `EEXIST` when another link has it.
    #[error("add the route to {route}")]
    Add {
        /// Where to.
        route: IpNet,
        /// Why.
        source: io::Error,
    },
    /// It was not removed.
    #[error("remove the route to {route}")]
    Remove {
        /// Where to.
        route: IpNet,
        /// Why.
        source: io::Error,
    },
}

/// Lets these networks lead out by the link and, but for its own addresses' networks, no others,
/// new before old.
pub(super) fn set_routes(
    socket: &Socket,
    index: u32,
    wanted: &BTreeSet<IpNet>,
) -> Result<(), RouteError> {
    let has = routes_of(socket, index).map_err(RouteError::List)?;
    for &route in wanted.difference(&has) {
        let message = RouteNetlinkMessage::NewRoute(message(index, route));
        socket
            .request(message, NLM_F_CREATE | NLM_F_EXCL)
            .map_err(|source| RouteError::Add { route, source })?;
    }
    for &route in has.difference(wanted) {
        let message = RouteNetlinkMessage::DelRoute(message(index, route));
        socket.request(message, 0).map_err(|source| RouteError::Remove { route, source })?;
    }
    Ok(())
}

fn routes_of(socket: &Socket, index: u32) -> io::Result<BTreeSet<IpNet>> {
    let all = socket.dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()))?;
    Ok(all.iter().filter_map(|message| destination(message, index)).collect())
}

/// Where a route leads that somebody set on the link; the kernel's own come and go with the
/// addresses.
fn destination(message: &RouteNetlinkMessage, index: u32) -> Option<IpNet> {
    let RouteNetlinkMessage::NewRoute(RouteMessage { header, attributes, .. }) = message else {
        return None;
    };
    if header.table != RouteHeader::RT_TABLE_MAIN
        || header.protocol == RouteProtocol::Kernel
        || !attributes.contains(&RouteAttribute::Oif(index))
    {
        return None;
    }
    let to = attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(to)) => Some(IpAddr::from(*to)),
        RouteAttribute::Destination(RouteAddress::Inet6(to)) => Some(IpAddr::from(*to)),
        _ => None,
    });
    let to = to.unwrap_or_else(|| default(header.address_family));
    IpNet::new(to, header.destination_prefix_length).ok()
}

/// What the kernel does not say of a default route.
fn default(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn message(index: u32, route: IpNet) -> RouteMessage {
    let (address_family, scope) = match route {
        IpNet::V4(_) => (AddressFamily::Inet, RouteScope::Link),
        IpNet::V6(_) => (AddressFamily::Inet6, RouteScope::Universe),
    };
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family,
        destination_prefix_length: route.prefix_len(),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Static,
        scope,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::from(route.network())),
        RouteAttribute::Oif(index),
    ];
    message
}
