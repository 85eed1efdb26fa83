//! A client of the API: one connection a call.

mod filter;

use std::io;
use std::path::Path;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use egress_core::api::{
    ApplyReport, AttachRequest, BODY_MAX, CATALOG_BODY_MAX, ConnectionList, CredentialList,
    GatewayList, GatewayRef, KeyRotation, MappingList, OfferList, OnSessions, Problem,
    ProviderList, PushReport, Removed, SessionList, SessionView, StatusView, TimedEvent,
    TrafficList, WorkspaceList, Written,
};
use egress_core::catalog::{RecordId, RecordKind, Subject};
use egress_core::id::{GatewayId, ProviderId, SessionId};
use eventsource_stream::Eventsource;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, BodyStream, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_rustls::rustls;

pub use self::filter::Filter;
use super::agent::{ApplyMode, Attached, DeleteMode, Fields};
use super::calls::Call;
use super::endpoint::Endpoint;
use super::events::Numbered;
use super::records::in_path;

/// How long a call other than an attach may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a push may take.
const CATALOG_PATIENCE: Duration = Duration::from_mins(2);
/// How much later than an attach's own deadline its reply may come.
const ATTACH_GRACE: Duration = Duration::from_secs(15);
/// The longest reply: a catalog of 100,000 gateways.
const REPLY_MAX: usize = 64 << 20;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers there.
    #[error("no agent answers at {place}")]
    NoDaemon {
        /// The socket or URL.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket's mode keeps this user out.
    #[error("this user may not use {place}")]
    Denied {
        /// The socket.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One side does not take the other's certificate.
    #[error("no trust between here and {place}")]
    Distrust {
        /// The URL.
        place: String,
        /// Who does not trust whom.
        #[source]
        source: rustls::Error,
    },
    /// The agent answered with a problem document.
    #[error("{}: {}", .0.code.as_str(), .0.detail)]
    Refused(Box<Problem>),
    /// The request has more bytes than the call takes, so it was not sent.
    #[error("the request has {bytes} bytes, over the {most} that the API takes")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// [`BODY_MAX`], or [`CATALOG_BODY_MAX`] for an apply or a push.
        most: usize,
    },
    /// What answered does not speak this API.
    #[error("{call}: the agent's answer cannot be read")]
    Protocol {
        /// Method and path.
        call: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{call}: no answer within {} s", .after.as_secs())]
    Timeout {
        /// Method and path.
        call: String,
        /// How long was waited.
        after: Duration,
    },
}

/// A client of one agent.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
}

/// A request with its answer to the gateway's question, which it does not tell by itself.
#[derive(Serialize)]
struct Spoken<'a> {
    #[serde(flatten)]
    request: &'a AttachRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge_response: Option<&'a str>,
}

impl<'a> Spoken<'a> {
    fn new(request: &'a AttachRequest) -> Self {
        let answer = request.challenge_response.as_ref();
        Self { request, challenge_response: answer.map(|answer| answer.expose().as_str()) }
    }
}

