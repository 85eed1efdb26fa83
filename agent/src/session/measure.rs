//! Reading the counters of every session's tunnel and seal.

use std::collections::BTreeMap;
use std::time::Duration;

use egress_core::id::SessionId;
use egress_dataplane::protocol::TunnelStats;
use futures_util::{StreamExt, stream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;

use super::counters::Measured;
use super::lifeline::{Command, Lifeline};
use super::manager::Manager;
use crate::metrics::Traffic;
use crate::telemetry::chain;

/// Sessions that are asked at one time.
const AT_ONCE: usize = 16;

/// How long a scrape waits for one of them.
const PATIENCE: Duration = Duration::from_secs(1);

impl Manager {
    /// Brings every metric of every session up to date.
    pub async fn measure(&self) {
        let shell = self.shell();
        let metrics = &shell.metrics;
        let lifelines = self.lifelines();
        metrics.count_sessions(lifelines.iter().map(|(_, lifeline)| lifeline.status().view.state));
        metrics.count_connections(&shell.store.connections());
        let stats = match shell.dataplane.stats().await {
            Ok(stats) => stats,
            Err(error) => return debug!(error = %chain(&error), "no counters of the data plane"),
        };
        let stats: BTreeMap<_, _> = stats.into_iter().map(|stats| (stats.tunnel, stats)).collect();
        let mut answers = stream::iter(lifelines).map(ask).buffer_unordered(AT_ONCE);
        while let Some((session, measured)) = answers.next().await {
            // One that is busy is measured with the next scrape.
            let Some(measured) = measured else { continue };
            let stats = measured.tunnel.and_then(|tunnel| stats.get(&tunnel));
            metrics.count_traffic(&session, traffic(stats, measured));
            if let Some(seconds) = stats.and_then(handshake_age) {
                metrics.set_handshake_age(&session, seconds);
            }
        }
    }
}

async fn ask((session, lifeline): (SessionId, Lifeline)) -> (SessionId, Option<Measured>) {
    let (measured_tx, measured_rx) = oneshot::channel();
    let asked = lifeline.commands_tx.try_send(Command::Measure(measured_tx)).is_ok();
    let measured = if asked { timeout(PATIENCE, measured_rx).await.ok() } else { None };
    (session, measured.and_then(Result::ok).flatten())
}

fn traffic(stats: Option<&TunnelStats>, measured: Measured) -> Traffic {
    let Measured { sealed, refused, .. } = measured;
    if let Some(device) = measured.device {
        return Traffic {
            rx_bytes: device.rx_bytes,
            rx_packets: device.rx_packets,
            tx_bytes: device.tx_bytes,
            tx_packets: device.tx_packets,
            dropped: device.dropped,
            sealed,
            refused,
        };
    }
    let stats = stats.cloned().unwrap_or_default();
    let drops = stats.drops;
    Traffic {
        rx_bytes: stats.rx_bytes,
        rx_packets: stats.rx_packets,
        tx_bytes: stats.tx_bytes,
        tx_packets: stats.tx_packets,
        dropped: drops.no_peer + drops.source + drops.invalid + drops.io,
        sealed,
        refused,
    }
}

fn handshake_age(stats: &TunnelStats) -> Option<f64> {
    let newest = stats.peers.iter().filter_map(|peer| peer.handshake_age_ms).min()?;
    #[expect(clippy::cast_precision_loss, reason = "an age of 2^52 ms does not come up")]
    Some(newest as f64 / 1e3)
}
