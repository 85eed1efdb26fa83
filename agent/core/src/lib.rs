//! Everything the egress agent decides.
//!
//! No IO, no clock, no runtime, no `unsafe`: time is handed in, results are values, and the same
//! input always gives the same answer. The rooms:
//!
//! * [`catalog`]: providers, gateways, mappings, credentials, and who may use which.
//! * [`wireguard`]: a gateway's wg-quick text and a credential become one [`wireguard::Profile`].
//! * [`openvpn`]: a gateway's `.ovpn` text becomes a config that can be trusted; openvpn's
//!   management interface is read and written.
//! * [`located`]: TOML as values that know their lines.
//! * [`profile`]: what a tunnel of either is made of.
//! * [`firewall`]: what may leave a container in which state, as an nftables ruleset.
//! * [`session`]: one container's egress from attach to detach, as a state machine.
//! * [`report`]: what a control plane is told of live connections, and when.
//! * [`address`]: which addresses no tunnel leads to.
//! * [`api`]: what launchers and operators say to the agent and hear back.
#![forbid(unsafe_code)]

pub mod address;
pub mod api;
pub mod backoff;
pub mod catalog;
pub mod fault;
pub mod firewall;
mod hook;
pub mod id;
pub mod located;
pub mod openvpn;
pub mod profile;
pub mod report;
pub mod secret;
pub mod session;
pub mod suggest;
pub mod wireguard;
