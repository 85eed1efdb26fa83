//! One peer: its `Tunn`, its socket, its handshakes.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use rustix::io::{self, Errno};

use crate::handshake::Handshakes;
use crate::message::Message;
use crate::outbox::{Message as Batched, Outbox};
use crate::packet::padded_len;
use crate::protocol::{Event, Key, PeerConfig, PeerStats, TunnelId};
use crate::segment::Segment;
use crate::socket::Socket;
use crate::traffic::Traffic;
use crate::turn::Turn;

/// The most bytes of packets that wait for a session: the process holds those of all tunnels.
const WAITING_MAX: usize = 128 * 1024;
/// What a packet counts for at least: boringtun keeps 256, and drops others without a word.
const WAITING_LEAST: usize = WAITING_MAX / 256;

/// A peer of a tunnel.
pub struct Peer {
    tunnel: TunnelId,
    index: u16,
    tunn: Box<Tunn>,
    socket: Socket,
    handshakes: Handshakes,
    traffic: Traffic,
    /// Bytes of the packets that boringtun keeps.
    waiting: usize,
    /// The most datagrams that may leave in one message.
    burst: u16,
    /// The most that leave in one now: 1 when the path has refused more since the last handshake.
    at_once: u16,
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
    /// A handshake message of somebody who does not know our key.
    Strange,
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
        let (tunn, waiting, burst, at_once) = (Box::new(tunn), 0, 1, 1);
        Ok(Self { tunnel, index, tunn, socket, handshakes, traffic, waiting, burst, at_once })
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

    /// Sends an initiation now, whatever is under way, and soon another if it is not answered.
    pub fn start_handshake(&mut self, turn: &mut Turn) {
        self.handshakes.begin(turn.now);
        self.initiate(true, turn);
    }

    /// Sends an initiation; when one is under way already only by force.
    fn initiate(&mut self, force: bool, turn: &mut Turn) {
        let result = self.tunn.format_handshake_initiation(&mut turn.outer, force);
        if let TunnResult::WriteToNetwork(initiation) = result {
            self.transmit(initiation, turn.now);
        }
    }

    /// Uses another socket and gives back the one before. How it sends is as for a new one.
    pub fn replace_socket(&mut self, socket: Socket) -> Socket {
        std::mem::replace(&mut self.socket, socket)
    }

    /// Lets so many datagrams leave and arrive together, if kernel and path can.
    pub fn join_up_to(&mut self, burst: u16) {
        self.burst = burst.max(1);
        self.at_once = self.burst;
        if self.burst > 1 {
            self.socket.receive_joined();
        }
    }

    /// Hears any source until an authentic message comes.
    pub fn listen(&mut self) -> io::Result<()> {
        self.socket.listen()
    }

    /// Encrypts an inner packet into `turn.outbox`, which is this peer's until [`Peer::flush`].
    /// Without a session boringtun keeps the packet, unless as much waits as may, and begins a
    /// handshake.
    pub fn seal(&mut self, mut segment: Segment<'_>, mtu: u16, turn: &mut Turn) {
        let len = segment.packet().len();
        let padded = segment.padded_to(padded_len(len, usize::from(mtu)));
        let weight = padded.len().max(WAITING_LEAST);
        if self.waiting + weight > WAITING_MAX && self.tunn.time_since_last_handshake().is_none() {
            self.traffic.drops.io += 1;
            self.initiate(false, turn);
            return;
        }
        let result = self.tunn.encapsulate(padded, turn.outbox.room());
        let TunnResult::WriteToNetwork(datagram) = result else {
            self.waiting += weight;
            return;
        };
        if let Some(Message::Data { .. }) = Message::parse(datagram) {
            let sealed = datagram.len();
            turn.outbox.push(sealed, len, usize::from(self.at_once));
        } else {
            self.waiting += weight;
            self.transmit(datagram, turn.now);
        }
        if turn.outbox.is_full() {
            self.flush(turn);
        }
    }

    /// Sends what is in `turn.outbox`.
    pub fn flush(&mut self, turn: &mut Turn) {
        let Turn { outbox, now, .. } = turn;
        let mut rest = outbox.messages();
        if let Some(first) = rest.first() {
            let datagram = outbox.datagrams(first).next().and_then(Message::parse);
            datagram.inspect(|message| self.handshakes.sent(*message, *now));
        }
        while let Some((first, others)) = rest.split_first() {
            match self.socket.send_batch(rest.iter().map(|message| outbox.wire(message))) {
                Ok(count) => {
                    let (sent, unsent) = rest.split_at(count.clamp(1, rest.len()));
                    for message in sent {
                        self.count_message(message, message.packets);
                    }
                    rest = unsent;
                }
                Err(error) => {
                    let sent = self.send_apart(&error, first, outbox);
                    self.count_message(first, sent);
                    rest = others;
                }
            }
        }
        outbox.clear();
    }

    /// A message was refused. When that may be for its many datagrams sends each alone, until the
    /// next handshake too, and gives the number of those that left.
    fn send_apart(&mut self, error: &std::io::Error, message: &Batched, outbox: &Outbox) -> usize {
        let refused = Errno::from_io_error(error);
        let is_the_path = matches!(refused, Some(Errno::INVAL | Errno::IO | Errno::MSGSIZE));
        if message.packets == 1 || !is_the_path {
            return 0;
        }
        self.at_once = 1;
        outbox.datagrams(message).filter(|datagram| self.socket.send(datagram).is_ok()).count()
    }

