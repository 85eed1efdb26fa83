//! The connections that a listener takes at one time, and how many of them one caller may have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::{Budget, SharedBudget};
use super::caller::{Caller, Identity};
use super::roles::Role;

/// Connections that only admins get when the others are taken, so that `egressctl` is always heard.
const FOR_ADMINS: usize = 64;
/// How many of those one process may have, or one caller elsewhere.
const FOR_ADMINS_EACH: usize = 8;
/// Refused connections that wait until they have read why, of one caller.
const REFUSED_EACH: usize = 16;
/// Bytes that a connection's buffers and tasks may have taken: for the reckoning of freed memory.
const CONNECTION_BYTES: usize = 32 << 10;

/// A listener's places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    books: Arc<Mutex<Books>>,
    shared: Arc<SharedBudget>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Books {
    open: usize,
    callers: HashMap<Key, Entry>,
}

/// Somebody, whichever of their connections it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    User(u32),
    Certificate(String),
}

#[derive(Debug)]
struct Entry {
    budget: Arc<Budget>,
    open: usize,
    refused: usize,
    /// Open connections by process.
    processes: HashMap<Option<i32>, usize>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// What its caller has of everything else.
    pub budget: Arc<Budget>,
    places: Places,
    key: Key,
    pid: Option<i32>,
}

/// Why a connection has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// As many are open as the listener takes.
    Listener(usize),
    /// Its caller has as many as it may.
    Caller(usize),
}

/// The place of a connection that is refused, until it has read why.
#[derive(Debug)]
pub(super) struct Refused {
    places: Places,
    key: Key,
}

impl Places {
    /// `limit` places, and some for admins beside them.
    pub(super) fn new(limit: usize, shared: Arc<SharedBudget>) -> Self {
        Self { books: Arc::default(), shared, limit }
    }

    /// A place for a connection of this caller.
    pub(super) fn take(&self, caller: &Caller) -> Result<Place, Full> {
        let (key, pid) = (Key::of(&caller.identity), caller.identity.pid());
        let admin = caller.standing.roles.contains(&Role::Admin);
        let most = most(caller, self.limit);
        let mut books = self.books();
        let open = books.open;
        let entry = books.entry(&key, || Budget::new(&self.shared, admin));
        let of_process = entry.processes.entry(pid).or_default();
        let reserved = admin && *of_process < FOR_ADMINS_EACH && open < self.limit + FOR_ADMINS;
        let full = match (entry.open < most, open < self.limit) {
            (true, true) => None,
            _ if reserved => None,
            (false, _) => Some(Full::Caller(most)),
            (true, false) => Some(Full::Listener(self.limit)),
        };
        if let Some(full) = full {
            books.forget_idle(&key);
            return Err(full);
        }
        *of_process += 1;
        entry.open += 1;
        let budget = Arc::clone(&entry.budget);
        books.open += 1;
        Ok(Place { budget, places: self.clone(), key, pid })
    }

