//! A ZIP archive of providers' files. Nothing of it is written anywhere, and it unpacks to no more
//! than an import needs, whatever it says about itself.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use egress_core::api::BODY_MAX;
use egress_core::secret::Secret;
use zeroize::Zeroizing;
use zip::ZipArchive;

use super::source::Source;
use crate::catalog::reading;

/// The most bytes of an archive: 64 MiB.
const ARCHIVE_MAX: usize = 64 << 20;
/// The most entries.
const ENTRIES_MAX: usize = 100_000;
/// What each entry of an archive's directory begins with.
const ENTRY: &[u8] = b"PK\x01\x02";
/// The most bytes that its files may have together, but for those that are too large to be read.
const FILES_SIZE_MAX: u64 = 128 << 20;
/// The most bytes that are unpacked of one archive: a file that many profiles name is unpacked for
/// each of them.
const UNPACKED_MAX: u64 = 512 << 20;

/// An open archive.
pub struct Archive {
    /// What findings call it.
    path: PathBuf,
    zip: RefCell<ZipArchive<Cursor<Zeroizing<Vec<u8>>>>>,
    /// Where each file is. Of two with one name the last counts, as for those who unpack it.
    files: BTreeMap<PathBuf, usize>,
    /// Bytes that may still be unpacked.
    budget: Cell<u64>,
}

impl Archive {
    /// Reads the directory of an archive; an error is a sentence.
    pub fn open(path: &Path) -> Result<Self, String> {
        let bytes = reading::read_large(path, ARCHIVE_MAX, "unpack it and import the directory")?;
        // Room is made for each before it can be asked how many there are.
        let entries = bytes.windows(ENTRY.len()).filter(|bytes| *bytes == ENTRY).count();
        if entries > ENTRIES_MAX {
            return Err(format!("{entries} entries: at most {ENTRIES_MAX}"));
        }
        let zip = ZipArchive::new(Cursor::new(bytes));
        let mut zip = zip.map_err(|error| format!("not a ZIP archive: {error}"))?;
        let files = files(&mut zip)?;
        let (zip, budget) = (RefCell::new(zip), Cell::new(UNPACKED_MAX));
        Ok(Self { path: path.to_owned(), zip, files, budget })
    }

    /// The files in it, in the order of their names.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    fn read(&self, name: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let at = self.files.get(name).ok_or("it is not in the archive")?;
        let mut zip = self.zip.borrow_mut();
        let entry = zip.by_index(*at).map_err(|error| format!("cannot be unpacked: {error}"))?;
        if !entry.is_file() {
            return Err("not a regular file".to_owned());
        }
        let said = entry.size();
        if said > BODY_MAX as u64 {
            return Err(format!("over {BODY_MAX} bytes: the agent takes no more at a time"));
        }
        let left = self.budget.get().checked_sub(said);
        let left = left.ok_or_else(|| format!("more than {UNPACKED_MAX} bytes are unpacked"))?;
        self.budget.set(left);
        // With room for all of it no copy of a key is left behind in a buffer that grew.
        let room = usize::try_from(said).unwrap_or(BODY_MAX) + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        let read = entry.take(said + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot be unpacked: {error}"))?;
        if bytes.len() as u64 > said {
            return Err(format!("more than the {said} bytes that the archive tells of"));
        }
        Ok(bytes)
    }
}

/// Where each file is, by its name. No archive that a provider has made names a place outside of
/// itself.
fn files(
    zip: &mut ZipArchive<Cursor<Zeroizing<Vec<u8>>>>,
) -> Result<BTreeMap<PathBuf, usize>, String> {
    let mut files = BTreeMap::new();
    let mut size = 0_u64;
    for at in 0..zip.len() {
        let entry = zip.by_index_raw(at).map_err(|error| format!("entry {at}: {error}"))?;
        let name = entry.name().map_err(|error| format!("entry {at}: {error}"))?;
        let name = name.replace('\\', "/");
        let path = below(&name).ok_or_else(|| {
            format!("{} would lead out of the archive: nothing is imported", name.escape_debug())
        })?;
        if entry.is_dir() || name.ends_with('/') {
            continue;
        }
        if entry.size() <= BODY_MAX as u64 {
            size += entry.size();
        }
        files.insert(path, at);
    }
    if size > FILES_SIZE_MAX {
        return Err(format!("its files have {size} bytes unpacked: at most {FILES_SIZE_MAX}"));
    }
    Ok(files)
}

/// A name of an entry as a path below the archive; `None` for one that leads elsewhere.
fn below(name: &str) -> Option<PathBuf> {
    let parts = Path::new(name).components().filter(|part| *part != Component::CurDir);
    let is_below = |part: &Component<'_>| matches!(part, Component::Normal(_));
    parts.map(|part| is_below(&part).then_some(part)).collect()
}

/// A file in an archive.
pub struct Entry {
    /// The archive.
    pub archive: Rc<Archive>,
    /// Its name there.
    pub below: PathBuf,
}

impl Source for Entry {
    fn name(&self) -> String {
        format!("{}/{}", self.archive.path.display(), self.below.display())
    }

    fn stem(&self) -> Option<&str> {
        self.below.file_stem()?.to_str()
    }

    fn ending(&self) -> &str {
        self.below.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
    }

    fn text(&self) -> Result<Secret<String>, String> {
        reading::text(&self.archive.read(&self.below)?)
    }

    fn beside(&self, below: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let dir = self.below.parent().unwrap_or(Path::new(""));
        let name: PathBuf =
            dir.join(below).components().filter(|it| *it != Component::CurDir).collect();
        let content = self.archive.read(&name);
        content.map_err(|why| format!("{}: {why}", below.display()))
    }
}
