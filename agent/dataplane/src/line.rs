//! The line to control: who it is, whether it is there, how long to wait for it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use egress_linux::process::PidFd;
use egress_linux::{peer, seqpacket};
use rustix::event::{PollFd, PollFlags};

use crate::connection::{Closed, Connection};
use crate::news::News;
use crate::order::{Answer, Ticket};
use crate::protocol::{Command, Reply};

/// How long to wait for a control that is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when a connection cannot be accepted: there are no descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The listening socket, once there is one, and the connection that is control.
pub struct Line {
    listener: Option<OwnedFd>,
    parent_uid: Option<u32>,
    connection: Option<Connection>,
    connections: u64,
    control: Control,
}

/// What is known of control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    /// It was connected when last seen.
    There,
    /// It said goodbye.
    Left,
    /// It is gone since then, without a word.
    Lost(Instant),
}

impl Line {
    /// The line that whoever started this process is on.
    pub fn new(control: OwnedFd) -> std::io::Result<Self> {
        Ok(Self {
            listener: None,
            parent_uid: parent_uid(),
            connection: Some(Connection::new(control, 1)?),
            connections: 1,
            control: Control::There,
        })
    }

    /// Takes connections at this bound socket, and no more at a former one.
    pub fn serve(&mut self, fds: Vec<OwnedFd>) -> Reply {
        let failed = |reason| Reply::Failed { reason };
        let Ok([listener]) = <[OwnedFd; 1]>::try_from(fds) else {
            return failed("expected one descriptor".to_owned());
        };
        // Here and not by control, so that whoever connects sees this process's credentials.
        let listening = seqpacket::listen(&listener)
            .and_then(|()| Ok(rustix::io::ioctl_fionbio(&listener, true)?));
        if let Err(error) = listening {
            return failed(format!("listen for control: {error}"));
        }
        self.listener = Some(listener);
        Reply::Done
    }

    /// How long to wait for control while there is nothing to carry; `None` while it is there.
    pub fn patience(&self) -> Option<Duration> {
        match self.control {
            Control::There => None,
            Control::Left => self.is_flushed().then_some(Duration::ZERO),
            Control::Lost(since) => Some(PATIENCE.saturating_sub(since.elapsed())),
        }
    }

    fn is_flushed(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_flushed)
    }

    /// What to poll for it.
    pub fn interest(&self) -> Vec<PollFd<'_>> {
        let listener = self.listener.iter();
        let mut fds: Vec<_> = listener.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        fds.extend(self.connection.as_ref().map(|now| PollFd::new(now, now.interest())));
        fds
    }

    /// Accepts whoever wants to be control and may. The newest is.
    pub fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            match seqpacket::accept(listener) {
                Ok(fd) => self.welcome(fd),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "control's connection was not accepted");
                    std::thread::sleep(ACCEPT_AGAIN);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, fd: OwnedFd) {
        if !self.may_control(&fd) {
            tracing::warn!("somebody who may not tried to control the data plane");
            return;
        }
        self.connections += 1;
        if let Ok(connection) = Connection::new(fd, self.connections) {
            self.connection = Some(connection);
            self.control = Control::There;
        }
    }

    fn may_control(&self, fd: &OwnedFd) -> bool {
        peer::credentials(fd).is_ok_and(|peer| peer.uid == 0 || Some(peer.uid) == self.parent_uid)
    }

    /// The next request with its descriptors.
    pub fn receive(&mut self) -> Option<(Ticket, Command, Vec<OwnedFd>)> {
        let connection = self.connection.as_mut()?;
        match connection.receive() {
            Ok(request) => {
                let (request, fds) = request?;
                Some((connection.ticket(request.number), request.command, fds))
            }
            Err(closed) => {
                self.lose(&closed);
                None
            }
        }
    }

    /// Control knows who this is: it may hear news.
    pub fn greet(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.greet();
        }
    }

    /// Control has said goodbye.
    pub fn leave(&mut self) {
        self.control = Control::Left;
    }

    /// Lines up the only reply to a request. Nobody reads one to a former connection's.
    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(connection) = self.issuer(ticket) {
            connection.answer(ticket.number, answer);
        }
    }

    /// Lines up the replies to a request.
    pub fn answer_in_parts(&mut self, ticket: Ticket, parts: Vec<Reply>, last: Reply) {
        let Some(connection) = self.issuer(ticket) else { return };
        for part in parts {
            connection.answer_in_part(ticket.number, part.into());
        }
        connection.answer(ticket.number, last.into());
    }

    fn issuer(&mut self, ticket: Ticket) -> Option<&mut Connection> {
        self.connection.as_mut().filter(|connection| connection.issued(ticket))
    }

    /// Sends what is lined up, then news, as far as control's buffer takes it.
    pub fn speak(&mut self, news: &mut News) {
        if let Some(connection) = &mut self.connection
            && let Err(closed) = connection.flush(news)
        {
            self.lose(&closed);
        }
    }

    fn lose(&mut self, closed: &Closed) {
        tracing::debug!(error = %closed, "control's connection is closed");
        self.connection = None;
        if self.control == Control::There {
            self.control = Control::Lost(Instant::now());
        }
    }
}

/// Whose child this is; `None` when that cannot be told.
fn parent_uid() -> Option<u32> {
    let parent = rustix::process::getppid()?;
    let pid = u32::try_from(parent.as_raw_nonzero().get()).ok()?;
    PidFd::open(pid).and_then(|parent| parent.process_uid()).ok()
}
