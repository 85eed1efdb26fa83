//! One tunnel: its device, its peers, and the two ways between them.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use crate::coalesce::{Coalescer, Filled, Joining};
use crate::device::{Device, FRAME_MAX, Gone, Written};
use crate::packet::{Header, PADDING};
use crate::peer::Peer;
use crate::poller::Source;
use crate::protocol::{ALLOWED_IPS_MAX, PEERS_MAX, TunnelConfig, TunnelId, TunnelStats, Uncut};
use crate::routing::Routes;
use crate::segment::Segments;
use crate::socket::Socket;
use crate::traffic::Traffic;
use crate::tunnel_error::TunnelError;
use crate::turn::{Hands, Turn};

/// What [`Tunnel::up`] needs for a frame, and to pad its last packet.
pub const BUFFER: usize = FRAME_MAX + PADDING;
/// The most bytes one event may move, so that the tunnels of a worker share it: 0.4 ms of sealing.
const BUDGET: usize = 512 * 1024;
/// What a packet takes of the budget at least: small ones cost as much time as larger ones.
const LEAST: usize = 512;
/// The most handshake messages that one event takes: together they are worth the budget, and no
/// honest peer sends as many at once.
const HANDSHAKES: usize = 4;
/// What each takes of the budget besides its bytes: the curve costs 0.1 ms.
const HANDSHAKE: usize = BUDGET / HANDSHAKES;

/// A tunnel that carries packets.
pub struct Tunnel {
    config: TunnelConfig,
    device: Device,
    peers: Vec<Peer>,
    routes: Routes,
    traffic: Traffic,
}

impl Tunnel {
    /// Builds a tunnel of its configuration and its descriptors: the device, then one socket per
    /// peer. Nothing is sent yet.
    pub fn new(config: TunnelConfig, fds: Vec<OwnedFd>) -> Result<Self, TunnelError> {
        check_bounds(&config, fds.len())?;
        let tunnel = config.tunnel;
        let mut fds = fds.into_iter();
        let no_fds = || TunnelError::Peers { tunnel, peers: config.peers.len(), fds: 0 };
        let device = Device::new(fds.next().ok_or_else(no_fds)?, config.uncut)
            .map_err(|errno| TunnelError::Device { tunnel, source: errno.into() })?;
        let peers = (0..).zip(config.peers.iter().zip(fds)).map(|(index, (peer, fd))| {
            Peer::new(tunnel, index, &config.private_key, peer, fd)
                .map_err(|errno| TunnelError::Socket { tunnel, peer: index, source: errno.into() })
        });
        let mut peers = peers.collect::<Result<Vec<_>, _>>()?;
        for peer in &mut peers {
            peer.join_up_to(config.burst);
        }
        let routes = Routes::new(&config.peers);
        let traffic = Traffic::default();
        Ok(Self { config, device, peers, routes, traffic })
    }

    /// Control's number for it.
    pub fn id(&self) -> TunnelId {
        self.config.tunnel
    }

    /// What it is, with the endpoints that its peers have now.
    pub fn config(&self) -> TunnelConfig {
        let mut config = self.config.clone();
        for (known, peer) in config.peers.iter_mut().zip(&self.peers) {
            known.endpoint = peer.socket().remote();
        }
        config
    }

    /// Begins the first handshake with every peer.
    pub fn start(&mut self, turn: &mut Turn) {
        for peer in &mut self.peers {
            peer.start_handshake(turn);
        }
    }

    /// The way up: what the container sends, until there is no more or the budget is used. The
    /// buffer has [`BUFFER`] bytes.
    pub fn up(&mut self, buffer: &mut [u8], turn: &mut Turn) -> Result<(), Gone> {
        let mut budget = BUDGET;
        let mut open = None;
        let mut device = Ok(());
        while budget > 0 {
            match self.device.read(buffer) {
                Ok(Some(len)) => {
                    let cost = self.up_one(buffer, len, &mut open, turn);
                    budget = budget.saturating_sub(cost);
                }
                Ok(None) => break,
                Err(gone) => {
                    device = Err(gone);
                    break;
                }
            }
        }
        self.flush(open, turn);
        device
    }

