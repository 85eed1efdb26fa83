//! Collects the workers' counts into replies that fit a packet.

use std::collections::HashMap;

use crate::order::Ticket;
use crate::protocol::{Reply, TunnelStats};

/// Tunnels in one reply, so that even those with the most peers fit.
const TUNNELS_PER_REPLY: usize = 100;

/// The requests for counts that are on their way.
#[derive(Debug, Default)]
pub struct Counting {
    waiting: HashMap<Ticket, Collected>,
}

#[derive(Debug)]
struct Collected {
    missing: usize,
    tunnels: Vec<TunnelStats>,
}

impl Counting {
    /// So many workers were asked.
    pub fn begin(&mut self, ticket: Ticket, workers: usize) {
        self.waiting.insert(ticket, Collected { missing: workers, tunnels: Vec::new() });
    }

    /// One of them has counted. When it was the last, gives the replies: those that more follow,
    /// and the last one.
    pub fn counted(
        &mut self,
        ticket: Ticket,
        tunnels: Vec<TunnelStats>,
    ) -> Option<(Vec<Reply>, Reply)> {
        let collected = self.waiting.get_mut(&ticket)?;
        collected.tunnels.extend(tunnels);
        collected.missing = collected.missing.saturating_sub(1);
        if collected.missing > 0 {
            return None;
        }
        let mut tunnels = self.waiting.remove(&ticket)?.tunnels;
        tunnels.sort_by_key(|stats| stats.tunnel);
        Some(in_replies(&tunnels))
    }
}

fn in_replies(tunnels: &[TunnelStats]) -> (Vec<Reply>, Reply) {
    let chunks: Vec<_> = tunnels.chunks(TUNNELS_PER_REPLY).collect();
    let (last, parts) =
        chunks.split_last().map_or((&[][..], &[][..]), |(last, parts)| (*last, parts));
    let reply = |tunnels: &[TunnelStats], more| Reply::Stats { tunnels: tunnels.to_vec(), more };
    (parts.iter().map(|part| reply(part, true)).collect(), reply(last, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Drops, Message, PACKET_MAX, PEERS_MAX, PeerStats};

    const TICKET: Ticket = Ticket { connection: 1, number: 2 };

    fn largest(tunnel: u64) -> TunnelStats {
        let most = u64::MAX;
        let endpoint = Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap());
        let peer = PeerStats { handshake_age_ms: Some(most), handshakes: most, endpoint };
        TunnelStats {
            tunnel,
            rx_bytes: most,
            rx_packets: most,
            tx_bytes: most,
            tx_packets: most,
            drops: Drops { no_peer: most, source: most, invalid: most, io: most },
            peers: vec![peer; PEERS_MAX],
        }
    }

    fn count(tunnels: u64) -> Vec<Reply> {
        let mut counting = Counting::default();
        counting.begin(TICKET, 1);
        let tunnels = (0..tunnels).map(|n| largest(u64::MAX - n)).collect();
        let (mut replies, last) = counting.counted(TICKET, tunnels).unwrap();
        replies.push(last);
        replies
    }

    #[test]
    fn every_reply_fits_a_packet_and_only_the_last_says_that_there_is_no_more() {
        let replies = count(1_000);
        for (place, reply) in replies.iter().enumerate() {
            let Reply::Stats { more, .. } = reply else { panic!("{reply:?}") };
            assert_eq!(*more, place + 1 < replies.len());
            let message = Message::Reply { number: u64::MAX, reply: reply.clone() };
            assert!(postcard::to_stdvec(&message).unwrap().len() <= PACKET_MAX);
        }
    }

    #[test]
    fn no_tunnels_are_one_empty_reply() {
        assert_eq!(count(0), [Reply::Stats { tunnels: vec![], more: false }]);
    }

    #[test]
    fn the_replies_come_with_the_last_worker() {
        let mut counting = Counting::default();
        counting.begin(TICKET, 2);
        assert_eq!(counting.counted(TICKET, vec![largest(2)]), None);
        let all = counting.counted(TICKET, vec![largest(1)]);
        let tunnels = vec![largest(1), largest(2)];
        assert_eq!(all, Some((vec![], Reply::Stats { tunnels, more: false })));
        assert_eq!(counting.counted(TICKET, vec![]), None, "it was answered");
    }
}
