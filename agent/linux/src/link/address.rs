//! A link's addresses.

use std::io;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
};

use super::list::address;
use crate::netlink::Socket;

/// An address that was not set.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Those that there are could not be read.
    #[error("list the addresses")]
    List(#[source] io::Error),
    /// It was not added.
    #[error("add the address {address}")]
    Add {
        /// Which.
        address: IpNet,
        /// Why.
        source: io::Error,
    },
    /// It was not removed.
    #[error("remove the address {address}")]
    Remove {
        /// Which.
        address: IpNet,
        /// Why.
        source: io::Error,
    },
}

/// Gives the link these addresses and no others, new before old.
pub(super) fn set_addresses(
    socket: &Socket,
    index: u32,
    wanted: &[IpNet],
) -> Result<(), AddressError> {
    let mut has = addresses_of(socket, index).map_err(AddressError::List)?;
    // In their order: the first is what the link's packets come from.
    for &address in wanted {
        if !has.contains(&address) {
            let message = RouteNetlinkMessage::NewAddress(message(index, address));
            socket
                .request(message, NLM_F_CREATE | NLM_F_EXCL)
                .map_err(|source| AddressError::Add { address, source })?;
            has.push(address);
        }
    }
    for &address in has.iter().filter(|address| !wanted.contains(address)) {
        let message = RouteNetlinkMessage::DelAddress(message(index, address));
        socket.request(message, 0).map_err(|source| AddressError::Remove { address, source })?;
    }
    Ok(())
}

fn addresses_of(socket: &Socket, index: u32) -> io::Result<Vec<IpNet>> {
    let all = socket.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let of_link = all.iter().filter_map(address).filter(|(link, _)| *link == index);
    Ok(of_link.map(|(_, net)| net).collect())
}

fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.prefix_len = address.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    message.attributes =
        vec![AddressAttribute::Local(address.addr()), AddressAttribute::Address(address.addr())];
    match address {
        IpNet::V4(_) => message.header.family = AddressFamily::Inet,
        IpNet::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            // Nobody else is on the link; a tentative address could not be used for a second.
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    message
}
