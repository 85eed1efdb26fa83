//! Everything of the egress agent that touches the kernel.
//!
//! Functions without a [`netns::Netns`] among their arguments work in the network namespace of the
//! calling thread; [`netns::Netns::run`] makes that the container's for one closure. All of them
//! block, for milliseconds at most unless they say otherwise: async callers use a blocking thread.

pub mod confined;
pub mod death;
pub mod handover;
pub mod link;
pub mod memfd;
pub mod memory;
pub mod netns;
pub mod nft;
pub mod peer;
pub mod process;
pub mod process_stat;
pub mod ready;
pub mod resolv;
pub mod seccomp;
pub mod seqpacket;
pub mod tun;
pub mod udp;
pub mod udp_batch;

mod netlink;