    /// Of a message's packets so many left.
    fn count_message(&mut self, message: &Batched, sent: usize) {
        let (packets, bytes) = (message.packets, message.bytes);
        // Of a message that left in part each packet counts for the same.
        self.traffic.tx.count(sent, bytes * sent / packets.max(1));
        self.traffic.drops.io += packets.saturating_sub(sent) as u64;
    }

    /// Takes a datagram. When it held an inner packet, gives the length of what now stands in
    /// `room`; its addresses are the sender's claim. The room must have [`crate::packet::ROOM`]
    /// bytes, and holds whatever boringtun makes of a datagram. Handshake messages beyond
    /// `turn.handshakes` are dropped unseen.
    pub fn receive(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        room: &mut [u8],
        turn: &mut Turn,
    ) -> Option<usize> {
        let message = Message::parse(datagram);
        let outcome = match message {
            Some(message) if message.is_handshake() => {
                self.take_handshake(datagram, from, room, &mut turn.handshakes)
            }
            Some(_) | None => self.decapsulate(datagram, from, room),
        };
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
                self.answer(message, &room[..len], from, turn);
                None
            }
            (Some(_), Outcome::Nothing) => None,
            (None, _) | (_, Outcome::Refused | Outcome::Strange) => {
                self.traffic.drops.invalid += 1;
                None
            }
        }
    }

    /// Lets time pass: retransmissions, keepalives, new keys, expiry; and says who is silent.
    ///
    /// It is what bounds a session's life (`REJECT_AFTER_TIME`, 180 s), and with it the number of
    /// messages under one key: no link carries 2^60 in that time.
    pub fn tick(&mut self, turn: &mut Turn) {
        if self.handshakes.again(turn.now) {
            self.initiate(true, turn);
        }
        if !self.handshakes.wait_a_little(turn.now) {
            self.update_timers(turn);
        }
        if let Some(silence) = self.handshakes.overdue(turn.now) {
            let quiet_ms = milliseconds(self.handshakes.quiet(turn.now));
            let (tunnel, peer, for_ms) = (self.tunnel, self.index, milliseconds(silence));
            turn.news.push(Event::Silent { tunnel, peer, for_ms, quiet_ms });
        }
    }

    fn update_timers(&mut self, turn: &mut Turn) {
        match self.tunn.update_timers(&mut turn.outer) {
            TunnResult::WriteToNetwork(datagram) => {
                self.transmit(datagram, turn.now);
            }
            TunnResult::Err(WireGuardError::ConnectionExpired) => {
                self.waiting = 0;
                self.revive(turn);
            }
            TunnResult::Done
            | TunnResult::Err(_)
            | TunnResult::WriteToTunnelV4(..)
            | TunnResult::WriteToTunnelV6(..) => {}
        }
    }

    /// boringtun gives up after 90 s without an answer, forgets the packets that it kept, and
    /// would keep silent for ever.
    fn revive(&mut self, turn: &mut Turn) {
        if self.handshakes.revive(turn.now) {
            self.start_handshake(turn);
        }
    }

    fn take_handshake(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        room: &mut [u8],
        left: &mut usize,
    ) -> Outcome {
        if *left == 0 {
            return Outcome::Refused;
        }
        let outcome = self.decapsulate(datagram, from, room);
        // A stranger's costs next to nothing, and must not keep the peer's out.
        if !matches!(outcome, Outcome::Strange) {
            *left -= 1;
        }
        outcome
    }

    fn decapsulate(&mut self, datagram: &[u8], from: SocketAddr, room: &mut [u8]) -> Outcome {
        match self.tunn.decapsulate(Some(from.ip()), datagram, room) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                Outcome::Packet(packet.len())
            }
            TunnResult::Done => Outcome::Nothing,
            TunnResult::WriteToNetwork(answer) => Outcome::Answer(answer.len()),
            TunnResult::Err(WireGuardError::InvalidMac) => Outcome::Strange,
            TunnResult::Err(_) => Outcome::Refused,
        }
    }

    /// Sends what boringtun has to say to a handshake message.
    fn answer(&mut self, message: Message, answer: &[u8], from: SocketAddr, turn: &mut Turn) {
        if let Some(Message::Cookie) = Message::parse(answer) {
            // Under load boringtun answers before it knows who asks. Strangers get no answer.
            if from == self.socket.remote() {
                self.transmit(answer, turn.now);
            }
            return;
        }
        self.settle(from, turn);
        self.transmit(answer, turn.now);
        self.heard(message, from, turn);
    }

    /// An authentic message came.
    fn heard(&mut self, message: Message, from: SocketAddr, turn: &mut Turn) {
        self.settle(from, turn);
        if self.handshakes.received(message, turn.now) {
            turn.news.push(Event::Handshake { tunnel: self.tunnel, peer: self.index });
            // A route or device that refused bursts may have changed.
            self.at_once = self.burst;
            self.send_waiting(turn);
        }
    }

    /// Sends the packets that boringtun kept while there was no session.
    fn send_waiting(&mut self, turn: &mut Turn) {
        while let TunnResult::WriteToNetwork(datagram) =
            self.tunn.decapsulate(None, &[], &mut turn.outer)
        {
            match self.transmit(datagram, turn.now) {
                // A keepalive that was kept counts for nothing.
                Some(Message::Data { len, .. }) if len > 0 => self.traffic.tx.count(1, len),
                Some(_) | None => {}
            }
        }
        self.waiting = 0;
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
