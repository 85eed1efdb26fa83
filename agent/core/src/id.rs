//! Names of records: 128-bit ids for the catalog, the launcher's own word for a session.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! record_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Ids compare as 128-bit numbers, not as text.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, format = Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id as the 16 bytes that the store keeps.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id back from the store's 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

record_id!(
    /// A provider's id.
    ProviderId
);
record_id!(
    /// A gateway's id.
    GatewayId
);
record_id!(
    /// A provider mapping's id.
    MappingId
);
record_id!(
    /// A credential's id.
    CredentialId
);

/// The launcher's own name for one container's egress, for instance the container's id.
///
/// 1 to 128 characters of `A-Z a-z 0-9 . _ -`, the first one a letter or digit: safe in a path, a
/// log line and a metric label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
pub struct SessionId(String);

/// A session id has a character or a length that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a session id is 1 to 128 characters of A-Z a-z 0-9 . _ - and starts with a letter or digit"
)]
pub struct InvalidSessionId;

impl SessionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SessionId {
    type Error = InvalidSessionId;

    fn try_from(text: String) -> Result<Self, InvalidSessionId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !starts_well || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(InvalidSessionId);
        }
        Ok(Self(text))
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        Self::try_from(text.to_owned())
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_safe_in_a_path() {
        for bad in ["", ".", "..", "-x", "a/b", "a b", "a\0", "ü", &"x".repeat(129)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?} was taken");
        }
        for good in ["c-41", "0", "A.b_c", &"x".repeat(128)] {
            assert!(good.parse::<SessionId>().is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn ids_order_as_numbers() {
        let low: CredentialId = "00000000-0000-0000-0000-0000000000ff".parse().unwrap();
        let high: CredentialId = "00000000-0000-0000-0000-000000000100".parse().unwrap();
        assert!(low < high);
    }
}
