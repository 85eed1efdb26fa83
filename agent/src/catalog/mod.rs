//! Apply documents from disk, on their way to the agent.

pub mod file;
pub mod import;
pub(crate) mod reading;
