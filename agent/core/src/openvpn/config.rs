//! A gateway's `.ovpn` text, as far as its tunnel is concerned.

use serde::Serialize;

use super::ciphers::Ciphers;
use super::directive::Part;
use super::fingerprint::Fingerprints;
use super::hints::DnsHints;
use super::login::{Login, StaticChallenge};
use super::material::Material;
use super::remote::Remote;
use super::setting::Settings;
use crate::secret::Secret;

/// A gateway's config: all of it that a tunnel needs, and nothing that runs, reads or writes. Only
/// [`super::parse`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenvpnConfig {
    /// Where its servers are, in the order in which openvpn asks for them; at least one.
    pub remotes: Vec<Remote>,
    /// The server wants a name and a password.
    pub needs_login: bool,
    /// The name and password that stand in the text.
    pub login: Option<Login>,
    /// What the server asks beside the password.
    pub challenge: Option<StaticChallenge>,
    /// Resolvers, if the server names none.
    pub dns: DnsHints,
    pub(super) settings: Settings,
    pub(super) ciphers: Ciphers,
    pub(super) material: Material,
    pub(super) fingerprints: Fingerprints,
}

/// Certificates and the key of a config, in PEM, and how strictly openvpn looks at them. Those of
/// a PKCS #12 file are not among them.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// Those that a server's certificate must lead to.
    pub authorities: Option<&'a Secret<String>>,
    /// The client's own.
    pub certificate: Option<&'a Secret<String>>,
    /// Its private key.
    pub key: Option<&'a Secret<String>>,
    /// OpenSSL's level of security, from 0.
    pub security_level: u8,
}

/// A directive that means something to the tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// From 1.
    pub line: u32,
    /// Its name as it stands there.
    pub directive: String,
}

impl OpenvpnConfig {
    /// Remotes are to be tried in random order.
    pub fn random_order(&self) -> bool {
        self.settings.has("remote-random")
    }

    /// A remote's name is to be looked up with six random bytes in hexadecimal and a dot before
    /// it, so that no cache answers.
    pub fn random_hostname(&self) -> bool {
        self.settings.has("remote-random-hostname")
    }

    /// openvpn will ask for the private key's password.
    pub fn key_encrypted(&self) -> bool {
        self.material.key_encrypted
    }

    /// Its certificates and its key.
    pub fn credentials(&self) -> Credentials<'_> {
        let part = |part| self.material.part(part);
        Credentials {
            authorities: part(Part::Ca),
            certificate: part(Part::Cert),
            key: part(Part::Key),
            security_level: match self.settings.first("tls-cert-profile") {
                Some("insecure") => 0,
                None | Some("legacy") => 1,
                Some(_) => 2,
            },
        }
    }

    /// Whether the server, where it asks for a login, would be told both parts of this one.
    pub fn takes_login(&self, username: &str, password: &Secret<String>) -> bool {
        !self.needs_login || !(username.is_empty() || password.expose().is_empty())
    }

    /// The largest packet in the tunnel, in bytes, unless the server says otherwise.
    pub fn tun_mtu(&self) -> Option<u32> {
        self.settings.number("tun-mtu")
    }

    /// Seconds without a packet after which the tunnel sends one, unless the server says otherwise.
    pub fn ping_s(&self) -> Option<u32> {
        self.settings.number("ping")
    }

    /// Seconds of silence after which the server is given up; 0 is never. The server may say
    /// otherwise.
    pub fn ping_restart_s(&self) -> Option<u32> {
        self.settings.number("ping-restart")
    }
}
