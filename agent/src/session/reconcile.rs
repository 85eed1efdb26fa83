//! What a start makes of the rows of the life before.
//!
//! A connected session whose tunnel the data plane still carries goes on untouched. One whose
//! namespace lives is sealed until its tunnel stands again, on the same device where the data plane
//! has kept that. One whose namespace is gone is released. One that had ended, and whose end the store
//! did not take, is not brought back.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use egress_core::api::SessionState;
use egress_core::session::Machine;
use egress_dataplane::protocol::TunnelId;
use egress_linux::netns::Netns;
use tracing::{info, warn};

use super::emptiness::ways_out;
use super::ends::End;
use super::hands::release_delay;
use super::manager::Manager;
use super::sealed::{Former, Left};
use super::shell::Shell;
use super::view::view;
use super::{container, seal};
use crate::store::{SessionRow, StoreError};
use crate::telemetry::chain;
use crate::tunnel::dataplane::Found;

/// What the data plane has of a session from before a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// The tunnel itself.
    Tunnel,
    /// The device of a tunnel that something else carried.
    Device,
}

impl Manager {
    /// Takes up what the life before left, `found` in the data plane. Call it once, before the first
    /// attach.
    pub async fn reconcile(&self, found: &Found) -> Result<(), StoreError> {
        let shell = Arc::clone(self.shell());
        let mut left: BTreeMap<TunnelId, Remains> = BTreeMap::new();
        left.extend(found.carried.iter().map(|tunnel| (*tunnel, Remains::Tunnel)));
        left.extend(found.kept.iter().map(|tunnel| (*tunnel, Remains::Device)));
        shell.sealed.restore(&shell.boot_id).await;
        let ended = shell.ends.left_behind().await;
        let rows = shell.store.sessions().await?;
        for end in ended.values().filter(|end| !rows.iter().any(|row| end.is_of(row))) {
            shell.ends.drop_file(&end.session_id).await;
        }
        for row in rows {
            let remains = row.tunnel.and_then(|tunnel| left.remove_entry(&tunnel));
            match ended.get(row.id()).filter(|end| end.is_of(&row)) {
                Some(end) => finish(&shell, end.clone(), remains).await,
                None => self.take_up(&shell, row, remains).await,
            }
        }
        for tunnel in left.into_keys() {
            info!(tunnel, "a tunnel without a session is taken down");
            take_down(&shell, tunnel).await;
        }
        let orphans = shell.store.release_orphans().await?.len();
        info!(sessions = self.views().len(), orphans, "reconciled");
        Ok(())
    }

    async fn take_up(&self, shell: &Shell, row: SessionRow, remains: Option<(TunnelId, Remains)>) {
        let (tunnel, remains) = remains.unzip();
        let Some(netns) = home(shell, &row, tunnel).await else {
            info!(session = %row.id(), "the namespace is gone; the session is released");
            return release(shell, &row, tunnel).await;
        };
        if remains.is_none() && is_the_launchers_again(&netns).await {
            warn!(
                session = %row.id(),
                "the container is not sealed and has devices that are not the agent's: it is left \
                 alone, and the session is over"
            );
            return release(shell, &row, tunnel).await;
        }
        let (generation, seed) = (row.generation, row.netns.cookie);
        match (row.state, remains) {
            (SessionState::Connected, Some(Remains::Tunnel)) => {
                self.resume(row, &netns, Machine::adopted(generation, seed));
            }
            (SessionState::Connected | SessionState::Reconnecting, remains) => {
                if let (Some(tunnel), Some(Remains::Tunnel)) = (tunnel, remains) {
                    take_down(shell, tunnel).await;
                }
                self.resume(row, &netns, Machine::restored(generation, seed));
            }
            (SessionState::Blocked, _) => {
                let reason = row.reason.clone();
                self.resume(row, &netns, Machine::blocked(reason, seed));
            }
            // Its launcher never had an answer, or asked for the end.
            (SessionState::Connecting | SessionState::Disconnecting | SessionState::Closed, _) => {
                let turn = shell.sealed.turn(seed);
                if let Err(error) = seal::close(netns, &turn).await {
                    warn!(session = %row.id(), error = %chain(&error), "not sealed");
                }
                let ended = SessionRow { state: SessionState::Closed, ..row.clone() };
                let former = Former::of(&row, view(&ended, None, None));
                shell.sealed.add(Left { former, sealed: true, turn }).await;
                release(shell, &row, tunnel).await;
            }
        }
    }
}

/// The namespace of a row, by the device that the data plane carries or by the way it came; `None`
/// when it is gone, as all are that another boot had.
async fn home(shell: &Shell, row: &SessionRow, tunnel: Option<TunnelId>) -> Option<Arc<Netns>> {
    if row.netns.boot_id != shell.boot_id {
        return None;
    }
    let device = match tunnel {
        Some(tunnel) => device(shell, tunnel).await,
        None => None,
    };
    let device = device.as_ref().map(AsFd::as_fd);
    container::find(device, &row.found_by, &shell.sessions.netns_roots, row.netns.cookie).await
}

/// Ends a session whose launcher knows that it has ended. Its container was seen to then, and may be
/// another's by now.
async fn finish(shell: &Shell, end: End, remains: Option<(TunnelId, Remains)>) {
    info!(session = %end.session_id, "the session had ended before the agent did");
    if let Some((tunnel, _)) = remains {
        take_down(shell, tunnel).await;
    }
    // One that is not written is tried again.
    let _ = shell.ends.write_again(&*shell.store, end).await;
}

/// Whether the container was released, and connected by somebody else: a session that lives has its
/// container sealed, also when nobody carries its tunnel. To seal that now would cut off a network
/// that is none of the agent's.
async fn is_the_launchers_again(netns: &Arc<Netns>) -> bool {
    // What cannot be read is sealed.
    ways_out(Arc::clone(netns)).await.is_ok_and(|ways| !ways.is_empty())
        && seal::is_gone(Arc::clone(netns)).await
}

async fn device(shell: &Shell, tunnel: TunnelId) -> Option<OwnedFd> {
    shell.dataplane.export(tunnel).await.ok()?.into_iter().next()
}

async fn release(shell: &Shell, row: &SessionRow, tunnel: Option<TunnelId>) {
    if let Some(tunnel) = tunnel {
        take_down(shell, tunnel).await;
    }
    let cool_for = match row.state {
        SessionState::Connected | SessionState::Reconnecting => release_delay(shell, row),
        SessionState::Connecting
        | SessionState::Disconnecting
        | SessionState::Blocked
        | SessionState::Closed => Duration::ZERO,
    };
    let end = End { lease: Some(cool_for), ..End::of(row) };
    if let Err(error) = shell.ends.write(&*shell.store, end).await {
        warn!(session = %row.id(), error = %chain(&error), "the session's row stays for now");
    }
}

async fn take_down(shell: &Shell, tunnel: TunnelId) {
    if let Err(error) = shell.dataplane.remove(tunnel).await {
        warn!(tunnel, error = %chain(&error), "a tunnel was not taken down");
    }
}
