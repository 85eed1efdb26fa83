//! Profiles in the manner of real providers.

use egress_core::catalog::OnHooks;
use egress_core::fault::Checked;
use egress_core::openvpn::{self, Check, OpenvpnConfig};

/// Reads a text for a provider that takes no commands.
pub fn parse(text: &str) -> Checked<OpenvpnConfig> {
    openvpn::parse(text, OnHooks::Refuse)
}

/// So, and tells what was taken.
pub fn check(text: &str) -> Check {
    openvpn::check(text, OnHooks::Refuse)
}

/// Each with its name and its text, in which `{HOST}` and the like stand for what varies.
pub const TEMPLATES: [(&str, &str); 30] = [
    ("01-nord-udp", include_str!("templates/01-nord-udp.ovpn")),
    ("02-nord-tcp", include_str!("templates/02-nord-tcp.ovpn")),
    ("03-shark", include_str!("templates/03-shark.ovpn")),
    ("04-pure", include_str!("templates/04-pure.ovpn")),
    ("05-proton", include_str!("templates/05-proton.ovpn")),
    ("06-express", include_str!("templates/06-express.ovpn")),
    ("07-ivpn", include_str!("templates/07-ivpn.ovpn")),
    ("08-windscribe", include_str!("templates/08-windscribe.ovpn")),
    ("09-easy-rsa", include_str!("templates/09-easy-rsa.ovpn")),
    ("10-pfsense", include_str!("templates/10-pfsense.ovpn")),
    ("11-access-server", include_str!("templates/11-access-server.ovpn")),
    ("12-cloud", include_str!("templates/12-cloud.ovpn")),
    ("13-mikrotik", include_str!("templates/13-mikrotik.ovpn")),
    ("14-synology", include_str!("templates/14-synology.ovpn")),
    ("15-connections", include_str!("templates/15-connections.ovpn")),
    ("16-fingerprint", include_str!("templates/16-fingerprint.ovpn")),
    ("17-verify-hash", include_str!("templates/17-verify-hash.ovpn")),
    ("18-pkcs12", include_str!("templates/18-pkcs12.ovpn")),
    ("19-encrypted-key", include_str!("templates/19-encrypted-key.ovpn")),
    ("20-crl-and-chain", include_str!("templates/20-crl-and-chain.ovpn")),
    ("21-ipv6", include_str!("templates/21-ipv6.ovpn")),
    ("22-packets", include_str!("templates/22-packets.ovpn")),
    ("23-strict-tls", include_str!("templates/23-strict-tls.ovpn")),
    ("24-old-server", include_str!("templates/24-old-server.ovpn")),
    ("25-windows", include_str!("templates/25-windows.ovpn")),
    ("26-tcp-sockets", include_str!("templates/26-tcp-sockets.ovpn")),
    ("27-logs-and-daemon", include_str!("templates/27-logs-and-daemon.ovpn")),
    ("28-quoted", include_str!("templates/28-quoted.ovpn")),
    ("29-login-inside", include_str!("templates/29-login-inside.ovpn")),
    ("30-dns", include_str!("templates/30-dns.ovpn")),
];

/// What a template's names in braces stand for, but for `{HOST}` and `{PORT}`.
const PARTS: [(&str, &str); 12] = [
    ("{CA}", include_str!("pki/ca.crt")),
    ("{CERT}", include_str!("pki/client.crt")),
    ("{CERT_TEXT}", include_str!("pki/client-text.crt")),
    ("{KEY}", include_str!("pki/client.key")),
    ("{KEY_ENCRYPTED}", include_str!("pki/client-encrypted.key")),
    ("{KEY_OLD}", include_str!("pki/client-old-encrypted.key")),
    ("{KEY_SEC1}", include_str!("pki/client-sec1.key")),
    ("{P12}", include_str!("pki/client.p12.base64")),
    ("{EXTRA}", include_str!("pki/extra.crt")),
    ("{CRL}", include_str!("pki/crl.pem")),
    ("{STATIC}", include_str!("pki/static.key")),
    ("{V2}", include_str!("pki/v2c.key")),
];

/// What varies between two profiles of a provider.
#[derive(Clone, Copy)]
pub struct Variant {
    pub host: &'static str,
    pub port: &'static str,
    /// As editors on Windows leave a file.
    pub windows: bool,
}

pub const VARIANTS: [Variant; 8] = [
    Variant { host: "se-sto-042.example.com", port: "1194", windows: false },
    Variant { host: "se-sto-042.example.com", port: "443", windows: true },
    Variant { host: "198.51.100.7", port: "1194", windows: false },
    Variant { host: "198.51.100.7", port: "65535", windows: true },
    Variant { host: "2001:db8::42", port: "1194", windows: false },
    Variant { host: "us_ny_1.vpn.example.net", port: "1", windows: false },
    Variant { host: "10.0.0.1", port: "8080", windows: false },
    Variant { host: "xn--mgba3a4f16a.example", port: "53", windows: true },
];

/// A profile.
pub fn profile(template: &str, variant: &Variant) -> String {
    let mut text = template.replace("{HOST}", variant.host).replace("{PORT}", variant.port);
    for (name, part) in PARTS {
        text = text.replace(name, part);
    }
    if variant.windows { format!("\u{feff}{}", text.replace('\n', "\r\n")) } else { text }
}

/// One profile of each template, with its name.
pub fn one_of_each() -> impl Iterator<Item = (&'static str, String)> {
    TEMPLATES.iter().map(|(name, template)| (*name, profile(template, &VARIANTS[0])))
}

/// A sound profile, to be spoilt: its second line is not needed.
pub fn sound() -> String {
    profile(
        "client\ndev tun\nremote {HOST} 1194 udp\nremote-cert-tls server\nauth-user-pass\n<ca>\n{CA}</ca>\n",
        &VARIANTS[0],
    )
}
