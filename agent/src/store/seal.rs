//! Envelope encryption: each record's fields under a key of its own, that key under the master key.

use chacha20poly1305::aead::{Aead, KeyInit, OsRng, Payload, rand_core::RngCore};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use egress_core::secret::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const NONCE_LEN: usize = 24;
/// Version of what is sealed, not of the tables: a migration need not seal anything anew.
const FORMAT: &str = "egress-agent 1";

/// Which master key wrapped a record's key: a digest of it, which says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub [u8; 8]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key that wraps every record's key. Whoever has it and the store's file has every secret.
#[derive(Debug, Clone)]
pub struct MasterKey {
    key: Secret<[u8; 32]>,
    id: KeyId,
}

impl MasterKey {
    /// The key of these bytes, which come from a random source and nowhere else.
    pub fn new(key: Secret<[u8; 32]>) -> Self {
        let digest = Sha256::new().chain_update("egress-agent key id").chain_update(key.expose());
        let mut id = [0; 8];
        id.copy_from_slice(&digest.finalize()[..8]);
        Self { key, id: KeyId(id) }
    }

    /// A new key from the operating system's random source.
    pub fn generate() -> Self {
        Self::new(random_key())
    }

    /// Which key it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }

    /// A key for one record, with what the store keeps of it.
    pub(super) fn new_record_key(&self, record: Record) -> (RecordKey, Vec<u8>) {
        let key = random_key();
        let wrapped = seal(&self.key, key.expose(), &record.field("key"));
        (RecordKey { key, record }, wrapped)
    }

    /// The record's key back from what the store keeps of it.
    pub(super) fn open_record_key(
        &self,
        wrapped: &[u8],
        record: Record,
    ) -> Result<RecordKey, Unsealable> {
        let plain = open(&self.key, wrapped, &record.field("key"))?;
        Ok(RecordKey { key: Secret::new(bytes_32(&plain)?), record })
    }

    /// The same record key, wrapped by another master key.
    pub(super) fn rewrap(
        &self,
        wrapped: &[u8],
        record: &Record,
        next: &Self,
    ) -> Result<Vec<u8>, Unsealable> {
        let plain = open(&self.key, wrapped, &record.field("key"))?;
        Ok(seal(&next.key, &plain, &record.field("key")))
    }
}

/// The key of one record's sealed fields.
pub(super) struct RecordKey {
    key: Secret<[u8; 32]>,
    record: Record,
}

impl RecordKey {
    pub(super) fn seal(&self, field: &str, plain: &[u8]) -> Vec<u8> {
        seal(&self.key, plain, &self.record.field(field))
    }

    pub(super) fn open(
        &self,
        field: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        open(&self.key, sealed, &self.record.field(field))
    }

    pub(super) fn open_32(
        &self,
        field: &str,
        sealed: &[u8],
    ) -> Result<Secret<[u8; 32]>, Unsealable> {
        let plain = self.open(field, sealed)?;
        bytes_32(&plain).map(Secret::new)
    }

    pub(super) fn open_text(
        &self,
        field: &str,
        sealed: &[u8],
    ) -> Result<Secret<String>, Unsealable> {
        let plain = self.open(field, sealed)?;
        let text =
            std::str::from_utf8(&plain).map_err(|_| self.record.field(field).unsealable())?;
        Ok(Secret::new(text.to_owned()))
    }
}

/// Whose field is sealed: part of what is authenticated, so that a sealed field moved to another
/// row or column does not open.
#[derive(Debug, Clone)]
pub(super) struct Record {
    table: &'static str,
    id: String,
}

impl Record {
    pub(super) fn new(table: &'static str, id: &impl ToString) -> Self {
        Self { table, id: id.to_string() }
    }

    fn field(&self, field: &str) -> Place {
        Place(format!("{FORMAT}|{}|{}|{field}", self.table, self.id))
    }
}

struct Place(String);

impl Place {
    fn unsealable(&self) -> Unsealable {
        Unsealable { place: self.0.clone() }
    }
}

/// A sealed field did not open: another key, or bytes that were changed.
#[derive(Debug, thiserror::Error)]
#[error("open the sealed field {place}: it was changed, or sealed with another key")]
pub struct Unsealable {
    place: String,
}

fn random_key() -> Secret<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *key);
    Secret::new(*key)
}

fn bytes_32(plain: &[u8]) -> Result<[u8; 32], Unsealable> {
    plain.try_into().map_err(|_| Unsealable { place: String::from("of 32 bytes") })
}

fn cipher(key: &Secret<[u8; 32]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key.expose()))
}

/// The nonce, then the ciphertext with its tag. The nonce is random: 24 bytes do not repeat.
fn seal(key: &Secret<[u8; 32]>, plain: &[u8], place: &Place) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    OsRng.fill_bytes(&mut nonce);
    let sealed = cipher(key)
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: place.0.as_bytes() })
        .expect("XChaCha20 takes 256 GiB, records are bounded far below");
    [&nonce[..], &sealed].concat()
}

fn open(
    key: &Secret<[u8; 32]>,
    sealed: &[u8],
    place: &Place,
) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(|| place.unsealable())?;
    cipher(key)
        .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: place.0.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| place.unsealable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_field_opens_only_in_its_own_place_with_its_own_key() {
        let master = MasterKey::generate();
        let (ann, bob) = (Record::new("credential", &"ann"), Record::new("credential", &"bob"));
        let (key, wrapped) = master.new_record_key(ann.clone());
        let sealed = key.seal("secret", b"hunter2");

        let back = master.open_record_key(&wrapped, ann.clone()).unwrap();
        assert_eq!(*back.open("secret", &sealed).unwrap(), b"hunter2");
        assert!(back.open("preshared_key", &sealed).is_err(), "it opened as another field");
        assert!(master.open_record_key(&wrapped, bob).is_err(), "the key opened for another row");
        assert!(MasterKey::generate().open_record_key(&wrapped, ann).is_err());
    }

    #[test]
    fn a_changed_or_cut_off_field_does_not_open() {
        let master = MasterKey::generate();
        let (key, _) = master.new_record_key(Record::new("credential", &"ann"));
        let sealed = key.seal("secret", b"hunter2");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("secret", &changed).is_err(), "byte {at} was not noticed");
            assert!(key.open("secret", &sealed[..at]).is_err(), "cut at {at} was not noticed");
        }
    }

    #[test]
    fn a_rewrapped_key_opens_the_same_fields_and_the_former_master_key_no_longer_does() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let ann = Record::new("credential", &"ann");
        let (key, wrapped) = old.new_record_key(ann.clone());
        let sealed = key.seal("secret", b"hunter2");

        let wrapped = old.rewrap(&wrapped, &ann, &new).unwrap();
        let key = new.open_record_key(&wrapped, ann.clone()).unwrap();
        assert_eq!(*key.open("secret", &sealed).unwrap(), b"hunter2");
        assert!(old.open_record_key(&wrapped, ann).is_err());
    }
}
