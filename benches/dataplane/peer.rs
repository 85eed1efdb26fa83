//! The data planes that are compared.

use std::process::Command;

use crate::harness::wireguard_peer::Program;

/// The first year of a `wireguard-go` that is worth a comparison: before it had no offloads.
const NEW: u32 = 2025;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The daemon as shipped.
    Ours,
    /// Debian's newest package.
    WireguardGo,
    /// The program of the boringtun crate.
    Boringtun,
    /// The program of the gotatun crate.
    Gotatun,
}

/// In the order in which they are measured.
pub const ALL: [Peer; 4] = [Peer::Ours, Peer::WireguardGo, Peer::Gotatun, Peer::Boringtun];

impl Peer {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::WireguardGo => "wireguard-go",
            Self::Boringtun => "boringtun-cli",
            Self::Gotatun => "gotatun",
        }
    }

    /// What to start, `None` for the daemon.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Ours => None,
            Self::WireguardGo => Some(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/wireguard-go")),
            Self::Boringtun => {
                Some(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/boringtun-cli"))
            }
            Self::Gotatun => Some(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/gotatun")),
        }
    }

    /// It as a far end, where it is to be one.
    pub fn far_end(self) -> Option<Program> {
        match self {
            Self::Ours => Some(Program::Dataplane),
            Self::WireguardGo => self.program().map(Program::Named),
            Self::Boringtun | Self::Gotatun => None,
        }
    }

    /// Its version in its own words. A `wireguard-go` that is too old is refused.
    pub fn version(self) -> String {
        let Some(program) = self.program() else { return env!("CARGO_PKG_VERSION").to_owned() };
        let output = Command::new(program).arg("--version").output();
        let output = output.unwrap_or_else(|error| {
            panic!("{program}: {error}; scripts/setup bench fetches it");
        });
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().trim().to_owned();
        if self == Self::WireguardGo {
            let year =
                year(&version).unwrap_or_else(|| panic!("{program}: no year in {version:?}"));
            assert!(year >= NEW, "{version} is too old to compare with: from {NEW} on");
        }
        version
    }
}

/// The year in a version like `v0.0.20250522`.
fn year(version: &str) -> Option<u32> {
    version.rsplit('.').next()?.get(..4)?.parse().ok()
}
