//! Control's end of the line: whole messages, replies before news, never waiting.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use egress_linux::seqpacket;
use rustix::event::PollFlags;
use zeroize::Zeroize;

use crate::news::News;
use crate::order::{Answer, Ticket};
use crate::protocol::{Message, PACKET_MAX, Request};

/// The most requests that wait for their answer, or answers that wait to be read. Beyond that
/// nothing is read from control.
const IN_FLIGHT_MAX: usize = 256;

/// A connection of control's.
pub struct Connection {
    fd: OwnedFd,
    number: u64,
    unanswered: usize,
    unsent: VecDeque<(Message, Vec<OwnedFd>)>,
    greeted: bool,
    full: bool,
    /// One packet. It may have keys in it, so that it is wiped after each use.
    buffer: Box<[u8]>,
}

/// The connection is at its end: control closed it, or said what cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// Control closed it.
    #[error("control is gone")]
    Gone,
    /// Reading or writing failed; a packet that is too long is such a failure.
    #[error("talk with control")]
    Io(#[source] io::Error),
    /// A packet is no message.
    #[error("a message cannot be understood")]
    Malformed(#[source] postcard::Error),
}

impl Connection {
    /// Takes an accepted socket. `number` tells it from its predecessors.
    pub fn new(fd: OwnedFd, number: u64) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self {
            fd,
            number,
            unanswered: 0,
            unsent: VecDeque::new(),
            greeted: false,
            full: false,
            buffer: vec![0; PACKET_MAX].into_boxed_slice(),
        })
    }

    /// The next request with its descriptors; `None` when there is none, or too many are
    /// unanswered.
    pub fn receive(&mut self) -> Result<Option<(Request, Vec<OwnedFd>)>, Closed> {
        if !self.listens() {
            return Ok(None);
        }
        let (len, fds) = match seqpacket::recv(&self.fd, &mut self.buffer) {
            Ok(packet) => packet.ok_or(Closed::Gone)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(Closed::Io(error)),
        };
        let request = postcard::from_bytes(&self.buffer[..len]);
        self.buffer[..len].zeroize();
        self.unanswered += 1;
        Ok(Some((request.map_err(Closed::Malformed)?, fds)))
    }

    /// Names a request of this connection.
    pub fn ticket(&self, number: u64) -> Ticket {
        Ticket { connection: self.number, number }
    }

    /// Whether a request came by this connection.
    pub fn issued(&self, ticket: Ticket) -> bool {
        ticket.connection == self.number
    }

    /// Lines up the last reply to a request, or its only one.
    pub fn answer(&mut self, number: u64, answer: Answer) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.answer_in_part(number, answer);
    }

    /// Lines up a reply that others follow.
    pub fn answer_in_part(&mut self, number: u64, answer: Answer) {
        let Answer { reply, fds } = answer;
        self.unsent.push_back((Message::Reply { number, reply }, fds));
    }

    /// Control has said who it is: it may hear news.
    pub fn greet(&mut self) {
        self.greeted = true;
    }

    /// Sends replies, then news, as far as control's buffer takes them.
    pub fn flush(&mut self, news: &mut News) -> Result<(), Closed> {
        self.full = false;
        while let Some((message, fds)) = self.unsent.pop_front() {
            if !self.send(&message, &fds)? {
                self.unsent.push_front((message, fds));
                return Ok(());
            }
        }
        while let Some(event) = news.next().filter(|_| self.greeted) {
            if !self.send(&Message::Event(event), &[])? {
                return Ok(());
            }
            news.told();
        }
        Ok(())
    }

    /// False when there is no room.
    fn send(&mut self, message: &Message, fds: &[OwnedFd]) -> Result<bool, Closed> {
        let packet = postcard::to_slice(message, &mut self.buffer).map_err(Closed::Malformed)?;
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let sent = seqpacket::send(&self.fd, packet, &fds);
        packet.zeroize();
        match sent {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.full = true;
                Ok(false)
            }
            Err(error) => Err(Closed::Io(error)),
        }
    }

    /// What to poll it for.
    pub fn interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, self.listens());
        interest.set(PollFlags::OUT, self.full);
        interest
    }

    fn listens(&self) -> bool {
        self.unanswered + self.unsent.len() < IN_FLIGHT_MAX
    }

    /// Whether all replies were sent.
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
