//! `WireGuard` keys made for one test.

use std::fs::File;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x25519_dalek::{PublicKey, StaticSecret};

/// A private key and its public half, in base64 as configs have them.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The secret half.
    pub private: String,
    /// The half to give away.
    pub public: String,
}

impl KeyPair {
    /// A new one.
    pub fn random() -> Self {
        let private = StaticSecret::from(random_bytes::<32>());
        let public = PublicKey::from(&private);
        Self { private: STANDARD.encode(private.as_bytes()), public: STANDARD.encode(public) }
    }
}

/// Bytes from the kernel.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut source = File::open("/dev/urandom").expect("open the kernel's random source");
    source.read_exact(&mut bytes).expect("read the kernel's random source");
    bytes
}
