//! The door for callers elsewhere: TCP, with a certificate on both ends.

mod files;
mod keeper;
mod presented;
mod stranger;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

pub use self::files::Faults;
pub use self::keeper::{InUse, Keeper, check};
use self::presented::Presented;
use self::stranger::{Stranger, Strangers};
use super::caller::{Caller, Identity};
use super::roles::RoleTable;
use super::server::{Listener, Server, no_room};
use crate::metrics::Metrics;

/// The most callers at one time; those above are answered `too_many_connections`.
pub const CONNECTIONS_MAX: usize = 256;
/// The most who shake hands at one time: they may be anybody. Those above are cut off.
pub const HANDSHAKES_MAX: usize = 128;
/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may leave what was sent to it without acknowledgement.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to take in that there is no room.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Answers here until the server is to stop and what was begun has ended.
pub async fn serve(
    listener: TcpListener,
    certificates: InUse,
    server: Server,
    metrics: Metrics,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let strangers = Arc::new(Strangers::new(metrics));
    let let_in = |(stream, peer): (TcpStream, SocketAddr)| {
        let Ok(turn) = Arc::clone(&handshakes).try_acquire_owned() else {
            strangers.note(Stranger::TooMany, peer);
            return None;
        };
        let acceptor = TlsAcceptor::from(certificates.config());
        let (server, places) = (server.clone(), Arc::clone(&places));
        let strangers = Arc::clone(&strangers);
        Some(async move {
            let shaken = shake_hands(stream, peer, &acceptor, &server.roles).await;
            drop(turn);
            match shaken {
                Ok((stream, caller, left)) => talk(stream, caller, left, &server, &places).await,
                Err(stranger) => strangers.note(stranger, peer),
            }
        })
    };
    server.receive(listener, let_in).await
}

impl Listener for TcpListener {
    type Connection = (TcpStream, SocketAddr);

    async fn accept(&self) -> io::Result<Self::Connection> {
        self.accept().await
    }
}

/// Finds out who connected, and for how long their certificate is good.
async fn shake_hands(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &TlsAcceptor,
    roles: &RoleTable,
) -> Result<(TlsStream<TcpStream>, Caller, Duration), Stranger> {
    prepare(&stream)?;
    let shaken = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    let stream = shaken.map_err(|_| Stranger::TooSlow)??;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let presented = certificates.first().ok_or(Stranger::NoCertificate)?;
    let presented = Presented::read(presented).map_err(|_| Stranger::BadCertificate)?;
    let left = time_left(presented.expiry).ok_or(Stranger::Expired)?;
    let standing = roles.of_certificate(&presented.names);
    let Presented { names, fingerprint, .. } = presented;
    let identity = Identity::Certificate { names, fingerprint, peer };
    Ok((stream, Caller { identity, standing }, left))
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let unacknowledged = u32::try_from(PEER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(stream, unacknowledged)?)
}

fn time_left(expiry: i64) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(u64::try_from(expiry).ok()?).checked_sub(now)
}

/// Answers a caller's requests, until their certificate ends at the latest: what is under way then
/// goes on, and its reply is lost.
async fn talk(
    mut stream: TlsStream<TcpStream>,
    caller: Caller,
    left: Duration,
    server: &Server,
    places: &Semaphore,
) {
    let Ok(_place) = places.try_acquire() else {
        let last_words = async {
            stream.write_all(no_room(CONNECTIONS_MAX).as_bytes()).await?;
            stream.shutdown().await
        };
        // They are told if they listen.
        let _ = timeout(LAST_WORDS, last_words).await;
        return;
    };
    if timeout(left, server.converse(stream, caller)).await.is_err() {
        debug!("an API connection ended with its certificate");
    }
}
