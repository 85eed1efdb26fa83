//! The host's own addresses, which no tunnel may lead to.

use std::io;
use std::net::IpAddr;

use egress_linux::link;
use tokio::task::spawn_blocking;

/// The host's own addresses, of every link, as they are now.
pub async fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let read = spawn_blocking(link::addresses).await.map_err(io::Error::other).flatten();
    Ok(read?.into_iter().map(|net| net.addr()).collect())
}
