//! A container whose traffic goes through one of the data planes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::harness::container::Container;
use crate::harness::lab::{Gateway, Lab};
use crate::harness::namespace::{host_command, host_ip};
use crate::harness::process::Process;
use crate::harness::wait;
use crate::harness::wireguard_peer::{Client, Program, WireguardPeer};
use crate::harness::world::World;
use crate::peer::Peer;

const DEVICE: &str = "wgc";
const NAME: &str = "c-1";
const SOON: Duration = Duration::from_secs(10);
/// An IPv4 header, UDP's and `WireGuard`'s own.
const OVERHEAD: u16 = 60;

/// Everything that carries the traffic; dropped, it ends.
pub struct Session<'a> {
    /// Where the traffic comes from.
    pub container: Container,
    /// Where it goes.
    pub gateway: Gateway,
    /// The process that is measured.
    pub pid: i32,
    _carrier: Carrier<'a>,
}

enum Carrier<'a> {
    Ours { _world: World<'a> },
    Program { _process: Process, _far_end: WireguardPeer },
}

impl<'a> Session<'a> {
    /// Connects a container through `peer` to a far end, over a path that leaves the tunnel this
    /// MTU; our own daemon with so much more in its configuration.
    pub fn start(lab: &'a Lab, peer: Peer, far_end: Program, mtu: u16, config: &str) -> Self {
        let gateway = lab.gateway(0);
        narrow(lab, &gateway, mtu + OVERHEAD);
        let clients = Client::several(1);
        let far_end = WireguardPeer::start_with_mtu(far_end, &gateway, &clients, mtu);
        let session = match peer.program() {
            None => ours(lab, gateway, far_end, clients, config),
            Some(program) => other(program, mtu, gateway, far_end, &clients[0]),
        };
        session.container.wait_for_traffic(SOON);
        assert_eq!(session.mtu(), mtu, "every peer has the same MTU");
        session
    }

    fn mtu(&self) -> u16 {
        let devices = self.container.devices();
        let device = devices.iter().find(|name| *name != "lo").expect("there is a tunnel");
        let mut command = self.container.namespace().command("ip");
        let output = command.args(["link", "show", device]).output().expect("run ip");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut words = text.split_whitespace().skip_while(|word| *word != "mtu");
        words.nth(1).and_then(|mtu| mtu.parse().ok()).expect("ip shows the MTU")
    }
}

/// Makes every link between host and gateway so narrow.
fn narrow(lab: &Lab, gateway: &Gateway, mtu: u16) {
    host_ip(&format!("link set uplink mtu {mtu}\n"));
    lab.wan.ip(&format!("link set tohost mtu {mtu}\nlink set togw0 mtu {mtu}\n"));
    gateway.namespace.ip(&format!("link set wan mtu {mtu}\n"));
}

fn ours<'a>(
    lab: &'a Lab,
    gateway: Gateway,
    far_end: WireguardPeer,
    clients: Vec<Client>,
    config: &str,
) -> Session<'a> {
    let config = format!("[log]\nlevel = \"info\"\n{config}\n");
    let world = World::around(lab, gateway.clone(), far_end, clients, &config);
    let (container, _) = world.attached(NAME);
    let pid = world.agent.dataplane_pid().expect("a data plane runs");
    Session { container, gateway, pid, _carrier: Carrier::Ours { _world: world } }
}

/// The program's own socket stays in the host's namespace, as ours does; its device is moved.
fn other<'a>(
    program: &str,
    mtu: u16,
    gateway: Gateway,
    far_end: WireguardPeer,
    client: &Client,
) -> Session<'a> {
    let container = Container::with_process(NAME);
    let mut command = host_command(program);
    // What boringtun-cli needs to stay who it is.
    command.args(["-f", DEVICE]).env("WG_SUDO", "true");
    let process = Process::start(&mut command);
    let socket = format!("/run/wireguard/{DEVICE}.sock");
    wait::until("a peer listens for its config", SOON, || Path::new(&socket).exists());
    let text = format!(
        "[Interface]\nPrivateKey = {}\n{}",
        client.keys.private,
        far_end.peer_section(&far_end.endpoint(1).to_string())
    );
    let path = format!("/run/{DEVICE}.conf");
    fs::write(&path, text).expect("write a config");
    let status = host_command("wg").args(["setconf", DEVICE, &path]).status();
    assert!(status.expect("run wg").success(), "wg setconf: {}", process.output());
    host_ip(&format!("link set {DEVICE} mtu {mtu}\nlink set {DEVICE} netns {NAME}\n"));
    container.namespace().ip(&format!(
        "addr add {}/32 dev {DEVICE}
         addr add {}/128 dev {DEVICE} nodad
         link set {DEVICE} up
         route add default dev {DEVICE}
         route add ::/0 dev {DEVICE}
        ",
        client.v4, client.v6
    ));
    let pid = process.pid();
    let carrier = Carrier::Program { _process: process, _far_end: far_end };
    Session { container, gateway, pid, _carrier: carrier }
}
