//! Listeners: those that systemd holds, and our own.

use std::io;
use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::prepare;
use crate::config::Config;
use crate::control::server::Server;
use crate::control::unix;
use crate::directory::{FileId, RUN_MODE, ensure};
use crate::readiness::{Part, Readiness};

/// How long an address may be in use by what a former agent has left: a child of its, say, that has
/// not executed yet.
const LEFT: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);
/// Between two looks whether callers still find the API's socket.
const LOOK: Duration = Duration::from_secs(1);

/// The API's socket for callers on this host.
pub struct ApiSocket {
    path: PathBuf,
    group: String,
    run_dir: PathBuf,
    file: Option<FileId>,
    listener: UnixListener,
}

impl ApiSocket {
    /// The one that systemd holds across restarts, else our own.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let passed = ListenFd::from_env().take_unix_listener(0).context("take systemd's socket")?;
        let (mut path, group) = (config.api_socket_path(), config.api.group.clone());
        let listener = match passed {
            Some(listener) => {
                let address = listener.local_addr()?;
                path = address.as_pathname().map_or(path, Into::into);
                listener
            }
            None => prepare::api_socket(&path, &group)?,
        };
        let (file, listener) = (FileId::at(&path).ok(), asynchronous(listener)?);
        Ok(Self { path, group, run_dir: config.run_dir.clone(), file, listener })
    }

    /// Answers until the server is to stop and what was begun has ended. Where somebody takes the
    /// socket's file away, another one is made: nobody would find the agent any more.
    pub async fn serve(
        mut self,
        server: Server,
        readiness: Readiness,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let mut serving = JoinSet::new();
        serving.spawn(unix::serve(self.listener, server.clone()));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if self.file.is_some() && FileId::at(&self.path).ok() == self.file {
                continue;
            }
            let made = ensure(&self.run_dir, RUN_MODE).map_err(anyhow::Error::from);
            match made.and_then(|()| prepare::api_socket(&self.path, &self.group)) {
                Ok(listener) => {
                    info!("the API's socket was gone, and is there again");
                    readiness.clear(Part::ApiSocket);
                    self.file = FileId::at(&self.path).ok();
                    serving.spawn(unix::serve(asynchronous(listener)?, server.clone()));
                }
                Err(error) => {
                    if self.file.take().is_some() {
                        warn!(error = format!("{error:#}"), "nobody finds the API's socket");
                    }
                    readiness.trouble(Part::ApiSocket, format!("{error:#}"));
                }
            }
        }
        while let Some(served) = serving.join_next().await {
            served??;
        }
        Ok(())
    }
}

fn asynchronous(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// A listener at the address of a setting. Waits a moment for one that is in use.
pub async fn tcp(setting: &str, address: &str) -> anyhow::Result<TcpListener> {
    let tries = LEFT.as_millis() / AGAIN.as_millis();
    let mut bound = StdListener::bind(address);
    for _ in 0..tries {
        match &bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => sleep(AGAIN).await,
            Ok(_) | Err(_) => break,
        }
        bound = StdListener::bind(address);
    }
    let listener = bound.with_context(|| format!("listen on {setting}, {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}
