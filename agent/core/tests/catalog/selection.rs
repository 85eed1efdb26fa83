//! The rows of the selection table, and what holds for every catalog.

use std::num::NonZeroU32;

use egress_core::api::Code;
use egress_core::catalog::{
    CredentialSecret, GatewayScope, KeySharing, ProviderType, Records, SelectionPolicy, Subject,
    Why, explain, offers, why,
};
use egress_core::fault::Severity;
use egress_core::secret::Secret;
use egress_core::wireguard::Profile;
use proptest::prelude::*;

use crate::lab::{
    Counts, ann, catalog, config, credential, credential_id, gateway, gateway_id, mapping, owner,
    private_key, provider, provider_id, records, selected, workspace,
};

/// The credentials that ann may use on gateway 1, in the order to be tried, or why none.
fn ask(records: Records, counts: &Counts) -> Result<Vec<u128>, Vec<Why>> {
    let offer = explain(&catalog(records), counts, &ann(), gateway_id(1))?;
    Ok(offer.candidates.iter().map(|it| it.credential.0.as_u128()).collect())
}

fn spoilt(spoil: impl FnOnce(&mut Records)) -> Records {
    let mut records = records();
    spoil(&mut records);
    records
}

fn limited(n: u128, owned_by: &str, limit: u32) -> egress_core::catalog::Credential {
    let mut credential = credential(n, 1, owned_by);
    credential.limit = NonZeroU32::new(limit);
    credential
}

#[test]
fn a_gateway_with_a_mapping_and_a_credential_is_offered() {
    assert_eq!(ask(records(), &Counts::default()), Ok(vec![1]));
}

#[test]
fn every_switch_that_is_off_hides_the_gateway_and_says_so() {
    let named = |credential| (credential_id(credential), format!("c{credential}"));
    let (credential, name) = named(1);
    let cases: Vec<(Records, Why, Code)> = vec![
        (spoilt(|it| it.providers[0].enabled = false), Why::ProviderDisabled, Code::NotOffered),
        (spoilt(|it| it.gateways[0].enabled = false), Why::GatewayDisabled, Code::NotOffered),
        (spoilt(|it| it.mappings[0].enabled = false), Why::NoMapping, Code::NotOffered),
        (spoilt(|it| it.mappings.clear()), Why::NoMapping, Code::NotOffered),
        (spoilt(|it| it.mappings[0].owner = owner("user:bob")), Why::NoMapping, Code::NotOffered),
        (spoilt(|it| it.mappings[0].owner = owner("user:Ann")), Why::NoMapping, Code::NotOffered),
        (spoilt(|it| it.mappings[0].owner = owner("group:ann")), Why::NoMapping, Code::NotOffered),
        (spoilt(|it| it.mappings[0].gateways = selected(&[2])), Why::NoMapping, Code::NotOffered),
        (spoilt(|it| it.mappings[0].gateways = selected(&[])), Why::NoMapping, Code::NotOffered),
        (
            spoilt(|it| it.credentials[0].owner = owner("user:bob")),
            Why::NoCredential,
            Code::NotOffered,
        ),
        (
            spoilt(|it| it.credentials[0].enabled = false),
            Why::CredentialDisabled { credential, name: name.clone() },
            Code::NotOffered,
        ),
        (
            spoilt(|it| it.credentials[0].gateways = selected(&[2])),
            Why::CredentialNotFor { credential, name: name.clone() },
            Code::NotOffered,
        ),
        (
            spoilt(|it| {
                it.credentials[0].secret = CredentialSecret::Custom(Secret::new(String::new()));
            }),
            Why::SecretDoesNotFit { credential, name: name.clone() },
            Code::NotOffered,
        ),
        (
            spoilt(|it| it.gateways[0].config = config(9).replace("Address = 10.0.0.2", "")),
            Why::NoAddress { credential, name },
            Code::ConfigInvalid,
        ),
    ];
    for (records, expected, code) in cases {
        let reasons = ask(records, &Counts::default()).unwrap_err();
        assert_eq!(reasons, [expected]);
        assert_eq!(why::code(&reasons), code, "{reasons:?}");
        let in_json = serde_json::to_value(&reasons[0]).unwrap();
        assert_eq!(in_json["why"], reasons[0].as_str());
    }
}

#[test]
fn all_reasons_come_at_once() {
    let records = spoilt(|it| {
        it.providers[0].enabled = false;
        it.gateways[0].enabled = false;
        it.mappings.clear();
        it.credentials.clear();
    });
    assert_eq!(
        ask(records, &Counts::default()).unwrap_err(),
        [Why::ProviderDisabled, Why::GatewayDisabled, Why::NoMapping, Why::NoCredential]
    );
}

