//! The main thread: takes control's requests, gives them to the workers, brings the answers back.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use egress_linux::seccomp::ConfineError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::bell::Bell;
use crate::confinement::give_up_other_calls;
use crate::counting::Counting;
use crate::crew::{Crew, Ended};
use crate::keeper::Keeper;
use crate::line::Line;
use crate::news::News;
use crate::order::{Order, Report, Task, Ticket};
use crate::protocol::{Command, Event, Reply, TunnelId, VERSION};
use crate::roster::{Roster, TUNNELS_MAX};

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
    /// It could not give up what packets do not take.
    #[error(transparent)]
    Confine(#[from] ConfineError),
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

/// Serves control for as long as there is a reason to.
pub fn serve(line: Line, workers: usize) -> Result<(), Error> {
    let mut server = Server::new(line, workers)?;
    give_up_other_calls()?;
    while !server.is_finished() {
        server.wait()?;
        server.line.accept();
        server.hear_control()?;
        server.hear_workers()?;
        server.line.speak(&mut server.news);
    }
    Ok(())
}

struct Server {
    line: Line,
    crew: Crew,
    reports: Receiver<Report>,
    bell: Bell,
    roster: Roster,
    keeper: Keeper,
    news: News,
    counting: Counting,
}

impl Server {
    fn new(line: Line, workers: usize) -> Result<Self, Error> {
        let failed = |source| Error::Start { workers, source };
        let (reports_tx, reports) = channel();
        let bell = Bell::new().map_err(|errno| failed(errno.into()))?;
        let crew = Crew::start(workers, &reports_tx, &bell).map_err(failed)?;
        Ok(Self {
            line,
            crew,
            reports,
            bell,
            roster: Roster::new(workers),
            keeper: Keeper::default(),
            news: News::default(),
            counting: Counting::default(),
        })
    }

    fn has_nothing(&self) -> bool {
        self.roster.is_empty() && self.keeper.is_empty()
    }

    /// Never while a tunnel is carried or a device kept.
    fn is_finished(&self) -> bool {
        self.has_nothing() && self.line.patience() == Some(Duration::ZERO)
    }

    fn wait(&self) -> Result<(), Error> {
        let mut fds = self.line.interest();
        fds.push(PollFd::new(&self.bell, PollFlags::IN));
        let patience = self.line.patience().filter(|_| self.has_nothing());
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Error::Wait(errno.into())),
        }
    }

    fn hear_control(&mut self) -> Result<(), Error> {
        while let Some((ticket, command, fds)) = self.line.receive() {
            self.handle(ticket, command, fds)?;
        }
        Ok(())
    }

    fn handle(&mut self, ticket: Ticket, command: Command, fds: Vec<OwnedFd>) -> Result<(), Error> {
        match command {
            Command::Hello => {
                let (tunnels, kept) = (self.roster.carried(), self.keeper.kept());
                let (version, pid) = (VERSION, std::process::id());
                self.line.answer(ticket, Reply::Hello { version, pid, tunnels, kept }.into());
                self.line.greet();
            }
            Command::Serve => {
                let reply = self.line.serve(fds);
                self.line.answer(ticket, reply.into());
            }
            Command::Ping => {
                let stuck = self.crew.look_for_stuck();
                self.line.answer(ticket, Reply::Alive { stuck }.into());
            }
            Command::Bye => {
                self.line.answer(ticket, Reply::Done.into());
                self.line.leave();
            }
            Command::Stats => self.count(ticket)?,
            Command::Add(config) => {
                let tunnel = config.tunnel;
                let worker = self.roster.place(tunnel);
                self.order(ticket, worker, tunnel, Task::Add { config, fds })?;
            }
            Command::Keep { tunnel } => {
                let reply = self.keeper.keep(tunnel, fds);
                self.line.answer(ticket, reply.into());
            }
            Command::SetEndpoint { tunnel, peer, endpoint } => {
                self.order_carrier(ticket, tunnel, Task::SetEndpoint { peer, endpoint, fds })?;
            }
            Command::Listen { tunnel, peer } => {
                self.order_carrier(ticket, tunnel, Task::Listen { peer })?;
            }
            Command::Remove { tunnel } if self.keeper.drop(tunnel) => {
                self.line.answer(ticket, Reply::Done.into());
            }
            Command::Remove { tunnel } => self.order_carrier(ticket, tunnel, Task::Remove)?,
            Command::Export { tunnel } => match self.keeper.export(tunnel) {
                Some(answer) => self.line.answer(ticket, answer),
                None => self.order_carrier(ticket, tunnel, Task::Export)?,
            },
        }
        Ok(())
    }

    fn count(&mut self, ticket: Ticket) -> Result<(), Error> {
        self.counting.begin(ticket, self.crew.len());
        for worker in 0..self.crew.len() {
            self.crew.order(worker, Order::Stats { ticket })?;
        }
        Ok(())
    }

    fn order_carrier(&mut self, ticket: Ticket, tunnel: TunnelId, task: Task) -> Result<(), Error> {
        let worker = self.roster.find(tunnel);
        self.order(ticket, worker, tunnel, task)
    }

    fn order(
        &mut self,
        ticket: Ticket,
        worker: Option<usize>,
        tunnel: TunnelId,
        task: Task,
    ) -> Result<(), Error> {
        match worker {
            Some(worker) => self.crew.order(worker, Order::Tunnel { ticket, tunnel, task })?,
            None => self.line.answer(ticket, unplaced(tunnel, &task).into()),
        }
        Ok(())
    }

    fn hear_workers(&mut self) -> Result<(), Error> {
        self.bell.hush();
        while let Ok(report) = self.reports.try_recv() {
            match report {
                Report::Answered { ticket, tunnel, carried, answer } => {
                    self.roster.answered(tunnel, carried);
                    self.line.answer(ticket, answer);
                }
                Report::Counted { ticket, tunnels } => {
                    if let Some((parts, last)) = self.counting.counted(ticket, tunnels) {
                        self.line.answer_in_parts(ticket, parts, last);
                    }
                }
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
