//! Carrying out one action of a session's machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egress_core::api::{Code, Refusal, SessionState};
use egress_core::firewall::{Opening, Policy};
use egress_core::session::Action;
use egress_linux::link;
use egress_linux::netns::Netns;
use ipnet::IpNet;
use tokio::task::spawn_blocking;

use super::driver::Driver;
use super::{seal, selection};
use crate::telemetry::chain;

/// Does what the machine asked for.
pub async fn carry_out(driver: &mut Driver, action: &Action) -> Result<(), Refusal> {
    match action {
        Action::Adopt => adopt(driver).await,
        Action::Close => close(driver).await,
        Action::Claim => claim(driver).await,
        Action::BringUp { .. } => bring_up(driver).await,
        Action::Resolve => resolve(driver).await,
        Action::Open => open(driver).await,
        Action::TearDown => tear_down(driver).await,
        Action::Release => release(driver).await,
        Action::Unseal => unseal(driver).await,
    }
}

/// The refusal of an action that the deadline cut off.
pub fn overdue(action: &Action) -> Refusal {
    let step = match action {
        Action::Adopt => "taking the tunnel up again",
        Action::Close => "sealing the container",
        Action::Claim => "taking the credential's lease",
        Action::BringUp { .. } => "bringing the tunnel up",
        Action::Resolve => "looking the endpoint up",
        Action::Open => "opening the seal",
        Action::TearDown => "taking the tunnel down",
        Action::Release => "giving the lease back",
        Action::Unseal => "taking the seal off",
    };
    let detail = format!("the deadline passed while {step}; the container is sealed");
    Refusal::new(Code::DeadlineExceeded, detail)
}

async fn adopt(driver: &mut Driver) -> Result<(), Refusal> {
    let Some(tunnel) = driver.row.tunnel else {
        return Err(Refusal::new(Code::Internal, "the session's row names no tunnel"));
    };
    let news_tx = driver.news_tx.clone();
    let standing = driver.shell.wireguard.adopt(tunnel, news_tx).await;
    driver.tunnel = Some(standing.map_err(|error| Refusal::from(error.reason()))?);
    // A credential that was changed meanwhile counts from the next attach on.
    driver.profile = profile(driver).ok();
    let netns = namespace(driver).await?;
    if seal::stands(netns, &Policy::Open(opening(driver).await?)).await {
        return Ok(());
    }
    Err(Refusal::new(Code::SealFailed, "the container's ruleset is not the open one"))
}

async fn close(driver: &mut Driver) -> Result<(), Refusal> {
    let started = Instant::now();
    let netns = namespace(driver).await?;
    let _turn = driver.shell.work.acquire().await;
    let closed = seal::apply(netns, &Policy::Closed).await;
    driver.timings.seal += milliseconds(started);
    closed.map_err(|error| Refusal::from(error.reason()))
}

async fn claim(driver: &mut Driver) -> Result<(), Refusal> {
    let started = Instant::now();
    let claimed = selection::claim(&driver.shell.store, &driver.row.request).await;
    driver.timings.select = milliseconds(started);
    let (credential, profile) = claimed?;
    driver.row.credential = Some(credential);
    driver.profile = Some(profile);
    Ok(())
}

async fn bring_up(driver: &mut Driver) -> Result<(), Refusal> {
    let started = Instant::now();
    let netns = namespace(driver).await?;
    let profile = profile(driver)?;
    let tunnel = match driver.row.tunnel.filter(|_| driver.machine.generation() == 1) {
        Some(tunnel) => tunnel,
        None => driver.shell.store.next_tunnel_id(),
    };
    driver.row.tunnel = Some(tunnel);
    let news_tx = driver.news_tx.clone();
    let _turn = driver.shell.work.acquire().await;
    driver.handed_over = Some(Instant::now());
    let raised = driver.shell.wireguard.bring_up(tunnel, &profile, netns, news_tx).await;
    driver.timings.tunnel = milliseconds(started);
    let standing = raised.map_err(|error| Refusal::from(error.reason()))?;
    driver.row.interface = Some(driver.shell.wireguard.interface.clone());
    driver.row.addresses = profile.addresses().to_vec();
    driver.row.dns = profile.dns().to_vec();
    driver.row.search = profile.search().to_vec();
    driver.row.mtu = Some(standing.mtu);
    driver.row.endpoint = standing.endpoints.first().copied();
    driver.tunnel = Some(standing);
    driver.profile = Some(profile);
    Ok(())
}

