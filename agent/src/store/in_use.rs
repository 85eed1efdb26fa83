//! What is in use right now, kept in memory beside the leases' table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use egress_core::catalog::InUse;
use egress_core::id::{CredentialId, ProviderId, SessionId};
use egress_core::wireguard::ConflictKey;

/// An account of a provider.
pub(super) type Account = (ProviderId, String);

/// What one lease keeps from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Who has it; `None` while it cools.
    pub(super) session: Option<SessionId>,
    pub(super) credential: CredentialId,
    pub(super) account: Option<Account>,
    pub(super) keys: Vec<ConflictKey>,
}

/// What a committed transaction did to the leases.
pub(super) enum Change {
    /// A lease was made.
    Held(i64, Held),
    /// Its session is gone, its slot is not free before this.
    Cooling { lease: i64, until: Instant },
    /// Its slot is free.
    Freed { lease: i64 },
}

/// Connections that count against limits, at one moment: sessions' and those that cool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUseSnapshot {
    leases: BTreeMap<i64, Held>,
    credentials: BTreeMap<CredentialId, u32>,
    accounts: BTreeMap<Account, u32>,
    keys: BTreeSet<ConflictKey>,
}

impl InUseSnapshot {
    /// Every credential in use with its connections, by id.
    pub fn by_credential(&self) -> impl Iterator<Item = (CredentialId, u32)> {
        self.credentials.iter().map(|(credential, count)| (*credential, *count))
    }

    /// Every session that holds a lease, with the credential it is on.
    pub fn holders(&self) -> impl Iterator<Item = (&SessionId, CredentialId)> {
        self.leases.values().filter_map(|held| Some((held.session.as_ref()?, held.credential)))
    }

    /// Every account in use with its connections, by provider and name.
    pub(super) fn by_account(&self) -> impl Iterator<Item = (&Account, u32)> {
        self.accounts.iter().map(|(account, count)| (account, *count))
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &Held> {
        self.leases.values()
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Held(lease, held) => self.take(lease, held),
            Change::Cooling { lease, .. } => {
                if let Some(held) = self.leases.get_mut(&lease) {
                    held.session = None;
                }
            }
            Change::Freed { lease } => self.free(lease),
        }
    }

    fn take(&mut self, lease: i64, held: Held) {
        *self.credentials.entry(held.credential).or_default() += 1;
        if let Some(account) = &held.account {
            *self.accounts.entry(account.clone()).or_default() += 1;
        }
        self.keys.extend(held.keys.iter().copied());
        self.leases.insert(lease, held);
    }

    fn free(&mut self, lease: i64) {
        let Some(held) = self.leases.remove(&lease) else { return };
        subtract(&mut self.credentials, &held.credential);
        if let Some(account) = &held.account {
            subtract(&mut self.accounts, account);
        }
        for key in &held.keys {
            self.keys.remove(key);
        }
    }
}

impl InUse for InUseSnapshot {
    fn credential(&self, credential: CredentialId) -> u32 {
        self.credentials.get(&credential).copied().unwrap_or(0)
    }

    fn account(&self, provider: ProviderId, account: &str) -> u32 {
        self.accounts.get(&(provider, account.to_owned())).copied().unwrap_or(0)
    }

    fn key_taken(&self, key: &ConflictKey) -> bool {
        self.keys.contains(key)
    }
}

fn subtract<K: Ord>(counts: &mut BTreeMap<K, u32>, of: &K) {
    let Some(count) = counts.get_mut(of) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(of);
    }
}
