//! How soon an admin is answered while a caller of each role takes all that it can get, for a
//! minute.
#![expect(clippy::print_stdout, reason = "the figures are the bench's result")]

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;

use std::time::{Duration, Instant};

use serde_json::json;

use harness::container::Container;
use harness::greedy::{self, Greedy};
use harness::lab::in_lab;
use harness::wireguard_peer::Program;
use harness::world::{World, request};

const SPELL: Duration = Duration::from_mins(1);
/// An answer that takes longer misses its goal.
const GOAL: Duration = Duration::from_millis(500);
/// So does a control process with more in memory.
const MEMORY_GOAL_MIB: u64 = 150;

/// How long one kind of call took each time.
struct Call {
    name: &'static str,
    took: Vec<Duration>,
}

fn main() {
    in_lab(|lab| {
        egress_linux::process::raise_nofile_limit().expect("hold many connections");
        let world = World::with(lab, 1, Program::WireguardGo, &greedy::config());
        world.agent.apply(&greedy::catalog(1_000));
        println!("alone:");
        measure(&world, SPELL / 6);
        let greedy = Greedy::start(world.agent.socket());
        println!("beside greedy callers:");
        measure(&world, SPELL);
        let opened = greedy.opened.load(std::sync::atomic::Ordering::Relaxed);
        drop(greedy);
        println!("  they were given {opened} connections");
        std::thread::sleep(Duration::from_secs(12));
        println!("after them: {} MiB", world.agent.resident_kib() >> 10);
    });
}

fn measure(world: &World<'_>, spell: Duration) {
    let agent = &world.agent;
    let container = Container::named("c-1");
    let request = request("c-1", container.by_path(), 0);
    let mut calls = ["sessions", "apply", "attach", "detach"].map(Call::new);
    let [sessions, apply, attach, detach] = &mut calls;
    let (started, mut resident, mut round) = (Instant::now(), 0, 0);
    while started.elapsed() < spell {
        round += 1;
        let workspace = json!({"workspace": [{"name": "w", "egress":
            if round % 2 == 0 { "optional" } else { "required" }}]});
        sessions.time(|| assert_eq!(agent.ask("GET", "/v1/sessions", "").status, 200));
        apply.time(|| drop(agent.apply(&workspace)));
        attach.time(|| drop(agent.attach(&request).expect("root's own launcher is served")));
        detach.time(|| drop(agent.detach(&request.session_id, true)));
        resident = resident.max(agent.resident_kib());
    }
    calls.iter_mut().for_each(Call::report);
    let resident = resident >> 10;
    let goal = if resident < MEMORY_GOAL_MIB { "held" } else { "MISSED" };
    println!("  {round} rounds, at most {resident} MiB ({goal}: {MEMORY_GOAL_MIB})");
    container.destroy();
}

impl Call {
    fn new(name: &'static str) -> Self {
        Self { name, took: Vec::new() }
    }

    fn time(&mut self, call: impl FnOnce()) {
        let started = Instant::now();
        call();
        self.took.push(started.elapsed());
    }

    fn report(&mut self) {
        self.took.sort_unstable();
        let at = |part: usize| self.took[(self.took.len() - 1) * part / 100];
        let goal = if at(100) < GOAL { "held" } else { "MISSED" };
        println!(
            "  {:<9} p50 {:>7.1?}  p99 {:>7.1?}  max {:>7.1?}  ({goal}: {GOAL:?})",
            self.name,
            at(50),
            at(99),
            at(100)
        );
    }
}
