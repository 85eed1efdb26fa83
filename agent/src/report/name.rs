//! What this host is called in reports.

use std::io;

use sha2::{Digest, Sha256};

use crate::config;

const MACHINE_ID: &str = "/etc/machine-id";

/// Why this host has no name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// It has no machine id.
    #[error("read {MACHINE_ID}: say report.host_id where a host has none")]
    NoMachineId(#[source] io::Error),
    /// It is empty, as in images that were not booted yet.
    #[error("{MACHINE_ID} is not set yet: say report.host_id, or boot with systemd")]
    Unset,
}

/// The name that was set, or one that follows from the machine id, which itself is not told
/// (machine-id(5) asks for that).
pub fn of_host(settings: &config::Report) -> Result<String, NameError> {
    if !settings.host_id.is_empty() {
        return Ok(settings.host_id.clone());
    }
    let machine_id = std::fs::read_to_string(MACHINE_ID).map_err(NameError::NoMachineId)?;
    derived(machine_id.trim()).ok_or(NameError::Unset)
}

fn derived(machine_id: &str) -> Option<String> {
    let is_id = machine_id.len() == 32 && machine_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest = Sha256::new().chain_update("egress-agent report ").chain_update(machine_id);
    let digest: [u8; 32] = digest.finalize().into();
    let first = digest.first_chunk().copied().unwrap_or_default();
    is_id.then(|| uuid::Builder::from_custom_bytes(first).into_uuid().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_name_is_the_hosts_own_and_does_not_tell_the_machine_id() {
        let (one, other) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee");
        let name = derived(one).unwrap();
        assert_eq!(derived(one).unwrap(), name);
        assert_ne!(derived(other).unwrap(), name);
        assert!(!name.replace('-', "").contains(&one[..8]), "{name}");
        assert_eq!(derived("uninitialized"), None);
        assert_eq!(derived(""), None);
    }
}
