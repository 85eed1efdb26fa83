//! A lab with an OpenVPN gateway, a login for it, and the agent.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use egress_core::api::SessionView;
use serde_json::{Value, json};

use super::agent::Agent;
use super::container::Container;
use super::internet::Internet;
use super::lab::{Gateway, Lab};
use super::openvpn_server::{OpenvpnServer, Options, PASSWORD, USERNAME};
use super::scene::Scene;
use super::verdict::Allowed;
use super::wait;
use super::world::{GROUP, gateway_id, request};

/// A lab with one OpenVPN gateway, its server, and an agent that knows it.
pub struct OpenvpnWorld<'a> {
    /// The agent; dropped first.
    pub agent: Agent<'a>,
    /// The far end.
    pub server: OpenvpnServer,
    /// Where the far end runs.
    pub gateway: Gateway,
    _internet: Internet,
}

impl<'a> OpenvpnWorld<'a> {
    /// A world with a server as most are.
    pub fn new(lab: &'a Lab) -> Self {
        Self::with(lab, Options::default())
    }

    /// A world with another server.
    pub fn with(lab: &'a Lab, options: Options) -> Self {
        Self::with_config(lab, options, "")
    }

    /// A world with another server and more lines of `agent.toml`.
    pub fn with_config(lab: &'a Lab, options: Options, config: &str) -> Self {
        let gateway = lab.gateway(0);
        let internet = Internet::behind(&gateway);
        let server = OpenvpnServer::start(&gateway, options);
        let agent = Agent::start_with(lab, config);
        let world = Self { agent, server, gateway, _internet: internet };
        world.apply(&world.server.profile(), &[credential(0, PASSWORD)]);
        world
    }

    /// Applies the catalog with this profile and these credentials.
    pub fn apply(&self, profile: &str, credentials: &[Value]) {
        self.agent.apply(&json!({
            "provider": [{ "name": "ovpn", "type": "openvpn" }],
            "gateway": [{
                "id": gateway_id(0), "provider": "ovpn", "name": "gw0",
                "country": "NL", "city": "Amsterdam", "config": profile,
            }],
            "mapping": [{ "provider": "ovpn", "group": GROUP, "gateways": "all" }],
            "credential": credentials,
        }));
    }

    /// Attaches a new container and gives both.
    #[track_caller]
    pub fn attached(&self, name: &str) -> (Container, SessionView) {
        let container = Container::with_process(name);
        let session = self.agent.attach(&request(name, container.by_path(), 0));
        let session = session.unwrap_or_else(|problem| panic!("attach {name}: {problem:?}"));
        (container, session)
    }

    /// The openvpn processes of the agent's.
    pub fn openvpn_pids(&self) -> Vec<i32> {
        let own = |pid: &i32| uid_of(*pid).is_some_and(|uid| uid >= 1_900_000_000);
        self.agent.processes().into_iter().filter(own).collect()
    }

    /// Waits until there is one openvpn process, which is not `former`.
    #[track_caller]
    pub fn wait_for_another(&self, former: i32, limit: Duration) -> Duration {
        wait::until("another openvpn runs", limit, || {
            self.openvpn_pids().iter().any(|pid| *pid != former)
        })
    }
}

impl<'a> Scene<'a> for OpenvpnWorld<'a> {
    fn agent(&self) -> &Agent<'a> {
        &self.agent
    }

    fn agent_mut(&mut self) -> &mut Agent<'a> {
        &mut self.agent
    }

    fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    fn allowed(&self) -> Allowed {
        Allowed::openvpn(&[self.server.endpoint()])
    }

    fn end(&self) -> SocketAddr {
        self.server.endpoint()
    }

    fn stop_far_end(&mut self) {
        self.server.kill();
    }

    fn restart_far_end(&mut self) {
        self.server.restart();
    }
}

/// Credential number `number`, with this password.
pub fn credential(number: u8, password: &str) -> Value {
    json!({
        "id": format!("00000000-0000-7000-8000-0000000003{number:02x}"),
        "provider": "ovpn",
        "name": format!("login{number}"),
        "group": GROUP,
        "username": USERNAME,
        "password": password,
        "gateways": "all",
    })
}

fn uid_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}
