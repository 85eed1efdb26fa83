//! Waiting for something to become true, with an end.

use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` finds something; fails the test after `limit`.
#[track_caller]
pub fn some<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        sleep(PAUSE);
    }
}

/// Waits until `holds`; fails the test after `limit`. Says how long it took.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    some(what, limit, || holds().then_some(()));
    start.elapsed()
}
