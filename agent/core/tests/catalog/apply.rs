//! Apply documents, as people write them.

use std::collections::BTreeSet;

use egress_core::catalog::{
    CredentialSecret, Document, GatewayScope, Plan, ProviderType, Records, Text,
};
use egress_core::fault::{Faults, Finding, Severity};
use egress_core::secret::Secret;
use uuid::Uuid;

use crate::lab::{private_key, private_key_text, public_key_text};

const FILE: &str = "catalog.toml";

fn sample() -> String {
    format!(
        r#"# a sample
[[provider]]
name = "mullvad"
type = "wireguard"

[[gateway]]
provider = "mullvad"
name = "se-1"
country = "SE"
config = """
[Interface]
Address = 10.0.0.2

[Peer]
PublicKey = {peer}
Endpoint = 198.51.100.1:51820
AllowedIPs = 0.0.0.0/0
"""

[[gateway]]
provider = "mullvad"
name = "se-2"
config_file = "se-2.conf"

[[mapping]]
provider = "mullvad"
group = "All Users"
gateways = "all"

[[credential]]
provider = "mullvad"
name = "ann"
user = "ann@example.org"
private_key_file = "ann.key"
active_connection_limit = 2
gateways = ["se-1", "se-2"]
address = ["10.0.0.7/32", "fd00::7"]

[[workspace]]
name = "firefox"
egress = "optional"
"#,
        peer = public_key_text(900)
    )
}

fn opened(text: &str) -> Document {
    let (document, _) = Document::from_toml(text, FILE).unwrap();
    document.resolve(|path| file(path)).unwrap()
}

fn file(path: &str) -> Result<Secret<String>, String> {
    match path {
        "se-2.conf" => Ok(Secret::new(crate::lab::config(901))),
        "ann.key" => Ok(Secret::new(private_key_text(7) + "\n")),
        "bad.conf" => Ok(Secret::new("[Interface]\nMTU = x\n".to_owned())),
        _ => Err("no such file".to_owned()),
    }
}

fn ids() -> impl FnMut() -> Uuid {
    let mut next = 0;
    move || {
        next += 1;
        Uuid::from_u128(next)
    }
}

fn plan(text: &str, existing: &Records) -> (Plan, Vec<Finding>) {
    opened(text).against(existing, ids()).unwrap()
}

