//! Proof that a message is this host's, and when it was sent.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// The header with the seconds since the epoch at which a message was sent. It is signed too: a
/// receiver that refuses old ones cannot be fed a recorded message for long.
pub const TIMESTAMP_HEADER: &str = "x-egress-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-egress-signature";

/// `v1=` and the HMAC-SHA256 (RFC 2104) in hexadecimal over the timestamp as in its header, a dot
/// and the body.
pub fn sign(key: &Secret<Vec<u8>>, timestamp: u64, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose());
    let mut mac = mac.expect("HMAC takes a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    digest.iter().fold(String::from("v1="), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest is Python's: `hmac.new(b"k" * 32, b"1700000000.{}", "sha256").hexdigest()`.
    #[test]
    fn a_signature_is_what_others_compute() {
        let key = Secret::new(vec![b'k'; 32]);
        let wanted = "v1=0b3b35525c10b3757ffa78df69037021fc3168d8390a51a4fcb4a8d56a25b557";
        assert_eq!(sign(&key, 1_700_000_000, b"{}"), wanted);
    }

    #[test]
    fn timestamp_body_and_key_all_count() {
        let key = Secret::new(vec![1; 32]);
        let signed = sign(&key, 12, b"body");
        for other in [
            sign(&key, 13, b"body"),
            sign(&key, 12, b"bodY"),
            sign(&key, 1, b"2.body"),
            sign(&Secret::new(vec![2; 32]), 12, b"body"),
        ] {
            assert_ne!(other, signed);
        }
    }
}
