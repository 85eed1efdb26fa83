//! Whether one credential opens one gateway now.

use super::{Asking, InUse};
use crate::catalog::Why;
use crate::catalog::model::{Credential, Gateway, Provider};
use crate::wireguard::{ConflictKey, GatewayConfig, conflict_keys};

/// A gateway with what belongs to it.
pub(super) struct Way<'a> {
    pub provider: &'a Provider,
    pub gateway: &'a Gateway,
    pub config: Option<&'a GatewayConfig>,
}

/// A credential with the public key that belongs to it.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub credential: &'a Credential,
    pub public_key: Option<&'a [u8; 32]>,
}

/// What is against a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    Disabled,
    DoesNotFit,
    NotForGateway,
    NoAddress,
    Limit { in_use: u32, limit: u32 },
    Key,
}

impl Against {
    pub fn why(self, credential: &Credential) -> Why {
        let (credential, name) = (credential.id, credential.name.clone());
        match self {
            Self::Disabled => Why::CredentialDisabled { credential, name },
            Self::DoesNotFit => Why::SecretDoesNotFit { credential, name },
            Self::NotForGateway => Why::CredentialNotFor { credential, name },
            Self::NoAddress => Why::NoAddress { credential, name },
            Self::Limit { in_use, limit } => Why::LimitReached { credential, name, in_use, limit },
            Self::Key => Why::KeyInUse { credential, name },
        }
    }
}

impl<U: InUse> Asking<'_, U> {
    /// The first thing against a credential; what will pass by itself comes last.
    pub(super) fn judge(&self, way: &Way<'_>, held: &Held<'_>) -> Result<(), Against> {
        fits(way.provider, held.credential)?;
        way.opened_by(held)?;
        self.has_room(held)?;
        self.has_free_key(way, held)
    }

    pub(super) fn has_room(&self, held: &Held<'_>) -> Result<(), Against> {
        let credential = held.credential;
        let Some(limit) = self.catalog.limit(credential) else { return Ok(()) };
        let in_use = match &credential.account {
            Some(account) => self.in_use.account(credential.provider_id, account),
            None => self.in_use.credential(credential.id),
        };
        if in_use < limit { Ok(()) } else { Err(Against::Limit { in_use, limit }) }
    }

    pub(super) fn has_free_key(&self, way: &Way<'_>, held: &Held<'_>) -> Result<(), Against> {
        let taken = way.conflict_keys(held).any(|key| self.in_use.key_taken(&key));
        if taken { Err(Against::Key) } else { Ok(()) }
    }
}

/// Whether a credential can be used at a provider at all.
pub(super) fn fits(provider: &Provider, credential: &Credential) -> Result<(), Against> {
    if !credential.enabled {
        return Err(Against::Disabled);
    }
    if !credential.secret.fits(provider.kind) {
        return Err(Against::DoesNotFit);
    }
    Ok(())
}

impl Way<'_> {
    /// Whether a credential opens this gateway, and the two can be merged.
    pub fn opened_by(&self, held: &Held<'_>) -> Result<(), Against> {
        if !held.credential.gateways.allows(self.gateway.id) {
            return Err(Against::NotForGateway);
        }
        let has_address = self.config.is_none_or(|config| !config.addresses.is_empty());
        if !has_address && held.credential.overrides.addresses.is_empty() {
            return Err(Against::NoAddress);
        }
        Ok(())
    }

    pub fn conflict_keys(&self, held: &Held<'_>) -> impl Iterator<Item = ConflictKey> {
        let sharing = self.provider.key_sharing;
        let both = held.public_key.zip(self.config);
        both.into_iter().flat_map(move |(key, config)| conflict_keys(key, config, sharing))
    }
}
