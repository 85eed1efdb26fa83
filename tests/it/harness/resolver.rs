//! The host's resolver: answers every name's IPv4 address with what a test wants.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::dns;
use super::lab::{Lab, ROUTER_V4};

/// Where it is: what the lab's `/etc/resolv.conf` names.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ROUTER_V4), 53);

/// A name server on the router, until dropped.
pub struct Resolver {
    answer: Arc<Mutex<Ipv4Addr>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Starts it.
    pub fn start(lab: &Lab, answer: Ipv4Addr) -> Self {
        let socket = lab.wan.run(|| UdpSocket::bind(ADDRESS)).expect("bind the resolver");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("bound its wait");
        let (answer, stop) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (answer, stop) = (Arc::clone(&answer), Arc::clone(&stop));
            move || serve(&socket, &answer, &stop)
        });
        Self { answer, stop, thread: Some(thread) }
    }

    /// Answers this from now on.
    pub fn point_to(&self, address: Ipv4Addr) {
        *self.answer.lock().expect("the resolver does not panic") = address;
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic shows as names that are not found.
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, answer: &Mutex<Ipv4Addr>, stop: &AtomicBool) {
    let mut buffer = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, caller)) = socket.recv_from(&mut buffer) else { continue };
        let address = *answer.lock().expect("no test panics with the lock");
        if let Some(reply) = dns::answer(&buffer[..length], address) {
            // The caller may be gone.
            let _ = socket.send_to(&reply, caller);
        }
    }
}
