//! The signing key's file: read by its owner only.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use egress_core::secret::Secret;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use zeroize::Zeroizing;

/// Less is guessed.
const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 4096;

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error("read the signing key {}", .path.display())]
    Read {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else can read it.
    #[error(
        "the signing key {} has mode {mode:04o}: others could read it; `chmod 600 {}`",
        .path.display(), .path.display()
    )]
    Readable {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not the agent's.
    #[error("the signing key {} belongs to uid {owner}; it must be uid {}'s or root's", .path.display(), geteuid().as_raw())]
    Foreign {
        /// The key's file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is not a key.
    #[error(
        "the signing key {} is not a regular file with {BYTES_MIN} to {BYTES_MAX} bytes; `openssl \
         rand -hex 32` makes one", .path.display()
    )]
    Malformed {
        /// The key's file.
        path: PathBuf,
    },
}

/// The file's bytes, without line ends behind them.
pub fn read(path: &Path) -> Result<Secret<Vec<u8>>, KeyError> {
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
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let key = bytes.trim_ascii_end();
    if !(BYTES_MIN..=BYTES_MAX).contains(&key.len()) {
        return Err(KeyError::Malformed { path: path.to_owned() });
    }
    Ok(Secret::new(key.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_key_is_its_file_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "0123456789abcdef\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().expose(), b"0123456789abcdef");
    }

    #[test]
    fn a_key_that_is_none_or_that_others_reach_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(read(&path), Err(KeyError::Read { .. })));
        assert!(matches!(read(dir.path()), Err(KeyError::Malformed { .. })));
        for text in ["", "short", &"x".repeat(BYTES_MAX + 1)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(read(&path), Err(KeyError::Malformed { .. })), "{}", text.len());
        }
        fs::write(&path, "0123456789abcdef").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("0640") && error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(12_345), None).unwrap();
        assert!(matches!(read(&path), Err(KeyError::Foreign { owner: 12_345, .. })));
    }
}
