//! Broken wg-quick files: each is refused with its field and line, and nothing changes.

use egress_core::api::{Code, Problem};
use serde_json::json;

use crate::harness::agent::Agent;
use crate::harness::lab::in_lab;
use crate::harness::world::gateway_id;

const KEY: &str = "hmC0ZqGKo3ADhZZJIJ4fBSmvdBONAsyiYYx8DSAzdAo=";

/// What is wrong with a file: its name here, its text, the field and the line that must be told.
struct Broken {
    name: &'static str,
    text: String,
    field: &'static str,
    line: Option<u32>,
}

/// A good file with one line added to each section (empty for none).
fn with(interface: &str, peer: &str) -> String {
    format!(
        "[Interface]\nAddress = 10.77.0.2/32\n{interface}\n[Peer]\nPublicKey = {KEY}\n\
         Endpoint = 203.0.113.1:51820\nAllowedIPs = 0.0.0.0/0, ::/0\n{peer}\n"
    )
}

/// A good file whose line that starts with `key` has become `line`.
fn replaced(key: &str, line: &str) -> String {
    let good = with("", "");
    let lines = good.lines().map(|old| if old.starts_with(key) { line } else { old });
    lines.collect::<Vec<_>>().join("\n")
}

/// A name for what is wrong, the line that is, and the field that must be told.
type BrokenLine = (&'static str, &'static str, &'static str);

/// Lines added to `[Interface]`.
const INTERFACE_LINES: [BrokenLine; 22] = [
    ("address without a number", "Address = 10.77.0", "Interface.Address"),
    ("address with too long a prefix", "Address = 10.77.0.2/33", "Interface.Address"),
    ("address that is a name", "Address = localhost", "Interface.Address"),
    ("address empty", "Address =", "Interface.Address"),
    ("DNS empty", "DNS =", "Interface.DNS"),
    ("MTU empty", "MTU =", "Interface.MTU"),
    ("MTU not a number", "MTU = big", "Interface.MTU"),
    ("MTU zero", "MTU = 0", "Interface.MTU"),
    ("MTU negative", "MTU = -1", "Interface.MTU"),
    ("MTU beyond 16 bits", "MTU = 70000", "Interface.MTU"),
    ("MTU below IPv4's least", "MTU = 67", "Interface.MTU"),
    ("hook before", "PreUp = id", "Interface.PreUp"),
    ("hook after", "PostUp = iptables -F", "Interface.PostUp"),
    ("hook going down", "PreDown = id", "Interface.PreDown"),
    ("hook gone down", "PostDown = reboot", "Interface.PostDown"),
    ("saving", "SaveConfig = true", "Interface.SaveConfig"),
    ("unknown interface key", "Colour = red", "Interface.Colour"),
    ("peer's key in the interface", "Endpoint = 1.2.3.4:5", "Interface.Endpoint"),
    ("no value sign", "Address 10.77.0.9/32", ""),
    ("only a value sign", "= 7", ""),
    ("a control character", "DNS = 198.51.100.53\u{7}", ""),
    ("a NUL", "DNS = 198.51.100.53\0", ""),
];

/// Lines added to `[Peer]`.
const PEER_LINES: [BrokenLine; 14] = [
    ("preshared key too short", "PresharedKey = AAAA", "Peer.PresharedKey"),
    ("preshared key not base64", "PresharedKey = ?", "Peer.PresharedKey"),
    ("allowed IPs that are none", "AllowedIPs = everything", "Peer.AllowedIPs"),
    ("allowed IPs with too long a prefix", "AllowedIPs = ::/129", "Peer.AllowedIPs"),
    ("keepalive not a number", "PersistentKeepalive = often", "Peer.PersistentKeepalive"),
    ("keepalive beyond 16 bits", "PersistentKeepalive = 65536", "Peer.PersistentKeepalive"),
    ("keepalive negative", "PersistentKeepalive = -5", "Peer.PersistentKeepalive"),
    ("public key twice", "PublicKey = AAAA", "Peer.PublicKey"),
    ("endpoint twice", "Endpoint = 203.0.113.2:51820", "Peer.Endpoint"),
    ("unknown peer key", "Weight = 7", "Peer.Weight"),
    ("interface's key in the peer", "MTU = 1400", "Peer.MTU"),
    ("unknown section", "[Router]", ""),
    ("open section name", "[Peer", ""),
    ("second interface", "[Interface]", "Interface"),
];

/// Lines in the place of good ones with the same key.
const REPLACED_LINES: [BrokenLine; 13] = [
    ("public key too short", "PublicKey = AAAA", "Peer.PublicKey"),
    ("public key not base64", "PublicKey = no key at all", "Peer.PublicKey"),
    ("public key empty", "PublicKey =", "Peer.PublicKey"),
    ("endpoint without a port", "Endpoint = 203.0.113.1", "Peer.Endpoint"),
    ("endpoint with port 0", "Endpoint = 203.0.113.1:0", "Peer.Endpoint"),
    ("endpoint with a big port", "Endpoint = 203.0.113.1:65536", "Peer.Endpoint"),
    ("endpoint with bare IPv6", "Endpoint = 2001:db8::1:51820", "Peer.Endpoint"),
    ("endpoint with an open bracket", "Endpoint = [2001:db8::1:5", "Peer.Endpoint"),
    ("endpoint with a bad name", "Endpoint = a b:51820", "Peer.Endpoint"),
    ("endpoint empty", "Endpoint =", "Peer.Endpoint"),
    ("endpoint on the host itself", "Endpoint = 127.0.0.1:51820", "Peer.Endpoint"),
    ("endpoint of everybody", "Endpoint = 224.0.0.1:51820", "Peer.Endpoint"),
    ("no default route", "AllowedIPs = 198.51.100.0/24", "Peer.AllowedIPs"),
];

fn broken() -> Vec<Broken> {
    let mut all = Vec::new();
    for (name, line, field) in INTERFACE_LINES {
        all.push(Broken { name, text: with(line, ""), field, line: Some(3) });
    }
    for (name, line, field) in PEER_LINES {
        all.push(Broken { name, text: with("", line), field, line: Some(8) });
    }
    for (name, line, field) in REPLACED_LINES {
        let key = line.split(' ').next().expect("a line has words");
        let text = replaced(key, line);
        let place = text.lines().position(|other| other == line).expect("it was put there");
        let line = Some(u32::try_from(place + 1).expect("short files"));
        all.push(Broken { name, text, field, line });
    }
    for (name, text, field) in whole_files() {
        all.push(Broken { name, text, field, line: None });
    }
    all
}

/// Files that are wrong as a whole.
fn whole_files() -> [(&'static str, String, &'static str); 12] {
    let second_peer = format!("[Peer]\nPublicKey = {KEY}\nEndpoint = 203.0.113.2:51820");
    let interface = "[Interface]\nAddress = 10.77.0.2/32\n";
    [
        ("nothing", String::new(), ""),
        ("blanks only", "\n\n# nothing\n".to_owned(), "Interface"),
        ("no interface", with("", "").replace(interface, ""), "Interface"),
        ("no peer", interface.to_owned(), "Peer"),
        ("peer without a key", replaced("PublicKey", ""), "Peer.PublicKey"),
        ("peer without an endpoint", replaced("Endpoint", ""), "Peer.Endpoint"),
        ("peer without allowed IPs", replaced("AllowedIPs", ""), "Peer.AllowedIPs"),
        ("the same peer twice", with("", &second_peer), "Peer[1].PublicKey"),
        ("a line before any section", format!("MTU = 1420\n{}", with("", "")), ""),
        ("too many peers", with("", &"[Peer]\n".repeat(17)), "Peer"),
        ("too long a file", with(&"# much\n".repeat(100_000), ""), ""),
        ("another program's file", "client\ndev tun\nremote vpn.example 1194\n".to_owned(), ""),
    ]
}

fn apply_fails(agent: &Agent<'_>, case: &Broken) -> Result<(), String> {
    let document = json!({ "gateway": [{
        "id": gateway_id(0), "provider": "lab", "name": "gw0", "config": case.text,
    }] });
    let reply = agent.ask("POST", "/v1/catalog:apply", &document.to_string());
    if reply.status < 400 {
        return Err(format!("taken: {}", reply.body));
    }
    let problem: Problem = reply.json();
    let told = |fault: &egress_core::fault::Finding| {
        let field = fault.field.as_deref().unwrap_or_default();
        field.starts_with("gateway[0].config")
            && field.ends_with(case.field)
            && case.line.is_none_or(|line| fault.line == Some(line))
    };
    if problem.code == Code::InvalidRequest && problem.faults.iter().any(told) {
        return Ok(());
    }
    let wanted = format!("{:?} line {:?}", case.field, case.line);
    Err(format!("wanted {wanted}, got {:?}: {:?}", problem.code, problem.faults))
}

#[test]
fn every_broken_config_is_refused_with_its_field_and_line() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        agent.apply(&json!({
            "provider": [{ "name": "lab", "type": "wireguard" }],
            "gateway": [{
                "id": gateway_id(0), "provider": "lab", "name": "gw0", "config": with("", ""),
            }],
        }));
        let before = agent.ask("GET", "/v1/gateways", "").body;
        let cases = broken();
        assert!(cases.len() >= 60, "{} cases", cases.len());
        let wrong: Vec<_> = cases
            .iter()
            .filter_map(|case| {
                let why = apply_fails(&agent, case).err()?;
                Some(format!("{}: {why}", case.name))
            })
            .collect();
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        assert_eq!(agent.ask("GET", "/v1/gateways", "").body, before);
    });
}

#[test]
fn all_faults_of_a_config_are_told_at_once() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        agent.apply(&json!({ "provider": [{ "name": "lab", "type": "wireguard" }] }));
        let config = with("MTU = big\nPostUp = id", "Weight = 7\nPresharedKey = ?");
        let document = json!({ "gateway": [{ "provider": "lab", "name": "g", "config": config }] });
        let reply = agent.ask("POST", "/v1/catalog:apply", &document.to_string());
        let problem: Problem = reply.json();
        let lines: Vec<_> = problem.faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [3, 4, 9, 10], "{:?}", problem.faults);
    });
}
