//! Why somebody who connected never became a caller.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{CertificateError, Error};
use tracing::info;

use crate::metrics::Metrics;

/// How often strangers are told of in the log; all are counted.
const PAUSE: Duration = Duration::from_secs(1);

/// Why somebody who connected never became a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// No certificate.
    NoCertificate,
    /// One that has expired, or is not valid yet.
    Expired,
    /// One that does not lead to `client_ca_file`, or is not for clients.
    BadCertificate,
    /// What came is not TLS.
    NotTls,
    /// No version or cipher in common.
    Incompatible,
    /// They hung up, or did not like the agent's certificate.
    HungUp,
    /// They took too long.
    TooSlow,
    /// Too many shake hands already.
    TooMany,
}

impl Stranger {
    /// As it stands in logs and metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Expired => "expired",
            Self::BadCertificate => "bad_certificate",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::HungUp => "hung_up",
            Self::TooSlow => "too_slow",
            Self::TooMany => "too_many",
        }
    }
}

impl From<io::Error> for Stranger {
    fn from(error: io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
            return Self::HungUp;
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "rustls has dozens, and may get more")]
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::Expired,
            Error::InvalidCertificate(_) => Self::BadCertificate,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::AlertReceived(_) => Self::HungUp,
            _ => Self::NotTls,
        }
    }
}

/// Counts strangers, and tells of some.
pub(super) struct Strangers {
    metrics: Metrics,
    told: Mutex<(Option<Instant>, u64)>,
}

impl Strangers {
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, told: Mutex::default() }
    }

    pub fn note(&self, stranger: Stranger, peer: SocketAddr) {
        let reason = stranger.as_str();
        self.metrics.tls_refused.with_label_values(&[reason]).inc();
        let (last, untold) = &mut *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            *untold += 1;
            return;
        }
        info!(target: "audit", %peer, reason, untold = *untold, "API connection of a stranger");
        (*last, *untold) = (Some(Instant::now()), 0);
    }
}
