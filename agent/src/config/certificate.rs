//! How `[roles]` names a certificate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One name that a certificate has. Names are compared whole: there are no patterns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateName {
    kind: Kind,
    value: String,
}

/// Where in a certificate a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The subject's common name.
    CommonName,
    /// A DNS name of the subject's alternative names.
    Dns,
    /// A URI among them, a SPIFFE id for one.
    Uri,
    /// A mail address among them.
    Email,
}

impl Kind {
    const ALL: [Self; 4] = [Self::CommonName, Self::Dns, Self::Uri, Self::Email];

    fn as_str(self) -> &'static str {
        match self {
            Self::CommonName => "cn",
            Self::Dns => "dns",
            Self::Uri => "uri",
            Self::Email => "email",
        }
    }
}

/// A text that is no certificate's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no certificate: expected cn:NAME, dns:NAME, uri:URI or email:ADDRESS")]
pub struct InvalidCertificateName(String);

impl CertificateName {
    /// A name of a certificate. DNS names are the same in capitals.
    pub fn new(kind: Kind, value: &str) -> Self {
        let value = match kind {
            Kind::Dns => value.to_ascii_lowercase(),
            Kind::CommonName | Kind::Uri | Kind::Email => value.to_owned(),
        };
        Self { kind, value }
    }
}

impl FromStr for CertificateName {
    type Err = InvalidCertificateName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCertificateName(text.to_owned());
        let (kind, value) = text.split_once(':').ok_or_else(invalid)?;
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
        // A pattern would look as if it did something.
        if value.is_empty() || value.contains('*') {
            return Err(invalid());
        }
        Ok(Self::new(kind.ok_or_else(invalid)?, value))
    }
}

impl TryFrom<String> for CertificateName {
    type Error = InvalidCertificateName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CertificateName> for String {
    fn from(name: CertificateName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_it_stands_and_is_compared_whole() {
        for text in ["cn:Ann", "dns:a.example.org", "uri:spiffe://x/y", "email:ann@example.org"] {
            assert_eq!(text.parse::<CertificateName>().unwrap().to_string(), text);
        }
        let name = |text: &str| text.parse::<CertificateName>().unwrap();
        assert_eq!(name("dns:A.example.org"), name("dns:a.example.org"));
        assert_ne!(name("cn:A.example.org"), name("cn:a.example.org"));
        assert_ne!(name("cn:a.example.org"), name("dns:a.example.org"));
    }

    #[test]
    fn what_names_no_certificate_is_an_error_that_says_what_does() {
        for text in ["", "ann", "cn:", "ou:x", "CN:x", "dns:*.example.org"] {
            let error = text.parse::<CertificateName>().unwrap_err().to_string();
            assert!(error.contains("expected cn:NAME"), "{error}");
        }
    }
}
