//! Reading the counters of every session's tunnel and seal.

use std::collections::BTreeMap;
use std::time::Duration;

use egress_core::api::{SessionState, TrafficView};
use egress_core::id::SessionId;
use egress_dataplane::protocol::{TunnelId, TunnelStats};
use futures_util::{StreamExt, stream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;

use super::counters::{Carrier, Measured};
use super::lifeline::{Command, Lifeline};
use super::manager::Manager;
use crate::metrics::Traffic;
use crate::telemetry::chain;
use crate::tunnel::dataplane::DataplaneError;

/// Sessions that are asked at one time.
const AT_ONCE: usize = 16;

/// Sessions that are asked at one time for no more than what carries them.
const CARRIERS_AT_ONCE: usize = 256;

/// How long one of them is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

impl Manager {
    /// Brings every metric of every session up to date.
    pub async fn measure(&self) {
        let shell = self.shell();
        let metrics = &shell.metrics;
        let lifelines = self.lifelines();
        metrics.count_sessions(lifelines.iter().map(|(_, lifeline)| lifeline.status().view.state));
        let connections = shell.store.connections();
        metrics.count_connections(&connections);
        metrics.info.name_credentials(&connections);
        metrics.info.name_sessions(&self.views());
        let stats = match shell.dataplane.stats().await {
            Ok(stats) => stats,
            Err(error) => return debug!(error = %chain(&error), "no counters of the data plane"),
        };
        let stats: BTreeMap<_, _> = stats.into_iter().map(|stats| (stats.tunnel, stats)).collect();
        let mut answers = stream::iter(lifelines).map(ask).buffer_unordered(AT_ONCE);
        while let Some((session, measured)) = answers.next().await {
            // One that is busy is measured with the next scrape.
            let Some(measured) = measured else { continue };
            let Measured { carrier, sealed, refused } = measured;
            let stats = carrier.tunnel.and_then(|tunnel| stats.get(&tunnel));
            let traffic = Traffic { sealed, refused, ..traffic(stats, carrier) };
            metrics.count_traffic(&session, traffic);
            if let Some(seconds) = stats.and_then(handshake_age) {
                metrics.set_handshake_age(&session, seconds);
            }
        }
    }

    /// What the tunnel of every connected session has carried, by session. One that is busy is
    /// left out.
    pub async fn traffic(&self) -> Result<Vec<TrafficView>, DataplaneError> {
        let stats = self.shell().dataplane.stats().await?;
        let stats: BTreeMap<_, _> = stats.into_iter().map(|stats| (stats.tunnel, stats)).collect();
        let connected = |(_, lifeline): &(SessionId, Lifeline)| {
            lifeline.status().view.state == SessionState::Connected
        };
        let connected = self.lifelines().into_iter().filter(connected);
        let carriers = stream::iter(connected).map(ask_carrier).buffered(CARRIERS_AT_ONCE);
        let traffic =
            carriers.filter_map(async |(session, carrier)| carried(session, carrier?, &stats));
        Ok(traffic.collect().await)
    }
}

async fn ask_carrier((session, lifeline): (SessionId, Lifeline)) -> (SessionId, Option<Carrier>) {
    (session, answer(&lifeline, Command::Carrier).await)
}

fn carried(
    session_id: SessionId,
    carrier: Carrier,
    stats: &BTreeMap<TunnelId, TunnelStats>,
) -> Option<TrafficView> {
    let stats = carrier.tunnel.and_then(|tunnel| stats.get(&tunnel));
    if carrier.device.is_none() && stats.is_none() {
        return None;
    }
    let counted = traffic(stats, carrier);
    Some(TrafficView {
        session_id,
        handshake_age_s: stats.and_then(handshake_age),
        received_bytes: counted.rx_bytes,
        sent_bytes: counted.tx_bytes,
        dropped_packets: counted.dropped,
    })
}

async fn ask((session, lifeline): (SessionId, Lifeline)) -> (SessionId, Option<Measured>) {
    (session, answer(&lifeline, Command::Measure).await.flatten())
}

/// What a driver says to a question; `None` from one that is busy.
async fn answer<T>(
    lifeline: &Lifeline,
    question: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Option<T> {
    let (answer_tx, answer_rx) = oneshot::channel();
    lifeline.commands_tx.try_send(question(answer_tx)).ok()?;
    timeout(PATIENCE, answer_rx).await.ok()?.ok()
}

/// What a tunnel has carried; what the seal counts is not among it.
fn traffic(stats: Option<&TunnelStats>, carrier: Carrier) -> Traffic {
    if let Some(device) = carrier.device {
        return Traffic {
            rx_bytes: device.rx_bytes,
            rx_packets: device.rx_packets,
            tx_bytes: device.tx_bytes,
            tx_packets: device.tx_packets,
            dropped: device.dropped,
            ..Traffic::default()
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
        ..Traffic::default()
    }
}

fn handshake_age(stats: &TunnelStats) -> Option<f64> {
    let newest = stats.peers.iter().filter_map(|peer| peer.handshake_age_ms).min()?;
    #[expect(clippy::cast_precision_loss, reason = "an age of 2^52 ms does not come up")]
    Some(newest as f64 / 1e3)
}