/// What applying the text as a first document comes to: every fault, as `line field`.
fn faults(text: &str) -> Vec<String> {
    let result = Document::from_toml(text, FILE).and_then(|(document, _)| {
        document.resolve(file)?.against(&Records::default(), ids()).map(|_| ())
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
fn a_first_apply_makes_every_record_in_the_order_of_the_document() {
    let (plan, findings) = plan(&sample(), &Records::default());
    assert_eq!(
        plan.created,
        [
            "provider mullvad",
            "gateway mullvad/se-1",
            "gateway mullvad/se-2",
            "mapping mullvad group:All Users",
            "credential mullvad/ann",
            "workspace firefox"
        ]
    );
    assert_eq!((plan.updated.len(), plan.unchanged), (0, 0));
    let records = plan.catalog.records();
    assert_eq!(records, &plan.touched);
    assert_eq!(records.gateways[1].id.0, Uuid::from_u128(3));
    let credential = &records.credentials[0];
    assert_eq!(credential.secret, CredentialSecret::PrivateKey(private_key(7)));
    assert_eq!(credential.limit.unwrap().get(), 2);
    assert_eq!(credential.overrides.addresses[1], "fd00::7/128".parse().unwrap());
    let both = records.gateways.iter().map(|gateway| gateway.id).collect();
    assert_eq!(credential.gateways, GatewayScope::Selected(both));
    assert_eq!(findings, []);
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let (first, _) = plan(&sample(), &Records::default());
    let (again, _) = plan(&sample(), first.catalog.records());
    assert_eq!((again.created.len(), again.updated.len(), again.unchanged), (0, 0, 6));
    assert_eq!(again.touched, Records::default());
    assert_eq!(again.catalog.records(), first.catalog.records());
}

#[test]
fn a_later_apply_keeps_ids_and_omitted_secrets_and_counts_versions() {
    let (first, _) = plan(&sample(), &Records::default());
    let text = sample()
        .replace("private_key_file = \"ann.key\"\n", "")
        .replace("active_connection_limit = 2", "active_connection_limit = 3")
        .replace("country = \"SE\"\n", "");
    let (second, _) = plan(&text, first.catalog.records());
    assert_eq!(second.updated, ["gateway mullvad/se-1", "credential mullvad/ann"]);
    assert_eq!(second.unchanged, 4);
    let (before, after) = (first.catalog.records(), second.catalog.records());
    assert_eq!(after.credentials[0].id, before.credentials[0].id);
    assert_eq!(after.credentials[0].secret, before.credentials[0].secret);
    assert_eq!((before.credentials[0].version, after.credentials[0].version), (1, 2));
    assert_eq!(after.gateways[0].country, "");
    assert_eq!(after.gateways[1].version, 1);
    assert_eq!(second.touched.gateways.len(), 1);
}

#[test]
fn a_record_with_an_id_can_be_renamed_and_its_old_name_given_away() {
    let (first, _) = plan(&sample(), &Records::default());
    let id = first.catalog.records().gateways[0].id;
    let renamed =
        sample().replace("name = \"se-1\"\n", &format!("id = \"{id}\"\nname = \"se-9\"\n"));
    let text = renamed.replace("[\"se-1\", \"se-2\"]", "[\"se-9\"]")
        + "\n[[gateway]]\nprovider = \"mullvad\"\nname = \"se-1\"\nconfig_file = \"se-2.conf\"\n";
    let document = opened(&text);
    let mut next = 100;
    let new_id = || {
        next += 1;
        Uuid::from_u128(next)
    };
    let (plan, _) = document.against(first.catalog.records(), new_id).unwrap();
    assert_eq!(plan.catalog.gateway(id).unwrap().name, "se-9");
    assert_eq!(plan.created, ["gateway mullvad/se-1"]);
}

#[test]
fn records_of_other_documents_stay() {
    let (first, _) = plan(&sample(), &Records::default());
    let text = "[[workspace]]\nname = \"chrome\"\n";
    let (second, _) = plan(text, first.catalog.records());
    assert_eq!(second.catalog.records().workspaces.len(), 2);
    assert_eq!(second.catalog.records().gateways, first.catalog.records().gateways);
}

#[test]
fn a_private_key_in_a_config_is_not_kept() {
    let key = private_key_text(55);
    let text =
        sample().replace("Address = 10.0.0.2", &format!("Address = 10.0.0.2\nPrivateKey = {key}"));
    let (plan, findings) = plan(&text, &Records::default());
    assert!(!plan.catalog.records().gateways[0].config.contains(&key));
    assert_eq!(findings[0].severity, Severity::Warning);
    assert_eq!(findings[0].field.as_deref(), Some("gateway[0].config.Interface.PrivateKey"));
}

#[test]
fn every_mistake_has_its_line_and_field() {
    let cases = [
        (
            "name = \"mullvad\"\ntype",
            "nam = \"mullvad\"\ntype",
            vec!["2 provider[0].name", "3 provider[0].nam"],
        ),
        ("type = \"wireguard\"", "type = \"wiregard\"", vec!["4 provider[0].type"]),
        ("type = \"wireguard\"", "", vec!["2 provider[0].type"]),
        (
            "type = \"wireguard\"",
            "type = \"wireguard\"\nselection = \"random\"",
            vec!["5 provider[0].selection"],
        ),
        (
            "type = \"wireguard\"",
            "type = \"wireguard\"\nrelease_delay_s = -1",
            vec!["5 provider[0].release_delay_s"],
        ),
        (
            "type = \"wireguard\"",
            "type = \"wireguard\"\nenabled = \"yes\"",
            vec!["5 provider[0].enabled"],
        ),
        ("type = \"wireguard\"", "type = \"wireguard\"\nid = \"7\"", vec!["5 provider[0].id"]),
        ("country = \"SE\"", "country = 1.5", vec!["9 gateway[0].country"]),
        ("country = \"SE\"", "country = 2020-01-01", vec!["9 gateway[0].country"]),
        ("country = \"SE\"", "config_file = \"x\"", vec!["9 gateway[0].config_file"]),
        (
            "Address = 10.0.0.2\n",
            "Adress = 10.0.0.2\n",
            vec!["12 gateway[0].config.Interface.Adress"],
        ),
        ("Endpoint = 198.51.100.1:51820\n", "", vec!["14 gateway[0].config.Peer.Endpoint"]),
        (
            "config_file = \"se-2.conf\"",
            "config_file = \"gone.conf\"",
            vec!["23 gateway[1].config_file"],
        ),
        ("config_file = \"se-2.conf\"", "", vec!["20 gateway[1].config"]),
        (
            "name = \"se-2\"",
            "name = \"se-1\"",
            vec!["20 gateway[1]", "36 credential[0].gateways[1]"],
        ),
        (
            "provider = \"mullvad\"\ngroup",
            "provider = \"mulvad\"\ngroup",
            vec!["26 mapping[0].provider"],
        ),
        ("group = \"All Users\"", "", vec!["25 mapping[0]"]),
        ("group = \"All Users\"", "group = \"a\"\nuser = \"b\"", vec!["25 mapping[0]"]),
        ("gateways = \"all\"", "gateways = \"some\"", vec!["28 mapping[0].gateways"]),
        ("gateways = \"all\"", "gateways = 7", vec!["28 mapping[0].gateways"]),
        (
            "gateways = \"all\"",
            "gateways = [\"se-1\", \"se-3\", 4]",
            vec!["28 mapping[0].gateways[2]"],
        ),
        (
            "gateways = \"all\"",
            "gateways = [\"se-1\", \"se-3\"]",
            vec!["28 mapping[0].gateways[1]"],
        ),
        (
            "active_connection_limit = 2",
            "active_connection_limit = 0",
            vec!["35 credential[0].active_connection_limit"],
        ),
        (
            "active_connection_limit = 2",
            "active_connection_limit = -1",
            vec!["35 credential[0].active_connection_limit"],
        ),
        (
            "active_connection_limit = 2",
            "limit_active_connections = true",
            vec!["30 credential[0].active_connection_limit"],
        ),
        (
            "active_connection_limit = 2",
            "limit_active_connections = true\nactive_connection_limit = 0",
            vec!["36 credential[0].active_connection_limit"],
        ),
        (
            "active_connection_limit = 2",
            "active_connection_limit = 9999999999999999999",
            vec!["35 credential[0].active_connection_limit"],
        ),
        ("active_connection_limit = 2", "mtu = 70000", vec!["35 credential[0].mtu"]),
        ("active_connection_limit = 2", "mtu = 100", vec!["35 credential[0].mtu"]),
        ("active_connection_limit = 2", "dns = \"x\"", vec!["35 credential[0].dns[0]"]),
        ("active_connection_limit = 2", "username = \"x\"", vec!["30 credential[0]"]),
        (
            "active_connection_limit = 2",
            "preshared_key = \"x\"",
            vec!["35 credential[0].preshared_key"],
        ),
        ("private_key_file = \"ann.key\"", "", vec!["30 credential[0]"]),
        (
            "private_key_file = \"ann.key\"",
            "private_key = \"short\"",
            vec!["34 credential[0].private_key"],
        ),
        ("private_key_file = \"ann.key\"", "password = \"x\"", vec!["30 credential[0].username"]),
        ("\"fd00::7\"", "\"fd00::7/\"", vec!["37 credential[0].address[1]"]),
        ("egress = \"optional\"", "egress = \"maybe\"", vec!["41 workspace[0].egress"]),
        ("[[workspace]]", "[workspace]", vec!["39 workspace"]),
        ("[[workspace]]", "[[workspaces]]", vec!["39 workspaces"]),
        ("[[provider]]", "[[provider]", vec!["2 -"]),
    ];
    for (what, by, expected) in cases {
        assert_eq!(sample().matches(what).count(), 1, "{what} is not unique");
        let found = faults(&sample().replace(what, by));
        for fault in expected {
            assert!(found.contains(&fault.to_owned()), "{by:?}: {fault} is not in {found:?}");
        }
    }
}

#[test]
fn faults_of_a_configs_own_file_name_that_file() {
    let text = sample().replace("se-2.conf", "bad.conf");
    let Err(Faults(findings)) = opened(&text).against(&Records::default(), ids()) else {
        panic!("taken")
    };
    let said: BTreeSet<_> = findings.iter().map(ToString::to_string).collect();
    let expected =
        "bad.conf:2: gateway[1].config.Interface.MTU: expected a number from 576 to 65535";
    assert!(said.contains(expected), "{said:?}");
}

#[test]
fn a_slip_is_answered_with_what_was_meant() {
    let text = sample().replace("country =", "contry =").replace("group =", "grup =");
    let Err(faults) = Document::from_toml(&text, FILE) else { panic!("taken") };
    let said = faults.to_string();
    assert!(
        said.contains("catalog.toml:9: gateway[0].contry: unknown field. Did you mean country?")
    );
    assert!(said.contains("Did you mean group?"), "{said}");
}

#[test]
fn the_row_form_of_a_limit_is_taken_too() {
    let text = |form: &str| sample().replace("active_connection_limit = 2", form);
    let limit = |form| plan(&text(form), &Records::default()).0.touched.credentials[0].limit;
    let on = "limit_active_connections = true\nactive_connection_limit = 5";
    assert_eq!(limit(on).unwrap().get(), 5);
    assert_eq!(limit("limit_active_connections = false\nactive_connection_limit = 0"), None);
    assert_eq!(limit(""), None);
}

#[test]
fn a_document_survives_the_way_over_the_wire() {
    let document = opened(&sample());
    let value = serde_json::to_value(&document).unwrap();
    let (sent, _) = Document::from_value(value).unwrap();
    let plan = |document: &Document| document.against(&Records::default(), ids()).unwrap().0;
    assert_eq!(plan(&sent).touched, plan(&document).touched);
}

#[test]
fn faults_that_come_back_over_the_wire_find_their_lines() {
    let text = sample().replace("provider = \"mullvad\"\ngroup", "provider = \"x\"\ngroup");
    let document = opened(&text);
    let (sent, _) = Document::from_value(serde_json::to_value(&document).unwrap()).unwrap();
    let Err(Faults(findings)) = sent.against(&Records::default(), ids()) else { panic!("taken") };
    assert_eq!(findings[0].line, None);
    assert_eq!(document.locate(findings)[0].line, Some(26));
}

#[test]
fn a_body_cannot_make_the_agent_open_files() {
    let body = serde_json::json!({"gateway": [
        {"provider": "p", "name": "g", "config_file": "/etc/shadow"}
    ]});
    let Err(Faults(findings)) = Document::from_value(body) else { panic!("taken") };
    assert_eq!(findings[0].field.as_deref(), Some("gateway[0].config_file"));
}

#[test]
fn a_body_that_is_no_document_is_refused() {
    for body in ["[]", "7", "\"x\"", "{\"provider\": {}}", "{\"gateway\": [7]}", "{\"x\": 1}"] {
        let body = serde_json::from_str(body).unwrap();
        assert!(Document::from_value(body).is_err());
    }
    assert!(Document::from_value(serde_json::json!({})).is_ok());
}

#[test]
fn openvpn_and_custom_credentials_have_their_own_secrets() {
    let text = r#"
[[provider]]
name = "ovpn"
type = "openvpn"
[[provider]]
name = "own"
type = "custom"
[[credential]]
provider = "ovpn"
name = "a"
user = "ann"
username = "ann"
password = "hunter2"
[[credential]]
provider = "own"
name = "b"
group = "staff"
custom = "{}"
"#;
    let (first, _) = plan(text, &Records::default());
    let records = first.catalog.records();
    assert_eq!(records.providers[0].kind, ProviderType::Openvpn);
    let login = |password: &str| CredentialSecret::UserPassword {
        username: "ann".to_owned(),
        password: Secret::new(password.to_owned()),
    };
    assert_eq!(records.credentials[0].secret, login("hunter2"));
    let (second, _) = plan(&text.replace("username = \"ann\"\n", ""), records);
    assert_eq!(second.unchanged, 4);
    let (third, _) = plan(&text.replace("hunter2", "hunter3"), records);
    assert_eq!(third.updated, ["credential ovpn/a"]);
    assert_eq!(third.touched.credentials[0].secret, login("hunter3"));
}

#[test]
fn a_preshared_key_stays_when_left_out_and_goes_when_empty() {
    let with = |line: &str| sample().replace("active_connection_limit = 2", line);
    let key = format!("preshared_key = \"{}\"", private_key_text(8));
    let (first, _) = plan(&with(&key), &Records::default());
    let kept = |plan: &Plan| plan.catalog.records().credentials[0].overrides.preshared_key.clone();
    assert_eq!(kept(&first), Some(private_key(8)));
    let (second, _) = plan(&with(""), first.catalog.records());
    assert_eq!(kept(&second), Some(private_key(8)));
    let (third, _) = plan(&with("preshared_key = \"\""), first.catalog.records());
    assert_eq!(kept(&third), None);
}

#[test]
fn no_finding_repeats_a_secret() {
    let canary = private_key_text(99);
    let places = [
        "name = \"mullvad\"\ntype",
        "type = \"wireguard\"",
        "country = \"SE\"",
        "[Interface]",
        "Address = 10.0.0.2\n",
        "Endpoint = 198.51.100.1:51820",
        "gateways = \"all\"",
        "private_key_file = \"ann.key\"",
        "active_connection_limit = 2",
        "egress = \"optional\"",
    ];
    let forms = [
        format!("{canary}\n"),
        format!("\"{canary}\"\n"),
        format!("\"{canary}\" = 1\n"),
        format!("x = {canary}\n"),
        format!("private_key = \"{canary}{canary}\"\n"),
        format!("private_key = \"{canary}\\q\"\n"),
        format!("private_key = \"{canary}\n"),
        format!("active_connection_limit = \"{canary}\"\n"),
        format!("active_connection_limit = {canary}\n"),
        format!("type = \"{canary}\"\n"),
        format!("gateways = [\"{canary}\"]\n"),
        format!("gateways = \"{canary}\"\n"),
        format!("provider = \"{canary}\"\n"),
        format!("dns = [\"{canary}\"]\n"),
        format!("id = \"{canary}\"\n"),
        format!("[{canary}\n"),
    ];
    let mut refused = 0;
    for place in places {
        for form in &forms {
            let text = sample().replace(place, form);
            let result = Document::from_toml(&text, FILE).and_then(|(document, _)| {
                assert!(
                    !format!("{document:?}").contains(&canary[..12])
                        || form.contains("gateways")
                        || form.contains("provider")
                );
                document.resolve(file)?.against(&Records::default(), ids()).map(|_| ())
            });
            let Err(faults) = result else { continue };
            refused += 1;
            let said = format!("{faults} {faults:?}");
            assert!(!said.contains(&canary[..12]), "{form:?} for {place:?}: {said}");
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_file_that_was_not_brought_in_is_a_fault_and_never_sent() {
    let (document, _) = Document::from_toml(&sample(), FILE).unwrap();
    assert!(matches!(document.gateways[1].config, Text::File(_)));
    assert!(serde_json::to_string(&document).is_err());
    assert!(document.against(&Records::default(), ids()).is_err());
}
