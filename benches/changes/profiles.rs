//! OpenVPN profiles of 3 KB, as providers hand them out.

use std::fmt::Write as _;

use serde_json::json;

const CA: &str = include_str!("../../agent/core/tests/openvpn/pki/ca.crt");
const STATIC_KEY: &str = include_str!("../../agent/core/tests/openvpn/pki/static.key");

/// A snapshot of this many gateways, of which the first has another port in each version.
pub fn snapshot(version: u64, gateways: u64) -> String {
    let mut json = format!(r#"{{"version": {version}, "gateways": ["#);
    for number in 0..gateways {
        let comma = if number == 0 { "" } else { "," };
        let config = json!(profile(number, if number == 0 { version } else { 0 }));
        let _ = write!(
            json,
            r#"{comma}{{"external_id": "x-{number}", "name": "gateway {number}", "country": "SE","#
        );
        let _ = write!(json, r#" "city": "Malmö", "config": {config}}}"#);
    }
    json + "]}"
}

/// The profile of this number.
pub fn profile(number: u64, version: u64) -> String {
    let mut text = String::from("client\ndev tun\nproto udp\nremote-random\nnobind\n");
    for server in 0..40 {
        let _ = writeln!(text, "remote server-{server}.{number}.vpn.example {}", 1194 + version);
    }
    let _ = write!(
        text,
        "remote-cert-tls server\nauth-user-pass\ncipher AES-256-GCM\nauth SHA512\nverb 3\n\
         key-direction 1\n<ca>\n{CA}</ca>\n<tls-auth>\n{STATIC_KEY}</tls-auth>\n"
    );
    text
}
