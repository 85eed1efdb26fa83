//! Every metric, declared in one place.
//!
//! The label `session` stands only on what ends with its session, and is bounded by
//! `sessions.limit`; all other labels are enums or ids of the catalog.

mod info;
mod process;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use egress_core::api::{Code, ConnectionList, PushReport, Refusal, SessionState, Timings};
use egress_core::id::SessionId;
use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use self::info::Info;
use self::process::ProcessMetrics;

/// Milliseconds to minutes: where an attach's steps lie.
const ATTACH_BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// An account's labels: its provider's id, and the account as credentials name it.
const ACCOUNT: [&str; 2] = ["provider", "account"];

/// What a session has carried since its tunnel was added; never falls while that stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes to the container.
    pub rx_bytes: u64,
    /// Packets to the container.
    pub rx_packets: u64,
    /// Bytes from the container.
    pub tx_bytes: u64,
    /// Packets from the container.
    pub tx_packets: u64,
    /// Packets that the data plane dropped.
    pub dropped: u64,
    /// Packets that the seal kept from leaving outside the tunnel.
    pub sealed: u64,
    /// Packets that the seal refused inside the tunnel.
    pub refused: u64,
}

/// Every metric. Clones are the same ones.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Refused calls, by code.
    pub refusals: IntCounterVec,
    /// Tunnels that fell silent, by session.
    pub reconnects: IntCounterVec,
    /// Times the data plane had to be started again.
    pub dataplane_restarts: IntCounter,
    /// Pushes of managed gateways, by outcome.
    pub pushes: IntCounterVec,
    /// Messages that the receiver of `report.url` did not take.
    pub report_failures: IntCounter,
    /// Whether that receiver lacks the newest state.
    pub report_pending: IntGauge,
    /// Seconds since the epoch at which it last took a message; 0 is never.
    pub report_success: IntGauge,
    /// When the API's certificate over TCP ends, in seconds since the epoch; 0 is none.
    pub tls_expiry: IntGauge,
    /// Whether the files of `[api.tls]` are not what is in use, because they cannot be.
    pub tls_rejected: IntGauge,
    /// Connections over TCP that never became callers, by reason.
    pub tls_refused: IntCounterVec,
    /// Names for ids.
    pub info: Info,
    sessions: IntGaugeVec,
    attach_seconds: HistogramVec,
    handshake_age: GaugeVec,
    traffic: [IntCounterVec; 7],
    in_use: IntGaugeVec,
    limit: IntGaugeVec,
    account_in_use: IntGaugeVec,
    account_limit: IntGaugeVec,
    control: ProcessMetrics,
    dataplane: ProcessMetrics,
    /// The data plane's process; 0 before there is one.
    dataplane_pid: Arc<AtomicU32>,
    /// The absolute values that the counters of `traffic` stand for.
    seen: Arc<Mutex<BTreeMap<SessionId, Traffic>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own, with the build's version in it.
    pub fn new() -> Self {
        let registry = Registry::new();
        let metrics = Self {
            refusals: counter("refusals_total", "Refused attaches, by code.", &["code"]),
            reconnects: of_session("session_reconnects_total", "Times the tunnel fell silent."),
            dataplane_restarts: single_counter(
                "dataplane_restarts_total",
                "Data planes started in the place of one that died or hung.",
            ),
            pushes: counter(
                "managed_pushes_total",
                "Pushes of managed gateways, by outcome: taken (dry runs too) or refused.",
                &["outcome"],
            ),
            report_failures: single_counter(
                "report_failures_total",
                "Messages that report.url did not take.",
            ),
            report_pending: gauge("report_pending", "1 while report.url lacks the newest state."),
            report_success: gauge(
                "report_last_success_timestamp_seconds",
                "When report.url last took a message.",
            ),
            tls_expiry: gauge(
                "tls_certificate_expiry_timestamp_seconds",
                "When the certificate of [api.tls] in use ends.",
            ),
            tls_rejected: gauge("tls_files_rejected", "1 while [api.tls]'s files are not usable."),
            tls_refused: counter(
                "tls_refused_connections_total",
                "Connections to [api.tls] that never became callers, by reason.",
                &["reason"],
            ),
            sessions: gauges("sessions", "Sessions, by state.", &["state"]),
            attach_seconds: histogram(),
            handshake_age: handshake_age(),
            traffic: [
                of_session("session_rx_bytes_total", "Bytes to the container."),
                of_session("session_rx_packets_total", "Packets to the container."),
                of_session("session_tx_bytes_total", "Bytes from the container."),
                of_session("session_tx_packets_total", "Packets from the container."),
                of_session("session_dropped_packets_total", "Packets the data plane dropped."),
                of_session(
                    "session_sealed_packets_total",
                    "Packets that the seal kept from leaving outside the tunnel.",
                ),
                of_session(
                    "session_refused_packets_total",
                    "Packets refused inside the tunnel: foreign resolvers, private networks.",
                ),
            ],
            in_use: gauges("credential_in_use", "Live connections.", &["credential"]),
            limit: gauges("credential_limit", "Allowed live connections.", &["credential"]),
            account_in_use: gauges("account_in_use", "Live connections.", &ACCOUNT),
            account_limit: gauges("account_limit", "Allowed live connections.", &ACCOUNT),
            control: ProcessMetrics::new("process"),
            dataplane: ProcessMetrics::new("egress_dataplane"),
            dataplane_pid: Arc::default(),
            info: Info::new(),
            seen: Arc::default(),
            registry,
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        self.info.register(&self.registry);
        let build = gauges("build_info", "The agent's version.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let Self { refusals, reconnects, dataplane_restarts, sessions, .. } = self;
        let Self { attach_seconds, handshake_age, traffic, in_use, limit, .. } = self;
        let Self { account_in_use, account_limit, .. } = self;
        let Self { report_failures, report_pending, report_success, .. } = self;
        let Self { tls_expiry, tls_rejected, tls_refused, .. } = self;
        let one: [Box<dyn Collector>; 18] = [
            Box::new(build),
            Box::new(refusals.clone()),
            Box::new(reconnects.clone()),
            Box::new(dataplane_restarts.clone()),
            Box::new(self.pushes.clone()),
            Box::new(report_failures.clone()),
            Box::new(report_pending.clone()),
            Box::new(report_success.clone()),
            Box::new(tls_expiry.clone()),
            Box::new(tls_rejected.clone()),
            Box::new(tls_refused.clone()),
            Box::new(sessions.clone()),
            Box::new(attach_seconds.clone()),
            Box::new(handshake_age.clone()),
            Box::new(in_use.clone()),
            Box::new(limit.clone()),
            Box::new(account_in_use.clone()),
            Box::new(account_limit.clone()),
        ];
        let traffic = traffic.iter().cloned().map(|family| Box::new(family) as _);
        let processes = [&self.control, &self.dataplane].map(ProcessMetrics::collectors);
        let all = one.into_iter().chain(traffic).chain(processes.into_iter().flatten());
        for collector in all {
            self.registry.register(collector).expect("every metric has a name of its own");
        }
    }

    /// Counts a refused call.
    pub fn refused(&self, code: Code) {
        self.refusals.with_label_values(&[code.as_str()]).inc();
    }

    /// Counts a push.
    pub fn pushed(&self, outcome: Result<&PushReport, &Refusal>) {
        let outcome = if outcome.is_ok() { "taken" } else { "refused" };
        self.pushes.with_label_values(&[outcome]).inc();
    }

    /// Counts a successful attach.
    pub fn attached(&self, timings: &Timings) {
        let stages = [
            ("seal", timings.seal),
            ("select", timings.select),
            ("tunnel", timings.tunnel),
            ("handshake", timings.handshake),
            ("open", timings.open),
            ("total", timings.total),
        ];
        for (stage, milliseconds) in stages {
            self.attach_seconds.with_label_values(&[stage]).observe(milliseconds / 1e3);
        }
    }

    /// Sets how many sessions are in which state; states that are not named have none.
    pub fn count_sessions(&self, states: impl Iterator<Item = SessionState>) {
        let mut counts = SessionState::ALL.map(|state| (state, 0_i64));
        for state in states {
            if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == state) {
                *count += 1;
            }
        }
        for (state, count) in counts {
            self.sessions.with_label_values(&[state.as_str()]).set(count);
        }
    }

    /// Sets the seconds since a session's last handshake.
    pub fn set_handshake_age(&self, session: &SessionId, seconds: f64) {
        self.handshake_age.with_label_values(&[session.as_str()]).set(seconds);
    }

    /// Counts what a session has carried since it was last asked. A value that fell was started
    /// anew, by another data plane or ruleset.
    pub fn count_traffic(&self, session: &SessionId, now: Traffic) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(session.clone(), now).unwrap_or_default();
        for ((family, now), before) in self.traffic.iter().zip(now.values()).zip(before.values()) {
            let more = now.checked_sub(before).unwrap_or(now);
            family.with_label_values(&[session.as_str()]).inc_by(more);
        }
    }

    /// Sets the live connections and limits of credentials and accounts; those not named have no
    /// series.
    pub fn count_connections(&self, list: &ConnectionList) {
        for family in [&self.in_use, &self.limit, &self.account_in_use, &self.account_limit] {
            family.reset();
        }
        for credential in &list.connections {
            let label = &[credential.credential_id.to_string()];
            self.in_use.with_label_values(label).set(credential.in_use.into());
            if let Some(limit) = credential.limit {
                self.limit.with_label_values(label).set(limit.into());
            }
        }
        for account in &list.accounts {
            let labels = &[account.provider_id.to_string(), account.account.clone()];
            self.account_in_use.with_label_values(labels).set(account.in_use.into());
            if let Some(limit) = account.limit {
                self.account_limit.with_label_values(labels).set(limit.into());
            }
        }
    }

    /// Takes a closed session out of every metric.
    pub fn forget(&self, session: &SessionId) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
        let label = &[session.as_str()];
        // A session that never connected has none of these.
        let _ = self.handshake_age.remove_label_values(label);
        let _ = self.reconnects.remove_label_values(label);
        for family in &self.traffic {
            let _ = family.remove_label_values(label);
        }
    }

    /// Another process is the data plane.
    pub fn follow_dataplane(&self, pid: u32) {
        self.dataplane_pid.store(pid, Ordering::Relaxed);
    }

    /// All of it, in the text format of Prometheus.
    pub fn text(&self) -> String {
        self.control.update(std::process::id());
        self.dataplane.update(self.dataplane_pid.load(Ordering::Relaxed));
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.expect("metrics of our own registry have valid names");
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Traffic {
    fn values(self) -> [u64; 7] {
        [
            self.rx_bytes,
            self.rx_packets,
            self.tx_bytes,
            self.tx_packets,
            self.dropped,
            self.sealed,
            self.refused,
        ]
    }
}

const VALID: &str = "a metric's name and help are constants";

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("egress_{name}"), help)
}

fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(opts(name, help), labels).expect(VALID)
}

fn of_session(name: &str, help: &str) -> IntCounterVec {
    counter(name, help, &["session"])
}

fn single_counter(name: &str, help: &str) -> IntCounter {
    IntCounter::with_opts(opts(name, help)).expect(VALID)
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::with_opts(opts(name, help)).expect(VALID)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(opts(name, help), labels).expect(VALID)
}

fn handshake_age() -> GaugeVec {
    let help = "Seconds since the last handshake with the gateway.";
    GaugeVec::new(opts("session_handshake_age_seconds", help), &["session"]).expect(VALID)
}

fn histogram() -> HistogramVec {
    let help = "Seconds that successful attaches took, by stage.";
    let opts = HistogramOpts::new("egress_attach_seconds", help).buckets(ATTACH_BUCKETS.into());
    HistogramVec::new(opts, &["stage"]).expect(VALID)
}

#[cfg(test)]
mod tests {
    use egress_core::api::{AccountUse, ConnectionsView};
    use egress_core::id::{CredentialId, ProviderId};

    use super::*;

    fn session(id: &str) -> SessionId {
        id.parse().unwrap()
    }

    #[test]
    fn a_counter_goes_on_when_the_data_plane_starts_anew() {
        let metrics = Metrics::new();
        for rx_bytes in [100, 150, 30] {
            metrics.count_traffic(&session("c"), Traffic { rx_bytes, ..Traffic::default() });
        }
        assert!(metrics.text().contains(r#"egress_session_rx_bytes_total{session="c"} 180"#));
    }

    #[test]
    fn a_closed_session_leaves_no_series() {
        let metrics = Metrics::new();
        metrics.count_traffic(&session("c-1"), Traffic::default());
        metrics.set_handshake_age(&session("c-1"), 1.0);
        metrics.reconnects.with_label_values(&["c-1"]).inc();
        metrics.forget(&session("c-1"));
        assert!(!metrics.text().contains("c-1"));
    }

    fn over_limit() -> ConnectionList {
        let ann = ConnectionsView {
            credential_id: CredentialId::from_bytes([1; 16]),
            name: "ann".into(),
            provider: "nordic".into(),
            in_use: 3,
            limit: Some(2),
            sessions: Vec::new(),
        };
        let team = AccountUse {
            provider_id: ProviderId::from_bytes([2; 16]),
            provider: "nordic".into(),
            account: "team".into(),
            in_use: 3,
            limit: Some(2),
        };
        ConnectionList { connections: vec![ann], accounts: vec![team], keys: Vec::new() }
    }

    #[test]
    fn connections_over_their_limit_show_and_removed_credentials_do_not() {
        let metrics = Metrics::new();
        metrics.count_connections(&over_limit());
        metrics.info.name_credentials(&over_limit());
        let text = metrics.text();
        for line in [
            r#"egress_credential_info{credential="01010101-0101-0101-0101-010101010101",name="ann",provider="nordic"} 1"#,
            r#"egress_credential_in_use{credential="01010101-0101-0101-0101-010101010101"} 3"#,
            r#"egress_credential_limit{credential="01010101-0101-0101-0101-010101010101"} 2"#,
            r#"egress_account_in_use{account="team",provider="02020202-0202-0202-0202-020202020202"} 3"#,
            r#"egress_account_limit{account="team",provider="02020202-0202-0202-0202-020202020202"} 2"#,
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        metrics.count_connections(&ConnectionList::default());
        metrics.info.name_credentials(&ConnectionList::default());
        assert!(!metrics.text().contains("credential=\""));
    }

    #[test]
    fn every_alert_is_about_a_metric_that_there_is() {
        let metrics = Metrics::new();
        metrics.refused(Code::LimitReached);
        metrics.count_sessions([SessionState::Connected].into_iter());
        metrics.count_traffic(&session("c"), Traffic::default());
        metrics.set_handshake_age(&session("c"), 1.0);
        metrics.count_connections(&over_limit());
        let text = metrics.text();
        let alerts = include_str!("../../configs/prometheus/alerts.yml");
        let expressions = alerts.lines().filter(|line| line.trim_start().starts_with("expr:"));
        let names: Vec<_> = expressions
            .flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
            .filter(|word| word.starts_with("egress_"))
            .collect();
        assert!(names.len() > 6, "{names:?}");
        for name in names {
            assert!(text.contains(&format!("# TYPE {name} ")), "there is no {name}");
        }
    }

    #[test]
    fn every_state_has_a_series() {
        let metrics = Metrics::new();
        metrics.count_sessions([SessionState::Connected, SessionState::Connected].into_iter());
        let text = metrics.text();
        assert!(text.contains(r#"egress_sessions{state="connected"} 2"#));
        assert!(text.contains(r#"egress_sessions{state="blocked"} 0"#));
    }
}
