//! Far ends of tunnels: Debian's `wireguard-go`, boringtun as another implementation, or our own
//! data plane.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use boringtun::device::{DeviceConfig, DeviceHandle};

use super::dataplane_peer::DataplanePeer;
use super::keys::KeyPair;
use super::lab::Gateway;
use super::process::Process;
use super::wait;

/// The far end's address in the tunnel.
pub const PEER_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The far end's other address in the tunnel.
pub const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
/// Where far ends listen.
const PORT: u16 = 51820;
const MTU: u16 = 1420;

const SOON: Duration = Duration::from_secs(10);

/// Somebody who may use a gateway: a key pair and the tunnel addresses that go with it.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its keys.
    pub keys: KeyPair,
    /// Its address in the tunnel.
    pub v4: Ipv4Addr,
    /// Its other address in the tunnel.
    pub v6: Ipv6Addr,
}

impl Client {
    /// Client number `number` (from 0, at most 65,000) of every gateway.
    pub fn new(number: u16) -> Self {
        let [high, low] = (number + 256).to_be_bytes();
        let v6 = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, number);
        Self { keys: KeyPair::random(), v4: Ipv4Addr::new(10, 77, high, low), v6 }
    }

    /// Many of them.
    pub fn several(count: u16) -> Vec<Self> {
        (0..count).map(Self::new).collect()
    }
}

/// Which program is the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The `wireguard-go` of the distribution, or what `EGRESS_FAR_END` names: a program that
    /// takes the same arguments.
    WireguardGo,
    /// This program, which takes the same arguments.
    #[allow(dead_code, reason = "benches compare programs")]
    Named(&'static str),
    /// The device of the boringtun crate, in threads of the test.
    Boringtun,
    /// Our own data plane. It serves the first client only, over IPv4.
    Dataplane,
}

enum Running {
    Program(Process),
    Boringtun(DeviceHandle),
    Dataplane(DataplanePeer),
}

/// A `WireGuard` server in a gateway's namespace.
pub struct WireguardPeer {
    gateway: Gateway,
    program: Program,
    keys: KeyPair,
    clients: Vec<Client>,
    mtu: u16,
    running: Option<Running>,
}

impl WireguardPeer {
    /// Starts `wireguard-go` for these clients.
    pub fn start(gateway: &Gateway, clients: &[Client]) -> Self {
        Self::start_as(Program::WireguardGo, gateway, clients)
    }

    /// Starts a program for these clients.
    pub fn start_as(program: Program, gateway: &Gateway, clients: &[Client]) -> Self {
        Self::start_with_mtu(program, gateway, clients, MTU)
    }

    /// Starts a program whose device has another MTU.
    pub fn start_with_mtu(
        program: Program,
        gateway: &Gateway,
        clients: &[Client],
        mtu: u16,
    ) -> Self {
        let mut peer = Self {
            gateway: gateway.clone(),
            program,
            keys: KeyPair::random(),
            clients: clients.to_vec(),
            mtu,
            running: None,
        };
        peer.restart();
        peer
    }

    /// Its public key.
    pub fn public_key(&self) -> &str {
        &self.keys.public
    }

    /// Where it listens, on the gateway's `index`th address.
    pub fn endpoint(&self, index: u8) -> SocketAddr {
        SocketAddr::new(self.gateway.v4(index).into(), PORT)
    }

    /// Where it listens, on the gateway's `index`th other address.
    pub fn endpoint_v6(&self, index: u8) -> SocketAddr {
        SocketAddr::new(self.gateway.v6(index).into(), PORT)
    }

