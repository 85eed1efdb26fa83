//! A thread that owns its tunnels and moves their packets.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use rustix::io;

use crate::bell::Bell;
use crate::device::Gone;
use crate::order::{Answer, Order, Report, Task};
use crate::poller::{Poller, Ready, Source};
use crate::protocol::{Event, Reply, TunnelConfig, TunnelId};
use crate::socket::Socket;
use crate::tunnel::{BUFFER, Tunnel};
use crate::tunnel_error::TunnelError;
use crate::tunnels::Tunnels;
use crate::turn::{Hands, Turn};

const TICK_BUSY: Duration = Duration::from_millis(250);
const TICK_IDLE: Duration = Duration::from_secs(1);
/// Between two looks at the descriptors so many tunnels have their tick, and so many orders are
/// carried out. Each may take a handshake's 0.1 ms, and packets wait meanwhile.
const TICKS_AT_ONCE: usize = 32;
const ORDERS_AT_ONCE: usize = 16;

/// Its ends of the channels to and from the server.
pub struct Ends {
    /// What to do. The worker ends when the other side is gone.
    pub orders: Receiver<Order>,
    /// Rings when there are orders.
    pub orders_bell: Bell,
    /// What was done and what happened. The server always takes it, so this need not be bounded:
    /// orders in flight are, and a peer has at most one piece of news a tick.
    pub reports: Sender<Report>,
    /// To ring when there are reports.
    pub reports_bell: Bell,
    /// Grows whenever the worker has done what there was to do.
    pub rounds: Arc<AtomicU64>,
}

/// The thread's state.
pub struct Worker {
    ends: Ends,
    poller: Poller,
    tunnels: Tunnels,
    turn: Turn,
    /// What comes from a device.
    frame: Box<[u8]>,
    /// What comes from a socket.
    hands: Hands,
    next_tick: Instant,
    /// Slots of the tunnels whose tick is due.
    due: Vec<u64>,
    busy: bool,
}

/// Whether there is a server to work for.
#[derive(PartialEq, Eq)]
enum Server {
    There,
    Gone,
}

