//! Requests over a netlink socket, answered by the kernel before the call returns.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use rustix::{
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::{self, SocketAddrNetlink},
        recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};

/// `NETLINK_ROUTE` is number 0, and so is no protocol.
const ROUTE: Option<Protocol> = None;
/// More than the kernel puts into one read: its dumps come in pieces of at most 32 KiB.
const BUFFER: usize = 64 * 1024;

/// What nftables does takes a millisecond; this is for a machine in trouble, or for a namespace
/// where somebody keeps the kernel busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Talks to the netlink of the namespace that it was opened in, and keeps that namespace alive.
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: Cell<u32>,
    buffer: RefCell<Vec<u8>>,
}

impl Socket {
    /// To links, addresses and routes.
    pub(crate) fn route() -> io::Result<Socket> {
        Self::open(ROUTE)
    }

    /// To nftables. An answer is waited for at most 5 s.
    pub(crate) fn netfilter() -> io::Result<Socket> {
        let socket = Self::open(Some(netlink::NETFILTER))?;
        set_socket_timeout(&socket.fd, Timeout::Recv, Some(PATIENCE))?;
        Ok(socket)
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Socket> {
        let fd = open(protocol, SocketFlags::empty(), 0)?;
        Ok(Socket { fd, sequence: Cell::new(0), buffer: RefCell::new(vec![0; BUFFER]) })
    }

    /// Sends a request and returns what the kernel answered: for a change nothing, for a question
    /// the answer. `flags` come beside `NLM_F_REQUEST` and `NLM_F_ACK`.
    pub(crate) fn request<M>(&self, message: M, flags: u16) -> io::Result<Vec<M>>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        self.send(message, flags | NLM_F_REQUEST | NLM_F_ACK)?;
        self.answers(usize::MAX)
    }

