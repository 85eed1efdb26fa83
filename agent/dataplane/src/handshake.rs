//! What is known of a peer's handshakes: asked, answered, overdue, to be revived.

use std::time::{Duration, Instant};

use egress_core::backoff::Backoff;

use crate::jitter::Jitter;
use crate::message::Message;

/// An initiation that begins a tunnel's life is sent again after this long, once: boringtun would
/// wait for `REKEY_TIMEOUT`, and nothing is carried meanwhile. No path takes as long there and back,
/// so that the answer is not on its way.
const AGAIN: Duration = Duration::from_secs(1);
/// An initiation that has no answer for this long is news (`REKEY_TIMEOUT`).
const SILENCE: Duration = Duration::from_secs(5);
/// Data that has no answer of any kind for this long means a dead peer: it would have sent a
/// keepalive (`KEEPALIVE_TIMEOUT` + `REKEY_TIMEOUT`).
const QUIET: Duration = Duration::from_secs(15);
/// The first wait before a revival; like the longest, it is between half and all of this.
const REVIVAL_FIRST: Duration = Duration::from_secs(2);
const REVIVAL_MOST: Duration = Duration::from_secs(30);

/// One peer's handshakes.
#[derive(Debug)]
pub struct Handshakes {
    completed: u64,
    last: Option<Instant>,
    asked: Option<Asked>,
    answered: Option<u32>,
    /// The peer and we asked each other at one moment, and we have not asked since.
    crossed: bool,
    /// When the oldest message that wants an answer of any kind left.
    unheard_since: Option<Instant>,
    again: Option<Instant>,
    revival: Option<Instant>,
    backoff: Backoff,
    jitter: Jitter,
}

/// We sent an initiation; nothing completed it so far.
#[derive(Debug)]
struct Asked {
    since: Instant,
    next_news: Instant,
}

