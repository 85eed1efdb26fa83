//! The main thread: takes control's requests, gives them to the workers, brings the answers back.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use egress_linux::process::PidFd;
use egress_linux::{peer, seqpacket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::bell::Bell;
use crate::connection::{Closed, Connection};
use crate::counting::Counting;
use crate::crew::{Crew, Ended};
use crate::news::News;
use crate::order::{Answer, Order, Report, Task, Ticket};
use crate::protocol::{Command, Event, PACKET_MAX, Reply, Request, TunnelId, TunnelStats, VERSION};
use crate::roster::{Roster, TUNNELS_MAX};

/// How long to wait for control without a tunnel to carry.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no serving any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The threads did not start.
    #[error("start {workers} workers")]
    Start {
        /// How many.
        workers: usize,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It cannot wait any more.
    #[error("wait for control")]
    Wait(#[source] io::Error),
    /// A thread failed.
    #[error("a worker cannot go on")]
    Worker(#[source] io::Error),
    /// A thread is gone without a word.
    #[error("a worker has ended")]
    Ended,
}

impl From<Ended> for Error {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

/// Serves control on a listening, non-blocking socket for as long as there is a reason to.
pub fn serve(listener: OwnedFd, workers: usize) -> Result<(), Error> {
    let mut server = Server::new(listener, workers)?;
    while !server.is_finished() {
        server.wait()?;
        server.accept();
        server.hear_control()?;
        server.hear_workers()?;
        server.speak();
    }
    Ok(())
}

struct Server {
    listener: OwnedFd,
    parent_uid: Option<u32>,
    crew: Crew,
    reports: Receiver<Report>,
    bell: Bell,
    roster: Roster,
    news: News,
    counting: Counting,
    connection: Option<Connection>,
    connections: u64,
    buffer: Box<[u8]>,
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

impl Server {
    fn new(listener: OwnedFd, workers: usize) -> Result<Self, Error> {
        let failed = |source| Error::Start { workers, source };
        let (reports_tx, reports) = channel();
        let bell = Bell::new().map_err(|errno| failed(errno.into()))?;
        let crew = Crew::start(workers, &reports_tx, &bell).map_err(failed)?;
        Ok(Self {
            listener,
            parent_uid: parent_uid(),
            crew,
            reports,
            bell,
            roster: Roster::new(workers),
            news: News::default(),
            counting: Counting::default(),
            connection: None,
            connections: 0,
            buffer: vec![0; PACKET_MAX].into_boxed_slice(),
            control: Control::Lost(Instant::now()),
        })
    }

    /// Never while a tunnel is carried.
    fn is_finished(&self) -> bool {
        let free = match self.control {
            Control::There => false,
            Control::Left => self.connection.as_ref().is_none_or(Connection::is_flushed),
            Control::Lost(since) => since.elapsed() >= PATIENCE,
        };
        free && self.roster.is_empty()
    }

    fn wait(&self) -> Result<(), Error> {
        let mut fds = vec![
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.bell, PollFlags::IN),
        ];
        if let Some(connection) = &self.connection {
            fds.push(PollFd::new(connection, connection.interest()));
        }
        let patience = match self.control {
            Control::Lost(since) if self.roster.is_empty() => {
                Timespec::try_from(PATIENCE.saturating_sub(since.elapsed())).ok()
            }
            Control::Lost(_) | Control::There | Control::Left => None,
        };
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Error::Wait(errno.into())),
        }
    }

    /// The newest connection of somebody who may is control.
    fn accept(&mut self) {
        while let Ok(fd) = seqpacket::accept(&self.listener) {
            if !self.may_control(&fd) {
                tracing::warn!("somebody who may not tried to control the data plane");
                continue;
            }
            self.connections += 1;
            if let Ok(connection) = Connection::new(fd, self.connections) {
                self.connection = Some(connection);
                self.control = Control::There;
            }
        }
    }

    fn may_control(&self, fd: &OwnedFd) -> bool {
        peer::credentials(fd).is_ok_and(|peer| peer.uid == 0 || Some(peer.uid) == self.parent_uid)
    }

    fn hear_control(&mut self) -> Result<(), Error> {
        while let Some(connection) = &mut self.connection {
            match connection.receive(&mut self.buffer) {
                Ok(Some((request, fds))) => self.handle(request, fds)?,
                Ok(None) => break,
                Err(closed) => self.lose(&closed),
            }
        }
        Ok(())
    }

    fn lose(&mut self, closed: &Closed) {
        tracing::debug!(error = %closed, "control's connection is closed");
        self.connection = None;
        if self.control == Control::There {
            self.control = Control::Lost(Instant::now());
        }
    }

    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) -> Result<(), Error> {
        let number = request.number;
        match request.command {
            Command::Hello => self.hello(number),
            Command::Bye => {
                self.control = Control::Left;
                self.reply(number, Reply::Done);
            }
            Command::Stats => self.count(number)?,
            Command::Add(config) => {
                let tunnel = config.tunnel;
                let worker = self.roster.place(tunnel);
                self.order(number, worker, tunnel, Task::Add { config, fds })?;
            }
            Command::SetEndpoint { tunnel, peer, endpoint } => {
                let task = Task::SetEndpoint { peer, endpoint, fds };
                self.order_carrier(number, tunnel, task)?;
            }
            Command::Listen { tunnel, peer } => {
                self.order_carrier(number, tunnel, Task::Listen { peer })?;
            }
            Command::Remove { tunnel } => self.order_carrier(number, tunnel, Task::Remove)?,
            Command::Export { tunnel } => self.order_carrier(number, tunnel, Task::Export)?,
        }
        Ok(())
    }

    fn hello(&mut self, number: u64) {
        let tunnels = self.roster.carried();
        self.reply(number, Reply::Hello { version: VERSION, pid: std::process::id(), tunnels });
        if let Some(connection) = &mut self.connection {
            connection.greet();
        }
    }

    fn reply(&mut self, number: u64, reply: Reply) {
        if let Some(connection) = &mut self.connection {
            connection.answer(number, reply.into());
        }
    }

    fn count(&mut self, number: u64) -> Result<(), Error> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let ticket = connection.ticket(number);
        self.counting.begin(ticket, self.crew.len());
        for worker in 0..self.crew.len() {
            self.crew.order(worker, Order::Stats { ticket })?;
        }
        Ok(())
    }

    fn order_carrier(&mut self, number: u64, tunnel: TunnelId, task: Task) -> Result<(), Error> {
        let worker = self.roster.find(tunnel);
        self.order(number, worker, tunnel, task)
    }

    fn order(
        &mut self,
        number: u64,
        worker: Option<usize>,
        tunnel: TunnelId,
        task: Task,
    ) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        match worker {
            Some(worker) => {
                let ticket = connection.ticket(number);
                self.crew.order(worker, Order::Tunnel { ticket, tunnel, task })?;
            }
            None => connection.answer(number, unplaced(tunnel, &task).into()),
        }
        Ok(())
    }

    fn hear_workers(&mut self) -> Result<(), Error> {
        self.bell.hush();
        while let Ok(report) = self.reports.try_recv() {
            match report {
                Report::Answered { ticket, tunnel, carried, answer } => {
                    self.roster.answered(tunnel, carried);
                    self.answer(ticket, answer);
                }
                Report::Counted { ticket, tunnels } => self.counted(ticket, tunnels),
                Report::Happened(event) => {
                    if let Event::DeviceGone { tunnel } = event {
                        self.roster.dropped(tunnel);
                    }
                    self.news.push(event);
                }
                Report::Ended { error } => return Err(Error::Worker(error)),
            }
        }
        Ok(())
    }

    fn counted(&mut self, ticket: Ticket, tunnels: Vec<TunnelStats>) {
        let Some(mut replies) = self.counting.counted(ticket, tunnels) else { return };
        let last = replies.pop();
        let connection = self.connection.as_mut().filter(|connection| connection.issued(ticket));
        if let (Some(connection), Some(last)) = (connection, last) {
            for reply in replies {
                connection.answer_in_part(ticket.number, reply.into());
            }
            connection.answer(ticket.number, last.into());
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        // An answer to a former connection has nobody to read it.
        if let Some(connection) = self.connection.as_mut().filter(|now| now.issued(ticket)) {
            connection.answer(ticket.number, answer);
        }
    }

    fn speak(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(closed) = connection.flush(&mut self.news)
        {
            self.lose(&closed);
        }
    }
}

/// The answer when there is no worker for a task.
fn unplaced(tunnel: TunnelId, task: &Task) -> Reply {
    match task {
        Task::Remove => Reply::Done,
        Task::Add { .. } => Reply::Failed { reason: format!("{TUNNELS_MAX} tunnels are enough") },
        Task::SetEndpoint { .. } | Task::Listen { .. } | Task::Export => {
            Reply::Failed { reason: format!("no tunnel {tunnel}") }
        }
    }
}

/// Whose child this is; `None` when that cannot be told.
fn parent_uid() -> Option<u32> {
    let parent = rustix::process::getppid()?;
    let pid = u32::try_from(parent.as_raw_nonzero().get()).ok()?;
    PidFd::open(pid).and_then(|parent| parent.process_uid()).ok()
}
