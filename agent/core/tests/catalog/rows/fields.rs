//! "record | fields": a document that sets every field of a record to something else than its
//! default, and the record that comes of it.

use std::num::NonZeroU32;

use egress_core::catalog::{
    Credential, CredentialSecret, Document, Egress, ExpectedExit, Gateway, GatewayScope,
    KeySharing, Mapping, OnHooks, Owner, Provider, ProviderType, Records, SelectionPolicy, Subject,
    WireguardOverrides, Workspace,
};
use egress_core::id::MappingId;
use egress_core::secret::Secret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::lab::{
    self, catalog, config, credential_id, gateway_id, openvpn_config, owner, private_key,
    private_key_text, provider_id, selected,
};

/// The records of one provider `p1` with a gateway `g1`, and of this document.
fn entered(document: Value) -> Records {
    let (document, _) = Document::from_value(document).unwrap();
    let there = catalog(Records {
        providers: vec![lab::provider(1)],
        gateways: vec![lab::gateway(1, 1)],
        ..Records::default()
    });
    let (plan, _) = document.against(&there, || unreachable!("all ids are given")).unwrap();
    catalog(plan.catalog.records()).records()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

#[test]
fn a_provider_keeps_every_field_it_is_given() {
    let records = entered(json!({ "provider": [{
        "id": id(7), "name": "mullvad", "type": "wireguard", "enabled": false, "managed": true,
        "enable_new_managed_gateways": true, "external_id": "m-1", "split": true,
        "on_hooks": "drop", "key_sharing": "per_endpoint", "selection": "scope-first",
        "release_delay_s": 30,
    }]}));
    let expected = Provider {
        name: "mullvad".to_owned(),
        kind: ProviderType::Wireguard,
        enabled: false,
        managed: true,
        enable_new_managed_gateways: true,
        external_id: Some("m-1".to_owned()),
        split: true,
        on_hooks: OnHooks::Drop,
        key_sharing: KeySharing::PerEndpoint,
        selection: SelectionPolicy::ScopeFirst,
        release_delay_s: 30,
        ..lab::provider(7)
    };
    assert_eq!(records.providers[1], expected);
}

#[test]
fn a_gateway_keeps_every_field_it_is_given() {
    let records = entered(json!({ "gateway": [{
        "id": id(7), "provider": "p1", "name": "se-7", "country": "Sweden", "city": "Malmö",
        "enabled": false, "config": config(7), "external_id": "g-7",
        "expected_exit": { "addresses": ["198.51.100.0/24"], "country": "SE" },
    }]}));
    let expected = Gateway {
        name: "se-7".to_owned(),
        country: "Sweden".to_owned(),
        city: "Malmö".to_owned(),
        enabled: false,
        config: config(7),
        external_id: Some("g-7".to_owned()),
        expected_exit: Some(ExpectedExit {
            addresses: vec!["198.51.100.0/24".parse().unwrap()],
            country: Some("SE".to_owned()),
        }),
        ..lab::gateway(7, 1)
    };
    assert_eq!(records.gateways[1], expected);
}

#[test]
fn a_gateway_of_each_type_keeps_the_config_of_its_type() {
    let ovpn = openvpn_config("auth-user-pass");
    let records = entered(json!({
        "provider": [
            { "id": id(2), "name": "ovpn", "type": "openvpn" },
            { "id": id(3), "name": "own", "type": "custom" },
        ],
        "gateway": [
            { "id": id(2), "provider": "ovpn", "name": "a", "config": ovpn },
            { "id": id(3), "provider": "own", "name": "b", "config": "{\"anything\": 1}" },
        ],
    }));
    let configs: Vec<_> = records.gateways[1..].iter().map(|it| it.config.as_str()).collect();
    assert_eq!(configs, [ovpn.as_str(), "{\"anything\": 1}"]);
}

#[test]
fn a_mapping_keeps_every_field_it_is_given() {
    let mapping = |n: u128, kind: &str, gateways: Value| {
        json!({ "id": id(n), "provider": "p1", "enabled": false, kind: "ann",
                "gateways": gateways })
    };
    let records = entered(json!({ "mapping": [
        mapping(7, "user", json!("all")),
        mapping(8, "group", json!([])),
        mapping(9, "workspace", json!(["g1"])),
    ]}));
    let expected = |n: u128, owned_by: &str, gateways: GatewayScope| Mapping {
        id: MappingId(id(n)),
        provider_id: provider_id(1),
        enabled: false,
        owner: owner(owned_by),
        gateways,
        version: 1,
    };
    assert_eq!(
        records.mappings,
        [
            expected(7, "user:ann", GatewayScope::All),
            expected(8, "group:ann", selected(&[])),
            expected(9, "workspace:ann", selected(&[1])),
        ]
    );
}

#[test]
fn a_credential_keeps_every_field_it_is_given() {
    let records = entered(json!({ "credential": [{
        "id": id(7), "provider": "p1", "name": "ann-7", "enabled": false, "workspace": "firefox",
        "private_key": private_key_text(7), "gateways": ["g1"], "limit_active_connections": true,
        "active_connection_limit": 5, "external_id": "c-7", "address": ["10.0.0.7/32"],
        "dns": ["10.0.0.1"], "preshared_key": private_key_text(8), "mtu": 1380,
        "account": "family",
    }]}));
    let expected = Credential {
        name: "ann-7".to_owned(),
        enabled: false,
        owner: Owner::Workspace("firefox".to_owned()),
        secret: CredentialSecret::PrivateKey(private_key(7)),
        gateways: selected(&[1]),
        limit: NonZeroU32::new(5),
        external_id: Some("c-7".to_owned()),
        overrides: WireguardOverrides {
            addresses: vec!["10.0.0.7/32".parse().unwrap()],
            dns: vec!["10.0.0.1".parse().unwrap()],
            mtu: Some(1380),
            preshared_key: Some(private_key(8)),
        },
        account: Some("family".to_owned()),
        ..lab::credential(7, 1, "user:ann")
    };
    assert_eq!(records.credentials, [expected]);
}

#[test]
fn a_credential_holds_a_login_a_private_key_or_what_a_driver_wants() {
    let records = entered(json!({
        "provider": [
            { "id": id(2), "name": "ovpn", "type": "openvpn" },
            { "id": id(3), "name": "own", "type": "custom" },
        ],
        "credential": [
            { "id": id(1), "provider": "p1", "name": "a", "user": "ann",
              "private_key": private_key_text(7) },
            { "id": id(2), "provider": "ovpn", "name": "a", "user": "ann",
              "username": "ann", "password": "hunter2" },
            { "id": id(3), "provider": "own", "name": "a", "user": "ann", "custom": "{}" },
        ],
    }));
    let secrets: Vec<_> = records.credentials.into_iter().map(|it| it.secret).collect();
    let password = Secret::new("hunter2".to_owned());
    let expected = [
        CredentialSecret::PrivateKey(private_key(7)),
        CredentialSecret::UserPassword { username: "ann".to_owned(), password },
        CredentialSecret::Custom(Secret::new("{}".to_owned())),
    ];
    assert_eq!(secrets, expected);
}

#[test]
fn a_workspace_keeps_every_field_it_is_given() {
    let records = entered(json!({ "workspace": [
        { "name": "firefox", "egress": "optional", "override_egress_gateways": true },
    ]}));
    let expected = Workspace {
        egress: Egress::Optional,
        override_egress_gateways: true,
        ..lab::workspace("firefox")
    };
    assert_eq!(records.workspaces, [expected]);
}

#[test]
fn a_subjects_words_are_compared_exactly_and_each_only_with_its_kind() {
    let subject = Subject {
        user: Some("ann".to_owned()),
        groups: vec!["All Users".to_owned(), "staff".to_owned()],
        workspace: Some("firefox".to_owned()),
    };
    for it in ["user:ann", "group:All Users", "group:staff", "workspace:firefox"] {
        assert!(subject.is(&owner(it)), "{it}");
    }
    for other in ["user:Ann", "user:ann ", "group:ann", "group:all users", "workspace:fire"] {
        assert!(!subject.is(&owner(other)), "{other}");
    }
}

#[test]
fn ids_compare_as_numbers_and_names_are_unique_where_the_table_says() {
    assert!(credential_id(0xff) < credential_id(0x100));
    let mut records = lab::records();
    records.providers.push(lab::provider(2));
    records.gateways.push(Gateway { name: "g1".to_owned(), ..lab::gateway(3, 2) });
    let twice = catalog(records);
    assert_ne!(twice.gateway(gateway_id(1)), twice.gateway(gateway_id(3)));
}
