//! TUN devices: made in the host's namespace, moved into a container's.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    fs::{Mode, OFlags, fstat, open, stat},
    net::{AddressFamily, SocketType, netdevice::name_to_index, socket},
};

use crate::{
    link,
    netlink::Socket,
    netns::{Netns, device_netns},
};

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
    /// A device of this name may still be there.
    #[error("take the device {name} away")]
    Remove {
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
/// most 15 bytes; the kernel replaces a `%d` in it by the first free number. A device of that name
/// that is there already, of whatever kind, is an error.
pub fn create(name: &str, mtu: u16, offload: Offload) -> Result<Device, TunError> {
    make(name, mtu, offload).map_err(|source| TunError::Create { name: name.to_owned(), source })
}

/// Takes away the tun device of this name, if there is one. Whoever has it open reads nothing more
/// from it. Takes as long as its packets' last ways do (RCU): 16 ms and more.
pub fn remove(name: &str) -> io::Result<()> {
    if index_by_name(name).is_err() {
        return Ok(());
    }
    let links = link::links()?;
    let is_it = |link: &&link::Link| link.name == name && link.kind == "tun";
    let Some(found) = links.iter().find(is_it) else { return Ok(()) };
    let mut message = LinkMessage::default();
    message.header.index = found.index;
    match Socket::route()?.request(RouteNetlinkMessage::DelLink(message), 0) {
        // Somebody else was quicker.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        result => result.map(drop),
    }
}

fn make(name: &str, mtu: u16, offload: Offload) -> io::Result<Device> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open("/dev/net/tun", flags, Mode::empty())?;
    // Without IFF_TUN_EXCL the fd would be one more end of a device that somebody else made.
    let bare = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
    let mut attributes = vec![LinkAttribute::Mtu(mtu.into())];
    let uncut = match offload {
        Offload::Off => {
            request(&fd, libc::TUNSETIFF, name, bare)?;
            Uncut::Nothing
        }
        Offload::VnetHeader { segments } => {
            request(&fd, libc::TUNSETIFF, name, bare | libc::IFF_VNET_HDR)?;
            attributes.push(LinkAttribute::GsoMaxSegs(segments.into()));
            leave_uncut(&fd)?
        }
    };
    let name = name_of(&fd)?;
    let index = index_by_name(&name)?;
    set(index, attributes)?;
    Ok(Device { fd, index, name, uncut })
}

fn leave_uncut(fd: &OwnedFd) -> io::Result<Uncut> {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    set_offload(fd, tcp)?;
    let with_udp = set_offload(fd, tcp | libc::TUN_F_USO4 | libc::TUN_F_USO6);
    Ok(if with_udp.is_ok() { Uncut::TcpAndUdp } else { Uncut::Tcp })
}

fn set_offload(fd: &OwnedFd, features: libc::c_uint) -> io::Result<()> {
    let features = libc::c_ulong::from(features);
    // SAFETY: this request takes a number, and touches no memory of ours.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, features) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The number of the device of this fd in the calling thread's namespace, whatever its name is
/// there by now; an error of the kind `NotFound` where it is in another one.
pub fn index(device: impl AsFd) -> io::Result<u32> {
    let device = device.as_fd();
    let own = stat("/proc/thread-self/ns/net")?;
    let home = fstat(device_netns(device)?)?;
    if (home.st_dev, home.st_ino) != (own.st_dev, own.st_ino) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let name = name_of(device)?;
    let index = index_by_name(&name)?;
    // Somebody may have given the name to another one meanwhile.
    if name_of(device)? == name { Ok(index) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn index_by_name(name: &str) -> io::Result<u32> {
    let any = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    Ok(name_to_index(&any, name)?)
}

/// The name that the device of this fd has in the namespace it is in.
fn name_of(device: impl AsFd) -> io::Result<String> {
    request(device, libc::TUNGETIFF, "", 0)
}

/// Asks for something that is told by a name and flags; the name that is told back.
fn request(fd: impl AsFd, what: libc::Ioctl, name: &str, flags: libc::c_int) -> io::Result<String> {
    let mut bytes = [0; libc::IFNAMSIZ];
    let room = bytes.get_mut(..name.len()).filter(|room| room.len() < libc::IFNAMSIZ);
    let Some(room) = room else { return Err(io::ErrorKind::InvalidInput.into()) };
    room.copy_from_slice(name.as_bytes());
    let mut request = libc::ifreq {
        ifr_name: bytes.map(u8::cast_signed),
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: u16::try_from(flags).map_err(io::Error::other)?.cast_signed(),
        },
    };
    // SAFETY: both requests read and write an ifreq, which `request` is.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), what, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let told = request.ifr_name.map(libc::c_char::cast_unsigned);
    let told = CStr::from_bytes_until_nul(&told).map_err(io::Error::other)?;
    Ok(told.to_string_lossy().into_owned())
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
