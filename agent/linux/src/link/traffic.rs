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

/// The counters of the link of that name, if there is one.
pub fn traffic(name: &str) -> io::Result<Option<Traffic>> {
    let all = Socket::route()?.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let named = |message: &&LinkMessage| {
        let is = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(is) if is == name);
        message.attributes.iter().any(is)
    };
    let links = all.iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    });
    Ok(links.filter(named).find_map(counters))
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
