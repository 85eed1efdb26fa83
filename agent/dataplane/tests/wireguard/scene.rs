//! A box, a data plane and a far end that talk to each other.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use egress_dataplane::protocol::{Event, Key, PeerConfig, TunnelConfig, TunnelId, Uncut};
use egress_linux::tun::Offload;

use crate::control::{Control, DataPlane, socket};
use crate::far_end::{FarEnd, Keys, SOON, Settings};
use crate::lab::{Lab, MTU, offload};

pub const TUNNEL: TunnelId = 7;

/// All of it, and what control keeps.
pub struct Scene {
    pub lab: Lab,
    pub keys: Keys,
    pub settings: Settings,
    pub far_end: Option<FarEnd>,
    pub data_plane: DataPlane,
    pub control: Control,
    pub device: OwnedFd,
    pub socket: OwnedFd,
    pub endpoint: SocketAddr,
}

/// What is not the same in each test.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub outer_v6: bool,
    pub keepalive: Option<u16>,
    pub allowed: &'static [&'static str],
    pub far_end: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { outer_v6: false, keepalive: None, allowed: &["0.0.0.0/0", "::/0"], far_end: true }
    }
}

impl Scene {
    /// Everything up, the tunnel added, its handshake done if there is a far end.
    pub fn new(wanted: &Wanted) -> Self {
        let lab = Lab::new();
        let (keys, far_keys) = (Keys::new(), Keys::new());
        let preshared = Keys::new().private;
        let settings = Settings { keys: far_keys, peer: keys.public, preshared, endpoint: None };
        let far_end = wanted.far_end.then(|| FarEnd::start(&lab, &settings));
        let endpoint = FarEnd::at(lab.outer(2, wanted.outer_v6));
        let (device, socket) = (lab.device(), socket(endpoint));
        let data_plane = DataPlane::start();
        let mut control = data_plane.control();
        control.hello();
        let mut scene =
            Self { lab, keys, settings, far_end, data_plane, control, device, socket, endpoint };
        let config = scene.config(wanted);
        scene.control.add(config, &[&scene.device, &scene.socket]);
        if wanted.far_end {
            scene.await_handshake(SOON);
        }
        scene
    }

    pub fn config(&self, wanted: &Wanted) -> TunnelConfig {
        let peer = PeerConfig {
            public_key: self.settings.keys.public,
            preshared_key: Some(Key(self.settings.preshared)),
            endpoint: self.endpoint,
            allowed_ips: wanted.allowed.iter().map(|net| net.parse().unwrap()).collect(),
            keepalive: wanted.keepalive,
        };
        let private_key = Key(self.keys.private);
        let (uncut, burst) = match offload() {
            Offload::Off => (Uncut::Nothing, 1),
            Offload::VnetHeader { segments } => (Uncut::TcpAndUdp, segments),
        };
        let peers = vec![peer];
        TunnelConfig { tunnel: TUNNEL, private_key, mtu: MTU, uncut, burst, peers }
    }

    pub fn await_handshake(&mut self, within: Duration) -> Duration {
        let wanted = Event::Handshake { tunnel: TUNNEL, peer: 0 };
        self.control.await_news(within, |event| *event == wanted)
    }

    /// Ends the far end without a word.
    pub fn stop_far_end(&mut self) {
        self.far_end.take().unwrap();
    }

    /// Starts a far end with the same keys. It knows nothing of former sessions.
    pub fn start_far_end(&mut self) {
        self.far_end = Some(FarEnd::start(&self.lab, &self.settings));
    }

    pub fn far_inner(&self, v6: bool) -> IpAddr {
        self.lab.inner(1, v6)
    }

    pub fn box_inner(&self, v6: bool) -> IpAddr {
        self.lab.inner(2, v6)
    }
}
