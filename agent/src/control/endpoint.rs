//! Where an agent is, and connecting to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, version};

use crate::{private_file, trust};

/// The port of a URL that names none.
pub const PORT: u16 = 9587;
/// How long to leave a listener alone whose queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// How long a connection elsewhere may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest key.
const KEY_MAX: usize = 64 << 10;

/// Where an agent is.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// On this host, at this socket.
    Socket(PathBuf),
    /// Anywhere.
    Elsewhere(Arc<Elsewhere>),
}

/// An agent that is reached over TCP, and how it is told who calls.
#[derive(Debug)]
pub struct Elsewhere {
    url: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// Why there is no way to an agent elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The URL says no host.
    #[error("{url:?} is not https://HOST or https://HOST:PORT")]
    Url {
        /// The URL.
        url: String,
    },
    /// The caller's certificate.
    #[error("read a certificate from {}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The key's file.
    #[error("read the certificate's key")]
    KeyFile(#[from] private_file::Error),
    /// The key.
    #[error("{} holds no private key in PEM", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// What the agent's certificate must lead to.
    #[error("take the agent's CA")]
    Trust(#[from] trust::Error),
    /// Certificate and key do not belong together, say.
    #[error("use the certificate {}", .path.display())]
    Tls {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// A connection, of whatever kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Endpoint {
    /// Where it is, as people say it.
    pub fn place(&self) -> String {
        match self {
            Self::Socket(path) => path.display().to_string(),
            Self::Elsewhere(there) => there.url.clone(),
        }
    }

    /// Connects. What the other side thinks of our certificate shows with the first reply only.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Socket(path) => Ok(Box::new(connect_socket(path).await?)),
            Self::Elsewhere(there) => {
                let connected = tokio::time::timeout(CONNECT, there.connect()).await;
                connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Elsewhere {
    /// The agent at `https://HOST:PORT`, called with a certificate and its key. The agent's own
    /// must lead to one in `ca_path`; where that is empty, to one of the system's.
    pub fn new(
        url: &str,
        certificate_path: &Path,
        key_path: &Path,
        ca_path: &Path,
    ) -> Result<Self, EndpointError> {
        let (host, port) =
            taken_apart(url).ok_or_else(|| EndpointError::Url { url: url.into() })?;
        let name = ServerName::try_from(host.clone());
        let name = name.map_err(|_| EndpointError::Url { url: url.into() })?;
        let unreadable =
            |source| EndpointError::Certificate { path: certificate_path.into(), source };
        let chain = CertificateDer::pem_file_iter(certificate_path).map_err(unreadable)?;
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let key = private_file::read(key_path, KEY_MAX)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|_| EndpointError::Key { path: key_path.into() })?;
        let refused = |source| EndpointError::Tls { path: certificate_path.into(), source };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(refused)?
            .with_root_certificates(trust::roots(ca_path)?)
            .with_client_auth_cert(chain, key)
            .map_err(refused)?;
        Ok(Self { url: url.to_owned(), host, port, name, config: Arc::new(config) })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        Ok(Box::new(connector.connect(self.name.clone(), stream).await?))
    }
}

fn taken_apart(url: &str) -> Option<(String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority().filter(|it| !it.as_str().contains('@'))?;
    let is_bare = uri.path_and_query().is_none_or(|path| path == "/");
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let fits = uri.scheme_str() == Some("https") && is_bare && !host.is_empty();
    fits.then(|| (host.to_owned(), authority.port_u16().unwrap_or(PORT)))
}

async fn connect_socket(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            // The listener's queue is full; there is no way to wait for room in it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(QUEUE_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_maybe_a_port() {
        let taken = |url| taken_apart(url).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(taken("https://a.example.org").unwrap(), "a.example.org 9587");
        assert_eq!(taken("https://[::1]:99/").unwrap(), "::1 99");
        for url in ["", "a", "http://a", "https://", "https://u@a", "https://a/x", "https://a?x"] {
            assert_eq!(taken(url), None, "{url}");
        }
    }
}
