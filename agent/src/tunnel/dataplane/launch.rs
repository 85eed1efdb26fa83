//! Finding the data plane that runs, starting one, and ending those that must not run any more.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use egress_linux::process::{PidFd, spawn_as};
use egress_linux::{peer, ready, seqpacket};
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::connection::Connection;
use crate::config;
use crate::directory::{FileId, PRIVATE_MODE, RUN_MODE, ensure};

/// What `ps` calls it.
const NAME: &str = "egress-dataplane";
/// Threads that are of use without being asked for.
const WORKERS_MOST: usize = 4;
/// How long a process that was killed is waited for. Where nobody else holds its devices the kernel
/// takes much longer, since it takes them away one after another.
const END: Duration = Duration::from_secs(1);

/// How a data plane is started.
pub struct Launch {
    /// The agent's; its socket is below it, in a directory that only root enters.
    pub run_dir: PathBuf,
    /// Its user, group and threads.
    pub settings: config::Dataplane,
    /// How it logs, on control's standard error.
    pub log: config::Log,
}

impl Launch {
    /// The socket by which the next control finds the data plane.
    pub fn socket_path(&self) -> PathBuf {
        self.private_dir().join("dataplane.sock")
    }

    fn private_dir(&self) -> PathBuf {
        self.run_dir.join("private")
    }

    /// A connection to the data plane that runs, if one does.
    pub fn find(&self) -> io::Result<Option<Connection>> {
        let Ok(fd) = seqpacket::connect(&self.socket_path()) else { return Ok(None) };
        let other = peer::credentials(&fd)?;
        // Keys go to nobody but a process of the data plane's own user.
        if other.uid != self.settings.uid {
            let fault = format!("the data plane's socket belongs to uid {}", other.uid);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, fault));
        }
        match PidFd::open(other.pid) {
            Ok(process) => Connection::new(fd, process).map(Some),
            // A child of an agent that died keeps the socket until it executes.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A connection to a new data plane.
    pub fn start(&self) -> io::Result<Connection> {
        let (ours, theirs) = seqpacket::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(NAME).arg("dataplane").arg("--socket").arg(self.socket_path());
        command.arg("--workers").arg(self.workers().to_string());
        command.arg("--log-format").arg(self.log.format.as_str());
        command.arg("--log-level").arg(&self.log.level);
        command.env_clear().current_dir("/");
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = spawn_as(command, self.settings.uid, self.settings.gid)?;
        let process = PidFd::open(child.id());
        reap(child)?;
        Connection::new(ours, process?)
    }

    /// The socket that the next control is to connect to, in directories that are made again if
    /// they are gone.
    pub fn bind(&self) -> io::Result<(OwnedFd, FileId)> {
        ensure(&self.run_dir, RUN_MODE)?;
        ensure(&self.private_dir(), PRIVATE_MODE)?;
        let path = self.socket_path();
        Ok((seqpacket::bind(&path)?, FileId::at(&path)?))
    }

    /// Which socket the next control would connect to now.
    pub fn socket_file(&self) -> Option<FileId> {
        FileId::at(&self.socket_path()).ok()
    }

    fn workers(&self) -> usize {
        match self.settings.workers {
            0 => available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MOST)),
            workers => workers,
        }
    }

    /// Ends every data plane of this agent but one: nobody could reach it any more, and it would
    /// read the devices of sessions that have others now.
    pub async fn end_others(&self, wanted: Option<u32>) {
        let (uid, socket_path) = (self.settings.uid, self.socket_path());
        let found = spawn_blocking(move || all_of(uid, &socket_path)).await.unwrap_or_default();
        for process in found.into_iter().filter(|process| Some(process.pid()) != wanted) {
            warn!(pid = process.pid(), "a data plane that cannot be reached is ended");
            end(&process).await;
        }
    }
}

/// Kills a process and waits for its end. It runs no more from the kill on, even where the kernel
/// takes longer to end it.
pub async fn end(process: &PidFd) {
    // An error means that it has ended already.
    let _ = process.send_signal(Signal::KILL);
    let ended = async {
        let readable = ready::register(process.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        readable.readable().await.map(drop)
    };
    match timeout(END, ended).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "the end of a data plane cannot be waited for"),
        Err(_) => info!(pid = process.pid(), "the kernel still takes away what a data plane had"),
    }
}

/// Takes its exit status. On a thread that the runtime's end does not wait for: the data plane
/// outlives control.
fn reap(mut child: Child) -> io::Result<()> {
    let reaper = thread::Builder::new().name("reap-dataplane".to_owned());
    reaper.spawn(move || child.wait()).map(drop)
}

/// The data planes of the agent with this socket, in this network namespace.
fn all_of(uid: u32, socket_path: &Path) -> Vec<PidFd> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    let is_one = |pid: u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        arguments.next() == Some(NAME.as_bytes())
            && arguments.any(|argument| argument == socket_path.as_os_str().as_encoded_bytes())
            && fs::read_link(format!("/proc/{pid}/ns/net")).ok() == own
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let processes = pids.filter_map(|pid| {
        // Opened first: what is read of it then is its own while it lives.
        let process = is_one(pid).then(|| PidFd::open(pid).ok())??;
        (process.process_uid().ok() == Some(uid) && is_one(pid)).then_some(process)
    });
    processes.collect()
}
