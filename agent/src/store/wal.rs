//! A look at SQLite's write-ahead log before SQLite reads it. The format is section 4 of
//! <https://www.sqlite.org/fileformat2.html>.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Without its last bit, which tells the order of bytes in sums.
const MAGIC: u32 = 0x377f_0682;
/// The largest page of a database.
const PAGE_MAX: u32 = 65_536;

/// State of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wal {
    /// All of it can be read, up to what a transaction that never ended has left; or there is none.
    Readable,
    /// The end of it cannot be read.
    Torn,
    /// None of it can.
    Unreadable,
}

/// The log of the store at this path.
pub(super) fn path_of(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push("-wal");
    PathBuf::from(path)
}

/// Reads a log to the first frame that is of no use.
pub(super) fn look_at(path: &Path) -> io::Result<Wal> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Wal::Readable),
        opened => opened?,
    };
    let mut log = BufReader::new(file);
    let mut header = [0; HEADER];
    // Nothing was written yet, or only half of this.
    if !filled(&mut log, &mut header)? || header == [0; HEADER] {
        return Ok(Wal::Readable);
    }
    let (magic, page) = (word(&header, 0), word(&header, 8));
    let mut sum = Sum { big_endian: magic & 1 == 1, of: (0, 0) };
    sum.add(&header[..24]);
    let known = magic & !1 == MAGIC && (512..=PAGE_MAX).contains(&page);
    if !known || sum.of != (word(&header, 24), word(&header, 28)) {
        return Ok(Wal::Unreadable);
    }
    let mut frame = vec![0; FRAME_HEADER + page as usize];
    while filled(&mut log, &mut frame)? {
        // Older frames follow the newest: a log is written from its beginning again and again.
        if frame[8..16] != header[16..24] {
            break;
        }
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER..]);
        if sum.of != (word(&frame, 16), word(&frame, 20)) {
            return Ok(Wal::Torn);
        }
    }
    Ok(Wal::Readable)
}

/// Keeps a copy of a log beside it, in place of a former one.
pub(super) fn keep(path: &Path) -> io::Result<PathBuf> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(".torn");
    // With the mode of the log.
    fs::copy(path, &copy)?;
    Ok(PathBuf::from(copy))
}

/// Fills `part`, or tells that there was less to read.
fn filled(log: &mut impl Read, part: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(part) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The sum over everything that was read so far.
struct Sum {
    big_endian: bool,
    of: (u32, u32),
}

impl Sum {
    /// Adds a multiple of eight bytes.
    fn add(&mut self, bytes: &[u8]) {
        let word = |at: &[u8]| {
            let word = word(at, 0);
            if self.big_endian { word } else { word.swap_bytes() }
        };
        for pair in bytes.chunks_exact(8) {
            self.of.0 = self.of.0.wrapping_add(word(&pair[..4])).wrapping_add(self.of.1);
            self.of.1 = self.of.1.wrapping_add(word(&pair[4..])).wrapping_add(self.of.0);
        }
    }
}
