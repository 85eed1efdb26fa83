//! The message: the whole truth of one host.

use serde::{Deserialize, Serialize};

use crate::api::ConnectionList;

/// The form of the message; another number is another form.
pub const FORMAT: u32 = 1;

/// Every live connection of one host. Each message stands for itself: it replaces all that the
/// receiver knew of that host, and what it does not name is not in use there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Which host this is.
    pub host_id: String,
    /// Its boot: with another one, all connections of the former boot have ended.
    pub boot_id: String,
    /// Grows from message to message, over restarts too: a lower one is out of date.
    pub sequence: u64,
    /// The host's wall time in milliseconds since the epoch.
    pub sent_at_ms: u64,
    /// Seconds until the next message, at the latest. A host that is silent for several of these
    /// is down or cut off; its tunnels may be up all the same.
    pub heartbeat_s: u64,
    /// Credentials, accounts and keys with live connections.
    #[serde(flatten)]
    pub in_use: ConnectionList,
}

/// The numbers of a host's messages: how often the agent was started in the high half, messages
/// since in the low one.
#[derive(Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// The numbers of the agent's `starts`-th life.
    pub fn of_start(starts: u32) -> Self {
        Self(u64::from(starts) << 32)
    }

    /// The next number; never the same again.
    pub fn next_number(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AccountUse, ConnectionsView};
    use crate::id::{CredentialId, ProviderId};

    #[test]
    fn numbers_grow_over_restarts() {
        let mut first = Sequence::of_start(1);
        let mut numbers: Vec<_> = (0..3).map(|_| first.next_number()).collect();
        numbers.push(Sequence::of_start(2).next_number());
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn a_message_names_what_is_in_use_and_nothing_else() {
        let credential = |n: u8, in_use| ConnectionsView {
            credential_id: CredentialId::from_bytes([n; 16]),
            name: "ann".into(),
            provider: "nordic".into(),
            in_use,
            limit: Some(3),
            sessions: Vec::new(),
        };
        let account = |account: &str, in_use| AccountUse {
            provider_id: ProviderId::from_bytes([9; 16]),
            provider: "nordic".into(),
            account: account.into(),
            in_use,
            limit: None,
        };
        let list = ConnectionList {
            connections: vec![credential(1, 0), credential(2, 5)],
            accounts: vec![account("idle", 0), account("team", 5)],
            keys: Vec::new(),
        };
        let report = Report {
            format: FORMAT,
            host_id: "h".into(),
            boot_id: "b".into(),
            sequence: 7,
            sent_at_ms: 1,
            heartbeat_s: 60,
            in_use: list.only_in_use(),
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["connections"].as_array().unwrap().len(), 1);
        assert_eq!(json["connections"][0]["in_use"], 5, "over its limit, and told so");
        assert_eq!(json["accounts"][0]["account"], "team");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    }
}
