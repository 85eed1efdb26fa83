//! How long an attach takes, stage by stage: a hundred in a row, a hundred at once.
//!
//! Each placement of the tunnel's device (`inside` the container, or `moved` there) and each way of
//! naming a container (by a process in it, or by path) is measured on a host of its own, against
//! `wireguard-go`. The machine's load is printed before and after: the figures are worth little
//! without it. `cargo bench --bench attach -- [inside|moved] [pid|path]` measures some of them.
//!
//! `waiting` is how long the gateway's answer was waited for when all else was done, and `besides`
//! the attach without that.

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use egress_core::api::{NetnsRef, SessionView, Timings};

use harness::container::Container;
use harness::lab::in_lab;
use harness::wireguard_peer::Program;
use harness::world::{World, request};

const ATTACHES: u16 = 100;
const PLACEMENTS: [&str; 2] = ["inside", "moved"];
/// How often a hundred are attached at once.
const ROUNDS: usize = 3;

/// How a container is named.
type Naming = (&'static str, fn(&Container) -> NetnsRef);

const NAMINGS: [Naming; 2] = [("pid", Container::by_pid), ("path", Container::by_path)];

/// A stage's name and where it stands in the timings.
type Stage = (&'static str, fn(&Timings) -> f64);

const STAGES: [Stage; 8] = [
    ("seal", |timings| timings.seal),
    ("select", |timings| timings.select),
    ("tunnel", |timings| timings.tunnel),
    ("handshake", |timings| timings.handshake),
    ("waiting", waiting),
    ("open", |timings| timings.open),
    ("besides", |timings| timings.total - waiting(timings)),
    ("total", |timings| timings.total),
];

/// Both begin with the tunnel.
fn waiting(timings: &Timings) -> f64 {
    (timings.handshake - timings.tunnel).max(0.0)
}

fn main() {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str, all: [&str; 2]| {
        words.iter().any(|word| word == name) || !words.iter().any(|word| all.contains(&&**word))
    };
    for placement in PLACEMENTS.into_iter().filter(|it| wanted(it, PLACEMENTS)) {
        for naming in NAMINGS.into_iter().filter(|it| wanted(it.0, NAMINGS.map(|it| it.0))) {
            in_lab(|lab| {
                let config = format!("[wireguard]\ndevice = \"{placement}\"\n");
                let world = World::with(lab, ATTACHES, Program::WireguardGo, &config);
                measure(&world, placement, naming);
            });
        }
    }
}

fn measure(world: &World<'_>, placement: &str, (way, name): Naming) {
    let containers: Vec<_> =
        (0..ATTACHES).map(|n| Container::with_process(&format!("c-{n}"))).collect();
    let named: Vec<_> =
        containers.iter().map(|it| (it.namespace().name().to_owned(), name(it))).collect();
    say_load();
    let (wall, sessions) = one_after_another(world, &named);
    report(&format!("{placement}, by {way}, one after another"), wall, &sessions);
    detach(world, &sessions);
    for _ in 0..ROUNDS {
        let (wall, sessions) = at_once(world, &named);
        report(&format!("{placement}, by {way}, at once"), wall, &sessions);
        detach(world, &sessions);
    }
    say_load();
}

type Named = (String, NetnsRef);

fn one_after_another(world: &World<'_>, containers: &[Named]) -> (Duration, Vec<SessionView>) {
    let start = Instant::now();
    let sessions = containers.iter().map(|container| attach(world, container)).collect();
    (start.elapsed(), sessions)
}

fn at_once(world: &World<'_>, containers: &[Named]) -> (Duration, Vec<SessionView>) {
    thread::scope(|scope| {
        let start = Instant::now();
        let attaches: Vec<_> = containers
            .iter()
            .map(|container| scope.spawn(move || attach(world, container)))
            .collect();
        let sessions = attaches.into_iter().map(|attach| attach.join().expect("attached"));
        let sessions = sessions.collect();
        (start.elapsed(), sessions)
    })
}

fn attach(world: &World<'_>, (name, netns): &Named) -> SessionView {
    let mut asked = request(name, netns.clone(), 0);
    asked.deadline_ms = 60_000;
    world.agent.attach(&asked).unwrap_or_else(|problem| panic!("attach: {problem:?}"))
}

#[expect(clippy::print_stdout, reason = "the figures are the bench's result")]
fn say_load() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("load {} on {cores} cores", load.trim());
}

fn detach(world: &World<'_>, sessions: &[SessionView]) {
    for session in sessions {
        world.agent.detach(&session.session_id, true);
    }
    assert_eq!(world.agent.live_connections(), 0);
}

#[expect(clippy::print_stdout, reason = "the figures are the bench's result")]
fn report(what: &str, wall: Duration, sessions: &[SessionView]) {
    println!("{what}: {} in {wall:.2?}", sessions.len());
    for (name, of) in STAGES {
        let mut values: Vec<_> =
            sessions.iter().map(|s| of(&s.timings_ms.unwrap_or_default())).collect();
        values.sort_by(f64::total_cmp);
        let (p50, p99) = (values[values.len() / 2], values[values.len() * 99 / 100]);
        println!("  {name:<10} p50 {p50:8.2} ms   p99 {p99:8.2} ms");
    }
}
