//! Endpoints' names, looked up in the host's namespace and checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use egress_core::address::is_of;
use egress_core::api::Code;
use egress_core::wireguard::{Endpoint, Host, endpoint_allowed};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::own_addresses::own_addresses;

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
    /// It has no address.
    #[error("{endpoint} has no address")]
    None {
        /// The endpoint.
        endpoint: String,
    },
    /// None of its addresses is one that a gateway may have.
    #[error("{endpoint} is at {address}, {what}: a gateway may not be there")]
    NotAllowed {
        /// The endpoint.
        endpoint: String,
        /// The first address.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// The host's own addresses could not be read.
    #[error("read the host's own addresses")]
    Host(#[source] io::Error),
}

impl ResolveError {
    /// The API's word for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Lookup { .. } | Self::Slow { .. } | Self::None { .. } => Code::EndpointUnresolved,
            Self::NotAllowed { .. } => Code::EndpointRefused,
            Self::Host(_) => Code::Internal,
        }
    }
}

/// Every address of an endpoint, as the host's resolver orders them. Each one is checked at each
/// look-up, so that a name cannot come to point into the host.
pub async fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, ResolveError> {
    let port = endpoint.port.get();
    let found = match &endpoint.host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => look_up(name, port).await?,
    };
    let own = own_addresses().await.map_err(ResolveError::Host)?;
    let is_allowed = |address: &SocketAddr| allowed(address.ip(), &own).is_ok();
    let usable: Vec<_> = found.iter().copied().filter(is_allowed).collect();
    let refused = found.first().and_then(|it| Some((it.ip(), allowed(it.ip(), &own).err()?)));
    let endpoint = || endpoint.to_string();
    match refused {
        _ if !usable.is_empty() => Ok(usable),
        Some((address, what)) => {
            Err(ResolveError::NotAllowed { endpoint: endpoint(), address, what })
        }
        None => Err(ResolveError::None { endpoint: endpoint() }),
    }
}

fn allowed(ip: IpAddr, own: &[IpAddr]) -> Result<(), &'static str> {
    if is_of(ip, own) { Err("an address of this host") } else { endpoint_allowed(ip) }
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let answer = timeout(LOOKUP, lookup_host((name, port))).await;
    let answer = answer.map_err(|_| ResolveError::Slow { name: name.to_owned() })?;
    let found = answer.map_err(|source| ResolveError::Lookup { name: name.to_owned(), source })?;
    Ok(found.collect())
}
