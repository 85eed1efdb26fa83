//! Noticing that a container has ended although something keeps its namespace alive, as a tunnel's
//! device that was made inside does.
//!
//! A namespace is somebody's for as long as its name leads there, or a process lives in it. One of
//! these is held on to for each: the name, which cannot go without a change of mounts, or a process,
//! whose end is told. When that goes another is looked for, for all that have none in one look.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use egress_core::api::NetnsRef;
use egress_linux::netns::{MountChanges, Netns, inhabitant, inhabitants, leads_to};
use egress_linux::process::PidFd;
use egress_linux::ready;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use crate::telemetry::chain;

/// The least time between two looks: they take milliseconds where there are many processes.
const GAP: Duration = Duration::from_millis(200);
/// Processes may leave a namespace without ending: everything is looked at again this often.
const ROUND: Duration = Duration::from_secs(30);

/// Knows which namespaces are somebody's. Clones share the work.
#[derive(Clone)]
pub struct Lookout(Arc<Shared>);

struct Shared {
    roots: Vec<PathBuf>,
    homes: Mutex<BTreeMap<u64, Home>>,
    doubts: Notify,
}

/// A namespace that somebody lives in.
struct Home {
    inode: u64,
    found_by: NetnsRef,
    sign: Sign,
}

/// Why a namespace is held to be somebody's.
enum Sign {
    /// Not known yet, or not any more.
    None,
    /// Its name leads there.
    Name,
    /// A process lives there; the task waits for its end.
    Process { _ended: AbortOnDropHandle<()> },
}

/// Which namespaces are looked at.
#[derive(Debug, Clone, Copy)]
enum Extent {
    Doubtful,
    DoubtfulAndNamed,
    All,
}

/// A namespace that is looked at.
struct Suspect {
    cookie: u64,
    inode: u64,
    found_by: NetnsRef,
}

/// What a look found.
enum Found {
    Name,
    Process(PidFd),
    Nobody,
    /// Somebody who was gone again, or the look failed.
    Unclear,
}

