//! The store's file and its key, for whoever looks after them.

use std::path::PathBuf;
use std::sync::Arc;

use egress_core::api::{Code, Refusal};
use tokio::sync::Semaphore;

use crate::control::agent::StoreCopy;
use crate::store::{KeyId, RotateError, SqliteStore};
use crate::telemetry::chain;

/// The store's file and its key.
#[derive(Debug, Clone)]
pub struct Vault {
    store: SqliteStore,
    key_path: PathBuf,
    /// One copy at a time: each is as large as the store.
    copies: Arc<Semaphore>,
}

impl Vault {
    /// What this store is in, and the file of its master key.
    pub fn new(store: SqliteStore, key_path: PathBuf) -> Self {
        Self { store, key_path, copies: Arc::new(Semaphore::new(1)) }
    }

    /// A copy of the store, once no other is being read.
    pub async fn backup(&self) -> Result<StoreCopy, Refusal> {
        let unavailable = |why: String| Refusal::new(Code::StoreUnavailable, why);
        let turn = Arc::clone(&self.copies).acquire_owned().await;
        let turn = turn.map_err(|error| unavailable(error.to_string()))?;
        let file = self.store.backup().await.map_err(|error| unavailable(chain(&error)))?;
        Ok(StoreCopy { file, turn })
    }

    /// Another master key in the place of the one there was.
    pub async fn rotate_key(&self) -> Result<KeyId, Refusal> {
        self.store.rotate_key(&self.key_path).await.map_err(|error| match error {
            RotateError::Key(_) => {
                let detail = format!(
                    "{}; a key that systemd hands over cannot be replaced there: have \
                     EGRESS_STORE_KEY_FILE name a file of the agent's own for the rotation",
                    chain(&error)
                );
                Refusal::new(Code::ConfigInvalid, detail)
            }
            RotateError::Store(_) => Refusal::new(Code::StoreUnavailable, chain(&error)),
        })
    }
}
