//! A conversation with nftables that is closed where nobody waits for it.

use std::{
    io,
    ops::Deref,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::netlink::Socket;

/// Sockets that are being closed at one time. One more is closed by who drops it.
const CLOSING_MAX: usize = 64;

static CLOSING: AtomicUsize = AtomicUsize::new(0);

/// Talks to nftables of the namespace that it was opened in. It keeps that namespace alive for some
/// milliseconds after it was dropped.
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
    /// To close any socket of nftables waits until the kernel has destroyed all that transactions
    /// took out of the namespace (RCU): 12 ms and more after each, and for as long as somebody in
    /// there keeps nftables busy.
    fn drop(&mut self) {
        let Some(socket) = self.0.take() else { return };
        if CLOSING.fetch_add(1, Ordering::Relaxed) >= CLOSING_MAX {
            CLOSING.fetch_sub(1, Ordering::Relaxed);
            return drop(socket);
        }
        let close = move || {
            drop(socket);
            CLOSING.fetch_sub(1, Ordering::Relaxed);
        };
        // Without a thread it has been closed here, with what was to be done there.
        if thread::Builder::new().name("nft-close".to_owned()).spawn(close).is_err() {
            CLOSING.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
