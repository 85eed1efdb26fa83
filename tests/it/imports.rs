//! Providers' files brought into the real agent by `egressctl import`.

use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::harness::agent::Agent;
use crate::harness::egressctl::says;
use crate::harness::keys::KeyPair;
use crate::harness::lab::in_lab;

const AUTHORITY: &str = include_str!("../../agent/core/tests/openvpn/pki/ca.crt");
const PROVIDER: &[&str] = &["import", "--provider", "nordic", "--owner", "user:ann"];
const LOGIN: &[&str] = &["--login", "/run/login"];

fn write_login() {
    fs::write("/run/login", "bob\ncanary-login\n").unwrap();
    fs::set_permissions("/run/login", fs::Permissions::from_mode(0o600)).unwrap();
}

fn profile(remote: &str) -> String {
    format!(
        "client\ndev tun\nremote {remote} 1194\nremote-cert-tls server\nauth-user-pass\n\
         <ca>\n{AUTHORITY}</ca>\n"
    )
}

fn wg_quick(keys: &KeyPair, endpoint: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.2.0.2/32\nDNS = 10.2.0.1\n[Peer]\n\
         PublicKey = {}\nEndpoint = {endpoint}\nAllowedIPs = 0.0.0.0/0\n",
        keys.private, keys.public
    )
}

fn import(more: &[&str], code: i32) -> String {
    says(&[PROVIDER, LOGIN, more].concat(), code)
}

fn gateways(agent: &Agent<'_>) -> Vec<Value> {
    let list: Value = agent.ask("GET", "/v1/gateways", "").json();
    list["gateways"].as_array().unwrap().clone()
}

#[test]
fn a_providers_files_come_in_one_call_from_a_directory_or_an_archive() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        write_login();
        fs::create_dir("/run/files").unwrap();
        for (name, remote) in [("us-nyc", "192.0.2.1"), ("AE Dubai", "192.0.2.2")] {
            fs::write(format!("/run/files/{name}.ovpn"), profile(remote)).unwrap();
        }
        fs::write("/run/files/broken.ovpn", "client\ndev tap\n").unwrap();

        let said = import(&["--dry-run", "/run/files"], 0);
        assert!(said.contains("2 files would be imported, 1 refused"), "{said}");
        assert!(gateways(&agent).is_empty(), "a dry run made gateways");

        let said = import(&["--limit", "5", "/run/files"], 0);
        let refused: Vec<_> = said.lines().filter(|line| line.starts_with("refused: ")).collect();
        assert_eq!(refused.len(), 1, "{said}");
        assert!(refused[0].starts_with("refused: /run/files/broken.ovpn"), "{said}");
        let places: Vec<_> = gateways(&agent)
            .iter()
            .map(|it| {
                [&it["name"], &it["country"], &it["city"]].map(|it| it.as_str().unwrap().to_owned())
            })
            .collect();
        assert_eq!(
            places,
            [
                ["AE Dubai", "United Arab Emirates", "Dubai"],
                ["us-nyc", "United States", "New York"],
            ]
        );
        let credentials: Value = agent.ask("GET", "/v1/credentials", "").json();
        assert_eq!(credentials["credentials"][0]["active_connection_limit"], 5);

        let said = import(&["/run/files"], 0);
        assert!(said.contains("0 records created, 0 changed, 3 unchanged"), "{said}");

        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, remote) in
            [("us-nyc", "192.0.2.9"), ("AE Dubai", "192.0.2.2"), ("no-osl", "192.0.2.3")]
        {
            zip.start_file(format!("all/{name}.ovpn"), SimpleFileOptions::default()).unwrap();
            zip.write_all(profile(remote).as_bytes()).unwrap();
        }
        fs::write("/run/files.zip", zip.finish().unwrap().into_inner()).unwrap();
        let said = import(&["/run/files.zip"], 0);
        assert!(said.contains("1 records created, 1 changed"), "{said}");
        let credentials: Value = agent.ask("GET", "/v1/credentials", "").json();
        assert_eq!(credentials["credentials"].as_array().unwrap().len(), 1);
        assert_eq!(credentials["credentials"][0]["active_connection_limit"], 5);
        assert_eq!(gateways(&agent).len(), 3);

        fs::remove_file("/run/files/us-nyc.ovpn").unwrap();
        fs::remove_file("/run/files/AE Dubai.ovpn").unwrap();
        let said = import(&["/run/files"], 1);
        assert!(said.contains("broken.ovpn"), "{said}");
        assert!(!agent.log().contains("canary-login") && !said.contains("canary-login"));
    });
}

