//! The kernel really does what this crate says. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod confined;
mod death;
mod host;
mod inhabitants;
mod link;
mod netns;
mod netns_hostile;
mod nft;
mod peer;
mod process;
mod resolv;
mod seccomp;
mod seqpacket;
mod tun;
mod udp;
mod udp_batch;
