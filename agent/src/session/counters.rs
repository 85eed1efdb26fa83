//! Reading what a container's ruleset has counted.

use egress_core::firewall::{REFUSED_COUNTER, SEALED_COUNTER, TABLE};
use egress_dataplane::protocol::TunnelId;
use egress_linux::link;
use egress_linux::netns::Netns;
use egress_linux::nft;
use tokio::task::spawn_blocking;

use super::hands::Hands;
use super::standing::Standing;

/// Who counts what a session's tunnel carries.
#[derive(Debug, Clone, Copy)]
pub struct Carrier {
    /// Its tunnel in the data plane.
    pub tunnel: Option<TunnelId>,
    /// What its device has counted, where no tunnel of the data plane counts.
    pub device: Option<link::Traffic>,
}

/// What a session tells of itself.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Who counts the rest.
    pub carrier: Carrier,
    /// Packets kept from leaving outside the tunnel.
    pub sealed: u64,
    /// Packets refused inside it.
    pub refused: u64,
}

/// What carries a session.
pub async fn carrier(hands: &Hands) -> Carrier {
    let tunnel = hands.tunnel.as_ref().map(Standing::tunnel);
    let device = match &hands.tunnel {
        Some(Standing::Openvpn(_)) => device(hands).await,
        Some(Standing::Wireguard(_)) | None => None,
    };
    Carrier { tunnel, device }
}

async fn device(hands: &Hands) -> Option<link::Traffic> {
    let name = hands.shell.devices.interface.clone();
    let netns = hands.namespace().await?;
    let counted = spawn_blocking(move || netns.run(|| link::traffic(&name)).ok()?.ok()?);
    counted.await.ok()?
}

/// What the ruleset of a session's container has counted; `None` when it cannot be read.
pub async fn read(hands: &Hands) -> Option<Measured> {
    let carrier = carrier(hands).await;
    let netns = hands.namespace().await?;
    let counted = spawn_blocking(move || {
        Some((packets(&netns, SEALED_COUNTER)?, packets(&netns, REFUSED_COUNTER)?))
    });
    let (sealed, refused) = counted.await.ok()??;
    Some(Measured { carrier, sealed, refused })
}

fn packets(netns: &Netns, counter: &'static str) -> Option<u64> {
    let read = netns.run(|| nft::counter(TABLE, counter));
    Some(read.ok()?.ok()??.packets)
}
