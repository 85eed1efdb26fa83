//! Our own data plane as a far end of one client, without a control process.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use egress_agent::config::Wireguard;
use egress_dataplane::protocol::{
    Command as Ask, Key, Message, PeerConfig, Reply, Request, TunnelConfig, Uncut, message_packets,
};
use egress_linux::seqpacket;
use egress_linux::tun::{self, Device, Offload};
use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
use socket2::{Domain, Socket, Type};

use super::agent::PROGRAM;
use super::keys::KeyPair;
use super::lab::HOST_V4;
use super::namespace::Namespace;
use super::wireguard_peer::Client;

const TUNNEL: u64 = 1;

/// The process; dropped, it is killed, and its device goes with it.
pub struct DataplanePeer {
    process: Child,
}

impl DataplanePeer {
    /// Starts it in a gateway's namespace, with the daemon's default settings and a device of this
    /// name and MTU, on this port of its IPv4 addresses.
    pub fn start(
        namespace: &Namespace,
        (device, mtu): (&str, u16),
        port: u16,
        keys: &KeyPair,
        client: &Client,
    ) -> Self {
        let (control, theirs) = seqpacket::pair().expect("make the far end's connection");
        let peer = Self { process: spawn(namespace, theirs) };
        let settings = Wireguard::default();
        let offload = Offload::VnetHeader { segments: message_packets(mtu, settings.burst) };
        let create = || tun::create(device, mtu, offload).expect("make a device");
        let made = namespace.run(create);
        let socket = namespace.run(|| open_socket(port, settings.buffer));
        let config = config(&made, mtu, settings.burst, keys, client);
        order(&control, Ask::Hello, &[]);
        order(&control, Ask::Add(config), &[&made.fd, &socket]);
        order(&control, Ask::Listen { tunnel: TUNNEL, peer: 0 }, &[]);
        peer
    }

    /// Its number.
    #[allow(dead_code, reason = "benches measure it")]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("process ids fit")
    }
}

impl Drop for DataplanePeer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(namespace: &Namespace, control: OwnedFd) -> Child {
    let mut command: Command = namespace.command(PROGRAM);
    command.args(["dataplane", "--socket", "none", "--workers", "1"]);
    command.args(["--log-format", "text", "--log-level", "error"]);
    command.stdin(Stdio::from(control)).spawn().expect("start a data plane")
}

/// Where a client will call. It is connected to an address that nobody calls from, and left for
/// the first authentic caller's.
fn open_socket(port: u16, buffer: usize) -> OwnedFd {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("make a socket");
    set_socket_recv_buffer_size_force(&socket, buffer).expect("enlarge a buffer");
    set_socket_send_buffer_size_force(&socket, buffer).expect("enlarge a buffer");
    socket.set_nonblocking(true).expect("set a socket");
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    socket.bind(&any.into()).expect("bind a far end");
    socket.connect(&nobody().into()).expect("connect a far end");
    socket.into()
}

fn nobody() -> SocketAddr {
    SocketAddr::from((HOST_V4, 9))
}

fn config(device: &Device, mtu: u16, burst: u16, keys: &KeyPair, client: &Client) -> TunnelConfig {
    let peer = PeerConfig {
        public_key: key(&client.keys.public),
        preshared_key: None,
        endpoint: nobody(),
        allowed_ips: vec![
            format!("{}/32", client.v4).parse().expect("a network"),
            format!("{}/128", client.v6).parse().expect("a network"),
        ],
        keepalive: None,
    };
    let uncut = match device.uncut {
        tun::Uncut::Nothing => Uncut::Nothing,
        tun::Uncut::Tcp => Uncut::Tcp,
        tun::Uncut::TcpAndUdp => Uncut::TcpAndUdp,
    };
    let private_key = Key(key(&keys.private));
    TunnelConfig { tunnel: TUNNEL, private_key, mtu, uncut, burst, peers: vec![peer] }
}

fn key(text: &str) -> [u8; 32] {
    let bytes = STANDARD.decode(text).expect("keys are base64");
    bytes.try_into().expect("keys have 32 bytes")
}

/// Asks and waits for the answer; what happens meanwhile is nobody's concern.
fn order(control: &OwnedFd, command: Ask, fds: &[&OwnedFd]) {
    let request = postcard::to_stdvec(&Request { number: 1, command }).expect("it can be written");
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    seqpacket::send(control, &request, &fds).expect("the far end takes orders");
    let mut buffer = vec![0; egress_dataplane::protocol::PACKET_MAX];
    loop {
        let received = seqpacket::recv(control, &mut buffer).expect("the far end answers");
        let (length, _) = received.expect("the far end lives");
        match postcard::from_bytes(&buffer[..length]).expect("it speaks as we do") {
            Message::Event(_) => {}
            Message::Reply { reply: Reply::Failed { reason }, .. } => panic!("far end: {reason}"),
            Message::Reply { .. } => return,
        }
    }
}
