//! What to measure, from the command line.

use std::path::PathBuf;

use clap::Parser;

use crate::harness::wireguard_peer::Program;
use crate::peer::{ALL, Peer};

const OURS: &str = "ours";

/// Compares data planes.
#[derive(Parser)]
pub struct Arguments {
    /// Which, by name; all of them when none is named. The first is what others are compared with.
    peers: Vec<String>,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Seconds of each kind of traffic.
    #[arg(long, default_value_t = 3)]
    pub seconds: u32,
    /// What all talk to: `ours`, or a program that takes the arguments of `wireguard-go`.
    #[arg(long, default_value = OURS)]
    pub far_end: String,
    /// Only what has this in its name, as the table shows it: `TCP ×4`, `MTU 1280`.
    #[arg(long, default_value = "")]
    pub only: String,
    /// More of our own daemon's configuration, as TOML.
    #[arg(long, default_value = "")]
    pub config: String,
    /// Also write all figures to this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// The peers that were asked for, each there and new enough.
    pub fn peers(&self) -> Vec<Peer> {
        let named = |name: &String| {
            let found = ALL.into_iter().find(|peer| peer.name() == name);
            found.unwrap_or_else(|| panic!("there is no peer {name}"))
        };
        if self.peers.is_empty() { ALL.to_vec() } else { self.peers.iter().map(named).collect() }
    }

    /// What they talk to.
    pub fn far_end(&self) -> Program {
        match self.far_end.as_str() {
            OURS => Program::Dataplane,
            // As long as the program.
            path => Program::Named(path.to_owned().leak()),
        }
    }
}
