//! Endpoints' names, looked up in the host's namespace and checked.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use egress_core::wireguard::{Endpoint, Host, endpoint_allowed};
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long the host's resolver has for one name.
const LOOKUP: Duration = Duration::from_secs(5);

/// Why an endpoint has no address to go to.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The host's resolver said so.
    #[error("look up {name}")]
    Lookup {
        /// The endpoint's name.
        name: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The host's resolver did not answer.
    #[error("look up {name}: no answer within {} s", LOOKUP.as_secs())]
    Slow {
        /// The endpoint's name.
        name: String,
    },
    /// It has no address, or none that a gateway may have.
    #[error("{endpoint} has no address that a gateway may have{why}")]
    NotAllowed {
        /// The endpoint.
        endpoint: String,
        /// `: ADDRESS REASON`, of the first one refused.
        why: String,
    },
}

/// Every address of an endpoint, as the host's resolver orders them. Each one is checked at each
/// look-up, so that a name cannot come to point into the host.
pub async fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, ResolveError> {
    let port = endpoint.port.get();
    let found = match &endpoint.host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => look_up(name, port).await?,
    };
    let mut refused = found.iter().filter_map(|address| {
        endpoint_allowed(address.ip()).err().map(|why| format!(": {} {why}", address.ip()))
    });
    let why = refused.next().unwrap_or_default();
    drop(refused);
    let allowed: Vec<_> =
        found.into_iter().filter(|address| endpoint_allowed(address.ip()).is_ok()).collect();
    if allowed.is_empty() {
        return Err(ResolveError::NotAllowed { endpoint: endpoint.to_string(), why });
    }
    Ok(allowed)
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let answer = timeout(LOOKUP, lookup_host((name, port))).await;
    let answer = answer.map_err(|_| ResolveError::Slow { name: name.to_owned() })?;
    let found = answer.map_err(|source| ResolveError::Lookup { name: name.to_owned(), source })?;
    Ok(found.collect())
}
