//! Noticing that a signal has stopped an openvpn, which nothing else tells of: the kernel does, and
//! it costs nothing while there is none.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use egress_linux::process::PidFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long a process must have been stopped, which is also the least time between two looks at
/// all of them.
const STOPPED: Duration = Duration::from_millis(250);

/// Looks after children of this process. Clones share the work.
#[derive(Clone)]
pub struct Stops(Arc<Mutex<BTreeMap<u32, Watched>>>);

struct Watched {
    process: PidFd,
    stopped_tx: oneshot::Sender<()>,
}

/// A child that is looked after until this is dropped.
pub struct Stop {
    pid: u32,
    stopped_rx: oneshot::Receiver<()>,
    stops: Stops,
}

impl Stops {
    /// Looks until the runtime ends.
    pub fn start() -> io::Result<Self> {
        let children = signal(SignalKind::child())?;
        let stops = Self(Arc::default());
        tokio::spawn(stops.clone().look(children));
        Ok(stops)
    }

    /// Looks after this child too.
    pub fn watch(&self, process: PidFd) -> Stop {
        let (pid, (stopped_tx, stopped_rx)) = (process.pid(), oneshot::channel());
        self.watched().insert(pid, Watched { process, stopped_tx });
        Stop { pid, stopped_rx, stops: self.clone() }
    }

    async fn look(self, mut children: Signal) {
        // The kernel signals ends and stops alike, and many of them as one.
        while children.recv().await.is_some() {
            sleep(STOPPED).await;
            let stopped: Vec<_> = {
                let mut watched = self.watched();
                watched.extract_if(.., |_, child| child.process.is_stopped_child()).collect()
            };
            for (_, Watched { stopped_tx, .. }) in stopped {
                // Nobody may want to know any more.
                let _ = stopped_tx.send(());
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<u32, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop {
    /// Waits until it has been stopped for a quarter of a second; then for ever.
    pub async fn stopped(&mut self) {
        if !self.stopped_rx.is_terminated() && (&mut self.stopped_rx).await.is_ok() {
            return;
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.stops.watched().remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use rustix::process::Signal as Sent;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn child() -> (Child, PidFd) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = PidFd::open(child.id()).unwrap();
        (child, process)
    }

    fn again(process: &PidFd) -> PidFd {
        PidFd::open(process.pid()).unwrap()
    }

    #[tokio::test]
    async fn a_stopped_child_is_told_of_once_and_the_others_are_not() {
        let stops = Stops::start().unwrap();
        let (mut first, one) = child();
        let (mut second, other) = child();
        let (mut stop, mut still) = (stops.watch(again(&one)), stops.watch(again(&other)));
        one.send_signal(Sent::STOP).unwrap();
        timeout(SOON, stop.stopped()).await.expect("it is told");
        assert!(timeout(2 * STOPPED, stop.stopped()).await.is_err(), "once");
        assert!(timeout(2 * STOPPED, still.stopped()).await.is_err());
        other.send_signal(Sent::STOP).unwrap();
        timeout(SOON, still.stopped()).await.expect("it is told");
        drop((stop, still));
        assert!(stops.watched().is_empty());
        for child in [&mut first, &mut second] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn one_that_goes_on_at_once_is_not_told_of() {
        let stops = Stops::start().unwrap();
        let (mut child, process) = child();
        let mut stop = stops.watch(again(&process));
        process.send_signal(Sent::STOP).unwrap();
        process.send_signal(Sent::CONT).unwrap();
        assert!(timeout(3 * STOPPED, stop.stopped()).await.is_err());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
