//! Much traffic, checked at its other end.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use super::container::Container;
use super::internet::{SINK, SOURCE, digest, send_fill};
use super::probe;

const LIMIT: Duration = Duration::from_mins(1);

/// Sends so many bytes to a server of the internet; what it says it got.
pub fn upload(container: &Container, server: IpAddr, length: u64) -> [u8; 32] {
    container.run(|| {
        let mut stream = probe::connect(SocketAddr::new(server, SINK), LIMIT).expect("connect");
        send_fill(&mut stream, length).expect("send");
        stream.shutdown(Shutdown::Write).expect("end");
        let mut hash = [0; 32];
        stream.read_exact(&mut hash).expect("the far side answers with what it got");
        hash
    })
}

/// Asks a server of the internet for so many bytes; what came.
pub fn download(container: &Container, server: IpAddr, length: u64) -> (u64, [u8; 32]) {
    container.run(|| {
        let mut stream = probe::connect(SocketAddr::new(server, SOURCE), LIMIT).expect("connect");
        stream.write_all(&length.to_be_bytes()).expect("ask");
        digest(&stream).expect("receive")
    })
}
