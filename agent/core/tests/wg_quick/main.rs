//! wg-quick text: what is taken, what is refused and where, and that no key is ever repeated.
#![allow(clippy::unwrap_used, reason = "a helper that cannot help fails its test")]

mod properties;
mod spoilt;

use std::collections::BTreeSet;

use egress_core::catalog::OnHooks;
use egress_core::fault::{Faults, Finding, Severity};
use egress_core::wireguard::{GatewayConfig, Rules, parse, redact, strip_private_key};

use crate::spoilt::SPOILT;

const PRIVATE: &str = "6ANEv8yRZTdeRGCeYzGl1jZzRvQSDEEjUbLPphxEwnE=";
const PUBLIC: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const OTHER_PUBLIC: &str = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
const PRESHARED: &str = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";

/// A sound config, to be spoilt line by line.
fn lines() -> Vec<String> {
    let text = format!(
        "[Interface]
PrivateKey = {PRIVATE}
Address = 10.64.0.2/32, fd00::2/128
DNS = 10.64.0.1
MTU = 1420

[Peer]
PublicKey = {PUBLIC}
PresharedKey = {PRESHARED}
Endpoint = 198.51.100.1:51820
AllowedIPs = 0.0.0.0/0, ::/0
PersistentKeepalive = 25"
    );
    text.lines().map(str::to_owned).collect()
}

fn with_line(number: usize, line: &str) -> String {
    let mut lines = lines();
    line.clone_into(&mut lines[number - 1]);
    lines.join("\n")
}

fn faults(text: &str, rules: Rules) -> Vec<Finding> {
    match parse(text, &rules) {
        Ok(_) => Vec::new(),
        Err(Faults(mut findings)) => {
            findings.retain(|finding| finding.severity == Severity::Fault);
            findings
        }
    }
}

fn place(finding: &Finding) -> (Option<&str>, Option<u32>) {
    (finding.field.as_deref(), finding.line)
}

#[test]
fn every_broken_line_is_a_fault_of_its_field_and_line() {
    assert!(faults(&lines().join("\n"), Rules::default()).is_empty());
    assert!(SPOILT.len() >= 60);
    for (number, line, field, at) in SPOILT {
        let found = faults(&with_line(*number, line), Rules::default());
        let places: Vec<_> = found.iter().map(place).collect();
        assert!(places.contains(&(*field, *at)), "{line:?} as line {number}: {found:?}");
    }
}

#[test]
fn a_broken_line_is_one_fault_and_not_several() {
    // A broken header takes its section's lines with it.
    for (number, line, ..) in SPOILT.iter().filter(|(number, ..)| *number != 1) {
        let found = faults(&with_line(*number, line), Rules::default());
        assert_eq!(found.len(), 1, "{line:?} as line {number}: {found:?}");
    }
}

#[test]
fn whole_texts_that_are_no_config_are_refused() {
    let peer =
        format!("[Peer]\nPublicKey={PUBLIC}\nEndpoint=198.51.100.1:1\nAllowedIPs=0.0.0.0/0\n");
    let cases = [
        (String::new(), Some("Interface"), None),
        ("\u{feff}".to_owned(), Some("Peer"), None),
        (peer.clone(), Some("Interface"), None),
        ("[Interface]\n".to_owned(), Some("Peer"), None),
        (format!("MTU = 1420\n[Interface]\n{peer}"), None, Some(1)),
        (format!("[Interface]\n{peer}{peer}"), Some("Peer[1].PublicKey"), Some(7)),
        (format!("[Interface]\n{}", peer.repeat(17)), Some("Peer"), Some(66)),
        (format!("[Interface]\n{peer}[Peer]\nFoo = 1\n"), Some("Peer[1].Foo"), Some(7)),
        (format!("[Interface]\n{peer}[Peer]\n"), Some("Peer[1].Endpoint"), Some(6)),
        (format!("[Interface]\n{peer}#{}", " ".repeat(256 * 1024)), None, None),
        (
            format!("[Interface]\nAddress={}\n{peer}", ["10.0.0.1"; 17].join(",")),
            Some("Interface.Address"),
            Some(2),
        ),
        (
            format!("[Interface]\n{peer}AllowedIPs={}\n", many_networks(4096)),
            Some("Peer.AllowedIPs"),
            Some(6),
        ),
        ("client\ndev tun\nremote 1.2.3.4 1194\n".to_owned(), None, Some(1)),
        ("{\"not\": \"wg-quick\"}".to_owned(), None, Some(1)),
    ];
    for (text, field, line) in cases {
        let found = faults(&text, Rules::default());
        let start: String = text.chars().take(60).collect();
        assert!(found.iter().any(|it| place(it) == (field, line)), "{start:?}: {found:?}");
    }
}

