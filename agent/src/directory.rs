//! Directories of the agent's own, and telling whether a file in one is still the same.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Who may look into the run directory: everybody finds the API's socket.
pub const RUN_MODE: u32 = 0o755;
/// Root alone.
pub const PRIVATE_MODE: u32 = 0o700;

/// Makes a directory, and those above it, unless it is there; it has this mode then.
pub fn ensure(dir: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(dir)?;
    // The mask does not count for this.
    fs::set_permissions(dir, Permissions::from_mode(mode))
}

/// A file, and no other that gets its name later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The one that has this name now.
    pub fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_gone_is_made_again_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (above, below) = (dir.path().join("run"), dir.path().join("run/private"));
        for _ in 0..2 {
            ensure(&above, RUN_MODE).unwrap();
            ensure(&below, PRIVATE_MODE).unwrap();
            for (path, mode) in [(&above, RUN_MODE), (&below, PRIVATE_MODE)] {
                let found = fs::metadata(path).unwrap().permissions().mode();
                assert_eq!(found & 0o7777, mode, "{}", path.display());
            }
            fs::remove_dir_all(&above).unwrap();
        }
    }

    #[test]
    fn another_file_of_the_same_name_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&path, "").unwrap();
        fs::write(&other, "").unwrap();
        let before = FileId::at(&path).unwrap();
        assert_eq!(FileId::at(&path).unwrap(), before);
        fs::rename(&other, &path).unwrap();
        assert_ne!(FileId::at(&path).unwrap(), before);
    }
}
