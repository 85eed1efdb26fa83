//! Certificates and shared keys of OpenVPN servers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

const DAY: Duration = Duration::from_hours(24);

/// An authority that servers and clients believe.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Whether a certificate is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It is.
    Good,
    /// It ended yesterday.
    Expired,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("make a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("sign an authority"))
    }

    /// Its certificate in PEM.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A server with this name.
    pub fn server(&self, name: &str, age: Age) -> Identity {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth, age)
    }

    /// A client with this name.
    pub fn client(&self, name: &str, age: Age) -> Identity {
        self.issue(name, ExtendedKeyUsagePurpose::ClientAuth, age)
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose, age: Age) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let now = SystemTime::now();
        params.not_before = (now - 3 * DAY).into();
        params.not_after = match age {
            Age::Good => (now + DAY).into(),
            Age::Expired => (now - DAY).into(),
        };
        let key = KeyPair::generate().expect("make a key");
        let certificate = params.signed_by(&key, &self.0).expect("sign a certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A key that client and server share: `secret`, `tls-crypt-v2-server`.
pub fn shared_key(kind: &str, path: &Path) -> String {
    generate(&["--genkey", kind, &path.display().to_string()], path)
}

/// A client's key for a server's `tls-crypt-v2` key.
pub fn client_key(server_key_path: &Path, path: &Path) -> String {
    let (server, client) = (server_key_path.display().to_string(), path.display().to_string());
    generate(&["--tls-crypt-v2", &server, "--genkey", "tls-crypt-v2-client", &client], path)
}

fn generate(arguments: &[&str], path: &Path) -> String {
    let output = Command::new("openvpn").args(arguments).output().expect("run openvpn");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "openvpn {arguments:?}: {said}");
    fs::read_to_string(path).expect("read a key that was just made")
}
