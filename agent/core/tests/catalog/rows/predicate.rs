//! When a gateway is offered: all conditions hold.

use std::num::NonZeroU32;

use egress_core::api::Code;
use egress_core::catalog::{CredentialSecret, ProviderType, Records, Subject, Why, explain, why};
use egress_core::secret::Secret;

use super::{ask, spoilt};
use crate::lab::{
    Counts, ann, catalog, certificate, config, credential_id, gateway_id, mapping, offers,
    openvpn_config, owner, records, selected, workspace,
};

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
            Why::NoAddress { credential, name: name.clone() },
            Code::ConfigInvalid,
        ),
        (
            spoilt(|it| openvpn(it, "auth-user-pass", ("ann", ""))),
            Why::NoLogin { credential, name: name.clone() },
            Code::ConfigInvalid,
        ),
        (
            spoilt(|it| openvpn(it, "auth-user-pass", ("", "hunter2"))),
            Why::NoLogin { credential, name },
            Code::ConfigInvalid,
        ),
    ];
    for (records, expected, code) in cases {
        let reasons = ask(records, &Counts::default()).unwrap_err();
        assert_eq!(reasons, [expected]);
        assert_eq!(why::code(&reasons), code, "{reasons:?}");
        let in_json = serde_json::to_value(&reasons[0]).unwrap();
        assert_eq!(in_json["why"], reasons[0].as_str());
        assert!(why::WORDS.contains(&reasons[0].as_str()));
    }
}

#[test]
fn an_openvpn_gateway_is_offered_with_the_login_that_it_needs() {
    let asks = |login| ask(spoilt(|it| openvpn(it, "auth-user-pass", login)), &Counts::default());
    assert_eq!(asks(("ann", "hunter2")), Ok(vec![1]));
    let without_one = spoilt(|it| openvpn(it, &certificate(), ("", "")));
    assert_eq!(ask(without_one, &Counts::default()), Ok(vec![1]), "a certificate lets it in");
}

/// Makes the provider an OpenVPN one.
fn openvpn(records: &mut Records, lines: &str, (username, password): (&str, &str)) {
    records.providers[0].kind = ProviderType::Openvpn;
    for gateway in &mut records.gateways {
        gateway.config = openvpn_config(lines);
    }
    records.credentials[0].secret = CredentialSecret::UserPassword {
        username: username.to_owned(),
        password: Secret::new(password.to_owned()),
    };
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
