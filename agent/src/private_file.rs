//! Files that only their owner may read: keys.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use zeroize::Zeroizing;

/// Why a file is not taken for a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else can read it.
    #[error(
        "{} has mode {mode:04o}: others could read it; `chmod 600 {}`",
        .path.display(), .path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not the agent's.
    #[error(
        "{} belongs to uid {owner}; it must be uid {}'s or root's",
        .path.display(), geteuid().as_raw()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is a directory, a pipe or the like.
    #[error("{} is not a regular file", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It is longer than any key.
    #[error("{} has more than {max} bytes", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        max: usize,
    },
}

/// The bytes of a file that nobody else can read: of mode 0600 or less, ours or root's, and of at
/// most `max` bytes.
pub fn read(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    // Opening a FIFO without NONBLOCK would wait for a writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if meta.mode() & 0o077 != 0 {
        return Err(Error::Readable { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    if meta.uid() != geteuid().as_raw() && meta.uid() != 0 {
        return Err(Error::Foreign { path: path.to_owned(), owner: meta.uid() });
    }
    // Room for all of it: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max + 1));
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > max {
        return Err(Error::TooLong { path: path.to_owned(), max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_file_that_others_reach_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(read(&path, 8), Err(Error::Read { .. })));
        assert!(matches!(read(dir.path(), 8), Err(Error::NotAFile { .. })));
        fs::write(&path, "12345678").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = read(&path, 8).unwrap_err().to_string();
        assert!(error.contains("0640") && error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path, 8).unwrap().as_slice(), b"12345678");
        assert!(matches!(read(&path, 7), Err(Error::TooLong { .. })));
        chown(&path, Some(12_345), None).unwrap();
        assert!(matches!(read(&path, 8), Err(Error::Foreign { owner: 12_345, .. })));
    }
}