impl Lookout {
    /// A lookout for namespaces with names below these roots.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self(Arc::new(Shared { roots, homes: Mutex::default(), doubts: Notify::new() }))
    }

    /// Looks until the runtime ends, and tells the cookie of each that is nobody's any more, once.
    pub fn start(&self, tell: impl Fn(u64) + Send + 'static) -> io::Result<()> {
        let mounts = ready::register(MountChanges::open()?.into(), Interest::PRIORITY)?;
        let this = self.clone();
        tokio::spawn(async move { this.run(mounts, tell).await });
        Ok(())
    }

    /// Looks for this one too, which came by this reference.
    pub fn watch(&self, netns: &Netns, found_by: &NetnsRef) -> io::Result<()> {
        let found_by = found_by.clone();
        let home = Home { inode: netns.inode()?, found_by, sign: Sign::None };
        self.homes().insert(netns.cookie(), home);
        self.0.doubts.notify_one();
        Ok(())
    }

    /// Nobody asks for this one any more.
    pub fn forget(&self, cookie: u64) {
        self.homes().remove(&cookie);
    }

    async fn run(self, mounts: AsyncFd<OwnedFd>, tell: impl Fn(u64)) {
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let extent = self.cause(&mounts, &mut round).await;
            for cookie in self.look(extent).await {
                tell(cookie);
            }
            // What happens meanwhile is found by one look for all.
            sleep(GAP).await;
        }
    }

    async fn cause(&self, mounts: &AsyncFd<OwnedFd>, round: &mut Interval) -> Extent {
        tokio::select! {
            _ = round.tick() => Extent::All,
            Ok(mut ready) = mounts.ready(Interest::PRIORITY) => {
                ready.clear_ready();
                Extent::DoubtfulAndNamed
            }
            () = self.0.doubts.notified() => Extent::Doubtful,
        }
    }

    /// Those that are nobody's.
    async fn look(&self, extent: Extent) -> Vec<u64> {
        let suspects = self.suspects(extent);
        if suspects.is_empty() {
            return Vec::new();
        }
        let shared = Arc::clone(&self.0);
        let found = spawn_blocking(move || examine(suspects, &shared.roots)).await;
        let found = found.unwrap_or_default();
        found.into_iter().filter_map(|(cookie, found)| self.learn(cookie, found)).collect()
    }

    fn suspects(&self, extent: Extent) -> Vec<Suspect> {
        let homes = self.homes();
        let looked_at = homes.iter().filter(|(_, home)| match (extent, &home.sign) {
            (Extent::All, _) | (_, Sign::None) | (Extent::DoubtfulAndNamed, Sign::Name) => true,
            (Extent::Doubtful | Extent::DoubtfulAndNamed, Sign::Name | Sign::Process { .. }) => {
                false
            }
        });
        looked_at
            .map(|(cookie, home)| Suspect {
                cookie: *cookie,
                inode: home.inode,
                found_by: home.found_by.clone(),
            })
            .collect()
    }

    /// Remembers what was found; the cookie, if it was nobody.
    fn learn(&self, cookie: u64, found: Found) -> Option<u64> {
        let sign = match found {
            Found::Nobody => return self.homes().remove(&cookie).map(|_| cookie),
            Found::Name => Sign::Name,
            Found::Process(process) => self.follow(cookie, process),
            Found::Unclear => Sign::None,
        };
        if matches!(sign, Sign::None) {
            self.0.doubts.notify_one();
        }
        if let Some(home) = self.homes().get_mut(&cookie) {
            home.sign = sign;
        }
        None
    }

    fn follow(&self, cookie: u64, process: PidFd) -> Sign {
        match ready::register(process.into(), Interest::READABLE) {
            Ok(process) => {
                let this = self.clone();
                let ended = tokio::spawn(async move {
                    // An error is an end too: it is looked for again.
                    let _ = process.readable().await;
                    this.doubt(cookie);
                });
                Sign::Process { _ended: AbortOnDropHandle::new(ended) }
            }
            Err(error) => {
                error!(error = %chain(&error), "a container's process cannot be waited for");
                Sign::None
            }
        }
    }

    fn doubt(&self, cookie: u64) {
        if let Some(home) = self.homes().get_mut(&cookie) {
            home.sign = Sign::None;
        }
        self.0.doubts.notify_one();
    }

    fn homes(&self) -> MutexGuard<'_, BTreeMap<u64, Home>> {
        self.0.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at names and named processes first, and for all the others at every process there is.
fn examine(suspects: Vec<Suspect>, roots: &[PathBuf]) -> Vec<(u64, Found)> {
    let mut all = Vec::with_capacity(suspects.len());
    let mut others = Vec::new();
    for suspect in suspects {
        match by_reference(&suspect, roots) {
            Some(found) => all.push((suspect.cookie, found)),
            None => others.push(suspect),
        }
    }
    // A process that started while another ended may have been passed over: twice is sure.
    for last in [false, true] {
        if others.is_empty() {
            break;
        }
        let inodes: BTreeSet<u64> = others.iter().map(|suspect| suspect.inode).collect();
        let Ok(living) = inhabitants(&inodes) else {
            all.extend(others.iter().map(|suspect| (suspect.cookie, Found::Unclear)));
            break;
        };
        others.retain(|suspect| match living.get(&suspect.inode) {
            None if last => {
                all.push((suspect.cookie, Found::Nobody));
                false
            }
            None => true,
            Some(pids) => {
                let process = pids.iter().find_map(|pid| inhabitant(*pid, suspect.inode));
                all.push((suspect.cookie, process.map_or(Found::Unclear, Found::Process)));
                false
            }
        });
    }
    all
}

fn by_reference(suspect: &Suspect, roots: &[PathBuf]) -> Option<Found> {
    match &suspect.found_by {
        NetnsRef::Path(path) => leads_to(path, roots, suspect.inode).then_some(Found::Name),
        NetnsRef::Pid(pid) => {
            let pid = u32::try_from(*pid).ok()?;
            inhabitant(pid, suspect.inode).map(Found::Process)
        }
    }
}
