//! A thousand sessions in one daemon: what each costs, and how soon they are there. And as many as
//! it takes, while its processes die and hang.
//!
//! `cargo bench --bench density -- [cost] [deaths]`; without names both. Of the first, `DEVICE` is
//! a value of `wireguard.device`, `SESSIONS` (1,000) and `IDLE_SECONDS` (60) say how many there are
//! and for how long they are watched, and the far end is `EGRESS_FAR_END`, else the newest
//! `wireguard-go` that `scripts/setup bench` fetched. Of the second, `WIREGUARD` (4,096) and
//! `OPENVPN` (300) say how many there are.

#![allow(clippy::print_stdout, reason = "what is measured is shown")]

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;
#[path = "../endurance/process.rs"]
#[allow(dead_code, reason = "other benches use the rest")]
mod process;

mod attaching;
mod cost;
mod deaths;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use harness::container::Container;
use harness::lab::in_lab;
use harness::wireguard_peer::Program;
use harness::world::{World, catalog};

use attaching::{attach, detach};
use cost::{Cost, idle};

const FIRST: usize = 8;
/// What a storm of starts on a host is.
const STORM: usize = 100;
const STORMS: usize = 3;
const SCRAPES: usize = 20;
/// Until what a storm left behind has settled.
const REST: Duration = Duration::from_secs(10);
const WIREGUARD_GO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/wireguard-go");

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if wants("cost") {
        costs();
    }
    if wants("deaths") {
        in_lab(|lab| deaths::run(lab, setting("WIREGUARD", 4096), setting("OPENVPN", 300)));
    }
}

fn costs() {
    let device = std::env::var("DEVICE").ok();
    let sessions = setting("SESSIONS", 1000);
    let watched = Duration::from_secs(u64::from(setting("IDLE_SECONDS", 60)));
    let device = device.map(|device| format!("[wireguard]\ndevice = \"{device}\"\n"));
    let config = format!("{}[log]\nlevel = \"warn\"\n", device.unwrap_or_default());
    in_lab(|lab| {
        let world = World::with(lab, sessions, far_end(), &config);
        keep_alive(&world);
        let containers = make_containers(sessions);
        measure(&world, &containers, watched);
    });
}

fn measure(world: &World<'_>, containers: &[Container], watched: Duration) {
    println!("at the start: {}", Cost::of(world));
    // What the first attaches make for good is no session's.
    detach(world, &attach(world, &containers[..FIRST.min(containers.len())]).sessions);
    let before = Cost::of(world);
    let attached = attach(world, containers);
    attached.report();
    let start = Instant::now();
    assert!(containers.iter().step_by(97).all(|one| one.has_traffic(REST)), "a tunnel is dead");
    thread::sleep(REST.saturating_sub(start.elapsed()));
    Cost::of(world).report(&before, containers.len());
    idle(world, watched);
    scrape(world);
    let start = Instant::now();
    detach(world, &attached.sessions);
    println!("{} detached in {:.2?}", containers.len(), start.elapsed());
    thread::sleep(REST);
    println!("afterwards: {}", Cost::of(world));
    for _ in 0..STORMS {
        let attached = attach(world, &containers[..STORM.min(containers.len())]);
        attached.report();
        detach(world, &attached.sessions);
    }
}

fn scrape(world: &World<'_>) {
    let mut times = Vec::new();
    let mut length = 0;
    for _ in 0..SCRAPES {
        let start = Instant::now();
        length = world.agent.metrics().len();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let (p50, most) = (times[SCRAPES / 2], times[SCRAPES - 1]);
    println!("/metrics: {} KiB in p50 {p50:.1?}, longest {most:.1?}", length / 1024);
}

fn make_containers(count: u16) -> Vec<Container> {
    let start = Instant::now();
    let containers = (0..count).map(|n| Container::named(&format!("c-{n}"))).collect();
    println!("{count} namespaces made in {:.1?}", start.elapsed());
    containers
}

/// The catalog again, with what keeps a NAT open.
fn keep_alive(world: &World<'_>) {
    let endpoint = world.peer.endpoint(1).to_string();
    let mut document = catalog(&[(0, &world.peer, &endpoint)], &world.clients);
    let config = &mut document["gateway"][0]["config"];
    let text = config.as_str().expect("a gateway has a config");
    *config = format!("{text}PersistentKeepalive = 25\n").into();
    world.agent.apply(&document);
}

fn far_end() -> Program {
    let newest = std::env::var_os("EGRESS_FAR_END").is_none() && Path::new(WIREGUARD_GO).exists();
    if newest { Program::Named(WIREGUARD_GO) } else { Program::WireguardGo }
}

/// A number from the environment.
fn setting(name: &str, default: u16) -> u16 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number"))
    })
}
