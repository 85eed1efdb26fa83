//! A web page that says who called.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::stage::{PAGE, Place};
use super::{Error, failed};

/// Where the page is.
pub const ADDRESS: SocketAddrV4 = SocketAddrV4::new(PAGE, 80);

/// How long each part of a call may take: less than the kernel waits before it asks again, so that
/// a caller who tries anew is not held up by a packet that was lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers callers from now on, until the process ends.
pub fn open(place: Place) -> Result<(), Error> {
    let listener = place.run(|| TcpListener::bind(ADDRESS))?.map_err(failed("open the page"))?;
    thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            // A caller that has gone is told nothing.
            let _ = reply(caller);
        }
    });
    Ok(())
}

fn reply(mut caller: TcpStream) -> io::Result<()> {
    caller.set_read_timeout(Some(PATIENCE))?;
    // One read has the few bytes that `who_calls` sends.
    let _ = caller.read(&mut [0; 1024])?;
    write!(caller, "HTTP/1.0 200 OK\r\n\r\n{}", caller.peer_addr()?.ip())
}

/// Fetches the page from where the calling thread is: the caller's address, as the page saw it.
pub fn who_calls() -> io::Result<IpAddr> {
    let mut page = TcpStream::connect_timeout(&SocketAddr::V4(ADDRESS), PATIENCE)?;
    page.set_read_timeout(Some(PATIENCE))?;
    page.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    page.read_to_string(&mut text)?;
    let body = text.split("\r\n\r\n").nth(1).and_then(|body| body.parse().ok());
    body.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not the page's answer"))
}