#[test]
fn all_that_must_be_changed_about_a_credential_is_told_at_once() {
    let records = spoilt(|it| {
        it.gateways[0].config = config(9).replace("Address = 10.0.0.2", "");
        it.credentials[0].enabled = false;
        it.credentials[0].gateways = selected(&[2]);
        it.credentials[0].limit = NonZeroU32::new(1);
    });
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 1);
    let (credential, name) = (credential_id(1), "c1".to_owned());
    let reasons = ask(records, &counts).unwrap_err();
    assert_eq!(
        reasons,
        [
            Why::CredentialDisabled { credential, name: name.clone() },
            Why::CredentialNotFor { credential, name: name.clone() },
            Why::NoAddress { credential, name },
        ]
    );
    assert_eq!(why::code(&reasons), Code::NotOffered, "it would not do if it had an address");
}

#[test]
fn mapping_and_credential_need_not_have_the_same_owner() {
    for mapping in ["user:ann", "group:staff", "group:All Users", "workspace:firefox"] {
        for credential in ["user:ann", "group:staff", "group:All Users", "workspace:firefox"] {
            let records = spoilt(|it| {
                it.mappings[0].owner = owner(mapping);
                it.credentials[0].owner = owner(credential);
            });
            assert_eq!(ask(records, &Counts::default()), Ok(vec![1]), "{mapping} {credential}");
        }
    }
}

#[test]
fn a_workspace_that_overrides_offers_only_what_is_mapped_to_itself() {
    let overriding = |it: &mut Records| {
        let mut firefox = workspace("firefox");
        firefox.override_egress_gateways = true;
        it.workspaces.push(firefox);
    };
    assert_eq!(
        ask(spoilt(overriding), &Counts::default()).unwrap_err(),
        [Why::OverriddenByWorkspace]
    );
    let with_own = spoilt(|it| {
        overriding(it);
        it.mappings.push(mapping(2, 1, "workspace:firefox"));
    });
    assert_eq!(ask(with_own, &Counts::default()), Ok(vec![1]));
}

#[test]
fn credentials_are_tried_in_the_order_of_their_ids_whoever_owns_them() {
    let records = spoilt(|it| {
        it.credentials = vec![
            credential(0x100, 1, "workspace:firefox"),
            credential(0xff, 1, "group:staff"),
            credential(2, 1, "user:ann"),
        ];
    });
    assert_eq!(ask(records, &Counts::default()), Ok(vec![2, 0xff, 0x100]));
}

#[test]
fn a_policy_may_try_another_order() {
    let with = |policy| {
        spoilt(|it| {
            it.providers[0].selection = policy;
            it.credentials = vec![
                credential(1, 1, "group:staff"),
                credential(2, 1, "user:ann"),
                credential(3, 1, "workspace:firefox"),
                credential(4, 1, "workspace:firefox"),
            ];
        })
    };
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 2);
    counts.credentials.insert(credential_id(3), 1);
    assert_eq!(ask(with(SelectionPolicy::Id), &counts), Ok(vec![1, 2, 3, 4]));
    assert_eq!(ask(with(SelectionPolicy::LeastUsed), &counts), Ok(vec![2, 4, 3, 1]));
    assert_eq!(ask(with(SelectionPolicy::ScopeFirst), &counts), Ok(vec![3, 4, 2, 1]));
}

#[test]
fn a_credential_at_its_limit_is_skipped_and_the_last_one_is_a_refusal_with_counts() {
    let both =
        || spoilt(|it| it.credentials = vec![limited(1, "user:ann", 2), limited(2, "user:ann", 1)]);
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 2);
    assert_eq!(ask(both(), &counts), Ok(vec![2]));
    // A limit that was lowered below what is in use counts as reached.
    counts.credentials.insert(credential_id(2), 5);
    let reasons = ask(both(), &counts).unwrap_err();
    assert_eq!(why::code(&reasons), Code::LimitReached);
    let said: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "credential c1 is at its limit: 2 of 2 in use",
            "credential c2 is at its limit: 5 of 1 in use"
        ]
    );
}

#[test]
fn a_credential_that_is_for_another_gateway_is_never_at_its_limit_here() {
    let records = spoilt(|it| {
        it.credentials = vec![limited(1, "user:ann", 1)];
        it.credentials[0].gateways = selected(&[2]);
    });
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 1);
    assert_eq!(why::code(&ask(records, &counts).unwrap_err()), Code::NotOffered);
}

