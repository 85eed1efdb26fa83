//! A store, used as the agent uses it: the suite that every engine passes, and what is SQLite's own.

mod bounds;
mod copies;
mod cost;
mod documents;
mod files;
mod memory;
mod migrations;
mod sealing;
mod speed;
mod suite;
mod torn;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use egress_core::api::{AttachRequest, ContainmentProfile, NetnsRef, SessionState};
use egress_core::catalog::{Candidate, Subject};
use egress_core::id::{CredentialId, SessionId};
use tempfile::TempDir;

use super::*;
pub use documents::*;

/// Where a store lies: what is opened again is the same one.
pub trait Ground {
    fn new() -> Self;
    fn open(&self) -> Arc<dyn Store>;
    /// What is left when the agent is killed now.
    fn crashed(&self) -> Self;
}

/// An SQLite store in a directory of its own, and the key that opens it.
pub struct Fixture {
    dir: TempDir,
    pub key: MasterKey,
}

impl Fixture {
    pub fn new() -> Self {
        // In memory: thousands of stores are opened, each of which waits for its disk several times.
        Self { dir: tempfile::tempdir_in("/dev/shm").unwrap(), key: MasterKey::generate() }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("state/store.db")
    }

    pub fn key_path(&self) -> PathBuf {
        self.dir.path().join("store.key")
    }

    pub fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path(), self.key.clone()).unwrap()
    }

    /// Puts a file where the store is to be.
    pub fn put(&self, bytes: &[u8]) {
        self.put_beside(self.path().file_name().unwrap(), bytes);
    }

    /// Puts a file of this name in the store's directory.
    pub fn put_beside(&self, name: &OsStr, bytes: &[u8]) {
        let path = self.path().with_file_name(name);
        fs::DirBuilder::new().mode(0o700).recursive(true).create(path.parent().unwrap()).unwrap();
        let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
        file.unwrap().write_all(bytes).unwrap();
    }

    /// The files as they are now, in another directory: what `kill -9` leaves.
    pub fn crashed(&self) -> Self {
        let copy = Self { key: self.key.clone(), ..Self::new() };
        let (from, to) = (self.path(), copy.path());
        let (from, to) = (from.parent().unwrap(), to.parent().unwrap());
        fs::DirBuilder::new().mode(0o700).create(to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        copy
    }

    /// Everything that the store has put on disk.
    pub fn on_disk(&self) -> Vec<u8> {
        let files = fs::read_dir(self.path().parent().unwrap()).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

impl Ground for Fixture {
    fn new() -> Self {
        Self::new()
    }

    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.open())
    }

    fn crashed(&self) -> Self {
        self.crashed()
    }
}

pub fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

pub fn credential(number: u8) -> CredentialId {
    CredentialId::from_bytes([number; 16])
}

pub fn candidate(number: u8, limit: Option<u32>) -> Candidate {
    Candidate { credential: credential(number), limit, account: None, conflict_keys: Vec::new() }
}

pub fn row(name: &str) -> SessionRow {
    SessionRow {
        request: AttachRequest {
            session_id: session(name),
            netns: NetnsRef::Path(PathBuf::from("/run/netns/x")),
            subject: Subject { user: Some(String::from("ann")), ..Subject::default() },
            gateway: None,
            profile: ContainmentProfile::Sealed,
            deadline_ms: 10_000,
            challenge_response: None,
        },
        gateway: None,
        credential: Some(credential(7)),
        secret_version: Some(u64::MAX),
        netns: NetnsIdentity { boot_id: String::from("b"), cookie: u64::MAX },
        found_by: NetnsRef::Pid(4711),
        interface: Some(String::from("eg0")),
        tunnel: Some(1 << 63),
        addresses: vec!["10.0.0.2/32".parse().unwrap(), "fd00::2/128".parse().unwrap()],
        dns: vec!["10.0.0.1".parse().unwrap()],
        search: vec![String::from("corp.example")],
        mtu: Some(1420),
        generation: 3,
        state: SessionState::Connecting,
        reason: None,
        endpoint: Some("[2001:db8::1]:51820".parse().unwrap()),
        created_at: 1_700_000_000,
    }
}

pub fn credential_of(claim: &Claim) -> CredentialId {
    match claim {
        Claim::Taken { credential, .. } => *credential,
        Claim::LimitReached | Claim::KeyInUse | Claim::HoldsAnother { .. } => {
            panic!("not taken: {claim:?}")
        }
    }
}
