//! Traffic of a container: streams with known content, up and down.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::harness::internet::{SINK, SOURCE, digest, send_fill};
use crate::harness::lab::SERVER_V4;
use crate::harness::probe;

const SERVER: Ipv4Addr = SERVER_V4;
/// The longest that a stream may stand still.
const PATIENCE: Duration = Duration::from_mins(2);

/// Sends so many bytes; gives the SHA-256 of what arrived. To be called inside.
pub fn upload(length: u64) -> io::Result<[u8; 32]> {
    send(probe::connect(SocketAddr::new(SERVER.into(), SINK), PATIENCE)?, length)
}

/// The same, with TCP's congestion control of that name.
pub fn upload_controlled(length: u64, control: &str) -> io::Result<[u8; 32]> {
    let stream = probe::connect(SocketAddr::new(SERVER.into(), SINK), PATIENCE)?;
    SockRef::from(&stream).set_tcp_congestion(control.as_bytes())?;
    send(stream, length)
}

fn send(mut stream: TcpStream, length: u64) -> io::Result<[u8; 32]> {
    send_fill(&mut stream, length)?;
    stream.shutdown(Shutdown::Write)?;
    let mut hash = [0; 32];
    stream.read_exact(&mut hash)?;
    Ok(hash)
}

/// Fetches so many bytes; gives their SHA-256. To be called inside.
pub fn download(length: u64) -> io::Result<[u8; 32]> {
    let mut stream = probe::connect(SocketAddr::new(SERVER.into(), SOURCE), PATIENCE)?;
    stream.write_all(&length.to_be_bytes())?;
    let (received, hash) = digest(&stream)?;
    if received != length {
        return Err(io::Error::other(format!("{received} of {length} bytes")));
    }
    Ok(hash)
}
