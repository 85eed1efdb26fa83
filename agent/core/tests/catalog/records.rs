//! What a catalog refuses, and how its records are found.

use egress_core::catalog::{Catalog, CredentialSecret, Named, ProviderType, Records};
use egress_core::fault::{Faults, Severity};
use egress_core::secret::Secret;
use egress_core::wireguard::Profile;

use crate::lab::{
    catalog, config, credential, credential_id, gateway, gateway_id, mapping, owner, private_key,
    private_key_text, provider, provider_id, public_key_text, records, selected, workspace,
};

/// The fields of the faults that a change to sound records makes.
fn faults(spoil: impl FnOnce(&mut Records)) -> Vec<String> {
    let mut records = records();
    spoil(&mut records);
    let Err(Faults(findings)) = Catalog::new(records) else { return Vec::new() };
    let faults = findings.into_iter().filter(|it| it.severity == Severity::Fault);
    faults.map(|it| it.field.unwrap_or_default()).collect()
}

fn of_credential(field: &str) -> String {
    format!("credentials[{}].{field}", credential_id(1))
}

fn of_mapping(field: &str) -> String {
    format!("mappings[{}].{field}", credential_id(1))
}

#[test]
fn every_unsound_record_is_a_fault_of_its_field() {
    let cases: Vec<(Vec<String>, String)> = vec![
        (faults(|it| it.providers[0].name = String::new()), "providers[].name".into()),
        (faults(|it| it.providers[0].name = " p1".into()), "providers[ p1].name".into()),
        (faults(|it| it.providers[0].name = "a\nb".into()), "providers[a\u{fffd}b].name".into()),
        (
            faults(|it| {
                it.providers.push(provider(2));
                it.providers[1].name = "p1".into();
            }),
            "providers[p1].name".into(),
        ),
        (
            faults(|it| {
                it.providers.push(provider(1));
                it.providers[1].name = "p2".into();
            }),
            "providers[p2].id".into(),
        ),
        (faults(|it| it.gateways[1].name = "g1".into()), "gateways[p1/g1].name".into()),
        (faults(|it| it.gateways[1].id = gateway_id(1)), "gateways[p1/g2].id".into()),
        (faults(|it| it.gateways[0].country = "S\tE".into()), "gateways[p1/g1].country".into()),
        (faults(|it| it.gateways[0].city = "x".repeat(201)), "gateways[p1/g1].city".into()),
        (
            faults(|it| it.gateways[0].provider_id = provider_id(9)),
            "gateways[?/g1].provider".into(),
        ),
        (
            faults(|it| it.gateways[0].config = config(9).replace("0.0.0.0/0", "10.0.0.0/8")),
            "gateways[p1/g1].config.Peer.AllowedIPs".into(),
        ),
        (
            faults(|it| it.gateways.iter_mut().for_each(|it| it.external_id = Some("e".into()))),
            "gateways[p1/g2].external_id".into(),
        ),
        (faults(|it| it.mappings[0].provider_id = provider_id(9)), of_mapping("provider")),
        (faults(|it| it.mappings[0].gateways = selected(&[7])), of_mapping("gateways")),
        (faults(|it| it.mappings[0].owner = owner("group:")), of_mapping("group")),
        (faults(|it| it.mappings.push(mapping(1, 1, "user:bob"))), of_mapping("id")),
        (
            faults(|it| {
                it.providers.push(provider(2));
                it.gateways.push(gateway(3, 2));
                it.credentials[0].gateways = selected(&[3]);
            }),
            of_credential("gateways"),
        ),
        (faults(|it| it.credentials[0].provider_id = provider_id(9)), of_credential("provider")),
        (faults(|it| it.credentials[0].owner = owner("user:a\0")), of_credential("user")),
        (faults(|it| it.credentials[0].account = Some(String::new())), of_credential("account")),
        (
            faults(|it| it.credentials[0].secret = CredentialSecret::PrivateKey(zero_key())),
            of_credential("private_key"),
        ),
        (faults(|it| it.credentials[0].overrides.mtu = Some(500)), of_credential("mtu")),
        (
            faults(|it| {
                it.credentials[0].overrides.mtu = Some(1279);
                it.credentials[0].overrides.addresses = vec!["fd00::1/64".parse().unwrap()];
            }),
            of_credential("mtu"),
        ),
        (
            faults(|it| it.credentials[0].overrides.dns = vec!["127.0.0.1".parse().unwrap()]),
            of_credential("dns"),
        ),
        (
            faults(|it| {
                it.credentials[0].overrides.addresses = vec!["224.0.0.1/32".parse().unwrap()];
            }),
            of_credential("address"),
        ),
        (
            faults(|it| {
                it.workspaces = vec![workspace("firefox"), workspace("firefox")];
            }),
            "workspaces[firefox].name".into(),
        ),
    ];
    for (found, expected) in cases {
        assert!(found.contains(&expected), "{expected} is not in {found:?}");
        assert_eq!(found.len(), 1, "{expected} has company: {found:?}");
    }
}

fn zero_key() -> Secret<[u8; 32]> {
    Secret::new([0; 32])
}

fn login(username: &str, password: &str) -> Records {
    let mut records = Records { gateways: vec![], ..records() };
    records.providers[0].kind = ProviderType::Openvpn;
    records.credentials[0].secret = CredentialSecret::UserPassword {
        username: username.to_owned(),
        password: Secret::new(password.to_owned()),
    };
    records
}

