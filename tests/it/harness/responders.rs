//! Far ends that answer handshakes and send UDP back to where it came from, as many as a test
//! wants: no process each.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use x25519_dalek::{PublicKey, StaticSecret};

use super::keys::{KeyPair, random_bytes};
use super::lab::Gateway;
use super::wireguard_peer::Client;
use super::world::gateway_id;

/// The longest packet that is answered.
const PACKET_MAX: usize = 2048;
/// The first of their ports.
const PORT: u16 = 52_000;

/// Far ends with a key and a port each, for one client. They answer until this is dropped.
pub struct Responders {
    addresses: Vec<SocketAddr>,
    keys: Vec<KeyPair>,
    mute: Arc<AtomicBool>,
    _runtime: Runtime,
}

impl Responders {
    /// Starts this many on a gateway.
    pub fn start(gateway: &Gateway, client: &Client, count: u16) -> Self {
        let addresses: Vec<_> =
            (0..count).map(|number| SocketAddr::new(gateway.v4(1).into(), PORT + number)).collect();
        let bind = |address: &SocketAddr| UdpSocket::bind(address).expect("bind a far end");
        let sockets: Vec<_> =
            gateway.namespace.run(|| addresses.iter().map(bind).collect::<Vec<_>>());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build();
        let runtime = runtime.expect("start the far ends' thread");
        let client = PublicKey::from(decoded(&client.keys.public));
        let mute = Arc::<AtomicBool>::default();
        let keys = sockets.into_iter().map(|socket| {
            let keys = KeyPair::random();
            let own = StaticSecret::from(decoded(&keys.private));
            let index = u32::from_le_bytes(random_bytes()) >> 8;
            // A far end whose client comes back again and again does not ask it for cookies.
            let limit = Arc::new(RateLimiter::new(&PublicKey::from(&own), u64::MAX));
            let tunnel = Tunn::new(own, client, None, None, index, Some(limit));
            runtime.spawn(answer(socket, tunnel, Arc::clone(&mute)));
            keys
        });
        let keys = keys.collect();
        Self { addresses, keys, mute, _runtime: runtime }
    }

    /// Has them take no notice of anybody, or answer again.
    #[allow(dead_code, reason = "benches share this")]
    pub fn set_mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::Relaxed);
    }

    /// One gateway record of provider `lab` for each.
    pub fn gateways(&self) -> Vec<Value> {
        self.gateways_from(0)
    }

    /// The same, with numbers from this one on.
    pub fn gateways_from(&self, first: u16) -> Vec<Value> {
        let each = (first..).zip(self.addresses.iter().zip(&self.keys));
        each.map(|(number, (address, keys))| gateway_record(number, address, &keys.public))
            .collect()
    }
}

/// A gateway record of provider `lab`.
pub fn gateway_record(number: u16, address: &SocketAddr, public_key: &str) -> Value {
    let peer = format!("PublicKey = {public_key}\nEndpoint = {address}\nAllowedIPs = 0.0.0.0/0");
    json!({
        "id": gateway_id(number),
        "provider": "lab",
        "name": format!("gw{number}"),
        "config": format!("[Interface]\n[Peer]\n{peer}\n"),
    })
}

fn decoded(key: &str) -> [u8; 32] {
    STANDARD.decode(key).expect("base64").try_into().expect("a key has 32 bytes")
}

async fn answer(socket: UdpSocket, mut tunnel: Tunn, mute: Arc<AtomicBool>) {
    socket.set_nonblocking(true).expect("let a socket wait");
    let socket = tokio::net::UdpSocket::from_std(socket).expect("wait for a socket");
    let (mut heard, mut said) = ([0; PACKET_MAX], [0; PACKET_MAX]);
    loop {
        // An error is a client's that has gone.
        let Ok((length, client)) = socket.recv_from(&mut heard).await else { continue };
        if mute.load(Ordering::Relaxed) {
            continue;
        }
        let mut answer = tunnel.decapsulate(Some(client.ip()), &heard[..length], &mut said);
        if let TunnResult::WriteToTunnelV4(packet, _) = answer {
            let packet = returned(packet);
            answer = tunnel.encapsulate(&packet, &mut said);
        }
        if let TunnResult::WriteToNetwork(packet) = answer {
            let _ = socket.send_to(packet, client).await;
        }
    }
}

/// An IPv4 packet on its way back to the port that it came from: both checksums stay right.
fn returned(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let (source, destination) = (12, 16);
    let ports = usize::from(packet[0] & 0xf) * 4;
    for byte in 0..4 {
        packet.swap(source + byte, destination + byte);
    }
    if packet.len() >= ports + 4 {
        packet.swap(ports, ports + 2);
        packet.swap(ports + 1, ports + 3);
    }
    packet
}
