//! Profiles of providers are taken as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use egress_core::fault::Severity;
use egress_core::openvpn::{
    Address, Login, OpenvpnConfig, Protocol, Supervision, canonical, kept_directives,
    known_directives,
};
use egress_core::secret::Secret;

use crate::templates::{TEMPLATES, VARIANTS, Variant, check, one_of_each, parse, profile, sound};

pub fn supervision() -> Supervision {
    Supervision::new("/run/egress/m.sock", "eg0", "/run/egress").unwrap()
}

pub fn parsed(text: &str) -> OpenvpnConfig {
    match parse(text) {
        Ok((config, _)) => config,
        Err(faults) => panic!("{faults}\n{text}"),
    }
}

pub fn written(config: &OpenvpnConfig) -> String {
    canonical(config, &supervision()).expose().clone()
}

#[test]
fn two_hundred_profiles_of_thirty_providers_are_accepted() {
    let mut accepted = 0;
    for (name, template) in TEMPLATES {
        let v4_only = template.contains("udp4") || template.contains("tcp4");
        for variant in VARIANTS.iter().filter(|variant| !v4_only || !variant.host.contains("::")) {
            if let Err(faults) = parse(&profile(template, variant)) {
                panic!("{name} with {}: {faults}", variant.host);
            }
            accepted += 1;
        }
    }
    assert!(accepted >= 200, "only {accepted}");
}

#[test]
fn the_templates_together_have_every_directive_that_may_be_kept() {
    let said: BTreeSet<String> = exercised().into_values().flatten().collect();
    let missing: Vec<_> = kept_directives().filter(|name| !said.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What the templates are for stands in a list beside them.
#[test]
fn the_list_says_which_directives_each_template_exercises() {
    let mut list = String::new();
    for (template, directives) in exercised() {
        let directives: Vec<_> = directives.into_iter().collect();
        writeln!(list, "{template}: {}", directives.join(" ")).unwrap();
    }
    assert_eq!(include_str!("templates/directives.txt"), list, "the list should be:\n{list}");
}

fn exercised() -> BTreeMap<&'static str, BTreeSet<String>> {
    let directives = |text: &str| check(text).accepted.into_iter().map(|line| line.directive);
    one_of_each().map(|(name, text)| (name, directives(&text).collect())).collect()
}

#[test]
fn every_directive_of_openvpn_has_a_rule() {
    let known: BTreeSet<_> = known_directives().collect();
    let missing: Vec<_> =
        include_str!("directives.txt").lines().filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn how_a_text_is_written_does_not_matter() {
    for (name, template) in TEMPLATES {
        let written = |windows: bool| {
            written(&parsed(&profile(template, &Variant { windows, ..VARIANTS[0] })))
        };
        assert_eq!(written(false), written(true), "{name}");
    }
}

#[test]
fn what_is_written_for_openvpn_is_read_back_as_it_is() {
    let sorted = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    for (name, text) in one_of_each() {
        let text = written(&parsed(&text));
        let (theirs, _) = text.split_once("\ndev eg0\n").unwrap();
        assert_eq!(sorted(&written(&parsed(theirs))), sorted(&text), "{name}");
    }
}

#[test]
fn every_line_for_openvpn_is_one_that_it_reads_whole() {
    for (name, text) in one_of_each() {
        for line in written(&parsed(&text)).lines() {
            assert!(line.len() <= 254, "{name}: {line}");
            assert!(!line.chars().any(char::is_control), "{name}: {line:?}");
        }
    }
}

/// openvpn lets the last of several lines win.
#[test]
fn the_agents_own_lines_come_last_whatever_a_profile_says() {
    for (name, text) in one_of_each() {
        let text = written(&parsed(&text));
        let (_, ours) = text.split_once("\ndev eg0\n").unwrap_or_else(|| panic!("{name}:\n{text}"));
        for line in [
            "dev-type tun",
            "management /run/egress/m.sock unix",
            "management-client",
            "management-hold",
            "management-query-passwords",
            "management-query-remote",
            "management-up-down",
            "script-security 0",
            "ifconfig-noexec",
            "route-noexec",
            "verb 3",
            "auth-nocache",
        ] {
            assert!(ours.lines().any(|own| own == line), "{name}: {line} is missing");
        }
        assert!(ours.ends_with("\npull-filter ignore \"\"\n"), "{name}");
        let said = text.lines().filter(|line| line.starts_with("management"));
        assert_eq!(said.count(), 6, "{name}");
    }
}

#[test]
fn what_the_agent_needs_to_know_is_read() {
    let config = |name: &str| {
        let (_, text) = one_of_each().find(|(template, _)| template.contains(name)).unwrap();
        parsed(&text)
    };
    let nord = config("nord-udp");
    assert_eq!(
        (nord.tun_mtu(), nord.ping_s(), nord.ping_restart_s()),
        (Some(1500), Some(15), Some(0))
    );
    assert!(nord.needs_login && nord.random_order() && !nord.random_hostname());
    assert_eq!(config("windscribe").ping_restart_s(), Some(60));
    assert!(config("tcp-sockets").random_hostname());
    assert!(!config("easy-rsa").needs_login);
    assert!(config("19-encrypted").key_encrypted() && config("20-crl").key_encrypted());
    assert_eq!(config("proton").remotes.len(), 5);

    let remotes: Vec<String> =
        config("15-connections").remotes.iter().map(ToString::to_string).collect();
    let host = VARIANTS[0].host;
    assert_eq!(
        remotes,
        [format!("{host} 1194 udp"), format!("{host} 443 tcp4-client"), format!("{host} 1195 udp")]
    );
    assert_eq!(config("tcp-sockets").remotes[0].transport.protocol, Protocol::Tcp);

    let challenge = config("access-server").challenge.unwrap();
    assert_eq!((&challenge.text[..], challenge.echo), ("Enter Authenticator Code", true));
    let login = config("login-inside").login.unwrap();
    assert_eq!(login.username, "alice");
    assert_eq!(login.password.expose(), "correct horse battery staple");
    let dns = config("30-dns").dns;
    assert_eq!(dns.servers.len(), 3);
    assert_eq!(dns.search, ["corp.example"]);
}

#[test]
fn an_old_cipher_is_negotiated_and_fallen_back_to() {
    let text = sound().replace("dev tun", "cipher AES-256-CBC");
    let text = written(&parsed(&text));
    assert!(text.contains(
        "\ndata-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305:AES-256-CBC\n\
         data-ciphers-fallback AES-256-CBC\n"
    ));
}

#[test]
fn what_a_profile_leaves_open_is_set_for_a_supervised_client() {
    let text = written(&parsed(&sound()));
    for line in ["hand-window 20", "connect-timeout 10", "explicit-exit-notify 1", "sndbuf 1048576"]
    {
        assert!(text.lines().any(|written| written == line), "{line}");
    }
    let text = written(&parsed(&sound().replace("dev tun", "hand-window 60")));
    assert!(text.contains("\nhand-window 60\n") && !text.contains("hand-window 20"));
}

/// openvpn takes an answer to its question only when the second is over.
#[test]
fn a_remote_whose_address_is_known_is_not_asked_for() {
    let text = sound().replace("dev tun", "remote-random\nremote-random-hostname");
    let config = parsed(&text);
    let address = Address {
        ip: "2001:db8::7".parse().unwrap(),
        port: config.remotes[0].port,
        transport: config.remotes[0].transport,
    };
    let pinned = canonical(&config, &supervision().with_addresses([address, address]));
    let remotes = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("remote")).map(str::to_owned).collect()
    };
    let there = "remote 2001:db8::7 1194 udp";
    assert_eq!(remotes(pinned.expose()), [there, there, "remote-cert-tls server"]);
    assert!(remotes(&written(&config)).contains(&"management-query-remote".to_owned()));
}

