//! Files on disk, read and made into documents.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::{Catalog, CredentialSecret};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

mod many;

const KEY: [u8; 32] = [0x41; 32];
const PRESHARED: [u8; 32] = [0x42; 32];

const CA: &str = include_str!("../../../core/tests/openvpn/pki/ca.crt");
const CERT: &str = include_str!("../../../core/tests/openvpn/pki/client.crt");
const CLIENT_KEY: &str = include_str!("../../../core/tests/openvpn/pki/client.key");
const ENCRYPTED: &str = include_str!("../../../core/tests/openvpn/pki/client-encrypted.key");
const STATIC: &str = include_str!("../../../core/tests/openvpn/pki/static.key");

const PROFILE: &str = "client\ndev tun\nremote vpn.example 1194 udp\nremote-cert-tls server\n\
    ca ca.crt\ncert pki/client.crt\nkey pki/client.key\ntls-auth ta.key 1\nauth-user-pass\n";

fn import() -> Import {
    Import { owner: Owner::User(String::from("ann")), rules: Rules::default() }
}

fn read_file(path: &Path) -> Checked<ProviderFile> {
    read(&OnDisk(path.to_owned()), Rules::default()).outcome
}

fn wg_quick(peers: &[String]) -> String {
    let key = STANDARD.encode(KEY);
    let interface = format!(
        "[Interface]\nPrivateKey = {key}\nAddress = 10.2.0.2/32\nDNS = 10.2.0.1, corp.example\n"
    );
    interface + &peers.concat()
}

fn peer(number: u8, preshared: Option<[u8; 32]>) -> String {
    let key = STANDARD.encode([number; 32]);
    let preshared = preshared
        .map(|key| format!("PresharedKey = {}\n", STANDARD.encode(key)))
        .unwrap_or_default();
    let allowed = if number == 9 { "0.0.0.0/0, ::/0" } else { "10.9.0.0/16" };
    format!(
        "[Peer]\nPublicKey = {key}\n{preshared}Endpoint = 192.0.2.1:51820\nAllowedIPs = {allowed}\n"
    )
}

fn written(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wg0.conf");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn imported(text: &str) -> (Document, Catalog) {
    let (_dir, path) = written(text);
    let (file, findings) = read_file(&path).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let document = file.document("wg0", None, &import());
    let (plan, _) = document.against(&Catalog::default(), Uuid::now_v7).unwrap();
    (document, plan.catalog)
}

