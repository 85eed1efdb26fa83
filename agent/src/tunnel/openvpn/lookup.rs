//! The addresses of a gateway's remotes, looked up by the agent: openvpn hears nothing while it
//! looks one up.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use egress_core::api::{Code, Reason};
use egress_core::openvpn::{Address, OpenvpnConfig, Remote};
use egress_core::wireguard::{Endpoint, Host};
use tokio::task::JoinSet;

use crate::telemetry::chain;
use crate::tunnel::resolve::{ResolveError, addresses};

/// Every address of every remote, in the order of the config; at least one. A name that cannot be
/// looked up is passed over where another one can.
pub async fn look_up(config: &OpenvpnConfig) -> Result<Vec<Address>, Reason> {
    let mut tasks = JoinSet::new();
    let mut found: BTreeMap<Host, Result<Vec<SocketAddr>, ResolveError>> = BTreeMap::new();
    for Remote { host, port, .. } in &config.remotes {
        if found.insert(host.clone(), Ok(Vec::new())).is_none() {
            let asked = if config.random_hostname() { uncached(host) } else { host.clone() };
            let (host, endpoint) = (host.clone(), Endpoint { host: asked, port: *port });
            tasks.spawn(async move { (host, addresses(&endpoint).await) });
        }
    }
    while let Some(done) = tasks.join_next().await {
        if let Ok((host, result)) = done {
            found.insert(host, result);
        }
    }
    let usable = config.remotes.iter().flat_map(|remote| usable(remote, &found));
    let usable: Vec<Address> = usable.collect();
    if usable.is_empty() { Err(nowhere(found.into_values())) } else { Ok(usable) }
}

fn usable<'a>(
    remote: &'a Remote,
    found: &'a BTreeMap<Host, Result<Vec<SocketAddr>, ResolveError>>,
) -> impl Iterator<Item = Address> + 'a {
    let Remote { host, port, transport } = remote;
    let found = found.get(host).and_then(|result| result.as_ref().ok());
    let ips = found.into_iter().flatten().map(SocketAddr::ip);
    ips.filter(|ip| transport.goes_to(*ip)).map(|ip| Address {
        ip,
        port: *port,
        transport: *transport,
    })
}

fn nowhere(mut results: impl Iterator<Item = Result<Vec<SocketAddr>, ResolveError>>) -> Reason {
    let Some(error) = results.find_map(Result::err) else {
        let detail = "no remote has an address of the kind that its protocol goes to";
        return Reason { code: Code::EndpointUnresolved, detail: detail.to_owned() };
    };
    Reason { code: error.code(), detail: chain(&error) }
}

/// As `remote-random-hostname` has it: six random bytes, so that no cache answers.
fn uncached(host: &Host) -> Host {
    match host {
        Host::Ip(ip) => Host::Ip(*ip),
        Host::Name(name) => {
            let random = RandomState::new().hash_one(name) >> 16;
            Host::Name(format!("{random:012x}.{name}"))
        }
    }
}