impl Worker {
    /// A worker without tunnels.
    pub fn new(ends: Ends) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.watch(&ends.orders_bell, Source::Bell)?;
        let now = Instant::now();
        Ok(Self {
            ends,
            poller,
            tunnels: Tunnels::default(),
            turn: Turn::new(now),
            frame: vec![0; BUFFER].into_boxed_slice(),
            hands: Hands::new(),
            next_tick: now + TICK_IDLE,
            due: Vec::new(),
            busy: false,
        })
    }

    /// Works until the server is gone, or until it cannot and says so.
    pub fn run(mut self) {
        if let Err(errno) = self.work() {
            self.report(Report::Ended { error: errno.into() });
        }
    }

    fn work(&mut self) -> io::Result<()> {
        let mut server = Server::There;
        while server == Server::There {
            self.ends.rounds.fetch_add(1, Ordering::Relaxed);
            self.poller.wait(self.patience())?;
            self.turn.now = Instant::now();
            while let Some(ready) = self.poller.next() {
                match ready.source {
                    Source::Bell => server = self.obey(),
                    Source::Device { slot } | Source::Peer { slot, .. } => self.carry(slot, ready),
                }
            }
            self.tick_when_due();
            self.publish();
        }
        Ok(())
    }

    /// How long nothing has to be done of itself.
    fn patience(&self) -> Duration {
        let wait = self.next_tick.saturating_duration_since(Instant::now());
        if self.due.is_empty() { wait } else { Duration::ZERO }
    }

    fn carry(&mut self, slot: u64, ready: Ready) {
        // A tunnel that was removed in this round may still have a descriptor ready.
        let Some(tunnel) = self.tunnels.get_mut(slot) else { return };
        let carried = match ready.source {
            Source::Peer { index, .. } => tunnel.down(index, &mut self.hands, &mut self.turn),
            Source::Device { .. } if ready.failed => Err(Gone),
            Source::Device { .. } | Source::Bell => tunnel.up(&mut self.frame, &mut self.turn),
        };
        self.quicken();
        if carried == Err(Gone)
            && let Some(tunnel) = self.forget(slot)
        {
            self.turn.news.push(Event::DeviceGone { tunnel });
        }
    }

    /// Something is going on: tick at the busy pace.
    fn quicken(&mut self) {
        self.busy = true;
        self.next_tick = self.next_tick.min(self.turn.now + TICK_BUSY);
    }

    fn tick_when_due(&mut self) {
        if self.due.is_empty() && self.turn.now >= self.next_tick {
            self.due.extend(self.tunnels.slots());
            self.next_tick = self.turn.now + if self.busy { TICK_BUSY } else { TICK_IDLE };
            self.busy = false;
        }
        for _ in 0..TICKS_AT_ONCE {
            let Some(slot) = self.due.pop() else { return };
            if self.tunnels.get_mut(slot).is_some_and(|tunnel| tunnel.tick(&mut self.turn)) {
                self.quicken();
            }
        }
    }

    fn publish(&mut self) {
        for event in std::mem::take(&mut self.turn.news) {
            self.report(Report::Happened(event));
        }
    }

    fn report(&self, report: Report) {
        // Without a server there is nobody to tell, and the next look at the orders says so.
        let _ = self.ends.reports.send(report);
        self.ends.reports_bell.ring();
    }

    fn obey(&mut self) -> Server {
        self.ends.orders_bell.hush();
        for _ in 0..ORDERS_AT_ONCE {
            match self.ends.orders.try_recv() {
                Ok(order) => self.carry_out(order),
                Err(TryRecvError::Empty) => return Server::There,
                Err(TryRecvError::Disconnected) => return Server::Gone,
            }
        }
        // There may be more.
        self.ends.orders_bell.ring();
        Server::There
    }

    fn carry_out(&mut self, order: Order) {
        // What happened before the order is told before its answer.
        self.publish();
        let report = match order {
            Order::Tunnel { ticket, tunnel, task } => {
                let answer = self.carry_out_task(tunnel, task);
                let answer = answer.unwrap_or_else(|error| Answer::failed(&error));
                let carried = self.tunnels.slot(tunnel).is_some();
                Report::Answered { ticket, tunnel, carried, answer }
            }
            Order::Stats { ticket } => {
                let stats = self.tunnels.iter_mut().map(|tunnel| tunnel.stats(self.turn.now));
                Report::Counted { ticket, tunnels: stats.collect() }
            }
        };
        self.report(report);
    }

    fn carry_out_task(&mut self, tunnel: TunnelId, task: Task) -> Result<Answer, TunnelError> {
        match task {
            Task::Add { config, fds } => self.add(config, fds)?,
            Task::SetEndpoint { peer, endpoint, fds } => {
                self.set_endpoint(tunnel, peer, endpoint, fds)?;
            }
            Task::Listen { peer } => self.listen(tunnel, peer)?,
            Task::Remove => self.remove(tunnel),
            Task::Export => {
                let (_, tunnel) = self.tunnels.find(tunnel)?;
                let (config, fds) = (tunnel.config(), tunnel.duplicates()?);
                return Ok(Answer { reply: Reply::Exported { config }, fds });
            }
        }
        Ok(Reply::Done.into())
    }

    fn add(&mut self, config: TunnelConfig, fds: Vec<OwnedFd>) -> Result<(), TunnelError> {
        let id = config.tunnel;
        let tunnel = Tunnel::new(config, fds)?;
        // The former one goes first: it may hold the same device, and two readers would share it.
        self.remove(id);
        let slot = self.tunnels.insert(tunnel);
        if let Err(errno) = self.start(slot) {
            self.forget(slot);
            return Err(TunnelError::Watch { tunnel: id, source: errno.into() });
        }
        self.quicken();
        Ok(())
    }

    fn start(&mut self, slot: u64) -> io::Result<()> {
        let Some(tunnel) = self.tunnels.get_mut(slot) else { return Ok(()) };
        for (source, fd) in tunnel.sources(slot) {
            self.poller.watch(fd, source)?;
        }
        tunnel.start(&mut self.turn);
        Ok(())
    }

    fn set_endpoint(
        &mut self,
        id: TunnelId,
        peer: u16,
        endpoint: SocketAddr,
        fds: Vec<OwnedFd>,
    ) -> Result<(), TunnelError> {
        let (slot, tunnel) = self.tunnels.find(id)?;
        let fds = <[OwnedFd; 1]>::try_from(fds);
        let [socket] =
            fds.map_err(|fds| TunnelError::Peers { tunnel: id, peers: 1, fds: fds.len() })?;
        let socket = Socket::new(socket, endpoint).map_err(|errno| TunnelError::Socket {
            tunnel: id,
            peer,
            source: errno.into(),
        })?;
        let former = tunnel.replace_socket(peer, socket)?;
        self.poller.unwatch(&former);
        let watched = self.poller.watch(tunnel.socket(peer)?, Source::Peer { slot, index: peer });
        watched.map_err(|errno| TunnelError::Watch { tunnel: id, source: errno.into() })?;
        tunnel.start_handshake(peer, &mut self.turn)?;
        self.quicken();
        Ok(())
    }

    fn listen(&mut self, id: TunnelId, peer: u16) -> Result<(), TunnelError> {
        let (slot, tunnel) = self.tunnels.find(id)?;
        if tunnel.socket(peer)?.ear().is_some() {
            return Ok(());
        }
        tunnel.listen(peer)?;
        let Some(ear) = tunnel.socket(peer)?.ear() else { return Ok(()) };
        let watched = self.poller.watch(ear, Source::Peer { slot, index: peer });
        watched.map_err(|errno| TunnelError::Watch { tunnel: id, source: errno.into() })
    }

    fn remove(&mut self, tunnel: TunnelId) {
        if let Some(slot) = self.tunnels.slot(tunnel) {
            self.forget(slot);
        }
    }

    /// Drops a tunnel, its keys and its descriptors, and says which it was.
    fn forget(&mut self, slot: u64) -> Option<TunnelId> {
        let tunnel = self.tunnels.remove(slot)?;
        for (_, fd) in tunnel.sources(slot) {
            self.poller.unwatch(fd);
        }
        Some(tunnel.id())
    }
}
