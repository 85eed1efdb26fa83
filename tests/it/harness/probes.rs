//! One socket in each of many containers: how long each goes without an answer.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::container::Container;
use super::internet::ECHO;
use super::lab::SERVER_V4;

/// A question that was lost is asked again after so long.
const AGAIN: Duration = Duration::from_millis(500);

/// Sockets that ask the internet's echo.
pub struct Probes {
    sockets: Vec<tokio::net::UdpSocket>,
    round: u64,
    runtime: Runtime,
}

/// How long those were silent who were answered, shortest first, and how many were not.
#[derive(Debug)]
pub struct Silence {
    /// From when the first question was asked.
    pub times: Vec<Duration>,
    /// How many had no answer to the end.
    pub unanswered: usize,
}

impl Probes {
    /// One in each of these.
    pub fn of(containers: &[Container]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let bound = containers.iter().map(|container| container.run(bind));
        let sockets: Vec<_> = bound.collect();
        let entered = runtime.enter();
        let watched = sockets.into_iter().map(tokio::net::UdpSocket::from_std);
        let sockets = watched.collect::<Result<_, _>>().expect("wait for sockets");
        drop(entered);
        Self { sockets, round: 0, runtime }
    }

    /// Asks in every container, until each has its answer or the time is up.
    pub fn ask(&mut self, within: Duration) -> Silence {
        self.round += 1;
        let (round, since) = (self.round.to_be_bytes(), Instant::now());
        for socket in &self.sockets {
            // Asked again below if it does not leave now. Not connected: from the address that the
            // container has then.
            let _ = socket.try_send_to(&round, server());
        }
        let sockets = std::mem::take(&mut self.sockets);
        let (asked, sockets) = self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for socket in sockets {
                tasks.spawn(async move {
                    let answered = timeout(within, answer(&socket, round)).await.is_ok();
                    (answered.then(|| since.elapsed()), socket)
                });
            }
            tasks.join_all().await.into_iter().unzip::<_, _, Vec<_>, Vec<_>>()
        });
        self.sockets = sockets;
        let mut times: Vec<_> = asked.iter().flatten().copied().collect();
        times.sort_unstable();
        Silence { unanswered: asked.len() - times.len(), times }
    }
}

impl Silence {
    /// The longer silences of two times of asking, rank by rank.
    #[allow(dead_code, reason = "benches share this")]
    pub fn or_longer(mut self, other: Self) -> Self {
        self.unanswered = self.unanswered.max(other.unanswered);
        for (time, other) in self.times.iter_mut().zip(other.times) {
            *time = other.max(*time);
        }
        self
    }

    /// The time within which so many of a hundred were answered.
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        self.times.get(place).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        let count = self.times.len();
        write!(f, "{count} answered, p50 {p50:.1?}, p99 {p99:.1?}, longest {most:.1?}")?;
        if self.unanswered > 0 {
            write!(f, "; {} not", self.unanswered)?;
        }
        Ok(())
    }
}

fn bind() -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("bind inside");
    socket.set_nonblocking(true).expect("let a socket wait");
    socket
}

async fn answer(socket: &tokio::net::UdpSocket, round: [u8; 8]) {
    let mut heard = [0; 8];
    loop {
        match timeout(AGAIN, socket.recv_from(&mut heard)).await {
            Ok(Ok(_)) if heard == round => return,
            // Of a former round.
            Ok(Ok(_)) => continue,
            // The seal refuses what is sent while there is no tunnel.
            Ok(Err(_)) => tokio::time::sleep(AGAIN / 10).await,
            Err(_) => {}
        }
        let _ = socket.try_send_to(&round, server());
    }
}

fn server() -> SocketAddr {
    SocketAddr::new(SERVER_V4.into(), ECHO)
}
