//! Connections, wherever they come in: how long they may take, and how they end.

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
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;
use tracing::{debug, warn};

use super::agent::Agent;
use super::budget::SharedBudget;
use super::caller::Caller;
use super::events::Events;
use super::places::{Full, Place, Refused};
use super::roles::RoleTable;
use super::routes;
use super::shared::Shared;
use crate::config::Roles;

/// The most bytes of a request's line and headers.
const HEAD_MAX: usize = 32 << 10;
/// How long a request's head may take to arrive, from the connection's last reply.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reader may take nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused connection may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to leave the listener alone after it failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The API of one agent. A clone is the same API, for another door.
#[derive(Debug, Clone)]
pub struct Server {
    router: Router,
    pub(super) roles: Arc<RoleTable>,
    pub(super) budget: Arc<SharedBudget>,
    carried_through: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    /// The API of this agent, for those who have a role, until `stop`.
    pub fn new<A: Agent>(agent: A, events: Events, roles: &Roles, stop: CancellationToken) -> Self {
        let (roles, unknown) = RoleTable::resolve(roles);
        for name in unknown {
            warn!(name, "agent.toml gives a role to a name that this host does not know");
        }
        let carried_through = TaskTracker::new();
        let state = Shared {
            agent: Arc::new(agent),
            events,
            carried_through: carried_through.clone(),
            stop: stop.clone(),
        };
        Self {
            router: routes::router(state),
            roles: Arc::new(roles),
            budget: SharedBudget::new(),
            carried_through,
            stop,
        }
    }

    /// Takes connections until the server is to stop, and then waits until the calls under way
    /// have their replies and what they began has ended: the caller bounds that wait. `let_in`
    /// says what becomes of a connection, without waiting. Dropping the future cuts connections;
    /// an attach that is under way goes on for as long as the runtime does.
    pub(super) async fn receive<L: Listener, C>(
        &self,
        listener: L,
        mut let_in: impl FnMut(L::Connection) -> Option<C>,
    ) -> io::Result<()>
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok(connection) => {
                    let_in(connection).map(|conversation| connections.spawn(conversation));
                }
                Err(error) => {
                    warn!(%error, "accept an API connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
        self.carried_through.close();
        self.carried_through.wait().await;
        Ok(())
    }

    /// Answers the requests of one connection, one after another. When the server is to stop, the
    /// one under way is the last.
    pub(super) fn converse<S>(
        &self,
        stream: S,
        caller: Caller,
        place: Place,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (router, stop) = (self.router.clone(), self.stop.clone());
        let caller = Arc::new(caller);
        let budget = Arc::clone(&place.budget);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&caller));
            request.extensions_mut().insert(Arc::clone(&budget));
            let reply = router.clone().call(request.map(Body::new));
            async { Ok::<_, Infallible>(reply.await.unwrap_or_else(|never| match never {})) }
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_header_size(HEAD_MAX)
            .max_buf_size(2 * HEAD_MAX)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        async move {
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
            drop(place);
        }
    }
}

/// Where connections come in.
pub(super) trait Listener {
    /// One of them.
    type Connection;

    /// The next one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// Tells a connection that there is no room for it, and waits until that was read: a connection
/// that is closed with bytes unread breaks under its peer, and the reply is lost.
pub(super) async fn refuse<S>(mut stream: S, full: Full, refused: Refused)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let read = async {
        stream.write_all(no_room(full).as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(HEAD_MAX as u64), &mut tokio::io::sink()).await
    };
    // A peer that does not read it in time has hung up.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, read).await;
    drop(refused);
}

/// The whole reply to a connection that there is no room for.
pub(super) fn no_room(full: Full) -> String {
    let detail = match full {
        Full::Listener(most) => format!("{most} API connections are open: try again later"),
        Full::Caller(most) => format!(
            "this caller has {most} API connections open, and no caller may have more: close some"
        ),
    };
    let problem = Refusal::new(Code::TooManyConnections, detail).problem();
    let body = serde_json::to_string(&problem).expect("a problem has text keys only");
    format!(
        "HTTP/1.1 503 Service Unavailable\r\n{}: application/problem+json\r\n{}: {}\r\n\
         {}: close\r\n\r\n{body}",
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        body.len(),
        header::CONNECTION,
    )
}
