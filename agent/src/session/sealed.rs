//! Containers that former sessions left sealed, so that somebody can take the seal off later.
//!
//! A file for each in the run directory has them outlive the agent. A container is forgotten when its
//! name does not lead to it any more.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use egress_core::api::{NetnsRef, SessionView};
use egress_core::id::SessionId;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::seal::Turn;
use super::shell::Shell;
use super::{container, notes};
use crate::store::{NetnsIdentity, SessionRow};
use crate::telemetry::chain;

/// Between two looks at which containers have ended.
const ROUND: Duration = Duration::from_secs(30);

/// A container and the last session that it had.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Former {
    /// The session, as its end was told.
    pub view: SessionView,
    /// The container's namespace.
    pub netns: NetnsIdentity,
    /// Where the namespace was found.
    pub found_by: NetnsRef,
}

/// A container that a session has left.
#[derive(Debug, Clone)]
pub struct Left {
    /// Which one.
    pub former: Former,
    /// Whether the seal stands, as far as is known.
    pub sealed: bool,
    /// Changes of the container's ruleset.
    pub turn: Turn,
}

/// Knows the containers of former sessions.
pub struct SealedContainers {
    dir: PathBuf,
    left: Mutex<BTreeMap<u64, Left>>,
}

/// Forgets containers that are not found any more, until `stop`.
pub async fn forget_ended(shell: Arc<Shell>, stop: CancellationToken) -> io::Result<()> {
    while stop.run_until_cancelled(sleep(ROUND)).await.is_some() {
        shell.sealed.forget_ended(&shell.sessions.netns_roots).await;
    }
    Ok(())
}

impl Former {
    /// The container of a session that has ended and is shown so.
    pub fn of(row: &SessionRow, view: SessionView) -> Self {
        Self { view, netns: row.netns.clone(), found_by: row.found_by.clone() }
    }
}

impl SealedContainers {
    /// Keeps files in this directory.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, left: Mutex::default() }
    }

    /// Reads what a former life of the agent knew, in this boot of the machine.
    pub async fn restore(&self, boot_id: &str) {
        let dir = self.dir.clone();
        let read = spawn_blocking(move || notes::read_all::<Former>(&dir)).await;
        for former in read.unwrap_or_default() {
            let cookie = former.netns.cookie;
            if former.netns.boot_id == boot_id {
                let left = Left { former, sealed: true, turn: Turn::default() };
                self.left().insert(cookie, left);
            } else {
                self.forget(cookie).await;
            }
        }
    }

    /// Whose turn it is to change the ruleset of the container with this cookie: what a former
    /// session still does there is done before.
    pub fn turn(&self, cookie: u64) -> Turn {
        self.left().get(&cookie).map(|left| left.turn.clone()).unwrap_or_default()
    }

    /// Notes how a session left its container.
    pub async fn add(&self, left: Left) {
        let former = left.former.clone();
        let (cookie, sealed) = (former.netns.cookie, left.sealed);
        self.left().insert(cookie, left);
        if !sealed {
            return self.drop_file(cookie).await;
        }
        let dir = self.dir.clone();
        let kept = spawn_blocking(move || notes::write(&dir, &cookie.to_string(), &former)).await;
        if let Ok(Err(error)) = kept {
            warn!(error = %chain(&error), "a sealed container is kept in memory only");
        }
    }

    /// What sessions of this id have left, the newest container last.
    pub fn of(&self, id: &SessionId) -> Vec<Left> {
        let left = self.left();
        left.values().filter(|left| left.former.view.session_id == *id).cloned().collect()
    }

    /// Forgets the container with this cookie, which has ended.
    pub async fn forget(&self, cookie: u64) {
        if self.left().remove(&cookie).is_none_or(|left| left.sealed) {
            self.drop_file(cookie).await;
        }
    }

    async fn forget_ended(&self, roots: &[PathBuf]) {
        let all: Vec<_> = self.left().values().map(|left| left.former.clone()).collect();
        for Former { netns, found_by, .. } in all {
            let found = container::find(None, &found_by, roots, netns.cookie).await;
            // Another session may have found it by another name meanwhile.
            if found.is_none() && self.is_found_by(netns.cookie, &found_by) {
                self.forget(netns.cookie).await;
            }
        }
    }

    fn is_found_by(&self, cookie: u64, name: &NetnsRef) -> bool {
        self.left().get(&cookie).is_some_and(|left| left.former.found_by == *name)
    }

    async fn drop_file(&self, cookie: u64) {
        let path = self.dir.join(cookie.to_string());
        // One that is not there is what is wanted.
        let _ = spawn_blocking(move || fs::remove_file(path)).await;
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<u64, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn former(id: &str, boot_id: &str, cookie: u64) -> Former {
        let view = serde_json::json!({
            "session_id": id, "state": "closed", "subject": {}, "profile": "sealed",
            "addresses": [], "dns": [], "environment": {}, "created_at": 0,
        });
        Former {
            view: serde_json::from_value(view).unwrap(),
            netns: NetnsIdentity { boot_id: boot_id.to_owned(), cookie },
            found_by: NetnsRef::Path("/run/netns/gone".into()),
        }
    }

    fn left(former: Former, sealed: bool) -> Left {
        Left { former, sealed, turn: Turn::default() }
    }

    fn cookies(sealed: &SealedContainers, id: &str) -> Vec<u64> {
        let all = sealed.of(&id.parse().unwrap());
        all.iter().map(|left| left.former.netns.cookie).collect()
    }

    #[tokio::test]
    async fn what_is_sealed_is_known_to_the_next_life_in_the_same_boot() {
        let dir = tempfile::tempdir().unwrap();
        let life = || SealedContainers::new(dir.path().join("sealed"));
        let first = life();
        first.add(left(former("a", "now", 1), true)).await;
        first.add(left(former("a", "now", 2), true)).await;
        first.add(left(former("a", "now", 2), false)).await;
        first.add(left(former("a", "before", 3), true)).await;
        assert_eq!(cookies(&first, "a"), [1, 2, 3]);
        let second = life();
        second.restore("now").await;
        assert_eq!(cookies(&second, "a"), [1]);
        let third = life();
        third.restore("before").await;
        assert!(cookies(&third, "a").is_empty(), "a file of another boot is still there");
    }

    #[tokio::test]
    async fn a_container_that_is_not_found_any_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = SealedContainers::new(dir.path().join("sealed"));
        sealed.add(left(former("a", "now", 1), true)).await;
        sealed.forget_ended(&["/run/netns".into()]).await;
        assert!(cookies(&sealed, "a").is_empty());
        let next_life = SealedContainers::new(dir.path().join("sealed"));
        next_life.restore("now").await;
        assert!(cookies(&next_life, "a").is_empty(), "its file is still there");
    }
}
