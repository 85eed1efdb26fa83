//! Tells a control plane of live connections: on every change, as heartbeat, and until it is heard.
//!
//! A message is made of the newest state when it begins, and one is under way at a time: a receiver
//! that is down, slow or out of its mind costs one connection and one message's memory, and nobody
//! waits for it.

mod key;
mod name;
mod receiver;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use egress_core::backoff::Backoff;
use egress_core::report::{FORMAT, Report, Schedule, Sequence, sign};
use egress_core::secret::Secret;
use futures_util::FutureExt as _;
use futures_util::future::Fuse;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::key::KeyError;
pub use self::name::NameError;
pub use self::receiver::ReceiverError;
use self::receiver::{Message, Receiver};
use crate::config;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::telemetry::chain;

/// The first wait after a failure; later ones grow up to `report.retry_s`.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Why there is nobody who tells.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signing key.
    #[error("take report.key_file")]
    Key(#[from] KeyError),
    /// This host has no name.
    #[error("name this host in reports")]
    Name(#[from] NameError),
    /// The URL or the certificates.
    #[error("set up report.url")]
    Receiver(#[from] ReceiverError),
}

/// Tells one receiver of this host's live connections.
pub struct Reporter {
    settings: config::Report,
    receiver: Receiver,
    key: Secret<Vec<u8>>,
    host_id: String,
    boot_id: String,
    store: Arc<dyn Store>,
    metrics: Metrics,
}

/// Reads what a reporter would read, and connects to nobody.
pub fn check(settings: &config::Report) -> Result<(), Error> {
    Receiver::new(settings)?;
    key::read(&settings.key_path())?;
    name::of_host(settings)?;
    Ok(())
}

impl Reporter {
    /// A reporter that has said nothing yet; `None` where nobody is to be told. Reads the key and
    /// the certificates, and connects to nobody.
    pub fn new(
        settings: &config::Report,
        boot_id: String,
        store: Arc<dyn Store>,
        metrics: Metrics,
    ) -> Result<Option<Self>, Error> {
        if !settings.is_on() {
            return Ok(None);
        }
        Ok(Some(Self {
            receiver: Receiver::new(settings)?,
            key: key::read(&settings.key_path())?,
            host_id: name::of_host(settings)?,
            settings: settings.clone(),
            boot_id,
            store,
            metrics,
        }))
    }

    /// Tells until `stop`, or until the store is closed.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let (mut catalogs, mut uses) = (self.store.subscribe(), self.store.watch_in_use());
        let mut numbers = Sequence::of_start(self.store.starts());
        let mut schedule = self.schedule(Instant::now());
        let mut sending = pin!(Fuse::terminated());
        loop {
            if schedule.poll_send(Instant::now()) {
                // What has changed until here is in the message.
                catalogs.mark_unchanged();
                uses.mark_unchanged();
                sending.set(self.receiver.take(self.message(&mut numbers)).fuse());
            }
            self.metrics.report_pending.set(schedule.is_pending().into());
            let changed = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = uses.changed() => changed,
                changed = catalogs.changed() => changed,
                result = &mut sending => {
                    self.note(&result, &mut schedule);
                    continue;
                }
                () = until(schedule.poll_timeout()) => continue,
            };
            if changed.is_err() {
                return Ok(());
            }
            schedule.handle_change();
        }
    }

    fn schedule(&self, now: Instant) -> Schedule {
        let seed = since_epoch().subsec_nanos();
        let most = Duration::from_secs(self.settings.retry_s);
        let backoff = Backoff::new(FIRST_RETRY.min(most), most, seed.into());
        Schedule::new(Duration::from_secs(self.settings.heartbeat_s), backoff, now)
    }

    fn message(&self, numbers: &mut Sequence) -> Message {
        let now = since_epoch();
        let report = Report {
            format: FORMAT,
            host_id: self.host_id.clone(),
            boot_id: self.boot_id.clone(),
            sequence: numbers.next_number(),
            sent_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            heartbeat_s: self.settings.heartbeat_s,
            in_use: self.store.connections().only_in_use(),
        };
        let body = serde_json::to_vec(&report).expect("a report has text keys only");
        let timestamp = now.as_secs();
        let signature = sign(&self.key, timestamp, &body);
        Message { timestamp, signature, body: body.into() }
    }

    /// The first failure of a row and its end are told; the ones between are counted.
    fn note(&self, result: &Result<(), ReceiverError>, schedule: &mut Schedule) {
        let was_failing = schedule.is_failing();
        match result {
            Ok(()) => {
                schedule.handle_delivered();
                let now = i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX);
                self.metrics.report_success.set(now);
                if was_failing {
                    info!("report.url takes messages again");
                }
            }
            Err(error) => {
                schedule.handle_failed(Instant::now());
                self.metrics.report_failures.inc();
                if !was_failing {
                    warn!(error = %chain(error), "report.url did not take a message");
                }
            }
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
