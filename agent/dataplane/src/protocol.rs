//! What control and the data plane say to each other, over one seqpacket socket.
//!
//! The data plane is started with a connection; another control connects to the socket of
//! [`Command::Serve`]. The newest connection is served, and the one before is dropped. Each
//! [`Command`] is one packet and is answered by exactly one [`Reply`] with its number, in any
//! order; [`Event`]s come unasked. File descriptors travel beside the packet (`SCM_RIGHTS`) in the
//! order that the message's documentation names.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::message::DATA_OVERHEAD;
use crate::outbox::MESSAGE_MAX;

/// The most bytes one packet may have.
pub const PACKET_MAX: usize = 128 * 1024;
/// The most file descriptors beside one packet: a device and one socket per peer.
pub const FDS_MAX: usize = 1 + PEERS_MAX;
/// The most peers one tunnel may have.
pub const PEERS_MAX: usize = 16;
/// The most allowed IPs of one tunnel, all peers together.
pub const ALLOWED_IPS_MAX: usize = 4096;
/// Grows with every change of this file that an older data plane would misread.
pub const VERSION: u32 = 4;

/// Names a tunnel on the wire: control's number for it, never used twice by one control store.
pub type TunnelId = u64;

/// A packet from control.
#[derive(Serialize, Deserialize)]
pub struct Request {
    /// Comes back in the reply.
    pub number: u64,
    /// What to do.
    pub command: Command,
}

/// What control asks for.
#[derive(Serialize, Deserialize)]
pub enum Command {
    /// Who are you? First on every connection. Answered by [`Reply::Hello`].
    Hello,
    /// Take connections here from now on, and no more where they were taken before. Fds: a bound
    /// socket that does not listen yet.
    Serve,
    /// Are you alive? Answered by [`Reply::Alive`], before anything that takes a worker.
    Ping,
    /// Carry a tunnel. Fds: the device, then one connected UDP socket per peer, in order. A tunnel
    /// of that id is replaced. The first handshake of every peer with an endpoint starts at once.
    Add(TunnelConfig),
    /// Keep a device that another process moves the packets of. Fds: the device. One kept under that
    /// id is replaced. Control gives no id to both a tunnel and a kept device.
    Keep {
        /// Control's number for it.
        tunnel: TunnelId,
    },
    /// Use another endpoint for a peer. Fds: one connected UDP socket. Starts a handshake.
    SetEndpoint {
        /// Which tunnel.
        tunnel: TunnelId,
        /// Which of its peers, from 0.
        peer: u16,
        /// What the socket is connected to.
        endpoint: SocketAddr,
    },
    /// Let any source's authenticated packet move the peer's endpoint, until the first of them
    /// comes: from elsewhere ([`Event::Moved`]) or from where the peer was. The socket stays the
    /// same; it is connected to the new endpoint.
    Listen {
        /// Which tunnel.
        tunnel: TunnelId,
        /// Which of its peers.
        peer: u16,
    },
    /// Forget a tunnel or a kept device: keys are wiped and fds closed. Done as well when there is
    /// none.
    Remove {
        /// Which.
        tunnel: TunnelId,
    },
    /// Give back a tunnel's configuration and duplicates of its fds, as in [`Command::Add`], or a
    /// duplicate of a kept device, as in [`Command::Keep`].
    Export {
        /// Which.
        tunnel: TunnelId,
    },
    /// Counters and handshakes of every tunnel. Answered by one or more [`Reply::Stats`], the last
    /// one with `more` false.
    Stats,
    /// Control is going: stay while there are tunnels or kept devices, else exit.
    Bye,
}

/// All that a tunnel is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunnelConfig {
    /// Control's number for it.
    pub tunnel: TunnelId,
    /// The interface's private key.
    pub private_key: Key,
    /// The device's MTU in bytes: padding never exceeds it.
    pub mtu: u16,
    /// What passes through the device uncut. It was made so and stays so for its life.
    pub uncut: Uncut,
    /// The most datagrams that leave to a peer in one message to the kernel, which sends them at
    /// one blow. With 1, or 0, each leaves and arrives alone.
    pub burst: u16,
    /// The peers, in the order of their sockets.
    pub peers: Vec<PeerConfig>,
}

/// Of packets as long as the MTU in bytes, how many leave in one message; see
/// [`TunnelConfig::burst`].
pub fn message_packets(mtu: u16, burst: u16) -> u16 {
    let fit = MESSAGE_MAX / (usize::from(mtu) + DATA_OVERHEAD);
    burst.min(u16::try_from(fit).unwrap_or(u16::MAX)).max(1)
}

/// The packets that a device and the data plane leave to each other to cut and to give checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uncut {
    /// None: the device has no vnet header.
    Nothing,
    /// TCP's (TSO).
    Tcp,
    /// UDP's too (USO).
    TcpAndUdp,
}

/// One peer of a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerConfig {
    /// Its public key.
    pub public_key: [u8; 32],
    /// Mixed into the handshake.
    pub preshared_key: Option<Key>,
    /// Where it is; what its socket is connected to.
    pub endpoint: SocketAddr,
    /// What may be sent to it and what it may send.
    pub allowed_ips: Vec<IpNet>,
    /// Seconds between keepalives.
    pub keepalive: Option<u16>,
}

