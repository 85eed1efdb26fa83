//! Mistakes in an apply document, each with the lines and fields of its faults.

use egress_core::catalog::{Catalog, Document};
use egress_core::fault::{Faults, Severity};

use crate::apply::{FILE, file, ids, sample};

/// What is replaced in the sample, by what, and faults that this makes.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "name = \"mullvad\"\ntype",
        "nam = \"mullvad\"\ntype",
        &["2 provider[0].name", "3 provider[0].nam"],
    ),
    ("type = \"wireguard\"", "type = \"wiregard\"", &["4 provider[0].type"]),
    ("type = \"wireguard\"", "", &["2 provider[0].type"]),
    (
        "type = \"wireguard\"",
        "type = \"wireguard\"\nselection = \"random\"",
        &["5 provider[0].selection"],
    ),
    (
        "type = \"wireguard\"",
        "type = \"wireguard\"\nrelease_delay_s = -1",
        &["5 provider[0].release_delay_s"],
    ),
    ("type = \"wireguard\"", "type = \"wireguard\"\nenabled = \"yes\"", &["5 provider[0].enabled"]),
    ("type = \"wireguard\"", "type = \"wireguard\"\nid = \"7\"", &["5 provider[0].id"]),
    ("country = \"SE\"", "country = 1.5", &["9 gateway[0].country"]),
    ("country = \"SE\"", "country = 2020-01-01", &["9 gateway[0].country"]),
    ("country = \"SE\"", "config_file = \"x\"", &["9 gateway[0].config_file"]),
    ("Address = 10.0.0.2\n", "Adress = 10.0.0.2\n", &["12 gateway[0].config.Interface.Adress"]),
    ("Endpoint = 198.51.100.1:51820\n", "", &["14 gateway[0].config.Peer.Endpoint"]),
    ("config_file = \"se-2.conf\"", "config_file = \"gone.conf\"", &["23 gateway[1].config_file"]),
    ("config_file = \"se-2.conf\"", "", &["20 gateway[1].config"]),
    ("name = \"se-2\"", "name = \"se-1\"", &["20 gateway[1]", "36 credential[0].gateways[1]"]),
    ("provider = \"mullvad\"\ngroup", "provider = \"mulvad\"\ngroup", &["26 mapping[0].provider"]),
    ("group = \"All Users\"", "", &["25 mapping[0]"]),
    ("group = \"All Users\"", "group = \"a\"\nuser = \"b\"", &["25 mapping[0]"]),
    ("gateways = \"all\"", "gateways = \"some\"", &["28 mapping[0].gateways"]),
    ("gateways = \"all\"", "gateways = 7", &["28 mapping[0].gateways"]),
    ("gateways = \"all\"", "gateways = [\"se-1\", \"se-3\", 4]", &["28 mapping[0].gateways[2]"]),
    ("gateways = \"all\"", "gateways = [\"se-1\", \"se-3\"]", &["28 mapping[0].gateways[1]"]),
    (
        "active_connection_limit = 2",
        "active_connection_limit = 0",
        &["35 credential[0].active_connection_limit"],
    ),
    (
        "active_connection_limit = 2",
        "active_connection_limit = -1",
        &["35 credential[0].active_connection_limit"],
    ),
    (
        "active_connection_limit = 2",
        "limit_active_connections = true",
        &["30 credential[0].active_connection_limit"],
    ),
    (
        "active_connection_limit = 2",
        "limit_active_connections = true\nactive_connection_limit = 0",
        &["36 credential[0].active_connection_limit"],
    ),
    (
        "active_connection_limit = 2",
        "active_connection_limit = 9999999999999999999",
        &["35 credential[0].active_connection_limit"],
    ),
    ("active_connection_limit = 2", "mtu = 70000", &["35 credential[0].mtu"]),
    ("active_connection_limit = 2", "mtu = 100", &["35 credential[0].mtu"]),
    ("active_connection_limit = 2", "dns = \"x\"", &["35 credential[0].dns[0]"]),
    ("active_connection_limit = 2", "username = \"x\"", &["30 credential[0]"]),
    ("active_connection_limit = 2", "preshared_key = \"x\"", &["35 credential[0].preshared_key"]),
    ("private_key_file = \"ann.key\"", "", &["30 credential[0]"]),
    (
        "private_key_file = \"ann.key\"",
        "private_key = \"short\"",
        &["34 credential[0].private_key"],
    ),
    ("private_key_file = \"ann.key\"", "password = \"x\"", &["30 credential[0].username"]),
    ("\"fd00::7\"", "\"fd00::7/\"", &["37 credential[0].address[1]"]),
    ("egress = \"optional\"", "egress = \"maybe\"", &["41 workspace[0].egress"]),
    ("[[workspace]]", "[workspace]", &["39 workspace"]),
    ("[[workspace]]", "[[workspaces]]", &["39 workspaces"]),
    ("[[provider]]", "[[provider]", &["2 -"]),
];

/// What applying the text as a first document comes to: every fault, as `line field`.
fn faults(text: &str) -> Vec<String> {
    let result = Document::from_toml(text, FILE).and_then(|(document, _)| {
        document.resolve(file)?.against(&Catalog::default(), ids()).map(|_| ())
    });
    let Err(Faults(findings)) = result else { return Vec::new() };
    let faults = findings.iter().filter(|it| it.severity == Severity::Fault);
    faults
        .map(|it| {
            let line = it.line.map_or("-".to_owned(), |line| line.to_string());
            format!("{line} {}", it.field.as_deref().unwrap_or("-"))
        })
        .collect()
}

#[test]
fn every_mistake_has_its_line_and_field() {
    for (what, by, expected) in MISTAKES {
        assert_eq!(sample().matches(what).count(), 1, "{what} is not unique");
        let found = faults(&sample().replace(what, by));
        for fault in *expected {
            assert!(found.contains(&(*fault).to_owned()), "{by:?}: {fault} is not in {found:?}");
        }
    }
}
