//! What a certificate says: of whom, and until when.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::config::{CertificateName, CertificateNameKind as Kind};

/// A certificate that does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read")]
pub(super) struct Unreadable;

/// What is read of a certificate. Whether it is to be believed is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presented {
    /// Common names, and alternative names of the kinds that roles are given to.
    pub names: BTreeSet<CertificateName>,
    /// SHA-256 over all of it, in hexadecimal.
    pub fingerprint: String,
    /// Its last second, since the epoch.
    pub expiry: i64,
    /// Its extended key usage names client authentication (RFC 5280, 4.2.1.12). rustls also takes a
    /// certificate that names no usage at all.
    pub for_clients: bool,
}

impl Presented {
    /// Reads a certificate.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Unreadable)?;
        Ok(Self {
            names: names(&parsed)?,
            fingerprint: hexadecimal(&Sha256::digest(certificate)),
            expiry: parsed.validity().not_after.timestamp(),
            for_clients: for_clients(&parsed)?,
        })
    }
}

fn names(certificate: &X509Certificate<'_>) -> Result<BTreeSet<CertificateName>, Unreadable> {
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: BTreeSet<_> =
        common.map(|name| CertificateName::new(Kind::CommonName, name)).collect();
    let alternative = certificate.subject_alternative_name().map_err(|_| Unreadable)?;
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    names.extend(alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(CertificateName::new(Kind::Dns, name)),
        GeneralName::URI(uri) => Some(CertificateName::new(Kind::Uri, uri)),
        GeneralName::RFC822Name(address) => Some(CertificateName::new(Kind::Email, address)),
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }));
    Ok(names)
}

fn for_clients(certificate: &X509Certificate<'_>) -> Result<bool, Unreadable> {
    let usage = certificate.extended_key_usage().map_err(|_| Unreadable)?;
    Ok(usage.is_some_and(|usage| usage.value.client_auth))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_read_with_all_names_that_roles_are_given_to() {
        let mut params = CertificateParams::new(vec!["L.example.org".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Ann");
        params.distinguished_name.push(DnType::OrganizationName, "no name of hers");
        for other in [
            SanType::URI("spiffe://example.org/launcher".try_into().unwrap()),
            SanType::Rfc822Name("ann@example.org".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
        ] {
            params.subject_alt_names.push(other);
        }
        params.not_after = date_time_ymd(2030, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let presented = Presented::read(certificate.der()).unwrap();
        let names: Vec<_> = presented.names.iter().map(ToString::to_string).collect();
        let wanted = [
            "cn:Ann",
            "dns:l.example.org",
            "uri:spiffe://example.org/launcher",
            "email:ann@example.org",
        ];
        assert_eq!(names, wanted);
        assert_eq!(presented.expiry, 1_893_456_000);
        assert_eq!(presented.fingerprint.len(), 64);
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        let garbage = CertificateDer::from(vec![0x30, 3, 1, 2, 3]);
        assert_eq!(Presented::read(&garbage), Err(Unreadable));
    }
}
