//! What every session's driver works with.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Deaths, HealthBoard};
use crate::config;
use crate::control::events::Events;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::tunnel::wireguard::Wireguard;

/// What every session's driver works with.
pub struct Shell {
    /// Rows, leases, the catalog.
    pub store: Arc<dyn Store>,
    /// Makes tunnels.
    pub wireguard: Wireguard,
    /// Where namespaces may be, how many sessions there may be.
    pub sessions: config::Sessions,
    /// What a tunnel refuses.
    pub containment: config::Containment,
    /// Where states are told.
    pub events: Events,
    /// Where they are counted.
    pub metrics: Metrics,
    /// What sessions learned of gateways.
    pub health: HealthBoard,
    /// Tells of namespaces that ended.
    pub deaths: Deaths,
    /// This boot of the machine.
    pub boot_id: String,
    /// Bounds the rulesets that are applied at one time: each is a process of its own.
    pub work: Semaphore,
}
