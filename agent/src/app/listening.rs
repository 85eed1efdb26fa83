//! Listeners: those that systemd holds, and our own.

use anyhow::Context as _;
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::prepare;
use crate::config::Config;

/// The API's listener for this host: the one that systemd holds across restarts, else our own.
pub fn api(config: &Config) -> anyhow::Result<UnixListener> {
    let passed = ListenFd::from_env().take_unix_listener(0).context("take systemd's socket")?;
    let listener = match passed {
        Some(listener) => listener,
        None => prepare::api_socket(config)?,
    };
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}

/// A listener at the address of a setting.
pub fn tcp(setting: &str, address: &str) -> anyhow::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("listen on {setting}, {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}
