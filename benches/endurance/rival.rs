//! Another WireGuard program in the agent's place: what it loses on the same way is not ours.

use std::path::Path;
use std::time::Duration;

use crate::harness::lab::{Lab, SERVER_V4};
use crate::harness::namespace::Namespace;
use crate::harness::process::Process;
use crate::harness::wait;
use crate::harness::world::World;

const DEVICE: &str = "rival";
const SOON: Duration = Duration::from_secs(10);

/// A client of the world's gateway that has nothing to do with the agent.
pub struct Rival {
    /// Where its traffic comes from.
    pub namespace: Namespace,
    process: Process,
}

impl Rival {
    /// Starts a program for the world's only client, beside the host.
    pub fn start(lab: &Lab, world: &World<'_>, program: &str) -> Self {
        let namespace = Namespace::add(DEVICE);
        lab.wan.ip(&format!(
            "link add torival type veth peer name wan netns {DEVICE}
             addr add 192.0.3.1/24 dev torival
             link set torival up
            "
        ));
        namespace.ip(
            "addr add 192.0.3.2/24 dev wan\nlink set wan up\nroute add default via 192.0.3.1\n",
        );
        let mut command = namespace.command(program);
        let process = Process::start(command.env("WG_SUDO", "true").args(["-f", DEVICE]));
        let control = Path::new("/run/wireguard").join(format!("{DEVICE}.sock"));
        wait::until("a rival listens for its config", SOON, || control.exists());
        let client = &world.clients[0];
        let config = format!(
            "[Interface]\nPrivateKey = {}\n{}",
            client.keys.private,
            world.peer.peer_section(&world.peer.endpoint(1).to_string())
        );
        let path = Path::new("/run").join(format!("{DEVICE}.conf"));
        std::fs::write(&path, config).expect("write a rival's config");
        let set = namespace.command("wg").args(["setconf", DEVICE]).arg(&path).status();
        assert!(set.expect("run wg").success(), "wg refuses the rival's config");
        namespace.ip(&format!(
            "addr add {}/32 dev {DEVICE}
             link set {DEVICE} mtu 1420 up
             route add {SERVER_V4} dev {DEVICE} src {}
            ",
            client.v4, client.v4
        ));
        Self { namespace, process }
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }
}
