//! One connection to a data plane: requests that wait for room in the socket, messages, with fds
//! either way.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use egress_dataplane::protocol::{Message, PACKET_MAX, Request};
use egress_linux::process::PidFd;
use egress_linux::{ready, seqpacket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroizing;

/// Requests that wait for room in the socket before no more should be queued. Small, so that a
/// heartbeat does not wait behind many.
const UNSENT_MAX: usize = 32;

/// A connection, and the process behind it.
pub struct Connection {
    fd: AsyncFd<OwnedFd>,
    process: PidFd,
    unsent: VecDeque<Unsent>,
    buffer: Vec<u8>,
}

/// A request as it goes over the wire. Its bytes, keys among them, are wiped when it is gone.
struct Unsent {
    number: u64,
    bytes: Zeroizing<Vec<u8>>,
    fds: Vec<Arc<OwnedFd>>,
}

/// What comes out of a connection.
pub enum Received {
    /// The data plane says something; fds come beside it.
    Message(Message, Vec<OwnedFd>),
    /// The kernel does not take the request of this number, whose turn it was.
    Unsendable(u64, io::Error),
    /// The data plane has closed the connection.
    End,
}

impl Connection {
    /// Takes over a connected socket.
    pub fn new(fd: OwnedFd, process: PidFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        let fd = ready::register(fd, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { fd, process, unsent: VecDeque::new(), buffer: vec![0; PACKET_MAX] })
    }

    /// The process at the other end.
    pub fn process(&self) -> &PidFd {
        &self.process
    }

    /// Lines up a request, which [`Connection::next`] sends: the socket takes no more than the
    /// data plane reads, and that reads no more than it has answered and been heard.
    pub fn queue(&mut self, request: &Request, fds: Vec<Arc<OwnedFd>>) -> io::Result<()> {
        let bytes = postcard::to_stdvec(request).map_err(io::Error::other)?.into();
        self.unsent.push_back(Unsent { number: request.number, bytes, fds });
        Ok(())
    }

    /// Whether more requests should be lined up.
    pub fn has_room(&self) -> bool {
        self.unsent.len() < UNSENT_MAX
    }

    /// Sends what is lined up, as far as there is room, and gives what comes in. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> io::Result<Received> {
        loop {
            if let Some(received) = self.poll()? {
                return Ok(received);
            }
            let mut wanted = Interest::READABLE;
            if !self.unsent.is_empty() {
                wanted |= Interest::WRITABLE;
            }
            // What is ready was noted as not so by whoever found that it would have to wait.
            drop(self.fd.ready(wanted).await?);
        }
    }

    /// The same without waiting; `None` where it would have to.
    pub fn poll(&mut self) -> io::Result<Option<Received>> {
        while let Some(first) = self.unsent.front() {
            let fds: Vec<BorrowedFd<'_>> = first.fds.iter().map(|fd| fd.as_fd()).collect();
            let send = |fd: &OwnedFd| seqpacket::send(fd, &first.bytes, &fds);
            match self.fd.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // What was said before the end can still be read.
                Err(error) if is_end(&error) => self.unsent.clear(),
                Err(error) => {
                    let number = first.number;
                    self.unsent.pop_front();
                    return Ok(Some(Received::Unsendable(number, error)));
                }
                Ok(()) => drop(self.unsent.pop_front()),
            }
        }
        let Self { fd, buffer, .. } = self;
        let (length, fds) = match fd.try_io(Interest::READABLE, |fd| seqpacket::recv(fd, buffer)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            packet => match packet? {
                Some(packet) => packet,
                None => return Ok(Some(Received::End)),
            },
        };
        let message = postcard::from_bytes(&self.buffer[..length]).map_err(io::Error::other)?;
        Ok(Some(Received::Message(message, fds)))
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::thread;

    use egress_dataplane::protocol::{Command, Reply};

    use super::*;

    /// More than the socket's buffers hold of requests and of replies.
    const REQUESTS: u64 = 4_096;
    /// As many as a data plane leaves unanswered.
    const IN_FLIGHT: usize = 256;

    /// Answers as a data plane does: replies wait for the other side to read, and beyond a number
    /// of them no request is read.
    fn answer_all(fd: &OwnedFd) {
        rustix::io::ioctl_fionbio(fd, true).unwrap();
        let mut buffer = vec![0; PACKET_MAX];
        let mut unsent: VecDeque<Vec<u8>> = VecDeque::new();
        loop {
            while let Some(reply) = unsent.front()
                && seqpacket::send(fd, reply, &[]).is_ok()
            {
                unsent.pop_front();
            }
            if unsent.len() < IN_FLIGHT {
                match seqpacket::recv(fd, &mut buffer) {
                    Ok(Some((length, _))) => {
                        let request: Request = postcard::from_bytes(&buffer[..length]).unwrap();
                        let message = Message::Reply { number: request.number, reply: Reply::Done };
                        unsent.push_back(postcard::to_stdvec(&message).unwrap());
                    }
                    Ok(None) => return,
                    Err(_would_block) => thread::yield_now(),
                }
            }
        }
    }

    #[tokio::test]
    async fn both_sides_get_on_however_many_requests_there_are_at_once() {
        let (ours, theirs) = seqpacket::pair().unwrap();
        let answering = thread::spawn(move || answer_all(&theirs));
        let process = PidFd::open(std::process::id()).unwrap();
        let mut connection = Connection::new(ours, process).unwrap();
        for number in 0..REQUESTS {
            let request = Request { number, command: Command::Remove { tunnel: number } };
            connection.queue(&request, Vec::new()).unwrap();
        }
        for expected in 0..REQUESTS {
            match connection.next().await.unwrap() {
                Received::Message(Message::Reply { number, .. }, _) => assert_eq!(number, expected),
                Received::Message(..) | Received::Unsendable(..) | Received::End => panic!(),
            }
        }
        drop(connection);
        answering.join().unwrap();
    }

    #[tokio::test]
    async fn what_was_said_before_the_end_is_heard() {
        let (ours, theirs) = seqpacket::pair().unwrap();
        let process = PidFd::open(std::process::id()).unwrap();
        let mut connection = Connection::new(ours, process).unwrap();
        let message = Message::Reply { number: 7, reply: Reply::Done };
        seqpacket::send(&theirs, &postcard::to_stdvec(&message).unwrap(), &[]).unwrap();
        drop(theirs);
        let request = Request { number: 8, command: Command::Stats };
        connection.queue(&request, Vec::new()).unwrap();
        let first = connection.next().await.unwrap();
        assert!(matches!(first, Received::Message(Message::Reply { number: 7, .. }, _)));
        assert!(matches!(connection.next().await.unwrap(), Received::End));
    }
}
