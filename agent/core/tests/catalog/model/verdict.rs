//! The design's one predicate, sentence by sentence.

use egress_core::api::Code;
use egress_core::catalog::{
    Credential, CredentialSecret, Gateway, GatewayScope, KeySharing, Mapping, Owner, Provider,
    ProviderType, SelectionPolicy, Subject, Why,
};
use egress_core::id::{CredentialId, GatewayId, ProviderId};

use super::world::{Peer, World};

/// What the design says of one subject and one gateway.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The credentials in the order to be tried: the first is used.
    Offered(Vec<Usable>),
    /// Every reason against it, in no order, and what a launch is refused with.
    Hidden(Vec<Why>, Code),
}

#[derive(Debug, PartialEq)]
pub struct Usable {
    pub credential: CredentialId,
    pub limit: Option<u32>,
    pub account: Option<(ProviderId, String)>,
}

/// A gateway is offered when its provider and it are enabled, a mapping allows it and a usable
/// credential exists.
pub fn verdict(world: &World, subject: &Subject, gateway: GatewayId) -> Verdict {
    let Some(gateway) = world.gateway(gateway) else {
        return Verdict::Hidden(vec![Why::NoSuchGateway], Code::NoSuchGateway);
    };
    let asked = Asked { world, subject, gateway, provider: world.provider(gateway.provider_id) };
    let mut reasons = vec![];
    if !asked.provider.enabled {
        reasons.push(Why::ProviderDisabled);
    }
    if !gateway.enabled {
        reasons.push(Why::GatewayDisabled);
    }
    reasons.extend(asked.against_the_mappings());
    let own = asked.own_credentials();
    if own.is_empty() {
        reasons.push(Why::NoCredential);
    }
    let free_for_all_but_credentials = reasons.is_empty();
    let usable: Vec<_> =
        own.iter().copied().filter(|it| asked.against_credential(it).is_empty()).collect();
    if usable.is_empty() {
        reasons.extend(own.iter().flat_map(|it| asked.against_credential(it)));
    }
    match (reasons.is_empty(), free_for_all_but_credentials) {
        (true, _) => Verdict::Offered(asked.in_order(usable)),
        (false, true) => Verdict::Hidden(reasons, asked.refusal(&own)),
        (false, false) => Verdict::Hidden(reasons, Code::NotOffered),
    }
}

struct Asked<'a> {
    world: &'a World,
    subject: &'a Subject,
    gateway: &'a Gateway,
    provider: &'a Provider,
}

impl<'a> Asked<'a> {
    /// An enabled mapping of the provider is owned by the workspace, the user or a group, and
    /// allows the gateway. With the workspace's override only the workspace's own count.
    fn against_the_mappings(&self) -> Option<Why> {
        let allowing: Vec<&Mapping> = self
            .world
            .records
            .mappings
            .iter()
            .filter(|it| it.provider_id == self.provider.id && it.enabled)
            .filter(|it| self.speaks_for_the_subject(&it.owner) && self.allowed(&it.gateways))
            .collect();
        let of_workspace = |it: &&Mapping| matches!(it.owner, Owner::Workspace(_));
        match (allowing.is_empty(), self.overridden()) {
            (true, _) => Some(Why::NoMapping),
            (false, true) if !allowing.iter().any(of_workspace) => Some(Why::OverriddenByWorkspace),
            (false, _) => None,
        }
    }

    fn overridden(&self) -> bool {
        let named = |name: &str| self.subject.workspace.as_deref() == Some(name);
        let workspaces = &self.world.records.workspaces;
        workspaces.iter().any(|it| named(&it.name) && it.override_egress_gateways)
    }