/// A key on its way: wiped when dropped, not shown.
#[derive(
    Clone, PartialEq, Eq, Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop,
)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A packet from the data plane.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The answer to the request of that number.
    Reply {
        /// The request's.
        number: u64,
        /// The answer.
        reply: Reply,
    },
    /// News.
    Event(Event),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Command::Hello`].
    Hello {
        /// [`VERSION`].
        version: u32,
        /// Its process.
        pid: u32,
        /// The tunnels it carries.
        tunnels: Vec<TunnelId>,
        /// The devices it keeps.
        kept: Vec<TunnelId>,
    },
    /// Done.
    Done,
    /// To [`Command::Ping`].
    Alive {
        /// How many pings in a row, this one included, have found a worker where the one before
        /// had found it. A worker with nothing to do moves once a second.
        stuck: u32,
    },
    /// To [`Command::Export`]; the fds come beside it.
    Exported {
        /// What the tunnel is, with the endpoints it has now.
        config: TunnelConfig,
    },
    /// To [`Command::Export`] of a kept device, which comes beside it.
    Kept,
    /// To [`Command::Stats`].
    Stats {
        /// Some of the tunnels.
        tunnels: Vec<TunnelStats>,
        /// Another reply with this number follows.
        more: bool,
    },
    /// Not done, and why, in a sentence without secrets.
    Failed {
        /// The sentence.
        reason: String,
    },
}

/// What a tunnel has carried since it was added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelStats {
    /// Which.
    pub tunnel: TunnelId,
    /// Inner bytes received from the peers and given to the container.
    pub rx_bytes: u64,
    /// Inner packets received.
    pub rx_packets: u64,
    /// Inner bytes taken from the container and sent.
    pub tx_bytes: u64,
    /// Inner packets sent.
    pub tx_packets: u64,
    /// Packets dropped, by reason.
    pub drops: Drops,
    /// Per peer.
    pub peers: Vec<PeerStats>,
}

/// Packets that went nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// From the container, to no peer's allowed IPs.
    pub no_peer: u64,
    /// From a peer, with a source outside its allowed IPs.
    pub source: u64,
    /// From the network, not authentic.
    pub invalid: u64,
    /// The device or socket did not take it, or too much waited for a session already.
    pub io: u64,
}

/// How a peer is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStats {
    /// Milliseconds since its last handshake; `None` before the first.
    pub handshake_age_ms: Option<u64>,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Where its packets go, `None` until it is known.
    pub endpoint: Option<SocketAddr>,
}

/// News of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A handshake with a peer is complete and confirmed.
    Handshake {
        /// Which tunnel.
        tunnel: TunnelId,
        /// Which of its peers.
        peer: u16,
    },
    /// A peer owes an answer: sent once when a handshake message has had none for 5 s
    /// (`REKEY_TIMEOUT`), or at once when data had no answer of any kind for 15 s before it
    /// (`KEEPALIVE_TIMEOUT` + `REKEY_TIMEOUT`), and again every 5 s while that lasts.
    Silent {
        /// Which tunnel.
        tunnel: TunnelId,
        /// Which of its peers.
        peer: u16,
        /// For how long, in milliseconds.
        for_ms: u64,
        /// Milliseconds that the oldest packet or handshake message of ours has waited for any
        /// authentic answer.
        quiet_ms: u64,
    },
    /// A peer's authenticated packet came from elsewhere, and its packets go there now.
    Moved {
        /// Which tunnel.
        tunnel: TunnelId,
        /// Which of its peers.
        peer: u16,
        /// Where it is.
        endpoint: SocketAddr,
    },
    /// The device is dead (EBADFD): its namespace is gone.
    DeviceGone {
        /// Which tunnel.
        tunnel: TunnelId,
    },
}

/// The inner destinations that one of `peers` takes; the longest match wins (cryptokey routing).
pub fn peer_for(peers: &[PeerConfig], destination: IpAddr) -> Option<usize> {
    let matches = peers.iter().enumerate().flat_map(|(index, peer)| {
        let nets = peer.allowed_ips.iter().filter(move |net| net.contains(&destination));
        nets.map(move |net| (net.prefix_len(), index))
    });
    matches.max_by_key(|(prefix_len, _)| *prefix_len).map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest() -> TunnelConfig {
        let peers = (0..PEERS_MAX).map(|number| PeerConfig {
            public_key: [number.to_le_bytes()[0]; 32],
            preshared_key: Some(Key([255; 32])),
            endpoint: "[2001:db8::1]:65535".parse().unwrap(),
            allowed_ips: vec!["2001:db8:ffff::/128".parse().unwrap(); ALLOWED_IPS_MAX / PEERS_MAX],
            keepalive: Some(u16::MAX),
        });
        let (tunnel, private_key) = (u64::MAX, Key([7; 32]));
        let (mtu, uncut, burst) = (u16::MAX, Uncut::TcpAndUdp, u16::MAX);
        TunnelConfig { tunnel, private_key, mtu, uncut, burst, peers: peers.collect() }
    }

    #[test]
    fn the_largest_request_fits_a_packet_and_is_read_as_it_was_written() {
        let request = Request { number: u64::MAX, command: Command::Add(largest()) };
        let packet = postcard::to_stdvec(&request).unwrap();
        assert!(packet.len() <= PACKET_MAX, "{}", packet.len());
        let read: Request = postcard::from_bytes(&packet).unwrap();
        assert!(matches!(read.command, Command::Add(config) if config == largest()));
    }

    #[test]
    fn keys_are_not_shown() {
        let shown = format!("{:?}", largest());
        assert!(shown.contains("Key(..)") && !shown.contains("[255, 255"), "{shown}");
    }
}
