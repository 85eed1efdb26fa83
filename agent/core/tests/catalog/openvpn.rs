//! OpenVPN gateways in the catalog: read when they enter, merged with a login.

use egress_core::catalog::{Catalog, CredentialSecret, Document, ProviderType, Records};
use egress_core::profile::Profile;
use egress_core::secret::Secret;

use crate::apply::ids;
use crate::lab::{catalog, credential_id, gateway_id, openvpn_config as text, records};

const CERT: &str = include_str!("../openvpn/pki/client.crt");
const ENCRYPTED: &str = include_str!("../openvpn/pki/client-encrypted.key");

/// Provider 1 speaks OpenVPN; all of its gateways have this text.
fn openvpn_records(config: &str) -> Records {
    let mut records = records();
    records.providers[0].kind = ProviderType::Openvpn;
    for gateway in &mut records.gateways {
        config.clone_into(&mut gateway.config);
    }
    records.credentials[0].secret = CredentialSecret::UserPassword {
        username: "ann".to_owned(),
        password: Secret::new("hunter2".to_owned()),
    };
    records
}

fn merged(config: &str) -> Result<Profile, egress_core::fault::Faults> {
    Profile::merge(&catalog(openvpn_records(config)), gateway_id(1), credential_id(1))
}

#[test]
fn a_faulty_text_is_refused_with_its_record_and_its_line() {
    let faults = Catalog::new(openvpn_records(&text("plugin evil.so"))).unwrap_err();
    let finding = &faults.0[0];
    assert_eq!(finding.line, Some(4));
    let field = finding.field.as_deref().unwrap();
    assert!(field.starts_with("gateways[p1/g1].config") && field.contains("plugin"), "{field}");
}

#[test]
fn a_login_in_a_text_is_cut_out_when_it_enters() {
    let config = text("<auth-user-pass>\nbob\ncanary-login\n</auth-user-pass>");
    let body = serde_json::json!({
        "provider": [{ "name": "o", "type": "openvpn" }],
        "gateway": [{ "provider": "o", "name": "g", "config": config }],
    });
    let (document, _) = Document::from_value(body).unwrap();
    let (plan, findings) = document.against(&Catalog::default(), ids()).unwrap();
    let kept = &plan.catalog.records().gateways[0].config;
    assert!(!kept.contains("canary-login") && kept.contains("auth-user-pass"), "{kept}");
    let told = |finding: &egress_core::fault::Finding| finding.message.contains("not kept");
    assert!(findings.iter().any(told), "{findings:?}");
}

#[test]
fn a_login_is_merged_where_the_server_asks_for_one() {
    let Ok(Profile::Openvpn(profile)) = merged(&text("auth-user-pass")) else { panic!("refused") };
    let login = profile.login().unwrap();
    assert_eq!((login.username.as_str(), login.password.expose().as_str()), ("ann", "hunter2"));
    assert!(!profile.split());
}

#[test]
fn a_login_that_is_not_there_is_refused() {
    let mut records = openvpn_records(&text("auth-user-pass"));
    records.credentials[0].secret = CredentialSecret::UserPassword {
        username: "ann".to_owned(),
        password: Secret::new(String::new()),
    };
    let faults = Profile::merge(&catalog(records), gateway_id(1), credential_id(1)).unwrap_err();
    assert_eq!(faults.0[0].field.as_deref(), Some("auth-user-pass"));
}

#[test]
fn a_private_key_that_nobody_can_open_is_refused() {
    let config = text(&format!("<cert>\n{CERT}</cert>\n<key>\n{ENCRYPTED}</key>"));
    assert_eq!(merged(&config).unwrap_err().0[0].field.as_deref(), Some("key"));
}
