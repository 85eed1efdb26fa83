//! Hearing that containers have ended: from the kernel when a namespace is gone, from the lookout
//! when nobody is left in it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egress_core::api::NetnsRef;
use egress_linux::death::{Watch, WatchError};
use egress_linux::netns::Netns;
use egress_linux::ready;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::lifeline::{Command, tell};
use super::lookout::Lookout;
use crate::telemetry::chain;

/// Tells drivers when their containers have ended: milliseconds after the last process, socket and
/// descriptor in the namespace, or, where something of ours keeps that alive, some hundred
/// milliseconds after its name and its last process. Clones share the work.
#[derive(Clone)]
pub struct Deaths(Arc<Shared>);

struct Shared {
    watch: Watch,
    lookout: Lookout,
    /// The same socket, for the runtime.
    readable: AsyncFd<OwnedFd>,
    /// Who is told of which cookie.
    listeners: Mutex<HashMap<u64, mpsc::Sender<Command>>>,
}

impl Deaths {
    /// Starts listening, in the host's namespace. Names of containers' are below these roots.
    pub fn start(roots: Vec<PathBuf>) -> io::Result<Self> {
        let watch = Watch::open().map_err(io::Error::other)?;
        let socket = watch.as_fd().try_clone_to_owned()?;
        let readable = ready::register(socket, Interest::READABLE)?;
        let lookout = Lookout::new(roots);
        let shared = Shared { watch, lookout, readable, listeners: Mutex::default() };
        let deaths = Self(Arc::new(shared));
        tokio::spawn(deaths.clone().listen());
        let told = deaths.clone();
        deaths.0.lookout.start(move |cookie| told.tell(cookie))?;
        Ok(deaths)
    }

    /// Tells the driver when the container in this one, which came by this reference, ends.
    pub fn watch(
        &self,
        netns: &Netns,
        found_by: &NetnsRef,
        commands_tx: mpsc::Sender<Command>,
    ) -> Result<(), WatchError> {
        let cookie = netns.cookie();
        self.listeners().insert(cookie, commands_tx);
        let looked_for = self.0.lookout.watch(netns, found_by);
        looked_for.map_err(|source| WatchError::Watch { cookie, source })?;
        self.0.watch.watch(netns)
    }

    /// Nobody is told of this one any more.
    pub fn forget(&self, cookie: u64) {
        self.0.lookout.forget(cookie);
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
        self.0.lookout.forget(cookie);
        if let Some(commands_tx) = self.listeners().remove(&cookie) {
            tell(commands_tx, Command::NamespaceGone);
        }
    }

    fn tell_everybody(&self) {
        warn!("deaths of namespaces were lost; every session looks for its own");
        for commands_tx in self.listeners().values() {
            tell(commands_tx.clone(), Command::LookForNamespace);
        }
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Command>>> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