    /// Seals the packets of a frame of `len` bytes for its peer, and says what of the budget they
    /// take. The outbox is the `open` peer's.
    fn up_one(
        &mut self,
        buffer: &mut [u8],
        len: usize,
        open: &mut Option<u16>,
        turn: &mut Turn,
    ) -> usize {
        let wanted = Segments::of(buffer, len).ok().and_then(|segments| {
            let header = Header::parse(segments.packet())?;
            Some((self.routes.peer_for(header.destination)?, segments))
        });
        let Some((index, mut segments)) = wanted else {
            self.traffic.drops.no_peer += 1;
            return len.max(LEAST);
        };
        if *open != Some(index) {
            self.flush(open.replace(index), turn);
        }
        let Some(peer) = self.peers.get_mut(usize::from(index)) else { return LEAST };
        let mut cost = 0;
        while let Some(segment) = segments.next() {
            cost += segment.packet().len().max(LEAST);
            peer.seal(segment, self.config.mtu, turn);
        }
        cost
    }

    fn flush(&mut self, open: Option<u16>, turn: &mut Turn) {
        if let Some(peer) = open.and_then(|index| self.peers.get_mut(usize::from(index))) {
            peer.flush(turn);
        }
    }

    /// The way down: what a peer sends, until there is no more or the budget is used.
    pub fn down(&mut self, index: u16, hands: &mut Hands, turn: &mut Turn) -> Result<(), Gone> {
        turn.handshakes = HANDSHAKES;
        let mut budget = BUDGET;
        while budget > 0 {
            let Some(peer) = self.peers.get(usize::from(index)) else { return Ok(()) };
            match peer.socket().receive(&mut hands.batch) {
                Ok(Some(from)) => {
                    let cost = self.down_batch(index, from, hands, turn)?;
                    budget = budget.saturating_sub(cost);
                }
                Ok(None) => return Ok(()),
                Err(_) => {
                    self.traffic.drops.io += 1;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Gives what is in a batch to the device, and says what of the budget it takes.
    fn down_batch(
        &mut self,
        index: u16,
        from: SocketAddr,
        hands: &mut Hands,
        turn: &mut Turn,
    ) -> Result<usize, Gone> {
        let Hands { batch, coalescer } = hands;
        let joining = joining(self.config.uncut);
        let handshakes = turn.handshakes;
        let mut cost = 0;
        for datagram in batch.datagrams() {
            cost += datagram.len().max(LEAST);
            if !coalescer.is_open(datagram.len()) {
                self.hand_over(coalescer)?;
            }
            let write = |room: &mut [u8]| self.open(index, datagram, from, room, turn);
            if coalescer.fill(joining, write) == Filled::Waits {
                self.hand_over(coalescer)?;
                coalescer.take_waiting(joining);
            }
        }
        // Nothing waits for a batch that may come late.
        self.hand_over(coalescer)?;
        let taken = handshakes - turn.handshakes;
        Ok(cost.max(batch.messages() * LEAST) + taken * HANDSHAKE)
    }

    /// Writes a peer's inner packet to the room and gives its length, when there is one whose
    /// source is the peer's to use.
    fn open(
        &mut self,
        index: u16,
        datagram: &[u8],
        from: SocketAddr,
        room: &mut [u8],
        turn: &mut Turn,
    ) -> Option<usize> {
        let peer = self.peers.get_mut(usize::from(index))?;
        let len = peer.receive(datagram, from, room, turn)?;
        let Some(header) = Header::parse(&room[..len]) else {
            self.traffic.drops.invalid += 1;
            return None;
        };
        if self.routes.peer_for(header.source) != Some(index) {
            self.traffic.drops.source += 1;
            return None;
        }
        Some(header.len)
    }

    /// Gives what was taken to the device. Afterwards nothing is left of it, whatever happened:
    /// the next who takes packets may be another tunnel.
    fn hand_over(&mut self, coalescer: &mut Coalescer) -> Result<(), Gone> {
        let Some((frame, carried)) = coalescer.finish() else { return Ok(()) };
        match self.device.write(frame)? {
            Written::Taken => self.traffic.rx.count(carried.packets, carried.bytes),
            Written::Refused => self.traffic.drops.io += carried.packets as u64,
        }
        Ok(())
    }

    /// Lets time pass for every peer. True while one of them owes the answer to a handshake.
    pub fn tick(&mut self, turn: &mut Turn) -> bool {
        for peer in &mut self.peers {
            peer.tick(turn);
        }
        self.peers.iter().any(Peer::is_awaited)
    }

    /// Gives a peer another socket and gives back the former one.
    pub fn replace_socket(&mut self, index: u16, socket: Socket) -> Result<Socket, TunnelError> {
        let burst = self.config.burst;
        let peer = self.peer_mut(index)?;
        let former = peer.replace_socket(socket);
        peer.join_up_to(burst);
        Ok(former)
    }

    /// A peer's socket.
    pub fn socket(&self, index: u16) -> Result<&Socket, TunnelError> {
        let peer = self.peers.get(usize::from(index)).map(Peer::socket);
        peer.ok_or(TunnelError::NoPeer { tunnel: self.id(), peer: index })
    }

    /// Begins a handshake with a peer.
    pub fn start_handshake(&mut self, index: u16, turn: &mut Turn) -> Result<(), TunnelError> {
        self.peer_mut(index)?.start_handshake(turn);
        Ok(())
    }

    /// Lets a peer be heard from any source.
    pub fn listen(&mut self, index: u16) -> Result<(), TunnelError> {
        let tunnel = self.id();
        let listened = self.peer_mut(index)?.listen();
        listened.map_err(|errno| TunnelError::Socket { tunnel, peer: index, source: errno.into() })
    }

    fn peer_mut(&mut self, index: u16) -> Result<&mut Peer, TunnelError> {
        let tunnel = self.id();
        self.peers.get_mut(usize::from(index)).ok_or(TunnelError::NoPeer { tunnel, peer: index })
    }

    /// Duplicates of its descriptors: the device, then the sockets in order.
    pub fn duplicates(&self) -> Result<Vec<OwnedFd>, TunnelError> {
        let device = std::iter::once(self.device.duplicate());
        let sockets = self.peers.iter().map(|peer| peer.socket().duplicate());
        let fds: std::io::Result<Vec<_>> = device.chain(sockets).collect();
        fds.map_err(|source| TunnelError::Duplicate { tunnel: self.id(), source })
    }

    /// Its descriptors, with the names that the poller knows them by.
    pub fn sources(&self, slot: u64) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let sockets = (0..)
            .zip(&self.peers)
            .map(move |(index, peer)| (Source::Peer { slot, index }, peer.socket().as_fd()));
        std::iter::once((Source::Device { slot }, self.device.as_fd())).chain(sockets)
    }

    /// What it carried, and how its peers are.
    pub fn stats(&self, now: Instant) -> TunnelStats {
        let mut all = self.traffic;
        for peer in &self.peers {
            all.add(peer.traffic());
        }
        TunnelStats {
            tunnel: self.id(),
            rx_bytes: all.rx.bytes,
            rx_packets: all.rx.packets,
            tx_bytes: all.tx.bytes,
            tx_packets: all.tx.packets,
            drops: all.drops,
            peers: self.peers.iter().map(|peer| peer.stats(now)).collect(),
        }
    }
}

/// What the device cuts again.
fn joining(uncut: Uncut) -> Joining {
    match uncut {
        Uncut::Nothing => Joining::Nothing,
        Uncut::Tcp => Joining::Tcp,
        Uncut::TcpAndUdp => Joining::TcpAndUdp,
    }
}

fn check_bounds(config: &TunnelConfig, fds: usize) -> Result<(), TunnelError> {
    let (tunnel, peers) = (config.tunnel, config.peers.len());
    if !(1..=PEERS_MAX).contains(&peers) || fds != 1 + peers {
        return Err(TunnelError::Peers { tunnel, peers, fds });
    }
    let count = config.peers.iter().map(|peer| peer.allowed_ips.len()).sum();
    if count > ALLOWED_IPS_MAX {
        return Err(TunnelError::AllowedIps { tunnel, count });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
