//! A disk that can be full.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

const FILLER: &str = "filler";
const BLOCK: [u8; 4096] = [0; 4096];

/// A disk of its own for one directory; private to the lab.
pub struct SmallDisk {
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts one of 16 MiB at a directory that is not there yet.
    pub fn mount(dir: impl AsRef<Path>) -> Self {
        let dir = dir.as_ref().to_owned();
        fs::create_dir(&dir).expect("make the disk's directory");
        mount(Some("small"), &dir, Some("tmpfs"), MsFlags::empty(), Some("size=16m,mode=700"))
            .expect("mount a small disk");
        Self { dir }
    }

    /// Leaves no block of it free.
    pub fn fill(&self) {
        let mut filler = File::create(self.dir.join(FILLER)).expect("make a filler");
        loop {
            match filler.write_all(&BLOCK) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("fill a disk: {error}"),
            }
        }
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        fs::remove_file(self.dir.join(FILLER)).expect("remove the filler");
    }
}
