//! Callers who take all that they can get keep nobody else from what they need.

use std::time::{Duration, Instant};

use egress_core::api::{AttachRequest, DEADLINE_MAX_MS};
use serde_json::json;

use crate::harness::container::Container;
use crate::harness::greedy::{self, Greedy};
use crate::harness::lab::in_lab;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::{World, request};

/// How long they are greedy.
const SPELL: Duration = Duration::from_secs(8);
/// What the daemon may have in memory meanwhile.
const MEMORY_KIB: u64 = 150_000;

#[test]
fn the_admin_is_heard_and_memory_is_bounded_whatever_others_take() {
    in_lab(|lab| {
        egress_linux::process::raise_nofile_limit().expect("hold many connections");
        let world = World::with(lab, 1, Program::WireguardGo, &greedy::config());
        let agent = &world.agent;
        agent.apply(&greedy::catalog(200));
        let greedy = Greedy::start(agent.socket());
        let container = Container::named("c-1");
        // How soon is for the benchmark to say, on a machine that has nothing else to do.
        let request = AttachRequest {
            deadline_ms: DEADLINE_MAX_MS,
            ..request("c-1", container.by_path(), 0)
        };
        let (started, mut rounds, mut most) = (Instant::now(), 0, 0);
        while started.elapsed() < SPELL || rounds < 3 {
            assert_eq!(agent.ask("GET", "/v1/sessions", "").status, 200);
            agent.apply(&json!({"workspace": [{"name": format!("w-{rounds}")}]}));
            agent.attach(&request).expect("root's own launcher is served");
            agent.detach(&request.session_id, true);
            most = most.max(agent.resident_kib());
            rounds += 1;
        }
        let opened = greedy.opened.load(std::sync::atomic::Ordering::Relaxed);
        drop(greedy);
        println!("{rounds} rounds beside {opened} greedy connections, at most {most} KiB");
        assert!(opened > 1_000, "they were given {opened} connections only");
        assert!(most < MEMORY_KIB, "{most} KiB");
    });
}
