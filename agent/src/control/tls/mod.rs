//! The door for callers elsewhere: TCP, with a certificate on both ends.

mod files;
mod keeper;
mod presented;
mod stranger;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
use super::places::Places;
use super::roles::RoleTable;
use super::server::{Listener, Server, refuse};
use crate::metrics::Metrics;

/// The most connections at one time. One caller has at most half of them; those above are
/// answered `too_many_connections`.
pub const CONNECTIONS_MAX: usize = 256;
/// The most who shake hands at one time: they may be anybody. Those above are cut off.
pub const HANDSHAKES_MAX: usize = 128;
/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may leave what was sent to it without acknowledgement.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers here until the server is to stop and what was begun has ended.
pub async fn serve(
    listener: TcpListener,
    certificates: InUse,
    server: Server,
    metrics: Metrics,
) -> io::Result<()> {
    let places = Places::new(CONNECTIONS_MAX, Arc::clone(&server.budget));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let strangers = Arc::new(Strangers::new(metrics));
    let let_in = |(stream, peer): (TcpStream, SocketAddr)| {
        let Ok(turn) = Arc::clone(&handshakes).try_acquire_owned() else {
            strangers.note(Stranger::TooMany, peer);
            return None;
        };
        let acceptor = TlsAcceptor::from(certificates.config());
        let (server, places) = (server.clone(), places.clone());
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
    if !presented.for_clients {
        return Err(Stranger::BadCertificate);
    }
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
    stream: TlsStream<TcpStream>,
    caller: Caller,
    left: Duration,
    server: &Server,
    places: &Places,
) {
    let place = match places.take(&caller) {
        Ok(place) => place,
        Err(full) => {
            let Some(refused) = places.refuse(&caller) else { return };
            return refuse(stream, full, refused).await;
        }
    };
    if timeout(left, server.converse(stream, caller, place)).await.is_err() {
        debug!("an API connection ended with its certificate");
    }
}
