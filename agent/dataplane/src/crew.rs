//! The workers' threads, and how to reach them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use crate::bell::Bell;
use crate::order::{Order, Report};
use crate::worker::{Ends, Worker};

/// The workers. Dropping it ends them: their tunnels' keys are wiped and descriptors closed.
#[derive(Default)]
pub struct Crew {
    members: Vec<Member>,
}

struct Member {
    orders: Option<Sender<Order>>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
    /// How often it has waited for something to do.
    rounds: Arc<AtomicU64>,
    /// What that was at the last look, and how many looks in a row have found that.
    seen: (u64, u32),
}

/// A worker has ended, which none does while its server lives.
#[derive(Debug)]
pub struct Ended;

impl Crew {
    /// Starts so many workers, who report here.
    pub fn start(workers: usize, reports: &Sender<Report>, bell: &Bell) -> io::Result<Self> {
        let mut crew = Self::default();
        for number in 0..workers {
            crew.members.push(Member::start(number, reports.clone(), bell.clone())?);
        }
        Ok(crew)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// For how many looks in a row, this one included, the one that moves least has not moved.
    pub fn look_for_stuck(&mut self) -> u32 {
        self.members.iter_mut().map(Member::look).max().unwrap_or(0)
    }

    /// Gives an order to one of them.
    pub fn order(&self, worker: usize, order: Order) -> Result<(), Ended> {
        let member = self.members.get(worker).ok_or(Ended)?;
        let orders = member.orders.as_ref().ok_or(Ended)?;
        orders.send(order).map_err(|_| Ended)?;
        member.bell.ring();
        Ok(())
    }
}

impl Member {
    fn start(number: usize, reports: Sender<Report>, reports_bell: Bell) -> io::Result<Self> {
        let (orders_tx, orders) = channel();
        let bell = Bell::new()?;
        let rounds = Arc::<AtomicU64>::default();
        let ends = Ends {
            orders,
            orders_bell: bell.clone(),
            reports,
            reports_bell,
            rounds: Arc::clone(&rounds),
        };
        let worker = Worker::new(ends)?;
        let thread = thread::Builder::new().name(format!("worker-{number}"));
        let thread = Some(thread.spawn(move || worker.run())?);
        Ok(Self { orders: Some(orders_tx), bell, thread, rounds, seen: (0, 0) })
    }

    fn look(&mut self) -> u32 {
        let now = self.rounds.load(Ordering::Relaxed);
        let (before, looks) = self.seen;
        self.seen = (now, if now == before { looks.saturating_add(1) } else { 0 });
        self.seen.1
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.orders = None;
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A worker that panicked ends with the others.
            let _ = thread.join();
        }
    }
}