fn many_networks(count: u32) -> String {
    let net = |n: u32| format!("10.{}.{}.0/24", n >> 8 & 255, n & 255);
    (0..count).map(net).collect::<Vec<_>>().join(",")
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_lines() {
    let text = format!(
        "[Interface]\nAddress = x, 10.0.0.1, y\nMTU = 1\nPostUp = z\n[Peer]\nEndpoint = ::1\n\
         AllowedIPs = 0.0.0.0/0\n[Peer]\nPublicKey = {PUBLIC}\nEndpoint = h:1\nAllowedIPs = 1/8\n"
    );
    let found = faults(&text, Rules::default());
    let places: Vec<_> = found.iter().map(place).collect();
    assert_eq!(
        places,
        [
            (Some("Interface.Address"), Some(2)),
            (Some("Interface.Address"), Some(2)),
            (Some("Interface.MTU"), Some(3)),
            (Some("Interface.PostUp"), Some(4)),
            (Some("Peer[0].PublicKey"), Some(5)),
            (Some("Peer[0].Endpoint"), Some(6)),
            (Some("Peer[1].AllowedIPs"), Some(11)),
        ]
    );
}

#[test]
fn a_slip_in_a_key_is_answered_with_what_was_meant() {
    let found = faults(&with_line(11, "AllowedIP = 0.0.0.0/0"), Rules::default());
    assert!(found.iter().any(|it| it.message.ends_with("Did you mean AllowedIPs?")), "{found:?}");
    let found = faults(&with_line(9, "DNS = 10.64.0.1"), Rules::default());
    assert_eq!(found[0].message, "belongs into [Interface]");
}

#[test]
fn a_text_full_of_faults_has_a_bounded_list_that_says_so() {
    let Err(Faults(found)) = parse(&"?\n".repeat(100_000), &Rules::default()) else {
        panic!("taken")
    };
    assert!(found.len() <= 102, "{} findings", found.len());
    assert!(found.iter().any(|it| it.message.ends_with("more faults are not listed")));
}

#[test]
fn an_amnezia_config_is_called_one_unless_its_packets_are_wireguards() {
    let neutral = "Jc = 0\nJmin = 40\nJmax = 70\nS1 = 0\nS2 = 0\nH1 = 1\nH2 = 2\nH3 = 3\nH4 = 4";
    let (_, findings) = parse(&with_line(4, neutral), &Rules::default()).unwrap();
    let ignored = findings.iter().filter(|it| it.message.starts_with("AmneziaWG"));
    assert_eq!(ignored.count(), 9, "{findings:?}");

    let other = neutral.replace("Jc = 0", "Jc = 4").replace("H2 = 2", "H2 = 848635");
    let found = faults(&with_line(4, &other), Rules::default());
    let named: Vec<_> = found.iter().map(|it| (it.field.as_deref().unwrap(), it.line)).collect();
    assert_eq!(named, [("Interface.Jc", Some(4)), ("Interface.H2", Some(10))]);
    assert!(found.iter().all(|it| it.message.contains("AmneziaWG config")), "{found:?}");
}

#[test]
fn an_unknown_key_keeps_its_name_though_it_has_digits() {
    let found = faults(&with_line(4, "Q7 = 1"), Rules::default());
    assert_eq!(found[0].field.as_deref(), Some("Interface.Q7"));
    // What may be a part of a key is not repeated.
    let found = faults(&with_line(4, "hmC0ZqGKo3ADhZZJIJ4fBSmv = 1"), Rules::default());
    assert_eq!(found[0].field.as_deref(), Some("Interface"));
}

#[test]
fn commands_are_dropped_with_a_warning_where_the_provider_says_so() {
    let rules = Rules { on_hooks: OnHooks::Drop, ..Rules::default() };
    let (_, findings) = parse(&with_line(4, "PostUp = reboot"), &rules).unwrap();
    let warning = findings.iter().find(|it| it.line == Some(4)).unwrap();
    assert_eq!(warning.severity, Severity::Warning);
    assert_eq!(warning.field.as_deref(), Some("Interface.PostUp"));
}

#[test]
fn a_split_tunnel_is_taken_only_where_the_provider_says_so() {
    let split = Rules { split: true, ..Rules::default() };
    let text = with_line(11, "AllowedIPs = 10.0.0.0/8");
    assert!(parse(&text, &split).is_ok());
    assert!(parse(&text, &Rules::default()).is_err());
    for whole in ["0.0.0.0/1, 128.0.0.0/1", "::/1, 8000::/1", "0.0.0.0/0", "::/0"] {
        let text = with_line(11, &format!("AllowedIPs = {whole}"));
        assert!(parse(&text, &Rules::default()).is_ok(), "{whole} was taken for a split tunnel");
    }
}

#[test]
fn what_the_agent_sets_itself_is_ignored_with_a_note() {
    for line in ["ListenPort = 51820", "FwMark = off", "Table = auto"] {
        let (_, findings) = parse(&with_line(4, line), &Rules::default()).unwrap();
        assert!(findings.iter().any(|it| it.severity == Severity::Note && it.line == Some(4)));
    }
}

#[test]
fn a_resolver_that_no_peer_carries_is_a_warning() {
    let rules = Rules { split: true, ..Rules::default() };
    let (_, findings) = parse(&with_line(11, "AllowedIPs = 10.9.0.0/16"), &rules).unwrap();
    assert!(findings.iter().any(|it| place(it) == (Some("Interface.DNS"), Some(4))));
}

fn good(name: &str) -> (GatewayConfig, Vec<Finding>) {
    let path = format!("{}/tests/data/good/{name}.conf", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    parse(&text, &Rules::default()).unwrap()
}

#[test]
fn files_as_providers_hand_them_out_are_taken() {
    let cases: [(&str, &[&str], usize, &str); 9] = [
        (
            "mullvad",
            &["10.67.12.34/32", "fc00:bbbb:bbbb:bb01::4:c21/128"],
            1,
            "185.213.154.68:51820",
        ),
        ("proton", &["10.2.0.2/32"], 1, "149.88.27.206:51820"),
        (
            "ivpn",
            &["172.28.48.161/32", "fd00:4956:504e:ffff::ac1c:30a1/128"],
            1,
            "se1.wg.ivpn.net:2049",
        ),
        (
            "airvpn",
            &["10.147.43.21/32", "fd7d:76ee:e68f:a993:5b8d:a2c3:2f95:1c02/128"],
            1,
            "europe3.vpn.airdns.org:1637",
        ),
        ("self_hosted", &["192.168.77.2/24"], 1, "[2001:db8:77::1]:51820"),
        ("v6_only", &["2001:db8:1::2/64"], 1, "[2001:db8::51]:51820"),
        ("several_peers", &["10.9.0.2/24", "fd09::2/64"], 3, "hub.example.org:51820"),
        ("windows", &["10.14.0.2/16"], 1, "nl-ams.prod.surfshark.example:51820"),
        ("placeholder", &[], 1, "vpn.example.net:1194"),
    ];
    for (name, addresses, peers, endpoint) in cases {
        let (config, _) = good(name);
        let found: Vec<_> = config.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(found, addresses, "{name}");
        assert_eq!(config.peers.len(), peers, "{name}");
        assert_eq!(config.peers[0].endpoint.to_string(), endpoint, "{name}");
        assert_eq!(config.private_key.is_some(), name != "placeholder", "{name}");
    }
}

#[test]
fn resolvers_and_search_domains_are_told_apart() {
    let (config, findings) = good("self_hosted");
    assert_eq!(config.dns, ["192.168.77.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(config.search, ["home.example", "lan"]);
    assert_eq!(findings.iter().filter(|it| it.severity == Severity::Note).count(), 3);
}

#[test]
fn a_real_private_key_is_a_warning_and_a_placeholder_a_note() {
    let severity = |name| {
        let (_, findings) = good(name);
        let of_key = |it: &&Finding| it.field.as_deref() == Some("Interface.PrivateKey");
        findings.iter().find(of_key).unwrap().severity
    };
    assert_eq!(severity("mullvad"), Severity::Warning);
    assert_eq!(severity("placeholder"), Severity::Note);
}

/// Puts secrets where they do not belong, in every form and on every line.
fn texts_with_misplaced_secrets() -> Vec<String> {
    let mut texts: Vec<_> = SPOILT.iter().map(|(at, line, ..)| with_line(*at, line)).collect();
    for secret in [PRIVATE, PRESHARED] {
        let bare = secret.trim_end_matches('=');
        for number in 1..=12 {
            for line in [
                secret.to_owned(),
                format!("[{secret}]"),
                format!("{bare} = x"),
                bare.to_owned(),
                format!("PrivateKey {secret}"),
                format!("PrivateKey: {secret}"),
                format!("PrivateKey = {secret}{secret}"),
                format!("PrivateKey = \"{secret}\""),
                format!("# {secret}\0"),
            ] {
                texts.push(with_line(number, &line));
            }
            for key in [
                "Address",
                "DNS",
                "MTU",
                "PublicKey",
                "PresharedKey",
                "Endpoint",
                "AllowedIPs",
                "PersistentKeepalive",
                "PostUp",
                "ListenPort",
                "Prvate",
                "[Peer",
            ] {
                texts.push(with_line(number, &format!("{key} = {secret}")));
                texts.push(with_line(number, &format!("{key} = x, {secret}")));
            }
        }
    }
    texts
}

#[test]
fn no_finding_repeats_a_key() {
    let mut said = BTreeSet::new();
    for text in texts_with_misplaced_secrets() {
        for rules in [Rules::default(), Rules { split: true, on_hooks: OnHooks::Drop }] {
            match parse(&text, &rules) {
                Ok((config, findings)) => {
                    said.insert(format!("{config:?}"));
                    said.extend(findings.iter().map(|it| format!("{it} {it:?}")));
                }
                Err(faults) => {
                    said.insert(format!("{faults} {faults:?}"));
                }
            }
        }
    }
    assert!(said.len() > 100);
    for secret in [PRIVATE, PRESHARED] {
        for text in &said {
            assert!(!text.contains(&secret[4..16]), "{text}");
        }
    }
}

#[test]
fn a_stripped_text_has_the_same_lines_and_no_private_key() {
    let text = with_line(6, &format!("# old PrivateKey = {OTHER_PUBLIC}")).replace('\n', "\r\n");
    let (stripped, key) = strip_private_key(&text);
    assert!(key.is_some());
    assert!(!stripped.contains(PRIVATE) && !stripped.contains(OTHER_PUBLIC));
    assert!(stripped.contains(PRESHARED));
    assert_eq!(stripped.lines().count(), text.lines().count());
    let (before, _) = parse(&text, &Rules::default()).unwrap();
    let (after, _) = parse(&stripped, &Rules::default()).unwrap();
    assert_eq!(GatewayConfig { private_key: None, ..before }, after);
    assert_eq!(strip_private_key(&stripped), (stripped, None));
}

#[test]
fn a_text_to_be_shown_has_no_key_but_public_ones() {
    let shown = redact(&lines().join("\n"));
    assert!(!shown.contains(PRIVATE) && !shown.contains(PRESHARED) && shown.contains(PUBLIC));
}