#[test]
fn a_file_of_a_name_that_is_somebody_elses_takes_nothing_over() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        let (ann, bob) = (KeyPair::random(), KeyPair::random());
        for (user, keys, endpoint) in
            [("ann", &ann, "192.0.2.1:51820"), ("bob", &bob, "192.0.2.2:51820")]
        {
            fs::create_dir(format!("/run/{user}")).unwrap();
            fs::write(format!("/run/{user}/wg0.conf"), wg_quick(keys, endpoint)).unwrap();
        }
        let of_ann = ["import", "/run/ann/wg0.conf", "--owner", "user:ann"];
        let of_bob = ["import", "/run/bob/wg0.conf", "--owner", "user:bob"];
        let credentials = || -> Vec<String> {
            let list: Value = agent.ask("GET", "/v1/credentials", "").json();
            let list = list["credentials"].as_array().unwrap().clone();
            list.iter().map(|it| format!("{} {}", it["name"], it["user"])).collect()
        };
        says(&of_ann, 0);
        let before = gateways(&agent);

        let said = says(&of_bob, 1);
        for part in ["wg0", "user:ann", "--name", "--replace"] {
            assert!(said.contains(part), "no {part} in {said}");
        }
        assert_eq!(gateways(&agent), before);
        assert_eq!(credentials(), ["\"wg0\" \"ann\""]);

        // The same file again, another key or another server of the same user.
        says(&of_ann, 0);
        let other = wg_quick(&bob, "192.0.2.1:51820");
        fs::write("/run/ann/wg0.conf", other).unwrap();
        let said = says(&of_ann, 1);
        assert!(said.contains("another key") && said.contains("--replace"), "{said}");
        fs::write("/run/ann/wg0.conf", wg_quick(&ann, "192.0.2.7:51820")).unwrap();
        let said = says(&of_ann, 1);
        assert!(said.contains("other servers"), "{said}");
        assert_eq!(gateways(&agent), before);

        says(&[&of_bob[..], &["--name", "bobs"]].concat(), 0);
        says(&[&of_ann[..], &["--replace"]].concat(), 0);
        says(&[&of_bob[..], &["--replace"]].concat(), 0);
        let mut left = credentials();
        left.sort();
        assert_eq!(left, ["\"bobs\" \"bob\"", "\"wg0\" \"bob\""]);
    });
}

#[test]
fn files_for_a_provider_that_is_somebody_elses_take_nothing_over() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        write_login();
        fs::create_dir("/run/files").unwrap();
        fs::write("/run/files/us-nyc.ovpn", profile("192.0.2.1")).unwrap();
        import(&["/run/files"], 0);
        let before = gateways(&agent);
        fs::write("/run/files/us-nyc.ovpn", profile("192.0.2.2")).unwrap();
        let of_bob = [
            "import",
            "--provider",
            "nordic",
            "--owner",
            "user:bob",
            "--login",
            "/run/login",
            "/run/files",
        ];
        let said = says(&of_bob, 1);
        for part in ["nordic", "user:ann", "--owner", "--replace"] {
            assert!(said.contains(part), "no {part} in {said}");
        }
        assert_eq!(gateways(&agent), before);
        says(&[&of_bob[..], &["--replace"]].concat(), 0);
        assert_ne!(gateways(&agent), before);
    });
}
