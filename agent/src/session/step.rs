//! Carrying out one action of a session's machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use egress_core::address::is_of;
use egress_core::api::{Code, Refusal, SessionState};
use egress_core::firewall::Opening;
use egress_core::profile::Profile;
use egress_core::session::Action;
use egress_core::wireguard::config::dns_server_allowed;
use egress_linux::netns::Netns;
use futures_util::future::join;
use ipnet::IpNet;
use tokio::time::{timeout, timeout_at};

use super::ends::PATIENCE;
use super::hands::{Hands, release_delay};
use super::seal::{self, SealError};
use super::selection::Claimed;
use super::{openvpn, selection, wireguard};
use crate::store::{SessionRow, StoreError};
use crate::telemetry::chain;
use crate::tunnel::dataplane::DataplaneError;
use crate::tunnel::own_addresses::own_addresses;

/// Failure of an action.
#[derive(Debug)]
pub enum Mishap {
    /// The action failed, and has been undone.
    Failed(Refusal),
    /// The action was left half-way: it may have been done, and it may not.
    Unknown(Refusal),
}

impl From<SealError> for Mishap {
    fn from(error: SealError) -> Self {
        let refusal = Refusal::from(error.reason());
        if error.is_unclear() { Self::Unknown(refusal) } else { Self::Failed(refusal) }
    }
}

impl From<Refusal> for Mishap {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal)
    }
}

/// Does what the machine asked for.
pub async fn carry_out(hands: &mut Hands, action: &Action) -> Result<(), Mishap> {
    match action {
        Action::Adopt => adopt(hands).await?,
        Action::Close => close(hands).await?,
        Action::Claim => claim(hands).await?,
        Action::BringUp { generation } => bring_up(hands, *generation).await?,
        Action::Configure => configure(hands).await?,
        Action::Resolve => wireguard::resolve(hands).await?,
        Action::Open => open(hands).await?,
        Action::TearDown => tear_down(hands).await?,
        Action::Release => release(hands).await?,
        Action::Unseal => unseal(hands).await?,
    }
    Ok(())
}

/// The refusal of an action that the deadline cut off.
pub fn overdue(action: &Action) -> Refusal {
    let detail = format!(
        "the deadline passed while {}; the session is blocked and its container sealed, until it \
         is detached",
        doing(action)
    );
    Refusal::new(Code::DeadlineExceeded, detail)
}

/// The refusal of an action that the deadline left no time for.
pub fn out_of_time(action: &Action) -> Refusal {
    let detail = format!("the deadline passed before {}", doing(action));
    Refusal::new(Code::DeadlineExceeded, detail)
}

fn doing(action: &Action) -> &'static str {
    match action {
        Action::Adopt => "taking the tunnel up again",
        Action::Close => "sealing the container",
        Action::Claim => "taking the credential's lease",
        Action::BringUp { .. } => "bringing the tunnel up",
        Action::Configure => "configuring the tunnel's device",
        Action::Resolve => "looking the endpoint up",
        Action::Open => "opening the seal",
        Action::TearDown => "taking the tunnel down",
        Action::Release => "giving the lease back",
        Action::Unseal => "taking the seal off",
    }
}

async fn adopt(hands: &mut Hands) -> Result<(), Mishap> {
    wireguard::adopt(hands).await?;
    // What was changed meanwhile counts from the next tunnel on, which needs a lease for it.
    hands.renew = hands.secret_is_outdated();
    hands.profile = profile(hands).ok();
    // Whatever stands there may be another's work, or from before the host's addresses changed.
    open_seal(hands).await
}

async fn close(hands: &mut Hands) -> Result<(), Mishap> {
    let started = Instant::now();
    let netns = namespace(hands).await?;
    let _turn = hands.shell.work.acquire().await;
    let closed = seal::close(netns, &hands.seal).await;
    hands.timings.seal += milliseconds(started);
    if closed.as_ref().map_or_else(SealError::is_unclear, |()| true) {
        hands.sealed = Some(true);
    }
    closed.map_err(Mishap::from)
}

async fn claim(hands: &mut Hands) -> Result<(), Refusal> {
    let started = Instant::now();
    let claimed = selection::claim(&hands.shell, &hands.row.request).await;
    hands.timings.select = milliseconds(started);
    let Claimed { credential, secret_version, profile } = claimed?;
    hands.row.credential = Some(credential);
    hands.row.secret_version = Some(secret_version);
    hands.profile = Some(profile);
    Ok(())
}

async fn bring_up(hands: &mut Hands, generation: u64) -> Result<(), Refusal> {
    let started = Instant::now();
    let netns = namespace(hands).await?;
    hands.row.generation = generation;
    if must_renew(hands) {
        renew(hands).await?;
    }
    let profile = profile(hands)?;
    let raised = match &profile {
        Profile::Wireguard(profile) => wireguard::bring_up(hands, generation, profile, netns).await,
        Profile::Openvpn(profile) => openvpn::bring_up(hands, profile, netns).await,
    };
    hands.timings.tunnel = milliseconds(started);
    hands.profile = Some(profile);
    raised
}

/// Whether the lease is for something else than what the next tunnel would be made of.
fn must_renew(hands: &Hands) -> bool {
    let made_anew = hands.profile.is_none() && hands.secret_is_outdated();
    hands.renew || made_anew || !hands.holds_lease()
}

/// Chooses a credential again and takes its lease, in the place of the one there was.
async fn renew(hands: &mut Hands) -> Result<(), Refusal> {
    hands.cool_for = hands.cool_for.max(release_delay(&hands.shell, &hands.row));
    release(hands).await?;
    claim(hands).await?;
    hands.renew = false;
    Ok(())
}

