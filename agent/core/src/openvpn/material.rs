//! Certificates and keys of a config, all of them in its text.

use std::collections::BTreeMap;

use super::directive::Part;
use super::lexer::Block;
use super::pem;
use super::taken::{Refusal, Taken, Verdict};
use crate::secret::Secret;

/// What may stand in place of a file's name if what is in it follows between tags.
const INLINE: &str = "[inline]";

/// A config's certificates and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Material {
    /// As they go between tags.
    parts: BTreeMap<Part, Secret<String>>,
    /// The private key is encrypted.
    pub key_encrypted: bool,
    /// Which half of the static key this end signs with.
    pub key_direction: Option<KeyDirection>,
}

/// A half of a static key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyDirection {
    Normal,
    Inverse,
}

impl Material {
    /// Takes what stands between a part's tags.
    pub fn take(&mut self, part: Part, block: Block<'_>) -> Verdict {
        let text = match labels(part) {
            Some(labels) => {
                let found = pem::find(block, labels)?;
                if part == Part::Key {
                    self.key_encrypted = found.encrypted;
                }
                found.text
            }
            None => pem::bare_base64(block)?,
        };
        self.parts.insert(part, text);
        Ok(Taken::Kept)
    }

    /// Takes a line that names a file. Only `[inline]` is none.
    pub fn take_reference(&mut self, part: Part, parameters: &[String]) -> Verdict {
        match parameters {
            [] => return Err(Refusal::from("expected a file")),
            [name] if name == INLINE => {}
            [name, direction] if name == INLINE && part == Part::TlsAuth => {
                self.take_direction(direction)?;
            }
            [_, ..] => return Err(Refusal::from(inline_it(part))),
        }
        Ok(Taken::Kept)
    }

    /// Takes a `key-direction`.
    pub fn take_direction(&mut self, text: &str) -> Verdict {
        self.key_direction = Some(match text {
            "0" => KeyDirection::Normal,
            "1" => KeyDirection::Inverse,
            _ => return Err(Refusal::from("expected the key's direction, 0 or 1")),
        });
        Ok(Taken::Kept)
    }

    pub fn has(&self, part: Part) -> bool {
        self.parts.contains_key(&part)
    }

    /// The text of a part.
    pub fn part(&self, part: Part) -> Option<&Secret<String>> {
        self.parts.get(&part)
    }

    /// Every part with its text, in a fixed order.
    pub fn parts(&self) -> impl Iterator<Item = (Part, &Secret<String>)> {
        self.parts.iter().map(|(part, text)| (*part, text))
    }
}

/// A part's tag.
pub(super) fn tag(part: Part) -> &'static str {
    match part {
        Part::Ca => "ca",
        Part::Cert => "cert",
        Part::Key => "key",
        Part::ExtraCerts => "extra-certs",
        Part::Crl => "crl-verify",
        Part::Pkcs12 => "pkcs12",
        Part::TlsAuth => "tls-auth",
        Part::TlsCrypt => "tls-crypt",
        Part::TlsCryptV2 => "tls-crypt-v2",
    }
}

/// What to do about a part that is not in the text.
pub(super) fn inline_it(part: Part) -> String {
    let tag = tag(part);
    format!("inline this file: put what is in it between <{tag}> and </{tag}>")
}

/// What a part's text is made of; PKCS #12 has no labels.
fn labels(part: Part) -> Option<&'static [&'static str]> {
    match part {
        Part::Ca | Part::Cert | Part::ExtraCerts => {
            Some(&["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
        }
        Part::Key => Some(&[
            "PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "DSA PRIVATE KEY",
        ]),
        Part::Crl => Some(&["X509 CRL"]),
        Part::Pkcs12 => None,
        Part::TlsAuth | Part::TlsCrypt => Some(&["OpenVPN Static key V1"]),
        Part::TlsCryptV2 => Some(&["OpenVPN tls-crypt-v2 client key"]),
    }
}
