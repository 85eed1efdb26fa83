//! What a tunnel has carried and dropped.

use crate::protocol::Drops;

/// Counts since the tunnel was added.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    /// Given to the container.
    pub rx: Carried,
    /// Taken from the container and sent.
    pub tx: Carried,
    /// Gone nowhere.
    pub drops: Drops,
}

/// Inner packets one way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried {
    /// How many.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Carried {
    /// Counts packets.
    pub fn count(&mut self, packets: usize, bytes: usize) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
    }

    fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl Traffic {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.rx.add(&other.rx);
        self.tx.add(&other.tx);
        self.drops.no_peer += other.drops.no_peer;
        self.drops.source += other.drops.source;
        self.drops.invalid += other.drops.invalid;
        self.drops.io += other.drops.io;
    }
}
