//! Which certificates the other side's must lead to.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem};
use tokio_rustls::rustls::{self, RootCertStore};

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("read certificates from {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The file has a certificate that nothing can lead to.
    #[error("take a certificate of {}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// There are none.
    #[error("there are no certificates in {place}: install ca-certificates or name a file")]
    Nothing {
        /// Where there are none.
        place: String,
    },
}

/// The certificates of a file in PEM; the system's where the path is empty.
pub fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let place = if path.as_os_str().is_empty() {
        // Single ones that do not read are the system's affair.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        "this system".to_owned()
    } else {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
            let refused = |source| Error::Certificate { path: path.to_owned(), source };
            roots.add(certificate.map_err(failed)?).map_err(refused)?;
        }
        path.display().to_string()
    };
    if roots.is_empty() { Err(Error::Nothing { place }) } else { Ok(roots) }
}
