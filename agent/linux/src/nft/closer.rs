//! Dropping things a moment later, where nobody waits for it.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::fd::AsFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The most that wait to be dropped. One more is dropped by who brings it.
const WAITING_MAX: usize = 1_024;
/// The most threads. There are more than two only while drops take long.
const THREADS_MAX: usize = 64;
/// How long a thread without work stays.
const LINGER: Duration = Duration::from_secs(1);

/// Drops what it is given, this much later. Something whose drop takes long holds up nothing else.
pub(super) struct Closer<T: 'static> {
    delay: Duration,
    queue: Mutex<Queue<T>>,
    arrived: Condvar,
}

struct Queue<T> {
    /// The oldest first, each with the time when it is to be dropped.
    waiting: VecDeque<(Instant, T)>,
    threads: usize,
    /// Threads that are not dropping something.
    idle: usize,
}

type Held<T> = MutexGuard<'static, Queue<T>>;

impl<T: Send> Closer<T> {
    pub(super) const fn new(delay: Duration) -> Closer<T> {
        let queue = Queue { waiting: VecDeque::new(), threads: 0, idle: 0 };
        Closer { delay, queue: Mutex::new(queue), arrived: Condvar::new() }
    }

    /// Drops it later, or at once where too many wait or there is no thread to be had.
    pub(super) fn close(&'static self, thing: T) {
        let mut queue = self.queue();
        if queue.waiting.len() >= WAITING_MAX || !self.attended(&mut queue) {
            drop(queue);
            return drop(thing);
        }
        queue.waiting.push_back((Instant::now() + self.delay, thing));
        self.arrived.notify_one();
    }

    /// Starts a thread where none is idle. False where there is none at all.
    fn attended(&'static self, queue: &mut Queue<T>) -> bool {
        if queue.idle == 0 && queue.threads < THREADS_MAX {
            let thread = thread::Builder::new().name("nft-close".to_owned());
            if thread.spawn(|| self.attend()).is_ok() {
                queue.threads += 1;
                queue.idle += 1;
            }
        }
        queue.threads > 0
    }

    fn attend(&'static self) {
        // Who stays in the namespace of the thread that it was started by keeps that alive.
        let linger = if go_home().is_ok() { LINGER } else { Duration::ZERO };
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            let wait = queue.waiting.front().map(|(due, _)| due.saturating_duration_since(now));
            if wait.is_some_and(|wait| wait.is_zero()) {
                queue = self.drop_first(queue);
                continue;
            }
            let waited = self.arrived.wait_timeout(queue, wait.unwrap_or(linger));
            let (woken, result) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if result.timed_out() && queue.waiting.is_empty() {
                break;
            }
        }
        queue.threads -= 1;
        queue.idle -= 1;
    }

    fn drop_first(&'static self, mut queue: Held<T>) -> Held<T> {
        let first = queue.waiting.pop_front();
        queue.idle -= 1;
        if !queue.waiting.is_empty() {
            self.attended(&mut queue);
        }
        drop(queue);
        drop(first);
        let mut queue = self.queue();
        queue.idle += 1;
        queue
    }

    fn queue(&'static self) -> Held<T> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the calling thread to the namespace of the process's first thread.
fn go_home() -> io::Result<()> {
    let home = File::open("/proc/self/ns/net")?;
    Ok(move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;
    use crate::netns::{Netns, own_cookie};

    const SOON: Duration = Duration::from_secs(30);

    fn closer<T: Send>(delay: Duration) -> &'static Closer<T> {
        Box::leak(Box::new(Closer::new(delay)))
    }

    /// Tells that it is being dropped, and where, and waits until that was heard.
    struct Slow(Sender<u64>, Option<Receiver<()>>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(own_cookie().unwrap()).unwrap();
            if let Some(go_rx) = &self.1 {
                let _ = go_rx.recv();
            }
        }
    }

    #[test]
    fn one_whose_drop_takes_long_holds_up_no_other() {
        let closer = closer(Duration::ZERO);
        let (dropped_tx, dropped_rx) = mpsc::channel();
        let (go_tx, go_rx) = mpsc::channel();
        closer.close(Slow(dropped_tx.clone(), Some(go_rx)));
        dropped_rx.recv_timeout(SOON).unwrap();
        closer.close(Slow(dropped_tx.clone(), None));
        dropped_rx.recv_timeout(SOON).unwrap();
        go_tx.send(()).unwrap();
    }

    #[test]
    fn of_two_that_come_together_the_second_does_not_wait_for_the_first() {
        let closer = closer(Duration::from_millis(50));
        let (dropped_tx, dropped_rx) = mpsc::channel();
        let (go_tx, go_rx) = mpsc::channel();
        closer.close(Slow(dropped_tx.clone(), Some(go_rx)));
        closer.close(Slow(dropped_tx.clone(), None));
        dropped_rx.recv_timeout(SOON).unwrap();
        dropped_rx.recv_timeout(SOON).unwrap();
        go_tx.send(()).unwrap();
    }

    #[test]
    fn one_more_than_may_wait_is_dropped_at_once_and_by_who_brings_it() {
        let closer = closer(Duration::from_mins(10));
        let (dropped_tx, dropped_rx) = mpsc::channel();
        for _ in 0..WAITING_MAX {
            closer.close(Slow(dropped_tx.clone(), None));
        }
        assert!(dropped_rx.try_recv().is_err(), "dropped too early");
        closer.close(Slow(dropped_tx, None));
        dropped_rx.try_recv().unwrap();
        assert_eq!(closer.queue().threads, 1);
    }

    #[test]
    fn things_are_dropped_outside_the_namespace_that_they_were_brought_in() {
        let closer = closer(Duration::ZERO);
        let (dropped_tx, dropped_rx) = mpsc::channel();
        let container = Netns::create().unwrap();
        container.run(|| closer.close(Slow(dropped_tx, None))).unwrap();
        assert_eq!(dropped_rx.recv_timeout(SOON).unwrap(), own_cookie().unwrap());
    }
}
