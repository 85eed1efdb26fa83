//! Hearing that containers' namespaces have ended.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egress_linux::death::{Watch, WatchError};
use egress_linux::netns::Netns;
use egress_linux::ready;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::lifeline::Command;
use crate::telemetry::chain;

/// Tells drivers when their containers' namespaces are gone, milliseconds after the last process,
/// socket and descriptor in it. Clones share the work.
#[derive(Clone)]
pub struct Deaths(Arc<Shared>);

struct Shared {
    watch: Watch,
    /// The same socket, for the runtime.
    readable: AsyncFd<OwnedFd>,
    /// Who is told of which cookie.
    listeners: Mutex<HashMap<u64, mpsc::Sender<Command>>>,
}

impl Deaths {
    /// Starts listening, in the host's namespace.
    pub fn start() -> io::Result<Self> {
        let watch = Watch::open().map_err(io::Error::other)?;
        let socket = watch.as_fd().try_clone_to_owned()?;
        let readable = ready::register(socket, Interest::READABLE)?;
        let deaths = Self(Arc::new(Shared { watch, readable, listeners: Mutex::default() }));
        tokio::spawn(deaths.clone().listen());
        Ok(deaths)
    }

    /// Tells the driver when this one ends.
    pub fn watch(
        &self,
        netns: &Netns,
        commands_tx: mpsc::Sender<Command>,
    ) -> Result<(), WatchError> {
        self.listeners().insert(netns.cookie(), commands_tx);
        self.0.watch.watch(netns)
    }

    /// Nobody is told of this one any more.
    pub fn forget(&self, cookie: u64) {
        self.listeners().remove(&cookie);
    }

    async fn listen(self) {
        loop {
            let Ok(mut ready) = self.0.readable.readable().await else { return };
            match self.0.watch.read() {
                Ok(cookies) if cookies.is_empty() => ready.clear_ready(),
                Ok(cookies) => cookies.into_iter().for_each(|cookie| self.tell(cookie)),
                Err(WatchError::Lost) => self.tell_everybody(),
                Err(error) => {
                    error!(error = %chain(&error), "the deaths of namespaces are not heard");
                    return;
                }
            }
        }
    }

    fn tell(&self, cookie: u64) {
        if let Some(commands_tx) = self.listeners().remove(&cookie) {
            send(commands_tx, Command::NamespaceGone);
        }
    }

    fn tell_everybody(&self) {
        warn!("deaths of namespaces were lost; every session looks for its own");
        for commands_tx in self.listeners().values() {
            send(commands_tx.clone(), Command::LookForNamespace);
        }
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Command>>> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A driver whose queue is full is waited for by a task of its own.
fn send(commands_tx: mpsc::Sender<Command>, command: Command) {
    if let Err(mpsc::error::TrySendError::Full(command)) = commands_tx.try_send(command) {
        tokio::spawn(async move { commands_tx.send(command).await });
    }
}
