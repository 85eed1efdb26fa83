//! The ciphers of the data channel.
//!
//! openvpn 2.6 negotiates: what servers of today choose from is `data-ciphers`, and those that
//! cannot negotiate get `data-ciphers-fallback`. A config's old `cipher` becomes part of both.

use super::taken::{Refusal, Taken, Verdict};
use super::value::is_none;

/// What openvpn 2.6 offers by itself.
const DEFAULT: [&str; 3] = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"];
/// The longest list that openvpn takes, in bytes.
const LIST_MAX: usize = 127;

/// The ciphers of a config, in upper case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ciphers {
    /// `data-ciphers`
    offered: Option<Vec<String>>,
    /// `cipher`
    named: Option<String>,
    /// `data-ciphers-fallback`
    fallback: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Encrypts and signs.
    Aead,
    /// Encrypts; `auth` signs.
    Block,
    /// Not in OpenSSL 3 unless it is told to be lax.
    Gone,
}

impl Ciphers {
    /// For `data-ciphers`.
    pub fn offered(&self) -> String {
        let mut offered: Vec<&str> = match &self.offered {
            Some(offered) => offered.iter().map(String::as_str).collect(),
            None => DEFAULT.to_vec(),
        };
        let named = self.named.as_deref();
        offered
            .extend(named.filter(|named| !offered.contains(named)).into_iter().collect::<Vec<_>>());
        offered.join(":")
    }

    /// For `data-ciphers-fallback`.
    pub fn fallback(&self) -> Option<&str> {
        let named = self.named.as_deref().filter(|named| kind(named) == Some(Kind::Block));
        self.fallback.as_deref().or(named)
    }

    /// Takes a `cipher`.
    pub fn take_cipher(&mut self, text: &str) -> Verdict {
        match known(text)? {
            (_, Kind::Gone) => Ok(gone()),
            (name, Kind::Aead | Kind::Block) => {
                self.named = Some(name);
                Ok(Taken::Kept)
            }
        }
    }

    /// Takes a `data-ciphers-fallback`.
    pub fn take_fallback(&mut self, text: &str) -> Verdict {
        match known(text)? {
            (_, Kind::Gone) => Ok(gone()),
            (name, Kind::Aead | Kind::Block) => {
                self.fallback = Some(name);
                Ok(Taken::Kept)
            }
        }
    }

    /// Takes a `data-ciphers`.
    pub fn take_offered(&mut self, text: &str) -> Verdict {
        let mut offered = Vec::new();
        let mut left_out = false;
        for item in text.split(':') {
            match known(item.strip_prefix('?').unwrap_or(item))? {
                (_, Kind::Gone) => left_out = true,
                (name, Kind::Aead | Kind::Block) => offered.push(name),
            }
        }
        if offered.is_empty() {
            return Err(Refusal::from("OpenSSL 3 has none of these ciphers"));
        }
        self.offered = Some(offered);
        if left_out {
            let note = "ciphers that OpenSSL 3 no longer has are left out";
            return Ok(Taken::Noted(note.to_owned()));
        }
        Ok(Taken::Kept)
    }

    /// Whether openvpn takes so many.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.offered().len() > LIST_MAX {
            return Err("a list of ciphers longer than 127 bytes: openvpn does not take it");
        }
        Ok(())
    }
}

fn gone() -> Taken {
    Taken::Missed(
        "OpenSSL 3 no longer has this cipher: the server must know a newer one".to_owned(),
    )
}

fn known(text: &str) -> Result<(String, Kind), Refusal> {
    if is_none(text) {
        return Err(Refusal::from("without a cipher everybody on the way could read along"));
    }
    let name = text.to_ascii_uppercase();
    let kind = kind(&name).ok_or("expected a cipher that openvpn knows, such as AES-256-GCM")?;
    Ok((name, kind))
}

fn kind(name: &str) -> Option<Kind> {
    if name == "CHACHA20-POLY1305" {
        return Some(Kind::Aead);
    }
    let (family, mode) = name.rsplit_once('-')?;
    let streaming = matches!(mode, "CFB" | "CFB1" | "CFB8" | "OFB");
    match family {
        "AES-128" | "AES-192" | "AES-256" | "ARIA-128" | "ARIA-192" | "ARIA-256"
            if mode == "GCM" =>
        {
            Some(Kind::Aead)
        }
        "AES-128" | "AES-192" | "AES-256" | "ARIA-128" | "ARIA-192" | "ARIA-256"
        | "CAMELLIA-128" | "CAMELLIA-192" | "CAMELLIA-256" | "SM4" | "DES-EDE" | "DES-EDE3"
            if mode == "CBC" || streaming =>
        {
            Some(Kind::Block)
        }
        "BF" | "CAST5" | "DES" | "DESX" | "IDEA" | "RC2" | "RC2-40" | "RC2-64" | "RC5" | "SEED"
            if mode == "CBC" || streaming =>
        {
            Some(Kind::Gone)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_cipher_is_offered_and_fallen_back_to() {
        let mut ciphers = Ciphers::default();
        assert_eq!(ciphers.offered(), "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305");
        assert_eq!(ciphers.fallback(), None);
        assert_eq!(ciphers.take_cipher("aes-256-cbc"), Ok(Taken::Kept));
        assert_eq!(ciphers.offered(), "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305:AES-256-CBC");
        assert_eq!(ciphers.fallback(), Some("AES-256-CBC"));
        assert_eq!(ciphers.take_offered("?AES-256-CBC:BF-CBC:AES-128-GCM").map(drop), Ok(()));
        assert_eq!(ciphers.offered(), "AES-256-CBC:AES-128-GCM");
    }

    #[test]
    fn a_cipher_that_signs_is_no_fallback() {
        let mut ciphers = Ciphers::default();
        assert_eq!(ciphers.take_cipher("AES-128-GCM"), Ok(Taken::Kept));
        assert_eq!(ciphers.offered(), "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305");
        assert_eq!(ciphers.fallback(), None);
    }

    #[test]
    fn no_cipher_and_unknown_ciphers_are_refused() {
        for text in ["none", "NONE", "NULL", "[null-cipher]", "", "AES", "AES-256-XTS", "x\"y"] {
            assert!(Ciphers::default().take_cipher(text).is_err(), "{text:?} was taken");
            assert!(Ciphers::default().take_fallback(text).is_err(), "{text:?} was taken");
            let list = format!("AES-256-GCM:{text}");
            assert!(Ciphers::default().take_offered(&list).is_err(), "{list:?} was taken");
        }
        assert!(Ciphers::default().take_offered("BF-CBC").is_err());
        assert!(matches!(Ciphers::default().take_cipher("BF-CBC"), Ok(Taken::Missed(_))));
    }
}
