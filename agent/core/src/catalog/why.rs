//! Why a gateway is not offered, in words for people and for programs.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::api::Code;
use crate::id::CredentialId;

/// One reason against a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// No gateway of that id.
    NoSuchGateway,
    /// The provider is switched off.
    ProviderDisabled,
    /// The gateway is switched off.
    GatewayDisabled,
    /// No enabled mapping of the subject allows the gateway.
    NoMapping,
    /// A mapping of the user or a group would allow it, but only the workspace's own count.
    OverriddenByWorkspace,
    /// The subject owns no credential of the provider.
    NoCredential,
    /// A credential is switched off.
    CredentialDisabled {
        /// Which.
        credential: CredentialId,
        /// Its name.
        name: String,
    },
    /// A credential does not open this gateway.
    CredentialNotFor {
        /// Which.
        credential: CredentialId,
        /// Its name.
        name: String,
    },
    /// A credential's secret is not of the provider's type.
    SecretDoesNotFit {
        /// Which.
        credential: CredentialId,
        /// Its name.
        name: String,
    },
    /// Neither the gateway's config nor the credential has a tunnel address.
    NoAddress {
        /// Which.
        credential: CredentialId,
        /// Its name.
        name: String,
    },
    /// The gateway's server asks for a login, and the credential lacks the username or password.
    NoLogin {
        /// Which.
        credential: CredentialId,
        /// Its name.
        name: String,
    },
    /// A credential carries as many connections as it may.
    LimitReached {
        /// Which.
        credential: CredentialId,
        /// Its name.
        name: String,
        /// Live connections, those of its whole account where it names one.
        in_use: u32,
        /// How many it may carry.
        limit: u32,
    },
    /// A credential's WireGuard key is live towards this gateway.
    KeyInUse {
        /// Which.
        credential: CredentialId,
        /// Its name.
        name: String,
    },
}

/// Each word of [`Why::as_str`].
pub const WORDS: [&str; 13] = [
    "no_such_gateway",
    "provider_disabled",
    "gateway_disabled",
    "no_mapping",
    "overridden_by_workspace",
    "no_credential",
    "credential_disabled",
    "credential_not_for",
    "secret_does_not_fit",
    "no_address",
    "no_login",
    "limit_reached",
    "key_in_use",
];

/// How the API's document says them.
pub(crate) fn words() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(WORDS)).build()
}

impl Why {
    /// The stable word for it, the same as in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoSuchGateway => "no_such_gateway",
            Self::ProviderDisabled => "provider_disabled",
            Self::GatewayDisabled => "gateway_disabled",
            Self::NoMapping => "no_mapping",
            Self::OverriddenByWorkspace => "overridden_by_workspace",
            Self::NoCredential => "no_credential",
            Self::CredentialDisabled { .. } => "credential_disabled",
            Self::CredentialNotFor { .. } => "credential_not_for",
            Self::SecretDoesNotFit { .. } => "secret_does_not_fit",
            Self::NoAddress { .. } => "no_address",
            Self::NoLogin { .. } => "no_login",
            Self::LimitReached { .. } => "limit_reached",
            Self::KeyInUse { .. } => "key_in_use",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchGateway => f.write_str("there is no such gateway"),
            Self::ProviderDisabled => f.write_str("its provider is disabled"),
            Self::GatewayDisabled => f.write_str("it is disabled"),
            Self::NoMapping => f.write_str(
                "no enabled mapping of the workspace, the user or the user's groups allows it",
            ),
            Self::OverriddenByWorkspace => f.write_str(
                "the workspace offers only gateways mapped to itself, and it has no mapping for \
                 this one",
            ),
            Self::NoCredential => f.write_str(
                "neither the workspace, the user nor the user's groups own a credential of its \
                 provider",
            ),
            Self::CredentialDisabled { name, .. } => write!(f, "credential {name} is disabled"),
            Self::CredentialNotFor { name, .. } => {
                write!(f, "credential {name} does not open this gateway")
            }
            Self::SecretDoesNotFit { name, .. } => {
                write!(f, "credential {name} does not hold what the provider's type needs")
            }
            Self::NoAddress { name, .. } => {
                write!(f, "neither the gateway's config nor credential {name} has a tunnel address")
            }
            Self::NoLogin { name, .. } => write!(
                f,
                "the gateway's server asks for a username and a password, and credential {name} \
                 lacks one"
            ),
            Self::LimitReached { name, in_use, limit, .. } => {
                write!(f, "credential {name} is at its limit: {in_use} of {limit} in use")
            }
            Self::KeyInUse { name, .. } => {
                write!(f, "credential {name} has its key live towards this gateway already")
            }
        }
    }
}

/// What one reason, among others, leaves possible.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// The gateway is out of the question.
    Gateway(Code),
    /// One credential is out of the question.
    Credential,
    /// One credential would do, but cannot be merged with the gateway.
    Merge,
    /// One credential would do, but for its limit.
    Limit,
    /// One credential would do, but for its key.
    Key,
}

impl Why {
    /// The credential that it is about.
    fn credential(&self) -> Option<CredentialId> {
        match self {
            Self::NoSuchGateway
            | Self::ProviderDisabled
            | Self::GatewayDisabled
            | Self::NoMapping
            | Self::OverriddenByWorkspace
            | Self::NoCredential => None,
            Self::CredentialDisabled { credential, .. }
            | Self::CredentialNotFor { credential, .. }
            | Self::SecretDoesNotFit { credential, .. }
            | Self::NoAddress { credential, .. }
            | Self::NoLogin { credential, .. }
            | Self::LimitReached { credential, .. }
            | Self::KeyInUse { credential, .. } => Some(*credential),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::NoSuchGateway => Weight::Gateway(Code::NoSuchGateway),
            Self::ProviderDisabled
            | Self::GatewayDisabled
            | Self::NoMapping
            | Self::OverriddenByWorkspace
            | Self::NoCredential => Weight::Gateway(Code::NotOffered),
            Self::CredentialDisabled { .. }
            | Self::CredentialNotFor { .. }
            | Self::SecretDoesNotFit { .. } => Weight::Credential,
            Self::NoAddress { .. } | Self::NoLogin { .. } => Weight::Merge,
            Self::LimitReached { .. } => Weight::Limit,
            Self::KeyInUse { .. } => Weight::Key,
        }
    }
}

/// The one code for all reasons: `limit_reached` where every credential that would do is at its
/// limit, `key_in_use` where at least one is only kept back by its key.
pub fn code(reasons: &[Why]) -> Code {
    let would_do = |reason: &Why| {
        let same = |it: &&Why| it.credential() == reason.credential();
        !reasons.iter().filter(same).any(|it| it.weight() == Weight::Credential)
    };
    let weights: Vec<_> = reasons.iter().filter(|it| would_do(it)).map(Why::weight).collect();
    let gateway = weights.iter().find_map(|weight| match weight {
        Weight::Gateway(code) => Some(*code),
        Weight::Credential | Weight::Merge | Weight::Limit | Weight::Key => None,
    });
    if let Some(code) = gateway {
        return code;
    }
    let order = [
        (Weight::Key, Code::KeyInUse),
        (Weight::Limit, Code::LimitReached),
        (Weight::Merge, Code::ConfigInvalid),
    ];
    let strongest = order.into_iter().find(|(weight, _)| weights.contains(weight));
    strongest.map_or(Code::NotOffered, |(_, code)| code)
}
