//! Sessions: one container's egress each, from attach to detach.
//!
//! The [`Manager`] owns all of them; a driver acts for each one and asks
//! [`egress_core::session::Machine`] what comes next.

mod container;
mod counters;
mod deaths;
mod driver;
mod hands;
mod health;
mod host;
mod lifeline;
mod manager;
mod measure;
mod prepare;
mod reconcile;
mod seal;
mod selection;
mod shell;
mod step;
mod view;

pub use deaths::Deaths;
pub use health::HealthBoard;
pub use manager::Manager;
pub use prepare::gateway_view;
pub use shell::Shell;
