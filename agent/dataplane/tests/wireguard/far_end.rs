//! Debian's `wireguard-go` in a far end's namespace.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::lab::{Lab, ip};
use crate::traffic::eventually;

const PORT: u16 = 51820;

/// A key pair.
#[derive(Clone)]
pub struct Keys {
    pub private: [u8; 32],
    pub public: [u8; 32],
}

impl Keys {
    pub fn new() -> Self {
        let private: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
        let public = PublicKey::from(&StaticSecret::from(private)).to_bytes();
        Self { private, public }
    }
}

/// What a far end is told.
#[derive(Clone)]
pub struct Settings {
    pub keys: Keys,
    pub peer: [u8; 32],
    pub preshared: [u8; 32],
    /// Where the peer is, when it is to begin by itself.
    pub endpoint: Option<SocketAddr>,
}

/// A running `wireguard-go`; dropped, it is killed.
pub struct FarEnd {
    process: Child,
    name: String,
    device: String,
}

impl FarEnd {
    /// Starts it with the tunnel's `.1` addresses.
    pub fn start(lab: &Lab, settings: &Settings) -> Self {
        let (name, device) = (lab.far_name(), format!("wg{}", lab.number));
        let _ = std::fs::remove_file(control_path(&device));
        let process = Command::new("ip")
            .args(["netns", "exec", &name, "wireguard-go", "-f", &device])
            .env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let far_end = Self { process, name, device };
        eventually("wireguard-go serves", || control_path(&far_end.device).exists());
        far_end.configure(settings);
        far_end.ip(&format!("link set {} up mtu 1420", far_end.device));
        for (address, prefix) in [(lab.inner(1, false), 24), (lab.inner(1, true), 64)] {
            far_end.give(address, prefix);
        }
        far_end
    }

    fn configure(&self, settings: &Settings) {
        let encode = |key: &[u8; 32]| STANDARD.encode(key);
        let mut text = format!(
            "[Interface]\nPrivateKey={}\nListenPort={PORT}\n\
             [Peer]\nPublicKey={}\nPresharedKey={}\nAllowedIPs=0.0.0.0/0,::/0\n",
            encode(&settings.keys.private),
            encode(&settings.peer),
            encode(&settings.preshared),
        );
        if let Some(endpoint) = settings.endpoint {
            write!(text, "Endpoint={endpoint}\nPersistentKeepalive=1\n").unwrap();
        }
        let mut wg = Command::new("wg");
        wg.args(["setconf", &self.device, "/dev/stdin"]).stdin(Stdio::piped());
        let mut wg = wg.spawn().unwrap();
        wg.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(wg.wait().unwrap().success());
    }

    /// Gives its device another address.
    pub fn give(&self, address: IpAddr, prefix: u8) {
        self.ip(&format!("address add {address}/{prefix} dev {} nodad", self.device));
    }

    /// Sends packets for that address into the tunnel.
    pub fn route(&self, address: IpAddr) {
        self.ip(&format!("route add {address} dev {}", self.device));
    }

    fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name));
    }

    /// The bytes it received, handshakes and keepalives included.
    pub fn received(&self) -> u64 {
        let output = Command::new("wg").args(["show", &self.device, "transfer"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Where it listens, at that address.
    pub fn at(address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, PORT)
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        // `ip netns exec` has become wireguard-go: there is no process between.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let _ = std::fs::remove_file(control_path(&self.device));
    }
}

fn control_path(device: &str) -> PathBuf {
    format!("/var/run/wireguard/{device}.sock").into()
}

/// Time for a packet there and back, with a margin for a busy machine.
pub const SOON: Duration = Duration::from_secs(5);
