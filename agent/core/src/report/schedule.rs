//! When a message is sent: after changes, as heartbeat, and again after failures.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// How far apart messages begin at least: changes that come faster share one.
pub const GAP: Duration = Duration::from_millis(100);

/// Decides when the next message begins. One message is under way at a time, and of what changed
/// meanwhile only that it did is kept: the next message is made of the state at its beginning.
#[derive(Debug)]
pub struct Schedule {
    heartbeat: Duration,
    backoff: Backoff,
    /// The receiver lacks something that no message under way brings.
    pending: bool,
    in_flight: bool,
    /// The last message that ended was not taken.
    failing: bool,
    /// No message begins before this.
    not_before: Instant,
    heartbeat_at: Instant,
}

impl Schedule {
    /// A schedule whose first message is due at once: the receiver may know a former life of the
    /// agent.
    pub fn new(heartbeat: Duration, backoff: Backoff, now: Instant) -> Self {
        Self {
            heartbeat,
            backoff,
            pending: true,
            in_flight: false,
            failing: false,
            not_before: now,
            heartbeat_at: now,
        }
    }

    /// Something changed.
    pub fn handle_change(&mut self) {
        self.pending = true;
    }

    /// The message under way was taken.
    pub fn handle_delivered(&mut self) {
        self.in_flight = false;
        self.failing = false;
        self.backoff.reset();
    }

    /// The message under way was not taken. Gives the wait until the next one.
    pub fn handle_failed(&mut self, now: Instant) -> Duration {
        self.in_flight = false;
        self.failing = true;
        self.pending = true;
        let wait = self.backoff.next_wait().max(GAP);
        self.not_before = now + wait;
        wait
    }

