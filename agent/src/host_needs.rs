//! Needs that the agent has of its host, and the command that meets each.

use std::fs::File;
use std::io;
use std::path::Path;

use egress_core::firewall::TABLE;
use egress_linux::nft;
use nix::unistd::geteuid;

use crate::telemetry::chain;

const TUN: &str = "/dev/net/tun";

/// Something that the host lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Fault, in a sentence without its end.
    pub why: String,
    /// Command that mends it.
    pub fix: &'static str,
}

impl Lack {
    /// The lack with its remedy.
    pub fn text(&self) -> String {
        format!("{}: {}", self.why, self.fix)
    }
}

/// Checks that this process is root, which it takes to enter containers' namespaces.
pub fn root() -> Result<(), Lack> {
    let uid = geteuid();
    if uid.is_root() {
        return Ok(());
    }
    let why = format!("it runs as uid {uid}, and takes root");
    Err(Lack { why, fix: "sudo systemctl start egress-agent, or sudo egress-agentd" })
}

/// Checks that tunnels' devices can be made.
pub fn tun() -> Result<(), Lack> {
    openable(Path::new(TUN))
}

fn openable(path: &Path) -> Result<(), Lack> {
    let opened = File::options().read(true).write(true).open(path);
    let Err(error) = opened else { return Ok(()) };
    let fix = if error.kind() == io::ErrorKind::NotFound {
        "sudo modprobe tun; in a container, start that with --device /dev/net/tun"
    } else {
        "sudo chmod 666 /dev/net/tun; in a container, start that with --device /dev/net/tun"
    };
    Err(Lack { why: format!("{} cannot be opened, {error}", path.display()), fix })
}

/// Checks that containers can be sealed.
pub fn nftables() -> Result<(), Lack> {
    let asked = nft::exists(TABLE).map(drop);
    asked.map_err(|error| Lack {
        why: format!("the kernel's nftables do not answer, {}", chain(&error)),
        fix: "sudo modprobe nf_tables",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_missing_is_told_with_the_command_that_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let lack = openable(&dir.path().join("tun")).unwrap_err();
        assert!(lack.text().contains("modprobe tun"), "{}", lack.text());
        assert_eq!(openable(Path::new("/dev/null")), Ok(()));
    }
}