impl Client {
    /// A client of the agent at this socket. Connects with each call, not now.
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self::of(Endpoint::Socket(socket.as_ref().to_owned()))
    }

    /// A client of the agent there. Connects with each call, not now.
    pub fn of(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// Gives a container its egress; waits as long as the request's own deadline and a little.
    pub async fn attach(&self, request: &AttachRequest) -> Result<Attached, Error> {
        let patience = Duration::from_millis(request.deadline_ms) + ATTACH_GRACE;
        let ask =
            Ask::new(Method::POST, "/v1/sessions".to_owned()).with_json(&Spoken::new(request));
        let (status, session) = self.ask_within(patience, ask).await?;
        Ok(Attached { session, created: status == StatusCode::CREATED })
    }

    /// Ends a session; with `release` the container's seal goes too.
    pub async fn detach(&self, id: &SessionId, release: bool) -> Result<SessionView, Error> {
        let path = format!("/v1/sessions/{id}?release={release}");
        self.ask(Ask::new(Method::DELETE, path)).await
    }

    /// One session.
    pub async fn session(&self, id: &SessionId) -> Result<SessionView, Error> {
        self.get(format!("/v1/sessions/{id}")).await
    }

    /// The sessions that a filter leaves, by the parameters of `GET /v1/sessions`.
    pub async fn sessions_where(&self, filter: &Filter) -> Result<SessionList, Error> {
        self.get(filter.target("/v1/sessions")).await
    }

    /// Every session.
    pub async fn sessions(&self) -> Result<SessionList, Error> {
        self.get("/v1/sessions".to_owned()).await
    }

    /// The launch menu; with `explain` also what is hidden, and why.
    pub async fn offers(&self, subject: &Subject, explain: bool) -> Result<OfferList, Error> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(subject.user.iter().map(|user| ("user", user)));
        query.extend_pairs(subject.groups.iter().map(|group| ("groups", group)));
        query.extend_pairs(subject.workspace.iter().map(|workspace| ("workspace", workspace)));
        query.append_pair("explain", if explain { "1" } else { "0" });
        self.get(format!("/v1/offers?{}", query.finish())).await
    }

    /// The gateway meant by an id, `provider/name` or a unique name.
    pub async fn gateway_by_name(&self, name: &str) -> Result<GatewayId, Error> {
        let asked = Filter::default().with("name", Some(name));
        let found: GatewayRef = self.get(asked.target("/v1/gateways:resolve")).await?;
        Ok(found.id)
    }

    /// Health of the agent, its parts and its host.
    pub async fn status(&self) -> Result<StatusView, Error> {
        self.get("/v1/status".to_owned()).await
    }

    /// Live connections of each credential, account and key.
    pub async fn connections(&self) -> Result<ConnectionList, Error> {
        self.get("/v1/connections".to_owned()).await
    }

    /// What each session's tunnel has carried.
    pub async fn traffic(&self) -> Result<TrafficList, Error> {
        self.get("/v1/traffic".to_owned()).await
    }

    /// Adds and changes catalog records.
    pub async fn apply(
        &self,
        document: &impl Serialize,
        mode: ApplyMode,
    ) -> Result<ApplyReport, Error> {
        let ApplyMode { dry_run, prune, on_sessions } = mode;
        let sessions = word(on_sessions);
        let path = format!("/v1/catalog:apply?dry_run={dry_run}&prune={prune}&sessions={sessions}");
        let ask = Ask { most: CATALOG_BODY_MAX, ..Ask::new(Method::POST, path) };
        self.ask_within(CATALOG_PATIENCE, ask.with_json(document)).await.map(|(_, report)| report)
    }

    /// Pushes the snapshot of a plugin service, as JSON.
    pub async fn push(
        &self,
        provider: ProviderId,
        snapshot: Vec<u8>,
        dry_run: bool,
    ) -> Result<PushReport, Error> {
        let path = format!("/v1/providers/{provider}/managed-gateways?dry_run={dry_run}");
        let body = Bytes::from(snapshot);
        let ask = Ask { body, most: CATALOG_BODY_MAX, ..Ask::new(Method::PUT, path) };
        self.ask_within(CATALOG_PATIENCE, ask).await.map(|(_, report)| report)
    }

    /// Every provider.
    pub async fn providers(&self) -> Result<ProviderList, Error> {
        self.get("/v1/providers".to_owned()).await
    }

    /// Every gateway.
    pub async fn gateways(&self) -> Result<GatewayList, Error> {
        self.get("/v1/gateways".to_owned()).await
    }

    /// Every mapping.
    pub async fn mappings(&self) -> Result<MappingList, Error> {
        self.get("/v1/mappings".to_owned()).await
    }

    /// Every credential.
    pub async fn credentials(&self) -> Result<CredentialList, Error> {
        self.get("/v1/credentials".to_owned()).await
    }

    /// Every workspace.
    pub async fn workspaces(&self) -> Result<WorkspaceList, Error> {
        self.get("/v1/workspaces".to_owned()).await
    }

    /// A copy of the store, in pieces. One that was cut short ends in an error.
    pub async fn backup(
        &self,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + Unpin + use<>, Error> {
        let ask = Ask::new(Method::POST, "/v1/store:backup".to_owned());
        let call = ask.name();
        let body = within(PATIENCE, &call.clone(), self.send(ask)).await?.1;
        let pieces = BodyStream::new(body).try_filter_map(async |frame| Ok(frame.into_data().ok()));
        Ok(pieces
            .map_err(move |source| Error::Protocol { call: call.clone(), source: source.into() })
            .boxed())
    }

    /// Seals the store's secrets with another master key.
    pub async fn rotate_key(&self) -> Result<KeyRotation, Error> {
        self.ask(Ask::new(Method::POST, "/v1/store:rotate-key".to_owned())).await
    }

    /// One record, and its version.
    pub async fn record<T: DeserializeOwned>(&self, record: &RecordId) -> Result<T, Error> {
        self.get(path_of(record)).await
    }

    /// Every record of a kind, as the agent lists it.
    pub async fn records<T: DeserializeOwned>(
        &self,
        kind: RecordKind,
        filter: &Filter,
    ) -> Result<T, Error> {
        self.get(filter.target(Call::Create(kind).path())).await
    }

    /// Makes a record of these fields.
    pub async fn create<T: DeserializeOwned>(
        &self,
        kind: RecordKind,
        fields: &Fields,
    ) -> Result<Written<T>, Error> {
        let ask = Ask::new(Method::POST, Call::Create(kind).path().to_owned());
        self.ask(ask.with_json(fields)).await
    }

    /// Replaces these fields of a record; without a version whichever it has.
    pub async fn update<T: DeserializeOwned>(
        &self,
        record: &RecordId,
        patch: &Fields,
        version: Option<u64>,
        on_sessions: OnSessions,
    ) -> Result<Written<T>, Error> {
        let target = format!("{}?sessions={}", path_of(record), word(on_sessions));
        self.ask(Ask::new(Method::PATCH, target).with_json(patch).if_match(version)).await
    }

    /// Takes a record away; without a version whichever it has.
    pub async fn delete(
        &self,
        record: &RecordId,
        version: Option<u64>,
        mode: DeleteMode,
    ) -> Result<Removed, Error> {
        let DeleteMode { cascade, on_sessions } = mode;
        let sessions = word(on_sessions);
        let path = format!("{}?cascade={cascade}&sessions={sessions}", path_of(record));
        self.ask(Ask::new(Method::DELETE, path).if_match(version)).await
    }

    /// What happens from now on, or after the event of this id. The stream ends when the agent
    /// does; call again with the last id to go on.
    pub async fn events(
        &self,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Result<Numbered, Error>> + Send + Unpin + use<>, Error> {
        let mut ask = Ask::new(Method::GET, "/v1/events".to_owned());
        ask.last_event_id = after;
        let call = ask.name();
        let body = within(PATIENCE, &ask.name(), self.send(ask)).await?.1;
        let frames = BodyStream::new(body)
            .try_filter_map(async |frame| Ok(frame.into_data().ok()))
            .eventsource();
        Ok(frames
            .map(move |event| {
                let unreadable = |source| Error::Protocol { call: call.clone(), source };
                let event = event.map_err(|source| unreadable(source.into()))?;
                numbered(&event).map_err(unreadable)
            })
            .boxed())
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, Error> {
        self.ask(Ask::new(Method::GET, path)).await
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Error> {
        self.ask_within(PATIENCE, ask).await.map(|(_, reply)| reply)
    }

    async fn ask_within<T: DeserializeOwned>(
        &self,
        patience: Duration,
        ask: Ask,
    ) -> Result<(StatusCode, T), Error> {
        let call = ask.name();
        let reply = async {
            let (status, body) = self.send(ask).await?;
            let reply = read(&call, body).await?;
            Ok((status, reply))
        };
        within(patience, &call, reply).await
    }

    /// Sends a request and gives the status and body of a reply that is not a refusal.
    async fn send(&self, ask: Ask) -> Result<(StatusCode, Incoming), Error> {
        let call = ask.name();
        if ask.body.len() > ask.most {
            return Err(Error::TooLarge { bytes: ask.body.len(), most: ask.most });
        }
        let stream = self.endpoint.connect().await.map_err(|error| self.unreachable(error))?;
        let broken = |source| self.broken(&call, source);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(e.into()))?;
        // Ends with the reply's body; its errors come out of that body too.
        tokio::spawn(connection);
        let request = ask.into_request().map_err(|e| broken(e.into()))?;
        let reply = sender.send_request(request).await.map_err(|e| broken(e.into()))?;
        let status = reply.status();
        if status.is_success() {
            return Ok((status, reply.into_body()));
        }
        Err(Error::Refused(Box::new(read(&call, reply.into_body()).await?)))
    }

    fn unreachable(&self, source: io::Error) -> Error {
        let place = self.endpoint.place();
        if let Some(source) = distrust(&source) {
            return Error::Distrust { place, source };
        }
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Error::Denied { place, source };
        }
        Error::NoDaemon { place, source }
    }

    /// Why there is no answer on a connection that stands. An agent that does not take our
    /// certificate says so here, and not before.
    fn broken(&self, call: &str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        match distrust(source.as_ref()) {
            Some(source) => Error::Distrust { place: self.endpoint.place(), source },
            None => Error::Protocol { call: call.to_owned(), source },
        }
    }
}

/// What TLS has against the other side, somewhere below an error.
fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(rustls::Error::clone(found));
        }
        cause = error.source();
    }
    None
}

