//! `agent.toml`: every setting, its default, and what it may be.

mod certificate;
mod containment;
mod openvpn;
mod report;
mod roles;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use egress_core::api::of_run;
use egress_core::id::GatewayId;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::certificate::{CertificateName, InvalidCertificateName, Kind as CertificateNameKind};
pub use self::containment::Containment;
pub use self::openvpn::Openvpn;
pub use self::report::Report;
pub use self::roles::{Members, Name, Plugin, Plugins, Roles};
pub use self::tls::Tls;

/// The whole file. Every key has a default; an unknown one is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Sockets and what else must not outlive a reboot. Made with mode 0755.
    pub run_dir: PathBuf,
    /// The store and its key. Made with mode 0700.
    pub state_dir: PathBuf,
    /// Where the API is.
    pub api: Api,
    /// Who may make which calls.
    pub roles: Roles,
    /// `/metrics`, `/livez` and `/readyz`.
    pub metrics: Metrics,
    /// Who is told of live connections.
    pub report: Report,
    /// Sessions and the namespaces they may be in.
    pub sessions: Sessions,
    /// What may leave a container through its tunnel.
    pub containment: Containment,
    /// `WireGuard` tunnels.
    pub wireguard: Wireguard,
    /// OpenVPN tunnels.
    pub openvpn: Openvpn,
    /// The unprivileged packet process.
    pub dataplane: Dataplane,
    /// The log on standard error.
    pub log: Log,
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Path of the socket; empty is `agent.sock` in the run directory.
    pub socket: PathBuf,
    /// Name or number of the group that may connect to it. A group this host does not know leaves
    /// it to root.
    pub group: String,
    /// Callers elsewhere.
    pub tls: Tls,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where to listen; absent by an empty string.
    pub listen: String,
}

/// `[sessions]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// The most sessions at one time.
    pub limit: usize,
    /// The most rulesets that are applied at one time; other attaches wait within their deadline.
    pub concurrency: usize,
    /// Where namespace files may be. `/var/run` is read as `/run`, as in requests.
    #[serde(deserialize_with = "roots")]
    pub netns_roots: Vec<PathBuf>,
    /// The tunnel's device in a container.
    pub interface: String,
    /// Seconds that running attaches have when the agent is told to stop.
    pub stop_s: u64,
}

/// `[wireguard]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wireguard {
    /// Where a device is made: `inside` the container's namespace, which lives as long as the device
    /// then, and so is let go of when nobody is left there; or in the host's and `moved`, which
    /// takes 20 ms, one device at a time.
    pub device: DevicePlacement,
    /// Mark of the outer packets, for policy routing on the host; 0 is none.
    pub mark: u32,
    /// Bytes of socket buffer each way. It holds what several TCP streams have in flight while the
    /// data plane waits for a processor, and is the kernel's memory only then.
    pub buffer: usize,
    /// Whether packets go through devices and sockets several at a time.
    pub offload: Offload,
    /// The most datagrams that are sent at one blow; a gateway with a small receive buffer loses
    /// the rest of a larger one.
    pub burst: u16,
    /// The same for single gateways, by their ids.
    pub gateway_burst: BTreeMap<GatewayId, u16>,
}

/// Whether packets go through devices and sockets several at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offload {
    /// As far as the kernel can.
    Auto,
    /// One by one.
    Off,
}

/// Where a tunnel's device is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DevicePlacement {
    /// In the host's namespace, then moved.
    Moved,
    /// In the container's namespace.
    Inside,
}

/// `[dataplane]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dataplane {
    /// Its user, by number; it needs no passwd entry and must own nothing else.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its threads; 0 is one per core, at most 4.
    pub workers: usize,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `json` or `text`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or tracing's filter directives.
    pub level: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            run_dir: "/run/egress-agent".into(),
            state_dir: "/var/lib/egress-agent".into(),
            api: Api::default(),
            roles: Roles::default(),
            metrics: Metrics::default(),
            report: Report::default(),
            sessions: Sessions::default(),
            containment: Containment::default(),
            wireguard: Wireguard::default(),
            openvpn: Openvpn::default(),
            dataplane: Dataplane::default(),
            log: Log::default(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { socket: PathBuf::new(), group: "egress".into(), tls: Tls::default() }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9586".into() }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            limit: 4096,
            concurrency: 32,
            netns_roots: vec!["/run/netns".into(), "/run/docker/netns".into()],
            interface: "eg0".into(),
            stop_s: 10,
        }
    }
}

impl Wireguard {
    /// The most datagrams that are sent to a gateway at one blow.
    pub fn burst_for(&self, gateway: Option<GatewayId>) -> u16 {
        match self.offload {
            Offload::Auto => {
                let own = gateway.and_then(|gateway| self.gateway_burst.get(&gateway));
                own.copied().unwrap_or(self.burst)
            }
            Offload::Off => 1,
        }
    }
}

