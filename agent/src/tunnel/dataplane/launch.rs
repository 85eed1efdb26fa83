//! Finding the data plane that runs, or starting one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use egress_linux::process::{PidFd, spawn_as};
use egress_linux::{peer, seqpacket};
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use crate::config;

/// How long a data plane that was just started has until it listens.
const START: Duration = Duration::from_secs(5);

/// Threads that are of use without being asked for.
const WORKERS_MOST: usize = 4;

/// How a data plane is started.
pub struct Launch {
    /// Its socket, in a directory that only root enters.
    pub socket_path: PathBuf,
    /// Its user, group and threads.
    pub settings: config::Dataplane,
    /// How it logs, on control's standard error.
    pub log: config::Log,
}

/// Its end is heard on the connection; this only takes its exit status. On a thread that the
/// runtime's end does not wait for: the data plane outlives control.
fn reap(mut child: Child) -> io::Result<()> {
    let reaper = thread::Builder::new().name("dataplane-reaper".to_owned());
    reaper.spawn(move || child.wait()).map(drop)
}

impl Launch {
    /// A connection to the data plane that runs, if one does.
    pub fn find(&self) -> Option<io::Result<Connection>> {
        seqpacket::connect(&self.socket_path).ok().map(|fd| self.check(fd))
    }

    /// A connection to a new data plane.
    pub async fn start(&self) -> io::Result<Connection> {
        let listener = seqpacket::bind(&self.socket_path)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("dataplane").arg("--workers").arg(self.workers().to_string());
        command.arg("--log-format").arg(self.log.format.as_str());
        command.arg("--log-level").arg(&self.log.level);
        command.env_clear().current_dir("/");
        command.stdin(Stdio::from(listener)).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut child = spawn_as(command, self.settings.uid, self.settings.gid)?;
        let given_up = Instant::now() + START;
        loop {
            if let Ok(fd) = seqpacket::connect(&self.socket_path) {
                reap(child)?;
                return self.check(fd);
            }
            if child.try_wait()?.is_some() || Instant::now() > given_up {
                return Err(io::Error::other("the data plane ended before it listened"));
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn workers(&self) -> usize {
        match self.settings.workers {
            0 => available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MOST)),
            workers => workers,
        }
    }

    /// Keys go to nobody but a process of the data plane's own user.
    fn check(&self, fd: OwnedFd) -> io::Result<Connection> {
        let other = peer::credentials(fd.as_fd())?;
        if other.uid != self.settings.uid {
            let fault = format!("the data plane's socket belongs to uid {}", other.uid);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, fault));
        }
        Connection::new(fd, PidFd::open(other.pid)?)
    }
}
