//! A disk that forgets what was not synced: one directory, as a filesystem in userspace.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// Nothing is remembered outside this disk.
const NOT: Duration = Duration::ZERO;

/// What would be left after a loss of power, by name.
pub type Files = BTreeMap<OsString, Vec<u8>>;

/// A change of a file that nobody has synced.
enum Unsynced {
    Write { offset: usize, data: Vec<u8> },
    Size(usize),
}

impl Unsynced {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let end = offset + data.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(data);
            }
            Self::Size(size) => content.resize(*size, 0),
        }
    }
}

#[derive(Default)]
struct Inode {
    content: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

/// The directory: names and the inodes that they stand for.
type Names = BTreeMap<OsString, u64>;

/// Everything on the disk, and when its power is to fail.
pub struct State {
    inodes: Vec<Inode>,
    names: Names,
    synced_names: Names,
    /// Syncs are answered, and nothing is done for them.
    lies: bool,
    random: fastrand::Rng,
    until_cut: usize,
    on_cut: Box<dyn FnMut(Files) + Send>,
}

impl State {
    /// Counts a change; from time to time power fails before it.
    fn changes(&mut self) {
        if self.until_cut > 0 {
            self.until_cut -= 1;
            return;
        }
        self.until_cut = self.random.usize(0..40);
        let left = self.after_power_loss();
        (self.on_cut)(left);
    }

    fn after_power_loss(&mut self) -> Files {
        let kept = [0.0, 0.5, 0.9, 1.0][self.random.usize(0..4)];
        let mut names = self.synced_names.clone();
        let now: Vec<_> = self.names.iter().map(|(name, ino)| (name.clone(), *ino)).collect();
        names.retain(|name, _| self.names.contains_key(name) || self.random.f64() > kept);
        for (name, ino) in now {
            if names.contains_key(&name) || self.random.f64() < kept {
                names.insert(name, ino);
            }
        }
        let (inodes, random) = (&self.inodes, &mut self.random);
        let mut content = |ino| torn(&inodes[index(ino)], kept, random);
        names.into_iter().map(|(name, ino)| (name, content(ino))).collect()
    }

    fn sync(&mut self, ino: u64) {
        let inode = &mut self.inodes[index(ino)];
        if !self.lies {
            inode.synced.clone_from(&inode.content);
            inode.unsynced.clear();
        }
    }

    fn change(&mut self, ino: u64, change: Unsynced) {
        self.changes();
        let inode = &mut self.inodes[index(ino)];
        change.apply(&mut inode.content);
        inode.unsynced.push(change);
    }

    fn attributes(&self, ino: u64) -> FileAttr {
        let is_dir = INodeNo(ino) == INodeNo::ROOT;
        let size = if is_dir { 0 } else { self.inodes[index(ino)].content.len() as u64 };
        FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: SystemTime::now(),
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_dir { FileType::Directory } else { FileType::RegularFile },
            perm: if is_dir { 0o700 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

/// What was synced, and of what was not each sector or none, in the order in which it was written.
fn torn(inode: &Inode, kept: f64, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut content = inode.synced.clone();
    for change in &inode.unsynced {
        match change {
            Unsynced::Write { offset, data } => {
                let mut at = 0;
                while at < data.len() {
                    let to_sector_end = SECTOR - (offset + at) % SECTOR;
                    let end = data.len().min(at + to_sector_end);
                    if random.f64() < kept {
                        let data = data[at..end].to_vec();
                        Unsynced::Write { offset: offset + at, data }.apply(&mut content);
                    }
                    at = end;
                }
            }
            Unsynced::Size(_) if random.f64() < kept => change.apply(&mut content),
            Unsynced::Size(_) => {}
        }
    }
    content
}

fn index(ino: u64) -> usize {
    usize::try_from(ino).unwrap() - 2
}

/// A disk, mounted until it is dropped.
pub struct Disk {
    _mounted: BackgroundSession,
}

impl Disk {
    /// Mounts an empty disk. Its power fails before every 20th change or so, at random: then
    /// `on_cut` is handed what would be left, and it goes on.
    pub fn mount(at: &Path, seed: u64, lies: bool, on_cut: Box<dyn FnMut(Files) + Send>) -> Self {
        let state = State {
            inodes: Vec::new(),
            names: Names::new(),
            synced_names: Names::new(),
            lies,
            random: fastrand::Rng::with_seed(seed),
            until_cut: 0,
            on_cut,
        };
        let mounted =
            fuser::spawn_mount(Served(Arc::new(Mutex::new(state))), at, &Config::default());
        Self { _mounted: mounted.expect("mount a filesystem in userspace: is there /dev/fuse?") }
    }
}

struct Served(Arc<Mutex<State>>);

impl Served {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.state();
        match state.names.get(name) {
            Some(ino) => reply.entry(&NOT, &state.attributes(*ino), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&NOT, &self.state().attributes(ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        if let Some(size) = size {
            state.change(ino.0, Unsynced::Size(usize::try_from(size).unwrap()));
        }
        reply.attr(&NOT, &state.attributes(ino.0));
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.state();
        state.changes();
        state.inodes.push(Inode::default());
        let ino = state.inodes.len() as u64 + 1;
        state.names.insert(name.to_owned(), ino);
        let (attributes, direct) = (state.attributes(ino), FopenFlags::FOPEN_DIRECT_IO);
        reply.created(&NOT, &attributes, Generation(0), FileHandle(ino), direct);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(ino.0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.state();
        let content = &state.inodes[index(ino.0)].content;
        let begin = content.len().min(usize::try_from(offset).unwrap());
        reply.data(&content[begin..content.len().min(begin + size as usize)]);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let offset = usize::try_from(offset).unwrap();
        self.state().change(ino.0, Unsynced::Write { offset, data: data.to_vec() });
        reply.written(u32::try_from(data.len()).unwrap());
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.state().sync(ino.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut state = self.state();
        if !state.lies {
            state.synced_names = state.names.clone();
        }
        reply.ok();
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        state.changes();
        state.names.remove(name);
        reply.ok();
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut state = self.state();
        state.changes();
        match state.names.remove(name) {
            Some(ino) => {
                state.names.insert(new.to_owned(), ino);
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = self.state();
        for (at, (name, ino)) in (1..).zip(&state.names).skip(usize::try_from(offset).unwrap()) {
            if reply.add(INodeNo(*ino), at, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }
}
