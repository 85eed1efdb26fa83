//! Certificates and the key of an `.ovpn` text: what keeps openvpn or its server from taking them.

use std::time::{SystemTime, UNIX_EPOCH};

use egress_core::fault::Finding;
use egress_core::openvpn::{Credentials, OpenvpnConfig};
use egress_core::secret::Secret;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::asn1_rs::oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_MD5_WITH_RSA, OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA,
    OID_SIG_DSA_WITH_SHA1, Oid,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Signature algorithms that OpenSSL refuses from its security level 1 on, with their hashes.
static WEAK: [(Oid<'static>, &str); 6] = [
    (OID_PKCS1_MD5WITHRSAENC, "MD5"),
    (OID_MD5_WITH_RSA, "MD5"),
    (OID_PKCS1_SHA1WITHRSA, "SHA-1"),
    (OID_SHA1_WITH_RSA, "SHA-1"),
    (OID_SIG_DSA_WITH_SHA1, "SHA-1"),
    (oid!(1.2.840.10045.4.1), "SHA-1"),
];

/// Everything that will keep a connection from being made, as warnings. `now` is in seconds since
/// the epoch. What cannot be read is openvpn's to judge.
pub fn warnings(config: &OpenvpnConfig, now: i64) -> Vec<Finding> {
    let Credentials { authorities, certificate, key, security_level } = config.credentials();
    let judge = Judge { now, security_level };
    let mut found = Vec::new();
    let authorities = certificates(authorities);
    let of_authorities: Vec<_> = authorities.iter().map(|it| judge.authority(it)).collect();
    // Of several, one is enough.
    if let Some(why) = of_authorities.iter().flatten().next()
        && of_authorities.iter().all(Option::is_some)
    {
        found.push(Finding::warning(why).about("ca"));
    }
    let own = certificates(certificate);
    if let Some(own) = own.first() {
        found.extend(judge.own(own).map(|why| Finding::warning(why).about("cert")));
        if key.is_some_and(|key| belongs(key, own) == Some(false)) {
            let message = "the private key does not belong to the client's certificate";
            found.push(Finding::warning(message).about("key"));
        }
    }
    found
}

/// The present time, in seconds since the epoch.
pub fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

fn certificates(text: Option<&Secret<String>>) -> Vec<CertificateDer<'static>> {
    let text = text.map(|text| text.expose().as_bytes()).unwrap_or_default();
    CertificateDer::pem_slice_iter(text).filter_map(Result::ok).collect()
}

/// Whether a key is that of a certificate, where it can be told.
fn belongs(key: &Secret<String>, certificate: &[u8]) -> Option<bool> {
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).ok()?;
    let key = any_supported_type(&key).ok()?.public_key()?.to_vec();
    let (_, key) = SubjectPublicKeyInfo::from_der(&key).ok()?;
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(key.subject_public_key.data == certificate.public_key().subject_public_key.data)
}

struct Judge {
    now: i64,
    security_level: u8,
}

impl Judge {
    fn authority(&self, certificate: &[u8]) -> Option<String> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let why = self.validity(&certificate).or_else(|| self.weakness(&certificate))?;
        Some(format!("the authority's certificate {why}: no server can be verified with it"))
    }

    fn own(&self, certificate: &[u8]) -> Option<String> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        match (self.validity(&certificate), self.weakness(&certificate)) {
            (Some(why), _) => {
                Some(format!("the client's certificate {why}: the server will not take it"))
            }
            (None, Some(why)) => {
                Some(format!("the client's certificate {why}: openvpn will not take it"))
            }
            (None, None) => None,
        }
    }

    fn validity(&self, certificate: &X509Certificate<'_>) -> Option<String> {
        let validity = certificate.validity();
        let date = |time: &ASN1Time| time.to_datetime().date();
        if validity.not_after.timestamp() < self.now {
            return Some(format!("ended on {}", date(&validity.not_after)));
        }
        let is_early = validity.not_before.timestamp() > self.now;
        is_early.then(|| format!("is not valid before {}", date(&validity.not_before)))
    }

    /// What OpenSSL refuses at its level of security, as openvpn sets it by `tls-cert-profile`.
    fn weakness(&self, certificate: &X509Certificate<'_>) -> Option<String> {
        let least = match self.security_level {
            0 => return None,
            1 => 1024,
            _ => 2048,
        };
        if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed()
            && (1..least).contains(&key.key_size())
        {
            let size = key.key_size();
            return Some(format!("has a key of {size} bits, fewer than {least}"));
        }
        // Nobody checks what an authority has signed for itself.
        if certificate.subject() == certificate.issuer() {
            return None;
        }
        let algorithm = &certificate.signature_algorithm.algorithm;
        let (_, hash) = WEAK.iter().find(|(weak, _)| weak == algorithm)?;
        Some(format!("is signed with {hash}, which OpenSSL refuses"))
    }
}

