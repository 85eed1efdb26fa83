//! Numbers of users, each with one tunnel at a time.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A range of users. Clones are the same one.
#[derive(Clone)]
pub struct Users {
    first: u32,
    count: u32,
    state: Arc<Mutex<State>>,
}

struct State {
    taken: BTreeSet<u32>,
    /// Where the next one is looked for: one that was just given back, maybe by an agent that died,
    /// may have a process for a moment longer.
    next: u32,
}

/// A user that nobody else gets until this is dropped.
pub struct User {
    offset: u32,
    users: Users,
}

impl Users {
    /// `count` of them, at least one.
    pub fn new(first: u32, count: u32) -> Self {
        let random = RandomState::new().hash_one(first);
        let next = u32::try_from(random % u64::from(count.max(1))).unwrap_or(0);
        let state = Arc::new(Mutex::new(State { taken: BTreeSet::new(), next }));
        Self { first, count, state }
    }

    /// One that is free, if there is one.
    pub fn take(&self) -> Option<User> {
        let mut state = self.state();
        let offset = (state.next..self.count)
            .chain(0..state.next)
            .find(|offset| !state.taken.contains(offset))?;
        state.taken.insert(offset);
        state.next = (offset + 1) % self.count;
        Some(User { offset, users: self.clone() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    /// Its number, and its group's.
    pub fn uid(&self) -> u32 {
        self.users.first + self.offset
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.users.state().taken.remove(&self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tunnels_have_one_user_and_none_is_reused_at_once() {
        let users = Users::new(1000, 3);
        let first = users.take().unwrap();
        let freed = first.uid();
        drop(first);
        let taken: Vec<User> = std::iter::from_fn(|| users.take()).collect();
        let mut uids: Vec<u32> = taken.iter().map(User::uid).collect();
        assert_ne!(uids[0], freed);
        uids.sort_unstable();
        assert_eq!(uids, [1000, 1001, 1002]);
        drop(taken);
        assert!(users.take().is_some());
    }
}
