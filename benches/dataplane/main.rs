//! How fast our data plane is beside others: the same traffic through each of them in turn, round
//! after round, towards the same far end.
//!
//! `cargo bench --bench dataplane -- [PEER…] [--rounds N] [--seconds N] [--only TRAFFIC]
//! [--far-end ours|PROGRAM] [--config TOML] [--json FILE]`. `scripts/setup bench` fetches the peers.

#![allow(clippy::print_stdout, reason = "what is measured is shown")]

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;
#[path = "../endurance/process.rs"]
#[allow(dead_code, reason = "other benches use the rest")]
mod process;

mod arguments;
mod figures;
mod iperf;
mod peer;
mod scene;
mod session;
mod table;

use clap::Parser;

use arguments::Arguments;
use figures::Figures;
use peer::Peer;
use scene::Scene;

/// The tunnels' MTU where nothing on the way is narrow.
const WIDE: u16 = 1420;
/// The least that IPv6 asks for.
const NARROW: u16 = 1280;

fn main() {
    let arguments = Arguments::parse();
    let peers = arguments.peers();
    for peer in &peers {
        println!("{}: {}", peer.name(), peer.version());
    }
    println!("far end: {}", arguments.far_end);
    let scenes = scenes(&arguments, &peers);
    let mut figures = Figures::default();
    for round in 1..=arguments.rounds {
        for scene in &scenes {
            println!("round {round} of {}: {}", arguments.rounds, scene.name());
            scene.run(&arguments, &mut figures);
        }
    }
    print!("{}", table::render(&figures));
    if let Some(path) = &arguments.json {
        std::fs::write(path, figures.json().to_string()).expect("write the figures");
    }
}

/// Every peer towards the fixed far end, on a wide path and on a narrow one; then those that can
/// be both on both sides.
fn scenes(arguments: &Arguments, peers: &[Peer]) -> Vec<Scene> {
    let far_end = arguments.far_end();
    let wide = peers.iter().map(|peer| Scene::towards(*peer, far_end, WIDE));
    let narrow = peers.iter().map(|peer| Scene::towards(*peer, far_end, NARROW));
    let both = peers.iter().filter_map(|peer| Scene::both_sides(*peer, WIDE));
    wide.chain(narrow).chain(both).collect()
}
