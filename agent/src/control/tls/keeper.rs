//! Certificates in use, exchanged when their files change.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::files::{Faults, Files, Material};
use crate::config::Tls;
use crate::metrics::Metrics;

/// Keeps what handshakes work with as new as its files.
pub struct Keeper {
    settings: Tls,
    metrics: Metrics,
    /// The files in use.
    digest: [u8; 32],
    /// What was last said of files that cannot be used.
    rejected: Option<Faults>,
    in_use: watch::Sender<Arc<ServerConfig>>,
}

/// What the next handshake works with.
#[derive(Clone)]
pub struct InUse(watch::Receiver<Arc<ServerConfig>>);

impl InUse {
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.borrow())
    }
}

/// Says all that is wrong with the files, and of a certificate that it has expired.
pub fn check(settings: &Tls) -> Result<(), Faults> {
    let material = Files::read(settings)?.material(settings)?;
    if has_expired(&material) { Err(expired(settings)) } else { Ok(()) }
}

impl Keeper {
    /// Reads the files. A certificate that has expired is used, for callers on this host must not
    /// lose the agent over it: others will find it expired, and the log says so.
    pub fn start(settings: Tls, metrics: Metrics) -> Result<Self, Faults> {
        let files = Files::read(&settings)?;
        let material = files.material(&settings)?;
        if has_expired(&material) {
            error!("{}", expired(&settings));
            metrics.tls_rejected.set(1);
        }
        metrics.tls_expiry.set(material.expiry);
        let (in_use, _) = watch::channel(material.config);
        Ok(Self { settings, metrics, digest: files.digest(), rejected: None, in_use })
    }

    /// What handshakes work with, now and later.
    pub fn in_use(&self) -> InUse {
        InUse(self.in_use.subscribe())
    }

    /// Looks at the files again and again, and whenever `reread` says so, until `stop`.
    pub async fn run(
        mut self,
        mut reread: watch::Receiver<()>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let period = Duration::from_secs(self.settings.reload_s);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Ok(()) = reread.changed() => {
                    // Whoever asks is told again.
                    self.rejected = None;
                }
                () = tokio::time::sleep(period) => {}
            }
            self.look().await;
        }
    }

    /// Takes new files into use. Those that cannot be used leave the old in use.
    async fn look(&mut self) {
        let (settings, in_use) = (self.settings.clone(), self.digest);
        let read = tokio::task::spawn_blocking(move || newer(&settings, in_use)).await;
        match read {
            Ok(Ok(None)) => self.accept(),
            Ok(Ok(Some((digest, material)))) => {
                self.digest = digest;
                self.metrics.tls_expiry.set(material.expiry);
                self.in_use.send_replace(material.config);
                info!("the files of [api.tls] were exchanged");
                self.accept();
            }
            Ok(Err(faults)) => self.reject(faults),
            Err(error) => warn!(%error, "read the files of [api.tls]"),
        }
    }

    fn accept(&mut self) {
        self.rejected = None;
        self.metrics.tls_rejected.set(0);
    }

    fn reject(&mut self, faults: Faults) {
        self.metrics.tls_rejected.set(1);
        if self.rejected.as_ref() != Some(&faults) {
            error!(%faults, "the files of [api.tls] cannot be used: those before stay in use");
            self.rejected = Some(faults);
        }
    }
}

/// The material of the files, when they are others than those in use.
fn newer(settings: &Tls, in_use: [u8; 32]) -> Result<Option<([u8; 32], Material)>, Faults> {
    let files = Files::read(settings)?;
    let digest = files.digest();
    if digest == in_use {
        return Ok(None);
    }
    let material = files.material(settings)?;
    if has_expired(&material) { Err(expired(settings)) } else { Ok(Some((digest, material))) }
}

fn has_expired(material: &Material) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(material.expiry).is_ok_and(|expiry| expiry < now.as_secs())
}

fn expired(settings: &Tls) -> Faults {
    let path = settings.certificate_file.display();
    Faults(vec![format!("api.tls.certificate_file: {path} has expired: put a new one there")])
}
