//! nftables, in the calling thread's namespace.

mod attribute;
mod batch;
mod closer;
mod connection;
mod enforce;
mod error;
mod exact;
mod expression;
mod message;
mod read;
mod uapi;

pub use self::{
    enforce::{enforce, remove},
    error::NftError,
    read::{counters, exists},
};
