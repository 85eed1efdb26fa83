//! Many attaches at once, and their ends.

use std::time::{Duration, Instant};

use egress_core::api::SessionView;

use crate::harness::container::Container;
use crate::harness::crowd::each;
use crate::harness::world::{World, request};

/// Longer than a thousand attaches take.
const DEADLINE_MS: u64 = 240_000;

/// What came of it.
pub struct Attached {
    /// In no order.
    pub sessions: Vec<SessionView>,
    took: Duration,
}

/// Attaches all of them, as soon as the daemon can.
pub fn attach(world: &World<'_>, containers: &[Container]) -> Attached {
    let start = Instant::now();
    let sessions = each(containers, |container| {
        let mut asked = request(container.namespace().name(), container.by_path(), 0);
        asked.deadline_ms = DEADLINE_MS;
        world.agent.attach(&asked).unwrap_or_else(|problem| panic!("attach: {problem:?}"))
    });
    Attached { sessions, took: start.elapsed() }
}

/// Detaches all of them.
pub fn detach(world: &World<'_>, sessions: &[SessionView]) {
    each(sessions, |session| drop(world.agent.detach(&session.session_id, true)));
    assert_eq!(world.agent.live_connections(), 0);
}

impl Attached {
    /// Shows how long it took.
    pub fn report(&self) {
        let mut totals: Vec<_> =
            self.sessions.iter().map(|s| s.timings_ms.unwrap_or_default().total).collect();
        totals.sort_by(f64::total_cmp);
        let at = |percent: usize| totals[(totals.len() * percent / 100).min(totals.len() - 1)];
        println!(
            "{} attached at once in {:.2?}; one took p50 {:.0} ms, p99 {:.0} ms",
            totals.len(),
            self.took,
            at(50),
            at(99)
        );
    }
}
