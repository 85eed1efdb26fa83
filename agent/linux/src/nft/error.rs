//! What can go wrong with nftables.

use std::io;

/// Why a ruleset was not applied or read.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel refused the whole of it: nothing has changed. Or it did not say.
    #[error("change the table {table} of nftables")]
    Apply {
        /// Its name.
        table: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel did not tell.
    #[error("read {what} back")]
    Read {
        /// Which table or counter.
        what: String,
        /// Why.
        source: io::Error,
    },
}
