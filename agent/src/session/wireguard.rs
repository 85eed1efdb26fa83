//! The steps of a session whose tunnel the data plane carries.

use std::sync::Arc;
use std::time::Instant;

use egress_core::api::{Code, Refusal, SessionState};
use egress_core::profile::Profile;
use egress_core::wireguard;
use egress_linux::netns::Netns;

use super::hands::Hands;
use super::standing::Standing;

/// Takes up the tunnel that the data plane carries from before a restart.
pub async fn adopt(hands: &mut Hands) -> Result<(), Refusal> {
    let Some(tunnel) = hands.row.tunnel else {
        return Err(Refusal::new(Code::Internal, "the session's row names no tunnel"));
    };
    let news_tx = hands.news_tx.clone();
    let standing = hands.shell.wireguard.adopt(tunnel, news_tx).await;
    let standing = standing.map_err(|error| Refusal::from(error.reason()))?;
    hands.tunnel = Some(Standing::Wireguard(standing));
    Ok(())
}

/// Makes the tunnel, hands it to the data plane, and gives the container its device.
pub async fn bring_up(
    hands: &mut Hands,
    generation: u64,
    profile: &wireguard::Profile,
    netns: Arc<Netns>,
) -> Result<(), Refusal> {
    let tunnel = match hands.row.tunnel.filter(|_| generation == 1) {
        Some(tunnel) => tunnel,
        None => hands.shell.store.next_tunnel_id(),
    };
    hands.row.tunnel = Some(tunnel);
    if hands.row.interface.is_some() {
        let cleared = hands.shell.devices.clear(&netns).await;
        cleared.map_err(|error| Refusal::from(error.reason()))?;
    }
    let news_tx = hands.news_tx.clone();
    hands.handed_over = Some(Instant::now());
    let (wireguard, gateway) = (&hands.shell.wireguard, hands.row.gateway);
    let raised = wireguard.bring_up(tunnel, gateway, profile, netns, news_tx).await;
    let standing = raised.map_err(|error| Refusal::from(error.reason()))?;
    let row = &mut hands.row;
    row.interface = Some(hands.shell.devices.interface.clone());
    row.addresses = profile.addresses().to_vec();
    row.dns = profile.dns().to_vec();
    row.search = profile.search().to_vec();
    row.mtu = Some(standing.mtu);
    row.endpoint = standing.endpoints.first().copied();
    hands.tunnel = Some(Standing::Wireguard(standing));
    Ok(())
}

/// Looks the endpoints' names up again and uses what they say now. An openvpn does so by itself.
pub async fn resolve(hands: &mut Hands) -> Result<(), Refusal> {
    let (Some(Standing::Wireguard(standing)), Some(Profile::Wireguard(profile))) =
        (&mut hands.tunnel, &hands.profile)
    else {
        return Ok(());
    };
    let given_up = hands.row.state != SessionState::Connected;
    let again = hands.shell.wireguard.resolve_again(standing, profile, given_up).await;
    again.map_err(|error| Refusal::from(error.reason()))
}
