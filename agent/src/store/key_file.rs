//! The master key's file: made once, read by its owner only.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_core::secret::Secret;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::seal::MasterKey;

/// 32 bytes in base64, with room for a line end.
const FILE_MAX: u64 = 64;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error("read the master key {}", .path.display())]
    Read {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be made.
    #[error("make the master key {}", .path.display())]
    Make {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else can read it.
    #[error(
        "the master key {} has mode {mode:04o}: others could read it; `chmod 600 {}`",
        .path.display(), .path.display()
    )]
    Readable {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not the agent's.
    #[error("the master key {} belongs to uid {owner}; it must be uid {}'s or root's", .path.display(), geteuid().as_raw())]
    Foreign {
        /// The key's file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is not a key.
    #[error(
        "the master key {} is not a regular file with 32 bytes in base64; restore it from where it \
         was kept (without it the store's secrets cannot be read)", .path.display()
    )]
    Malformed {
        /// The key's file.
        path: PathBuf,
    },
}

impl MasterKey {
    /// Reads the key from `path`, or makes a new one there (mode 0600, on disk before this
    /// returns) when there is no such file. Two callers that make it at once get the same key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let make = |source| KeyError::Make { path: path.to_owned(), source };
        match write_new(path, &Self::generate()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            written => written.map_err(make)?,
        }
        read(path)
    }

    /// Reads the key from `path`; `None` when there is no such file.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        match read(path) {
            Err(KeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Writes the key beside the one at `path`, on disk before this returns.
    pub(super) fn write_next(&self, path: &Path) -> Result<(), KeyError> {
        let path = next_path(path);
        let make = |source| KeyError::Make { path: path.clone(), source };
        let file = written_beside(&path, self).map_err(make)?;
        file.persist(&path).map_err(|error| make(error.error))?;
        sync_dir(&path).map_err(make)
    }
}

/// Puts the key beside `path` in its place, in one step.
pub(super) fn promote_next(path: &Path) -> Result<(), KeyError> {
    let make = |source| KeyError::Make { path: path.to_owned(), source };
    fs::rename(next_path(path), path).map_err(make)?;
    sync_dir(path).map_err(make)
}

/// The key that a rotation which was cut short left beside `path`.
pub(super) fn next(path: &Path) -> Result<Option<MasterKey>, KeyError> {
    MasterKey::load(&next_path(path))
}

fn next_path(path: &Path) -> PathBuf {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    PathBuf::from(next)
}

fn read(path: &Path) -> Result<MasterKey, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    // Opening a FIFO without NONBLOCK would wait for a writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(KeyError::Malformed { path: path.to_owned() });
    }
    if meta.mode() & 0o077 != 0 {
        return Err(KeyError::Readable { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    if meta.uid() != geteuid().as_raw() && meta.uid() != 0 {
        return Err(KeyError::Foreign { path: path.to_owned(), owner: meta.uid() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    decode(&text).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
}

fn decode(text: &str) -> Option<MasterKey> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim_end()).ok()?);
    let key: [u8; 32] = bytes.as_slice().try_into().ok()?;
    Some(MasterKey::new(Secret::new(key)))
}

fn write_new(path: &Path, key: &MasterKey) -> io::Result<()> {
    written_beside(path, key)?.persist_noclobber(path)?;
    sync_dir(path)
}

/// A temporary file (mode 0600) in the key's directory that holds the key, on disk.
fn written_beside(path: &Path, key: &MasterKey) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(dir_of(path))?;
    let text = Zeroizing::new(STANDARD.encode(key.expose()));
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_dir(path: &Path) -> io::Result<()> {
    fs::File::open(dir_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_start_makes_a_key_that_every_later_start_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let made = MasterKey::load_or_create(&path).unwrap();
        let read = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(made.expose(), read.expose());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_key_that_others_could_read_is_refused_with_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            set_mode(&path, mode);
            let error = MasterKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyError::Readable { .. }), "{mode:o}: {error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        set_mode(&path, 0o400);
        MasterKey::load_or_create(&path).unwrap();
    }

    #[test]
    fn a_key_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyError::Foreign { owner: 12345, .. }), "{error}");
    }

    #[test]
    fn what_is_not_a_key_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        for text in ["", "hello", "AAAA", &"A".repeat(500)] {
            fs::write(&path, text).unwrap();
            set_mode(&path, 0o600);
            let error = MasterKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyError::Malformed { .. }), "{text:?}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