/// The profile of the attach; after a restart it is made again from the catalog.
fn profile(driver: &Driver) -> Result<egress_core::wireguard::Profile, Refusal> {
    if let Some(profile) = &driver.profile {
        return Ok(profile.clone());
    }
    let (Some(gateway), Some(credential)) = (driver.row.gateway, driver.row.credential) else {
        return Err(Refusal::new(Code::Internal, "the session's row names no credential"));
    };
    selection::profile(&driver.shell.store.catalog(), gateway, credential)
}

async fn resolve(driver: &mut Driver) -> Result<(), Refusal> {
    let (Some(standing), Some(profile)) = (&mut driver.tunnel, &driver.profile) else {
        return Ok(());
    };
    let given_up = driver.row.state != SessionState::Connected;
    let again = driver.shell.wireguard.resolve_again(standing, profile, given_up).await;
    again.map_err(|error| Refusal::from(error.reason()))
}

async fn open(driver: &mut Driver) -> Result<(), Refusal> {
    let started = Instant::now();
    let netns = namespace(driver).await?;
    let policy = Policy::Open(opening(driver).await?);
    let _turn = driver.shell.work.acquire().await;
    let opened = seal::apply(netns, &policy).await;
    driver.timings.open = milliseconds(started);
    opened.map_err(|error| Refusal::from(error.reason()))?;
    let committed = driver.shell.store.commit(driver.row.id()).await;
    committed.map_err(|error| selection::unavailable(&error))
}

async fn opening(driver: &Driver) -> Result<Opening, Refusal> {
    let row = &driver.row;
    let containment = &driver.shell.containment;
    let mut refuse = containment.refuse.clone();
    refuse.extend(host_addresses().await?);
    Ok(Opening {
        interface: driver.shell.wireguard.interface.clone(),
        ipv4: row.addresses.iter().any(|net| net.addr().is_ipv4()),
        ipv6: row.addresses.iter().any(|net| net.addr().is_ipv6()),
        dns: row.dns.clone(),
        refuse,
        allow: containment.allow.clone(),
    })
}

/// The host's own addresses must not be reached by way of the gateway.
async fn host_addresses() -> Result<Vec<IpNet>, Refusal> {
    let read = spawn_blocking(link::addresses).await;
    let addresses = read.map_err(std::io::Error::other).and_then(|read| read);
    let addresses = addresses.map_err(|error| {
        Refusal::new(Code::Internal, format!("the host's addresses: {}", chain(&error)))
    })?;
    Ok(addresses.into_iter().map(|net| IpNet::from(net.addr())).collect())
}

async fn tear_down(driver: &mut Driver) -> Result<(), Refusal> {
    let Some(tunnel) = driver.row.tunnel else { return Ok(()) };
    let down = driver.shell.wireguard.tear_down(tunnel).await;
    driver.tunnel = None;
    down.map_err(|error| Refusal::new(Code::DataplaneUnavailable, chain(&error)))
}

async fn release(driver: &mut Driver) -> Result<(), Refusal> {
    let released = driver.shell.store.release(driver.row.id(), Duration::ZERO).await;
    driver.profile = None;
    released.map_err(|error| selection::unavailable(&error))
}

async fn unseal(driver: &mut Driver) -> Result<(), Refusal> {
    let netns = namespace(driver).await?;
    seal::release(netns).await.map_err(|error| Refusal::from(error.reason()))
}

async fn namespace(driver: &Driver) -> Result<Arc<Netns>, Refusal> {
    let gone = || Refusal::new(Code::NetnsGone, "the container's network namespace is gone");
    driver.namespace().await.ok_or_else(gone)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