/// A request on its way.
struct Ask {
    method: Method,
    path: String,
    body: Bytes,
    /// The most bytes that the body may have.
    most: usize,
    last_event_id: Option<u64>,
    if_match: Option<String>,
}

impl Ask {
    fn new(method: Method, path: String) -> Self {
        let body = Bytes::new();
        Self { method, path, body, most: BODY_MAX, last_event_id: None, if_match: None }
    }

    fn with_json(mut self, body: &impl Serialize) -> Self {
        let json = serde_json::to_vec(body).expect("our requests have text keys only");
        self.body = Bytes::from(json);
        self
    }

    fn if_match(mut self, version: Option<u64>) -> Self {
        self.if_match =
            Some(version.map_or_else(|| "*".to_owned(), |version| format!("\"{version}\"")));
        self
    }

    fn name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }

    fn into_request(self) -> Result<Request<Full<Bytes>>, axum::http::Error> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(header::HOST, "egress-agent");
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(id) = self.last_event_id {
            request = request.header("last-event-id", id);
        }
        if let Some(tag) = self.if_match {
            request = request.header(header::IF_MATCH, tag);
        }
        request.body(Full::new(self.body))
    }
}

fn path_of(record: &RecordId) -> String {
    format!("{}/{}", Call::Create(record.kind()).path(), in_path(record))
}

fn word(on_sessions: OnSessions) -> &'static str {
    match on_sessions {
        OnSessions::Drain => "drain",
        OnSessions::Cut => "cut",
    }
}

async fn within<T>(
    patience: Duration,
    call: &str,
    reply: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(patience, reply)
        .await
        .map_err(|_| Error::Timeout { call: call.to_owned(), after: patience })?
}

async fn read<T: DeserializeOwned>(call: &str, body: Incoming) -> Result<T, Error> {
    let broken = |source| Error::Protocol { call: call.to_owned(), source };
    let bytes = Limited::new(body, REPLY_MAX).collect().await.map_err(broken)?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|source| broken(source.into()))
}

fn numbered(
    event: &eventsource_stream::Event,
) -> Result<Numbered, Box<dyn std::error::Error + Send + Sync>> {
    let id = event.id.parse()?;
    let event: TimedEvent = serde_json::from_str(&event.data)?;
    Ok(Numbered { id, event })
}