impl Handshakes {
    /// None yet. What is random follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            completed: 0,
            last: None,
            asked: None,
            answered: None,
            crossed: false,
            unheard_since: None,
            again: None,
            revival: None,
            backoff: Backoff::new(REVIVAL_FIRST, REVIVAL_MOST, seed),
            jitter: Jitter::new(seed),
        }
    }

    /// Handshakes completed.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// How long ago the last one was completed; `None` before the first.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.last.map(|last| now.saturating_duration_since(last))
    }

    /// Whether an initiation of ours waits for its answer.
    pub fn asking(&self) -> bool {
        self.asked.is_some()
    }

    /// A message of ours was sent.
    pub fn sent(&mut self, message: Message, now: Instant) {
        if message.wants_answer() {
            self.unheard_since.get_or_insert(now);
        }
        match message {
            Message::Initiation => self.asked(now),
            Message::Response { sender } => {
                self.answered = Some(sender);
                self.crossed = self.asking();
            }
            Message::Cookie | Message::Data { .. } => {}
        }
    }

    /// An authentic message came. True when it completes a handshake: the answer to ours, or the
    /// first data for a session that we answered.
    pub fn received(&mut self, message: Message, now: Instant) -> bool {
        self.unheard_since = None;
        let complete = match message {
            Message::Response { .. } => true,
            Message::Data { receiver, .. } => self.answered == Some(receiver),
            Message::Initiation | Message::Cookie => false,
        };
        if complete {
            self.completed += 1;
            self.last = Some(now);
            (self.asked, self.answered, self.revival) = (None, None, None);
            self.again = self.crossed.then(|| now + AGAIN + self.jitter.chance());
            self.backoff.reset();
            self.jitter.completed(now);
        }
        complete
    }

    /// There is no session: the initiation that is about to be sent will be sent again if need be.
    pub fn begin(&mut self, now: Instant) {
        self.again = Some(now + AGAIN);
    }

    /// Whether it is time to send an initiation of our own: because that with which all began has no
    /// answer, or because two handshakes crossed. True once.
    ///
    /// Of two that crossed each end may have completed another one, and then neither hears the
    /// other until `QUIET` is over. `wireguard-go` is seen to take the keys of one handshake for the
    /// index of the other when both reach it within a millisecond. One more handshake settles it.
    pub fn again(&mut self, now: Instant) -> bool {
        self.again.take_if(|at| now >= *at).is_some()
    }

    /// Whether boringtun's timers are to stand still, so that not all tunnels' handshakes come at
    /// one moment.
    pub fn wait_a_little(&self, now: Instant) -> bool {
        self.jitter.holds(now)
    }

    /// For how long a peer owes its answer, when that is news: at 5 s, or at once when it has been
    /// quiet for long, and every 5 s after.
    pub fn overdue(&mut self, now: Instant) -> Option<Duration> {
        let asked = self.asked.as_mut()?;
        if now < asked.next_news {
            return None;
        }
        asked.next_news = now + SILENCE;
        Some(now.saturating_duration_since(asked.since))
    }

    /// How long the oldest message that wants an answer of any kind has waited for one.
    pub fn quiet(&self, now: Instant) -> Duration {
        self.unheard_since.map(|since| now.saturating_duration_since(since)).unwrap_or_default()
    }

    /// boringtun has given up. True when it is time to begin anew: the first call only sets when.
    pub fn revive(&mut self, now: Instant) -> bool {
        let backoff = &mut self.backoff;
        let at = *self.revival.get_or_insert_with(|| now + backoff.next_wait());
        let due = now >= at;
        if due {
            self.revival = None;
        }
        due
    }

    fn asked(&mut self, now: Instant) {
        (self.revival, self.crossed) = (None, false);
        self.jitter.initiated(now);
        let dead = self.quiet(now) >= QUIET;
        let next_news = if dead { now } else { now + SILENCE };
        self.asked.get_or_insert(Asked { since: now, next_news });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DATA: Message = Message::Data { receiver: 9, len: 0 };

    #[test]
    fn a_peer_that_does_not_answer_is_news_every_five_seconds_until_it_does() {
        let start = Instant::now();
        let mut handshakes = Handshakes::new(1);
        handshakes.sent(Message::Initiation, start);
        assert_eq!(handshakes.overdue(start + 4 * SECOND), None);
        assert_eq!(handshakes.overdue(start + 5 * SECOND), Some(5 * SECOND));
        handshakes.sent(Message::Initiation, start + 5 * SECOND);
        assert_eq!(handshakes.overdue(start + 9 * SECOND), None);
        assert_eq!(handshakes.overdue(start + 10 * SECOND), Some(10 * SECOND));
        assert!(handshakes.received(Message::Response { sender: 1 }, start + 11 * SECOND));
        assert_eq!(handshakes.overdue(start + 60 * SECOND), None);
        assert_eq!(handshakes.age(start + 12 * SECOND), Some(SECOND));
    }

    #[test]
    fn a_peer_that_left_data_unanswered_for_long_is_news_at_once() {
        let start = Instant::now();
        let mut handshakes = Handshakes::new(1);
        handshakes.sent(Message::Data { receiver: 9, len: 100 }, start);
        handshakes.sent(Message::Data { receiver: 9, len: 100 }, start + 14 * SECOND);
        handshakes.sent(Message::Initiation, start + 15 * SECOND);
        assert_eq!(handshakes.overdue(start + 15 * SECOND), Some(Duration::ZERO));
        assert_eq!(handshakes.quiet(start + 15 * SECOND), 15 * SECOND);
        handshakes.received(DATA, start + 16 * SECOND);
        assert_eq!(handshakes.quiet(start + 60 * SECOND), Duration::ZERO);
    }

    #[test]
    fn the_initiation_that_begins_all_is_sent_again_once_unless_it_is_answered() {
        let start = Instant::now();
        let mut handshakes = Handshakes::new(1);
        assert!(!handshakes.again(start + 2 * AGAIN), "nothing was begun");
        handshakes.begin(start);
        assert!(!handshakes.again(start + AGAIN.mul_f64(0.99)));
        assert!(handshakes.again(start + AGAIN));
        assert!(!handshakes.again(start + 2 * AGAIN));
        handshakes.begin(start);
        handshakes.received(Message::Response { sender: 1 }, start);
        assert!(!handshakes.again(start + AGAIN));
    }

    #[test]
    fn handshakes_that_crossed_are_followed_by_another_whichever_was_completed_first() {
        let start = Instant::now();
        let (response, data) = (Message::Response { sender: 1 }, DATA);
        for completing in [[response, data], [data, response]] {
            let mut handshakes = Handshakes::new(1);
            handshakes.sent(Message::Initiation, start);
            handshakes.sent(Message::Response { sender: 9 }, start);
            for message in completing {
                handshakes.received(message, start);
            }
            assert!(!handshakes.again(start + AGAIN.mul_f64(0.99)));
            assert!(handshakes.again(start + 3 * AGAIN), "{completing:?}");
            handshakes.sent(Message::Initiation, start + 3 * AGAIN);
            handshakes.received(response, start + 3 * AGAIN);
            assert!(!handshakes.again(start + 9 * AGAIN), "they did not cross again");
        }
    }

    #[test]
    fn a_handshake_that_the_peer_begins_alone_is_followed_by_none() {
        let start = Instant::now();
        let mut handshakes = Handshakes::new(1);
        handshakes.sent(Message::Response { sender: 9 }, start);
        handshakes.received(DATA, start);
        assert!(!handshakes.again(start + 9 * AGAIN));
    }

    #[test]
    fn an_idle_peer_is_not_quiet() {
        let start = Instant::now();
        let mut handshakes = Handshakes::new(1);
        handshakes.sent(DATA, start);
        handshakes.sent(Message::Initiation, start + 120 * SECOND);
        assert_eq!(handshakes.overdue(start + 120 * SECOND), None);
        assert_eq!(handshakes.quiet(start + 121 * SECOND), SECOND);
    }

    #[test]
    fn a_handshake_of_the_peers_is_complete_with_the_first_data_of_its_session() {
        let now = Instant::now();
        let mut handshakes = Handshakes::new(1);
        handshakes.sent(Message::Initiation, now);
        handshakes.sent(Message::Response { sender: 9 }, now);
        assert!(
            !handshakes.received(Message::Data { receiver: 8, len: 0 }, now),
            "an older session"
        );
        assert_eq!(handshakes.completed(), 0);
        assert!(handshakes.asking());
        assert!(handshakes.received(DATA, now));
        assert!(!handshakes.received(DATA, now), "only the first");
        assert_eq!(handshakes.completed(), 1);
        assert!(!handshakes.asking());
    }

    #[test]
    fn revival_waits_longer_each_time() {
        let mut now = Instant::now();
        let mut handshakes = Handshakes::new(1);
        for most in [2, 4, 8, 16, 30, 30].map(|most| most * SECOND) {
            assert!(!handshakes.revive(now));
            assert!(!handshakes.revive(now + most.mul_f64(0.49)), "before half of {most:?}");
            now += most;
            assert!(handshakes.revive(now), "after {most:?}");
            handshakes.sent(Message::Initiation, now);
        }
    }

    #[test]
    fn a_packet_that_began_a_handshake_puts_the_revival_off() {
        let now = Instant::now();
        let mut handshakes = Handshakes::new(1);
        assert!(!handshakes.revive(now));
        handshakes.sent(Message::Initiation, now);
        assert!(!handshakes.revive(now + 60 * SECOND), "the wait begins anew");
    }
}
