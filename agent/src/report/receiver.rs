//! One message to the receiver: a connection of its own, bounded in time and size.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode, Uri, header, uri::InvalidUri};
use bytes::Bytes;
use egress_core::report::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{self, ClientConfig};

use crate::{config, trust};

/// How long a connection may take to stand, within the message's own time.
const CONNECT: Duration = Duration::from_secs(3);
/// The most bytes of an answer that are read: its head. What follows is not.
const ANSWER_MAX: usize = 16 << 10;

/// Why a message was not taken, or why none can be.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// The URL does not parse.
    #[error("{url:?} is no http or https URL")]
    Url {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: Option<InvalidUri>,
    },
    /// The host's name cannot be in a certificate.
    #[error("{host:?} is no name that a certificate can have")]
    Name {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: InvalidDnsNameError,
    },
    /// The certificates of `report.ca_file`.
    #[error("take report.ca_file")]
    Trust(#[from] trust::Error),
    /// TLS.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
    /// No connection.
    #[error("connect to {host}:{port}")]
    Connect {
        /// Where.
        host: String,
        /// Where.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What answers does not speak HTTP, or hung up.
    #[error("the receiver's answer is none")]
    Protocol(#[from] hyper::Error),
    /// It answered something else than 2xx. Redirects are not followed.
    #[error("the receiver answered {0}")]
    Refused(StatusCode),
    /// No answer in time.
    #[error("the receiver did not answer within {} s", .0.as_secs())]
    Slow(Duration),
}

/// A signed message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// Over both others.
    pub signature: String,
    /// JSON.
    pub body: Bytes,
}

/// Where messages go.
pub struct Receiver {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    patience: Duration,
}

impl Receiver {
    /// The receiver at `report.url`. Reads certificates, and connects to nobody.
    pub fn new(settings: &config::Report) -> Result<Self, ReceiverError> {
        let bad = |source| ReceiverError::Url { url: settings.url.clone(), source };
        let uri: Uri = settings.url.parse().map_err(|source| bad(Some(source)))?;
        let host = uri.host().ok_or_else(|| bad(None))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (secure, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            Some(_) | None => return Err(bad(None)),
        };
        let tls = if secure { Some(tls(&host, &settings.ca_file)?) } else { None };
        let port = uri.port_u16().unwrap_or(port);
        Ok(Self { uri, host, port, tls, patience: Duration::from_secs(settings.timeout_s) })
    }

    /// Sends a message. It is taken when the answer begins with a 2xx status; what follows of the
    /// answer is not read, and the connection is closed.
    pub async fn take(&self, message: Message) -> Result<(), ReceiverError> {
        let in_time = timeout(self.patience, self.deliver(message)).await;
        in_time.unwrap_or(Err(ReceiverError::Slow(self.patience)))
    }

    async fn deliver(&self, message: Message) -> Result<(), ReceiverError> {
        let stream = self.connect().await?;
        let request = self.request(message);
        let Some((connector, name)) = &self.tls else { return post(stream, request).await };
        let stream = connector.connect(name.clone(), stream).await;
        post(stream.map_err(|source| self.unreachable(source))?, request).await
    }

    async fn connect(&self) -> Result<TcpStream, ReceiverError> {
        let connecting = timeout(CONNECT, TcpStream::connect((self.host.as_str(), self.port)));
        let connected = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        connected.map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: io::Error) -> ReceiverError {
        ReceiverError::Connect { host: self.host.clone(), port: self.port, source }
    }

    fn request(&self, message: Message) -> Request<Full<Bytes>> {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        Request::post(path)
            .header(header::HOST, authority)
            .header(header::USER_AGENT, concat!("egress-agent/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header(TIMESTAMP_HEADER, message.timestamp)
            .header(SIGNATURE_HEADER, message.signature)
            .body(Full::new(message.body))
            .expect("what was in a URL is fit for a request")
    }
}

async fn post(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(), ReceiverError> {
    let mut http = http1::Builder::new();
    let handshake = http.max_buf_size(ANSWER_MAX).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    let (mut answer, connection) = (pin!(sender.send_request(request)), pin!(connection));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer?,
        // It hands over its last answer, or its error, when it ends.
        _ = connection => answer.await?,
    };
    if answer.status().is_success() { Ok(()) } else { Err(ReceiverError::Refused(answer.status())) }
}

fn tls(host: &str, ca_path: &Path) -> Result<(TlsConnector, ServerName<'static>), ReceiverError> {
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|source| ReceiverError::Name { host: host.to_owned(), source })?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trust::roots(ca_path)?)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}
