//! Files that hold a part of a document: regular, small, and private where they hold a secret.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use egress_core::api::BODY_MAX;
use egress_core::secret::Secret;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// A file's text.
pub(crate) struct Content {
    pub text: Secret<String>,
    /// Its permission bits.
    pub mode: u32,
}

impl Content {
    /// Whether somebody beside its owner may open the file.
    pub fn is_shared(&self) -> bool {
        self.mode & 0o077 != 0
    }
}

/// Reads a whole text; an error is a sentence that says what to do.
pub(crate) fn read(path: &Path) -> Result<Content, String> {
    let (bytes, mode) = read_file(open(path)?)?;
    Ok(Content { text: text(&bytes)?, mode })
}

/// The text that a file's bytes are.
pub(super) fn text(bytes: &[u8]) -> Result<Secret<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| String::from("not UTF-8 text"))?;
    Ok(Secret::new(text.to_owned()))
}

fn open(path: &Path) -> Result<File, String> {
    // Opening a FIFO would wait for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path);
    file.map_err(|error| unreadable(&error))
}

/// Reads a whole file, text or not, and its permission bits.
pub(super) fn read_file(file: File) -> Result<(Zeroizing<Vec<u8>>, u32), String> {
    read_at_most(file, BODY_MAX, "the agent takes no more at a time")
}

/// Reads a whole file that is larger than others may be.
pub(super) fn read_large(
    path: &Path,
    most: usize,
    why: &str,
) -> Result<Zeroizing<Vec<u8>>, String> {
    read_at_most(open(path)?, most, why).map(|(bytes, _)| bytes)
}

fn read_at_most(file: File, most: usize, why: &str) -> Result<(Zeroizing<Vec<u8>>, u32), String> {
    let meta = file.metadata().map_err(|error| unreadable(&error))?;
    if !meta.is_file() {
        return Err(String::from("not a regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() > most {
        return Err(format!("over {most} bytes: {why}"));
    }
    Ok((bytes, meta.mode() & 0o7777))
}

/// Reads a file that holds a secret: its owner only may open it.
pub(crate) fn read_secret(path: &Path) -> Result<Secret<String>, String> {
    let content = read(path)?;
    if content.is_shared() {
        let Content { mode, .. } = content;
        return Err(format!("others may open it (mode {mode:04o}): chmod 600 {}", path.display()));
    }
    Ok(content.text)
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}