#[cfg(test)]
mod tests {
    use egress_core::catalog::OnHooks;
    use egress_core::openvpn::parse;
    use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};

    use super::*;

    /// 2027-01-01.
    const NOW: i64 = 1_798_761_600;
    const SHA1: &str = include_str!("testdata/sha1.crt");
    const MD5: &str = include_str!("testdata/md5.crt");
    const TINY: &str = include_str!("testdata/tiny.crt");
    const TINY_KEY: &str = include_str!("testdata/tiny.key");
    const SHA1_KEY: &str = include_str!("testdata/sha1.key");

    struct Identity {
        authority: String,
        certificate: String,
        key: String,
    }

    /// An authority and a client's certificate, each valid from January 1st of one year to that of
    /// another.
    fn identity(authority: (i32, i32), client: (i32, i32)) -> Identity {
        let params = |(from, to): (i32, i32)| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
            params
        };
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let (authority_key, client_key) = (key(), key());
        let mut of_authority = params(authority);
        of_authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = of_authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(of_authority, authority_key);
        let client = params(client).signed_by(&client_key, &issuer).unwrap();
        Identity {
            authority: certificate,
            certificate: client.pem(),
            key: client_key.serialize_pem(),
        }
    }

    fn said(authorities: &str, certificate: &str, key: &str, more: &str) -> Vec<String> {
        let text = format!(
            "client\ndev tun\nremote 192.0.2.1\nremote-cert-tls server\n{more}\n\
             <ca>\n{authorities}</ca>\n<cert>\n{certificate}</cert>\n<key>\n{key}</key>\n"
        );
        let (config, _) = parse(&text, OnHooks::Refuse).unwrap();
        warnings(&config, NOW).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_valid_and_fits_together_is_not_warned_of() {
        let Identity { authority, certificate, key } = identity((2020, 2040), (2020, 2040));
        assert_eq!(said(&authority, &certificate, &key, ""), [""; 0]);
    }

    #[test]
    fn a_certificate_that_has_ended_or_not_begun_is_told_with_its_date() {
        let Identity { authority, certificate, key } = identity((2020, 2024), (2020, 2026));
        assert_eq!(
            said(&authority, &certificate, &key, ""),
            [
                "ca: warning: the authority's certificate ended on 2024-01-01: no server can be \
             verified with it",
                "cert: warning: the client's certificate ended on 2026-01-01: the server will not \
             take it",
            ]
        );
        let Identity { authority, certificate, key } = identity((2020, 2040), (2030, 2040));
        let found = said(&authority, &certificate, &key, "");
        assert!(found[0].contains("is not valid before 2030-01-01"), "{found:?}");
    }

    #[test]
    fn one_authority_of_several_is_enough() {
        let old = identity((2010, 2020), (2010, 2020));
        let Identity { authority, certificate, key } = identity((2020, 2040), (2020, 2040));
        assert_eq!(said(&(old.authority + &authority), &certificate, &key, ""), [""; 0]);
    }

    #[test]
    fn another_key_than_the_certificates_is_told() {
        let other = identity((2020, 2040), (2020, 2040));
        let Identity { authority, certificate, .. } = identity((2020, 2040), (2020, 2040));
        assert_eq!(
            said(&authority, &certificate, &other.key, ""),
            ["key: warning: the private key does not belong to the client's certificate"]
        );
    }

    #[test]
    fn what_openssl_refuses_is_told_at_its_level_of_security() {
        let authority = identity((2020, 2040), (2020, 2040)).authority;
        for (certificate, key, profile, told) in [
            (SHA1, SHA1_KEY, "", Some("signed with SHA-1")),
            (MD5, SHA1_KEY, "", Some("signed with MD5")),
            (TINY, TINY_KEY, "", Some("a key of 768 bits, fewer than 1024")),
            (TINY, TINY_KEY, "tls-cert-profile preferred", Some("768 bits, fewer than 2048")),
            (MD5, SHA1_KEY, "tls-cert-profile insecure", None),
        ] {
            let found = said(&authority, certificate, key, profile);
            match told {
                Some(told) => assert!(found[0].contains(told), "{found:?}"),
                None => assert_eq!(found, [""; 0]),
            }
        }
    }
}
