//! What every session's driver works with.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Deaths, Ends, HealthBoard, Rejected, SealedContainers};
use crate::config;
use crate::control::events::Events;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::tunnel::dataplane::Dataplane;
use crate::tunnel::device::Devices;
use crate::tunnel::openvpn::Openvpn;
use crate::tunnel::wireguard::Wireguard;

/// What every session's driver works with.
pub struct Shell {
    /// Rows, leases, the catalog.
    pub store: Arc<dyn Store>,
    /// Carries `WireGuard` tunnels and keeps the others' devices.
    pub dataplane: Dataplane,
    /// Makes devices.
    pub devices: Devices,
    /// Makes `WireGuard` tunnels.
    pub wireguard: Wireguard,
    /// Makes OpenVPN tunnels.
    pub openvpn: Openvpn,
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
    /// Which credentials servers do not take.
    pub rejected: Rejected,
    /// Tells of namespaces that ended.
    pub deaths: Deaths,
    /// Ends that the store has not taken yet.
    pub ends: Arc<Ends>,
    /// Containers that former sessions left sealed.
    pub sealed: SealedContainers,
    /// This boot of the machine.
    pub boot_id: String,
    /// Bounds the rulesets that are applied at one time.
    pub work: Semaphore,
}
