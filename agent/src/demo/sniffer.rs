//! An ear on the host's way out, which knows what may be there.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};

use super::far_end::ENDPOINT;
use super::stage::{HOST, UPLINK};
use super::{Error, failed};

/// `PACKET_OUTGOING` of `linux/if_packet.h`: sent by the namespace that listens.
const OUTGOING: u8 = 4;
const BUFFER_BYTES: usize = 16 << 20;
/// How long a packet may take from the uplink to the ear.
const ECHO: Duration = Duration::from_millis(200);

/// What has left the host by its uplink.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heard {
    /// Packets of the tunnel.
    pub tunnel: u64,
    /// Packets that are neither the tunnel's nor ARP.
    pub outside: u64,
    /// Packets in which the canary can be read, whatever else they are.
    pub canaries: u64,
    /// Packets that the kernel could not keep for the ear.
    pub lost: u32,
}

/// Listens until the process ends.
#[derive(Debug)]
pub struct Sniffer(Arc<Mutex<Heard>>);

impl Sniffer {
    /// Listens on the host's uplink from now on; the calling thread is on the host.
    pub fn start(canary: &'static str) -> Result<Self, Error> {
        let ear = Ear::open().map_err(failed("listen on the host's uplink"))?;
        let heard = Arc::<Mutex<Heard>>::default();
        let sniffer = Self(Arc::clone(&heard));
        thread::spawn(move || ear.listen(canary.as_bytes(), &heard));
        Ok(sniffer)
    }

    /// What was heard since this was last asked.
    pub fn take(&self) -> Heard {
        thread::sleep(ECHO);
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Ear {
    socket: OwnedFd,
    uplink: usize,
}

/// One packet, or how many were lost instead.
enum Sound {
    Packet(usize),
    Lost(u32),
    Nothing,
}

impl Ear {
    fn open() -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        Ok(Self { socket, uplink: if_nametoindex(UPLINK)? as usize })
    }

    fn listen(&self, canary: &[u8], heard: &Mutex<Heard>) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let sound = self.next(&mut buffer);
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            match sound {
                Sound::Packet(length) => heard.count(&buffer[..length], canary),
                Sound::Lost(packets) => heard.lost = packets,
                Sound::Nothing => {}
            }
        }
    }

    fn next(&self, buffer: &mut [u8]) -> Sound {
        let mut control = cmsg_space!(u32);
        let mut slices = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::empty();
        let message = match recvmsg::<LinkAddr>(fd, &mut slices, Some(&mut control), flags) {
            Ok(message) => message,
            Err(Errno::EINTR) => return Sound::Nothing,
            // Whatever it is, a deaf ear must not pass for silence.
            Err(_) => return Sound::Lost(u32::MAX),
        };
        if let Some(packets) = lost(&message) {
            return Sound::Lost(packets);
        }
        let address = message.address.as_ref();
        let left =
            address.is_some_and(|it| it.ifindex() == self.uplink && it.pkttype() == OUTGOING);
        if left { Sound::Packet(message.bytes) } else { Sound::Nothing }
    }
}

fn lost(message: &nix::sys::socket::RecvMsg<'_, '_, LinkAddr>) -> Option<u32> {
    message.cmsgs().ok()?.find_map(|control| {
        let ControlMessageOwned::RxqOvfl(packets) = control else { return None };
        (packets > 0).then_some(packets)
    })
}

impl Heard {
    fn count(&mut self, frame: &[u8], canary: &[u8]) {
        if frame.windows(canary.len()).any(|text| text == canary) {
            self.canaries += 1;
        }
        match kind(frame) {
            Kind::Tunnel => self.tunnel += 1,
            Kind::Arp => {}
            Kind::Other => self.outside += 1,
        }
    }
}

enum Kind {
    Tunnel,
    Arp,
    Other,
}

/// Reads an Ethernet frame. The host has no IPv6 address, so that IPv6 is never the tunnel's.
fn kind(frame: &[u8]) -> Kind {
    let (Some(ethertype), Some(ip)) = (frame.get(12..14), frame.get(14..)) else {
        return Kind::Other;
    };
    match ethertype {
        [0x08, 0x06] => Kind::Arp,
        [0x08, 0x00] if is_tunnel(ip) => Kind::Tunnel,
        _ => Kind::Other,
    }
}

/// UDP from the host to the tunnel's far end, whole and without options.
fn is_tunnel(ip: &[u8]) -> bool {
    const VERSION_4_AND_5_WORDS: u8 = 0x45;
    const UDP: u8 = 17;
    let port = ENDPOINT.port().to_be_bytes();
    ip.first() == Some(&VERSION_4_AND_5_WORDS)
        && ip.get(9) == Some(&UDP)
        && ip.get(12..16) == Some(&HOST.octets()[..])
        && ip.get(16..20) == Some(&ENDPOINT.ip().octets()[..])
        && ip.get(22..24) == Some(&port[..])
}
