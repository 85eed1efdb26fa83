//! The door for processes on this host: a unix socket, where the kernel says who connects.

use std::io;
use std::sync::Arc;

use futures_util::future::Either;
use tokio::net::{UnixListener, UnixStream};
use tracing::{debug, warn};

use super::caller::{Caller, Identity};
use super::places::{Full, Places};
use super::roles::RoleTable;
use super::server::{Listener, Server, no_room, refuse};

/// The most connections at one time. One caller has at most half of them; those above are
/// answered `too_many_connections`.
pub const CONNECTIONS_MAX: usize = 2_048;

/// Answers here until the server is to stop and what was begun has ended.
pub async fn serve(listener: UnixListener, server: Server) -> io::Result<()> {
    let places = Places::new(CONNECTIONS_MAX, Arc::clone(&server.budget));
    let let_in = |stream: UnixStream| {
        let caller = identify(&stream, &server.roles)?;
        match places.take(&caller) {
            Ok(place) => Some(Either::Left(server.converse(stream, caller, place))),
            Err(full) => match places.refuse(&caller) {
                Some(refused) => Some(Either::Right(refuse(stream, full, refused))),
                None => turn_away(&stream, full),
            },
        }
    };
    server.receive(listener, let_in).await
}

impl Listener for UnixListener {
    type Connection = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Asks the kernel who connected.
fn identify(stream: &UnixStream, roles: &RoleTable) -> Option<Caller> {
    match egress_linux::peer::credentials(stream) {
        Ok(peer) => {
            let mut groups = peer.groups;
            groups.push(peer.gid);
            let pid = i32::try_from(peer.pid).unwrap_or_default();
            let identity = Identity::Process { pid, uid: peer.uid };
            Some(Caller { identity, standing: roles.of(peer.uid, &groups) })
        }
        Err(error) => {
            warn!(%error, "ask who connected");
            None
        }
    }
}

/// Says that there is no room, if that can be said without waiting.
fn turn_away<T>(stream: &UnixStream, full: Full) -> Option<T> {
    if let Err(error) = stream.try_write(no_room(full).as_bytes()) {
        debug!(%error, "turn an API connection away");
    }
    None
}
