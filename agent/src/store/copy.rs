//! A copy of the whole store in one file, made while it is in use. What is sealed stays sealed.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::NamedTempFile;

/// How far a copy counts starts ahead of the store it is of. When it is restored, numbers of
/// tunnels and of reports that are made of the count are none that the store gave out since.
const STARTS_AHEAD: u32 = 1 << 16;

/// How names of copies begin that are not whole yet.
const PREFIX: &str = ".store-copy-";

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file could not be made.
    #[error("write {}", .path.display())]
    Write {
        /// The file, or its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite failed: a full disk, for instance.
    #[error("copy the database")]
    Sql(#[from] rusqlite::Error),
}

/// Where the copy is that was kept when a file of this version was migrated.
pub(super) fn path_before(path: &Path, version: i32) -> PathBuf {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".schema-{version}"));
    PathBuf::from(copy)
}

/// Keeps a copy of a file that is about to be migrated, on disk before this returns. A former copy
/// of the same version is replaced.
pub(super) fn before_migration(
    db: &Connection,
    path: &Path,
    version: i32,
) -> Result<(), CopyError> {
    let copy = path_before(path, version);
    let failed = |source| CopyError::Write { path: copy.clone(), source };
    let file = in_dir_of(db, path)?;
    file.persist(&copy).map_err(|error| failed(error.error))?;
    File::open(dir_of(&copy)).and_then(|dir| dir.sync_all()).map_err(failed)
}

/// A copy in the store's directory that has no name.
pub(super) fn of(db: &Connection) -> Result<File, CopyError> {
    let path = db.path().map(PathBuf::from).unwrap_or_default();
    // Its name goes when the second half is dropped here.
    let (file, _) = in_dir_of(db, &path)?.into_parts();
    Ok(file)
}

/// A copy (mode 0600) in the store's directory, on disk, with a name until it is dropped.
fn in_dir_of(db: &Connection, path: &Path) -> Result<NamedTempFile, CopyError> {
    let failed = |source| CopyError::Write { path: dir_of(path).to_owned(), source };
    let file = temporary(path).map_err(failed)?;
    // SQLite takes an empty file as one that is not there, and leaves its mode alone.
    db.execute("VACUUM INTO ?1", [file.path().to_string_lossy()])?;
    let copy = Connection::open(file.path())?;
    copy.execute("UPDATE meta SET starts = starts + ?1", [STARTS_AHEAD])?;
    copy.close().map_err(|(_, error)| error)?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(file)
}

/// An empty file (mode 0600) beside the store, that is swept away unless it is given a name.
pub(super) fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(dir_of(path))
}

/// Removes what copies left behind that were cut short.
pub(super) fn sweep(path: &Path) -> io::Result<()> {
    for file in fs::read_dir(dir_of(path))? {
        let file = file?;
        if file.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// The directory of a file.
pub(super) fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
