//! Connections: who is at the other end, how many there may be, how long they may take.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use egress_core::api::{Code, Refusal};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;
use tracing::{debug, warn};

use super::agent::Agent;
use super::events::Events;
use super::roles::{Caller, RoleTable};
use super::routes;
use super::shared::Shared;
use crate::config::Roles;

/// The most connections at one time; those above are answered `too_many_connections`.
pub const CONNECTIONS_MAX: usize = 1_024;
/// The most bytes of a request's line and headers.
const HEAD_MAX: usize = 64 << 10;
/// How long a request's head may take to arrive, from the connection's last reply.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reader may take nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to leave the listener alone after it failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The API of one agent.
#[derive(Debug)]
pub struct Server<A> {
    state: Shared<A>,
    roles: RoleTable,
}

impl<A: Agent> Server<A> {
    /// The API of this agent, for those who have a role.
    pub fn new(agent: A, events: Events, roles: &Roles) -> Self {
        let (roles, unknown) = RoleTable::resolve(roles);
        for name in unknown {
            warn!(name, "agent.toml gives a role to a name that this host does not know");
        }
        let state = Shared {
            agent: Arc::new(agent),
            events,
            carried_through: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self { state, roles }
    }
}

/// Answers until `stop`, and then until the calls under way have their replies and what they began
/// has ended: the caller bounds that wait. Dropping the future cuts connections; an attach that is
/// under way goes on for as long as the runtime does.
pub async fn serve<A: Agent>(
    listener: UnixListener,
    server: Server<A>,
    stop: CancellationToken,
) -> io::Result<()> {
    let Server { mut state, roles } = server;
    state.stop = stop.clone();
    let carried_through = state.carried_through.clone();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let door = Door { roles, places, router: routes::router(state), stop: stop.clone() };
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => door.let_in(stream, &mut connections),
            Err(error) => {
                warn!(%error, "accept an API connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    carried_through.close();
    carried_through.wait().await;
    Ok(())
}

/// Where connections come in.
struct Door {
    roles: RoleTable,
    places: Arc<Semaphore>,
    router: Router,
    stop: CancellationToken,
}

impl Door {
    fn let_in(&self, stream: UnixStream, connections: &mut JoinSet<()>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return turn_away(&stream);
        };
        let Some(caller) = identify(&stream, &self.roles) else { return };
        let conversation = converse(stream, caller, self.router.clone(), self.stop.clone());
        connections.spawn(async move {
            conversation.await;
            drop(place);
        });
    }
}

/// Asks the kernel who connected.
fn identify(stream: &UnixStream, roles: &RoleTable) -> Option<Caller> {
    match egress_linux::peer::credentials(stream) {
        Ok(peer) => {
            let mut groups = peer.groups;
            groups.push(peer.gid);
            let pid = i32::try_from(peer.pid).unwrap_or_default();
            Some(Caller { pid, uid: peer.uid, roles: roles.of(peer.uid, &groups) })
        }
        Err(error) => {
            warn!(%error, "ask who connected");
            None
        }
    }
}

/// Answers the requests of one connection, one after another. After `stop` the one under way is
/// the last.
async fn converse(stream: UnixStream, caller: Caller, router: Router, stop: CancellationToken) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let caller = Arc::new(caller);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&caller));
        let reply = router.clone().call(request.map(Body::new));
        async { Ok::<_, Infallible>(reply.await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_MAX)
        .max_buf_size(2 * HEAD_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = if let Some(ended) = stop.run_until_cancelled(connection.as_mut()).await {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = ended {
        debug!(%error, "an API connection ended early");
    }
}

/// Says that there is no room, if that can be said without waiting.
fn turn_away(stream: &UnixStream) {
    let detail = format!("{CONNECTIONS_MAX} API connections are open: try again when some end");
    let problem = Refusal::new(Code::TooManyConnections, detail).problem();
    let body = serde_json::to_string(&problem).expect("a problem has text keys only");
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\n{}: application/problem+json\r\n{}: {}\r\n\
         {}: close\r\n\r\n{body}",
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        body.len(),
        header::CONNECTION,
    );
    if let Err(error) = stream.try_write(reply.as_bytes()) {
        debug!(%error, "turn an API connection away");
    }
}
