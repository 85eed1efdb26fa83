//! One peer: its `Tunn`, its socket, its handshakes.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use rustix::io;

use crate::handshake::Handshakes;
use crate::message::Message;
use crate::packet::padded_len;
use crate::protocol::{Event, Key, PeerConfig, PeerStats, TunnelId};
use crate::socket::Socket;
use crate::traffic::Traffic;
use crate::turn::Turn;

/// A peer of a tunnel.
pub struct Peer {
    tunnel: TunnelId,
    index: u16,
    tunn: Box<Tunn>,
    socket: Socket,
    handshakes: Handshakes,
    traffic: Traffic,
}

/// What boringtun made of a datagram; lengths are those of its output.
enum Outcome {
    /// An inner packet.
    Packet(usize),
    /// Nothing to pass on: a keepalive or a cookie.
    Nothing,
    /// A message to send back.
    Answer(usize),
    /// Not authentic, or not for us.
    Refused,
}

impl Peer {
    /// Builds the peer of that place in the tunnel. Fails when the descriptor is no UDP socket.
    pub fn new(
        tunnel: TunnelId,
        index: u16,
        private_key: &Key,
        config: &PeerConfig,
        socket: OwnedFd,
    ) -> io::Result<Self> {
        let socket = Socket::new(socket, config.endpoint)?;
        let tunn = Tunn::new(
            StaticSecret::from(private_key.0),
            PublicKey::from(config.public_key),
            config.preshared_key.as_ref().map(|key| key.0),
            config.keepalive,
            // Random, so that data for a former process's sessions does not name one of ours.
            fastrand::u32(..1 << 24),
            None,
        );
        let (handshakes, traffic) = (Handshakes::new(fastrand::u64(..)), Traffic::default());
        Ok(Self { tunnel, index, tunn: Box::new(tunn), socket, handshakes, traffic })
    }

    /// Its socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What went through it.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Whether it owes the answer to a handshake.
    pub fn is_awaited(&self) -> bool {
        self.handshakes.asking()
    }

    /// How it is.
    pub fn stats(&self, now: Instant) -> PeerStats {
        PeerStats {
            handshake_age_ms: self.handshakes.age(now).map(milliseconds),
            handshakes: self.handshakes.completed(),
            endpoint: Some(self.socket.remote()),
        }
    }

    /// Sends an initiation now, whatever is under way.
    pub fn start_handshake(&mut self, turn: &mut Turn) {
        let result = self.tunn.format_handshake_initiation(&mut turn.outer, true);
        if let TunnResult::WriteToNetwork(initiation) = result {
            self.transmit(initiation, turn.now);
        }
    }

    /// Uses another socket and gives back the one before.
    pub fn replace_socket(&mut self, socket: Socket) -> Socket {
        std::mem::replace(&mut self.socket, socket)
    }

    /// Hears any source until an authentic message comes.
    pub fn listen(&mut self) -> io::Result<()> {
        self.socket.listen()
    }

    /// Encrypts and sends the inner packet of `len` bytes that `turn.inner` holds. Without a
    /// session boringtun keeps it (256 at most) and begins a handshake.
    pub fn send(&mut self, len: usize, mtu: u16, turn: &mut Turn) {
        let padded = padded_len(len, usize::from(mtu));
        turn.inner[len..padded].fill(0);
        let result = self.tunn.encapsulate(&turn.inner[..padded], &mut turn.outer);
        if let TunnResult::WriteToNetwork(datagram) = result
            && let Some(Message::Data { .. }) = self.transmit(datagram, turn.now)
        {
            self.traffic.tx.count(len);
        }
    }

    /// Takes the datagram of `len` bytes that `turn.outer` holds. When it held an inner packet,
    /// gives the length of what now stands in `turn.inner`; its addresses are the sender's claim.
    pub fn receive(&mut self, len: usize, from: SocketAddr, turn: &mut Turn) -> Option<usize> {
        let message = Message::parse(&turn.outer[..len]);
        let outcome = self.decapsulate(len, from, turn);
        match (message, outcome) {
            (Some(message), Outcome::Packet(len)) => {
                self.heard(message, from, turn);
                Some(len)
            }
            (Some(message @ Message::Data { .. }), Outcome::Nothing) => {
                self.heard(message, from, turn);
                None
            }
            (Some(message), Outcome::Answer(len)) => {
                self.answer(message, len, from, turn);
                None
            }
            (Some(_), Outcome::Nothing) => None,
            (None, _) | (_, Outcome::Refused) => {
                self.traffic.drops.invalid += 1;
                None
            }
        }
    }

