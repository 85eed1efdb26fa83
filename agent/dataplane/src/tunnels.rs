//! A worker's tunnels: by control's number, and by the slot that the poller knows.

use std::collections::HashMap;

use crate::protocol::TunnelId;
use crate::tunnel::Tunnel;
use crate::tunnel_error::TunnelError;

/// The tunnels. A slot is never used twice, so what is ready for a former tunnel finds nothing.
#[derive(Default)]
pub struct Tunnels {
    by_slot: HashMap<u64, Tunnel>,
    slots: HashMap<TunnelId, u64>,
    next_slot: u64,
}

impl Tunnels {
    /// Takes a tunnel in and gives its slot. One of that number must not be there.
    pub fn insert(&mut self, tunnel: Tunnel) -> u64 {
        let slot = self.next_slot;
        self.next_slot += 1;
        self.slots.insert(tunnel.id(), slot);
        self.by_slot.insert(slot, tunnel);
        slot
    }

    /// Takes a tunnel out.
    pub fn remove(&mut self, slot: u64) -> Option<Tunnel> {
        let tunnel = self.by_slot.remove(&slot)?;
        self.slots.remove(&tunnel.id());
        Some(tunnel)
    }

    /// The tunnel in a slot.
    pub fn get_mut(&mut self, slot: u64) -> Option<&mut Tunnel> {
        self.by_slot.get_mut(&slot)
    }

    /// The slot of a tunnel.
    pub fn slot(&self, tunnel: TunnelId) -> Option<u64> {
        self.slots.get(&tunnel).copied()
    }

    /// Every tunnel's slot, in no special order.
    pub fn slots(&self) -> impl Iterator<Item = u64> {
        self.by_slot.keys().copied()
    }

    /// A tunnel and its slot.
    pub fn find(&mut self, tunnel: TunnelId) -> Result<(u64, &mut Tunnel), TunnelError> {
        let slot = self.slot(tunnel).ok_or(TunnelError::NoTunnel { tunnel })?;
        let found = self.by_slot.get_mut(&slot).ok_or(TunnelError::NoTunnel { tunnel })?;
        Ok((slot, found))
    }

    /// All tunnels, in no special order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Tunnel> {
        self.by_slot.values_mut()
    }
}
