//! What a kernel or a path cannot do costs time, and never a packet.

use super::*;
use crate::segment::tests::{Flow, cut, flow, payload};
use crate::transport::Version;
use crate::vnet::{Kind, VnetHeader};

/// Never more than so many datagrams wait in the far end's receive buffer.
const AT_ONCE: usize = 180;

/// A flow whose addresses are the peer's and the container's to use.
fn allowed_flow() -> impl Strategy<Value = Flow> {
    flow().prop_map(|mut flow| {
        let (at, len, first) = match flow.version {
            Version::V4 => (12, 4, 10),
            Version::V6 => (8, 16, 0xfd),
        };
        for address in [at, at + len] {
            flow.seed[address] = first;
        }
        flow
    })
}

fn uncut() -> impl Strategy<Value = Uncut> {
    prop::sample::select(vec![Uncut::Nothing, Uncut::Tcp, Uncut::TcpAndUdp])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_the_kernel_left_uncut_arrives_as_what_it_cut_itself(
        flow in allowed_flow(), payload in payload(), size in 200u16..1300,
    ) {
        let frame = flow.frame(&payload, size);
        let packets = cut(&frame);
        let (mut far, mut with) = Far::connect(Far::and_near_with(Uncut::TcpAndUdp, 32));
        with.send(&frame);
        for packet in &packets {
            prop_assert_eq!(&far.hear().1, packet);
        }
        let (mut far, mut without) = Far::connect(Far::and_near_with(Uncut::Nothing, 1));
        for packet in &packets {
            without.send(packet);
            prop_assert_eq!(&far.hear().1, packet);
        }
        let carried = [with, without].map(|near| {
            let stats = near.tunnel.stats(Instant::now());
            (stats.tx_packets, stats.tx_bytes, stats.drops)
        });
        prop_assert_eq!(carried[0], carried[1]);
    }

    #[test]
    fn a_device_is_given_nothing_that_it_cannot_cut_and_loses_nothing_by_that(
        flow in allowed_flow(), payload in payload(), size in 200u16..1300, uncut in uncut(),
    ) {
        let packets = cut(&flow.frame(&payload, size));
        let (mut far, mut near) = Far::connect(Far::and_near_with(uncut, 32));
        for packet in &packets {
            far.send(packet);
        }
        let mut delivered = Vec::new();
        while delivered.len() < packets.len() {
            near.down();
            let Some(frame) = near.delivered() else { break };
            match uncut {
                Uncut::Nothing => delivered.push(frame),
                Uncut::Tcp | Uncut::TcpAndUdp => {
                    let (header, _) = VnetHeader::split(&frame).expect("a header");
                    let kind = header.segments.map(|segments| segments.kind);
                    prop_assert!(uncut == Uncut::TcpAndUdp || kind != Some(Kind::Udp));
                    delivered.extend(cut(&frame));
                }
            }
        }
        prop_assert_eq!(delivered, packets);
    }

    #[test]
    fn what_a_path_refuses_together_leaves_once_apart_and_in_order(
        lens in prop::collection::vec(prop::sample::select(vec![12usize, 12, 12, 40]), 1..3 * AT_ONCE),
    ) {
        // The kernel takes no message of more than 128 datagrams.
        let (mut far, mut near) = Far::connect(Far::and_near_with(Uncut::Nothing, u16::MAX));
        let packets: Vec<_> = lens.iter().enumerate().map(|(number, len)| {
            from_far(&vec![number.to_le_bytes()[0]; *len])
        }).collect();
        for some in packets.chunks(AT_ONCE) {
            for packet in some {
                seqpacket::send(&near.container, packet, &[]).unwrap();
            }
            near.tunnel.up(&mut near.frame, &mut near.turn).unwrap();
            for packet in some {
                prop_assert_eq!(&far.hear().1, packet);
            }
        }
        far.socket.set_nonblocking(true).unwrap();
        prop_assert!(far.socket.recv(&mut [0; 4]).is_err(), "something left twice");
        let (stats, bytes) = (near.tunnel.stats(Instant::now()), packets.iter().map(Vec::len).sum::<usize>());
        let counted = (stats.tx_packets, stats.tx_bytes, stats.drops.io);
        prop_assert_eq!(counted, (packets.len() as u64, bytes as u64, 0));
    }
}