impl Default for Wireguard {
    fn default() -> Self {
        Self {
            device: DevicePlacement::Inside,
            mark: 0,
            buffer: 16 << 20,
            offload: Offload::Auto,
            burst: 64,
            gateway_burst: BTreeMap::new(),
        }
    }
}

impl Default for Dataplane {
    fn default() -> Self {
        Self { uid: 64_990, gid: 64_990, workers: 0 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".into() }
    }
}

/// Why `agent.toml` is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML of the documented form. The parser's text shows the line.
    #[error("{path}: {fault}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        fault: String,
    },
    /// Values that cannot work, all of them.
    #[error("{path}: {}", .faults.join("; "))]
    Values {
        /// The file.
        path: PathBuf,
        /// `key: what is expected`.
        faults: Vec<String>,
    },
}

impl Config {
    /// Reads a file. A file that is not there is an error: the caller decides on defaults.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Takes the file's text; `path` is for the errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|error| ConfigError::Syntax { path: path.into(), fault: error.to_string() })?;
        let faults = config.faults();
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Values { path: path.into(), faults })
        }
    }

    fn faults(&self) -> Vec<String> {
        let name = &self.sessions.interface;
        let roots_absolute = self.sessions.netns_roots.iter().all(|root| root.is_absolute());
        let listen = &self.metrics.listen;
        let is_burst = |burst: &u16| (1..=64).contains(burst);
        let checks = [
            (self.run_dir.is_absolute(), "run_dir: expected an absolute path"),
            (self.state_dir.is_absolute(), "state_dir: expected an absolute path"),
            (roots_absolute, "sessions.netns_roots: expected absolute paths"),
            (self.sessions.limit > 0, "sessions.limit: expected at least 1"),
            (self.sessions.concurrency > 0, "sessions.concurrency: expected at least 1"),
            (
                is_interface_name(name),
                "sessions.interface: expected 1 to 15 letters, digits, '-' or '_'",
            ),
            (
                listen.is_empty() || listen.parse::<SocketAddr>().is_ok(),
                "metrics.listen: expected address:port, or \"\" for none",
            ),
            (is_burst(&self.wireguard.burst), "wireguard.burst: expected 1 to 64"),
            (
                self.wireguard.gateway_burst.values().all(is_burst),
                "wireguard.gateway_burst: expected 1 to 64 for each gateway",
            ),
            (
                self.dataplane.uid != 0 && self.dataplane.gid != 0,
                "dataplane.uid, dataplane.gid: expected a user and group that are not root",
            ),
            (self.dataplane.workers <= 64, "dataplane.workers: expected at most 64"),
        ];
        let faults = checks.iter().filter(|(ok, _)| !ok).map(|(_, fault)| (*fault).to_owned());
        let more = [self.api.tls.faults(), self.openvpn.faults(), self.report.faults()];
        faults.chain(more.into_iter().flatten()).collect()
    }

    /// The API's socket.
    pub fn api_socket_path(&self) -> PathBuf {
        if self.api.socket.as_os_str().is_empty() {
            return self.run_dir.join("agent.sock");
        }
        self.api.socket.clone()
    }

    /// The store's file.
    pub fn store_path(&self) -> PathBuf {
        self.state_dir.join("store.sqlite")
    }

    /// The file of the key that the store's secrets are sealed with; `EGRESS_STORE_KEY_FILE`
    /// comes first, so that systemd's `LoadCredential` can hand it in.
    pub fn store_key_path(&self) -> PathBuf {
        std::env::var_os("EGRESS_STORE_KEY_FILE")
            .map_or_else(|| self.state_dir.join("store.key"), PathBuf::from)
    }
}

fn roots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let roots = Vec::<PathBuf>::deserialize(deserializer)?;
    Ok(roots.into_iter().map(of_run).collect())
}

fn is_interface_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=15).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("agent.toml"))
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    /// As tables, so that a setting that the file leaves out fails too.
    #[test]
    fn the_documented_file_is_every_setting_with_its_default() {
        let documented = include_str!("../../configs/agent.toml").parse::<toml::Table>().unwrap();
        assert_eq!(documented, toml::Table::try_from(Config::default()).unwrap());
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = parse("[sessions]\nlimits = 4\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("`limit`"), "{error}");
    }

    #[test]
    fn all_bad_values_are_told_at_once() {
        let text = "run_dir = \"x\"\n[sessions]\nlimit = 0\ninterface = \"a b\"\n";
        let error = parse(text).unwrap_err().to_string();
        for key in ["run_dir", "sessions.limit", "sessions.interface"] {
            assert!(error.contains(key), "{error}");
        }
    }
}
