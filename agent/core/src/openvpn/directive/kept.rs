//! Directives that a config may have.

use super::rule::{Part, Reading, Rule};
use crate::openvpn::value::{Parameters, Value};

const FLAG: Rule = Rule::Pass(Parameters::NONE);
/// What openvpn can count to.
const MOST: u32 = i32::MAX as u32;
const BUFFER_MOST: u32 = 16 << 20;
const DAY: u32 = 24 * 60 * 60;
const NODELAY: Value = Value::OneOf(&["TCP_NODELAY"]);
const TLS_VERSIONS: Value = Value::OneOf(&["1.0", "1.1", "1.2", "1.3"]);

const fn material(part: Part) -> Rule {
    Rule::Read(Reading::Material(part))
}

const fn number(least: u32, most: u32) -> Value {
    Value::Number(least, most)
}

#[rustfmt::skip]
pub(super) const RULES: &[(&str, Rule)] = &[
    // Where the server is.
    ("remote", Rule::Read(Reading::Remote)),
    ("connection", Rule::Read(Reading::Connection)),
    ("proto", Rule::Read(Reading::Proto)),
    ("port", Rule::Read(Reading::Port)),
    ("remote-random", FLAG),
    ("remote-random-hostname", FLAG),

    // Who this is.
    ("client", Rule::Read(Reading::Client)),
    ("cert", material(Part::Cert)),
    ("key", material(Part::Key)),
    ("extra-certs", material(Part::ExtraCerts)),
    ("pkcs12", material(Part::Pkcs12)),
    ("static-challenge", Rule::Read(Reading::StaticChallenge)),

    // Who the server must be.
    ("ca", material(Part::Ca)),
    ("crl-verify", material(Part::Crl)),
    ("verify-hash", Rule::Read(Reading::VerifyHash)),
    ("peer-fingerprint", Rule::Read(Reading::PeerFingerprint)),
    ("remote-cert-tls", Rule::Pass(Parameters::of(&[Value::OneOf(&["server"])]))),
    ("ns-cert-type", Rule::Read(Reading::NsCertType)),
    ("remote-cert-eku", Rule::Pass(Parameters::of(&[Value::Text]))),
    ("remote-cert-ku", Rule::Pass(Parameters::NONE.and_more(Value::Hex))),
    ("verify-x509-name", Rule::Pass(
        Parameters::of(&[Value::Text]).or(&[Value::OneOf(&["subject", "name", "name-prefix"])]),
    )),

    // The control channel.
    ("tls-auth", material(Part::TlsAuth)),
    ("tls-crypt", material(Part::TlsCrypt)),
    ("tls-crypt-v2", material(Part::TlsCryptV2)),
    ("key-direction", Rule::Read(Reading::KeyDirection)),
    ("tls-version-min", Rule::Pass(
        Parameters::of(&[TLS_VERSIONS]).or(&[Value::OneOf(&["or-highest"])]),
    )),
    ("tls-version-max", Rule::Pass(Parameters::of(&[TLS_VERSIONS]))),
    ("tls-cipher", Rule::Pass(Parameters::of(&[Value::Suites]))),
    ("tls-ciphersuites", Rule::Pass(Parameters::of(&[Value::Suites]))),
    ("tls-groups", Rule::Pass(Parameters::of(&[Value::Suites]))),
    ("tls-cert-profile", Rule::Pass(
        Parameters::of(&[Value::OneOf(&["insecure", "legacy", "preferred", "suiteb"])]),
    )),
    ("tls-timeout", Rule::Pass(Parameters::of(&[number(1, 300)]))),
    ("tls-exit", FLAG),
    ("hand-window", Rule::Pass(Parameters::of(&[number(1, 3600)]))),
    ("tran-window", Rule::Pass(Parameters::of(&[number(1, DAY)]))),
    ("reneg-sec", Rule::Pass(Parameters::of(&[number(0, MOST)]).or(&[number(0, MOST)]))),
    ("reneg-bytes", Rule::Pass(Parameters::of(&[number(0, MOST)]))),
    ("reneg-pkts", Rule::Pass(Parameters::of(&[number(0, MOST)]))),
    ("compat-mode", Rule::Pass(Parameters::of(&[Value::Release]))),

    // The data channel.
    ("cipher", Rule::Read(Reading::Cipher)),
    ("data-ciphers", Rule::Read(Reading::DataCiphers)),
    ("data-ciphers-fallback", Rule::Read(Reading::DataCiphersFallback)),
    ("auth", Rule::Read(Reading::Digest)),
    ("replay-window", Rule::Pass(Parameters::of(&[number(0, 65536)]).or(&[number(0, 600)]))),
    ("mute-replay-warnings", FLAG),
    ("comp-lzo", Rule::Pass(
        Parameters::NONE.or(&[Value::OneOf(&["no", "yes", "adaptive"])]),
    )),
    ("compress", Rule::Pass(
        Parameters::NONE.or(&[Value::OneOf(&["stub", "stub-v2", "lz4", "lz4-v2", "lzo", "migrate"])]),
    )),
    ("allow-compression", Rule::Pass(Parameters::of(&[Value::OneOf(&["no", "asym"])]))),

    // Packets and sockets.
    ("tun-ipv6", FLAG),
    ("tun-mtu", Rule::Pass(Parameters::of(&[number(576, 9000)]).or(&[number(576, 9000)]))),
    ("tun-mtu-extra", Rule::Pass(Parameters::of(&[number(0, 256)]))),
    ("link-mtu", Rule::Pass(Parameters::of(&[number(576, 9200)]))),
    ("mssfix", Rule::Pass(
        Parameters::NONE.or(&[number(0, 65535), Value::OneOf(&["mtu", "fixed"])]),
    )),
    ("fragment", Rule::Pass(
        Parameters::of(&[number(68, 65535)]).or(&[Value::OneOf(&["mtu"])]),
    )),
    ("mtu-disc", Rule::Pass(Parameters::of(&[Value::OneOf(&["no", "maybe", "yes"])]))),
    ("sndbuf", Rule::Pass(Parameters::of(&[number(0, BUFFER_MOST)]))),
    ("rcvbuf", Rule::Pass(Parameters::of(&[number(0, BUFFER_MOST)]))),
    ("socket-flags", Rule::Pass(Parameters::of(&[NODELAY]).and_more(NODELAY))),
    ("tcp-nodelay", Rule::Read(Reading::TcpNodelay)),
    ("passtos", FLAG),
    ("fast-io", FLAG),
    ("float", FLAG),

    // Timers.
    ("keepalive", Rule::Read(Reading::Keepalive)),
    ("ping", Rule::Pass(Parameters::of(&[number(0, DAY)]))),
    ("ping-restart", Rule::Pass(Parameters::of(&[number(0, DAY)]))),
    ("ping-timer-rem", FLAG),
    ("connect-timeout", Rule::Pass(Parameters::of(&[number(1, 3600)]))),
    ("explicit-exit-notify", Rule::Pass(Parameters::NONE.or(&[number(0, 10)]))),
];

/// Other names of kept directives.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("rport", "port"),
    ("tls-client", "client"),
    ("pull", "client"),
    ("ncp-ciphers", "data-ciphers"),
    ("udp-mtu", "link-mtu"),
    ("server-poll-timeout", "connect-timeout"),
];
