//! "case | what happens", as far as it is decided; what running sessions feel is in `tests/it`.

use egress_core::api::Code;
use egress_core::catalog::{
    Catalog, CredentialSecret, Document, Egress, ProviderType, Records, Subject, Why, explain, why,
};
use egress_core::fault::{Faults, Finding, Severity};
use egress_core::secret::Secret;

use super::{ask, limited, spoilt};
use crate::apply::{FILE, file, ids, sample};
use crate::lab::{
    Counts, ann, catalog, credential, credential_id, gateway_id, mapping, offers, openvpn_config,
    private_key, provider_id, selected, workspace,
};

#[test]
fn a_credential_at_its_limit_is_skipped_and_the_last_one_is_a_refusal_with_counts() {
    let both =
        || spoilt(|it| it.credentials = vec![limited(1, "user:ann", 2), limited(2, "user:ann", 1)]);
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 2);
    assert_eq!(ask(both(), &counts), Ok(vec![2]));
    counts.credentials.insert(credential_id(2), 1);
    let reasons = ask(both(), &counts).unwrap_err();
    assert_eq!(why::code(&reasons), Code::LimitReached);
    let said: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "credential c1 is at its limit: 2 of 2 in use",
            "credential c2 is at its limit: 1 of 1 in use"
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

#[test]
fn a_limit_that_is_on_and_has_no_positive_value_is_refused_at_entry() {
    let with = |lines: &str| sample().replace("active_connection_limit = 2", lines);
    for value in ["", "active_connection_limit = 0", "active_connection_limit = -1"] {
        let text = with(&format!("limit_active_connections = true\n{value}"));
        let fields: Vec<_> = refused(&text).into_iter().filter_map(|it| it.field).collect();
        assert_eq!(fields, ["credential[0].active_connection_limit"], "{value}");
    }
}

/// The faults of a first document.
fn refused(text: &str) -> Vec<Finding> {
    let taken = Document::from_toml(text, FILE).and_then(|(document, _)| {
        document.resolve(file)?.against(&Catalog::default(), ids()).map(|_| ())
    });
    let Err(Faults(mut findings)) = taken else { return vec![] };
    findings.retain(|it| it.severity == Severity::Fault);
    findings
}

#[test]
fn a_limit_lowered_below_what_is_in_use_lets_no_new_session_in() {
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 5);
    let records = spoilt(|it| it.credentials = vec![limited(1, "user:ann", 2)]);
    let (credential, name) = (credential_id(1), "c1".to_owned());
    let over = Why::LimitReached { credential, name, in_use: 5, limit: 2 };
    assert_eq!(ask(records, &counts), Err(vec![over]));
}

#[test]
fn an_empty_selection_without_allow_all_matches_nothing_and_is_a_warning_at_entry() {
    let no_mapping = spoilt(|it| it.mappings[0].gateways = selected(&[]));
    let mapping = format!("mappings[{}].gateways", uuid::Uuid::from_u128(1));
    assert_eq!(warnings(&no_mapping), [mapping]);
    assert_eq!(ask(no_mapping, &Counts::default()), Err(vec![Why::NoMapping]));
    let no_credential = spoilt(|it| it.credentials[0].gateways = selected(&[]));
    let credential = format!("credentials[{}].gateways", credential_id(1));
    assert_eq!(warnings(&no_credential), [credential]);
    let (credential, name) = (credential_id(1), "c1".to_owned());
    let nothing = Why::CredentialNotFor { credential, name };
    assert_eq!(ask(no_credential, &Counts::default()), Err(vec![nothing]));
}

/// The fields of the warnings, and no fault.
fn warnings(records: &Records) -> Vec<String> {
    let (_, findings) = Catalog::new(records.clone()).unwrap();
    let warnings = findings.into_iter().filter(|it| it.severity == Severity::Warning);
    warnings.filter_map(|it| it.field).collect()
}

#[test]
fn the_same_wireguard_key_in_two_credentials_is_a_warning_at_entry() {
    let records = spoilt(|it| {
        it.credentials.push(credential(2, 1, "user:ann"));
        it.credentials[1].secret = CredentialSecret::PrivateKey(private_key(1));
    });
    assert_eq!(warnings(&records), [format!("credentials[{}].private_key", credential_id(2))]);
}

#[test]
fn the_same_username_at_one_provider_in_two_credentials_is_a_warning_at_entry() {
    let login = |password: &str| CredentialSecret::UserPassword {
        username: "ann".to_owned(),
        password: Secret::new(password.to_owned()),
    };
    let mut records = spoilt(|it| {
        it.providers[0].kind = ProviderType::Openvpn;
        it.gateways.iter_mut().for_each(|it| it.config = openvpn_config(""));
        it.credentials.push(credential(2, 1, "user:ann"));
        it.credentials[0].secret = login("one");
        it.credentials[1].secret = login("another");
    });
    assert_eq!(warnings(&records), [format!("credentials[{}].username", credential_id(2))]);
    records.providers.push(egress_core::catalog::Provider {
        kind: ProviderType::Openvpn,
        ..crate::lab::provider(2)
    });
    records.credentials[1].provider_id = provider_id(2);
    assert_eq!(warnings(&records), [""; 0], "at two providers it is two users");
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

#[test]
fn a_workspace_requires_egress_unless_its_record_says_optional() {
    let catalog = catalog(spoilt(|it| {
        let optional =
            |name| egress_core::catalog::Workspace { egress: Egress::Optional, ..workspace(name) };
        it.workspaces = vec![workspace("firefox"), optional("desktop")];
    }));
    for required in [None, Some("firefox"), Some("unknown"), Some("Desktop")] {
        assert_eq!(catalog.egress(required), Egress::Required, "{required:?}");
    }
    assert_eq!(catalog.egress(Some("desktop")), Egress::Optional);
}

#[test]
fn a_user_in_many_groups_has_the_union_of_what_all_of_them_have() {
    let catalog = catalog(spoilt(|it| {
        it.mappings = vec![mapping(1, 1, "group:g7"), mapping(2, 1, "group:g900")];
        it.mappings[0].gateways = selected(&[1]);
        it.mappings[1].gateways = selected(&[2]);
        it.credentials = vec![credential(1, 1, "group:g42")];
    }));
    let groups = (0..1_000).map(|n| format!("g{n}")).collect();
    let subject = Subject { groups, ..Subject::default() };
    let menu = offers(&catalog, &Counts::default(), &subject);
    assert_eq!(menu, [gateway_id(1), gateway_id(2)]);
}
