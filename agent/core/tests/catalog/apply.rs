//! Apply documents, as people write them.

use std::collections::BTreeSet;

use egress_core::catalog::{
    Catalog, CredentialEntry, CredentialSecret, Document, GatewayEntry, GatewayScope, MappingEntry,
    Plan, ProviderEntry, ProviderType, Text, WorkspaceEntry,
};
use egress_core::fault::{Faults, Finding, Severity};
use egress_core::secret::Secret;
use uuid::Uuid;

use crate::lab::{private_key, private_key_text, public_key_text};

pub const FILE: &str = "catalog.toml";

pub fn sample() -> String {
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
    document.resolve(file).unwrap()
}

pub fn file(path: &str) -> Result<Secret<String>, String> {
    match path {
        "se-2.conf" => Ok(Secret::new(crate::lab::config(901))),
        "ann.key" => Ok(Secret::new(private_key_text(7) + "\n")),
        "bad.conf" => Ok(Secret::new("[Interface]\nMTU = x\n".to_owned())),
        _ => Err("no such file".to_owned()),
    }
}

pub fn ids() -> impl FnMut() -> Uuid {
    let mut next = 0;
    move || {
        next += 1;
        Uuid::from_u128(next)
    }
}

fn plan(text: &str, existing: &Catalog) -> (Plan, Vec<Finding>) {
    opened(text).against(existing, ids()).unwrap()
}

/// What a first apply makes.
fn first(text: &str) -> (Plan, Vec<Finding>) {
    plan(text, &Catalog::default())
}

#[test]
fn a_first_apply_makes_every_record_in_the_order_of_the_document() {
    let (plan, findings) = first(&sample());
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
    assert_eq!(plan.catalog.since(&Catalog::default()).count(), 6);
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
    let (first, _) = first(&sample());
    let (again, _) = plan(&sample(), &first.catalog);
    assert_eq!((again.created.len(), again.updated.len(), again.unchanged), (0, 0, 6));
    assert_eq!(again.catalog.since(&first.catalog).count(), 0);
    assert_eq!(again.catalog.records(), first.catalog.records());
}

#[test]
fn a_later_apply_keeps_ids_and_omitted_secrets_and_counts_versions() {
    let (first, _) = first(&sample());
    let text = sample()
        .replace("private_key_file = \"ann.key\"\n", "")
        .replace("active_connection_limit = 2", "active_connection_limit = 3")
        .replace("country = \"SE\"\n", "");
    let (second, _) = plan(&text, &first.catalog);
    assert_eq!(second.updated, ["gateway mullvad/se-1", "credential mullvad/ann"]);
    assert_eq!(second.unchanged, 4);
    let (before, after) = (first.catalog.records(), second.catalog.records());
    assert_eq!(after.credentials[0].id, before.credentials[0].id);
    assert_eq!(after.credentials[0].secret, before.credentials[0].secret);
    assert_eq!((before.credentials[0].version, after.credentials[0].version), (1, 2));
    assert_eq!(after.gateways[0].country, "");
    assert_eq!(after.gateways[1].version, 1);
    let since = second.catalog.since(&first.catalog);
    assert_eq!((since.gateways.len(), since.credentials.len(), since.count()), (1, 1, 2));
}

#[test]
fn a_record_with_an_id_can_be_renamed_and_its_old_name_given_away() {
    let (first, _) = first(&sample());
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
    let (plan, _) = document.against(&first.catalog, new_id).unwrap();
    assert_eq!(plan.catalog.gateway(id).unwrap().name, "se-9");
    assert_eq!(plan.created, ["gateway mullvad/se-1"]);
}

#[test]
fn records_of_other_documents_stay() {
    let (first, _) = first(&sample());
    let text = "[[workspace]]\nname = \"chrome\"\n";
    let (second, _) = plan(text, &first.catalog);
    assert_eq!(second.catalog.records().workspaces.len(), 2);
    assert_eq!(second.catalog.records().gateways, first.catalog.records().gateways);
}

#[test]
fn a_private_key_in_a_config_is_not_kept() {
    let key = private_key_text(55);
    let text =
        sample().replace("Address = 10.0.0.2", &format!("Address = 10.0.0.2\nPrivateKey = {key}"));
    let (plan, findings) = first(&text);
    assert!(!plan.catalog.records().gateways[0].config.contains(&key));
    assert_eq!(findings[0].severity, Severity::Warning);
    assert_eq!(findings[0].field.as_deref(), Some("gateway[0].config.Interface.PrivateKey"));
}

