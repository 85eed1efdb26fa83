//! A host, a world around it and an agent on it, for one test at a time.

pub mod internet;
pub mod keys;
pub mod lab;
pub mod namespace;
pub mod probe;
pub mod process;
pub mod sniffer;
pub mod verdict;
pub mod wait;
pub mod wireguard_peer;