#[test]
fn a_long_password_goes_between_tags() {
    let login = Login { username: "u".to_owned(), password: Secret::new("p".repeat(1000)) };
    let supervision = supervision().with_login(&login).unwrap();
    let text = canonical(&parsed(&sound()), &supervision);
    let block = format!("\n<auth-user-pass>\nu\n{}\n</auth-user-pass>\n", "p".repeat(1000));
    assert!(text.expose().contains(&block));
    assert!(!text.expose().contains("\nauth-user-pass\n"));
    assert!(!format!("{supervision:?}").contains("ppp"));
}

#[test]
fn no_key_shows_in_debug_or_findings() {
    let secrets = ["correct horse", "MIGHAgEAMBMG", "MHcCAQEE"];
    for (name, text) in one_of_each() {
        let (config, findings) = parse(&text).unwrap();
        let shown = format!("{config:?}{findings:?}");
        let key_lines = text
            .lines()
            .filter(|line| line.len() == 32 && line.bytes().all(|b| b.is_ascii_hexdigit()));
        for secret in secrets.into_iter().chain(key_lines) {
            assert!(!shown.contains(secret), "{name}: {secret}");
        }
    }
}

#[test]
fn a_server_that_anybody_could_play_is_warned_of() {
    let (_, findings) = parse(&sound().replace("remote-cert-tls server", "")).unwrap();
    let warned = findings.iter().any(|found| found.severity == Severity::Warning);
    assert!(warned, "{findings:?}");
    assert!(parse(&sound()).unwrap().1.iter().all(|found| found.severity == Severity::Note));
}
