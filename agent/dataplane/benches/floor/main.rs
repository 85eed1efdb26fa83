//! What no packet path can save: the AEAD alone, and a forwarder that does everything but that.
//! Needs root.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it measures and prints")]

mod forwarder;

use std::hint::black_box;
use std::time::Instant;

use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// The inner packet of a full segment.
const PACKET: usize = 1420;
/// What of it is payload: TCP over IPv4 with timestamps.
const PAYLOAD: f64 = 1368.0;
/// A small packet.
const SMALL: usize = 92;
const ROUNDS: u32 = 20_000;
const REPEATS: usize = 15;

fn main() {
    for len in [SMALL, PACKET] {
        seal_and_open(len);
        encapsulate_and_decapsulate(len);
    }
    forwarder::measure();
}

fn seal_and_open(len: usize) {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &[7; 32]).unwrap());
    let nonce = || Nonce::assume_unique_for_key([1; 12]);
    let mut packet = vec![0x5a; len];
    let seal = best(|| {
        let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut packet);
        black_box(tag.unwrap().as_ref().len());
    });
    let mut sealed = vec![0x5a; len];
    key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed).unwrap();
    let mut copy = sealed.clone();
    let open = best(|| {
        copy.copy_from_slice(&sealed);
        black_box(key.open_in_place(nonce(), Aad::empty(), &mut copy).unwrap().len());
    });
    print("AEAD", len, [seal, open]);
}

fn encapsulate_and_decapsulate(len: usize) {
    let [mut here, mut there] = pair();
    let (packet, mut out) = (ipv4(len), vec![0; 2048]);
    shake_hands(&mut here, &mut there);
    let seal = best(|| {
        black_box(written(here.encapsulate(&packet, &mut out)).len());
    });
    // Each datagram can be opened once: as many of them first, then their way back.
    let open = least((0..REPEATS).map(|_| {
        let seal = |_| written(here.encapsulate(&packet, &mut out)).to_vec();
        let datagrams: Vec<_> = (0..ROUNDS).map(seal).collect();
        let (start, mut room) = (Instant::now(), vec![0; 2048]);
        for datagram in &datagrams {
            let opened = there.decapsulate(None, datagram, &mut room);
            assert!(matches!(opened, TunnResult::WriteToTunnelV4(..)), "{opened:?}");
        }
        nanoseconds(start)
    }));
    print("boringtun", len, [seal, open]);
}

fn pair() -> [Box<Tunn>; 2] {
    let secrets = [[1; 32], [2; 32]].map(StaticSecret::from);
    let publics = secrets.each_ref().map(PublicKey::from);
    let [ours, theirs] = secrets;
    let tunn = |own, other, index| Box::new(Tunn::new(own, other, None, None, index, None));
    [tunn(ours, publics[1], 1), tunn(theirs, publics[0], 2)]
}

fn shake_hands(here: &mut Tunn, there: &mut Tunn) {
    let (mut a, mut b) = (vec![0; 2048], vec![0; 2048]);
    let initiation = written(here.format_handshake_initiation(&mut a, false)).to_vec();
    let response = written(there.decapsulate(None, &initiation, &mut b)).to_vec();
    let keepalive = written(here.decapsulate(None, &response, &mut a)).to_vec();
    there.decapsulate(None, &keepalive, &mut b);
}

fn written(result: TunnResult<'_>) -> &[u8] {
    let TunnResult::WriteToNetwork(datagram) = result else { panic!("{result:?}") };
    datagram
}

fn ipv4(len: usize) -> Vec<u8> {
    let mut packet = vec![0; len];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
    packet
}

/// Nanoseconds of one turn, in the best of several repeats.
fn best(mut turn: impl FnMut()) -> f64 {
    least((0..REPEATS).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| turn());
        nanoseconds(start)
    }))
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

fn print(what: &str, len: usize, [seal, open]: [f64; 2]) {
    let cost = |nanoseconds: f64| nanoseconds / PAYLOAD;
    print!("{what:10} {len:5} B: seal {seal:5.0} ns, open {open:5.0} ns");
    if len == PACKET {
        print!("; {:.2} and {:.2} CPU-s/GB of TCP", cost(seal), cost(open));
    }
    println!();
}
