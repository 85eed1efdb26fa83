//! Small files in the run directory that the next life of the agent reads.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

/// Writes a file of this name, in a directory that only root enters, and that is made where it is
/// missing.
pub fn write(dir: &Path, name: &str, note: &impl Serialize) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Never half of it under its name.
    let mut file = NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut file, note)?;
    file.persist(dir.join(name))?;
    Ok(())
}

/// Every file that can be read; the others are removed.
pub fn read_all<T: DeserializeOwned>(dir: &Path) -> Vec<T> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| read(&entry.path())).collect()
}

/// A note, or nothing where its writer was killed before the file had its name.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let note = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    if note.is_none() {
        // It is looked at again after the next start.
        let _ = fs::remove_file(path);
    }
    note
}
