//! The egress agent: everything it does.

pub mod admin;
pub mod app;
pub mod catalog;
pub mod certificates;
pub mod config;
pub mod control;
pub mod ctl;
pub mod demo;
pub mod directory;
pub mod host_needs;
pub mod metrics;
pub mod private_file;
pub mod readiness;
pub mod report;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod trust;
pub mod tunnel;
