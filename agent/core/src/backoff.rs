//! How long to wait before the next try.

use std::time::Duration;

/// Doubling waits with jitter: the n-th is between half and all of `first * 2^n`, never over
/// `most`. Many sessions of one dead gateway so do not come back in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
    random: u64,
}

impl Backoff {
    /// A backoff whose jitter follows from `seed`.
    pub fn new(first: Duration, most: Duration, seed: u64) -> Self {
        // Zero is xorshift's fixed point.
        Self { first, most, tries: 0, random: seed | 1 }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX));
        self.tries = self.tries.saturating_add(1);
        let whole = doubled.min(self.most);
        let half = whole / 2;
        let half_us = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(self.random() % half_us.saturating_add(1))
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Marsaglia's xorshift64; for jitter, not for secrets.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_is_between_half_and_all_of_its_step(seed: u64, tries in 1..40_usize) {
            let (first, most) = (Duration::from_millis(500), Duration::from_secs(30));
            let mut backoff = Backoff::new(first, most, seed);
            for n in 0..tries {
                let whole = (first * 2_u32.saturating_pow(u32::try_from(n).unwrap().min(20))).min(most);
                let wait = backoff.next_wait();
                prop_assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            }
        }
    }

    #[test]
    fn two_sessions_do_not_wait_alike() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1), seed);
            (0..4).map(|_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_ne!(waits(2), waits(4));
    }
}