    /// When to ask [`Schedule::poll_send`] next; never while a message is under way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due =
            if self.pending { self.not_before } else { self.heartbeat_at.max(self.not_before) };
        (!self.in_flight).then_some(due)
    }

    /// Whether a message begins now. If so it is under way until it is told how it ended.
    pub fn poll_send(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout().is_some_and(|due| due <= now);
        if due {
            self.pending = false;
            self.in_flight = true;
            self.not_before = now + GAP;
            self.heartbeat_at = now + self.heartbeat;
        }
        due
    }

    /// Whether the last message that ended was not taken.
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether the receiver does not have the newest state yet.
    pub fn is_pending(&self) -> bool {
        self.pending || self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEARTBEAT: Duration = Duration::from_mins(1);
    const FIRST: Duration = Duration::from_millis(500);
    const MOST: Duration = Duration::from_secs(15);

    fn schedule(now: Instant) -> Schedule {
        Schedule::new(HEARTBEAT, Backoff::new(FIRST, MOST, 7), now)
    }

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        Instant::now()
    }

    /// A schedule whose first message was taken.
    fn settled(now: Instant) -> Schedule {
        let mut schedule = schedule(now);
        assert!(schedule.poll_send(now));
        schedule.handle_delivered();
        schedule
    }

    #[test]
    fn the_first_message_is_due_at_once() {
        let now = start();
        let mut schedule = schedule(now);
        assert!(schedule.is_pending());
        assert!(schedule.poll_send(now));
        assert!(!schedule.poll_send(now + HEARTBEAT), "one is under way");
    }

    #[test]
    fn a_change_is_sent_at_once_and_a_hundred_share_a_message() {
        let now = start();
        let mut schedule = settled(now);
        assert!(!schedule.poll_send(now + GAP));
        for _ in 0..100 {
            schedule.handle_change();
        }
        assert!(!schedule.poll_send(now + GAP / 2), "too close to the one before");
        assert!(schedule.poll_send(now + GAP));
        schedule.handle_delivered();
        assert!(!schedule.is_pending());
        assert_eq!(schedule.poll_timeout(), Some(now + GAP + HEARTBEAT));
    }

    #[test]
    fn what_changes_while_a_message_is_under_way_is_sent_after_it() {
        let now = start();
        let mut schedule = schedule(now);
        assert!(schedule.poll_send(now));
        schedule.handle_change();
        assert_eq!(schedule.poll_timeout(), None);
        schedule.handle_delivered();
        assert!(schedule.is_pending());
        assert!(schedule.poll_send(now + GAP));
    }

    #[test]
    fn nothing_new_is_a_heartbeat() {
        let now = start();
        let mut schedule = settled(now);
        assert!(!schedule.poll_send(now + HEARTBEAT.checked_sub(GAP).unwrap()));
        assert!(schedule.poll_send(now + HEARTBEAT));
    }

    #[test]
    fn a_receiver_that_is_down_is_asked_ever_more_seldom_and_changes_do_not_hurry_it() {
        let mut now = start();
        let mut schedule = schedule(now);
        let mut waits = Vec::new();
        for _ in 0..20 {
            assert!(schedule.poll_send(now));
            let wait = schedule.handle_failed(now);
            schedule.handle_change();
            assert!(!schedule.poll_send(now + wait / 2));
            now += wait;
            waits.push(wait);
        }
        assert!(waits.iter().all(|wait| (FIRST / 2..=MOST).contains(wait)), "{waits:?}");
        assert!(waits[10..].iter().all(|wait| *wait >= MOST / 2), "{waits:?}");
        assert!(schedule.poll_send(now));
        schedule.handle_delivered();
        assert!(!schedule.is_pending());
    }

    #[test]
    fn a_minute_without_a_receiver_costs_a_few_messages_and_ends_with_the_newest_state() {
        let down_for = Duration::from_mins(1);
        let (began, mut now) = (start(), start());
        let mut schedule = settled(now);
        let (mut state, mut tried, mut told) = (0_u32, 0, None);
        while told.is_none() {
            state += 1;
            schedule.handle_change();
            let is_down = now < began + down_for;
            match schedule.poll_send(now) {
                true if is_down => {
                    tried += 1;
                    schedule.handle_failed(now);
                }
                true => told = Some(state),
                false => {}
            }
            assert!(now < began + down_for + MOST, "it is not asked any more");
            now += GAP / 4;
        }
        assert!(tried < 20, "{tried} messages in vain");
        schedule.handle_delivered();
        assert_eq!(told, Some(state));
        assert!(!schedule.is_pending() && !schedule.is_failing());
    }

    /// What may happen, in any order.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Change,
        Delivered,
        Failed,
        Later(u64),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            Just(Happens::Change),
            Just(Happens::Delivered),
            Just(Happens::Failed),
            (0..40_000_u64).prop_map(Happens::Later),
        ]
    }

    proptest! {
        /// A message stands for the number of changes before it began.
        #[test]
        fn the_first_message_that_gets_through_brings_the_newest_state(
            history in proptest::collection::vec(happens(), 0..200),
        ) {
            let mut now = start();
            let mut schedule = schedule(now);
            let mut state = 0_u32;
            let (mut under_way, mut begun_at) = (None, None);
            for what in history {
                match what {
                    Happens::Change => {
                        state += 1;
                        schedule.handle_change();
                    }
                    Happens::Delivered => if let Some(message) = under_way.take() {
                        schedule.handle_delivered();
                        prop_assert_eq!(schedule.is_pending(), message != state);
                    },
                    Happens::Failed => if under_way.take().is_some() {
                        let wait = schedule.handle_failed(now);
                        prop_assert!(wait <= MOST);
                    },
                    Happens::Later(ms) => now += Duration::from_millis(ms),
                }
                if schedule.poll_send(now) {
                    prop_assert_eq!(under_way, None, "two messages under way");
                    prop_assert!(begun_at.is_none_or(|begun| now >= begun + GAP));
                    (under_way, begun_at) = (Some(state), Some(now));
                }
            }
            if under_way.is_none() {
                let due = schedule.poll_timeout().unwrap();
                prop_assert!(schedule.poll_send(due.max(now)));
                schedule.handle_delivered();
                prop_assert!(!schedule.is_pending());
            }
        }
    }
}
