//! How much one tunnel can take of what all share: its worker's time, and memory.

use super::*;

/// Bytes of a cookie reply.
const COOKIE: usize = 64;

#[test]
fn few_large_packets_wait_for_a_handshake_and_the_others_are_counted() {
    let (mut far, mut near) = Far::and_near();
    let large = from_far(&vec![7; 60_000]);
    for _ in 0..300 {
        near.send(&large);
    }
    assert_eq!(near.drops().io, 298);
    assert!(far.hear().1.is_empty(), "the initiation");
    near.down();
    assert!(far.hear().1.is_empty(), "the keepalive that confirms");
    for _ in 0..2 {
        assert_eq!(far.hear().1, large);
    }
    assert_eq!(far.unheard(), 0);
    near.send(&large);
    assert_eq!(far.hear().1, large);
    let stats = near.tunnel.stats(Instant::now());
    assert_eq!((stats.tx_packets, stats.drops.io), (3, 298));
}

#[test]
fn as_many_small_packets_wait_as_boringtun_keeps() {
    let (mut far, mut near) = Far::and_near();
    for number in 0..300u16 {
        near.send(&from_far(&number.to_be_bytes()));
    }
    assert_eq!(near.drops().io, 44);
    assert!(far.hear().1.is_empty(), "the initiation");
    near.down();
    let stats = near.tunnel.stats(Instant::now());
    assert_eq!((stats.tx_packets, stats.drops.io), (256, 44));
}

#[test]
fn what_waited_makes_no_packet_wait_once_there_is_a_session() {
    let (mut far, mut near) = Far::and_near();
    let large = from_far(&vec![7; 60_000]);
    far.initiate();
    near.down();
    for _ in 0..3 {
        near.send(&large);
    }
    // A second handshake under way keeps the first from counting as complete, and from sending
    // what waits.
    far.initiate();
    assert!(far.hear().1.is_empty(), "the first one's response, which a keepalive confirms");
    near.down();
    assert!(near.turn.news.is_empty());
    for _ in 0..3 {
        near.send(&large);
    }
    let stats = near.tunnel.stats(Instant::now());
    assert_eq!((stats.tx_packets, stats.drops.io), (3, 1));
}

#[test]
fn one_event_moves_a_bounded_number_of_packets() {
    let (far, mut near) = Far::and_near();
    for _ in 0..1_500 {
        far.socket.send(&[0]).unwrap();
    }
    near.down();
    assert_eq!(near.drops().invalid, 1_024);
    near.down();
    assert_eq!(near.drops().invalid, 1_500);
}

#[test]
fn one_event_takes_a_bounded_number_of_empty_datagrams() {
    let (far, mut near) = Far::and_near();
    for _ in 0..1_500 {
        far.socket.send(&[]).unwrap();
    }
    far.socket.send(&[0]).unwrap();
    near.down();
    assert_eq!(near.drops().invalid, 0, "what is behind the empty ones waits");
    near.down();
    assert_eq!(near.drops().invalid, 1);
}

/// Both ends, with a session, and the far end's initiations are answered however many come.
fn connected_and_trusted() -> (Far, Near) {
    let (mut far, mut near) = Far::and_near_connected();
    // From the eleventh in a second on boringtun asks for a proof of the address.
    while far.initiate_and_hear(&mut near) != COOKIE {}
    (far, near)
}

#[test]
fn one_event_answers_few_handshakes_and_carries_what_is_between_them() {
    let (mut far, mut near) = connected_and_trusted();
    let mut initiations = || -> Vec<_> { (0..60).map(|_| far.initiation()).collect() };
    let flood: [_; 7] = std::array::from_fn(|_| initiations());
    let invalid = near.drops().invalid;
    for some in &flood[..5] {
        far.send_joined(some);
    }
    far.send(&from_far(b"between"));
    for some in &flood[5..] {
        far.send_joined(some);
    }
    far.send(&from_far(b"in the next event"));
    near.down();
    assert_eq!(far.unheard(), 4);
    assert_eq!(near.drops().invalid - invalid, 7 * 60 - 4);
    assert_eq!(near.delivered(), Some(from_far(b"between")));
    assert_eq!(near.delivered(), None, "four handshakes are all that an event has time for");
    near.down();
    assert_eq!(near.delivered(), Some(from_far(b"in the next event")));
}

#[test]
fn forged_handshake_messages_keep_no_true_one_out() {
    let (mut far, mut near) = Far::and_near();
    let mut forged = far.initiation();
    *forged.last_chunk_mut::<32>().unwrap() = [0; 32];
    far.send_joined(&vec![forged; 60]);
    far.initiate();
    near.down();
    assert_eq!((near.drops().invalid, far.unheard()), (60, 1));
}
