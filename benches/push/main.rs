//! How long a push of 10,000 gateways takes, and who notices: 50 containers ask an echo server all
//! the time, and others are attached and detached.

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use egress_core::api::{PushReport, SessionView};

use harness::container::Container;
use harness::lab::in_lab;
use harness::push::{Askers, make_provider, push, snapshot};
use harness::world::{World, request};

const SESSIONS: u16 = 50;
const GATEWAYS: u64 = 10_000;
/// A push that takes longer misses its goal.
const GOAL: Duration = Duration::from_secs(1);
const ROUNDS: u64 = 5;

fn main() {
    in_lab(|lab| {
        let world = World::new(lab, SESSIONS + 1);
        make_provider(&world.agent);
        let containers: Vec<_> =
            (0..SESSIONS).map(|n| Container::named(&format!("c-{n}"))).collect();
        for container in &containers {
            attach(&world, container);
        }
        let other = Container::named("other");
        let one = |snapshot: &str| one(&world, &containers, &other, snapshot);
        quiet(&world, &containers);
        say("made", &one(&snapshot(1, GATEWAYS)));
        for round in 2..2 + ROUNDS {
            say("changed", &one(&snapshot(round, GATEWAYS)));
        }
        let last = 1 + ROUNDS;
        say("pushed again", &one(&snapshot(last, GATEWAYS)));
        say("withdrawn", &one(&snapshot(last + 1, 0)));
    });
}

/// What a push did, and to others meanwhile.
struct Round {
    took: Duration,
    bytes: usize,
    /// Milliseconds of the slowest selection of an attach: it waits for the store.
    slowest_select: f64,
    attaches: usize,
    resident_mib: u64,
    asked: u64,
    lost: u64,
    longest: Duration,
}

fn one(world: &World<'_>, containers: &[Container], other: &Container, snapshot: &str) -> Round {
    let (askers, stop) = (Askers::start(containers.iter()), AtomicBool::new(false));
    let (took, sessions) = thread::scope(|scope| {
        let attaching = scope.spawn(|| attach_until(world, other, &stop));
        thread::sleep(Duration::from_millis(500));
        let start = Instant::now();
        let reply = push(&world.agent, snapshot, "");
        let took = start.elapsed();
        assert_eq!(reply.status, 200, "push: {}", reply.body);
        let _: PushReport = reply.json();
        stop.store(true, Ordering::Relaxed);
        (took, attaching.join().expect("attached"))
    });
    let (asked, lost, longest) = askers.finish();
    let selects = sessions.iter().map(|session| session.timings_ms.unwrap_or_default().select);
    Round {
        took,
        bytes: snapshot.len(),
        slowest_select: selects.fold(0.0, f64::max),
        attaches: sessions.len(),
        resident_mib: resident_mib(world.agent.pid()),
        asked,
        lost,
        longest,
    }
}

/// What the containers see when nothing is pushed.
#[expect(clippy::print_stdout, reason = "the figures are the bench's result")]
fn quiet(world: &World<'_>, containers: &[Container]) {
    let askers = Askers::start(containers.iter());
    thread::sleep(Duration::from_secs(2));
    let (asked, lost, longest) = askers.finish();
    let resident = resident_mib(world.agent.pid());
    println!("no push: {asked} datagrams, {lost} lost, longest wait {longest:.1?}; {resident} MiB");
}

fn attach_until(world: &World<'_>, other: &Container, stop: &AtomicBool) -> Vec<SessionView> {
    let mut sessions = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let session = attach(world, other);
        world.agent.detach(&session.session_id, true);
        sessions.push(session);
    }
    sessions
}

fn attach(world: &World<'_>, container: &Container) -> SessionView {
    let mut asked = request(container.namespace().name(), container.by_path(), 0);
    asked.deadline_ms = 60_000;
    world.agent.attach(&asked).unwrap_or_else(|problem| panic!("attach: {problem:?}"))
}

fn resident_mib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the agent runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kib = line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
    kib.expect("a number of KiB") / 1024
}

#[expect(clippy::print_stdout, reason = "the figures are the bench's result")]
fn say(what: &str, round: &Round) {
    let Round { took, bytes, slowest_select, attaches, resident_mib, asked, lost, longest } = round;
    let verdict = if *took < GOAL { "within" } else { "above" };
    println!(
        "{what}: {took:.0?} for {} KiB, {verdict} the goal of {GOAL:?}; {asked} datagrams, {lost} \
         lost, longest wait {longest:.1?}; {attaches} attaches meanwhile, slowest select \
         {slowest_select:.1} ms; {resident_mib} MiB",
        bytes / 1024,
    );
}
