//! TUN devices: made in the host's namespace, moved into a container's.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    net::{AddressFamily, SocketType, netdevice::name_to_index, socket},
};

use crate::{netlink::Socket, netns::Netns};

/// The most packets that are read away: the kernel keeps 500 of a device that nobody reads, unless
/// it was told otherwise.
const QUEUE_MAX: usize = 10_000;

/// A device and the end that its packets come out of and go in by.
///
/// It is gone when the last duplicate of `fd` is closed. The namespace it was *made* in stays
/// alive for as long as `fd`; the one that it was moved to does not, and when that dies reads
/// fail with `EBADFD`, which epoll shows as `EPOLLERR` alone.
#[derive(Debug)]
pub struct Device {
    /// Non-blocking; one packet a read and a write, without any header unless `offload` says so.
    pub fd: OwnedFd,
    /// Its number in the namespace it was made in; the kernel may change it with a move.
    pub index: u32,
    /// Its name there.
    pub name: String,
    /// What passes through it uncut, both ways.
    pub uncut: Uncut,
}

/// Packets that a device's two sides leave to each other to cut and to give checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncut {
    /// None: there is no header before packets.
    Nothing,
    /// TCP's, over IPv4 and IPv6.
    Tcp,
    /// UDP's too (Linux 6.2).
    TcpAndUdp,
}

/// How packets pass between us and the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// One packet of at most the MTU at a time.
    Off,
    /// A 10-byte `virtio_net_hdr` before packets of up to 64 KiB, of which checksums and
    /// segmentation are ours to do (TSO, and USO where the kernel has it). [`Device::uncut`] says
    /// what it became.
    VnetHeader {
        /// The most segments of one packet that comes out; the kernel cuts what has more.
        segments: u16,
    },
}

/// Why a device was not made or moved.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// There is no device then.
    #[error("make the device {name}")]
    Create {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The device is where it was or, when its new name was taken there, inside under its old
    /// one. Closing its fd removes it from either.
    #[error("move the device {index} to be {name} in network namespace {cookie}")]
    Move {
        /// The device's number where it is.
        index: u32,
        /// The name it was to have.
        name: String,
        /// The namespace it was to be in.
        cookie: u64,
        /// Why.
        source: io::Error,
    },
}

/// Makes a device in the calling thread's namespace, down and without addresses. `name` has at
/// most 15 bytes; the kernel replaces a `%d` in it by the first free number.
pub fn create(name: &str, mtu: u16, offload: Offload) -> Result<Device, TunError> {
    make(name, mtu, offload).map_err(|source| TunError::Create { name: name.to_owned(), source })
}

fn make(name: &str, mtu: u16, offload: Offload) -> io::Result<Device> {
    let device = tun_rs::DeviceBuilder::new()
        .name(name)
        .mtu(mtu)
        .enable(false)
        .with(|linux| {
            linux.offload(offload != Offload::Off);
        })
        .build_sync()?;
    device.set_nonblocking(true)?;
    let name = device.name()?;
    let uncut = match (device.tcp_gso(), device.udp_gso()) {
        (false, _) => Uncut::Nothing,
        (true, false) => Uncut::Tcp,
        (true, true) => Uncut::TcpAndUdp,
    };
    // SAFETY: into_raw_fd gives up ownership of an open descriptor, so that it is only ours now.
    let fd = unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) };
    let any = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    let index = name_to_index(&any, &name)?;
    if let Offload::VnetHeader { segments } = offload {
        set(index, vec![LinkAttribute::GsoMaxSegs(segments.into())])?;
    }
    Ok(Device { fd, index, name, uncut })
}

/// Changes a link of the calling thread's namespace.
fn set(index: u32, attributes: Vec<LinkAttribute>) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = attributes;
    Socket::route()?.request(RouteNetlinkMessage::SetLink(message), 0).map(drop)
}

/// Moves a device of the calling thread's namespace and renames it on the way. It arrives down
/// and loses its addresses. The kernel waits for its other processors meanwhile (RCU): 16 ms and
/// more, during which no other link of the machine can be changed.
pub fn move_into(index: u32, netns: &Netns, new_name: &str) -> Result<(), TunError> {
    let attributes = vec![
        LinkAttribute::NetNsFd(netns.as_fd().as_raw_fd()),
        LinkAttribute::IfName(new_name.to_owned()),
    ];
    set(index, attributes).map_err(|source| TunError::Move {
        index,
        name: new_name.to_owned(),
        cookie: netns.cookie(),
        source,
    })
}

/// A descriptor that becomes readable when the namespace that the device is in has ended, and not
/// for packets.
pub fn watch_end(device: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let watch = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    // That an error is shown need not be asked for.
    epoll::add(&watch, device, epoll::EventData::new_u64(0), epoll::EventFlags::empty())?;
    Ok(watch)
}

/// Reads away packets that waited while nobody read the device: they are stale. Nobody else may
/// be reading it.
pub fn drain(device: BorrowedFd<'_>) {
    let mut packet = [0; 1];
    for _ in 0..QUEUE_MAX {
        let mut ready = [PollFd::new(&device, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_ready = poll(&mut ready, Some(&now)).is_ok_and(|count| count > 0);
        // What of a packet does not fit is thrown away with it.
        if !is_ready || rustix::io::read(device, &mut packet).is_err() {
            return;
        }
    }
}
