//! The signing key's file: read by its owner only.

use std::path::{Path, PathBuf};

use egress_core::secret::Secret;

use crate::private_file;

/// Less is guessed.
const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 4096;

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not one that only the agent reads.
    #[error("read the signing key")]
    File(#[from] private_file::Error),
    /// It is not a key.
    #[error(
        "the signing key {} has less than {BYTES_MIN} bytes; `openssl rand -hex 32` makes one",
        .path.display()
    )]
    Short {
        /// The key's file.
        path: PathBuf,
    },
}

/// The file's bytes, without line ends behind them.
pub fn read(path: &Path) -> Result<Secret<Vec<u8>>, KeyError> {
    let bytes = private_file::read(path, BYTES_MAX)?;
    let key = bytes.trim_ascii_end();
    if key.len() < BYTES_MIN {
        return Err(KeyError::Short { path: path.to_owned() });
    }
    Ok(Secret::new(key.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_its_file_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(read(&path), Err(KeyError::File(_))));
        fs::write(&path, "0123456789abcdef\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().expose(), b"0123456789abcdef");
        fs::write(&path, "0123456789abcde\n").unwrap();
        assert!(matches!(read(&path), Err(KeyError::Short { .. })));
    }
}
