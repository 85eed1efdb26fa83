//! Whether two snapshots say the same.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Snapshot;
use crate::secret::Secret;

impl Snapshot {
    /// The same for two snapshots that say the same, in whichever order their entries stand.
    pub fn digest(&self) -> Secret<[u8; 32]> {
        let mut hash = Sha256::new();
        let gateways = self.gateways.iter().map(|gateway| (&gateway.external_id, gateway));
        put("gateways", gateways.collect(), &mut hash);
        if let Some(credentials) = &self.credentials {
            let credentials =
                credentials.iter().map(|credential| (&credential.external_id, credential));
            put("credentials", credentials.collect(), &mut hash);
        }
        Secret::new(hash.finalize().into())
    }
}

/// JSON has no line breaks of its own, so that one may end each entry.
fn put<T: Serialize>(kind: &str, entries: BTreeMap<&String, &T>, hash: &mut Sha256) {
    hash.update(kind);
    for entry in entries.into_values() {
        let json = serde_json::to_vec(entry).expect("what came as JSON is JSON");
        hash.update(Zeroizing::new(json));
        hash.update(b"\n");
    }
}
