//! Reading what a container's ruleset has counted.

use egress_core::firewall::{REFUSED_COUNTER, SEALED_COUNTER, TABLE};
use egress_dataplane::protocol::TunnelId;
use egress_linux::link;
use egress_linux::netns::Netns;
use egress_linux::nft;
use tokio::task::spawn_blocking;

use super::hands::Hands;
use super::standing::Standing;

/// What a session tells of itself.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Its tunnel in the data plane.
    pub tunnel: Option<TunnelId>,
    /// What its device has counted, where no tunnel of the data plane counts.
    pub device: Option<link::Traffic>,
    /// Packets kept from leaving outside the tunnel.
    pub sealed: u64,
    /// Packets refused inside it.
    pub refused: u64,
}

/// What the ruleset of a session's container has counted; `None` when it cannot be read.
pub async fn read(hands: &Hands) -> Option<Measured> {
    let tunnel = hands.tunnel.as_ref().map(Standing::tunnel);
    let openvpn = matches!(hands.tunnel, Some(Standing::Openvpn(_)));
    let device = openvpn.then(|| hands.shell.devices.interface.clone());
    let netns = hands.namespace().await?;
    let counted = spawn_blocking(move || {
        let device = device.and_then(|name| netns.run(|| link::traffic(&name)).ok()?.ok()?);
        let (sealed, refused) =
            (packets(&netns, SEALED_COUNTER)?, packets(&netns, REFUSED_COUNTER)?);
        Some(Measured { tunnel, device, sealed, refused })
    });
    counted.await.ok()?
}

fn packets(netns: &Netns, counter: &'static str) -> Option<u64> {
    let read = netns.run(|| nft::counter(TABLE, counter));
    Some(read.ok()?.ok()??.packets)
}
