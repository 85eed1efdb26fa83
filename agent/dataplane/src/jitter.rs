//! Puts off by chance what the timers of many tunnels would do at one moment.

use std::time::{Duration, Instant};

/// boringtun repeats an initiation after `REKEY_TIMEOUT`, to the moment.
const REPEAT: Duration = Duration::from_secs(5);
/// It asks for new keys after `REKEY_AFTER_TIME`.
const REKEY: Duration = Duration::from_mins(2);
/// Or that much earlier: its clock is as late as its last tick was.
const REKEY_EARLIEST: Duration = Duration::from_secs(119);
/// Over how long that is spread. A worker ticks four times a second, so that the 333 ms of the
/// `WireGuard` paper would spread nothing; and a keepalive, which is put off too, must come within
/// the 5 s that a peer grants it.
const SPREAD: Duration = Duration::from_secs(1);

/// When one peer's timers are to stand still.
#[derive(Debug)]
pub struct Jitter {
    random: fastrand::Rng,
    repeat: Option<Pause>,
    rekey: Option<Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    from: Instant,
    to: Instant,
}

impl Jitter {
    /// Nothing is put off so far. What comes follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), repeat: None, rekey: None }
    }

    /// An initiation was sent: its repetition is spread.
    pub fn initiated(&mut self, now: Instant) {
        let from = now + REPEAT;
        self.repeat = Some(Pause { from, to: from + self.chance() });
    }

    /// A handshake was completed: the next one is spread.
    pub fn completed(&mut self, now: Instant) {
        let to = now + REKEY + self.chance();
        (self.repeat, self.rekey) = (None, Some(Pause { from: now + REKEY_EARLIEST, to }));
    }

    /// Whether the timers stand still now.
    pub fn holds(&self, now: Instant) -> bool {
        let pauses = self.repeat.iter().chain(&self.rekey);
        pauses.into_iter().any(|pause| (pause.from..pause.to).contains(&now))
    }

    /// So much later, by chance, than another of the kind.
    pub fn chance(&mut self) -> Duration {
        SPREAD.mul_f64(self.random.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// When the timers of a thousand peers go on, in milliseconds after `from`; none does before.
    fn go_on(from: Duration, begin: fn(&mut Jitter, Instant)) -> Vec<u32> {
        let start = Instant::now();
        let going = |seed| {
            let mut jitter = Jitter::new(seed);
            begin(&mut jitter, start);
            let mut later = (0..2000).filter(|ms| !jitter.holds(start + from + *ms * MILLISECOND));
            later.next().unwrap()
        };
        (0..1000).map(going).collect()
    }

    fn is_spread(going: &[u32]) {
        assert!(going.iter().all(|ms| *ms <= 1000), "{:?}", going.iter().max());
        for quarter in 0..4 {
            let within = quarter * 250..(quarter + 1) * 250;
            let count = going.iter().filter(|ms| within.contains(*ms)).count();
            assert!((150..350).contains(&count), "{count} of 1000 within {within:?} ms");
        }
    }

    #[test]
    fn a_thousand_repetitions_are_spread_over_a_second() {
        is_spread(&go_on(REPEAT, Jitter::initiated));
    }

    #[test]
    fn a_thousand_new_handshakes_are_spread_over_a_second() {
        is_spread(&go_on(REKEY, Jitter::completed));
    }

    #[test]
    fn nothing_else_is_put_off() {
        let start = Instant::now();
        let mut jitter = Jitter::new(1);
        assert!(!jitter.holds(start));
        jitter.initiated(start);
        assert!(!jitter.holds(start + 4999 * MILLISECOND));
        assert!(!jitter.holds(start + REPEAT + SPREAD));
        jitter.completed(start + REPEAT);
        assert!(!jitter.holds(start + REPEAT + MILLISECOND), "it was answered");
        let early = start + REPEAT + REKEY_EARLIEST;
        assert!(jitter.holds(early) && jitter.holds(early + SPREAD));
        assert!(!jitter.holds(start + REPEAT + REKEY + SPREAD));
    }
}