    /// Asks for all objects of a kind.
    pub(crate) fn dump<M>(&self, message: M) -> io::Result<Vec<M>>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        self.dump_at_most(message, usize::MAX)
    }

    /// The same, but an error of the kind `QuotaExceeded` when there are more than `limit`. Nothing
    /// else can be asked then.
    pub(crate) fn dump_at_most<M>(&self, message: M, limit: usize) -> io::Result<Vec<M>>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        self.send(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        self.answers(limit)
    }

    /// Sends changes with their flags as one transaction, between two messages that say so: all of
    /// them take effect or none. For subsystems of netfilter.
    pub(crate) fn transact<M>(&self, begin: M, changes: Vec<(M, u16)>, end: M) -> io::Result<()>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        if changes.is_empty() {
            return Ok(());
        }
        let mut bytes = self.pack(begin, NLM_F_REQUEST);
        let first = self.sequence.get();
        let last = changes.len().saturating_sub(1);
        for (index, (change, flags)) in changes.into_iter().enumerate() {
            // What fails is always told, and before what has an answer for being the last.
            let answered = if index == last { NLM_F_ACK } else { 0 };
            bytes.extend(self.pack(change, flags | answered | NLM_F_REQUEST));
        }
        bytes.extend(self.pack(end, NLM_F_REQUEST));
        send(&self.fd, &bytes, SendFlags::empty())?;
        let mut buffer = self.buffer.borrow_mut();
        loop {
            for packet in receive::<M>(&self.fd, &mut buffer)? {
                let packet = packet?;
                if packet.header.sequence_number >= first && take(packet.payload, &mut Vec::new())?
                {
                    return Ok(());
                }
            }
        }
    }

    fn send<M: NetlinkSerializable>(&self, message: M, flags: u16) -> io::Result<()> {
        send(&self.fd, &self.pack(message, flags), SendFlags::empty())?;
        Ok(())
    }

    fn pack<M: NetlinkSerializable>(&self, message: M, flags: u16) -> Vec<u8> {
        self.sequence.set(self.sequence.get().wrapping_add(1));
        let payload = NetlinkPayload::InnerMessage(message);
        let mut packet = NetlinkMessage::new(NetlinkHeader::default(), payload);
        packet.header.flags = flags;
        packet.header.sequence_number = self.sequence.get();
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        bytes
    }

    fn answers<M: NetlinkDeserializable>(&self, limit: usize) -> io::Result<Vec<M>> {
        let mut answers = Vec::new();
        while !self.read_answers(&mut answers)? {
            if answers.len() > limit {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
        if answers.len() > limit { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(answers) }
    }

    /// One read; true when the last answer was in it.
    fn read_answers<M: NetlinkDeserializable>(&self, answers: &mut Vec<M>) -> io::Result<bool> {
        let mut buffer = self.buffer.borrow_mut();
        for packet in receive(&self.fd, &mut buffer)? {
            let packet = packet?;
            if packet.header.sequence_number == self.sequence.get()
                && take(packet.payload, answers)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> OwnedFd {
        socket.fd
    }
}

/// Puts an answer to the others; true when it was the last.
fn take<M>(payload: NetlinkPayload<M>, answers: &mut Vec<M>) -> io::Result<bool> {
    match payload {
        NetlinkPayload::InnerMessage(message) => {
            answers.push(message);
            Ok(false)
        }
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        NetlinkPayload::Done(done) if done.code != 0 => {
            Err(io::Error::from_raw_os_error(-done.code))
        }
        NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => Ok(true),
        _ => Ok(false),
    }
}

/// News of some multicast groups, for an event loop.
pub(crate) struct Subscription {
    fd: OwnedFd,
}

impl Subscription {
    /// Hears the groups (`RTNLGRP_*`, each at most 32) of the namespace it is opened in.
    pub(crate) fn route(groups: &[u32]) -> io::Result<Subscription> {
        let mask = groups.iter().fold(0, |mask, group| mask | 1 << (group - 1));
        let fd = open(ROUTE, SocketFlags::NONBLOCK, mask)?;
        Ok(Subscription { fd })
    }

    /// What is waiting, `None` when the kernel had to drop some of it. A message that this crate
    /// cannot read is an error of its own.
    pub(crate) fn read<M: NetlinkDeserializable>(&self) -> io::Result<Option<Vec<io::Result<M>>>> {
        let mut buffer = vec![0; BUFFER];
        let (mut news, mut lost) = (Vec::new(), false);
        loop {
            match receive(&self.fd, &mut buffer) {
                Ok(packets) => news.extend(packets.filter_map(inner)),
                // It is said once, and further losses only after everything was read.
                Err(Errno::NOBUFS) => lost = true,
                Err(Errno::AGAIN) => return Ok((!lost).then_some(news)),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn inner<M>(packet: io::Result<NetlinkMessage<M>>) -> Option<io::Result<M>> {
    match packet.map(|packet| packet.payload) {
        Ok(NetlinkPayload::InnerMessage(message)) => Some(Ok(message)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }
}

fn open(protocol: Option<Protocol>, flags: SocketFlags, groups: u32) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    bind(&fd, &SocketAddrNetlink::new(0, groups))?;
    Ok(fd)
}

/// One read, cut into its messages.
fn receive<'b, M: NetlinkDeserializable>(
    fd: &OwnedFd,
    buffer: &'b mut [u8],
) -> Result<impl Iterator<Item = io::Result<NetlinkMessage<M>>> + use<'b, M>, Errno> {
    let (_, length) = retry_on_intr(|| recv(fd, &mut *buffer, RecvFlags::TRUNC))?;
    if length > buffer.len() {
        return Err(Errno::MSGSIZE);
    }
    let mut rest = &buffer[..length];
    Ok(std::iter::from_fn(move || {
        let (packet, after) = cut(rest)?;
        rest = after;
        Some(NetlinkMessage::deserialize(packet).map_err(io::Error::other))
    }))
}

/// The first message and what comes after its padding.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let packet = bytes.get(..length).filter(|packet| !packet.is_empty())?;
    Some((packet, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}
