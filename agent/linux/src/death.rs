//! Hearing that a network namespace has died, without keeping it alive.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use rustix::io::Errno;

use crate::{
    netlink::{Socket, Subscription},
    netns::Netns,
};

/// `RTNLGRP_NSID` of linux/rtnetlink.h.
const RTNLGRP_NSID: u32 = 28;
/// Asks the kernel to choose an id.
const ANY: i32 = -1;

/// Hears of the deaths of the namespaces that it was shown. Readable when there may be one.
///
/// The kernel says it, milliseconds after the last process, socket and fd inside is gone, by the
/// id (nsid) that the namespace has in the host's. Ids are used again, so that this keeps which
/// cookie each stands for.
pub struct Watch {
    events: Subscription,
    watched: Mutex<Watched>,
}

struct Watched {
    socket: Socket,
    cookies: HashMap<i32, u64>,
}

/// Why watching failed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// No netlink socket.
    #[error("watch for the deaths of network namespaces")]
    Open(#[source] io::Error),
    /// This one will not be heard of.
    #[error("watch network namespace {cookie}")]
    Watch {
        /// The namespace's.
        cookie: u64,
        /// Why.
        source: io::Error,
    },
    /// More died at once than the socket could hold: some deaths will never be told. Look at
    /// every namespace.
    #[error("deaths of network namespaces were lost")]
    Lost,
    /// The socket failed.
    #[error("read the deaths of network namespaces")]
    Read(#[source] io::Error),
}

impl Watch {
    /// Call it in the host's namespace.
    pub fn open() -> Result<Watch, WatchError> {
        let events = Subscription::route(&[RTNLGRP_NSID]).map_err(WatchError::Open)?;
        let socket = Socket::route().map_err(WatchError::Open)?;
        let watched = Mutex::new(Watched { socket, cookies: HashMap::new() });
        Ok(Watch { events, watched })
    }

    /// Tells of this one too, once, when it is dead. It may be dropped afterwards, and must be, or
    /// it never dies. Twice is once.
    pub fn watch(&self, netns: &Netns) -> Result<(), WatchError> {
        let cookie = netns.cookie();
        let mut watched = self.watched();
        let id = identify(&watched.socket, netns)
            .map_err(|source| WatchError::Watch { cookie, source })?;
        watched.cookies.insert(id, cookie);
        Ok(())
    }

    /// The cookies of those that have died since the last call.
    pub fn read(&self) -> Result<Vec<u64>, WatchError> {
        let events = self.events.read::<RouteNetlinkMessage>().map_err(WatchError::Read)?;
        let events = events.ok_or(WatchError::Lost)?;
        let mut watched = self.watched();
        let ids = events.iter().flatten().filter_map(died);
        Ok(ids.filter_map(|id| watched.cookies.remove(&id)).collect())
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// The id of a namespace in the host's, a new one if it has none.
fn identify(socket: &Socket, netns: &Netns) -> io::Result<i32> {
    match socket.request(RouteNetlinkMessage::NewNsId(of(netns, &[NsidAttribute::Id(ANY)])), 0) {
        Ok(_) => {}
        // A device of it has a peer here, or was moved there from here.
        Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    let answers = socket.request(RouteNetlinkMessage::GetNsId(of(netns, &[])), 0)?;
    let id = answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewNsId(message) => id(message),
        _ => None,
    });
    id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the kernel gave no nsid"))
}

fn of(netns: &Netns, attributes: &[NsidAttribute]) -> NsidMessage {
    let mut message = NsidMessage::default();
    let fd = netns.as_fd().as_raw_fd().cast_unsigned();
    message.attributes = [&[NsidAttribute::Fd(fd)], attributes].concat();
    message
}

fn died(event: &RouteNetlinkMessage) -> Option<i32> {
    match event {
        RouteNetlinkMessage::DelNsId(message) => id(message),
        _ => None,
    }
}

fn id(message: &NsidMessage) -> Option<i32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(id) if *id >= 0 => Some(*id),
        _ => None,
    })
}
