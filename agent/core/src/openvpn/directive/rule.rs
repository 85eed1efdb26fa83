//! What can become of a directive.

use crate::openvpn::value::Parameters;

/// What becomes of a directive.
#[derive(Debug, Clone, Copy)]
pub(in crate::openvpn) enum Rule {
    /// It goes into the canonical config as it is, if its parameters fit.
    Pass(Parameters),
    /// It says something that the agent reads.
    Read(Reading),
    /// It is left out, and the tunnel is what it would be with it; why.
    Drop(&'static str),
    /// It is left out, and somebody may miss it; why.
    Miss(&'static str),
    /// It names a program that would run beside the tunnel: refused or left out, as the provider
    /// says.
    Hook,
    /// The whole config is refused; why.
    Refuse(&'static str),
}

/// What a directive tells the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::openvpn) enum Reading {
    Remote,
    Connection,
    Proto,
    Port,
    Cipher,
    DataCiphers,
    DataCiphersFallback,
    Digest,
    /// A certificate or key that belongs between tags.
    Material(Part),
    KeyDirection,
    VerifyHash,
    PeerFingerprint,
    Client,
    Keepalive,
    NsCertType,
    TcpNodelay,
    StaticChallenge,
    Credentials,
    Device,
    DeviceType,
    DhcpOption,
    Dns,
    Setenv,
}

/// What stands between tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::openvpn) enum Part {
    Ca,
    Cert,
    Key,
    ExtraCerts,
    Crl,
    Pkcs12,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
}

/// Directives that share a reason.
pub(super) type Group = (&'static str, &'static [&'static str]);
