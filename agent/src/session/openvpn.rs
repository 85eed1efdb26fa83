//! The steps of a session whose tunnel an openvpn of its own carries.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use egress_core::api::{Code, Refusal};
use egress_core::openvpn::Profile;
use egress_core::openvpn::machine::Farewell;
use egress_dataplane::protocol::TunnelId;
use egress_linux::link::Interface;
use egress_linux::netns::Netns;
use egress_linux::tun::Offload;
use egress_linux::udp;
use tokio::sync::mpsc;

use super::hands::{Hands, release_delay};
use super::standing::{self, Standing};
use crate::config::DevicePlacement;
use crate::telemetry::chain;
use crate::tunnel::dataplane::DataplaneError;
use crate::tunnel::device::{configure, least_mtu};
use crate::tunnel::openvpn::Order;

/// News of an openvpn that its session has not taken yet; past that openvpn's supervisor waits.
const NEWS: usize = 16;
/// What OpenVPN adds to a packet at most: IPv6 40, UDP 8 or TCP 32 and 2, its own header, packet id,
/// padding and tag, and some to spare.
const OVERHEAD: u16 = 100;
/// The MTU of a way that does not say.
const UPLINK_MTU: u16 = 1500;
/// A device's MTU until the server says more.
const FIRST_MTU: u16 = 1400;

/// Starts an openvpn on the device that the data plane keeps for the session, or else on a new one.
/// It connects while a new device is moved into the container.
pub async fn bring_up(
    hands: &mut Hands,
    profile: &Profile,
    netns: Arc<Netns>,
) -> Result<(), Refusal> {
    let kept = match hands.row.tunnel {
        Some(tunnel) => hands.shell.dataplane.retake(tunnel).await.ok().map(|fd| (tunnel, fd)),
        None => None,
    };
    let (tunnel, device, unmoved) = match kept {
        Some((tunnel, device)) => (tunnel, device, None),
        None => make(hands, &netns).await?,
    };
    hands.handed_over = Some(Instant::now());
    let standing = start(hands, profile, tunnel, device).await?;
    hands.tunnel = Some(Standing::Openvpn(standing));
    if let Some(index) = unmoved {
        let moved = hands.shell.devices.move_into(index, &netns).await;
        moved.map_err(|error| Refusal::from(error.reason()))?;
    }
    Ok(())
}

/// A device that the data plane keeps from now on, and its number in the host's namespace.
async fn make(
    hands: &mut Hands,
    netns: &Arc<Netns>,
) -> Result<(TunnelId, OwnedFd, Option<u32>), Refusal> {
    let shell = Arc::clone(&hands.shell);
    let tunnel = shell.store.next_tunnel_id();
    // Before there is anything that the undoing of a broken step would have to find.
    hands.row.tunnel = Some(tunnel);
    if hands.row.interface.is_some() {
        let cleared = shell.devices.clear(netns).await;
        cleared.map_err(|error| Refusal::from(error.reason()))?;
    }
    // Never inside: openvpn is quicker to end when its device is gone than when it is told to, and
    // connecting takes longer than the move.
    let placement = DevicePlacement::Moved;
    let made = shell.devices.create(tunnel, FIRST_MTU, Offload::Off, placement, netns).await;
    let device = made.map_err(|error| Refusal::from(error.reason()))?;
    let kept = shell.dataplane.keep(tunnel, duplicate(&device.fd)?).await;
    kept.map_err(|error| Refusal::new(Code::DataplaneUnavailable, chain(&error)))?;
    Ok((tunnel, device.fd, Some(device.index)))
}

async fn start(
    hands: &mut Hands,
    profile: &Profile,
    tunnel: TunnelId,
    device: OwnedFd,
) -> Result<standing::Openvpn, Refusal> {
    let (news_tx, news_rx) = mpsc::channel(NEWS);
    let order = Order {
        tunnel,
        config: profile.config().clone(),
        login: profile.login().cloned(),
        challenge: hands.challenge.take(),
        split: profile.split(),
        device: duplicate(&device)?,
        device_name: hands.shell.devices.interface.clone(),
    };
    let started = hands.shell.openvpn.start(order, news_tx).await;
    let running = started.map_err(|error| Refusal::from(error.reason()))?;
    Ok(standing::Openvpn { tunnel, device, running, news_rx, given: None })
}

fn duplicate(device: &OwnedFd) -> Result<OwnedFd, Refusal> {
    let duplicate = device.try_clone().map_err(DataplaneError::Start);
    duplicate.map_err(|error| Refusal::new(Code::Internal, chain(&error)))
}

/// Gives the device what the server gave.
pub async fn apply(hands: &mut Hands, netns: Arc<Netns>) -> Result<(), Refusal> {
    let standing = hands.tunnel.as_mut().and_then(Standing::openvpn);
    let given = standing.and_then(|it| Some((it.given.clone()?, &it.device)));
    let Some(((endpoint, given), device)) = given else {
        return Err(Refusal::new(Code::Internal, "the server has given nothing yet"));
    };
    let device = duplicate(device)?;
    let v6 = given.addresses.iter().any(|address| address.addr().is_ipv6());
    let mtu = given.mtu.min(way_mtu(endpoint).saturating_sub(OVERHEAD)).max(least_mtu(v6));
    let interface = Interface { addresses: given.addresses.clone(), mtu, routes: given.routes };
    configure(netns, device, interface).await.map_err(|error| Refusal::from(error.reason()))?;
    let row = &mut hands.row;
    row.interface = Some(hands.shell.devices.interface.clone());
    (row.addresses, row.dns, row.search) = (given.addresses, given.dns, given.search);
    (row.mtu, row.endpoint) = (Some(mtu), Some(endpoint));
    Ok(())
}

/// The largest packet that the host's routes let through to the server. Connecting a UDP socket
/// sends nothing, and the way is the same for TCP.
fn way_mtu(endpoint: SocketAddr) -> u16 {
    let options = udp::Options { mark: None, buffer: 0 };
    let probe = udp::connected(endpoint, &options);
    probe.and_then(|socket| udp::path_mtu(&socket)).unwrap_or(UPLINK_MTU)
}

/// Ends an openvpn, with a word to its server if there is time for it. The device stays with the
/// data plane.
pub async fn say_goodbye(hands: &mut Hands) {
    let standing = match hands.tunnel.take() {
        Some(Standing::Openvpn(standing)) => standing,
        other @ (Some(Standing::Wireguard(_)) | None) => return hands.tunnel = other,
    };
    match standing.running.stop().await {
        Farewell::Told => {}
        Farewell::NotTold { cool_for } => {
            let delay = release_delay(&hands.shell, &hands.row);
            hands.cool_for = hands.cool_for.max(cool_for).max(delay);
        }
    }
}
