//! `[wireguard]`: how its tunnels are made.

use std::collections::BTreeMap;

use egress_core::fault::Finding;
use egress_core::id::GatewayId;
use serde::{Deserialize, Serialize};

use super::rule::broken;

/// `[wireguard]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wireguard {
    /// Where a device is made: `inside` the container's namespace, which lives as long as the device
    /// then, and so is let go of when nobody is left there; or in the host's and `moved`, which
    /// takes 20 ms, one device at a time.
    pub device: DevicePlacement,
    /// Mark of the outer packets, for policy routing on the host; 0 is none.
    pub mark: u32,
    /// Bytes of socket buffer each way. It holds what several TCP streams have in flight while the
    /// data plane waits for a processor, and is the kernel's memory only then.
    pub buffer: usize,
    /// Whether packets go through devices and sockets several at a time.
    pub offload: Offload,
    /// The most datagrams that are sent at one blow; a gateway with a small receive buffer loses
    /// the rest of a larger one.
    pub burst: u16,
    /// The same for single gateways, by their ids.
    pub gateway_burst: BTreeMap<GatewayId, u16>,
}

/// Whether packets go through devices and sockets several at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offload {
    /// As far as the kernel can.
    Auto,
    /// One by one.
    Off,
}

/// Where a tunnel's device is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DevicePlacement {
    /// In the host's namespace, then moved.
    Moved,
    /// In the container's namespace.
    Inside,
}

impl Wireguard {
    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        let is_burst = |burst: &u16| (1..=64).contains(burst);
        let mut faults = broken(&[(is_burst(&self.burst), "wireguard.burst", "expected 1 to 64")]);
        let others = self.gateway_burst.iter().filter(|(_, burst)| !is_burst(burst));
        faults.extend(others.map(|(gateway, _)| {
            let setting = format!("wireguard.gateway_burst.{gateway}");
            Finding::fault("expected 1 to 64").about(setting)
        }));
        faults
    }

    /// The most datagrams that are sent to a gateway at one blow.
    pub fn burst_for(&self, gateway: Option<GatewayId>) -> u16 {
        match self.offload {
            Offload::Auto => {
                let own = gateway.and_then(|gateway| self.gateway_burst.get(&gateway));
                own.copied().unwrap_or(self.burst)
            }
            Offload::Off => 1,
        }
    }
}

impl Default for Wireguard {
    fn default() -> Self {
        Self {
            device: DevicePlacement::Inside,
            mark: 0,
            buffer: 16 << 20,
            offload: Offload::Auto,
            burst: 64,
            gateway_burst: BTreeMap::new(),
        }
    }
}