#[test]
fn a_login_has_no_line_breaks_and_no_nul() {
    assert!(Catalog::new(login("ann", "p\"ä$ ;#")).is_ok());
    for bad in ["a\nb", "a\r", "\0", "a\nsignal SIGTERM\n"] {
        for records in [login(bad, "p"), login("ann", bad)] {
            let Err(faults) = Catalog::new(records) else { panic!("{bad:?} was taken") };
            assert!(!faults.to_string().contains("SIGTERM"));
        }
    }
}

#[test]
fn a_secret_that_does_not_fit_is_a_warning() {
    let mut records = records();
    records.credentials[0].secret = CredentialSecret::Custom(Secret::new("canary".to_owned()));
    let (_, findings) = Catalog::new(records).unwrap();
    assert_eq!(findings[0].field.as_deref(), Some(of_credential("secret").as_str()));
    assert!(!format!("{findings:?}").contains("canary"));
}

#[test]
fn nothing_a_catalog_shows_of_itself_holds_a_secret() {
    let mut records = records();
    let preshared_key = ["PresharedKey = ", &private_key_text(77), "\n"].concat();
    records.gateways[0].config += &preshared_key;
    records.credentials[0].overrides.preshared_key = Some(private_key(78));
    let shown = format!("{:?}", catalog(records));
    for n in [1, 77, 78] {
        assert!(!shown.contains(&private_key_text(n)[4..20]));
        assert!(!shown.contains(&format!("{:?}", private_key(n).expose())));
    }
}

#[test]
fn a_gateway_is_found_by_provider_and_name_or_by_a_name_that_is_unique() {
    let mut records = records();
    records.providers.push(provider(2));
    records.gateways.push(gateway(3, 2));
    records.gateways[2].name = "g1".to_owned();
    records.gateways.push(gateway(4, 2));
    records.gateways[3].name = "eu/west".to_owned();
    let catalog = catalog(records);
    let id = |text: &str| match catalog.gateway_named(text) {
        Named::One(gateway) => Some(gateway.id.0.as_u128()),
        Named::Nothing => None,
        Named::Several(several) => Some(several.len() as u128 * 100),
    };
    assert_eq!(id("g2"), Some(2));
    assert_eq!(id("g1"), Some(200));
    assert_eq!(id("p1/g1"), Some(1));
    assert_eq!(id("p2/g1"), Some(3));
    assert_eq!(id("p2/eu/west"), Some(4));
    assert_eq!(id("eu/west"), Some(4));
    assert_eq!(id("p1/eu/west"), None);
    assert_eq!(id("nothing"), None);
}

#[test]
fn records_are_found_by_id_in_whatever_order_they_came() {
    let mut records = records();
    records.gateways.reverse();
    records.workspaces = vec![workspace("z"), workspace("a")];
    let catalog = catalog(records);
    assert_eq!(catalog.gateway(gateway_id(1)).unwrap().name, "g1");
    let key = catalog.wireguard(gateway_id(2)).unwrap().peers[0].public_key;
    assert_eq!(egress_core::wireguard::key::encode_public(&key), public_key_text(1002));
    assert_eq!(catalog.workspace("z").unwrap().name, "z");
    assert_eq!(catalog.provider_named("p1").unwrap().id, provider_id(1));
    assert_eq!(catalog.gateways_of(provider_id(1)).count(), 2);
    assert!(catalog.gateway(gateway_id(3)).is_none());
}

#[test]
fn a_credential_replaces_what_it_sets_and_nothing_else() {
    let mut records = records();
    records.gateways[0].config =
        config(9).replace("[Peer]", "DNS = 10.0.0.1, lan\nMTU = 1400\n[Peer]");
    records.credentials.push(credential(2, 1, "user:ann"));
    let overrides = &mut records.credentials[1].overrides;
    overrides.addresses = vec!["10.0.0.7/32".parse().unwrap()];
    overrides.dns = vec!["10.0.0.53".parse().unwrap()];
    overrides.mtu = Some(1300);
    overrides.preshared_key = Some(private_key(5));
    let catalog = catalog(records);
    let config = catalog.wireguard(gateway_id(1)).unwrap();
    let merge = |n| Profile::merge(config, catalog.credential(credential_id(n)).unwrap()).unwrap();

    let plain = merge(1);
    assert_eq!(plain.addresses(), ["10.0.0.2/32".parse().unwrap()]);
    assert_eq!((plain.mtu(), plain.search()), (Some(1400), &["lan".to_owned()][..]));
    assert_eq!(plain.peers()[0].preshared_key, None);
    assert_eq!(plain.private_key(), &private_key(1));

    let own = merge(2);
    assert_eq!(own.addresses(), ["10.0.0.7/32".parse().unwrap()]);
    assert_eq!(own.dns(), ["10.0.0.53".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(own.mtu(), Some(1300));
    assert_eq!(own.peers()[0].preshared_key, Some(private_key(5)));
    assert_eq!(own.search(), ["lan"]);
}

#[test]
fn what_cannot_be_merged_says_which_field() {
    let mut records = records();
    records.gateways[0].config = config(9).replace("Address = 10.0.0.2", "");
    records.gateways[1].config = config(1);
    records.credentials.push(credential(2, 1, "user:ann"));
    records.credentials[1].secret = CredentialSecret::Custom(Secret::new("x".to_owned()));
    let catalog = catalog(records);
    let merge = |gateway, credential| {
        let config = catalog.wireguard(gateway_id(gateway)).unwrap();
        let credential = catalog.credential(credential_id(credential)).unwrap();
        let Err(Faults(faults)) = Profile::merge(config, credential) else { panic!("merged") };
        faults[0].field.clone().unwrap()
    };
    assert_eq!(merge(1, 1), "Interface.Address");
    assert_eq!(merge(2, 1), "Peer.PublicKey");
    assert_eq!(merge(1, 2), "Interface.PrivateKey");
}
