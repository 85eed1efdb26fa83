//! Fifty tunnels under mixed traffic across their rekeys: memory, drops, handshakes.

use std::collections::HashMap;
use std::io::{
    self,
    ErrorKind::{PermissionDenied, WouldBlock},
};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::container::Container;
use crate::harness::lab::{SERVER_V4, SERVER_V6, in_lab};
use crate::harness::probe;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::World;
use crate::load::{download, upload};
use crate::process::anonymous_kib;
use crate::setting;

const TUNNELS: u16 = 50;
const SAMPLE: Duration = Duration::from_secs(10);
/// What a process may still grow by after the first third, in KiB.
const GROWTH: u64 = 1024;
const REKEY_S: u64 = 125;
const PATIENCE: Duration = Duration::from_secs(5);

/// What one look showed.
struct Sample {
    at: Duration,
    dataplane_kib: u64,
    control_kib: u64,
    dropped: f64,
}

pub fn run() {
    let time = Duration::from_mins(u64::from(setting("MINUTES", 1)));
    in_lab(|lab| {
        let world = World::with(lab, TUNNELS, Program::WireguardGo, "");
        let containers: Vec<_> =
            (0..TUNNELS).map(|n| world.attached(&format!("c-{n}")).0).collect();
        let (stop, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let traffic: Vec<_> = containers
            .iter()
            .zip(KINDS.iter().cycle())
            .map(|(container, kind)| kind.start(container, &stop, &bytes))
            .collect();
        let (samples, handshakes) = watch(&world, time, &bytes);
        stop.store(true, Ordering::Relaxed);
        for thread in traffic {
            thread.join().expect("a flow does not panic").expect("every flow lasts");
        }
        let reconnects = world.agent.metric("egress_session_reconnects_total", &[]);
        println!("{reconnects} times a tunnel fell silent");
        judge(&samples, handshakes, time);
    });
}

/// Looks every ten seconds, and counts how often a tunnel's handshake became younger.
fn watch(world: &World<'_>, time: Duration, bytes: &AtomicU64) -> (Vec<Sample>, u64) {
    let (start, mut samples) = (Instant::now(), Vec::new());
    let (mut ages, mut handshakes) = (HashMap::new(), 0);
    println!("seconds | data plane KiB | control KiB | dropped | handshakes | MB carried");
    while start.elapsed() < time {
        thread::sleep(SAMPLE);
        handshakes += count_younger(&world.agent.metrics(), &mut ages);
        let dataplane = world.agent.dataplane_pid().expect("the data plane lives");
        let sample = Sample {
            at: start.elapsed(),
            dataplane_kib: anonymous_kib(dataplane),
            control_kib: anonymous_kib(world.agent.pid()),
            dropped: world.agent.metric("egress_session_dropped_packets_total", &[]),
        };
        println!(
            "{:7} | {:14} | {:11} | {:7} | {handshakes:10} | {}",
            sample.at.as_secs(),
            sample.dataplane_kib,
            sample.control_kib,
            sample.dropped,
            bytes.load(Ordering::Relaxed) / 1_000_000
        );
        samples.push(sample);
    }
    (samples, handshakes)
}

/// How many handshakes are younger than they were.
fn count_younger(metrics: &str, ages: &mut HashMap<String, f64>) -> u64 {
    let mut younger = 0;
    for line in metrics.lines().filter(|line| line.starts_with("egress_session_handshake_age")) {
        let Some((name, age)) = line.rsplit_once(' ') else { continue };
        let age: f64 = age.parse().expect("samples are numbers");
        if ages.insert(name.to_owned(), age).is_some_and(|before| age < before) {
            younger += 1;
        }
    }
    younger
}

fn judge(samples: &[Sample], handshakes: u64, time: Duration) {
    let (early, last) = (&samples[samples.len() / 3], &samples[samples.len() - 1]);
    let wanted = u64::from(TUNNELS) * (time.as_secs() / REKEY_S);
    println!("{handshakes} new handshakes, {wanted} at least were due");
    assert!(handshakes >= wanted, "rekeys are missing");
    assert!(last.dropped < 0.5, "{} packets were dropped", last.dropped);
    let grown = |get: fn(&Sample) -> u64| get(last).saturating_sub(get(early));
    let (dataplane, control) = (grown(|now| now.dataplane_kib), grown(|now| now.control_kib));
    println!("since {:?} the data plane grew by {dataplane} KiB, control by {control}", early.at);
    assert!(dataplane < GROWTH, "the data plane grew by {dataplane} KiB");
}

/// A container's way to use its tunnel.
struct Kind {
    turn: fn() -> io::Result<u64>,
    pause: Duration,
}

const KINDS: [Kind; 5] = [
    Kind { turn: fetch, pause: Duration::from_millis(700) },
    Kind { turn: send, pause: Duration::from_millis(900) },
    Kind { turn: || echo(SERVER_V4.into()), pause: Duration::from_millis(50) },
    Kind { turn: || echo(SERVER_V6.into()), pause: Duration::from_millis(50) },
    Kind { turn: connect, pause: Duration::from_millis(300) },
];

impl Kind {
    fn start(
        &self,
        container: &Container,
        stop: &Arc<AtomicBool>,
        bytes: &Arc<AtomicU64>,
    ) -> JoinHandle<io::Result<()>> {
        let (turn, pause) = (self.turn, self.pause);
        let (stop, bytes) = (Arc::clone(stop), Arc::clone(bytes));
        let namespace = container.namespace().clone();
        thread::spawn(move || namespace.run(|| until(&stop, &bytes, turn, pause)))
    }
}

fn until(
    stop: &AtomicBool,
    bytes: &AtomicU64,
    turn: fn() -> io::Result<u64>,
    pause: Duration,
) -> io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        bytes.fetch_add(turn()?, Ordering::Relaxed);
        thread::sleep(pause);
    }
    Ok(())
}

fn fetch() -> io::Result<u64> {
    download(2_000_000).map(|_| 2_000_000)
}

fn send() -> io::Result<u64> {
    upload(2_000_000).map(|_| 2_000_000)
}

/// Many short connections.
fn connect() -> io::Result<u64> {
    for length in [1, 100, 20_000] {
        upload(length)?;
        download(length)?;
    }
    Ok(2 * 20_101)
}

/// Datagrams of every size, fragments included. One that is lost on the way is not repeated, nor
/// one that the seal refuses while a session reconnects.
fn echo(server: IpAddr) -> io::Result<u64> {
    let mut bytes = 0;
    for len in [1, 64, 512, 1300, 1392, 4000] {
        match probe::udp_echo(server, &vec![0x5a; len], PATIENCE) {
            Ok(_) => bytes += 2 * len as u64,
            Err(error) if matches!(error.kind(), WouldBlock | PermissionDenied) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
