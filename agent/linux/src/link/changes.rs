//! Hearing that the host's way out may have changed.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkMessage},
};

use super::list::kind;
use crate::netlink::Subscription;

/// `RTNLGRP_{LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE}` of linux/rtnetlink.h.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

/// Hears of links, addresses and routes of the namespace it was opened in. Readable when there
/// may have been a change.
pub struct Changes(Subscription);

impl Changes {
    /// Hears what happens from now on.
    pub fn open() -> io::Result<Changes> {
        Subscription::route(&GROUPS).map(Changes)
    }

    /// Whether anything has changed since the last call, TUN devices apart: those come and go
    /// with our own sessions and are nobody's way out of the host. More changes than the socket
    /// can hold are a change.
    pub fn drain(&self) -> io::Result<bool> {
        let Some(news) = self.0.read::<RouteNetlinkMessage>()? else { return Ok(true) };
        Ok(news.iter().any(|news| news.as_ref().map_or(true, matters)))
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn matters(news: &RouteNetlinkMessage) -> bool {
    match news {
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => !is_tun(link),
        _ => true,
    }
}

fn is_tun(link: &LinkMessage) -> bool {
    kind(link) == Some(&InfoKind::Tun)
}
