//! The workers' threads, and how to reach them.

use std::io;
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
        let ends = Ends { orders, orders_bell: bell.clone(), reports, reports_bell };
        let worker = Worker::new(ends)?;
        let thread = thread::Builder::new().name(format!("worker-{number}"));
        let thread = Some(thread.spawn(move || worker.run())?);
        Ok(Self { orders: Some(orders_tx), bell, thread })
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
