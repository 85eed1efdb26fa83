//! The real daemon, asked as every client asks it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egress_core::api::{ApplyReport, AttachRequest, OfferView, SessionView};
use egress_core::catalog::Subject;
use egress_core::id::SessionId;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Error, expect, failed};
use crate::config::Config;
use crate::control::agent::ApplyMode;
use crate::control::client::{self, Client};

/// Everything but the defaults. The state is on the demo's own /run too, and goes with it.
const SETTINGS: &str = "state_dir = \"/run/state\"\n[log]\nformat = \"text\"\n";
const CONFIG: &str = "/run/agent.toml";
const LOG: &str = "/run/agent.log";
const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(15);

/// A running daemon.
pub struct Agent {
    process: Child,
    client: Client,
    runtime: Runtime,
}

impl Agent {
    /// Starts the daemon that lies beside this program, and waits until it answers.
    pub fn start() -> Result<Self, Error> {
        let config = Config::parse(SETTINGS, Path::new(CONFIG));
        let config = config.map_err(failed("configure the agent"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut agent = Self {
            process: launch().map_err(failed("start egress-agentd"))?,
            client: Client::new(config.api_socket_path()),
            runtime: runtime.map_err(failed("start a runtime"))?,
        };
        agent.wait_until_it_answers()?;
        Ok(agent)
    }

    fn wait_until_it_answers(&mut self) -> Result<(), Error> {
        let given_up = Instant::now() + START;
        while let Err(error) = self.runtime.block_on(self.client.sessions()) {
            let ended = self.process.try_wait().map_err(failed("wait for egress-agentd"))?;
            if ended.is_some() || Instant::now() > given_up {
                let log = fs::read_to_string(LOG).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it has logged nothing");
                return Err(failed(format!("wait until the agent answers ({last})"))(error));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Adds catalog records.
    pub fn apply(&self, document: &Value) -> Result<ApplyReport, Error> {
        let call = self.client.apply(document, ApplyMode::default());
        self.ask("apply the catalog", call)
    }

    /// The launch menu.
    pub fn offers(&self, subject: &Subject) -> Result<Vec<OfferView>, Error> {
        let list = self.ask("ask for the offers", self.client.offers(subject, false))?;
        Ok(list.offers)
    }

    /// Gives a container its egress.
    pub fn attach(&self, request: &AttachRequest) -> Result<SessionView, Error> {
        Ok(self.ask("attach the container", self.client.attach(request))?.session)
    }

    /// Takes it away, and the seal too.
    pub fn release(&self, id: &SessionId) -> Result<(), Error> {
        self.ask("detach the container", self.client.detach(id, true)).map(|_| ())
    }

    /// Live connections of all credentials.
    pub fn connections(&self) -> Result<u32, Error> {
        let list = self.ask("count the connections", self.client.connections())?;
        Ok(list.connections.iter().map(|credential| credential.in_use).sum())
    }

    fn ask<T>(
        &self,
        step: &str,
        call: impl Future<Output = Result<T, client::Error>>,
    ) -> Result<T, Error> {
        self.runtime.block_on(call).map_err(failed(step))
    }

    /// Tells it to stop, and waits until it and its data plane have.
    pub fn stop(mut self) -> Result<(), Error> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).map_err(failed("stop egress-agentd"))?;
        let status = self.process.wait().map_err(failed("wait for egress-agentd"))?;
        expect(status.success(), || format!("the agent to stop in good order: {status}"))?;
        let given_up = Instant::now() + STOP;
        // What it leaves behind is ours: we are the first process here.
        while wait(WaitOptions::NOHANG).is_ok() {
            expect(Instant::now() < given_up, || "the data plane to end with the agent".into())?;
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn launch() -> std::io::Result<Child> {
    fs::write(CONFIG, SETTINGS)?;
    let program = std::env::current_exe()?.with_file_name("egress-agentd");
    let log = File::create(LOG)?;
    let mut command = Command::new(program);
    command.args(["--config", CONFIG]).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(log).spawn()
}
