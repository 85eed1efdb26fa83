//! A certificate authority of a test's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// To be called at.
    Server,
    /// To call with.
    Client,
    /// For no stated purpose.
    #[allow(dead_code, reason = "the end-to-end tests share this file")]
    Nothing,
}

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("make a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("sign an authority"))
    }

    /// What others trust it by, in PEM.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for loopback with this common name.
    pub fn issue(&self, usage: Usage, name: &str) -> Issued {
        let hour = Duration::from_hours(1);
        self.issue_for(usage, name, SystemTime::now() - hour, SystemTime::now() + hour)
    }

    /// A certificate that is valid for a time only.
    pub fn issue_for(
        &self,
        usage: Usage,
        name: &str,
        begin: SystemTime,
        end: SystemTime,
    ) -> Issued {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let names = if usage == Usage::Server { names } else { Vec::new() };
        let mut params = CertificateParams::new(names).expect("these are names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = match usage {
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Nothing => Vec::new(),
        };
        (params.not_before, params.not_after) = (begin.into(), end.into());
        let key = KeyPair::generate().expect("make a key");
        let certificate = params.signed_by(&key, &self.0).expect("sign a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`, of mode 0600.
    pub fn write(&self, dir: &Path, name: &str) {
        let key_path = dir.join(format!("{name}.key"));
        fs::write(dir.join(format!("{name}.pem")), &self.certificate).expect("write a certificate");
        fs::write(&key_path, &self.key).expect("write a key");
        fs::set_permissions(&key_path, Permissions::from_mode(0o600)).expect("hide a key");
    }
}
