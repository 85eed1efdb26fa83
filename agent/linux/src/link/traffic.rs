//! What has gone through a link.

use std::io;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};

use crate::netlink::Socket;

/// What has gone through a link since it was made, as the namespace it is in sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came in.
    pub rx_bytes: u64,
    /// Packets that came in.
    pub rx_packets: u64,
    /// Bytes that went out.
    pub tx_bytes: u64,
    /// Packets that went out.
    pub tx_packets: u64,
    /// Packets that it did not take, either way.
    pub dropped: u64,
}

/// The counters of the link of this number, if it tells any.
pub fn traffic(index: u32) -> io::Result<Option<Traffic>> {
    let mut which = LinkMessage::default();
    which.header.index = index;
    let answers = Socket::route()?.request(RouteNetlinkMessage::GetLink(which), 0)?;
    Ok(answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => counters(link),
        _ => None,
    }))
}

fn counters(link: &LinkMessage) -> Option<Traffic> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(stats) => Some(Traffic {
            rx_bytes: stats.rx_bytes,
            rx_packets: stats.rx_packets,
            tx_bytes: stats.tx_bytes,
            tx_packets: stats.tx_packets,
            dropped: stats.rx_dropped + stats.tx_dropped,
        }),
        _ => None,
    })
}
