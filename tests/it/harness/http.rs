//! HTTP/1.1 by hand, so that a test can also say what no client would.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

/// Longer than any deadline that a test gives the agent.
const LIMIT: Duration = Duration::from_mins(1);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The body as a document.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the reply {}: {}", self.status, self.body))
    }
}

/// Sends a request with a JSON body (none when empty) and reads the reply.
pub fn ask(socket: &Path, method: &str, path: &str, body: &str) -> io::Result<Reply> {
    send(socket, request(method, path, body).as_bytes())
}

/// The same, for the version with this `ETag`, or for `*`.
pub fn ask_if(socket: &Path, method: &str, path: &str, tag: &str, body: &str) -> io::Result<Reply> {
    let condition = format!("\r\nIf-Match: {tag}\r\nHost:");
    send(socket, request(method, path, body).replacen("\r\nHost:", &condition, 1).as_bytes())
}

/// Sends bytes and reads the reply.
pub fn send(socket: &Path, bytes: &[u8]) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    // The other side may refuse before it has read everything, and still answer.
    let _ = stream.write_all(bytes);
    read(&mut stream)
}

/// Reads a page from a plain web server.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request("GET", path, "").as_bytes())?;
    read(&mut stream)
}

/// Opens a stream of server-sent events and gives its lines.
pub fn follow(socket: &Path, path: &str) -> io::Result<impl Iterator<Item = String> + use<>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request("GET", path, "").as_bytes())?;
    Ok(BufReader::new(stream).lines().map_while(Result::ok))
}

fn request(method: &str, path: &str, body: &str) -> String {
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: egress-agent\r\nConnection: close\r\n");
    if !body.is_empty() {
        let length = body.len();
        let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {length}\r\n");
    }
    format!("{head}\r\n{body}")
}

fn read(stream: &mut impl Read) -> io::Result<Reply> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::Error::other(format!("the reply ended early: {head:?}")));
        }
    }
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {head:?}")))?;
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        read_chunks(&mut reader)?
    } else {
        let mut body = String::new();
        reader.read_to_string(&mut body)?;
        body
    };
    Ok(Reply { status, head, body })
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<String> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        reader.by_ref().take(length).read_to_end(&mut body)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return String::from_utf8(body).map_err(io::Error::other);
        }
    }
}