/// A profile and what it names, and where it lies.
fn beside_each_other(profile: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("pki")).unwrap();
    let files = [
        ("ca.crt", CA),
        ("pki/client.crt", CERT),
        ("pki/client.key", CLIENT_KEY),
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

fn login() -> Login {
    let password = Secret::new("canary-login".to_owned());
    Login { username: "bob".to_owned(), password }
}

/// What is wrong with a profile, each behind the file's name.
fn faults(profile: &str) -> Vec<String> {
    let (_dir, path) = beside_each_other(profile);
    let faults = read_file(&path).unwrap_err().alone();
    let text = |it: &Finding| it.to_string().rsplit("home.ovpn").next().unwrap().to_owned();
    faults.iter().map(text).collect()
}

#[test]
fn a_providers_file_becomes_four_records_of_its_name() {
    let (_, catalog) = imported(&wg_quick(&[peer(9, Some(PRESHARED))]));
    let records = catalog.records();
    assert_eq!(records.providers[0].name, "wg0");
    assert_eq!(records.gateways[0].name, "wg0");
    assert_eq!(records.mappings[0].owner, Owner::User(String::from("ann")));
    let credential = &records.credentials[0];
    assert_eq!(credential.secret, CredentialSecret::PrivateKey(Secret::new(KEY)));
    assert_eq!(credential.overrides.preshared_key, Some(Secret::new(PRESHARED)));
    assert_eq!(credential.overrides.addresses, ["10.2.0.2/32".parse().unwrap()]);
    assert_eq!(credential.overrides.dns, ["10.2.0.1".parse::<std::net::IpAddr>().unwrap()]);
    let config = &records.gateways[0].config;
    for key in [KEY, PRESHARED] {
        assert!(!config.contains(&STANDARD.encode(key)), "the gateway has a key:\n{config}");
    }
}

#[test]
fn peers_with_different_preshared_keys_keep_them() {
    let peers = [peer(9, Some(PRESHARED)), peer(8, None)];
    let (_, catalog) = imported(&wg_quick(&peers));
    let records = catalog.records();
    assert_eq!(records.credentials[0].overrides.preshared_key, None);
    assert!(records.gateways[0].config.contains(&STANDARD.encode(PRESHARED)));
    assert!(!records.gateways[0].config.contains(&STANDARD.encode(KEY)));
}

#[test]
fn a_second_import_of_the_same_file_changes_nothing() {
    let (document, catalog) = imported(&wg_quick(&[peer(9, Some(PRESHARED))]));
    let (plan, _) = document.against(&catalog, Uuid::now_v7).unwrap();
    assert_eq!((plan.unchanged, plan.created.len(), plan.updated.len()), (4, 0, 0));
}

#[test]
fn a_given_name_and_owner_are_used() {
    let (_dir, path) = written(&wg_quick(&[peer(9, None)]));
    let owner = Owner::Group(String::from("all"));
    assert_eq!(name(&OnDisk(path.clone()), None).unwrap(), "wg0");
    let name = name(&OnDisk(path.clone()), Some("se-1")).unwrap();
    let (file, _) = read_file(&path).unwrap();
    let document = file.document(&name, None, &Import { owner: owner.clone(), ..import() });
    assert_eq!(document.gateways[0].name, "se-1");
    assert_eq!(document.credentials[0].owner, owner);
}

#[test]
fn every_fault_of_the_file_is_told_with_its_line_and_no_key() {
    let broken = wg_quick(&[peer(9, None)]).replace("192.0.2.1:51820", "192.0.2.1");
    let broken = broken.replace("10.2.0.2/32", "10.2.0.2.3/32");
    let (_dir, path) = written(&broken);
    let faults = read_file(&path).unwrap_err().to_string();
    assert!(faults.contains("wg0.conf:3: Interface.Address"), "{faults}");
    assert!(faults.contains("wg0.conf:7: Peer.Endpoint"), "{faults}");
    assert!(!faults.contains(&STANDARD.encode(KEY)), "{faults}");
}

#[test]
fn a_file_without_a_private_key_is_refused() {
    let (_dir, path) = written(&wg_quick(&[peer(9, None)]).replace("PrivateKey", "# nothing"));
    let faults = read_file(&path).unwrap_err().to_string();
    assert!(faults.contains("an import needs the client's own"), "{faults}");
}

#[test]
fn a_profile_with_files_beside_it_becomes_four_records_of_its_name() {
    let (_dir, path) = beside_each_other(PROFILE);
    let (mut file, findings) = read_file(&path).unwrap();
    let left_out: Vec<_> = findings.iter().filter_map(|it| it.field.as_deref()).collect();
    assert_eq!(left_out, ["dev"]);
    assert!(file.needs_login() && file.login().is_none());
    let document = file.document("home", Some(login()), &import());
    let (plan, _) = document.against(&Catalog::default(), Uuid::now_v7).unwrap();
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
    let (mut file, _) = read_file(&path).unwrap();
    assert_eq!(file.login(), Some(login()));
    let document = file.document("home", Some(login()), &import());
    assert!(!format!("{:?}", document.gateways).contains("canary-login"));
    let (plan, _) = document.against(&Catalog::default(), Uuid::now_v7).unwrap();
    assert!(!plan.catalog.records().gateways[0].config.contains("canary-login"));
}

#[test]
fn a_fault_has_the_line_of_the_file_as_it_is_whatever_was_put_in_before() {
    let found = faults(&PROFILE.replace("auth-user-pass", "plugin evil.so"));
    assert!(found.iter().any(|it| it.starts_with(":9: plugin: ")), "{found:?}");
}

#[test]
fn a_file_that_is_not_there_is_one_fault_with_its_line_and_what_to_do() {
    let found = faults(&PROFILE.replace("ca ca.crt", "ca gone.crt"));
    let of_line: Vec<_> = found.iter().filter(|it| it.starts_with(":5: ca: ")).collect();
    assert_eq!(of_line.len(), 1, "{found:?}");
    assert!(of_line[0].contains("gone.crt is not there beside the profile"), "{found:?}");
    assert!(of_line[0].contains("<ca>"), "{found:?}");
}

/// Providers' profiles name files as they lie on the machine that the profile was written for.
#[test]
fn a_file_named_from_the_root_is_looked_for_beside_the_profile() {
    for named in [
        "/etc/openvpn/provider/ca.crt",
        "../keys/ca.crt",
        "\"C:\\\\Program Files\\\\OpenVPN\\\\ca.crt\"",
        "./ca.crt",
    ] {
        let (_dir, path) = beside_each_other(&PROFILE.replace("ca ca.crt", &format!("ca {named}")));
        let (file, _) = read_file(&path).unwrap_or_else(|faults| panic!("{named}: {faults}"));
        let document = file.document("home", Some(login()), &import());
        let (plan, _) = document.against(&Catalog::default(), Uuid::now_v7).unwrap();
        assert!(plan.catalog.records().gateways[0].config.contains("<ca>"), "{named}");
    }
    let windows = PROFILE.replace("key pki/client.key", "key pki\\\\client.key");
    let (_dir, path) = beside_each_other(&windows);
    read_file(&path).unwrap();
}

#[test]
fn what_lies_elsewhere_is_opened_by_no_name() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("other.crt");
    fs::write(&file, CA).unwrap();
    let absolute = file.display().to_string();
    let upwards = format!("../{}/other.crt", elsewhere.path().file_name().unwrap().display());
    for named in [absolute.as_str(), upwards.as_str(), "link.crt", "up/other.crt", "/proc/self/mem"]
    {
        let (dir, path) = beside_each_other(&PROFILE.replace("ca ca.crt", &format!("ca {named}")));
        symlink(&file, dir.path().join("link.crt")).unwrap();
        symlink(elsewhere.path(), dir.path().join("up")).unwrap();
        let faults = read_file(&path).unwrap_err().alone();
        assert!(faults.iter().any(|it| it.line == Some(5)), "{named}: {faults:?}");
    }
}

