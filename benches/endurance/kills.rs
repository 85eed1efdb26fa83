//! The data plane is killed again and again under load: how long its tunnels are silent.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::container::Container;
use crate::harness::internet::ECHO;
use crate::harness::lab::{OUTSIDE, SERVER_V4, in_lab};
use crate::harness::namespace::Namespace;
use crate::harness::traffic::Stream;
use crate::harness::wait;
use crate::harness::world::World;
use crate::load::{download, upload};
use crate::setting;

const PACE: Duration = Duration::from_millis(1);
/// Between two kills.
const REST: Duration = Duration::from_millis(1500);
const SOON: Duration = Duration::from_secs(10);
const CHUNK: u64 = 50_000_000;

pub fn run() {
    let kills = setting("KILLS", 50);
    in_lab(|lab| {
        let world = World::new(lab, 3);
        let outside = Outside::watch(&lab.wan);
        let containers: Vec<_> = (0..3).map(|n| world.attached(&format!("c-{n}")).0).collect();
        let [asking, up, down] = containers.as_slice() else { unreachable!("there are three") };
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Answers::listen(asking, &stop);
        let streams: Vec<_> =
            containers.iter().map(|container| Stream::start(container, SERVER_V4.into())).collect();
        let loads = [load(up, upload, &stop), load(down, download, &stop)];
        let mut silences: Vec<_> = (0..kills).map(|_| kill(&world, &answers)).collect();
        stop.store(true, Ordering::Relaxed);
        let bytes: u64 = loads.into_iter().map(|load| load.join().expect("the load lasts")).sum();
        let broken = streams.into_iter().filter(|stream| stream.record().broken.is_some()).count();
        report(&mut silences, bytes, broken, outside.packets());
    });
}

/// Kills it; gives the longest time without an answer afterwards.
fn kill(world: &World<'_>, answers: &Answers) -> Duration {
    let before = world.agent.dataplane_pid();
    let killed = Instant::now();
    world.agent.kill_dataplane();
    wait::until("another data plane runs", SOON, || {
        world.agent.dataplane_pid().is_some_and(|pid| Some(pid) != before)
    });
    wait::until("answers come again", SOON, || answers.last() > killed + PACE * 50);
    thread::sleep(REST);
    answers.longest_gap_since(killed)
}

fn report(silences: &mut [Duration], bytes: u64, broken: usize, outside: u64) {
    silences.sort_unstable();
    let at = |percent: usize| silences[(silences.len() * percent / 100).min(silences.len() - 1)];
    let (p50, p90, p99) = (at(50), at(90), at(99));
    println!("{} kills beside {bytes} bytes of load", silences.len());
    println!("silence p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, longest {:.1?}", at(100));
    println!("{broken} of 3 TCP streams broke; {outside} packets outside of the tunnels");
    assert_eq!((broken, outside), (0, 0));
}

/// Carries data until told to stop, and gives the number of bytes.
fn load(
    container: &Container,
    carry: fn(u64) -> std::io::Result<[u8; 32]>,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<u64> {
    let (namespace, stop) = (container.namespace().clone(), Arc::clone(stop));
    thread::spawn(move || {
        let mut bytes = 0;
        while !stop.load(Ordering::Relaxed) {
            namespace.run(|| carry(CHUNK)).expect("a stream outlives the data plane");
            bytes += CHUNK;
        }
        bytes
    })
}

/// When a container's datagrams were answered; it sends one a millisecond.
struct Answers {
    at: Arc<Mutex<Vec<Instant>>>,
}

impl Answers {
    fn listen(container: &Container, stop: &Arc<AtomicBool>) -> Self {
        let socket = container.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("bind inside");
            socket.connect(SocketAddr::new(SERVER_V4.into(), ECHO)).expect("a route inside");
            socket.set_read_timeout(Some(REST)).expect("bound a wait");
            socket
        });
        let at = Arc::new(Mutex::new(vec![Instant::now()]));
        let (sender, stop) = (socket.try_clone().expect("share a socket"), Arc::clone(stop));
        thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let _ = sender.send(b"answer me");
                    thread::sleep(PACE);
                }
            }
        });
        thread::spawn({
            let at = Arc::clone(&at);
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if socket.recv(&mut [0; 16]).is_ok() {
                        at.lock().expect("nobody panics with it").push(Instant::now());
                    }
                }
            }
        });
        Self { at }
    }

    fn last(&self) -> Instant {
        let at = self.at.lock().expect("nobody panics with it");
        *at.last().expect("there is one from the start")
    }

    fn longest_gap_since(&self, start: Instant) -> Duration {
        let at = self.at.lock().expect("nobody panics with it");
        let first = at.partition_point(|answer| *answer < start).saturating_sub(1);
        at[first..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// Counts what comes out of the host's uplink and belongs to no tunnel, neighbours' questions aside.
struct Outside<'a> {
    namespace: &'a Namespace,
}

impl<'a> Outside<'a> {
    fn watch(namespace: &'a Namespace) -> Self {
        let rules = format!(
            "table inet outside {{
             counter strangers {{
             }}
             chain heard {{
             type filter hook prerouting priority raw;
             iifname != \"{OUTSIDE}\" accept
             udp dport 51820 accept
             icmpv6 type {{ 133, 135, 136, 143 }} accept
             counter name strangers
             }}
             }}"
        );
        nft(namespace, &[&rules]);
        Self { namespace }
    }

    fn packets(&self) -> u64 {
        let text = nft(self.namespace, &["list counter inet outside strangers"]);
        let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).and_then(|number| number.parse().ok()).expect("nft shows the counter")
    }
}

fn nft(namespace: &Namespace, arguments: &[&str]) -> String {
    let mut command = Command::new("nft");
    command.args(arguments);
    let output = namespace.run(|| command.output()).expect("run nft");
    assert!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
