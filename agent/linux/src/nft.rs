//! nftables, in the calling thread's namespace.

mod batch;
mod error;
mod message;
mod read;
mod rule;

pub use self::{
    batch::{Ruleset, remove, replace},
    error::NftError,
    read::{Counter, Hook, Policy, Standing, Table, counter, table},
    rule::{Chain, Match, Rule, Verdict},
};
