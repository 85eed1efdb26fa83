//! The egress agent: everything it does.

pub mod control;
pub mod store;