    /// Lets time pass: retransmissions, keepalives, new keys, expiry; and says who is silent.
    pub fn tick(&mut self, turn: &mut Turn) {
        match self.tunn.update_timers(&mut turn.outer) {
            TunnResult::WriteToNetwork(datagram) => {
                self.transmit(datagram, turn.now);
            }
            TunnResult::Err(WireGuardError::ConnectionExpired) => self.revive(turn),
            TunnResult::Done
            | TunnResult::Err(_)
            | TunnResult::WriteToTunnelV4(..)
            | TunnResult::WriteToTunnelV6(..) => {}
        }
        if let Some(silence) = self.handshakes.overdue(turn.now) {
            let quiet_ms = milliseconds(self.handshakes.quiet(turn.now));
            let (tunnel, peer, for_ms) = (self.tunnel, self.index, milliseconds(silence));
            turn.news.push(Event::Silent { tunnel, peer, for_ms, quiet_ms });
        }
    }

    /// boringtun gives up after 90 s without an answer and would keep silent for ever.
    fn revive(&mut self, turn: &mut Turn) {
        if self.handshakes.revive(turn.now) {
            self.start_handshake(turn);
        }
    }

    fn decapsulate(&mut self, len: usize, from: SocketAddr, turn: &mut Turn) -> Outcome {
        match self.tunn.decapsulate(Some(from.ip()), &turn.outer[..len], &mut turn.inner) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                Outcome::Packet(packet.len())
            }
            TunnResult::Done => Outcome::Nothing,
            TunnResult::WriteToNetwork(answer) => Outcome::Answer(answer.len()),
            TunnResult::Err(_) => Outcome::Refused,
        }
    }

    /// Sends what boringtun has to say to a handshake message.
    fn answer(&mut self, message: Message, len: usize, from: SocketAddr, turn: &mut Turn) {
        if let Some(Message::Cookie) = Message::parse(&turn.inner[..len]) {
            // Under load boringtun answers before it knows who asks. Strangers get no answer.
            if from == self.socket.remote() {
                self.transmit(&turn.inner[..len], turn.now);
            }
            return;
        }
        self.settle(from, turn);
        self.transmit(&turn.inner[..len], turn.now);
        self.heard(message, from, turn);
    }

    /// An authentic message came.
    fn heard(&mut self, message: Message, from: SocketAddr, turn: &mut Turn) {
        self.settle(from, turn);
        if self.handshakes.received(message, turn.now) {
            turn.news.push(Event::Handshake { tunnel: self.tunnel, peer: self.index });
            self.send_waiting(turn);
        }
    }

    /// Sends the packets that boringtun kept while there was no session.
    fn send_waiting(&mut self, turn: &mut Turn) {
        // Into `outer`: `inner` may hold a packet on its way to the device.
        while let TunnResult::WriteToNetwork(datagram) =
            self.tunn.decapsulate(None, &[], &mut turn.outer)
        {
            match self.transmit(datagram, turn.now) {
                // A keepalive that was kept counts for nothing.
                Some(Message::Data { len, .. }) if len > 0 => self.traffic.tx.count(len),
                Some(_) | None => {}
            }
        }
    }

    fn settle(&mut self, from: SocketAddr, turn: &mut Turn) {
        match self.socket.settle(from) {
            Ok(true) => {
                let (tunnel, peer) = (self.tunnel, self.index);
                turn.news.push(Event::Moved { tunnel, peer, endpoint: from });
            }
            Ok(false) => {}
            Err(_) => self.traffic.drops.io += 1,
        }
    }

    /// Sends a datagram to the peer and says what it was, if it left.
    fn transmit(&mut self, datagram: &[u8], now: Instant) -> Option<Message> {
        let message = Message::parse(datagram)?;
        // A handshake message counts as asked even when it did not leave: the peer is out of
        // reach, and that is what control has to hear.
        self.handshakes.sent(message, now);
        self.count_sent(self.socket.send(datagram)).then_some(message)
    }

    fn count_sent(&mut self, result: io::Result<()>) -> bool {
        if result.is_err() {
            self.traffic.drops.io += 1;
        }
        result.is_ok()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
