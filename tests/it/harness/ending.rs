//! Whether namespaces have really ended, with nothing that keeps them alive.

use std::collections::BTreeSet;
use std::time::Duration;

use egress_linux::death::Watch;
use egress_linux::netns::Netns;

use super::container::Container;
use super::namespace::NETNS_DIR;
use super::wait;

/// Hears of the ends of some containers' namespaces, and keeps none of them alive.
pub struct Ending {
    watch: Watch,
    cookies: BTreeSet<u64>,
}

impl Ending {
    /// Of the namespaces of these. Call it in the lab's namespace.
    pub fn of<'a>(containers: impl IntoIterator<Item = &'a Container>) -> Self {
        let watch = Watch::open().expect("watch namespaces");
        let cookies = containers.into_iter().map(|container| {
            let path = container.namespace().path();
            let netns = Netns::open_path(&path, &[NETNS_DIR.into()]).expect("open a namespace");
            watch.watch(&netns).expect("watch a namespace");
            netns.cookie()
        });
        let cookies = cookies.collect();
        Self { watch, cookies }
    }

    /// Waits until every one of them has ended.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Duration {
        wait::until("the namespaces have ended", limit, || {
            for cookie in self.watch.read().expect("hear of ends") {
                self.cookies.remove(&cookie);
            }
            self.cookies.is_empty()
        })
    }
}
