//! Keeps one data plane running, and tells a new one all that the last one carried.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egress_core::backoff::Backoff;
use egress_dataplane::protocol::{Command, Event, Message, Reply, Request, TunnelId};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use super::connection::{Connection, Received};
use super::heartbeat::{BEAT, Beat, Heartbeat, Lost};
use super::held::Held;
use super::launch::Launch;
use super::start::{first_connection, start_until_it_runs};
use super::waiting::{Waiting, close};
use super::{DataplaneError, Done, Found, Job, News};
use crate::directory::FileId;
use crate::metrics::Metrics;
use crate::readiness::{Part, Readiness};
use crate::telemetry::chain;

/// The first wait after a data plane that could not be started, or died at once.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// The longest one.
const RETRY_MOST: Duration = Duration::from_secs(5);
/// One that lived for so long did not die of what it was started with.
const STABLE: Duration = Duration::from_secs(1);
/// Beats between two looks whether the next control would find the data plane.
const LOOK_BEATS: u32 = 4;
/// Messages that are taken in before a beat is judged: more than a socket's buffer holds.
const BACKLOG: usize = 1024;

pub(super) struct Supervisor {
    launch: Launch,
    metrics: Metrics,
    connection: Connection,
    held: Held,
    /// What the data plane lacks of it, and who waits for that.
    again: VecDeque<(TunnelId, Option<Done<()>>)>,
    waiting: HashMap<u64, Waiting>,
    next_number: u64,
    heartbeat: Heartbeat,
    beats: u32,
    started: Instant,
    backoff: Backoff,
    /// The socket where the next control finds the data plane.
    served: Option<FileId>,
    /// It was said that there is none.
    unserved: bool,
    readiness: Readiness,
    /// Control is going, and the data plane may.
    leaving: bool,
}

/// Why the data plane is started again.
enum End {
    /// It has ended.
    Died,
    /// It goes on, and is of no use.
    Lost(Lost),
    /// What it says is not of the protocol, or cannot be read.
    Confused(std::io::Error),
}

/// Finds or starts a data plane, and serves `jobs` until every handle is gone.
pub async fn start(
    launch: Launch,
    metrics: Metrics,
    readiness: Readiness,
    jobs: mpsc::Receiver<Job>,
) -> Result<Found, DataplaneError> {
    let (connection, found) = first_connection(&launch).await?;
    metrics.follow_dataplane(connection.process().pid());
    let mut supervisor = Supervisor {
        // Of one that was found.
        served: found.is_some().then(|| launch.socket_file()).flatten(),
        launch,
        metrics,
        connection,
        held: Held::default(),
        again: VecDeque::new(),
        waiting: HashMap::new(),
        next_number: 1,
        heartbeat: Heartbeat::default(),
        beats: 0,
        started: Instant::now(),
        backoff: Backoff::new(RETRY_FIRST, RETRY_MOST, u64::from(std::process::id())),
        unserved: false,
        readiness,
        leaving: false,
    };
    supervisor.be_found();
    tokio::spawn(supervisor.run(jobs));
    Ok(found.unwrap_or_default())
}

