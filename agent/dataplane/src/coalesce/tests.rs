use proptest::prelude::*;

use super::flow::DO_NOT_FRAGMENT;
use super::*;
use crate::segment::tests::{Flow as Sent, cut, flow, payload};
use crate::transport::{Version, flags};

/// The frames that a batch of packets becomes.
fn coalesce(packets: &[Vec<u8>], joining: Joining) -> Vec<(Vec<u8>, Carried)> {
    let mut coalescer = Coalescer::new();
    let mut frames = Vec::new();
    for packet in packets {
        let write = |room: &mut [u8]| {
            assert!(room.len() >= ROOM);
            room[..packet.len()].copy_from_slice(packet);
            // What boringtun leaves behind a packet: padding and a tag.
            room[packet.len()..packet.len() + 32].fill(0xee);
            Some(packet.len())
        };
        if coalescer.fill(joining, write) == Filled::Waits {
            frames.extend(coalescer.finish().map(|(frame, n)| (frame.to_vec(), n)));
            coalescer.take_waiting(joining);
        }
        // What is no packet leaves no trace.
        let nothing = coalescer.fill(joining, |room| {
            room[..1500].fill(0xdd);
            None
        });
        assert_eq!(nothing, Filled::Nothing);
    }
    frames.extend(coalescer.finish().map(|(frame, n)| (frame.to_vec(), n)));
    assert_eq!(coalescer.finish(), None);
    frames
}

fn cut_all(frames: &[(Vec<u8>, Carried)]) -> Vec<Vec<u8>> {
    frames.iter().flat_map(|(frame, _)| cut(frame)).collect()
}

fn count(packets: &[Vec<u8>]) -> usize {
    coalesce(packets, Joining::TcpAndUdp).len()
}

/// Two packets of a TCP flow that can be joined.
fn pair() -> (Sent, [Vec<u8>; 2]) {
    let seed = std::array::from_fn(|at| at.to_le_bytes()[0]);
    let (version, transport) = (Version::V4, Transport::Tcp);
    let flow = Sent { version, transport, seed, options: 3, flags: flags::ACK };
    let packets = cut(&flow.frame(&[7; 2000], 1000));
    (flow, packets.try_into().unwrap())
}

#[test]
fn a_change_of_any_field_that_a_superpacket_has_once_begins_another() {
    let (flow, [first, second]) = pair();
    assert_eq!(count(&[first.clone(), second.clone()]), 1);
    // TOS, TTL, addresses, ports, sequence, acknowledgement, reserved bits, flags but PSH,
    // window, urgent pointer, options.
    let flags = [(33, 0x01), (33, 0x02), (33, 0x04), (33, 0x20), (33, 0x40), (33, 0x80)];
    let bytes = [1, 8, 12, 19, 20, 23, 24, 27, 28, 31, 34, 35, 38, 39, 40, 51];
    let bytes = bytes.into_iter().map(|at| (at, 1));
    for (at, bit) in flags.into_iter().chain(bytes).chain([(32, 1), (6, 0x40)]) {
        let mut changed = second.clone();
        changed[at] ^= bit;
        flow.layout(&changed).complete(&mut changed);
        assert_eq!(count(&[first.clone(), changed]), 2, "byte {at}, {bit:#x}");
    }
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    let (_, [first, second]) = pair();
    for broken in [0, 1] {
        let mut packets = [first.clone(), second.clone()];
        packets[broken][100] ^= 1;
        let frames = coalesce(&packets, Joining::TcpAndUdp);
        assert_eq!(cut_all(&frames), packets);
        assert_eq!(frames.len(), 2);
    }
}

#[test]
fn datagrams_without_a_checksum_get_none() {
    let (flow, _) = pair();
    let flow = Sent { transport: Transport::Udp, ..flow };
    let mut packets = cut(&flow.frame(&[7; 2000], 1000));
    for packet in &mut packets {
        packet[26..28].fill(0);
    }
    let frames = coalesce(&packets, Joining::TcpAndUdp);
    assert_eq!((cut_all(&frames), frames.len()), (packets, 2));
}

#[test]
fn an_id_counts_only_where_packets_may_be_fragmented() {
    let (flow, _) = pair();
    for (flag, wanted) in [(0, 2), (DO_NOT_FRAGMENT, 1)] {
        let mut seed = flow.seed;
        seed[6] = flag;
        let mut packets = cut(&Sent { seed, ..flow.clone() }.frame(&[7; 2000], 1000));
        packets[1][4..6].fill(0);
        flow.layout(&packets[1]).complete(&mut packets[1]);
        assert_eq!(count(&packets), wanted);
    }
}

#[test]
fn only_what_the_device_can_cut_is_joined() {
    let (flow, tcp) = pair();
    let udp = cut(&Sent { transport: Transport::Udp, ..flow }.frame(&[7; 2000], 1000));
    let counts = |joining| [coalesce(&tcp, joining).len(), coalesce(&udp, joining).len()];
    assert_eq!(counts(Joining::Nothing), [2, 2]);
    assert_eq!(counts(Joining::Tcp), [1, 2]);
    assert_eq!(counts(Joining::TcpAndUdp), [1, 1]);
}

proptest! {
    #[test]
    fn what_was_cut_becomes_whole_again(
        flow in flow(), payload in payload(), size in 200u16..1500,
    ) {
        let packets = cut(&flow.frame(&payload, size));
        let frames = coalesce(&packets, Joining::TcpAndUdp);
        prop_assert_eq!(frames.len(), 1);
        let bytes = packets.iter().map(Vec::len).sum();
        prop_assert_eq!(frames[0].1, Carried { packets: packets.len(), bytes });
        if packets.len() > 1 {
            prop_assert_eq!(&frames[0].0[HEADER_LEN..].len(), &flow.packet(&payload).len());
        }
        prop_assert_eq!(cut_all(&frames), packets);
    }

    #[test]
    fn nothing_is_lost_reordered_or_changed_whatever_comes(
        runs in prop::collection::vec((flow(), payload(), 100u16..1500), 1..5),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..60, any::<u8>()), 0..10),
        joining in prop::sample::select(vec![Joining::Nothing, Joining::Tcp, Joining::TcpAndUdp]),
    ) {
        let mut packets: Vec<_> = runs.iter()
            .flat_map(|(flow, payload, size)| cut(&flow.frame(payload, *size)))
            .collect();
        for pair in order.chunks_exact(2) {
            let (a, b) = (pair[0].index(packets.len()), pair[1].index(packets.len()));
            packets.swap(a, b);
        }
        for (which, at, byte) in changes {
            let index = which.index(packets.len());
            if let Some(changed) = packets[index].get_mut(at) {
                *changed = byte;
            }
        }
        let frames = coalesce(&packets, joining);
        let carried: usize = frames.iter().map(|(_, carried)| carried.packets).sum();
        prop_assert_eq!(carried, packets.len());
        let without_ids = |packets: Vec<Vec<u8>>| -> Vec<_> {
            packets.into_iter().map(without_atomic_id).collect()
        };
        prop_assert_eq!(without_ids(cut_all(&frames)), without_ids(packets));
    }

    #[test]
    fn no_bytes_whatever_panic(packets: Vec<Vec<u8>>) {
        let frames = coalesce(&packets, Joining::TcpAndUdp);
        prop_assert_eq!(cut_all(&frames), packets);
    }
}

fn without_atomic_id(mut packet: Vec<u8>) -> Vec<u8> {
    if packet.len() >= 20 && packet[0] == 0x45 && packet[6] & DO_NOT_FRAGMENT != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}
