//! A tunnel's directory: the socket that its openvpn connects to, and who that openvpn is.
//!
//! Root owns it, and the tunnel's group may enter it: no other user reaches the socket. Who
//! connects is checked all the same.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use egress_dataplane::protocol::TunnelId;
use egress_linux::process::PidFd;
use egress_linux::process_stat;
use rustix::process::Signal;
use tokio::net::UnixListener;
use tokio::time::sleep;
use tracing::warn;

use super::OpenvpnError;
use crate::directory::{RUN_MODE, ensure};

/// How long an openvpn whose agent has died has to end by itself. Its goodbye goes out at once; after
/// that it only waits.
const GOODBYE: Duration = Duration::from_millis(500);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Each openvpn enters its own directory, and nobody sees which others there are.
const PARENT_MODE: u32 = 0o711;
/// The socket that openvpn connects to.
const SOCKET: &str = "management.sock";
/// Says which process is the tunnel's.
const PROCESS: &str = "process";
/// openvpn's own.
const TMP: &str = "tmp";

/// It is removed when dropped.
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes the directory of a tunnel whose openvpn is this user's.
    pub fn make(parent: &Path, tunnel: TunnelId, uid: u32) -> Result<Self, OpenvpnError> {
        let dir = parent.join(format!("{tunnel:x}"));
        // Of a tunnel of that number that has ended without a trace.
        clear(&dir).map_err(|source| OpenvpnError::Place { path: dir.clone(), source })?;
        let place = Self { dir };
        place.restore(uid)?;
        Ok(place)
    }

    /// Makes again what somebody took away of it, and says whether its socket is there.
    pub fn restore(&self, uid: u32) -> Result<bool, OpenvpnError> {
        for (dir, mode) in self.dir.ancestors().skip(1).zip([PARENT_MODE, RUN_MODE]) {
            ensure(dir, mode).map_err(|source| OpenvpnError::Place { path: dir.into(), source })?;
        }
        if !self.dir.exists() {
            make_dir(&self.dir, 0o710, (None, uid))?;
        }
        if !self.tmp_dir().exists() {
            make_dir(&self.tmp_dir(), 0o700, (Some(uid), uid))?;
        }
        Ok(self.socket_path().exists())
    }

    /// Where openvpn's management connection comes in.
    pub fn listen(&self, uid: u32) -> Result<UnixListener, OpenvpnError> {
        let path = self.socket_path();
        let listen = || {
            let _ = fs::remove_file(&path);
            let listener = UnixListener::bind(&path)?;
            chown(&path, None, Some(uid))?;
            fs::set_permissions(&path, Permissions::from_mode(0o660))?;
            Ok(listener)
        };
        listen().map_err(|source| OpenvpnError::Place { path: path.clone(), source })
    }

    /// The socket's.
    pub fn socket_path(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    /// openvpn checks that it may write there, and does not.
    pub fn tmp_dir(&self) -> PathBuf {
        self.dir.join(TMP)
    }

    /// Says which process is the tunnel's, for an agent that finds it left behind.
    pub fn note_process(&self, pid: u32) -> io::Result<()> {
        let began = began(pid)?;
        fs::write(self.dir.join(PROCESS), format!("{pid} {began}\n"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.dir) {
            warn!(%error, dir = %self.dir.display(), "a tunnel's directory stays behind");
        }
    }
}

fn make_dir(path: &Path, mode: u32, (user, group): (Option<u32>, u32)) -> Result<(), OpenvpnError> {
    let make = || {
        DirBuilder::new().mode(0o700).create(path)?;
        // The mask does not count for this.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        chown(path, user, Some(group))
    };
    make().map_err(|source| OpenvpnError::Place { path: path.into(), source })
}

/// Removes a tunnel's directory, if it is there. Root without the right to pass over permissions
/// may not look into openvpn's own, which is empty.
fn clear(dir: &Path) -> io::Result<()> {
    let there = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for name in [SOCKET, PROCESS] {
        there(fs::remove_file(dir.join(name)))?;
    }
    there(fs::remove_dir(dir.join(TMP)))?;
    there(fs::remove_dir(dir))
}

/// Makes the directory of all tunnels, empty. A process that is named in one is ended: it has the
/// device of a session that will get another one.
pub async fn sweep(parent: &Path) -> Result<(), OpenvpnError> {
    let at = |source| OpenvpnError::Place { path: parent.into(), source };
    ensure(parent, PARENT_MODE).map_err(at)?;
    let mut processes = Vec::new();
    for entry in fs::read_dir(parent).map_err(at)?.flatten() {
        processes.extend(left_behind(&entry.path()));
        clear(&entry.path()).map_err(at)?;
    }
    end(&processes).await;
    Ok(())
}

fn left_behind(dir: &Path) -> Option<PidFd> {
    let note = fs::read_to_string(dir.join(PROCESS)).ok()?;
    let (pid, noted) = note.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    let process = PidFd::open(pid).ok()?;
    // Another process may have got the number since.
    (began(pid).ok()?.to_string() == noted).then_some(process)
}

/// They end by themselves, and say goodbye to their servers, because their agent is gone.
async fn end(processes: &[PidFd]) {
    for _ in 0..GOODBYE.as_millis() / LOOK.as_millis() {
        if !processes.iter().any(PidFd::alive) {
            return;
        }
        sleep(LOOK).await;
    }
    for process in processes.iter().filter(|process| process.alive()) {
        warn!(pid = process.pid(), "an openvpn without an agent is killed");
        // An error means that it has ended meanwhile.
        let _ = process.send_signal(Signal::KILL);
    }
}

/// When a process was started, in the kernel's ticks: with its number, it and no other.
fn began(pid: u32) -> io::Result<u64> {
    Ok(process_stat::read(pid)?.began)
}
