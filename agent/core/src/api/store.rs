//! What became of the store's key.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/store:rotate-key`: the master key that the store's secrets are sealed with now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRotation {
    /// A digest of the key, as messages about keys name it. It says nothing about the key.
    pub key_id: String,
}
