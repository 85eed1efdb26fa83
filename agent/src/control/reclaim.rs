//! Memory that callers have used, given back to the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

/// Less than this is not worth the milliseconds that giving it back takes.
const WORTHWHILE: usize = 8 << 20;
/// What is freed soon after goes along.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts what was freed, and has the allocator give it back a second after it has become much.
/// Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Reclaimer(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    freed: AtomicUsize,
    waiting: AtomicBool,
}

impl Reclaimer {
    /// Counts these bytes, which were or are about to be freed.
    pub(super) fn freed(&self, bytes: usize) {
        let Self(count) = self;
        let freed = count.freed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if freed < WORTHWHILE || count.waiting.swap(true, Ordering::Relaxed) {
            return;
        }
        // Outside a runtime the process ends.
        let Ok(runtime) = Handle::try_current() else { return };
        let count = Arc::clone(count);
        runtime.spawn(async move {
            sleep(PAUSE).await;
            count.freed.store(0, Ordering::Relaxed);
            count.waiting.store(false, Ordering::Relaxed);
            drop(tokio::task::spawn_blocking(egress_linux::memory::give_back));
        });
    }
}
