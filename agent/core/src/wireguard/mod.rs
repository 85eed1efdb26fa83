//! WireGuard: a gateway's wg-quick text and a credential become one [`Profile`].

mod amnezia;
pub mod config;
mod conflict;
mod endpoint;
mod fields;
mod gateway;
mod interface;
pub mod key;
mod lexer;
mod peers;
mod profile;
mod sections;
mod strip;

pub use config::{GatewayConfig, Peer, Rules, parse};
pub use conflict::{ConflictKey, conflict_keys};
pub use endpoint::{Endpoint, Host, endpoint_allowed};
pub(crate) use endpoint::{host, is_domain};
pub use profile::Profile;
pub use strip::{redact, strip_private_key};
