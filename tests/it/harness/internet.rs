//! The servers behind a gateway: echo, streams with known content, who called, names.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sha2::{Digest, Sha256};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::dns;
use super::lab::{Gateway, RESOLVER_V4, SERVER_V4};

/// Says back what it hears, on TCP and UDP.
pub const ECHO: u16 = 7;
/// Takes bytes until the caller has no more, then answers their SHA-256.
pub const SINK: u16 = 9;
/// Takes a length (8 bytes, big endian), then sends that many bytes of [`fill`].
pub const SOURCE: u16 = 19;
/// Where resolvers listen on TCP, plain and encrypted: here they say back what they hear.
pub const NAMES: [u16; 2] = [53, 853];
/// Answers HTTP requests with the caller's address and the gateway's name.
pub const WHO: u16 = 80;

const CHUNK: usize = 64 << 10;
const BEAT: Duration = Duration::from_millis(50);
/// How long a caller may say nothing: longer than any outage that a test makes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Servers in a gateway's namespace, on all of its addresses, until dropped.
pub struct Internet {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Internet {
    /// Starts them.
    pub fn behind(gateway: &Gateway) -> Self {
        let mut internet = Self { stop: Arc::default(), threads: Vec::new() };
        let name = Arc::new(gateway.namespace.name().to_owned());
        internet.serve_tcp(gateway, ECHO, |stream| echo(&stream));
        internet.serve_tcp(gateway, SINK, |stream| sink(&stream));
        internet.serve_tcp(gateway, SOURCE, |stream| source(&stream));
        internet.serve_tcp(gateway, WHO, move |stream| who(&stream, &name));
        internet.serve_udp(gateway, ECHO, |query| Some(query.to_vec()));
        internet.serve_udp(gateway, 53, |query| dns::answer(query, SERVER_V4));
        for port in NAMES {
            internet.serve_tcp(gateway, port, |stream| echo(&stream));
        }
        internet
    }

    fn serve_tcp(
        &mut self,
        gateway: &Gateway,
        port: u16,
        serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) {
        let listener = gateway.namespace.run(|| listen(port));
        let (stop, serve) = (Arc::clone(&self.stop), Arc::new(serve));
        self.threads.push(thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // A wait that ran out.
                let Ok(stream) = stream else { continue };
                stream.set_read_timeout(Some(PATIENCE)).expect("bound a caller's silence");
                let serve = Arc::clone(&serve);
                // A caller that goes away is no fault of the server's.
                thread::spawn(move || drop(serve(stream)));
            }
        }));
    }

    fn serve_udp(
        &mut self,
        gateway: &Gateway,
        port: u16,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) {
        // One socket an address: an answer must come from the address that was asked.
        let v4 = if port == 53 { RESOLVER_V4 } else { SERVER_V4 };
        let addresses: [IpAddr; 2] = [v4.into(), super::lab::SERVER_V6.into()];
        let answer = Arc::new(std::sync::Mutex::new(answer));
        for address in addresses {
            let bind = || UdpSocket::bind(SocketAddr::new(address, port)).expect("bind a server");
            let socket = gateway.namespace.run(bind);
            socket.set_read_timeout(Some(BEAT)).expect("bound a server's wait");
            let (stop, answer) = (Arc::clone(&self.stop), Arc::clone(&answer));
            self.threads.push(thread::spawn(move || {
                let mut buffer = vec![0; CHUNK];
                while !stop.load(Ordering::Relaxed) {
                    let Ok((length, caller)) = socket.recv_from(&mut buffer) else { continue };
                    let answer = answer.lock().expect("answers do not panic");
                    if let Some(text) = answer(&buffer[..length]) {
                        // The caller may be gone.
                        let _ = socket.send_to(&text, caller);
                    }
                }
            }));
        }
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A server's panic shows in its callers.
            let _ = thread.join();
        }
    }
}

/// The bytes that [`SOURCE`] sends: the same for every caller, different at every kilobyte.
pub fn fill(chunk: &mut [u8], mut position: u64) {
    for (index, block) in chunk.chunks_mut(1024).enumerate() {
        block.fill(u8::try_from(index % 251).expect("below 251"));
        let stamp = position.to_be_bytes();
        let length = block.len().min(stamp.len());
        block[..length].copy_from_slice(&stamp[..length]);
        position += 1024;
    }
}

/// The SHA-256 of the first `length` bytes of [`fill`].
pub fn fill_digest(length: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    each_chunk(length, |chunk| {
        hash.update(chunk);
        Ok(())
    })
    .expect("hashing does not fail");
    hash.finalize().into()
}

/// Sends the first `length` bytes of [`fill`].
pub fn send_fill(mut stream: impl Write, length: u64) -> io::Result<()> {
    each_chunk(length, |chunk| stream.write_all(chunk))
}

/// The length and SHA-256 of what a stream still holds.
pub fn digest(mut stream: impl Read) -> io::Result<(u64, [u8; 32])> {
    let (mut hash, mut total) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok((total, hash.finalize().into()));
        }
        hash.update(&buffer[..length]);
        total += length as u64;
    }
}

fn each_chunk(length: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut position = 0;
    while position < length {
        let part = usize::try_from((length - position).min(CHUNK as u64)).expect("at most CHUNK");
        fill(&mut buffer[..part], position);
        take(&buffer[..part])?;
        position += part as u64;
    }
    Ok(())
}

fn listen(port: u16) -> TcpListener {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    socket.set_only_v6(false).expect("both families");
    socket.set_reuse_address(true).expect("bind again at once");
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into()).expect("bind a server");
    socket.listen(128).expect("listen");
    // Also bounds `accept`.
    SockRef::from(&socket).set_read_timeout(Some(BEAT)).expect("bound a server's wait");
    socket.into()
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length])?;
    }
}

fn sink(mut stream: &TcpStream) -> io::Result<()> {
    let (_, hash) = digest(stream)?;
    stream.write_all(&hash)?;
    stream.shutdown(Shutdown::Both)
}

fn source(mut stream: &TcpStream) -> io::Result<()> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    send_fill(stream, u64::from_be_bytes(length))?;
    stream.shutdown(Shutdown::Write)
}

fn who(mut stream: &TcpStream, gateway: &str) -> io::Result<()> {
    let mut request = [0; 2048];
    let _ = stream.read(&mut request)?;
    let caller = stream.peer_addr()?.ip().to_canonical();
    let body = format!("{caller} {gateway}\n");
    let mut reply = String::from("HTTP/1.1 200 OK\r\nConnection: close\r\n");
    let _ = write!(reply, "Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(reply.as_bytes())?;
    stream.shutdown(Shutdown::Write)
}
