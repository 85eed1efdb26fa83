//! A catalog as large as it gets, in one document.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

const PROVIDERS: usize = 20;
const GATEWAYS: usize = 10_000;
const USERS: usize = 250;

/// 20 providers with 500 gateways and 250 mappings each, one of every user, and this many
/// credentials. The group `staff` has one at each provider; the user `one` a mapping at the first.
pub fn document(credentials: usize, city: &str) -> String {
    let mut entries = Vec::new();
    entries.extend((0..PROVIDERS).map(provider));
    entries.extend((0..GATEWAYS).map(|n| gateway(n, city)));
    entries.extend((0..PROVIDERS * USERS).map(mapping));
    entries.push(("mapping", json!({ "provider": "p0", "user": "one", "gateways": "all" })));
    entries.extend((0..credentials).map(credential));
    let mut document = Map::new();
    for (kind, entry) in entries {
        let list = document.entry(kind).or_insert_with(|| json!([]));
        list.as_array_mut().expect("made above").push(entry);
    }
    Value::Object(document).to_string()
}

fn provider(n: usize) -> (&'static str, Value) {
    ("provider", json!({ "name": format!("p{n}"), "type": "wireguard" }))
}

fn gateway(n: usize, city: &str) -> (&'static str, Value) {
    let config = format!(
        "[Interface]\nDNS = 10.64.0.1\n\n[Peer]\nPublicKey = {}\nEndpoint = 198.51.{}.{}:51820\n\
         AllowedIPs = 0.0.0.0/0, ::/0\n",
        key(n, 1),
        n / 250,
        n % 250 + 1
    );
    let gateway = json!({
        "provider": format!("p{}", n % PROVIDERS), "name": format!("gateway-{n}"),
        "country": "Sweden", "city": city, "config": config,
    });
    ("gateway", gateway)
}

fn mapping(n: usize) -> (&'static str, Value) {
    let provider = n % PROVIDERS;
    let gateways = if n.is_multiple_of(3) {
        json!([format!("gateway-{provider}"), format!("gateway-{}", provider + PROVIDERS)])
    } else {
        json!("all")
    };
    let user = format!("u{}", n / PROVIDERS);
    ("mapping", json!({ "provider": format!("p{provider}"), "user": user, "gateways": gateways }))
}

fn credential(n: usize) -> (&'static str, Value) {
    let (owner, name) = if n < PROVIDERS {
        ("group", "staff".to_owned())
    } else {
        ("user", format!("u{}", n % USERS))
    };
    let credential = json!({
        "provider": format!("p{}", n % PROVIDERS), "name": format!("credential-{n}"), owner: name,
        "private_key": key(n, 2), "address": [format!("10.{}.{}.2/32", n / 250, n % 250)],
    });
    ("credential", credential)
}

/// Any 32 bytes are a key, as far as nobody connects.
fn key(n: usize, kind: u8) -> String {
    let mut bytes = [kind; 32];
    bytes[8..16].copy_from_slice(&(n as u64).to_be_bytes());
    STANDARD.encode(bytes)
}
