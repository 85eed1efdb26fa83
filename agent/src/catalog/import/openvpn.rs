//! A provider's `.ovpn` file as an apply document, with the files that lie beside it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use egress_core::catalog::{CredentialEntry, Document, ProviderType, Text};
use egress_core::fault::{Checked, Faults, Finding, unless_faulty};
use egress_core::openvpn::{self, FileReference, Login};
use egress_core::secret::Secret;

use super::{Import, credential_of, gateway, mapping, name, provider};
use crate::catalog::reading;

/// An `.ovpn` file that is fit to be imported.
#[derive(Debug)]
pub struct OpenvpnFile {
    name: String,
    /// Without the login.
    text: Secret<String>,
    /// The login that stands in it.
    pub login: Option<Login>,
    /// The server wants a login.
    pub needs_login: bool,
}

/// Reads an `.ovpn` file. Files that it names are put into it where they lie in its directory or
/// below; what lies elsewhere is not opened. Findings have the lines of the file as it is.
pub fn read(path: &Path, import: &Import) -> Checked<OpenvpnFile> {
    let file = path.display().to_string();
    let here = |finding: Finding| finding.in_file(&file);
    let fault = |why: String| Faults(vec![here(Finding::fault(why))]);
    let name = name(path, import.name.as_deref()).map_err(fault)?;
    let content = reading::read(path).map_err(fault)?.text;
    let mut findings = Vec::new();
    let inlined = openvpn::inline_files(content.expose(), |reference| {
        let not_inlined = |why| here(not_inlined(reference, why));
        beside(path, &reference.path).map_err(|why| findings.push(not_inlined(why))).ok()
    });
    let in_place = |found: Vec<Finding>| {
        found
            .into_iter()
            .map(|it| here(Finding { line: it.line.map(|at| inlined.origin(at)), ..it }))
    };
    let config = match openvpn::parse(&inlined.text) {
        Ok((config, found)) => {
            findings.extend(in_place(found).filter(|it| !is_about_login(it)));
            config
        }
        Err(Faults(found)) => {
            findings.extend(in_place(found));
            return Err(Faults(findings));
        }
    };
    if config.key_encrypted() {
        let message = "the private key is encrypted, and nobody is asked for its password: store \
                       it without one";
        findings.push(here(Finding::fault(message).about("key")));
    }
    let (text, login) = openvpn::strip_login(&inlined.text);
    let text = Secret::new(text);
    unless_faulty(findings, || OpenvpnFile { name, text, login, needs_login: config.needs_login })
}

fn not_inlined(reference: &FileReference, why: String) -> Finding {
    Finding::note(why).at_line(reference.line).about(&reference.directive)
}

/// That the login comes from the credential is how an import works, not worth a word.
fn is_about_login(finding: &Finding) -> bool {
    finding.field.as_deref() == Some("auth-user-pass")
}

/// The content of a file in the profile's directory or below it. A provider's text may name any
/// file of this host: none but the provider's own is opened.
fn beside(profile: &Path, named: &str) -> Result<Vec<u8>, String> {
    let is_plain = |it: Component<'_>| matches!(it, Component::Normal(_) | Component::CurDir);
    if !Path::new(named).components().all(is_plain) {
        return Err("a file elsewhere is not opened: copy it beside the profile".to_owned());
    }
    let real = |path: &Path| {
        let real = fs::canonicalize(path);
        real.map_err(|error| format!("the file it names cannot be read: {error}"))
    };
    let dir = match profile.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => real(parent)?,
        Some(_) | None => real(Path::new("."))?,
    };
    let file: PathBuf = real(&dir.join(named))?;
    if !file.starts_with(&dir) {
        return Err("a link that leads elsewhere is not followed".to_owned());
    }
    let bytes = reading::read_bytes(&file).map_err(|why| format!("the file it names: {why}"))?.0;
    Ok(bytes.to_vec())
}

impl OpenvpnFile {
    /// A provider, a gateway, a mapping and a credential of it. Where the server wants none the
    /// login is empty.
    pub fn document(self, login: Login, import: &Import) -> Document {
        let name = &self.name;
        let mut document = Document::default();
        document.source = Some(format!("import {name}"));
        document.providers.push(provider(name, ProviderType::Openvpn, import.rules));
        document.gateways.push(gateway(name, self.text.expose().clone()));
        document.mappings.push(mapping(name, &import.owner));
        document.credentials.push(CredentialEntry {
            username: Some(login.username),
            password: Some(Text::Inline(login.password)),
            ..credential_of(name, &import.owner)
        });
        document
    }
}

#[cfg(test)]
mod tests {
    use egress_core::catalog::{CredentialSecret, Owner, Records};
    use egress_core::wireguard::Rules;
    use uuid::Uuid;

    use super::*;

