//! Sessions: one container's egress each, from attach to detach.
//!
//! The [`Manager`] owns all of them; a driver acts for each one and asks
//! [`egress_core::session::Machine`] what comes next.

mod change_log;
mod container;
mod counters;
mod cut;
mod deaths;
mod driver;
mod emptiness;
mod ends;
mod hands;
mod health;
mod host;
mod lifeline;
mod lookout;
mod manager;
mod measure;
mod notes;
mod openvpn;
mod prepare;
mod reconcile;
mod rejected;
mod seal;
mod sealed;
mod selection;
mod shell;
mod standing;
mod step;
mod sweep;
mod view;
mod wireguard;

pub use cut::Outdated;
pub use deaths::Deaths;
pub use ends::Ends;
pub use health::HealthBoard;
pub use manager::Manager;
pub use prepare::gateway_view;
pub use rejected::Rejected;
pub use sealed::{SealedContainers, forget_ended};
pub use shell::Shell;
pub use sweep::sweep;
