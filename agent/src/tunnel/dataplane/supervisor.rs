//! Keeps one data plane running, and tells a new one all that the last one carried.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use egress_core::backoff::Backoff;
use egress_dataplane::protocol::{
    Command, Event, Message, Reply, Request, TunnelConfig, TunnelId, TunnelStats, VERSION,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::connection::Connection;
use super::{Adopted, Carried, DataplaneError, Done, Found, Job, Launch, News};
use crate::metrics::Metrics;
use crate::telemetry::chain;

/// The first wait after a data plane that could not be started.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// The longest one.
const RETRY_MOST: Duration = Duration::from_secs(5);

/// Who waits for a reply.
enum Waiting {
    Done(Done<()>),
    /// What was held of a removed tunnel is closed last, and not here.
    Removed {
        held: Vec<OwnedFd>,
        done_tx: Done<()>,
    },
    /// The tunnel is taken up once its fds are here.
    Adopt {
        news_tx: mpsc::Sender<News>,
        done_tx: Done<Adopted>,
    },
    Export(Done<Vec<OwnedFd>>),
    /// The device is kept here too once it is here.
    Retake {
        tunnel: TunnelId,
        done_tx: Done<OwnedFd>,
    },
    Stats {
        so_far: Vec<TunnelStats>,
        done_tx: Done<Vec<TunnelStats>>,
    },
    /// Nobody: a tunnel or a device handed to a new data plane.
    Again(TunnelId),
}

struct Tunnel {
    carried: Carried,
    news_tx: mpsc::Sender<News>,
}

struct Supervisor {
    launch: Launch,
    metrics: Metrics,
    connection: Connection,
    tunnels: BTreeMap<TunnelId, Tunnel>,
    /// Devices that it keeps.
    kept: BTreeMap<TunnelId, OwnedFd>,
    waiting: HashMap<u64, Waiting>,
    next_number: u64,
    /// Control is going, and the data plane may.
    leaving: bool,
}

/// Finds or starts a data plane, and serves `jobs` until every handle is gone.
pub async fn start(
    launch: Launch,
    metrics: Metrics,
    jobs: mpsc::Receiver<Job>,
) -> Result<Found, DataplaneError> {
    let (connection, found) = first_connection(&launch).await?;
    let supervisor = Supervisor {
        launch,
        metrics,
        connection,
        tunnels: BTreeMap::new(),
        kept: BTreeMap::new(),
        waiting: HashMap::new(),
        next_number: 1,
        leaving: false,
    };
    tokio::spawn(supervisor.run(jobs));
    Ok(found)
}

async fn first_connection(launch: &Launch) -> Result<(Connection, Found), DataplaneError> {
    if let Some(found) = launch.find() {
        let mut connection = found.map_err(DataplaneError::Start)?;
        match greet(&mut connection).await {
            Ok(found) => {
                let (tunnels, kept) = (found.carried.len(), found.kept.len());
                info!(pid = connection.process().pid(), tunnels, kept, "found the data plane");
                return Ok((connection, found));
            }
            Err(error) => {
                warn!(%error, "the data plane that runs is of no use and is replaced");
                let _ = connection.process().send_signal(rustix::process::Signal::KILL);
            }
        }
    }
    started(launch).await
}

async fn started(launch: &Launch) -> Result<(Connection, Found), DataplaneError> {
    let mut connection = launch.start().await.map_err(DataplaneError::Start)?;
    let found = greet(&mut connection).await?;
    info!(pid = connection.process().pid(), "started the data plane");
    Ok((connection, found))
}

async fn greet(connection: &mut Connection) -> Result<Found, DataplaneError> {
    let hello = Request { number: 0, command: Command::Hello };
    connection.send(&hello, &[]).await.map_err(DataplaneError::Start)?;
    loop {
        match connection.receive().await.map_err(DataplaneError::Start)? {
            Some((
                Message::Reply { reply: Reply::Hello { version, tunnels, kept, .. }, .. },
                _,
            )) if version == VERSION => {
                return Ok(Found { carried: tunnels, kept });
            }
            Some((Message::Reply { .. }, _)) => return Err(DataplaneError::Confused),
            // What it has to say before it was greeted is repeated while it stays true.
            Some((Message::Event(_), _)) => {}
            None => return Err(DataplaneError::Gone),
        }
    }
}

impl Supervisor {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => self.take(job).await,
                    None => return,
                },
                received = self.connection.receive() => match received {
                    Ok(Some((message, fds))) => self.heard(message, fds),
                    Ok(None) if self.leaving => return,
                    Ok(None) => self.restart(&mut jobs).await,
                    Err(error) => {
                        error!(%error, "the data plane cannot be understood and is replaced");
                        self.restart(&mut jobs).await;
                    }
                },
            }
        }
    }

    async fn take(&mut self, job: Job) {
        match job {
            Job::Add { carried, news_tx, done_tx } => self.add(carried, news_tx, done_tx).await,
            Job::Adopt { tunnel, news_tx, done_tx } => {
                let waiting = Waiting::Adopt { news_tx, done_tx };
                self.send(Command::Export { tunnel }, &[], waiting).await;
            }
            Job::Keep { tunnel, device, done_tx } => {
                self.kept.insert(tunnel, device);
                self.hand_over_device(tunnel, Waiting::Done(done_tx)).await;
            }
            Job::Retake { tunnel, done_tx } => {
                let waiting = Waiting::Retake { tunnel, done_tx };
                self.send(Command::Export { tunnel }, &[], waiting).await;
            }
            Job::Export { tunnel, done_tx } => {
                self.send(Command::Export { tunnel }, &[], Waiting::Export(done_tx)).await;
            }
            Job::SetEndpoint { tunnel, peer, endpoint, socket, done_tx } => {
                let command = Command::SetEndpoint { tunnel, peer, endpoint };
                self.send(command, &[socket.as_fd()], Waiting::Done(done_tx)).await;
                self.remember_endpoint(tunnel, peer, endpoint, Some(socket));
            }
            Job::Listen { tunnel, peer, done_tx } => {
                self.send(Command::Listen { tunnel, peer }, &[], Waiting::Done(done_tx)).await;
            }
            Job::Remove { tunnel, done_tx } => {
                let waiting = Waiting::Removed { held: self.forget(tunnel), done_tx };
                self.send(Command::Remove { tunnel }, &[], waiting).await;
            }
            Job::Stats { done_tx } => {
                let waiting = Waiting::Stats { so_far: Vec::new(), done_tx };
                self.send(Command::Stats, &[], waiting).await;
            }
            Job::Bye { done_tx } => {
                self.leaving = true;
                self.send(Command::Bye, &[], Waiting::Done(done_tx)).await;
            }
        }
    }

    /// Forgets a tunnel or a kept device, and gives what was held of it.
    fn forget(&mut self, tunnel: TunnelId) -> Vec<OwnedFd> {
        let carried = self.tunnels.remove(&tunnel).map(|tunnel| tunnel.carried.device);
        carried.into_iter().chain(self.kept.remove(&tunnel)).collect()
    }

    async fn add(&mut self, carried: Carried, news_tx: mpsc::Sender<News>, done_tx: Done<()>) {
        let tunnel = carried.config.tunnel;
        self.tunnels.insert(tunnel, Tunnel { carried, news_tx });
        self.hand_over(tunnel, Waiting::Done(done_tx)).await;
    }

    async fn hand_over(&mut self, tunnel: TunnelId, waiting: Waiting) {
        let Some(Tunnel { carried, .. }) = self.tunnels.get(&tunnel) else { return };
        let number = self.next_number;
        self.next_number += 1;
        let request = Request { number, command: Command::Add(carried.config.clone()) };
        self.waiting.insert(number, waiting);
        let fds = fds(carried);
        if let Err(error) = self.connection.send(&request, &fds).await {
            // The connection's end is heard next, and the tunnel is handed to the next one.
            warn!(%error, tunnel, "a tunnel could not be handed to the data plane");
        }
    }

    async fn hand_over_device(&mut self, tunnel: TunnelId, waiting: Waiting) {
        let device = self.kept.get(&tunnel).map(OwnedFd::try_clone);
        match device {
            None => {}
            Some(Ok(device)) => {
                self.send(Command::Keep { tunnel }, &[device.as_fd()], waiting).await;
            }
            Some(Err(error)) => waiting.fail(DataplaneError::Start(error)),
        }
    }

    async fn send(&mut self, command: Command, fds: &[BorrowedFd<'_>], waiting: Waiting) {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.insert(number, waiting);
        if let Err(error) = self.connection.send(&Request { number, command }, fds).await {
            warn!(%error, "the data plane could not be asked");
            self.waiting.remove(&number);
        }
    }

    fn heard(&mut self, message: Message, fds: Vec<OwnedFd>) {
        match message {
            Message::Event(event) => self.pass_on(event),
            Message::Reply { number, reply } => {
                if let Some(waiting) = self.waiting.remove(&number) {
                    self.answer(number, waiting, reply, fds);
                } else {
                    warn!(number, "the data plane answered what nobody asked");
                }
            }
        }
    }

    fn pass_on(&mut self, event: Event) {
        if let Event::Moved { tunnel, peer, endpoint } = event {
            self.remember_endpoint(tunnel, peer, endpoint, None);
        }
        if let Some(tunnel) = self.tunnels.get(&tunnel_of(&event)) {
            // A full queue: the data plane repeats what stays true.
            let _ = tunnel.news_tx.try_send(News { at: Instant::now(), event });
        }
    }

    fn answer(&mut self, number: u64, waiting: Waiting, reply: Reply, fds: Vec<OwnedFd>) {
        match (waiting, reply) {
            (Waiting::Again(tunnel), Reply::Failed { reason }) => {
                error!(tunnel, reason, "a tunnel was lost with the data plane that carried it");
            }
            (Waiting::Again(_), _) => {}
            (waiting, Reply::Failed { reason }) => waiting.fail(DataplaneError::Refused(reason)),
            (Waiting::Done(done_tx), Reply::Done) => drop(done_tx.send(Ok(()))),
            (Waiting::Removed { held, done_tx }, Reply::Done) => close(held, done_tx),
            (Waiting::Export(done_tx), Reply::Exported { .. } | Reply::Kept) => {
                drop(done_tx.send(Ok(fds)));
            }
            (Waiting::Retake { tunnel, done_tx }, Reply::Kept) => {
                drop(done_tx.send(self.retake(tunnel, fds)));
            }
            (Waiting::Adopt { news_tx, done_tx }, Reply::Exported { config }) => {
                drop(done_tx.send(self.adopt(config, news_tx, fds)));
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

    fn adopt(
        &mut self,
        config: TunnelConfig,
        news_tx: mpsc::Sender<News>,
        fds: Vec<OwnedFd>,
    ) -> Result<Adopted, DataplaneError> {
        let mut fds = fds.into_iter();
        let device = fds.next().ok_or(DataplaneError::Confused)?;
        let sockets: Vec<_> = fds.collect();
        if sockets.len() != config.peers.len() {
            return Err(DataplaneError::Confused);
        }
        let adopted = Adopted {
            device: device.try_clone().map_err(DataplaneError::Start)?,
            config: config.clone(),
        };
        let tunnel = config.tunnel;
        let carried = Carried { config, device, sockets };
        self.tunnels.insert(tunnel, Tunnel { carried, news_tx });
        Ok(adopted)
    }

    fn retake(&mut self, tunnel: TunnelId, fds: Vec<OwnedFd>) -> Result<OwnedFd, DataplaneError> {
        let device = fds.into_iter().next().ok_or(DataplaneError::Confused)?;
        let ours = device.try_clone().map_err(DataplaneError::Start)?;
        self.kept.insert(tunnel, ours);
        Ok(device)
    }

    fn remember_endpoint(
        &mut self,
        tunnel: TunnelId,
        peer: u16,
        endpoint: std::net::SocketAddr,
        socket: Option<OwnedFd>,
    ) {
        let Some(Tunnel { carried, .. }) = self.tunnels.get_mut(&tunnel) else { return };
        let index = usize::from(peer);
        if let Some(peer) = carried.config.peers.get_mut(index) {
            peer.endpoint = endpoint;
        }
        if let (Some(kept), Some(socket)) = (carried.sockets.get_mut(index), socket) {
            *kept = socket;
        }
    }

    /// The data plane died, or has nothing to say any more and has to: two that read one device
    /// would share its packets. The devices live on in our fds, and packets wait in them.
    async fn restart(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        let _ = self.connection.process().send_signal(rustix::process::Signal::KILL);
        let (tunnels, kept) = (self.tunnels.len(), self.kept.len());
        warn!(tunnels, kept, "the data plane died and is started again");
        self.metrics.dataplane_restarts.inc();
        for (_, waiting) in self.waiting.drain() {
            waiting.fail(DataplaneError::Gone);
        }
        self.connection = self.start_until_it_runs(jobs).await;
        let tunnels: Vec<TunnelId> = self.tunnels.keys().copied().collect();
        for tunnel in tunnels {
            self.hand_over(tunnel, Waiting::Again(tunnel)).await;
        }
        let kept: Vec<TunnelId> = self.kept.keys().copied().collect();
        for tunnel in kept {
            self.hand_over_device(tunnel, Waiting::Again(tunnel)).await;
        }
    }

    async fn start_until_it_runs(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Connection {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MOST, u64::from(std::process::id()));
        loop {
            match started(&self.launch).await {
                Ok((connection, _)) => return connection,
                Err(error) => {
                    error!(error = %chain(&error), "the data plane does not start");
                }
            }
            let next = sleep(backoff.next_wait());
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    Some(job) = jobs.recv() => self.refuse(job),
                }
            }
        }
    }

    /// Does what can be done while no data plane runs. Who asks for anything else hears that there
    /// is none, since nobody is left to answer.
    fn refuse(&mut self, job: Job) {
        match job {
            Job::Remove { tunnel, done_tx } => close(self.forget(tunnel), done_tx),
            Job::Bye { done_tx } => drop(done_tx.send(Ok(()))),
            Job::Add { .. }
            | Job::Adopt { .. }
            | Job::Keep { .. }
            | Job::Retake { .. }
            | Job::Export { .. }
            | Job::SetEndpoint { .. }
            | Job::Listen { .. }
            | Job::Stats { .. } => {}
        }
    }
}

impl Waiting {
    fn fail(self, error: DataplaneError) {
        match self {
            Self::Done(done_tx) | Self::Removed { done_tx, .. } => {
                drop(done_tx.send(Err(error)));
            }
            Self::Adopt { done_tx, .. } => drop(done_tx.send(Err(error))),
            Self::Export(done_tx) => drop(done_tx.send(Err(error))),
            Self::Retake { done_tx, .. } => drop(done_tx.send(Err(error))),
            Self::Stats { done_tx, .. } => drop(done_tx.send(Err(error))),
            Self::Again(_) => {}
        }
    }
}

/// With its last descriptor a device is taken away, and its packets' last ways are waited for (RCU):
/// 16 ms and more, which many threads wait for together.
fn close(held: Vec<OwnedFd>, done_tx: Done<()>) {
    spawn_blocking(move || {
        drop(held);
        let _ = done_tx.send(Ok(()));
    });
}

fn fds(carried: &Carried) -> Vec<BorrowedFd<'_>> {
    let sockets = carried.sockets.iter().map(OwnedFd::as_fd);
    std::iter::once(carried.device.as_fd()).chain(sockets).collect()
}

fn tunnel_of(event: &Event) -> TunnelId {
    match event {
        Event::Handshake { tunnel, .. }
        | Event::Silent { tunnel, .. }
        | Event::Moved { tunnel, .. }
        | Event::DeviceGone { tunnel } => *tunnel,
    }
}
