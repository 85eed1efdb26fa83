//! Many UDP datagrams a system call (`sendmmsg`, `recvmmsg`, `UDP_SEGMENT`, `UDP_GRO`).

use std::{
    io,
    mem::{size_of, zeroed},
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use libc::{c_int, c_uint, cmsghdr, iovec, mmsghdr, msghdr};
use nix::sys::socket::{setsockopt, sockopt::UdpGroSegment};

/// The most messages that one [`send`] takes.
pub const SEND_MAX: usize = 64;
/// The most messages that one [`receive`] gives.
const RECEIVE_MAX: usize = 8;
/// The most bytes of a message, and so of the datagrams that the kernel joined to one.
const MESSAGE_MAX: usize = 65_536;

/// One datagram, or several that lie one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// All their bytes.
    pub bytes: &'a [u8],
    /// The length of each but the last, which may be shorter. Without it they are one datagram.
    pub segment: Option<u16>,
}

/// A control message with one number, in the kernel's layout. The kernel gives a `c_int` and
/// takes a `u16`, whose bytes are the first of the field on little-endian machines.
#[repr(C)]
struct Control {
    header: cmsghdr,
    number: [u8; size_of::<c_int>()],
    padding: [u8; 4],
}

const U16_LEN: usize = size_of::<cmsghdr>() + size_of::<u16>();
const INT_LEN: usize = size_of::<cmsghdr>() + size_of::<c_int>();

impl Control {
    const EMPTY: Self = Self {
        header: cmsghdr { cmsg_len: 0, cmsg_level: 0, cmsg_type: 0 },
        number: [0; size_of::<c_int>()],
        padding: [0; 4],
    };

    fn segment(size: u16) -> Self {
        let header =
            cmsghdr { cmsg_len: U16_LEN, cmsg_level: libc::SOL_UDP, cmsg_type: libc::UDP_SEGMENT };
        let [a, b] = size.to_ne_bytes();
        Self { header, number: [a, b, 0, 0], padding: [0; 4] }
    }

    fn gro_segment(&self) -> Option<usize> {
        let header = &self.header;
        let is_one = header.cmsg_len == INT_LEN
            && header.cmsg_level == libc::SOL_UDP
            && header.cmsg_type == libc::UDP_GRO;
        let size = usize::try_from(c_int::from_ne_bytes(self.number)).ok()?;
        Some(size).filter(|size| is_one && *size > 0)
    }
}

/// Lets the kernel join datagrams of one source and length, from now on. Without it
/// [`receive`] gives each alone.
pub fn enable_gro(fd: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&fd, UdpGroSegment, &true)?)
}

/// Sends as many messages as it can, at most [`SEND_MAX`], over a connected socket, and gives
/// their number, at least 1. Never waits.
///
/// An error is the first message's, or the fate of an earlier datagram (ICMP), which does not come
/// again. `EINVAL` and `EIO` for a message with segments mean that the path cannot take it as such.
pub fn send<'a>(
    fd: impl AsFd,
    messages: impl IntoIterator<Item = Message<'a>>,
) -> io::Result<usize> {
    let mut parts = [EMPTY_PART; SEND_MAX];
    let mut controls = [const { Control::EMPTY }; SEND_MAX];
    let mut headers = [empty_header(); SEND_MAX];
    let mut count = 0;
    let places = headers.iter_mut().zip(&mut parts).zip(&mut controls);
    for (message, ((header, part), control)) in messages.into_iter().zip(places) {
        let bytes = message.bytes;
        *part = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        if let Some(size) = message.segment {
            *control = Control::segment(size);
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
        count += 1;
    }
    let (fd, flags) = (fd.as_fd().as_raw_fd(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    // SAFETY: the first `count` headers point to parts and controls that outlive the call, and
    // those parts to bytes that are borrowed for as long and that the kernel only reads.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Datagrams that were received together. It is filled again and again.
pub struct Batch {
    buffer: Box<[u8]>,
    received: [Received; RECEIVE_MAX],
    count: usize,
}

/// A message in the batch's buffer.
#[derive(Clone, Copy, Default)]
struct Received {
    len: usize,
    segment: Option<usize>,
}

impl Batch {
    /// An empty one. Its 512 KiB become memory as they are used.
    pub fn new() -> Self {
        let buffer = vec![0; RECEIVE_MAX * MESSAGE_MAX].into_boxed_slice();
        Self { buffer, received: Default::default(), count: 0 }
    }

    /// Whether it holds as much as it can: there may be more to receive.
    pub fn is_full(&self) -> bool {
        self.count == RECEIVE_MAX
    }

    /// How many messages it holds, empty ones too.
    pub fn messages(&self) -> usize {
        self.count
    }

    /// The datagrams, in order, but for empty ones.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let messages = self.buffer.chunks(MESSAGE_MAX).zip(&self.received).take(self.count);
        messages.flat_map(|(buffer, received)| {
            let bytes = &buffer[..received.len.min(buffer.len())];
            // No protocol of ours has empty datagrams, and none is a chunk.
            bytes.chunks(received.segment.unwrap_or(bytes.len()).max(1))
        })
    }

    /// Puts one datagram in place of what it holds.
    pub fn fill_with<E>(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.count = 0;
        let len = read(&mut self.buffer[..MESSAGE_MAX])?;
        self.received[0] = Received { len, segment: None };
        self.count = 1;
        Ok(())
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts what the socket has in place of what the batch holds. `WouldBlock` when it has nothing;
/// any other error is the fate of an earlier datagram (ICMP) and does not come again.
pub fn receive(fd: impl AsFd, batch: &mut Batch) -> io::Result<()> {
    let mut parts = [EMPTY_PART; RECEIVE_MAX];
    let mut controls = [const { Control::EMPTY }; RECEIVE_MAX];
    let mut headers = [empty_header(); RECEIVE_MAX];
    let places = headers.iter_mut().zip(&mut parts).zip(&mut controls);
    for (buffer, ((header, part), control)) in batch.buffer.chunks_mut(MESSAGE_MAX).zip(places) {
        *part = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = ptr::from_mut(control).cast();
        header.msg_hdr.msg_controllen = size_of::<Control>();
    }
    batch.count = 0;
    let (fd, count) = (fd.as_fd().as_raw_fd(), RECEIVE_MAX_C);
    // SAFETY: the headers point to parts and controls that outlive the call, and the parts to
    // stretches of the batch's buffer that do not overlap; nothing else uses any of them meanwhile.
    let received = unsafe {
        libc::recvmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT, ptr::null_mut())
    };
    batch.count = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((received, header), control) in batch.received.iter_mut().zip(&headers).zip(&controls) {
        let len = usize::try_from(header.msg_len).unwrap_or(0);
        *received = Received { len, segment: control.gro_segment() };
    }
    Ok(())
}

const RECEIVE_MAX_C: c_uint = 8;
const _: () = assert!(RECEIVE_MAX_C as usize == RECEIVE_MAX);

const EMPTY_PART: iovec = iovec { iov_base: ptr::null_mut(), iov_len: 0 };

fn empty_header() -> mmsghdr {
    // SAFETY: null pointers and zero lengths are a message header of the kernel's: an empty one.
    let msg_hdr: msghdr = unsafe { zeroed() };
    mmsghdr { msg_hdr, msg_len: 0 }
}
