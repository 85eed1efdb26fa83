//! Directories of the agent's own.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
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
