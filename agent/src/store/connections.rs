//! Live connections as the API and the report show them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use egress_core::api::{AccountUse, ConnectionList, ConnectionsView, KeyUse};
use egress_core::catalog::{Catalog, InUse as _};
use egress_core::id::{CredentialId, ProviderId, SessionId};
use egress_core::wireguard::{ConflictKey, key};

use super::in_use::{Account, Held, InUseSnapshot};

/// Live connections of every credential, account and key; those of credentials that were removed
/// while in use as well.
pub(super) fn list(catalog: &Catalog, in_use: &InUseSnapshot) -> ConnectionList {
    ConnectionList {
        connections: credentials(catalog, in_use),
        accounts: accounts(catalog, in_use),
        keys: keys(catalog, in_use),
    }
}

fn credentials(catalog: &Catalog, in_use: &InUseSnapshot) -> Vec<ConnectionsView> {
    let known = catalog.credentials().map(|credential| credential.id);
    let used = in_use.by_credential().map(|(credential, _)| credential);
    let ids: BTreeSet<CredentialId> = known.chain(used).collect();
    let mut sessions: BTreeMap<CredentialId, Vec<SessionId>> = BTreeMap::new();
    for held in in_use.leases() {
        sessions.entry(held.credential).or_default().extend(held.session.clone());
    }
    let view = |credential_id| {
        let record = catalog.credential(credential_id);
        ConnectionsView {
            credential_id,
            name: record.map_or_else(|| String::from("(removed)"), |record| record.name.clone()),
            provider: record
                .map(|record| provider_name(catalog, record.provider_id))
                .unwrap_or_default(),
            in_use: in_use.credential(credential_id),
            limit: record.and_then(|record| catalog.limit(record)),
            sessions: sessions.remove(&credential_id).unwrap_or_default(),
        }
    };
    ids.into_iter().map(view).collect()
}

fn accounts(catalog: &Catalog, in_use: &InUseSnapshot) -> Vec<AccountUse> {
    let mut counts: BTreeMap<Account, u32> = BTreeMap::new();
    for credential in catalog.credentials() {
        if let Some(account) = &credential.account {
            counts.insert((credential.provider_id, account.clone()), 0);
        }
    }
    counts.extend(in_use.by_account().map(|(account, count)| (account.clone(), count)));
    let view = |((provider_id, account), in_use): (Account, u32)| AccountUse {
        provider: provider_name(catalog, provider_id),
        limit: catalog.account_limit(provider_id, &account),
        provider_id,
        account,
        in_use,
    };
    counts.into_iter().map(view).collect()
}

/// What is known of a key while it is summed up.
#[derive(Default)]
struct Sum {
    credentials: BTreeSet<CredentialId>,
    in_use: u32,
    pairs: BTreeSet<ConflictKey>,
}

fn keys(catalog: &Catalog, in_use: &InUseSnapshot) -> Vec<KeyUse> {
    // A removed credential's key is not known any more: each of those stands for itself.
    let mut sums: BTreeMap<(Option<[u8; 32]>, Option<CredentialId>), Sum> = BTreeMap::new();
    for held in in_use.leases() {
        let public_key = catalog.public_key(held.credential);
        if public_key.is_none() && !is_removed_key(catalog, held) {
            continue;
        }
        let alone = public_key.is_none().then_some(held.credential);
        let sum = sums.entry((public_key, alone)).or_default();
        sum.credentials.insert(held.credential);
        sum.in_use += 1;
        sum.pairs.extend(&held.keys);
    }
    let view = |((public_key, _), sum): ((Option<[u8; 32]>, _), Sum)| KeyUse {
        public_key: public_key.map(|public_key| key::encode_public(&public_key)),
        credential_ids: sum.credentials.into_iter().collect(),
        in_use: sum.in_use,
        pairs: sum.pairs.iter().map(hexadecimal).collect(),
    };
    sums.into_iter().map(view).collect()
}

fn is_removed_key(catalog: &Catalog, held: &Held) -> bool {
    catalog.credential(held.credential).is_none() && !held.keys.is_empty()
}

fn hexadecimal(pair: &ConflictKey) -> String {
    pair.0.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn provider_name(catalog: &Catalog, provider: ProviderId) -> String {
    catalog.provider(provider).map(|provider| provider.name.clone()).unwrap_or_default()
}