#[test]
fn credentials_of_one_account_share_the_smallest_of_their_limits() {
    let records = spoilt(|it| {
        it.credentials = vec![
            limited(1, "user:ann", 3),
            limited(2, "user:bob", 2),
            credential(3, 1, "user:ann"),
        ];
        for credential in &mut it.credentials {
            credential.account = Some("family".to_owned());
        }
    });
    let mut counts = Counts::default();
    counts.accounts.insert((provider_id(1), "family".to_owned()), 1);
    let offer = explain(&catalog(records.clone()), &counts, &ann(), gateway_id(1)).unwrap();
    assert_eq!(offer.candidates.iter().map(|it| it.limit).collect::<Vec<_>>(), [Some(2), Some(2)]);
    assert_eq!(offer.candidates[0].account, Some((provider_id(1), "family".to_owned())));
    counts.accounts.insert((provider_id(1), "family".to_owned()), 2);
    assert_eq!(why::code(&ask(records, &counts).unwrap_err()), Code::LimitReached);
}

fn keys_of(records: &Records, gateway: u128) -> Vec<egress_core::wireguard::ConflictKey> {
    let catalog = catalog(records.clone());
    let offer = explain(&catalog, &Counts::default(), &ann(), gateway_id(gateway)).unwrap();
    offer.candidates[0].conflict_keys.clone()
}

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

#[test]
fn how_far_a_key_reaches_is_the_providers_choice() {
    let two_endpoints_one_peer = |sharing| {
        spoilt(|it| {
            it.providers[0].key_sharing = sharing;
            it.gateways[0].config = config(9);
            it.gateways[1].config = config(9).replace("198.51.100.1", "198.51.100.2");
        })
    };
    let both = |sharing| {
        let records = two_endpoints_one_peer(sharing);
        (keys_of(&records, 1), keys_of(&records, 2))
    };
    let (first, second) = both(KeySharing::Exclusive);
    assert_eq!(first, second);
    let (first, second) = both(KeySharing::PerEndpoint);
    assert_ne!(first, second);
    let (first, second) = both(KeySharing::Unlimited);
    assert!(first.is_empty() && second.is_empty());
}

#[test]
fn a_candidate_holds_the_keys_of_the_profile_it_becomes() {
    let catalog = catalog(records());
    let credential = catalog.credential(credential_id(1)).unwrap();
    let config = catalog.wireguard(gateway_id(1)).unwrap();
    let profile = Profile::merge(config, credential).unwrap();
    assert_eq!(profile.conflict_keys(KeySharing::Exclusive), keys_of(&records(), 1));
}

#[test]
fn an_unknown_gateway_is_its_own_code() {
    let reasons =
        explain(&catalog(records()), &Counts::default(), &ann(), gateway_id(99)).unwrap_err();
    assert_eq!(why::code(&reasons), Code::NoSuchGateway);
}

#[test]
fn a_subject_that_is_nobody_is_offered_nothing() {
    let nobody = Subject::default();
    assert!(offers(&catalog(records()), &Counts::default(), &nobody).is_empty());
}

#[test]
fn an_empty_selection_and_a_shared_secret_are_warnings_at_entry() {
    let records = spoilt(|it| {
        it.mappings[0].gateways = selected(&[]);
        it.credentials.push(credential(2, 1, "user:ann"));
        it.credentials[1].secret = CredentialSecret::PrivateKey(private_key(1));
    });
    let (_, findings) = egress_core::catalog::Catalog::new(records).unwrap();
    let fields: Vec<_> = findings.iter().map(|it| (it.severity, it.field.as_deref())).collect();
    let mapping = format!("mappings[{}].gateways", uuid::Uuid::from_u128(1));
    let credential = format!("credentials[{}].private_key", uuid::Uuid::from_u128(2));
    assert_eq!(
        fields,
        [
            (Severity::Warning, Some(mapping.as_str())),
            (Severity::Warning, Some(credential.as_str()))
        ]
    );
}

#[test]
fn private_keys_that_differ_only_where_nobody_looks_are_the_same_key() {
    let records = spoilt(|it| {
        it.credentials.push(credential(2, 1, "user:ann"));
        let mut key = *private_key(1).expose();
        key[0] |= 0b111;
        it.credentials[1].secret = CredentialSecret::PrivateKey(Secret::new(key));
    });
    let (catalog, findings) = egress_core::catalog::Catalog::new(records).unwrap();
    assert_eq!(catalog.public_key(credential_id(1)), catalog.public_key(credential_id(2)));
    assert_eq!(findings.iter().map(|it| it.severity).collect::<Vec<_>>(), [Severity::Warning]);
}

fn scope() -> impl Strategy<Value = GatewayScope> {
    prop_oneof![
        Just(GatewayScope::All),
        prop::collection::btree_set((1..7_u128).prop_map(gateway_id), 0..4)
            .prop_map(GatewayScope::Selected),
    ]
}

