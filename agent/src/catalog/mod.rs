//! Apply documents from disk, on their way to the agent.

#[cfg(test)]
mod examples;
pub mod file;
pub mod import;
pub(crate) mod reading;
