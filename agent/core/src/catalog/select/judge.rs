//! Whether one credential opens one gateway now.

use super::{Asking, InUse};
use crate::catalog::Why;
use crate::catalog::config::Config;
use crate::catalog::model::{Credential, CredentialSecret, Gateway, Provider};
use crate::openvpn::OpenvpnConfig;
use crate::wireguard::{ConflictKey, conflict_keys};

/// A gateway with what belongs to it.
pub(super) struct Way<'a> {
    pub provider: &'a Provider,
    pub gateway: &'a Gateway,
    pub config: &'a Config,
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
    NoLogin,
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
            Self::NoLogin => Why::NoLogin { credential, name },
            Self::Limit { in_use, limit } => Why::LimitReached { credential, name, in_use, limit },
            Self::Key => Why::KeyInUse { credential, name },
        }
    }
}

impl<U: InUse> Asking<'_, U> {
    /// What is against a credential: all that somebody must change before it can be used; where
    /// there is nothing, the first thing that will pass by itself.
    pub(super) fn judge(&self, way: &Way<'_>, held: &Held<'_>) -> Vec<Against> {
        let lasting: Vec<_> = way.against(held).collect();
        if !lasting.is_empty() {
            return lasting;
        }
        let passing = self.has_room(held).and_then(|()| self.has_free_key(way, held));
        passing.err().into_iter().collect()
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
pub(super) fn fits(provider: &Provider, credential: &Credential) -> bool {
    credential.enabled && credential.secret.fits(provider.kind)
}

impl Way<'_> {
    /// Whether a credential that [`fits`] opens this gateway, and the two can be merged.
    pub fn opened_by(&self, held: &Held<'_>) -> bool {
        held.credential.gateways.allows(self.gateway.id)
            && self.has_address(held)
            && self.has_login(held)
    }

    /// All that is against a credential, whatever is in use.
    pub fn against(&self, held: &Held<'_>) -> impl Iterator<Item = Against> {
        let credential = held.credential;
        let fits = credential.secret.fits(self.provider.kind);
        let conditions = [
            (credential.enabled, Against::Disabled),
            (fits, Against::DoesNotFit),
            (credential.gateways.allows(self.gateway.id), Against::NotForGateway),
            (!fits || self.has_address(held), Against::NoAddress),
            (!fits || self.has_login(held), Against::NoLogin),
        ];
        conditions.into_iter().filter(|(holds, _)| !holds).map(|(_, against)| against)
    }

    fn has_address(&self, held: &Held<'_>) -> bool {
        let config_has = self.config.wireguard().is_none_or(|config| !config.addresses.is_empty());
        config_has || !held.credential.overrides.addresses.is_empty()
    }

    fn has_login(&self, held: &Held<'_>) -> bool {
        let CredentialSecret::UserPassword { username, password } = &held.credential.secret else {
            return true;
        };
        let takes = |config: &OpenvpnConfig| config.takes_login(username, password);
        self.config.openvpn().is_none_or(takes)
    }

    pub fn conflict_keys(&self, held: &Held<'_>) -> impl Iterator<Item = ConflictKey> {
        let sharing = self.provider.key_sharing;
        let both = held.public_key.zip(self.config.wireguard());
        both.into_iter().flat_map(move |(key, config)| conflict_keys(key, config, sharing))
    }
}
