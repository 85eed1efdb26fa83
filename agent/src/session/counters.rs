//! Reading what a container's ruleset has counted.

use egress_core::firewall::{REFUSED_COUNTER, SEALED_COUNTER, TABLE};
use egress_dataplane::protocol::TunnelId;
use egress_linux::link;
use egress_linux::nft;
use egress_linux::tun;
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
    let device = hands.tunnel.as_ref()?.device().try_clone_to_owned().ok()?;
    let netns = hands.namespace().await?;
    let read = move || link::traffic(tun::index(device).ok()?).ok()?;
    spawn_blocking(move || netns.run(read).ok()?).await.ok()?
}

/// What the ruleset of a session's container has counted; `None` when it cannot be read.
pub async fn read(hands: &Hands) -> Option<Measured> {
    let carrier = carrier(hands).await;
    let netns = hands.namespace().await?;
    let read = || nft::counters(TABLE, [SEALED_COUNTER, REFUSED_COUNTER]);
    let counted = spawn_blocking(move || netns.run(read)).await.ok()?;
    let [sealed, refused] = counted.ok()?.ok()??;
    Some(Measured { carrier, sealed, refused })
}
