//! Certificates that are known by their digest.

use super::lexer::Statement;
use super::taken::{Refusal, Taken, Verdict};

/// What is digested, and how. openvpn takes one of these in a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The server's certificate, SHA-256.
    Peer,
    /// That of the authority that signed it, SHA-256.
    Ca256,
    /// That of the authority that signed it, SHA-1.
    Ca1,
}

/// A config's fingerprints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fingerprints {
    kind: Option<Kind>,
    /// Hexadecimal bytes between colons.
    digests: Vec<String>,
}

impl Fingerprints {
    /// Takes a `peer-fingerprint`.
    pub fn take_peer(&mut self, statement: &Statement<'_>) -> Verdict {
        match (statement.block, statement.parameters.as_slice()) {
            (Some(block), []) => self.add(Kind::Peer, block.text),
            (None, [digest]) => self.add(Kind::Peer, digest),
            _ => Err(Refusal::from("expected one fingerprint")),
        }
    }

    /// Takes a `verify-hash`. Between tags openvpn expects SHA-256, else SHA-1.
    pub fn take_hash(&mut self, statement: &Statement<'_>) -> Verdict {
        let algorithm = statement.parameters.get(1).map(String::as_str);
        match (statement.block, statement.parameters.as_slice(), algorithm) {
            (Some(block), [], _) => self.add(Kind::Ca256, block.text),
            (None, [digest, _], Some("SHA256")) => self.add(Kind::Ca256, digest),
            (None, [digest], None) | (None, [digest, _], Some("SHA1")) => {
                self.add(Kind::Ca1, digest)
            }
            _ => Err(Refusal::from("expected a digest, then maybe SHA1 or SHA256")),
        }
    }

    fn add(&mut self, kind: Kind, text: &str) -> Verdict {
        if self.kind.is_some_and(|other| other != kind) {
            return Err(Refusal::from("openvpn checks fingerprints of one kind only"));
        }
        let digests = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let digests: Vec<_> = digests.map(|text| read(kind, text)).collect::<Result<_, _>>()?;
        if digests.is_empty() {
            return Err(Refusal::from("expected a fingerprint"));
        }
        self.kind = Some(kind);
        self.digests.extend(digests);
        Ok(Taken::Kept)
    }

    /// Whether the server's certificate is known without an authority.
    pub fn stand_alone(&self) -> bool {
        self.kind == Some(Kind::Peer)
    }

    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Lines of a config.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let (name, algorithm) = match self.kind {
            None | Some(Kind::Peer) => ("peer-fingerprint", ""),
            Some(Kind::Ca256) => ("verify-hash", " SHA256"),
            Some(Kind::Ca1) => ("verify-hash", " SHA1"),
        };
        self.digests.iter().map(move |digest| format!("{name} {digest}{algorithm}"))
    }
}

fn read(kind: Kind, text: &str) -> Result<String, Refusal> {
    let bytes = match kind {
        Kind::Peer | Kind::Ca256 => 32,
        Kind::Ca1 => 20,
    };
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    if text.split(':').count() != bytes || !text.split(':').all(is_byte) {
        return Err(Refusal::from(format!("expected {bytes} hexadecimal bytes between colons")));
    }
    Ok(text.to_ascii_uppercase())
}