#[test]
fn a_link_within_the_profiles_directory_is_followed() {
    let (dir, path) = beside_each_other(&PROFILE.replace("ca ca.crt", "ca link.crt"));
    symlink("pki/../ca.crt", dir.path().join("link.crt")).unwrap();
    read_file(&path).unwrap();
}

#[test]
fn what_is_no_small_text_file_is_a_fault_of_the_line_that_names_it() {
    for (make, told) in [
        (make_fifo as fn(&Path), "not a regular file"),
        (|at: &Path| fs::create_dir(at).unwrap(), "not a regular file"),
        (|at: &Path| fs::write(at, vec![b'a'; 2 << 20]).unwrap(), "over 1048576 bytes"),
        (|at: &Path| fs::write(at, b"\x30\x82\xff\x00").unwrap(), "not text"),
    ] {
        let (dir, path) = beside_each_other(&PROFILE.replace("ca ca.crt", "ca odd"));
        make(&dir.path().join("odd"));
        let faults = read_file(&path).unwrap_err().to_string();
        assert!(faults.contains(":5: ca: ") && faults.contains(told), "{told}: {faults}");
    }
}

fn make_fifo(at: &Path) {
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// Else a small file could ask for any amount of memory.
#[test]
fn files_are_put_in_only_until_the_text_is_too_long_for_a_config() {
    let (dir, path) = beside_each_other("");
    fs::write(dir.path().join("big"), "a".repeat(1 << 20)).unwrap();
    fs::write(&path, "ca big\n".repeat(10_000)).unwrap();
    let faults = read_file(&path).unwrap_err().to_string();
    assert!(faults.contains("a config has at most"), "{faults}");
}

#[test]
fn an_encrypted_key_is_a_fault_before_anybody_is_asked_for_a_login() {
    let found = faults(&PROFILE.replace("client.key", "encrypted.key"));
    assert!(found.iter().any(|it| it.contains("without one")), "{found:?}");
}
