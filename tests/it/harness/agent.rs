//! The real daemon, started as on a host.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use egress_core::api::{
    ApplyReport, AttachRequest, Code, ConnectionList, OfferList, Problem, SessionList,
    SessionState, SessionView,
};
use egress_core::id::SessionId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::http::{self, Reply};
use super::lab::Lab;
use super::namespace::host_command;
use super::process::Process;
use super::wait;

/// What the daemon is called with.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_egress-agentd");
/// The daemon's run directory, on the lab's own `/run`.
pub const RUN_DIR: &str = "/run/egress-agent";
/// The daemon's state directory, on the lab's own `/run` too: it goes with the lab.
pub const STATE_DIR: &str = "/run/state";

const CONFIG: &str = "/run/agent.toml";
const SOON: Duration = Duration::from_secs(20);
/// The user that the data plane runs as.
const DATAPLANE_UID: u32 = 64_990;

/// A running daemon and all it has said, over its restarts.
pub struct Agent<'a> {
    lab: &'a Lab,
    socket: PathBuf,
    metrics: SocketAddr,
    process: Process,
    said_before: String,
    environment: Vec<(&'static str, String)>,
}

impl<'a> Agent<'a> {
    /// Starts it with the defaults, everything in the lab's own directories, and waits until it
    /// is ready.
    pub fn start(lab: &'a Lab) -> Self {
        Self::start_with(lab, "")
    }

    /// Starts it with more lines of `agent.toml`. Packets pass one by one where
    /// `EGRESS_TEST_OFFLOAD=off`.
    pub fn start_with(lab: &'a Lab, config: &str) -> Self {
        Self::start_in(lab, config, Vec::new())
    }

