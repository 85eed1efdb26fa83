//! A provider's file, wherever it lies, and the files beside it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use egress_core::secret::Secret;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::catalog::reading;

/// A provider's file.
pub trait Source {
    /// What findings call it.
    fn name(&self) -> String;

    /// Its name without directories and ending, if that is text.
    fn stem(&self) -> Option<&str>;

    /// The ending of its name, without the dot; empty if there is none.
    fn ending(&self) -> &str;

    /// Its whole text; an error is a sentence.
    fn text(&self) -> Result<Secret<String>, String>;

    /// The content of a file in its directory or below; an error is a sentence.
    fn beside(&self, below: &Path) -> Result<Zeroizing<Vec<u8>>, String>;
}

/// A file on disk.
pub struct OnDisk(pub PathBuf);

impl Source for OnDisk {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn stem(&self) -> Option<&str> {
        self.0.file_stem()?.to_str()
    }

    fn ending(&self) -> &str {
        self.0.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
    }

    fn text(&self) -> Result<Secret<String>, String> {
        Ok(reading::read(&self.0)?.text)
    }

    fn beside(&self, below: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let parent = self.0.parent().filter(|parent| !parent.as_os_str().is_empty());
        let dir = directory(parent.unwrap_or(Path::new(".")));
        let dir = dir.map_err(|errno| format!("the profile's directory: {errno}"))?;
        read_beneath(&dir, below)
    }
}

/// A directory, to open files beneath it.
pub(super) fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The content of a file beneath a directory.
pub(super) fn read_beneath(dir: &OwnedFd, below: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    // Opening a FIFO would wait for its writer.
    let file = beneath(dir, below, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    let content = reading::read_file(File::from(file));
    content.map(|(bytes, _)| bytes).map_err(|why| format!("{}: {why}", below.display()))
}

/// What is beneath a directory. No link leads out of it, whoever changes it meanwhile.
pub(super) fn beneath(dir: &OwnedFd, below: &Path, flags: OFlags) -> Result<OwnedFd, String> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(dir, below, flags | OFlags::CLOEXEC, Mode::empty(), beneath);
    found.map_err(|errno| unopened(below, errno))
}

fn unopened(below: &Path, errno: Errno) -> String {
    let name = below.display();
    match errno {
        Errno::NOENT | Errno::NOTDIR => format!("{name} is not there beside the profile"),
        Errno::XDEV | Errno::LOOP => {
            format!("{name} is a link out of the profile's directory, which is not followed")
        }
        errno => format!("{name} cannot be read: {errno}"),
    }
}

/// Where the file that a profile names is looked for: in the profile's directory or below. A path
/// from `/`, from a drive or upwards leads elsewhere, on this host or on the one that the profile
/// was written for: its last part is looked for.
pub fn below(named: &str) -> PathBuf {
    let slashed = named.replace('\\', "/");
    let path = Path::new(&slashed);
    let is_plain = |it: Component<'_>| matches!(it, Component::Normal(_) | Component::CurDir);
    let has_drive = slashed.as_bytes().get(1) == Some(&b':');
    if path.components().all(is_plain) && !has_drive {
        return path.to_owned();
    }
    path.file_name().map_or_else(PathBuf::new, PathBuf::from)
}
