//! What a plugin service pushes, and containers that would notice.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::agent::Agent;
use super::container::Container;
use super::http::Reply;
use super::lab::SERVER_V4;
use super::probe::udp_echo;

/// The id of the provider that is pushed to.
pub const PROVIDER: &str = "00000000-0000-7000-8000-0000000003ff";
/// An answer that takes longer is lost.
const LOST: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(20);

/// Makes the provider that is pushed to.
pub fn make_provider(agent: &Agent<'_>) {
    agent.apply(&json!({"provider": [{
        "id": PROVIDER,
        "name": "pushed",
        "type": "wireguard",
        "managed": true,
        "enable_new_managed_gateways": true,
    }]}));
}

/// A snapshot of this many gateways, each with a name, a city and a config of its version.
pub fn snapshot(version: u64, gateways: u64) -> String {
    let mut json = format!(r#"{{"version": {version}, "gateways": ["#);
    for number in 0..gateways {
        let comma = if number == 0 { "" } else { "," };
        let config = json!(config(version, number));
        let _ = write!(
            json,
            r#"{comma}{{"external_id": "x-{number}", "name": "gateway {number} of {version}", "#
        );
        let _ = write!(json, r#""country": "SE", "city": "city {version}", "config": {config}}}"#);
    }
    json + "]}"
}

fn config(version: u64, number: u64) -> String {
    let mut key = [0x42; 32];
    key[..8].copy_from_slice(&version.to_be_bytes());
    key[8..16].copy_from_slice(&number.to_be_bytes());
    let (peer, preshared) = (STANDARD.encode(key), STANDARD.encode([7; 32]));
    format!(
        "[Interface]\nAddress = 10.64.0.2/32\nDNS = 10.64.0.1\n\n[Peer]\nPublicKey = {peer}\n\
         PresharedKey = {preshared}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 198.51.100.{}:51820\n",
        number % 200 + 1
    )
}

/// Pushes a snapshot.
pub fn push(agent: &Agent<'_>, snapshot: &str, query: &str) -> Reply {
    let path = format!("/v1/providers/{PROVIDER}/managed-gateways{query}");
    agent.ask("PUT", &path, snapshot)
}

/// Containers that ask an echo server all the time, each datagram waited for.
pub struct Askers {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    longest: Arc<Mutex<Duration>>,
    threads: Vec<JoinHandle<()>>,
}

impl Askers {
    /// Starts one in each container.
    pub fn start<'a>(containers: impl Iterator<Item = &'a Container>) -> Self {
        let mut askers = Self {
            stop: Arc::default(),
            asked: Arc::default(),
            lost: Arc::default(),
            longest: Arc::default(),
            threads: Vec::new(),
        };
        for container in containers {
            let namespace = container.namespace().clone();
            let (stop, asked) = (Arc::clone(&askers.stop), Arc::clone(&askers.asked));
            let (lost, longest) = (Arc::clone(&askers.lost), Arc::clone(&askers.longest));
            askers.threads.push(thread::spawn(move || {
                namespace.run(|| ask_until(&stop, &asked, &lost, &longest));
            }));
        }
        askers
    }

    /// How many datagrams were sent so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends them: how many were sent, how many of them lost, and the longest wait for an answer.
    pub fn finish(mut self) -> (u64, u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("an asker does not panic");
        }
        let longest = *self.longest.lock().expect("an asker does not panic");
        (self.asked(), self.lost.load(Ordering::Relaxed), longest)
    }
}

fn ask_until(stop: &AtomicBool, asked: &AtomicU64, lost: &AtomicU64, longest: &Mutex<Duration>) {
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        if udp_echo(IpAddr::V4(SERVER_V4), b"still there?", LOST).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        asked.fetch_add(1, Ordering::Relaxed);
        let mut longest = longest.lock().expect("an asker does not panic");
        *longest = start.elapsed().max(*longest);
        drop(longest);
        thread::sleep(PACE);
    }
}
