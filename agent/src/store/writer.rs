//! The one thread that owns the database.
//!
//! Work on sessions and leases that waits together shares one transaction, so that a hundred
//! attaches at once cost a few commits. Those commits are not forced to disk one by one: they
//! survive the agent's death, and a power loss ends the containers too. Work on the catalog has a
//! transaction of its own that is on disk before its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::catalog::Shelf;
use super::in_use::{Change, InUseSnapshot};
use super::lease;

/// Most work that shares a transaction: bounds how long the first of it waits for the last.
const SHARE_MAX: usize = 256;
/// How long to wait before freeing cooled slots is tried again after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How often an idle writer looks around.
const IDLE: Duration = Duration::from_hours(1);

/// Something for the writer to do.
pub(super) enum Job {
    /// Shares a transaction with what waits beside it.
    Shared(Shared),
    /// Has the database to itself.
    Alone(Box<dyn FnOnce(&mut Desk) + Send>),
    /// The last one: answered when the file is closed.
    Close(oneshot::Sender<()>),
}

/// Does its part of a shared transaction, and gives what to do once that is committed. Dropping
/// the answer tells the caller that the store is unavailable.
pub(super) type Shared = Box<dyn FnOnce(&Connection, &mut Vec<Change>) -> Answer + Send>;
pub(super) type Answer = Box<dyn FnOnce()>;

/// What the writer works with.
pub(super) struct Desk {
    pub(super) db: Connection,
    pub(super) shelf: Shelf,
    pub(super) in_use: watch::Sender<Arc<InUseSnapshot>>,
    /// When cooling slots are free again, by lease.
    cooling: BTreeMap<i64, Instant>,
}

impl Desk {
    pub(super) fn new(
        db: Connection,
        shelf: Shelf,
        in_use: watch::Sender<Arc<InUseSnapshot>>,
    ) -> Self {
        Self { db, shelf, in_use, cooling: BTreeMap::new() }
    }

    /// Makes what was committed visible.
    pub(super) fn publish(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        for change in &changes {
            match change {
                Change::Held(..) => {}
                Change::Cooling { lease, until } => drop(self.cooling.insert(*lease, *until)),
                Change::Freed { lease } => drop(self.cooling.remove(lease)),
            }
        }
        self.in_use.send_modify(|in_use| {
            let in_use = Arc::make_mut(in_use);
            for change in changes {
                in_use.apply(change);
            }
        });
    }

    fn share(&mut self, batch: Vec<Shared>) {
        match self.in_one_transaction(batch) {
            Ok((changes, answers)) => {
                self.publish(changes);
                for answer in answers {
                    answer();
                }
            }
            Err(error) => tracing::error!(%error, "the store could not write"),
        }
    }

    fn in_one_transaction(
        &mut self,
        batch: Vec<Shared>,
    ) -> rusqlite::Result<(Vec<Change>, Vec<Answer>)> {
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        let transaction = self.db.transaction()?;
        let (mut changes, mut answers) = (Vec::new(), Vec::with_capacity(batch.len()));
        for work in batch {
            answers.push(work(&transaction, &mut changes));
            if transaction.is_autocommit() {
                // A full disk makes SQLite roll back by itself; the commit below then fails.
                break;
            }
        }
        transaction.commit()?;
        Ok((changes, answers))
    }

    fn free_cooled(&mut self, now: Instant) {
        let due: Vec<i64> =
            self.cooling.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        if due.is_empty() {
            return;
        }
        match lease::free(&self.db, &due) {
            Ok(()) => self.publish(due.into_iter().map(|lease| Change::Freed { lease }).collect()),
            Err(error) => {
                tracing::error!(%error, "slots that have cooled could not be freed");
                self.cooling.extend(due.into_iter().map(|lease| (lease, now + RETRY)));
            }
        }
    }

    fn idle_for(&self, now: Instant) -> Duration {
        let next = self.cooling.values().min();
        next.map_or(IDLE, |until| until.saturating_duration_since(now))
    }
}

/// Works until it is told to close or nobody can ask any more.
pub(super) fn run(mut desk: Desk, mut queue: Queue) {
    loop {
        match queue.next(desk.idle_for(Instant::now())) {
            Next::Shared(batch) => desk.share(batch),
            Next::Alone(work) => work(&mut desk),
            Next::Nothing => {}
            Next::Close(done) => {
                drop(desk);
                // Nobody may wait for it any more.
                let _ = done.send(());
                return;
            }
            Next::Abandoned => return,
        }
        desk.free_cooled(Instant::now());
    }
}

enum Next {
    Shared(Vec<Shared>),
    Alone(Box<dyn FnOnce(&mut Desk) + Send>),
    Nothing,
    Close(oneshot::Sender<()>),
    Abandoned,
}

/// The jobs that wait, in the order in which they came.
pub(super) struct Queue {
    jobs: Receiver<Job>,
    /// The job that ended the last batch.
    next: Option<Job>,
}

impl Queue {
    pub(super) fn new(jobs: Receiver<Job>) -> Self {
        Self { jobs, next: None }
    }

    fn next(&mut self, patience: Duration) -> Next {
        let job = match self.next.take() {
            Some(job) => Ok(job),
            None => self.jobs.recv_timeout(patience),
        };
        match job {
            Ok(Job::Shared(work)) => Next::Shared(self.with_those_behind(work)),
            Ok(Job::Alone(work)) => Next::Alone(work),
            Ok(Job::Close(done)) => Next::Close(done),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Abandoned,
        }
    }

    fn with_those_behind(&mut self, first: Shared) -> Vec<Shared> {
        let mut batch = vec![first];
        while batch.len() < SHARE_MAX {
            match self.jobs.try_recv() {
                Ok(Job::Shared(work)) => batch.push(work),
                Ok(other) => {
                    self.next = Some(other);
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        batch
    }
}