#[test]
fn faults_of_a_configs_own_file_name_that_file() {
    let text = sample().replace("se-2.conf", "bad.conf");
    let Err(Faults(findings)) = opened(&text).against(&Catalog::default(), ids()) else {
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
    let limit = |form| first(&text(form)).0.catalog.records().credentials[0].limit;
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
    let plan = |document: &Document| document.against(&Catalog::default(), ids()).unwrap().0;
    assert_eq!(plan(&sent).catalog.records(), plan(&document).catalog.records());
}

#[test]
fn faults_that_come_back_over_the_wire_find_their_lines() {
    let text = sample().replace("provider = \"mullvad\"\ngroup", "provider = \"x\"\ngroup");
    let document = opened(&text);
    let (sent, _) = Document::from_value(serde_json::to_value(&document).unwrap()).unwrap();
    let Err(Faults(findings)) = sent.against(&Catalog::default(), ids()) else { panic!("taken") };
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
    for body in [
        "[]",
        "7",
        "\"x\"",
        "{\"provider\": {}}",
        "{\"gateway\": [7]}",
        "{\"workspace\": [null]}",
        "{\"mapping\": [{\"provider\": \"\", \"user\": \"ann\"}]}",
        "{\"workspace\": [{\"name\": null}]}",
        "{\"provider\": [{\"name\": \"p\", \"type\": null}]}",
        "{\"x\": 1}",
    ] {
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
    let (first, _) = first(text);
    let records = first.catalog.records();
    assert_eq!(records.providers[0].kind, ProviderType::Openvpn);
    let login = |password: &str| CredentialSecret::UserPassword {
        username: "ann".to_owned(),
        password: Secret::new(password.to_owned()),
    };
    assert_eq!(records.credentials[0].secret, login("hunter2"));
    let (second, _) = plan(&text.replace("username = \"ann\"\n", ""), &first.catalog);
    assert_eq!(second.unchanged, 4);
    let (third, _) = plan(&text.replace("hunter2", "hunter3"), &first.catalog);
    assert_eq!(third.updated, ["credential ovpn/a"]);
    assert_eq!(third.catalog.records().credentials[0].secret, login("hunter3"));
}

#[test]
fn a_preshared_key_stays_when_left_out_and_goes_when_empty() {
    let with = |line: &str| sample().replace("active_connection_limit = 2", line);
    let key = format!("preshared_key = \"{}\"", private_key_text(8));
    let (first, _) = first(&with(&key));
    let kept = |plan: &Plan| plan.catalog.records().credentials[0].overrides.preshared_key.clone();
    assert_eq!(kept(&first), Some(private_key(8)));
    let (second, _) = plan(&with(""), &first.catalog);
    assert_eq!(kept(&second), Some(private_key(8)));
    let (third, _) = plan(&with("preshared_key = \"\""), &first.catalog);
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
                document.resolve(file)?.against(&Catalog::default(), ids()).map(|_| ())
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
    assert!(document.against(&Catalog::default(), ids()).is_err());
}

#[test]
fn what_the_api_description_promises_is_what_is_read() {
    for (kind, schema) in schemas() {
        let names: Vec<_> = properties(&schema)
            .into_iter()
            .map(|(name, _)| name)
            .chain(required(&schema))
            .collect();
        assert!(names.contains(&"name".to_owned()) || kind == "mapping", "{kind}: {names:?}");
        for name in names {
            let body = serde_json::json!({kind: [{&name: null}]});
            let said =
                Document::from_value(body).map_or_else(|it| it.to_string(), |_| String::new());
            assert!(!said.contains("unknown field"), "{kind}: {said}");
        }
    }
}

#[test]
fn null_is_taken_where_the_api_description_says_so_and_nowhere_else() {
    for (kind, schema) in schemas() {
        for (name, property) in properties(&schema) {
            let body = serde_json::json!({kind: [{&name: null}]});
            let findings = Document::from_value(body).err().map(|it| it.0).unwrap_or_default();
            let field = format!("{kind}[0].{name}");
            let refused = findings.iter().any(|it| it.field.as_deref() == Some(&field));
            assert_eq!(refused, !property.to_string().contains("\"null\""), "{field}: {property}");
        }
    }
    let exit = serde_json::json!({"gateway": [{"expected_exit": {"addresses": null}}]});
    let faults = Document::from_value(exit).unwrap_err().to_string();
    assert!(faults.contains("expected_exit.addresses"), "{faults}");
}

fn schemas() -> [(&'static str, serde_json::Value); 5] {
    [
        ("provider", schema::<ProviderEntry>()),
        ("gateway", schema::<GatewayEntry>()),
        ("mapping", schema::<MappingEntry>()),
        ("credential", schema::<CredentialEntry>()),
        ("workspace", schema::<WorkspaceEntry>()),
    ]
}

/// Each property with its schema, those of the schema's parts included.
fn properties(schema: &serde_json::Value) -> Vec<(String, serde_json::Value)> {
    let own = schema["properties"].as_object().into_iter().flatten();
    let own = own.map(|(name, property)| (name.clone(), property.clone()));
    let parts = schema["allOf"].as_array().into_iter().flatten();
    own.chain(parts.flat_map(properties)).collect()
}

fn schema<T: utoipa::PartialSchema>() -> serde_json::Value {
    serde_json::to_value(T::schema()).unwrap()
}

fn required(schema: &serde_json::Value) -> Vec<String> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}
