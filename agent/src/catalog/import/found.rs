//! Providers' files in directories, archives and by themselves.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use egress_core::fault::Finding;
use egress_core::secret::Secret;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::archive::{Archive, Entry};
use super::source::{OnDisk, Source, beneath, directory, read_beneath};
use crate::catalog::reading;

/// The most files that one import reads.
pub const FILES_MAX: usize = 20_000;
/// The most entries of directories that are looked at.
const ENTRIES_MAX: usize = 200_000;
/// The most directories in one another.
const DEPTH_MAX: usize = 16;
/// Endings of providers' files.
const ENDINGS: [&str; 2] = ["ovpn", "conf"];

/// A provider's file and what its gateway is called: its path below what was named, without the
/// ending; `None` where that is not text.
pub struct Found {
    /// The file.
    pub source: Box<dyn Source>,
    /// What its gateway is called.
    pub name: Option<String>,
}

/// The providers' files among these: each file that is named, and of a directory or an archive
/// (`*.zip`) all that end in `.ovpn` or `.conf`, in the order of their names. Links in a directory
/// are followed where they stay in it, and not to other directories.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>, Finding> {
    let mut found = Vec::new();
    for path in paths {
        let fault = |why: String| Finding::fault(why).in_file(path.display().to_string());
        if path.is_dir() {
            of_directory(path, &mut found).map_err(fault)?;
        } else if has_ending(path, &["zip"]) {
            let archive = Rc::new(Archive::open(path).map_err(fault)?);
            of_archive(&archive, &mut found);
        } else {
            let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            found.push(Found { source: Box::new(OnDisk(path.clone())), name });
        }
        if found.len() > FILES_MAX {
            return Err(fault(format!("{} files: at most {FILES_MAX} at a time", found.len())));
        }
    }
    Ok(found)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().unwrap_or_default();
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

fn of_directory(dir: &Path, found: &mut Vec<Found>) -> Result<(), String> {
    let root = directory(dir).map_err(|error| format!("cannot be opened: {error}"))?;
    let root = Rc::new(root);
    let mut entries = 0;
    let mut files = Vec::new();
    walk(dir, Path::new(""), 0, &mut entries, &mut files)?;
    files.sort();
    found.extend(files.into_iter().map(|below| {
        let name = without_ending(&below);
        let (root, dir) = (Rc::clone(&root), dir.to_owned());
        Found { source: Box::new(InDirectory { root, dir, below }), name }
    }));
    Ok(())
}

fn walk(
    root: &Path,
    below: &Path,
    depth: usize,
    entries: &mut usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", below.display());
    for entry in fs::read_dir(root.join(below)).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        *entries += 1;
        if *entries > ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} entries"));
        }
        let path = below.join(entry.file_name());
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(root, &path, depth + 1, entries, files)?;
        } else if !kind.is_dir() && has_ending(&path, &ENDINGS) {
            files.push(path);
        }
    }
    Ok(())
}

fn of_archive(archive: &Rc<Archive>, found: &mut Vec<Found>) {
    let files: Vec<PathBuf> =
        archive.names().filter(|name| has_ending(name, &ENDINGS)).map(Path::to_owned).collect();
    let common = common_directory(&files);
    found.extend(files.into_iter().map(|below| {
        let name = below.strip_prefix(&common).ok().and_then(without_ending);
        let entry = Entry { archive: Rc::clone(archive), below };
        Found { source: Box::new(entry), name }
    }));
}

/// The directory that all files are in: archives often hold one of their own name.
fn common_directory(files: &[PathBuf]) -> PathBuf {
    let mut common = files.first().and_then(|file| file.parent()).map(PathBuf::from);
    for file in files {
        while let Some(dir) = common.take() {
            if file.starts_with(&dir) {
                common = Some(dir);
                break;
            }
            common = dir.parent().map(PathBuf::from);
        }
    }
    common.unwrap_or_default()
}

fn without_ending(path: &Path) -> Option<String> {
    let path = path.with_extension("");
    let parts = path.components().map(|part| match part {
        Component::Normal(part) => part.to_str(),
        Component::CurDir | Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
            None
        }
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

/// A file below a directory. Nothing leads out of that.
struct InDirectory {
    root: Rc<OwnedFd>,
    /// What findings call the directory.
    dir: PathBuf,
    below: PathBuf,
}

impl Source for InDirectory {
    fn name(&self) -> String {
        self.dir.join(&self.below).display().to_string()
    }

    fn stem(&self) -> Option<&str> {
        self.below.file_stem()?.to_str()
    }

    fn ending(&self) -> &str {
        self.below.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
    }

    fn text(&self) -> Result<Secret<String>, String> {
        reading::text(&read_beneath(&self.root, &self.below)?)
    }

    fn beside(&self, below: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let parent = self.below.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let dir = beneath(&self.root, parent, OFlags::PATH | OFlags::DIRECTORY)?;
        read_beneath(&dir, below)
    }
}
