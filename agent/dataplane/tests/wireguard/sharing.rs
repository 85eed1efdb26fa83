//! What flows that share a tunnel, and tunnels that share a thread, leave to each other.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use egress_dataplane::protocol::Event;
use egress_linux::netns::Netns;
use libtest_mimic::Trial;

use crate::control::socket;
use crate::far_end::{FarEnd, SOON};
use crate::lab::Lab;
use crate::scene::{Scene, TUNNEL, Wanted};
use crate::traffic::{eventually, says_back, udp, udp_echo};

const DATAGRAMS: u32 = 20_000;
/// So many at a time, so that the slowest part of the way keeps up; on a busy machine it does not.
const AT_ONCE: u32 = 50;
/// As many tell whether order was kept.
const ENOUGH: usize = 1_000;
const LOAD: Duration = Duration::from_secs(2);

pub fn tests() -> Vec<Trial> {
    tests![
        datagrams_of_a_flow_arrive_in_order_both_ways,
        a_tunnel_under_load_leaves_the_others_of_its_worker_their_turn,
    ]
}

fn datagrams_of_a_flow_arrive_in_order_both_ways() {
    let scene = Scene::new(&Wanted::default());
    for v6 in [false, true] {
        let inside = (scene.lab.inside(), scene.box_inner(v6));
        let far = (scene.lab.far(), scene.far_inner(v6));
        for (way, from, to) in [("up", &inside, &far), ("down", &far, &inside)] {
            let arrived = arrived(from, to);
            assert!(arrived.is_sorted_by(|a, b| a < b), "{way}, IPv6 {v6}: reordered or doubled");
            println!("{way}, IPv6 {v6}: {} of {DATAGRAMS} arrived", arrived.len());
            assert!(arrived.len() > ENOUGH, "{way}, IPv6 {v6}: {}", arrived.len());
        }
    }
}

/// The numbers of the datagrams that arrived, of all lengths that fit the MTU, as they came.
fn arrived(from: &(Netns, IpAddr), to: &(Netns, IpAddr)) -> Vec<u32> {
    let receiver = udp(&to.0, to.1, Duration::from_millis(500));
    let at = receiver.local_addr().unwrap();
    let sender = udp(&from.0, from.1, SOON);
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..DATAGRAMS {
                // Often the same length, so that they are joined.
                let len = if number % 7 < 5 { 1200 } else { 4 + fastrand::usize(..1360) };
                let mut datagram = vec![0; len];
                datagram[..4].copy_from_slice(&number.to_be_bytes());
                let _ = sender.send_to(&datagram, at);
                if number % AT_ONCE == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let mut buffer = [0; 1500];
        let mut next = || receiver.recv(&mut buffer).ok().map(|_| number(&buffer));
        std::iter::from_fn(&mut next).collect()
    })
}

fn number(datagram: &[u8]) -> u32 {
    u32::from_be_bytes(*datagram.first_chunk().unwrap())
}

/// The data plane has two workers, and gives each tunnel to the one with fewer.
const ELSEWHERE: u64 = TUNNEL + 1;
const BESIDE: u64 = TUNNEL + 2;

fn a_tunnel_under_load_leaves_the_others_of_its_worker_their_turn() {
    let mut scene = Scene::new(&Wanted::default());
    let _elsewhere = add(&mut scene, ELSEWHERE);
    let (beside, _far_end) = add(&mut scene, BESIDE);
    let service = SocketAddr::new(beside.inner(1, false), 7000);
    udp_echo(&beside.far(), service);
    let asking = udp(&beside.inside(), beside.inner(2, false), SOON);
    eventually("the other tunnel works", || says_back(&asking, service, b"hello"));

    let flood = udp(&scene.lab.inside(), scene.box_inner(false), SOON);
    let to = SocketAddr::new(scene.far_inner(false), 9);
    let before = scene.control.stats().tx_packets;
    let stop = AtomicBool::new(false);
    let slowest = thread::scope(|scope| {
        scope.spawn(|| flood_until(&stop, &flood, to));
        let slowest = slowest_answer(&asking, service);
        stop.store(true, Ordering::Relaxed);
        slowest
    });
    let carried = scene.control.stats().tx_packets - before;
    println!("beside {carried} packets the slowest answer took {slowest:?}");
    assert!(carried > 1_000, "that is no load: {carried} packets");
}

/// A tunnel of that number with a box and a far end of its own.
fn add(scene: &mut Scene, tunnel: u64) -> (Lab, FarEnd) {
    let lab = Lab::new();
    let far_end = FarEnd::start(&lab, &scene.settings);
    let mut config = scene.config(&Wanted::default());
    config.tunnel = tunnel;
    config.peers[0].endpoint = FarEnd::at(lab.outer(2, false));
    let socket = socket(config.peers[0].endpoint);
    scene.control.add(config, &[&lab.device(), &socket]);
    let wanted = Event::Handshake { tunnel, peer: 0 };
    scene.control.await_news(SOON, |event| *event == wanted);
    (lab, far_end)
}

fn flood_until(stop: &AtomicBool, socket: &UdpSocket, to: SocketAddr) {
    while !stop.load(Ordering::Relaxed) {
        // A full queue is what is wanted.
        let _ = socket.send_to(&[7; 1372], to);
    }
}

/// Asks again and again while the load lasts; each question has its answer.
fn slowest_answer(asking: &UdpSocket, service: SocketAddr) -> Duration {
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    while start.elapsed() < LOAD {
        let asked = Instant::now();
        assert!(says_back(asking, service, &asked.elapsed().as_nanos().to_le_bytes()));
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}
