//! What can go wrong with nftables.

use std::io;

/// Why a ruleset does not stand, or was not read.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel refused the whole of it: nothing has changed. Or it did not say.
    #[error("change the table {table} of nftables")]
    Apply {
        /// Its name.
        table: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel did not tell.
    #[error("read the table {table} of nftables")]
    Read {
        /// Its name.
        table: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the kernel holds is not what it was given: somebody else changes it.
    #[error("the table {table} of nftables is not what was applied: {found}")]
    Different {
        /// Its name.
        table: String,
        /// The first difference.
        found: String,
    },
}
