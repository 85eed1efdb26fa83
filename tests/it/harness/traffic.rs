//! Traffic that goes on in a container while a test does something else.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::container::Container;
use super::internet::ECHO;
use super::probe::{Probe, connect};
use super::verdict::Canary;
use super::wait;

/// How long an echo may take before a stream counts as broken: longer than any outage that a
/// test makes.
const PATIENCE: Duration = Duration::from_mins(1);
const PACE: Duration = Duration::from_millis(5);

/// A container that tries every way out, again and again, with a canary in each packet.
pub struct Hammer {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Hammer {
    /// Starts with every probe there is and these.
    pub fn start(container: &Container, canary: &Canary, more: &[Probe]) -> Self {
        let probes: Vec<_> = Probe::all().into_iter().chain(more.iter().copied()).collect();
        let (stop, sent, rounds) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let namespace = container.namespace().clone();
        let thread = thread::spawn({
            let (canary, stop, sent) = (canary.clone(), Arc::clone(&stop), Arc::clone(&sent));
            let rounds = Arc::clone(&rounds);
            move || namespace.run(|| hammer(&probes, &canary, &stop, (&sent, &rounds)))
        });
        Self { stop, sent, rounds, thread: Some(thread) }
    }

    /// How many packets have left a system call so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How often every probe has been tried so far.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Drop for Hammer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A probe never panics; its errors are the point.
            let _ = thread.join();
        }
    }
}

fn hammer(
    probes: &[Probe],
    canary: &Canary,
    stop: &AtomicBool,
    (sent, rounds): (&AtomicU64, &AtomicU64),
) {
    while !stop.load(Ordering::Relaxed) {
        for probe in probes {
            if probe.send(canary).is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        rounds.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PACE);
    }
}

/// What a stream has been through.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Messages that came back.
    pub echoes: u64,
    /// The longest wait for one.
    pub longest_gap: Duration,
    /// Why it ended before its time.
    pub broken: Option<String>,
}

/// One TCP connection from a container to an echo server, with a message under way at all times.
pub struct Stream {
    stop: Arc<AtomicBool>,
    record: Arc<Mutex<Record>>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Connects, and comes back when the first message has.
    #[track_caller]
    pub fn start(container: &Container, server: IpAddr) -> Self {
        let namespace = container.namespace().clone();
        let (stop, record) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let thread = thread::spawn({
            let (stop, record) = (Arc::clone(&stop), Arc::clone(&record));
            move || {
                let ended = namespace.run(|| echo_until(&stop, server, &record));
                lock(&record).broken = ended.err().map(|error| error.to_string());
            }
        });
        let stream = Self { stop, record, thread: Some(thread) };
        wait::until("a stream flows", Duration::from_secs(10), || {
            let record = stream.record();
            assert_eq!(record.broken, None, "a stream broke at once");
            record.echoes > 0
        });
        stream
    }

    /// What it has been through so far.
    pub fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    /// Ends it and gives its record.
    pub fn finish(mut self) -> Record {
        self.end();
        self.record()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a stream does not panic");
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}

fn echo_until(stop: &AtomicBool, server: IpAddr, record: &Mutex<Record>) -> std::io::Result<()> {
    let mut stream = connect(SocketAddr::new(server, ECHO), PATIENCE)?;
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        stream.write_all(&number.to_be_bytes())?;
        let mut echo = [0; 8];
        stream.read_exact(&mut echo)?;
        if u64::from_be_bytes(echo) != number {
            return Err(std::io::Error::other("the echo differs"));
        }
        number += 1;
        let mut record = lock(record);
        record.echoes = number;
        record.longest_gap = record.longest_gap.max(start.elapsed());
        drop(record);
        thread::sleep(PACE);
    }
    Ok(())
}

fn lock(record: &Mutex<Record>) -> std::sync::MutexGuard<'_, Record> {
    record.lock().expect("a stream does not panic with the lock")
}