    const CA: &str = include_str!("../../../core/tests/openvpn/pki/ca.crt");
    const CERT: &str = include_str!("../../../core/tests/openvpn/pki/client.crt");
    const KEY: &str = include_str!("../../../core/tests/openvpn/pki/client.key");
    const ENCRYPTED: &str = include_str!("../../../core/tests/openvpn/pki/client-encrypted.key");
    const STATIC: &str = include_str!("../../../core/tests/openvpn/pki/static.key");

    const PROFILE: &str = "client\ndev tun\nremote vpn.example 1194 udp\nremote-cert-tls server\n\
        ca ca.crt\ncert pki/client.crt\nkey pki/client.key\ntls-auth ta.key 1\nauth-user-pass\n";

    fn beside_each_other(profile: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pki")).unwrap();
        let files = [
            ("ca.crt", CA),
            ("pki/client.crt", CERT),
            ("pki/client.key", KEY),
            ("pki/encrypted.key", ENCRYPTED),
            ("ta.key", STATIC),
            ("home.ovpn", profile),
        ];
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let path = dir.path().join("home.ovpn");
        (dir, path)
    }

    fn import() -> Import {
        Import { name: None, owner: Owner::User("ann".to_owned()), rules: Rules::default() }
    }

    fn login() -> Login {
        let password = Secret::new("canary-login".to_owned());
        Login { username: "bob".to_owned(), password }
    }

    fn faults(profile: &str) -> Vec<String> {
        let (_dir, path) = beside_each_other(profile);
        let Faults(findings) = read(&path, &import()).unwrap_err();
        let text = |it: &Finding| it.to_string().rsplit("home.ovpn").next().unwrap().to_owned();
        findings.iter().map(text).collect()
    }

    #[test]
    fn a_profile_with_files_beside_it_becomes_four_records_of_its_name() {
        let (_dir, path) = beside_each_other(PROFILE);
        let (file, findings) = read(&path, &import()).unwrap();
        let left_out: Vec<_> = findings.iter().filter_map(|it| it.field.as_deref()).collect();
        assert_eq!(left_out, ["dev"]);
        assert!(file.needs_login && file.login.is_none());
        let document = file.document(login(), &import());
        let (plan, _) = document.against(&Records::default(), Uuid::now_v7).unwrap();
        let records = plan.catalog.records();
        assert_eq!(records.providers[0].kind, ProviderType::Openvpn);
        assert_eq!(records.gateways[0].name, "home");
        assert!(records.gateways[0].config.contains("<tls-auth>"), "ta.key is not inlined");
        assert_eq!(records.mappings[0].owner, Owner::User("ann".to_owned()));
        let Login { username, password } = login();
        let expected = CredentialSecret::UserPassword { username, password };
        assert_eq!(records.credentials[0].secret, expected);
    }

    #[test]
    fn a_login_in_the_profile_is_the_credentials_and_not_the_gateways() {
        let block = "<auth-user-pass>\nbob\ncanary-login\n</auth-user-pass>\n";
        let (_dir, path) = beside_each_other(&PROFILE.replace("auth-user-pass\n", block));
        let (file, _) = read(&path, &import()).unwrap();
        assert_eq!(file.login, Some(login()));
        assert!(!file.text.expose().contains("canary-login"));
    }

    #[test]
    fn a_fault_has_the_line_of_the_file_as_it_is_whatever_was_put_in_before() {
        let found = faults(&PROFILE.replace("auth-user-pass", "plugin evil.so"));
        assert!(found.iter().any(|it| it.starts_with(":9: plugin: ")), "{found:?}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_line() {
        let found = faults(&PROFILE.replace("ca ca.crt", "ca gone.crt"));
        assert!(found.iter().any(|it| it.starts_with(":5: ca: ")), "{found:?}");
    }

    #[test]
    fn files_elsewhere_are_not_opened_by_any_name() {
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("ca.crt");
        fs::write(&file, CA).unwrap();
        let absolute = file.display().to_string();
        let upwards = format!("../{}/ca.crt", elsewhere.path().file_name().unwrap().display());
        for named in [absolute.as_str(), upwards.as_str(), "link.crt"] {
            let (dir, path) =
                beside_each_other(&PROFILE.replace("ca ca.crt", &format!("ca {named}")));
            std::os::unix::fs::symlink(&file, dir.path().join("link.crt")).unwrap();
            let Faults(findings) = read(&path, &import()).unwrap_err();
            assert!(findings.iter().any(|it| it.line == Some(5)), "{named}: {findings:?}");
        }
    }

    #[test]
    fn an_encrypted_key_is_a_fault_before_anybody_is_asked_for_a_login() {
        let found = faults(&PROFILE.replace("client.key", "encrypted.key"));
        assert!(found.iter().any(|it| it.contains("without one")), "{found:?}");
    }
}