    /// Ends it without a word to anybody; its device goes with it.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        match running {
            Running::Program(mut process) => process.kill(),
            Running::Boringtun(device) => drop(device),
            Running::Dataplane(process) => drop(process),
        }
        wait::until("a far end's device is gone", SOON, || !self.device_exists());
        // Left behind by a kill; a new one could be mistaken for started.
        let _ = fs::remove_file(self.control_path());
    }

    /// Starts it again, with the same keys and on the same port.
    pub fn restart(&mut self) {
        self.stop();
        let (name, namespace) = (self.device(), &self.gateway.namespace);
        let running = match self.program {
            Program::WireguardGo => {
                let program = std::env::var("EGRESS_FAR_END");
                self.start_program(program.as_deref().unwrap_or("wireguard-go"))
            }
            Program::Named(program) => self.start_program(program),
            Program::Boringtun => {
                let config = DeviceConfig { n_threads: 2, ..DeviceConfig::default() };
                let start = || DeviceHandle::new(&name, config).expect("start boringtun");
                Running::Boringtun(namespace.run(start))
            }
            Program::Dataplane => {
                let (device, client) = ((name.as_str(), self.mtu), &self.clients[0]);
                let start = DataplanePeer::start(namespace, device, PORT, &self.keys, client);
                Running::Dataplane(start)
            }
        };
        let is_told = !matches!(running, Running::Dataplane(_));
        self.running = Some(running);
        if is_told {
            wait::until("a far end listens for its config", SOON, || self.control_path().exists());
            self.set_config();
        }
        self.set_link();
    }

    fn start_program(&self, program: &str) -> Running {
        let mut command = self.gateway.namespace.command(program);
        // What boringtun-cli needs to stay who it is.
        command.env("WG_SUDO", "true");
        Running::Program(Process::start(command.args(["-f", &self.device()])))
    }

    /// The far end's process; `None` when it is threads of the test.
    #[allow(dead_code, reason = "benches measure it")]
    pub fn pid(&self) -> Option<i32> {
        match self.running.as_ref()? {
            Running::Program(process) => Some(process.pid()),
            Running::Dataplane(process) => Some(process.pid()),
            Running::Boringtun(_) => None,
        }
    }

    /// Bytes it has had from a client, handshakes included.
    pub fn received_from(&self, client: &Client) -> u64 {
        let bytes = self.dump_field(client, 5);
        bytes.map_or(0, |bytes| bytes.parse().expect("wg prints numbers"))
    }

    /// Where it last heard a client.
    pub fn heard_from(&self, client: &Client) -> Option<SocketAddr> {
        self.dump_field(client, 2)?.parse().ok()
    }

    /// A wg-quick file for a client, with its key, towards this endpoint.
    pub fn config_for(&self, client: &Client, endpoint: &str) -> String {
        format!(
            "[Interface]\nPrivateKey = {}\nAddress = {}/32, {}/128\nDNS = {}\n\n{}",
            client.keys.private,
            client.v4,
            client.v6,
            super::lab::RESOLVER_V4,
            self.peer_section(endpoint)
        )
    }

    /// The `[Peer]` section that leads here.
    pub fn peer_section(&self, endpoint: &str) -> String {
        let key = &self.keys.public;
        format!("[Peer]\nPublicKey = {key}\nEndpoint = {endpoint}\nAllowedIPs = 0.0.0.0/0, ::/0\n")
    }

    fn set_config(&self) {
        let mut text = format!("[Interface]\nPrivateKey = {}\n", self.keys.private);
        let _ = writeln!(text, "ListenPort = {PORT}");
        for client in &self.clients {
            let key = &client.keys.public;
            let _ = writeln!(text, "[Peer]\nPublicKey = {key}");
            let _ = writeln!(text, "AllowedIPs = {}/32, {}/128", client.v4, client.v6);
        }
        let (name, namespace) = (self.device(), &self.gateway.namespace);
        let path = Path::new("/run").join(format!("{name}.conf"));
        fs::write(&path, text).expect("write a far end's config");
        let output = namespace.command("wg").args(["setconf", &name]).arg(&path).output();
        let output = output.expect("run wg");
        assert!(output.status.success(), "wg: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn set_link(&self) {
        let (name, mtu) = (self.device(), self.mtu);
        self.gateway.namespace.ip(&format!(
            "addr add {PEER_V4}/16 dev {name}
             addr add {PEER_V6}/64 dev {name} nodad
             link set {name} mtu {mtu} up
            "
        ));
    }

    fn dump_field(&self, client: &Client, field: usize) -> Option<String> {
        let mut command = self.gateway.namespace.command("wg");
        let output = command.args(["show", &self.device(), "dump"]).output().expect("run wg");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.starts_with(&client.keys.public))?;
        line.split('\t').nth(field).map(str::to_owned)
    }

    fn device(&self) -> String {
        format!("wg{}", self.gateway.number())
    }

    fn control_path(&self) -> PathBuf {
        Path::new("/run/wireguard").join(format!("{}.sock", self.device()))
    }

    fn device_exists(&self) -> bool {
        let name = self.device();
        self.gateway.namespace.run(|| nix::net::if_::if_nametoindex(name.as_str()).is_ok())
    }
}

impl Drop for WireguardPeer {
    fn drop(&mut self) {
        // Its threads keep the namespace, so it has to end before that.
        self.running = None;
    }
}
