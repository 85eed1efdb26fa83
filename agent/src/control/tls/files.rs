//! The files of `[api.tls]`: read, and made into what a handshake works with.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use zeroize::Zeroizing;

use super::presented::Presented;
use crate::config::Tls;
use crate::private_file;
use crate::telemetry::chain;

/// The longest file that is read: a thousand certificates.
const FILE_MAX: usize = 1 << 20;
/// The longest key.
const KEY_MAX: usize = 64 << 10;

/// All that is wrong with the files, as `setting: what is expected`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Faults(pub Vec<String>);

/// The files as they are.
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Vec<u8>,
}

/// What handshakes work with.
#[derive(Debug, Clone)]
pub(super) struct Material {
    pub config: Arc<ServerConfig>,
    /// The last second of the agent's certificate, since the epoch.
    pub expiry: i64,
}

impl Files {
    /// Reads all of them, or says what is wrong with each.
    pub fn read(settings: &Tls) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut note = |setting: &str, fault: String| {
            faults.push(format!("api.tls.{setting}: {fault}"));
            Vec::new()
        };
        let certificate = open(&settings.certificate_file)
            .unwrap_or_else(|fault| note("certificate_file", fault));
        let client_ca =
            open(&settings.client_ca_file).unwrap_or_else(|fault| note("client_ca_file", fault));
        let key = private_file::read(&settings.key_file, KEY_MAX)
            .unwrap_or_else(|error| note("key_file", chain(&error)).into());
        if faults.is_empty() {
            Ok(Self { certificate, key, client_ca })
        } else {
            Err(Faults(faults))
        }
    }

    /// Tells these files from any others.
    pub fn digest(&self) -> [u8; 32] {
        let each = [&self.certificate, &*self.key, &self.client_ca].map(Sha256::digest);
        Sha256::digest(each.concat()).into()
    }

    /// Puts them together, or says what is wrong with each.
    pub fn material(&self, settings: &Tls) -> Result<Material, Faults> {
        let mut faults = Vec::new();
        let mut note = |setting: &str, path: &Path, fault: String| {
            faults.push(format!("api.tls.{setting}: {}: {fault}", path.display()));
        };
        let chain = certificates(&self.certificate)
            .map_err(|fault| note("certificate_file", &settings.certificate_file, fault));
        let roots = roots(&self.client_ca)
            .map_err(|fault| note("client_ca_file", &settings.client_ca_file, fault));
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            note("key_file", &settings.key_file, not_pem(&error, "a private key"));
        });
        let (Ok(chain), Ok(roots), Ok(key)) = (chain, roots, key) else {
            return Err(Faults(faults));
        };
        let expiry = Presented::read(&chain[0]).map(|own| own.expiry);
        expiry
            .map_err(|error| error.to_string())
            .and_then(|expiry| {
                let config = server(chain, key, roots)?;
                Ok(Material { config: Arc::new(config), expiry })
            })
            .map_err(|fault| Faults(vec![format!("api.tls: {fault}")]))
    }
}

fn open(path: &Path) -> Result<Vec<u8>, String> {
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes =
        read().map_err(|error: std::io::Error| format!("read {}: {error}", path.display()))?;
    if bytes.len() > FILE_MAX {
        return Err(format!("{} has more than {FILE_MAX} bytes", path.display()));
    }
    Ok(bytes)
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let read = read.map_err(|error| not_pem(&error, "a certificate"))?;
    if read.is_empty() { Err(no("certificate")) } else { Ok(read) }
}

fn roots(text: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for (nth, certificate) in certificates(text)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| format!("certificate {}: {error}", nth + 1))?;
    }
    Ok(Arc::new(roots))
}

fn not_pem(error: &pem::Error, what: &str) -> String {
    if matches!(error, pem::Error::NoItemsFound) {
        return no(what.trim_start_matches("a "));
    }
    // The text around the fault may be the key's.
    format!("expected {what} in PEM")
}

fn no(what: &str) -> String {
    format!("there is no {what} in it, in PEM")
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
) -> Result<ServerConfig, String> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| format!("client_ca_file: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| {
            format!("certificate_file and key_file do not belong together: {error}")
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is resumed is let in without its certificate being looked at again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