    /// Time for a refused connection to read why; `None` when its caller has enough of those.
    pub(super) fn refuse(&self, caller: &Caller) -> Option<Refused> {
        let key = Key::of(&caller.identity);
        let admin = caller.standing.roles.contains(&Role::Admin);
        let mut books = self.books();
        let entry = books.entry(&key, || Budget::new(&self.shared, admin));
        if entry.refused == REFUSED_EACH {
            return None;
        }
        entry.refused += 1;
        Some(Refused { places: self.clone(), key })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many connections a caller may have: launchers attach many containers at once, the others
/// ask now and then.
fn most(caller: &Caller, limit: usize) -> usize {
    let of_role = |role: &Role| match role {
        Role::Launcher | Role::Admin => limit / 2,
        Role::Ops | Role::Plugin => limit / 8,
    };
    let stranger = limit / 64;
    caller.standing.roles.iter().map(of_role).max().unwrap_or(stranger)
}

impl Books {
    fn entry(&mut self, key: &Key, budget: impl FnOnce() -> Arc<Budget>) -> &mut Entry {
        self.callers.entry(key.clone()).or_insert_with(|| Entry {
            budget: budget(),
            open: 0,
            refused: 0,
            processes: HashMap::new(),
        })
    }

    /// Forgets a process without connections, and a caller without any.
    fn forget_idle(&mut self, key: &Key) {
        let Some(entry) = self.callers.get_mut(key) else { return };
        entry.processes.retain(|_, open| *open > 0);
        if entry.open == 0 && entry.refused == 0 {
            self.callers.remove(key);
        }
    }
}

impl Key {
    fn of(identity: &Identity) -> Self {
        match identity {
            Identity::Process { uid, .. } => Self::User(*uid),
            Identity::Certificate { fingerprint, .. } => Self::Certificate(fingerprint.clone()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.shared.reclaimer().freed(CONNECTION_BYTES);
        let mut books = self.places.books();
        books.open -= 1;
        if let Some(entry) = books.callers.get_mut(&self.key) {
            entry.open -= 1;
            if let Some(of_process) = entry.processes.get_mut(&self.pid) {
                *of_process -= 1;
            }
        }
        books.forget_idle(&self.key);
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        let mut books = self.places.books();
        if let Some(entry) = books.callers.get_mut(&self.key) {
            entry.refused -= 1;
        }
        books.forget_idle(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::control::roles::Standing;

    const LIMIT: usize = 128;

    fn places() -> Places {
        Places::new(LIMIT, SharedBudget::new())
    }

    fn caller(uid: u32, pid: i32, roles: &[Role]) -> Caller {
        let roles: BTreeSet<_> = roles.iter().copied().collect();
        Caller {
            identity: Identity::Process { pid, uid },
            standing: Standing { roles, ..Standing::default() },
        }
    }

    /// All that this caller gets, and why it gets no more.
    fn take_all(places: &Places, caller: &Caller) -> (Vec<Place>, Full) {
        let mut taken = Vec::new();
        loop {
            match places.take(caller) {
                Ok(place) => taken.push(place),
                Err(full) => return (taken, full),
            }
        }
    }

    #[test]
    fn each_role_has_its_share_and_no_caller_has_all() {
        for (roles, share) in [
            (&[Role::Launcher][..], 64),
            (&[Role::Ops], 16),
            (&[Role::Plugin], 16),
            (&[Role::Plugin, Role::Launcher], 64),
            (&[], 2),
        ] {
            let (taken, full) = take_all(&places(), &caller(1, 1, roles));
            assert_eq!((taken.len(), full), (share, Full::Caller(share)), "{roles:?}");
        }
    }

    #[test]
    fn an_admins_other_processes_get_in_when_one_has_all_of_its_share() {
        let places = places();
        let (greedy, full) = take_all(&places, &caller(0, 1, &[Role::Admin]));
        assert_eq!((greedy.len(), full), (LIMIT / 2, Full::Caller(LIMIT / 2)));
        for pid in 2..6 {
            let (taken, _) = take_all(&places, &caller(0, pid, &[Role::Admin]));
            assert_eq!(taken.len(), FOR_ADMINS_EACH);
        }
    }

    #[test]
    fn admins_get_in_when_others_have_taken_every_place() {
        let places = places();
        let launchers: Vec<_> =
            (1..3).map(|uid| take_all(&places, &caller(uid, 1, &[Role::Launcher])).0).collect();
        let full = places.take(&caller(3, 1, &[Role::Launcher])).unwrap_err();
        assert_eq!(full, Full::Listener(LIMIT));
        let admin = places.take(&caller(0, 2, &[Role::Admin])).unwrap();
        drop((launchers, admin));
        assert!(places.books().callers.is_empty());
        assert_eq!(places.books().open, 0);
    }

    #[test]
    fn connections_of_one_caller_have_one_budget() {
        let places = places();
        let [first, second] = [1, 2].map(|pid| places.take(&caller(7, pid, &[Role::Ops])).unwrap());
        assert!(Arc::ptr_eq(&first.budget, &second.budget));
        let other = places.take(&caller(8, 1, &[Role::Ops])).unwrap();
        assert!(!Arc::ptr_eq(&first.budget, &other.budget));
    }

    #[test]
    fn only_so_many_refused_connections_are_waited_for() {
        let places = places();
        let greedy = caller(1, 1, &[Role::Ops]);
        let waiting: Vec<_> = (0..REFUSED_EACH).map(|_| places.refuse(&greedy).unwrap()).collect();
        assert!(places.refuse(&greedy).is_none());
        assert!(places.refuse(&caller(2, 1, &[Role::Ops])).is_some());
        drop(waiting);
        assert!(places.books().callers.is_empty());
    }
}