    /// Same provider, owned by the workspace, the user or a group: not the mapping's owner.
    fn own_credentials(&self) -> Vec<&'a Credential> {
        let all = self.world.records.credentials.iter();
        all.filter(|it| it.provider_id == self.provider.id)
            .filter(|it| self.speaks_for_the_subject(&it.owner))
            .collect()
    }

    /// All that somebody must change before the credential can be used here; where there is
    /// nothing, what will pass by itself. A credential at its limit is skipped before its key is
    /// asked about.
    fn against_credential(&self, it: &Credential) -> Vec<Why> {
        let (credential, name) = (it.id, it.name.clone());
        let mut reasons = vec![];
        if !it.enabled {
            reasons.push(Why::CredentialDisabled { credential, name: name.clone() });
        }
        if !self.allowed(&it.gateways) {
            reasons.push(Why::CredentialNotFor { credential, name: name.clone() });
        }
        if !self.secret_fits(it) {
            reasons.push(Why::SecretDoesNotFit { credential, name: name.clone() });
        } else if !self.has_address(it) {
            reasons.push(Why::NoAddress { credential, name: name.clone() });
        } else if !self.has_login(it) {
            reasons.push(Why::NoLogin { credential, name: name.clone() });
        }
        if !reasons.is_empty() {
            return reasons;
        }
        if self.is_full(it) {
            let (in_use, limit) = (self.in_use(it), self.limit(it).unwrap());
            reasons.push(Why::LimitReached { credential, name, in_use, limit });
        } else if self.key_is_live(it) {
            reasons.push(Why::KeyInUse { credential, name });
        }
        reasons
    }

    /// `key_in_use` and `limit_reached` only where a credential is otherwise right.
    fn refusal(&self, own: &[&Credential]) -> Code {
        let right =
            |it: &&&Credential| it.enabled && self.allowed(&it.gateways) && self.secret_fits(it);
        let right: Vec<_> = own.iter().filter(right).collect();
        let merges = |it: &&&&Credential| self.has_address(it) && self.has_login(it);
        let merging: Vec<_> = right.iter().filter(merges).collect();
        if merging.iter().any(|it| !self.is_full(it)) {
            Code::KeyInUse
        } else if !merging.is_empty() {
            Code::LimitReached
        } else if !right.is_empty() {
            Code::ConfigInvalid
        } else {
            Code::NotOffered
        }
    }

    fn is_full(&self, it: &Credential) -> bool {
        self.limit(it).is_some_and(|limit| self.in_use(it) >= limit)
    }

    fn secret_fits(&self, it: &Credential) -> bool {
        match self.provider.kind {
            ProviderType::Openvpn => matches!(it.secret, CredentialSecret::UserPassword { .. }),
            ProviderType::Wireguard => matches!(it.secret, CredentialSecret::PrivateKey(_)),
            ProviderType::Custom => matches!(it.secret, CredentialSecret::Custom(_)),
        }
    }

    fn has_address(&self, it: &Credential) -> bool {
        let config = self.world.configs.get(&self.gateway.id);
        config.is_none_or(|config| config.has_address || !it.overrides.addresses.is_empty())
    }

    /// Username and password are missing where the profile needs them: refused at selection.
    fn has_login(&self, it: &Credential) -> bool {
        let whole = match &it.secret {
            CredentialSecret::UserPassword { username, password } => {
                !username.is_empty() && !password.expose().is_empty()
            }
            CredentialSecret::PrivateKey(_) | CredentialSecret::Custom(_) => false,
        };
        whole || !self.world.asks_for_login.contains(&self.gateway.id)
    }

    /// Credentials naming the same account share one limit, the smallest of theirs.
    fn limit(&self, it: &Credential) -> Option<u32> {
        let sharing = self.world.records.credentials.iter().filter(|other| shares(it, other));
        sharing.filter_map(|other| other.limit).min().map(u32::from)
    }

    fn in_use(&self, it: &Credential) -> u32 {
        self.world.count(|other| shares(it, other))
    }

    /// One WireGuard key is one connection: per peer, per peer and endpoint, or not at all.
    fn key_is_live(&self, it: &Credential) -> bool {
        let wanted = self.peers(self.gateway);
        let same = |mine: &Peer, theirs: &Peer| match self.provider.key_sharing {
            KeySharing::Exclusive => mine.key == theirs.key,
            KeySharing::PerEndpoint => mine == theirs,
            KeySharing::Unlimited => false,
        };
        let client = |it: &Credential| self.world.clients.get(&it.id);
        let clashes = |(other, gateway): (&Credential, &Gateway)| {
            client(it).is_some()
                && client(it) == client(other)
                && self.world.provider(gateway.provider_id).key_sharing == self.provider.key_sharing
                && self.peers(gateway).iter().any(|their| wanted.iter().any(|my| same(my, their)))
        };
        self.world.live().any(clashes)
    }

    fn peers(&self, gateway: &Gateway) -> &'a [Peer] {
        self.world.configs.get(&gateway.id).map_or(&[], |config| &config.peers)
    }

    /// No scope outranks another, unless the provider says `scope-first`.
    fn in_order(&self, mut usable: Vec<&Credential>) -> Vec<Usable> {
        let scope = |it: &Credential| match it.owner {
            Owner::Workspace(_) => 0,
            Owner::User(_) => 1,
            Owner::Group(_) => 2,
        };
        usable.sort_by_key(|it| match self.provider.selection {
            SelectionPolicy::Id => (0, it.id),
            SelectionPolicy::LeastUsed => (self.world.count(|other| other.id == it.id), it.id),
            SelectionPolicy::ScopeFirst => (scope(it), it.id),
        });
        let account = |it: &Credential| Some((it.provider_id, it.account.clone()?));
        usable
            .into_iter()
            .map(|it| Usable { credential: it.id, limit: self.limit(it), account: account(it) })
            .collect()
    }

    fn speaks_for_the_subject(&self, owner: &Owner) -> bool {
        match owner {
            Owner::User(name) => self.subject.user.as_ref() == Some(name),
            Owner::Group(name) => self.subject.groups.iter().any(|group| group == name),
            Owner::Workspace(name) => self.subject.workspace.as_ref() == Some(name),
        }
    }

    fn allowed(&self, scope: &GatewayScope) -> bool {
        match scope {
            GatewayScope::All => true,
            GatewayScope::Selected(ids) => ids.iter().any(|id| *id == self.gateway.id),
        }
    }
}

/// Whether connections on the one count for the other.
fn shares(it: &Credential, other: &Credential) -> bool {
    let same_account = it.account.is_some() && it.account == other.account;
    it.id == other.id || (same_account && it.provider_id == other.provider_id)
}
