//! A conversation with nftables that is closed where nobody waits for it.

use std::{io, ops::Deref, os::fd::OwnedFd, time::Duration};

use super::closer::Closer;
use crate::netlink::Socket;

/// Longer than the kernel usually takes to destroy what a transaction took out of a namespace (a
/// grace period of RCU: 12 ms and more). To close any socket of nftables waits for that, and as long
/// nobody can change that namespace's rules. Afterwards it takes microseconds.
const DESTROYING: Duration = Duration::from_millis(50);

static CLOSER: Closer<OwnedFd> = Closer::new(DESTROYING);

/// Talks to nftables of the namespace that it was opened in. It keeps that namespace alive until
/// some 50 ms after it was dropped.
pub(super) struct Connection(Option<Socket>);

impl Connection {
    pub(super) fn open() -> io::Result<Connection> {
        Socket::netfilter().map(|socket| Connection(Some(socket)))
    }
}

impl Deref for Connection {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        self.0.as_ref().expect("a connection has its socket until it is dropped")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            CLOSER.close(socket.into());
        }
    }
}
