//! What control has not heard yet: bounded, the newest of each kind.

use std::collections::{BTreeMap, HashMap};

use crate::protocol::{Event, TunnelId};
use crate::roster::TUNNELS_MAX;

/// One of each kind for every tunnel, so that a handshake, which is told once, is not lost while
/// control does not listen.
const MOST: usize = 4 * TUNNELS_MAX;

/// Events in the order of their last happening. Of one kind about one peer only the newest is
/// kept; at the limit the oldest [`Event::Silent`] goes, else the oldest of all.
#[derive(Debug, Default)]
pub struct News {
    events: BTreeMap<u64, Event>,
    newest: HashMap<About, u64>,
    next: u64,
}

type About = (Kind, TunnelId, Option<u16>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Handshake,
    Silent,
    Moved,
    DeviceGone,
}

impl News {
    /// Adds one.
    pub fn push(&mut self, event: Event) {
        if let Some(former) = self.newest.insert(about(event), self.next) {
            self.events.remove(&former);
        } else if self.events.len() == MOST {
            let silent = |(_, event): &(&u64, &Event)| matches!(event, Event::Silent { .. });
            let oldest = self.events.iter().find(silent).or_else(|| self.events.iter().next());
            let oldest = oldest.map(|(number, _)| *number);
            self.forget(oldest);
        }
        self.events.insert(self.next, event);
        self.next += 1;
    }

    /// The one to tell next.
    pub fn next(&self) -> Option<Event> {
        self.events.first_key_value().map(|(_, event)| *event)
    }

    /// It was told.
    pub fn told(&mut self) {
        self.forget(self.events.keys().next().copied());
    }

    fn forget(&mut self, number: Option<u64>) {
        if let Some(event) = number.and_then(|number| self.events.remove(&number)) {
            self.newest.remove(&about(event));
        }
    }
}

fn about(event: Event) -> About {
    match event {
        Event::Handshake { tunnel, peer } => (Kind::Handshake, tunnel, Some(peer)),
        Event::Silent { tunnel, peer, .. } => (Kind::Silent, tunnel, Some(peer)),
        Event::Moved { tunnel, peer, .. } => (Kind::Moved, tunnel, Some(peer)),
        Event::DeviceGone { tunnel } => (Kind::DeviceGone, tunnel, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(tunnel: TunnelId, for_ms: u64) -> Event {
        Event::Silent { tunnel, peer: 0, for_ms, quiet_ms: 0 }
    }

    fn all(mut news: News) -> Vec<Event> {
        std::iter::from_fn(|| {
            let event = news.next();
            news.told();
            event
        })
        .collect()
    }

    #[test]
    fn only_the_newest_of_a_kind_is_told() {
        let mut news = News::default();
        let handshake = Event::Handshake { tunnel: 1, peer: 0 };
        for event in [silent(1, 5_000), silent(2, 5_000), handshake, silent(1, 10_000)] {
            news.push(event);
        }
        assert_eq!(all(news), [silent(2, 5_000), handshake, silent(1, 10_000)]);
    }

    #[test]
    fn at_the_limit_the_oldest_silence_is_dropped_and_a_dead_device_is_not() {
        let mut news = News::default();
        let gone = Event::DeviceGone { tunnel: 0 };
        news.push(gone);
        for tunnel in 1..=MOST as u64 {
            news.push(silent(tunnel, 5_000));
        }
        let told = all(news);
        assert_eq!(told.len(), MOST);
        assert_eq!(told[..2], [gone, silent(2, 5_000)]);
    }
}
