//! Much data arrives as it was sent, through each far end and with bursts of each size, and how
//! often TCP had to repeat itself.

use std::io;
use std::time::Instant;

use crate::harness::container::Container;
use crate::harness::internet::fill_digest;
use crate::harness::lab::in_lab;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::World;
use crate::load::{download, upload};
use crate::process::{cpu_seconds, retransmits};
use crate::setting;

const BURSTS: [u16; 4] = [8, 16, 32, 64];
const PROGRAMS: [(&str, Program); 2] =
    [("wireguard-go", Program::WireguardGo), ("boringtun", Program::Boringtun)];

/// One way through one tunnel.
struct Way {
    name: &'static str,
    carry: fn(u64) -> io::Result<[u8; 32]>,
}

const WAYS: [Way; 2] = [Way { name: "up", carry: upload }, Way { name: "down", carry: download }];

pub fn run() {
    let length = u64::from(setting("GIGABYTES", 1)) * 1_000_000_000;
    let expected = fill_digest(length);
    let far_end = std::env::var("EGRESS_FAR_END").unwrap_or_default();
    println!("{length} bytes each way; SHA-256 compared. {far_end}");
    println!("far end      | burst | way  | Gbit/s | CPU-s/GB | repeated segments");
    for (name, program) in PROGRAMS {
        for burst in BURSTS {
            in_lab(|lab| {
                let config = format!("[wireguard]\nburst = {burst}\n");
                let world = World::with(lab, 1, program, &config);
                let (container, _) = world.attached("c-1");
                for way in WAYS {
                    let line = carried(&world, &container, &way, length, expected);
                    println!("{name:12} | {burst:5} | {:4} | {line}", way.name);
                }
            });
        }
    }
}

fn carried(
    world: &World<'_>,
    container: &Container,
    way: &Way,
    length: u64,
    expected: [u8; 32],
) -> String {
    let dataplane = world.agent.dataplane_pid().expect("a data plane runs");
    let all = || retransmits(container.namespace()) + retransmits(&world.gateway.namespace);
    let (before, cpu, start) = (all(), cpu_seconds(dataplane), Instant::now());
    let hash = container.run(|| (way.carry)(length));
    assert_eq!(hash.expect("the stream lasts"), expected, "{}: it arrived changed", way.name);
    let (took, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds(dataplane) - cpu);
    #[allow(clippy::cast_precision_loss, reason = "it is shown with three digits")]
    let gigabytes = length as f64 / 1e9;
    let (rate, cost) = (gigabytes * 8.0 / took, cpu / gigabytes);
    format!("{rate:6.2} | {cost:8.2} | {}", all() - before)
}
