//! One WireGuard key is one connection.

use egress_core::api::Code;
use egress_core::catalog::{CredentialSecret, KeySharing, explain, why};
use egress_core::wireguard::{ConflictKey, Profile};

use super::{ask, keys_of, limited, spoilt};
use crate::lab::{
    Counts, ann, catalog, config, credential, credential_id, gateway_id, private_key, records,
};

#[test]
fn a_key_that_is_live_towards_a_gateway_is_skipped_there_only() {
    let mut counts = Counts::default();
    counts.keys.extend(keys_of(&records(), 1));
    let reasons = ask(records(), &counts).unwrap_err();
    assert_eq!(why::code(&reasons), Code::KeyInUse);
    let catalog_of_two = catalog(spoilt(|it| it.credentials.push(credential(2, 1, "group:staff"))));
    let offer = explain(&catalog_of_two, &counts, &ann(), gateway_id(1)).unwrap();
    assert_eq!(offer.candidates[0].credential, credential_id(2));
    assert!(explain(&catalog(records()), &counts, &ann(), gateway_id(2)).is_ok());
}

#[test]
fn the_same_key_in_two_credentials_is_one_key() {
    let records = spoilt(|it| {
        it.credentials.push(credential(2, 1, "user:ann"));
        it.credentials[1].secret = CredentialSecret::PrivateKey(private_key(1));
    });
    let mut counts = Counts::default();
    counts.keys.extend(keys_of(&records, 1));
    assert_eq!(why::code(&ask(records, &counts).unwrap_err()), Code::KeyInUse);
}

#[test]
fn limit_and_key_together_are_a_key_in_use() {
    let records = spoilt(|it| it.credentials.push(limited(2, "user:ann", 1)));
    let mut counts = Counts::default();
    counts.keys.extend(keys_of(&records, 1));
    counts.credentials.insert(credential_id(2), 1);
    assert_eq!(why::code(&ask(records, &counts).unwrap_err()), Code::KeyInUse);
}

/// What sessions hold through two gateways with one peer key at two endpoints.
fn through_both(sharing: KeySharing) -> [Vec<ConflictKey>; 2] {
    let records = spoilt(|it| {
        it.providers[0].key_sharing = sharing;
        it.gateways[0].config = config(9);
        it.gateways[1].config = config(9).replace("198.51.100.1", "198.51.100.2");
    });
    [keys_of(&records, 1), keys_of(&records, 2)]
}

#[test]
fn exclusive_is_one_session_for_each_key_and_peer_key() {
    let [first, second] = through_both(KeySharing::Exclusive);
    assert_eq!((first.len(), &first), (1, &second));
}

#[test]
fn per_endpoint_is_one_session_for_each_key_peer_key_and_endpoint() {
    let [first, second] = through_both(KeySharing::PerEndpoint);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
}

#[test]
fn unlimited_leaves_it_to_the_credentials_own_limit() {
    assert_eq!(through_both(KeySharing::Unlimited), [vec![], vec![]]);
    let records = spoilt(|it| {
        it.providers[0].key_sharing = KeySharing::Unlimited;
        it.credentials = vec![limited(1, "user:ann", 2)];
    });
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 1);
    assert_eq!(ask(records.clone(), &counts), Ok(vec![1]));
    counts.credentials.insert(credential_id(1), 2);
    assert_eq!(why::code(&ask(records, &counts).unwrap_err()), Code::LimitReached);
}

#[test]
fn a_candidate_holds_the_keys_of_the_profile_it_becomes() {
    let catalog = catalog(records());
    let credential = catalog.credential(credential_id(1)).unwrap();
    let config = catalog.wireguard(gateway_id(1)).unwrap();
    let profile = Profile::merge(config, credential).unwrap();
    assert_eq!(profile.conflict_keys(KeySharing::Exclusive), keys_of(&records(), 1));
}
