//! The tables of the design, a room for each and a test for each row.

mod cases;
mod fields;
mod key_sharing;
mod policies;
mod predicate;

use std::num::NonZeroU32;

use egress_core::catalog::{Credential, Records, Why, explain};
use egress_core::wireguard::ConflictKey;

use crate::lab::{Counts, ann, catalog, credential, gateway_id, records};

/// The credentials that ann may use on gateway 1, in the order to be tried, or why none.
fn ask(records: Records, counts: &Counts) -> Result<Vec<u128>, Vec<Why>> {
    let offer = explain(&catalog(records), counts, &ann(), gateway_id(1))?;
    Ok(offer.candidates.iter().map(|it| it.credential.0.as_u128()).collect())
}

/// The sound records of one provider, changed.
fn spoilt(spoil: impl FnOnce(&mut Records)) -> Records {
    let mut records = records();
    spoil(&mut records);
    records
}

fn limited(n: u128, owned_by: &str, limit: u32) -> Credential {
    let mut credential = credential(n, 1, owned_by);
    credential.limit = NonZeroU32::new(limit);
    credential
}

/// What a session of ann through this gateway holds.
fn keys_of(records: &Records, gateway: u128) -> Vec<ConflictKey> {
    let catalog = catalog(records.clone());
    let offer = explain(&catalog, &Counts::default(), &ann(), gateway_id(gateway)).unwrap();
    offer.candidates[0].conflict_keys.clone()
}
