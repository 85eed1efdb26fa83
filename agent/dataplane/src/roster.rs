//! Which worker carries which tunnel.

use std::collections::HashMap;

use crate::protocol::TunnelId;

/// The most tunnels: as many numbers fit into one [`crate::protocol::Reply::Hello`].
pub const TUNNELS_MAX: usize = 8192;

/// Places of tunnels. A tunnel keeps its worker while orders about it are on their way, so that
/// they are carried out in the order in which they came.
#[derive(Debug)]
pub struct Roster {
    places: HashMap<TunnelId, Place>,
    loads: Vec<usize>,
}

#[derive(Debug)]
struct Place {
    worker: usize,
    orders: usize,
    carried: bool,
}

impl Roster {
    /// Nobody carries anything.
    pub fn new(workers: usize) -> Self {
        Self { places: HashMap::new(), loads: vec![0; workers] }
    }

    /// Whether no tunnel is carried or about to be.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The tunnels that are carried, lowest number first.
    pub fn carried(&self) -> Vec<TunnelId> {
        let carried = self.places.iter().filter(|(_, place)| place.carried);
        let mut tunnels: Vec<TunnelId> = carried.map(|(tunnel, _)| *tunnel).collect();
        tunnels.sort_unstable();
        tunnels
    }

    /// The worker for an order that adds the tunnel: its own, else the one with the fewest.
    /// `None` when there are [`TUNNELS_MAX`].
    pub fn place(&mut self, tunnel: TunnelId) -> Option<usize> {
        if let Some(worker) = self.find(tunnel) {
            return Some(worker);
        }
        if self.places.len() >= TUNNELS_MAX {
            return None;
        }
        let (worker, load) = self.loads.iter_mut().enumerate().min_by_key(|(_, load)| **load)?;
        *load += 1;
        self.places.insert(tunnel, Place { worker, orders: 1, carried: false });
        Some(worker)
    }

    /// The worker for any other order about the tunnel; `None` when nobody carries it.
    pub fn find(&mut self, tunnel: TunnelId) -> Option<usize> {
        let place = self.places.get_mut(&tunnel)?;
        place.orders += 1;
        Some(place.worker)
    }

    /// An order about the tunnel was answered; the worker carries it now, or does not.
    pub fn answered(&mut self, tunnel: TunnelId, carried: bool) {
        if let Some(place) = self.places.get_mut(&tunnel) {
            place.orders = place.orders.saturating_sub(1);
            place.carried = carried;
        }
        self.clear(tunnel);
    }

    /// The tunnel's worker dropped it.
    pub fn dropped(&mut self, tunnel: TunnelId) {
        if let Some(place) = self.places.get_mut(&tunnel) {
            place.carried = false;
        }
        self.clear(tunnel);
    }

    fn clear(&mut self, tunnel: TunnelId) {
        let idle = |place: &Place| place.orders == 0 && !place.carried;
        if self.places.get(&tunnel).is_some_and(idle)
            && let Some(place) = self.places.remove(&tunnel)
        {
            self.loads[place.worker] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_spread_over_the_workers_and_stay_where_they_are() {
        let mut roster = Roster::new(2);
        let workers: Vec<_> = (0..4).map(|tunnel| roster.place(tunnel).unwrap()).collect();
        assert_eq!(workers.iter().sum::<usize>(), 2);
        for (tunnel, worker) in (0..).zip(&workers) {
            roster.answered(tunnel, true);
            assert_eq!(roster.place(tunnel), Some(*worker));
            roster.answered(tunnel, true);
        }
        assert_eq!(roster.carried(), [0, 1, 2, 3]);
        let freed = workers[0];
        roster.dropped(0);
        assert_eq!(roster.place(9), Some(freed));
    }

    #[test]
    fn a_tunnel_that_is_removed_and_added_at_once_keeps_its_worker() {
        let mut roster = Roster::new(2);
        let worker = roster.place(7);
        assert_eq!(roster.find(7), worker);
        assert_eq!(roster.place(7), worker);
        roster.answered(7, true);
        roster.answered(7, false);
        assert_eq!(roster.find(7), worker, "an order is still on its way");
        roster.answered(7, true);
        roster.answered(7, false);
        assert!(roster.is_empty());
    }

    #[test]
    fn there_is_a_limit() {
        let mut roster = Roster::new(1);
        assert!((0..TUNNELS_MAX as u64).all(|tunnel| roster.place(tunnel).is_some()));
        assert_eq!(roster.place(u64::MAX), None);
        assert_eq!(roster.place(0), Some(0));
    }
}