/// The profile of the attach; after a restart it is made again from the catalog.
fn profile(hands: &Hands) -> Result<Profile, Refusal> {
    if let Some(profile) = &hands.profile {
        return Ok(profile.clone());
    }
    let (Some(gateway), Some(credential)) = (hands.row.gateway, hands.row.credential) else {
        return Err(Refusal::new(Code::Internal, "the session's row names no credential"));
    };
    selection::profile(&hands.shell.store.catalog(), gateway, credential)
}

async fn configure(hands: &mut Hands) -> Result<(), Refusal> {
    let started = Instant::now();
    let netns = namespace(hands).await?;
    openvpn::apply(hands, netns).await?;
    hands.timings.tunnel += milliseconds(started);
    Ok(())
}

async fn open(hands: &mut Hands) -> Result<(), Mishap> {
    let started = Instant::now();
    if hands.row.state == SessionState::Connecting {
        keep_as_connected(hands).await?;
    }
    let opened = open_seal(hands).await;
    hands.timings.open = milliseconds(started);
    opened
}

/// Has the store know the session as its launcher is about to: one that it knows as being connected
/// is ended by the next start. A session that stands goes on without the store.
async fn keep_as_connected(hands: &mut Hands) -> Result<(), Refusal> {
    let store = &hands.shell.store;
    let connected = SessionRow { state: SessionState::Connected, ..hands.row.clone() };
    let (committed, saved) = join(store.commit(hands.row.id()), store.save(&connected)).await;
    committed.and(saved).map_err(|error| selection::unavailable(&error))?;
    hands.kept_as = Some(SessionState::Connected);
    Ok(())
}

/// Opens the container for the tunnel's device, as the host's addresses and the tunnel's are now.
async fn open_seal(hands: &Hands) -> Result<(), Mishap> {
    let netns = namespace(hands).await?;
    let device = hands.tunnel.as_ref().map(|tunnel| tunnel.device().try_clone_to_owned());
    let Some(Ok(device)) = device else {
        return Err(Refusal::new(Code::Internal, "the tunnel's device is not at hand").into());
    };
    let containment = &hands.shell.containment;
    let mut refuse = containment.refuse.clone();
    let own = own_addresses().await.map_err(|error| {
        Refusal::new(Code::Internal, format!("the host's addresses: {}", chain(&error)))
    })?;
    let dns = resolvers(hands, &own)?;
    // Nor are they reached by way of the gateway.
    refuse.extend(own.into_iter().map(IpNet::from));
    let row = &hands.row;
    let has = |v6: bool| row.addresses.iter().any(|net| net.addr().is_ipv6() == v6);
    let (ipv4, ipv6) = (has(false), has(true));
    let allow = containment.allow.clone();
    let opening = move |device| Opening { device, ipv4, ipv6, dns, refuse, allow };
    let _turn = hands.shell.work.acquire().await;
    let opened = seal::open(netns, &hands.seal, device, opening).await;
    opened.map_err(Mishap::from)
}

/// What the container may ask for names: the tunnel's resolvers, if they are elsewhere.
fn resolvers(hands: &Hands, own: &[IpAddr]) -> Result<Vec<IpAddr>, Refusal> {
    let refused = hands.row.dns.iter().find_map(|server| {
        let own = is_of(*server, own).then(|| "an address of this host".to_owned());
        Some((server, own.or_else(|| dns_server_allowed(*server).err())?))
    });
    let Some((server, what)) = refused else { return Ok(hands.row.dns.clone()) };
    let detail = format!("the tunnel names {server} as its resolver, {what}");
    Err(Refusal::new(Code::ResolverRefused, detail))
}

async fn tear_down(hands: &mut Hands) -> Result<(), Refusal> {
    openvpn::say_goodbye(hands).await;
    // So that the device is gone when the data plane and who keeps it have let go.
    hands.tunnel = None;
    let Some(tunnel) = hands.row.tunnel else { return Ok(()) };
    let removing = hands.shell.dataplane.remove(tunnel);
    // It is taken down in any case; who waits for the attach does not wait for a data plane that
    // hangs.
    let down = match hands.answer_by {
        Some(by) => timeout_at(by.into(), removing).await.unwrap_or(Err(DataplaneError::Silent)),
        None => removing.await,
    };
    down.map_err(|error| Refusal::new(Code::DataplaneUnavailable, chain(&error)))
}

async fn release(hands: &mut Hands) -> Result<(), Refusal> {
    let cool_for = std::mem::take(&mut hands.cool_for);
    hands.profile = None;
    let released = timeout(PATIENCE, hands.shell.store.release(hands.row.id(), cool_for)).await;
    let released =
        released.unwrap_or(Err(StoreError::Unavailable { operation: "release a lease" }));
    hands.unreleased = released.is_err().then_some(cool_for);
    released.map_err(|error| selection::unavailable(&error))
}

async fn unseal(hands: &mut Hands) -> Result<(), Refusal> {
    let netns = namespace(hands).await?;
    seal::release(netns, &hands.seal).await.map_err(|error| Refusal::from(error.reason()))?;
    hands.sealed = Some(false);
    Ok(())
}

async fn namespace(hands: &Hands) -> Result<Arc<Netns>, Refusal> {
    let gone = || Refusal::new(Code::NetnsGone, "the container's network namespace is gone");
    hands.namespace().await.ok_or_else(gone)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
