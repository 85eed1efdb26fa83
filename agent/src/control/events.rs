//! What happened lately: a ring that every subscriber reads at its own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use egress_core::api::{Event, TimedEvent};
use tokio::sync::watch;

/// How many events are kept for those who come back.
pub const KEPT: usize = 1_024;

/// The agent's events. A clone is a handle on the same ring.
///
/// Publishing never waits: whoever reads too slowly, or comes back too late, is told so by an
/// [`Event::Reset`] in place of what it missed.
#[derive(Debug, Clone)]
pub struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    /// The id of the newest event: what subscribers wait on.
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    /// The id that the next event gets.
    next_id: u64,
    kept: VecDeque<TimedEvent>,
}

impl Ring {
    fn oldest_id(&self) -> u64 {
        self.next_id - self.kept.len() as u64
    }
}

impl Default for Events {
    /// An empty ring whose ids start at the wall clock's microseconds, so that an id of the
    /// agent's former life is too old in this one.
    fn default() -> Self {
        Self::starting_at(u64::try_from(since_epoch().as_micros()).unwrap_or(1).max(1))
    }
}

impl Events {
    /// An empty ring whose first event gets this id, which is at least 1.
    pub fn starting_at(first_id: u64) -> Self {
        let ring = Ring { next_id: first_id.max(1), kept: VecDeque::with_capacity(KEPT) };
        let (newest, _) = watch::channel(ring.next_id - 1);
        Self(Arc::new(Shared { ring: Mutex::new(ring), newest }))
    }

    /// Tells everybody. Never waits, whoever listens.
    pub fn publish(&self, event: Event) {
        let event = TimedEvent { at_ms: now_ms(), event };
        let mut ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(event);
        self.0.newest.send_replace(ring.next_id);
        ring.next_id += 1;
    }

    /// Reads on from the event after this one; without one, from now.
    pub fn subscribe(&self, after: Option<u64>) -> Subscription {
        let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let next_id = match after {
            None => ring.next_id,
            Some(id) => id.saturating_add(1),
        };
        Subscription { events: self.clone(), next_id, newest: self.0.newest.subscribe() }
    }
}

/// An event and its id. Ids grow by one from event to event.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered {
    /// Hand it to [`Events::subscribe`] to go on after this event.
    pub id: u64,
    /// What happened, and when.
    pub event: TimedEvent,
}

fn now_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// One reader's place in the ring.
#[derive(Debug)]
pub struct Subscription {
    events: Events,
    next_id: u64,
    newest: watch::Receiver<u64>,
}

impl Subscription {
    /// The next event, as soon as there is one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Numbered {
        loop {
            // Marked as seen before the ring is read: what is published in between wakes us again.
            self.newest.mark_unchanged();
            if let Some(event) = self.take() {
                return event;
            }
            self.newest.changed().await.expect("the sender lives in `self.events`");
        }
    }

    fn take(&mut self) -> Option<Numbered> {
        let ring = self.events.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest_id = ring.oldest_id();
        let missed = self.next_id < oldest_id || self.next_id > ring.next_id;
        let numbered = if missed {
            let event = TimedEvent { at_ms: now_ms(), event: Event::Reset };
            Numbered { id: oldest_id - 1, event }
        } else {
            let place = usize::try_from(self.next_id - oldest_id).ok()?;
            Numbered { id: self.next_id, event: ring.kept.get(place)?.clone() }
        };
        self.next_id = numbered.id + 1;
        Some(numbered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changed: u32) -> Event {
        Event::Catalog { changed }
    }

    async fn next(subscription: &mut Subscription) -> (u64, Event) {
        let Numbered { id, event } = subscription.next().await;
        (id, event.event)
    }

    async fn nothing_follows(subscription: &mut Subscription) -> bool {
        tokio::time::timeout(Duration::from_millis(20), subscription.next()).await.is_err()
    }

    #[tokio::test]
    async fn a_reader_hears_what_happens_after_it_came() {
        let events = Events::starting_at(7);
        events.publish(changed(1));
        let mut reader = events.subscribe(None);
        assert!(nothing_follows(&mut reader).await);
        events.publish(changed(2));
        assert_eq!(next(&mut reader).await, (8, changed(2)));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let events = Events::starting_at(1);
        let mut reader = events.subscribe(None);
        let waiting = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        events.publish(changed(1));
        assert_eq!(waiting.await.unwrap().id, 1);
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_misses_nothing_that_is_kept() {
        let events = Events::starting_at(1);
        for n in 1..=5 {
            events.publish(changed(n));
        }
        let mut reader = events.subscribe(Some(3));
        assert_eq!(next(&mut reader).await, (4, changed(4)));
        assert_eq!(next(&mut reader).await, (5, changed(5)));
        assert!(nothing_follows(&mut reader).await);
    }

    #[tokio::test]
    async fn an_id_that_is_too_old_gets_a_reset_and_then_everything_kept() {
        let events = Events::starting_at(1);
        let kept = u32::try_from(KEPT).unwrap();
        for n in 1..=kept + 2 {
            events.publish(changed(n));
        }
        let mut edge = events.subscribe(Some(2));
        assert_eq!(next(&mut edge).await, (3, changed(3)));
        let mut late = events.subscribe(Some(1));
        assert_eq!(next(&mut late).await, (2, Event::Reset));
        assert_eq!(next(&mut late).await, (3, changed(3)));
    }

    #[tokio::test]
    async fn an_id_of_another_life_gets_a_reset() {
        let events = Events::starting_at(1_000);
        events.publish(changed(1));
        for foreign in [0, 7, 998, 1_001, u64::MAX] {
            let mut reader = events.subscribe(Some(foreign));
            assert_eq!(reader.next().await.event.event, Event::Reset, "after {foreign}");
            assert_eq!(next(&mut reader).await, (1_000, changed(1)));
        }
    }

    #[tokio::test]
    async fn a_reader_that_falls_out_of_the_ring_is_told() {
        let events = Events::starting_at(1);
        let mut slow = events.subscribe(None);
        for n in 0..=u32::try_from(KEPT).unwrap() {
            events.publish(changed(n));
        }
        assert_eq!(slow.next().await.event.event, Event::Reset);
        assert_eq!(slow.next().await.id, 2);
    }
}
