//! What packets of ciphers that do not sign are signed with.

use super::taken::Refusal;
use super::value::is_none;

/// What OpenSSL 3 has, by the names that it takes.
const DIGESTS: [&str; 16] = [
    "BLAKE2b512",
    "BLAKE2s256",
    "MD5",
    "RIPEMD160",
    "SHA1",
    "SHA224",
    "SHA256",
    "SHA3-224",
    "SHA3-256",
    "SHA3-384",
    "SHA3-512",
    "SHA384",
    "SHA512",
    "SHA512-224",
    "SHA512-256",
    "SM3",
];

/// The name that OpenSSL 3 has for a digest. Older ones took `RSA-SHA256` for `SHA256`.
pub(super) fn digest(text: &str) -> Result<&'static str, Refusal> {
    if is_none(text) {
        return Err(Refusal::from("without it packets could be changed on their way"));
    }
    let name = text.strip_prefix("RSA-").unwrap_or(text);
    let known = DIGESTS.into_iter().find(|known| known.eq_ignore_ascii_case(name));
    known.ok_or(Refusal::from("expected a digest that OpenSSL 3 has, such as SHA256"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_the_names_that_openssl_takes() {
        for (text, name) in [("SHA512", "SHA512"), ("sha1", "SHA1"), ("RSA-SHA256", "SHA256")] {
            assert_eq!(digest(text), Ok(name));
        }
        for text in ["none", "NONE", "NULL", "MD4", "SHA", "", "SHA256 "] {
            assert!(digest(text).is_err(), "{text:?} was taken");
        }
    }
}