    /// The same with more variables in its environment.
    pub fn start_in(lab: &'a Lab, config: &str, environment: Vec<(&'static str, String)>) -> Self {
        let own = format!("run_dir = \"{RUN_DIR}\"\nstate_dir = \"{STATE_DIR}\"\n");
        let openvpn = if config.contains("[openvpn]") { String::new() } else { own_users() };
        let log = if config.contains("[log]") { "" } else { "[log]\nlevel = \"debug\"\n" };
        let offload = offload_wanted();
        fs::write(CONFIG, format!("{own}{config}\n{openvpn}\n{offload}{log}"))
            .expect("write agent.toml");
        let agent = Self {
            lab,
            socket: Path::new(RUN_DIR).join("agent.sock"),
            metrics: ([127, 0, 0, 1], 9586).into(),
            process: launch(&environment),
            said_before: String::new(),
            environment,
        };
        agent.wait_until_ready();
        agent
    }

    /// The API's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The control process.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// What control has in memory now.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).expect("the kernel says it")
    }

    /// The data-plane process.
    pub fn dataplane_pid(&self) -> Option<i32> {
        self.dataplane_pids().first().copied()
    }

    /// The data-plane processes, of which there should be no more than one.
    pub fn dataplane_pids(&self) -> Vec<i32> {
        let is_dataplane = |pid: &i32| uid_of(*pid) == Some(DATAPLANE_UID);
        self.lab.processes().into_iter().filter(is_dataplane).collect()
    }

    /// How many tunnel devices the data plane has open.
    pub fn devices_of_dataplane(&self) -> usize {
        let Some(pid) = self.dataplane_pid() else { return 0 };
        let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
        let about = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        about.filter(|about| about.contains("\niff:")).count()
    }

    /// `kill -9` of control alone.
    pub fn kill_control(&mut self) {
        self.process.kill();
        self.said_before += &self.process.output();
    }

    /// `kill -9` of the data plane; control lives.
    pub fn kill_dataplane(&self) {
        let pid = self.dataplane_pid().expect("a data plane runs");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill the data plane");
    }

    /// `kill -9` of both at the same time.
    pub fn kill_dataplane_and_control(&mut self) {
        let pid = self.dataplane_pid().expect("a data plane runs");
        self.kill_control();
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill the data plane");
    }

    /// Starts control again after its end and waits until it is ready.
    pub fn start_again(&mut self) {
        self.begin_again();
        self.wait_until_ready();
    }

    /// Starts control again after its end.
    pub fn begin_again(&mut self) {
        self.process = launch(&self.environment);
    }

    /// Starts one beside another, which must fail, and gives what it says.
    #[track_caller]
    pub fn start_another() -> String {
        let mut other = launch(&[]);
        assert!(!other.wait(SOON).success());
        other.output()
    }

    /// Whether it answers a call on its socket.
    pub fn answers(&self) -> bool {
        let reply = http::ask(&self.socket, "GET", "/v1/sessions", "");
        reply.is_ok_and(|reply| reply.status == 200)
    }

    /// Every process of the lab, the test itself not counted.
    pub fn processes(&self) -> Vec<i32> {
        self.lab.processes()
    }

    /// Asks control to stop and waits for its end.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        let status = self.process.wait(limit);
        self.said_before += &self.process.output();
        status
    }

    /// Sends control a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for control's end.
    pub fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit)
    }

    /// Everything the daemon has logged.
    pub fn log(&self) -> String {
        format!("{}{}", self.said_before, self.process.output())
    }

    /// Any call.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        http::ask(&self.socket, method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Any call that has an `If-Match`.
    #[track_caller]
    pub fn ask_if(&self, method: &str, path: &str, tag: &str, body: &str) -> Reply {
        http::ask_if(&self.socket, method, path, tag, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Adds and changes catalog records; each must be taken.
    #[track_caller]
    pub fn apply(&self, document: &Value) -> ApplyReport {
        let reply = self.ask("POST", "/v1/catalog:apply", &document.to_string());
        assert_eq!(reply.status, 200, "apply: {}", reply.body);
        reply.json()
    }

    /// Attaches a container.
    #[track_caller]
    pub fn attach(&self, request: &AttachRequest) -> Result<SessionView, Problem> {
        let body = serde_json::to_string(request).expect("requests are documents");
        let reply = self.ask("POST", "/v1/sessions", &body);
        if matches!(reply.status, 200 | 201) { Ok(reply.json()) } else { Err(reply.json()) }
    }

    /// Detaches a container; it stays sealed unless `release`.
    #[track_caller]
    pub fn detach(&self, id: &SessionId, release: bool) -> SessionView {
        let reply = self.ask("DELETE", &format!("/v1/sessions/{id}?release={release}"), "");
        assert_eq!(reply.status, 200, "detach: {}", reply.body);
        reply.json()
    }

    /// One session, `None` when there is none.
    #[track_caller]
    pub fn session(&self, id: &SessionId) -> Option<SessionView> {
        let reply = self.ask("GET", &format!("/v1/sessions/{id}"), "");
        if reply.status == 200 {
            return Some(reply.json());
        }
        assert_eq!(reply.json::<Problem>().code, Code::NoSuchSession);
        None
    }

    /// Every session.
    #[track_caller]
    pub fn sessions(&self) -> Vec<SessionView> {
        self.ask("GET", "/v1/sessions", "").json::<SessionList>().sessions
    }

    /// Waits until a session is in this state.
    #[track_caller]
    pub fn wait_for_state(&self, id: &SessionId, state: SessionState, limit: Duration) -> Duration {
        wait::until(&format!("{id} is {}", state.as_str()), limit, || {
            self.session(id).is_some_and(|session| session.state == state)
        })
    }

    /// Live connections, all credentials together.
    #[track_caller]
    pub fn live_connections(&self) -> u32 {
        let list: ConnectionList = self.ask("GET", "/v1/connections", "").json();
        list.connections.iter().map(|credential| credential.in_use).sum()
    }

    /// Waits, a second at most, until there is no session and no live connection.
    #[track_caller]
    pub fn wait_until_idle(&self) {
        wait::until("there is no session", Duration::from_secs(1), || {
            self.sessions().is_empty() && self.live_connections() == 0
        });
    }

    /// The launch menu for a query.
    #[track_caller]
    pub fn offers(&self, query: &str) -> OfferList {
        self.ask("GET", &format!("/v1/offers?{query}"), "").json()
    }

    /// The metrics page.
    #[track_caller]
    pub fn metrics(&self) -> String {
        http::get(self.metrics, "/metrics").expect("read the metrics").body
    }

    /// What the agent says of whether it can do its work: the status, and why not.
    #[track_caller]
    pub fn readiness(&self) -> (u16, String) {
        let reply = http::get(self.metrics, "/readyz").expect("ask whether the agent is ready");
        (reply.status, reply.body)
    }

    /// The sum of a metric's samples whose labels contain all of `labels`.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.metrics();
        let wanted = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let values = text.lines().filter(wanted).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().expect("samples are numbers")).sum()
    }

    /// Whether a metric's samples with these labels add up to a whole number.
    #[track_caller]
    pub fn counts(&self, name: &str, labels: &[&str], count: u32) -> bool {
        (self.metric(name, labels) - f64::from(count)).abs() < 0.5
    }

    fn wait_until_ready(&self) {
        // Its port of metrics answers a moment after its socket.
        let listens = || http::get(self.metrics, "/readyz").is_ok();
        wait::until("the agent answers", SOON, || self.answers() && listens());
    }
}

impl Drop for Agent<'_> {
    #[allow(clippy::print_stdout, reason = "a failed test is told why; benches share this")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(80)..].join("\n");
            println!("---- the agent's log ends with ----\n{end}");
        }
    }
}

/// Users for openvpn that no other test of this process has.
fn own_users() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let uid_first = 1_900_000_000 + NEXT.fetch_add(1, Ordering::Relaxed) * 64;
    format!("[openvpn]\nuid_first = {uid_first}\nuid_count = 64\n")
}

/// Lines for `agent.toml` where tests are run without offloads.
fn offload_wanted() -> &'static str {
    match std::env::var("EGRESS_TEST_OFFLOAD").as_deref() {
        Ok("off") => "[wireguard]\noffload = \"off\"\n",
        Ok(other) => panic!("EGRESS_TEST_OFFLOAD={other}: expected off"),
        Err(_) => "",
    }
}

fn launch(environment: &[(&str, String)]) -> Process {
    let mut command = host_command("setpriv");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.args(["--no-new-privs", "--bounding-set", &unit_capabilities(), "--", PROGRAM]);
    Process::start(command.args(["--config", CONFIG]))
}

/// What the systemd unit leaves to the daemon, as `setpriv` reads it.
fn unit_capabilities() -> String {
    let unit = include_str!("../../../systemd/egress-agent.service");
    let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = set.expect("the unit bounds capabilities").split(' ');
    let names = names.map(|name| name.strip_prefix("CAP_").expect("it names capabilities"));
    names.fold("-all".to_owned(), |all, name| format!("{all},+{}", name.to_lowercase()))
}

fn uid_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}
