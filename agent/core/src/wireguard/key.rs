//! Curve25519 keys as text and bytes. Nothing here ever repeats what it was given.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No text at all.
    #[error("empty: expected 32 bytes of base64")]
    Empty,
    /// A character, the padding or the last bits are not canonical base64.
    #[error("not base64: expected 32 bytes of base64, 44 characters that end in =")]
    NotBase64,
    /// Base64 of something shorter or longer.
    #[error("{0} bytes of base64: expected 32, which is 44 characters that end in =")]
    Length(usize),
    /// 32 bytes of zero.
    #[error("all zero: not a key")]
    Zero,
    /// A point of low order: every private key has the same answer to it.
    #[error("a point of low order: no secret can be agreed with it")]
    LowOrder,
}

/// Points whose product with every (clamped) private key is zero, bit 255 clear
/// (<https://cr.yp.to/ecdh.html#validate>).
const LOW_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    little_endian_one(),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    prime_with_low_byte(0xec),
    prime_with_low_byte(0xed),
    prime_with_low_byte(0xee),
];

const fn little_endian_one() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
}

/// 2^255 - 19 with another lowest byte.
const fn prime_with_low_byte(low: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = low;
    bytes[31] = 0x7f;
    bytes
}

/// Reads a private or preshared key.
pub fn secret_key(text: &str) -> Result<Secret<[u8; 32]>, KeyError> {
    let bytes = decode(text)?;
    if *bytes == [0; 32] {
        return Err(KeyError::Zero);
    }
    Ok(Secret::new(*bytes))
}

/// Reads a peer's public key; points of low order are refused.
pub fn public_key(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes = decode(text)?;
    if *bytes == [0; 32] {
        return Err(KeyError::Zero);
    }
    if is_low_order(&bytes) {
        return Err(KeyError::LowOrder);
    }
    Ok(*bytes)
}

fn is_low_order(point: &[u8; 32]) -> bool {
    // X25519 ignores bit 255.
    let mut masked = *point;
    masked[31] &= 0x7f;
    LOW_ORDER.contains(&masked)
}

fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    let mut buffer = Zeroizing::new([0; 96]);
    let length = match STANDARD.decode_slice(text, &mut *buffer) {
        Ok(length) => length,
        Err(base64::DecodeSliceError::DecodeError(_)) => return Err(KeyError::NotBase64),
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => text.len() / 4 * 3,
    };
    if length != 32 {
        return Err(KeyError::Length(length));
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&buffer[..32]);
    Ok(key)
}

/// The public key that belongs to a private key.
pub fn public_of(private_key: &Secret<[u8; 32]>) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*private_key.expose())).to_bytes()
}

/// A public key as text.
pub fn encode_public(key: &[u8; 32]) -> String {
    STANDARD.encode(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_low_order_are_those_that_agree_on_nothing() {
        let secret = StaticSecret::from([0x42; 32]);
        for point in LOW_ORDER {
            let mut high = point;
            high[31] |= 0x80;
            for point in [point, high] {
                assert!(!secret.diffie_hellman(&PublicKey::from(point)).was_contributory());
                assert!(public_key(&STANDARD.encode(point)).is_err());
            }
        }
        let base = PublicKey::from(&StaticSecret::from([7; 32])).to_bytes();
        assert_eq!(public_key(&STANDARD.encode(base)), Ok(base));
    }

    #[test]
    fn a_key_is_exactly_32_bytes_of_canonical_base64() {
        let good = STANDARD.encode([0x5a; 32]);
        assert!(secret_key(&good).is_ok());
        let cases = [
            (String::new(), KeyError::Empty),
            (good.trim_end_matches('=').to_owned(), KeyError::NotBase64),
            (good.replace("Wlo=", "Wlp="), KeyError::NotBase64),
            (good.replace('W', "-"), KeyError::NotBase64),
            (STANDARD.encode([1; 31]), KeyError::Length(31)),
            (STANDARD.encode([1; 33]), KeyError::Length(33)),
            (STANDARD.encode([1; 300]), KeyError::Length(300)),
            (STANDARD.encode([0; 32]), KeyError::Zero),
        ];
        for (text, expected) in cases {
            assert_eq!(secret_key(&text).unwrap_err(), expected);
        }
    }
}
