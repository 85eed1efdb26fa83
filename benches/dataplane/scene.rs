//! One peer, one far end and one path: all traffic, one kind after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::figures::{Figures, Row};
use crate::harness::container::Container;
use crate::harness::lab::{SERVER_V4, in_lab};
use crate::harness::probe::ping;
use crate::harness::wireguard_peer::Program;
use crate::iperf::{self, Carried, Load, Way};
use crate::peer::Peer;
use crate::process::{cpu_seconds, memory_kib};
use crate::session::Session;

const WAYS: [Way; 2] = [Way::Up, Way::Down];
const STREAMS: [Load; 2] = [Load::Tcp(1), Load::Tcp(4)];
const EVERYTHING: [Load; 6] = [
    Load::Tcp(1),
    Load::Tcp(4),
    Load::Udp(64),
    Load::Udp(1372),
    Load::Paced(64, 20_000),
    Load::Paced(1372, 10_000),
];
/// Datagrams that a narrow path takes whole.
const ON_A_NARROW_PATH: [Load; 2] = [Load::Tcp(1), Load::Udp(1232)];

const PINGS: u32 = 100;
const PING_PAUSE: Duration = Duration::from_millis(10);
const PING_LIMIT: Duration = Duration::from_secs(1);

/// A peer and what it is measured with.
#[derive(Debug, Clone)]
pub struct Scene {
    peer: Peer,
    far_end: Program,
    mtu: u16,
    table: String,
    loads: &'static [Load],
}

impl Scene {
    /// A peer towards the fixed far end.
    pub fn towards(peer: Peer, far_end: Program, mtu: u16) -> Self {
        let loads: &[Load] = if mtu < 1420 { &ON_A_NARROW_PATH } else { &EVERYTHING };
        Self { peer, far_end, mtu, table: format!("One far end for all, MTU {mtu}"), loads }
    }

    /// A peer towards itself, when it can be a far end.
    pub fn both_sides(peer: Peer, mtu: u16) -> Option<Self> {
        let (far_end, table) = (peer.far_end()?, format!("The same on both sides, MTU {mtu}"));
        Some(Self { peer, far_end, mtu, table, loads: &STREAMS })
    }

    /// Its name.
    pub fn name(&self) -> String {
        format!("{}: {}", self.table, self.peer.name())
    }

    /// Measures all of it once.
    pub fn run(&self, arguments: &Arguments, figures: &mut Figures) {
        let wanted = |load: Load, way: Way| {
            format!("{} {}", self.table, name(load, way)).contains(&arguments.only)
        };
        let loads = self.loads.iter().flat_map(|load| WAYS.map(|way| (*load, way)));
        let loads: Vec<_> = loads.filter(|(load, way)| wanted(*load, *way)).collect();
        if loads.is_empty() {
            return;
        }
        in_lab(|lab| {
            let session = Session::start(lab, self.peer, self.far_end, self.mtu, &arguments.config);
            let _server = iperf::serve(&session.gateway.namespace);
            self.note_memory(&session, "idle", figures);
            self.note_pings("idle", &idle_pings(&session.container), figures);
            for (load, way) in loads {
                self.carry(&session, load, way, arguments.seconds, figures);
            }
            self.note_memory(&session, "after load", figures);
        });
    }

    fn carry(&self, session: &Session<'_>, load: Load, way: Way, seconds: u32, to: &mut Figures) {
        let traffic = name(load, way);
        let before = cpu_seconds(session.pid);
        let (carried, pings) = with_pings(&session.container, || {
            iperf::run(session.container.namespace(), load, way, seconds)
        });
        let cpu = cpu_seconds(session.pid) - before;
        match carried {
            Ok(carried) => {
                for (measure, value) in measures(load, carried, cpu) {
                    to.add(self.row(&traffic, measure), self.peer.name(), value);
                }
            }
            Err(error) => println!("  {traffic}: {error}"),
        }
        if matches!(load, Load::Tcp(_)) {
            self.note_pings(&traffic, &pings, to);
        }
    }

    fn note_memory(&self, session: &Session<'_>, when: &str, figures: &mut Figures) {
        let memory = memory_kib(session.pid);
        for (measure, kib) in [("RSS, KiB", memory.resident), ("PSS, KiB", memory.proportional)] {
            #[allow(clippy::cast_precision_loss, reason = "it is shown with three digits")]
            figures.add(self.row(when, measure), self.peer.name(), kib as f64);
        }
    }

    fn note_pings(&self, when: &str, pings: &[Duration], figures: &mut Figures) {
        let milliseconds: Vec<_> = pings.iter().map(|ping| ping.as_secs_f64() * 1e3).collect();
        if milliseconds.is_empty() {
            return println!("  {when}: no ping came back");
        }
        #[allow(clippy::cast_precision_loss, reason = "there are hundreds")]
        let mean = milliseconds.iter().sum::<f64>() / milliseconds.len() as f64;
        figures.add(self.row(when, "ping, ms"), self.peer.name(), mean);
    }

    fn row(&self, traffic: &str, measure: &'static str) -> Row {
        Row { table: self.table.clone(), traffic: traffic.to_owned(), measure }
    }
}

fn name(load: Load, way: Way) -> String {
    let way = match way {
        Way::Up => "up",
        Way::Down => "down",
    };
    match load {
        Load::Tcp(streams) => format!("TCP ×{streams} {way}"),
        Load::Udp(length) => format!("UDP {length} B {way}"),
        Load::Paced(length, rate) => format!("UDP {length} B, {rate} a second, {way}"),
    }
}

fn measures(load: Load, carried: Carried, cpu: f64) -> Vec<(&'static str, f64)> {
    let Carried { bytes, seconds, repeated, lost_share, late } = carried;
    match load {
        Load::Tcp(_) => vec![
            ("Gbit/s", bytes * 8.0 / 1e9 / seconds),
            ("CPU-s/GB", cpu / (bytes / 1e9)),
            ("repeated segments", repeated),
        ],
        Load::Udp(length) | Load::Paced(length, _) => {
            let packets = bytes / f64::from(length);
            vec![
                ("1,000 packets/s", packets / 1e3 / seconds),
                ("CPU-µs/packet", cpu * 1e6 / packets),
                ("lost, %", lost_share * 100.0),
                ("out of order", late),
            ]
        }
    }
}

fn idle_pings(container: &Container) -> Vec<Duration> {
    container.run(|| (0..PINGS).filter_map(|_| one_ping()).collect())
}

/// Pings from the container while `work` lasts.
fn with_pings<T>(container: &Container, work: impl FnOnce() -> T) -> (T, Vec<Duration>) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let pinging = scope.spawn(|| {
            container.run(|| {
                let mut pings = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    pings.extend(one_ping());
                }
                pings
            })
        });
        let value = work();
        done.store(true, Ordering::Relaxed);
        (value, pinging.join().expect("a ping does not panic"))
    })
}

/// One that is lost counts for nothing.
fn one_ping() -> Option<Duration> {
    thread::sleep(PING_PAUSE);
    ping(SERVER_V4.into(), PING_LIMIT).ok()
}