impl Supervisor {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut beats = interval(BEAT);
        // After a pause of our own it has the time of a beat to answer again.
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.hand_over_again();
            // Requests wait in the channel for as long as the data plane has enough to read.
            let takes_jobs = self.again.is_empty() && self.connection.has_room();
            let ended = tokio::select! {
                job = jobs.recv(), if takes_jobs => match job {
                    Some(job) => { self.take(job); None }
                    None => return,
                },
                received = self.connection.next() => self.receive(received),
                _ = beats.tick() => self.beat(),
            };
            match ended {
                None => {}
                Some(End::Died) if self.leaving => return,
                Some(end) => self.restart(&end, &mut jobs).await,
            }
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Add { carried, news_tx, done_tx } => {
                let tunnel = carried.config.tunnel;
                self.held.carry(carried, news_tx);
                self.hand_over(tunnel, Some(done_tx));
            }
            Job::Adopt { tunnel, news_tx, done_tx } => {
                let waiting = Waiting::Adopt { news_tx, done_tx };
                self.send(Command::Export { tunnel }, Vec::new(), waiting);
            }
            Job::Keep { tunnel, device, done_tx } => {
                self.held.keep(tunnel, device);
                self.hand_over(tunnel, Some(done_tx));
            }
            Job::Retake { tunnel, done_tx } => {
                let waiting = Waiting::Retake { tunnel, done_tx };
                self.send(Command::Export { tunnel }, Vec::new(), waiting);
            }
            Job::Export { tunnel, done_tx } => {
                self.send(Command::Export { tunnel }, Vec::new(), Waiting::Export(done_tx));
            }
            Job::SetEndpoint { tunnel, peer, endpoint, socket, done_tx } => {
                let socket = Arc::new(socket);
                self.held.moved(tunnel, peer, endpoint, Some(Arc::clone(&socket)));
                let command = Command::SetEndpoint { tunnel, peer, endpoint };
                self.send(command, vec![socket], Waiting::Done(done_tx));
            }
            Job::Listen { tunnel, peer, done_tx } => {
                let command = Command::Listen { tunnel, peer };
                self.send(command, Vec::new(), Waiting::Done(done_tx));
            }
            Job::Remove { tunnel, done_tx } => {
                let waiting = Waiting::Removed { held: self.held.forget(tunnel), done_tx };
                self.send(Command::Remove { tunnel }, Vec::new(), waiting);
            }
            Job::Stats { done_tx } => {
                let waiting = Waiting::Stats { so_far: Vec::new(), done_tx };
                self.send(Command::Stats, Vec::new(), waiting);
            }
            Job::Bye { done_tx } => {
                self.leaving = true;
                self.send(Command::Bye, Vec::new(), Waiting::Done(done_tx));
            }
        }
    }

    /// What the data plane lacks, as much of it as the connection has room for.
    fn hand_over_again(&mut self) {
        while self.connection.has_room()
            && let Some((tunnel, done_tx)) = self.again.pop_front()
        {
            self.hand_over(tunnel, done_tx);
        }
    }

    /// Has the data plane carry a tunnel or keep a device that is held here.
    fn hand_over(&mut self, tunnel: TunnelId, done_tx: Option<Done<()>>) {
        let (command, fds) = match (self.held.tunnel(tunnel), self.held.device(tunnel)) {
            (Some(held), _) => (Command::Add(held.config.clone()), held.fds()),
            (None, Some(device)) => (Command::Keep { tunnel }, vec![Arc::clone(device)]),
            // Removed meanwhile.
            (None, None) => return,
        };
        self.send(command, fds, Waiting::Handed { tunnel, done_tx });
    }

    fn send(&mut self, command: Command, fds: Vec<Arc<OwnedFd>>, waiting: Waiting) {
        let number = self.next_number;
        self.next_number += 1;
        match self.connection.queue(&Request { number, command }, fds) {
            Ok(()) => drop(self.waiting.insert(number, waiting)),
            Err(error) => waiting.fail(DataplaneError::Unsendable(error)),
        }
    }

    fn receive(&mut self, received: std::io::Result<Received>) -> Option<End> {
        self.heartbeat.heard();
        match received {
            Ok(Received::Message(Message::Event(event), _)) => self.pass_on(event),
            Ok(Received::Message(Message::Reply { reply: Reply::Alive { stuck }, .. }, _)) => {
                self.readiness.clear(Part::Dataplane);
                return self.heartbeat.answered(stuck).map(End::Lost);
            }
            Ok(Received::Message(Message::Reply { number, reply }, fds)) => {
                if let Some(waiting) = self.waiting.remove(&number) {
                    self.answer(number, waiting, reply, fds);
                } else {
                    warn!(number, "the data plane answered what nobody asked");
                }
            }
            Ok(Received::Unsendable(number, error)) => {
                warn!(%error, "the data plane could not be asked");
                if let Some(waiting) = self.waiting.remove(&number) {
                    waiting.fail(DataplaneError::Unsendable(error));
                }
            }
            Ok(Received::End) => return Some(End::Died),
            Err(error) => return Some(End::Confused(error)),
        }
        None
    }

    fn pass_on(&mut self, event: Event) {
        if let Event::Moved { tunnel, peer, endpoint } = event {
            self.held.moved(tunnel, peer, endpoint, None);
        }
        if let Some(tunnel) = self.held.tunnel(tunnel_of(&event)) {
            // A full queue: the data plane repeats what stays true.
            let _ = tunnel.news_tx.try_send(News { at: Instant::now(), event });
        }
    }

    fn answer(&mut self, number: u64, waiting: Waiting, reply: Reply, fds: Vec<OwnedFd>) {
        match (waiting, reply) {
            (Waiting::Handed { tunnel, done_tx: None }, Reply::Failed { reason }) => {
                error!(tunnel, reason, "a tunnel was lost with the data plane that carried it");
            }
            (Waiting::Served, Reply::Failed { reason }) => {
                warn!(reason, "the next agent would not find the data plane");
                self.served = None;
            }
            (waiting, Reply::Failed { reason }) => waiting.fail(DataplaneError::Refused(reason)),
            (Waiting::Done(done_tx), Reply::Done) => drop(done_tx.send(Ok(()))),
            (Waiting::Handed { done_tx, .. }, Reply::Done) => {
                drop(done_tx.map(|done_tx| done_tx.send(Ok(()))));
            }
            (Waiting::Removed { held, done_tx }, Reply::Done) => close(held, done_tx),
            (Waiting::Served, Reply::Done) => {}
            (Waiting::Export(done_tx), Reply::Exported { .. } | Reply::Kept) => {
                drop(done_tx.send(Ok(fds)));
            }
            (Waiting::Retake { tunnel, done_tx }, Reply::Kept) => {
                drop(done_tx.send(self.held.retake(tunnel, fds)));
            }
            (Waiting::Adopt { news_tx, done_tx }, Reply::Exported { config }) => {
                drop(done_tx.send(self.held.adopt(config, news_tx, fds)));
            }
            (Waiting::Stats { mut so_far, done_tx }, Reply::Stats { tunnels, more }) => {
                so_far.extend(tunnels);
                if more {
                    self.waiting.insert(number, Waiting::Stats { so_far, done_tx });
                } else {
                    let _ = done_tx.send(Ok(so_far));
                }
            }
            (waiting, _) => waiting.fail(DataplaneError::Confused),
        }
    }

    /// Looks whether the data plane still does its work.
    fn beat(&mut self) -> Option<End> {
        // What has come in counts, also where it is control that had no time.
        for _ in 0..BACKLOG {
            let received = match self.connection.poll() {
                Ok(None) => break,
                Ok(Some(received)) => Ok(received),
                Err(error) => Err(error),
            };
            if let Some(end) = self.receive(received) {
                return Some(end);
            }
        }
        self.beats = self.beats.wrapping_add(1);
        if self.beats.is_multiple_of(LOOK_BEATS) {
            self.be_found();
        }
        let process = self.connection.process();
        match self.heartbeat.beat(|| process.is_stopped()) {
            Beat::Lost(lost) => return Some(End::Lost(lost)),
            Beat::Wait => {}
            Beat::Ask => self.ping(),
        }
        if let Some(silence) = self.heartbeat.silence() {
            let why = format!("it has not answered for {silence:.1?}");
            self.readiness.trouble(Part::Dataplane, why);
        }
        None
    }

    fn ping(&mut self) {
        let request = Request { number: 0, command: Command::Ping };
        if let Err(error) = self.connection.queue(&request, Vec::new()) {
            warn!(%error, "the data plane could not be asked whether it lives");
        }
    }

    /// Has the next control find the data plane, also where somebody took its socket away.
    fn be_found(&mut self) {
        if self.served.is_some() && self.launch.socket_file() == self.served {
            return;
        }
        match self.launch.bind() {
            Ok((listener, file)) => {
                self.send(Command::Serve, vec![Arc::new(listener)], Waiting::Served);
                (self.served, self.unserved) = (Some(file), false);
            }
            Err(error) => {
                self.served = None;
                if !std::mem::replace(&mut self.unserved, true) {
                    let error = chain(&error);
                    warn!(error, "tunnels would not outlive the agent: no socket for the next one");
                }
            }
        }
    }

    /// The data plane died, or has to: two that read one device would share its packets. The
    /// devices live on in our fds, and packets wait in them.
    async fn restart(&mut self, end: &End, jobs: &mut mpsc::Receiver<Job>) {
        let (tunnels, kept) = self.held.count();
        let why = match end {
            End::Died => "it died".to_owned(),
            End::Lost(lost) => lost.to_string(),
            End::Confused(error) => format!("it cannot be understood: {error}"),
        };
        warn!(tunnels, kept, why, "the data plane is started again");
        self.readiness.trouble(Part::Dataplane, format!("{why}: another one is started"));
        self.metrics.dataplane_restarts.inc();
        super::launch::end(self.connection.process()).await;
        let unfinished = self.fail_waiting();
        self.served = None;
        if self.started.elapsed() < STABLE {
            sleep(self.backoff.next_wait()).await;
        } else {
            self.backoff.reset();
        }
        let (held, tries) = (&mut self.held, (&mut self.backoff, &self.readiness));
        let started = start_until_it_runs(&self.launch, held, unfinished, jobs, tries);
        let (connection, mut unfinished) = started.await;
        self.connection = connection;
        self.started = Instant::now();
        self.heartbeat = Heartbeat::default();
        let pid = self.connection.process().pid();
        self.metrics.follow_dataplane(pid);
        info!(pid, tunnels, kept, "another data plane runs");
        self.be_found();
        let all = self.held.all().map(|tunnel| (tunnel, unfinished.remove(&tunnel)));
        self.again = all.collect();
    }

    /// Tells those who wait for the data plane that died; gives those who want something carried
    /// or kept, which the next one will do.
    fn fail_waiting(&mut self) -> HashMap<TunnelId, Done<()>> {
        let mut unfinished = HashMap::new();
        for (_, waiting) in self.waiting.drain() {
            match waiting {
                Waiting::Handed { tunnel, done_tx } => {
                    unfinished.extend(done_tx.map(|done_tx| (tunnel, done_tx)));
                }
                // It is gone with its process.
                Waiting::Removed { held, done_tx } => close(held, done_tx),
                Waiting::Done(_)
                | Waiting::Served
                | Waiting::Adopt { .. }
                | Waiting::Export(_)
                | Waiting::Retake { .. }
                | Waiting::Stats { .. } => waiting.fail(DataplaneError::Gone),
            }
        }
        let again = self.again.drain(..);
        unfinished.extend(again.filter_map(|(tunnel, done_tx)| Some((tunnel, done_tx?))));
        unfinished
    }
}

fn tunnel_of(event: &Event) -> TunnelId {
    match event {
        Event::Handshake { tunnel, .. }
        | Event::Silent { tunnel, .. }
        | Event::Moved { tunnel, .. }
        | Event::DeviceGone { tunnel } => *tunnel,
    }
}