fn someone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["user:ann", "user:bob", "group:staff", "workspace:firefox"])
}

prop_compose! {
    fn any_records()(
        providers in prop::collection::vec((any::<bool>(), any::<bool>(), 0..3_u8), 2),
        gateways in prop::collection::vec(prop::bool::weighted(0.8), 6),
        mappings in prop::collection::vec((0..2_u128, prop::bool::weighted(0.8), someone(), scope()), 0..6),
        credentials in prop::collection::vec(
            (0..2_u128, prop::bool::weighted(0.8), someone(), scope(), 0..4_u32, any::<bool>()), 0..6),
        overrides in any::<bool>(),
    ) -> Records {
        // Gateways 1 to 3 are provider 1's, 4 to 6 provider 2's.
        let of = |provider: u128, scope: GatewayScope| match scope {
            GatewayScope::All => GatewayScope::All,
            GatewayScope::Selected(ids) => GatewayScope::Selected(
                ids.into_iter().filter(|id| (id.0.as_u128() - 1) / 3 == provider).collect()),
        };
        let mut all = Records::default();
        for (n, (enabled, least_used, sharing)) in (1..).zip(providers) {
            let mut record = provider(n);
            record.enabled = enabled;
            record.kind = ProviderType::Wireguard;
            if least_used { record.selection = SelectionPolicy::LeastUsed }
            record.key_sharing =
                [KeySharing::Exclusive, KeySharing::PerEndpoint, KeySharing::Unlimited]
                    [usize::from(sharing)];
            all.providers.push(record);
        }
        for (n, enabled) in (1..).zip(gateways) {
            let mut record = gateway(n, (n - 1) / 3 + 1);
            record.enabled = enabled;
            all.gateways.push(record);
        }
        for (n, (provider, enabled, owned_by, scope)) in (1..).zip(mappings) {
            let mut record = mapping(n, provider + 1, owned_by);
            record.enabled = enabled;
            record.gateways = of(provider, scope);
            all.mappings.push(record);
        }
        for (n, (provider, enabled, owned_by, scope, limit, fits)) in (1..).zip(credentials) {
            let mut record = credential(n, provider + 1, owned_by);
            record.enabled = enabled;
            record.gateways = of(provider, scope);
            record.limit = NonZeroU32::new(limit);
            if !fits { record.secret = CredentialSecret::Custom(Secret::new("x".to_owned())) }
            all.credentials.push(record);
        }
        let mut firefox = workspace("firefox");
        firefox.override_egress_gateways = overrides;
        all.workspaces.push(firefox);
        all
    }
}

proptest! {
    #[test]
    fn the_menu_is_exactly_what_explain_offers(
        records in any_records(),
        in_use in prop::collection::vec(0..4_u32, 6),
        live in prop::collection::vec((1..7_u128, 1..7_u128), 0..6),
    ) {
        let catalog = catalog(records);
        let mut counts = Counts::default();
        for (n, count) in (1..).zip(in_use) {
            counts.credentials.insert(credential_id(n), count);
        }
        for (gateway, holder) in live {
            let Some(credential) = catalog.credential(credential_id(holder)) else { continue };
            let config = catalog.wireguard(gateway_id(gateway)).unwrap();
            let Ok(profile) = Profile::merge(config, credential) else { continue };
            counts.keys.extend(profile.conflict_keys(KeySharing::Exclusive));
        }
        let menu = offers(&catalog, &counts, &ann());
        let explained: Vec<_> = catalog
            .records()
            .gateways
            .iter()
            .map(|gateway| gateway.id)
            .filter(|id| explain(&catalog, &counts, &ann(), *id).is_ok())
            .collect();
        prop_assert_eq!(menu, explained);
    }

    #[test]
    fn nothing_over_its_limit_or_with_a_live_key_is_a_candidate(
        records in any_records(),
        in_use in prop::collection::vec(0..4_u32, 6),
    ) {
        let catalog = catalog(records);
        let mut counts = Counts::default();
        for (n, count) in (1..).zip(in_use) {
            counts.credentials.insert(credential_id(n), count);
        }
        for gateway in &catalog.records().gateways {
            let Ok(offer) = explain(&catalog, &counts, &ann(), gateway.id) else { continue };
            prop_assert!(!offer.candidates.is_empty());
            for candidate in offer.candidates {
                let credential = catalog.credential(candidate.credential).unwrap();
                let in_use = counts.credentials.get(&credential.id).copied().unwrap_or(0);
                prop_assert!(credential.limit.is_none_or(|limit| in_use < limit.get()));
                prop_assert!(ann().is(&credential.owner) && credential.enabled);
                prop_assert!(credential.gateways.allows(gateway.id));
            }
        }
    }
}
