//! Connecting over TCP, with a certificate or without.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::authority::{Authority, Issued};
use crate::config::Tls;

/// The settings of a server whose files are in `dir`.
pub fn settings(dir: &Path) -> Tls {
    Tls {
        listen: "127.0.0.1:0".into(),
        certificate_file: dir.join("server.pem"),
        key_file: dir.join("server.key"),
        client_ca_file: dir.join("client-ca.pem"),
        ..Tls::default()
    }
}

/// Somebody who trusts an authority, and has a certificate or none.
#[derive(Clone)]
pub struct Visitor(TlsConnector);

impl Visitor {
    pub fn new(trusts: &Authority, has: Option<&Issued>) -> Self {
        Self::speaking(&version::TLS13, trusts, has)
    }

    pub fn speaking(
        version: &'static SupportedProtocolVersion,
        trusts: &Authority,
        has: Option<&Issued>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&trusts.certificate())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match has {
            None => config.with_no_client_auth(),
            Some(has) => {
                let key = PrivateKeyDer::from_pem_slice(has.key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate(&has.certificate)], key).unwrap()
            }
        };
        Self(TlsConnector::from(Arc::new(config)))
    }

    pub async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::from(address.ip());
        self.0.connect(name, TcpStream::connect(address).await?).await
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}
