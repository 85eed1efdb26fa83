//! Finding the data plane that runs, or starting one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use egress_linux::process::{PidFd, spawn_as};
use egress_linux::{peer, seqpacket};
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use crate::config;

/// How long a data plane that was just started has until it listens.
const START: Duration = Duration::from_secs(5);

/// How a data plane is started.
pub struct Launch {
    /// Its socket, in a directory that only root enters.
    pub socket_path: PathBuf,
    /// Its user, group and threads.
    pub settings: config::Dataplane,
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
        command.arg("dataplane").arg("--workers").arg(self.settings.workers.to_string());
        command.env_clear().current_dir("/");
        command.stdin(Stdio::from(listener)).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut child = spawn_as(command, self.settings.uid, self.settings.gid)?;
        let given_up = Instant::now() + START;
        loop {
            if let Ok(fd) = seqpacket::connect(&self.socket_path) {
                // Its end is heard on the connection; this only takes its exit status.
                tokio::task::spawn_blocking(move || child.wait());
                return self.check(fd);
            }
            if child.try_wait()?.is_some() || Instant::now() > given_up {
                return Err(io::Error::other("the data plane ended before it listened"));
            }
            sleep(Duration::from_millis(1)).await;
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
