//! Documents with every field, and the secrets in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::catalog::Document;
use serde_json::{Value, json};

pub const KEY_CANARY: [u8; 32] = *b"canary-private-key-canary-32byte";
pub const PRESHARED_CANARY: [u8; 32] = *b"canary-preshared-key-canary-32by";
pub const PASSWORD_CANARY: &str = "canary-password-6f1d";
pub const CUSTOM_CANARY: &str = "canary-custom-secret-77ab";

fn config(preshared: &[u8; 32]) -> String {
    let (peer, preshared) = (STANDARD.encode([9; 32]), STANDARD.encode(preshared));
    format!(
        "[Interface]\nAddress = 10.2.0.2/32\n[Peer]\nPublicKey = {peer}\nPresharedKey = {preshared}\n\
         Endpoint = 192.0.2.1:51820\nAllowedIPs = 0.0.0.0/0\n"
    )
}

pub fn full() -> Value {
    let key = STANDARD.encode(KEY_CANARY);
    let preshared = STANDARD.encode(PRESHARED_CANARY);
    json!({
        "source": "full",
        "provider": [
            {"name": "wg", "type": "wireguard", "selection": "least-used", "release_delay_s": 5},
            {"name": "ovpn", "type": "openvpn"},
            {"name": "own", "type": "custom"},
        ],
        "gateway": [
            {"provider": "wg", "name": "se-1", "country": "Sweden", "city": "Malmö",
             "config": config(&PRESHARED_CANARY),
             "expected_exit": {"addresses": ["192.0.2.0/24"], "country": "SE"}},
            {"provider": "wg", "name": "se-2", "config": config(&[7; 32]), "enabled": false},
        ],
        "mapping": [
            {"provider": "wg", "user": "ann", "gateways": ["se-1"]},
            {"provider": "wg", "group": "all"},
        ],
        "credential": [
            {"provider": "wg", "name": "ann", "user": "ann", "private_key": key,
             "preshared_key": preshared, "address": ["10.2.0.3/32"], "dns": ["10.2.0.1"],
             "mtu": 1380, "active_connection_limit": 3, "account": "acme", "gateways": ["se-2"]},
            {"provider": "ovpn", "name": "bob", "group": "all", "username": "bob",
             "password": PASSWORD_CANARY},
            {"provider": "own", "name": "eve", "workspace": "firefox", "custom": CUSTOM_CANARY},
        ],
        "workspace": [{"name": "firefox", "egress": "optional", "override_egress_gateways": true}],
    })
}

pub fn document(value: Value) -> Document {
    Document::from_value(value).unwrap().0
}

pub fn workspaces(source: &str, names: &[&str]) -> Document {
    let records: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    document(json!({"source": source, "workspace": records}))
}
