//! The catalog's records as rows: secrets and config texts sealed, everything else in clear.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::{rewrap, write};

use super::seal::Unsealable;

/// Why records could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The database refused.
    #[error("read or write the catalog's tables")]
    Sql(#[from] rusqlite::Error),
    /// A sealed field did not open.
    #[error("unseal a record")]
    Sealed(#[from] Unsealable),
}
