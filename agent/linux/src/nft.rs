//! nftables, in the calling thread's namespace.

mod apply;
mod error;
mod read;

pub use self::{
    apply::apply,
    error::NftError,
    read::{Chain, Counter, Hook, Policy, Table, counter, table},
};
