//! The door for processes on this host: a unix socket, where the kernel says who connects.

use std::io;
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::caller::{Caller, Identity};
use super::roles::RoleTable;
use super::server::{Listener, Server, no_room};

/// The most connections at one time; those above are answered `too_many_connections`.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Answers here until the server is to stop and what was begun has ended.
pub async fn serve(listener: UnixListener, server: Server) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let let_in = |stream: UnixStream| {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            turn_away(&stream);
            return None;
        };
        let caller = identify(&stream, &server.roles)?;
        let conversation = server.converse(stream, caller);
        Some(async move {
            conversation.await;
            drop(place);
        })
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
fn turn_away(stream: &UnixStream) {
    if let Err(error) = stream.try_write(no_room(CONNECTIONS_MAX).as_bytes()) {
        debug!(%error, "turn an API connection away");
    }
}
