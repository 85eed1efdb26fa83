//! Providers, gateways, mappings, credentials: the records, and who may use which.

mod change;
mod check;
mod config;
mod difference;
mod document;
mod effect;
mod kind;
mod menu;
pub mod model;
mod record_id;
mod removal;
pub mod select;
mod snapshot;
pub mod why;

use std::collections::BTreeMap;

pub use change::{Change, Changed, Expected, NotChanged};
pub use document::{
    CredentialEntry, Document, GatewayEntry, MappingEntry, Plan, ProviderEntry, Scope, Text,
    WorkspaceEntry,
};
pub use effect::Running;
pub use kind::RecordKind;
pub use menu::Menu;
pub use model::{
    Credential, CredentialSecret, Egress, ExpectedExit, Gateway, GatewayScope, KeySharing,
    LastPush, Mapping, OnHooks, Owner, Provider, ProviderType, SelectionPolicy, Subject,
    WireguardOverrides, Withdrawn, Workspace,
};
pub use record_id::RecordId;
pub use select::{Candidate, InUse, Offer, explain};
pub use snapshot::{
    Difference, ENTRIES_MAX, Push, PushError, PushedCredential, PushedGateway, Snapshot,
};
pub use why::Why;

use crate::fault::{Checked, unless_faulty};
use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};
use crate::openvpn::OpenvpnConfig;
use crate::wireguard::{GatewayConfig, key};
use config::Config;
use menu::Lines;

/// Records as they come from a store or an apply file: in any order, not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Who runs gateways.
    pub providers: Vec<Provider>,
    /// Ways out.
    pub gateways: Vec<Gateway>,
    /// Who may use which gateways.
    pub mappings: Vec<Mapping>,
    /// What opens them.
    pub credentials: Vec<Credential>,
    /// What is launched, where more than the default is to be said of it.
    pub workspaces: Vec<Workspace>,
}

impl Records {
    fn sort(&mut self) {
        self.providers.sort_by_key(|provider| provider.id);
        self.gateways.sort_by_key(|gateway| gateway.id);
        self.mappings.sort_by_key(|mapping| mapping.id);
        self.credentials.sort_by_key(|credential| credential.id);
        self.workspaces.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// All records, known to be sound together: unique ids and names, references that lead somewhere,
/// configs that parse. Immutable; a change makes another one.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Each list in ascending order of its key.
    records: Records,
    /// Beside `records.gateways`.
    configs: Vec<Config>,
    /// Beside `records.credentials`: the public key of a WireGuard credential.
    public_keys: Vec<Option<[u8; 32]>>,
    index: Index,
}

/// Positions in the lists of [`Records`], ascending.
#[derive(Debug, Default)]
struct Index {
    provider_names: BTreeMap<String, usize>,
    gateway_names: BTreeMap<String, Vec<usize>>,
    gateways_of: BTreeMap<ProviderId, Vec<usize>>,
    mappings_of: BTreeMap<Owner, Vec<usize>>,
    credentials_of: BTreeMap<Owner, Vec<usize>>,
    /// The smallest limit among the credentials of an account.
    account_limits: BTreeMap<(ProviderId, String), u32>,
    /// In the order of menus, not of ids.
    menu_of: BTreeMap<ProviderId, Vec<usize>>,
    lines: Lines,
}

/// What a gateway's name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named<'a> {
    /// One gateway.
    One(&'a Gateway),
    /// No gateway.
    Nothing,
    /// Gateways of several providers: say `provider/name`.
    Several(Vec<&'a Gateway>),
}

impl Catalog {
    /// Checks records and keeps them. All faults of all records come at once; a finding's field
    /// names its record, as in `gateways[mullvad/se-1].config.Peer.Endpoint`.
    pub fn new(records: Records) -> Checked<Self> {
        Self::checked(records, &|_| None)
    }

    /// The same, with other names for records in findings, where `place` has one.
    fn checked(mut records: Records, place: &dyn Fn(&RecordId) -> Option<String>) -> Checked<Self> {
        records.sort();
        let public_keys: Vec<_> = records.credentials.iter().map(public_key).collect();
        let (findings, configs) = check::check(&records, &public_keys, place);
        unless_faulty(findings, || {
            let index = Index::new(&records);
            Self { records, configs, public_keys, index }
        })
    }

    /// Every record, each list in ascending order of its key.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// A provider by its id.
    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        let list = &self.records.providers;
        list.binary_search_by_key(&id, |provider| provider.id).ok().map(|at| &list[at])
    }

    /// A provider by its name.
    pub fn provider_named(&self, name: &str) -> Option<&Provider> {
        self.index.provider_names.get(name).map(|at| &self.records.providers[*at])
    }

    /// A gateway by its id.
    pub fn gateway(&self, id: GatewayId) -> Option<&Gateway> {
        self.gateway_at(id).map(|at| &self.records.gateways[at])
    }

    fn gateway_at(&self, id: GatewayId) -> Option<usize> {
        self.records.gateways.binary_search_by_key(&id, |gateway| gateway.id).ok()
    }

    /// A gateway by `provider/name`, or by a name that only one provider's gateway has.
    pub fn gateway_named(&self, text: &str) -> Named<'_> {
        let bare = self.gateways_with_name(text);
        let of_provider = text.match_indices('/').filter_map(|(at, _)| {
            let provider = self.provider_named(&text[..at])?;
            self.gateways_with_name(&text[at + 1..]).find(|found| found.provider_id == provider.id)
        });
        let found: Vec<_> = of_provider.chain(bare).collect();
        match found[..] {
            [] => Named::Nothing,
            [one] => Named::One(one),
            _ => Named::Several(found),
        }
    }

    fn gateways_with_name(&self, name: &str) -> impl Iterator<Item = &Gateway> {
        let positions = self.index.gateway_names.get(name).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|at| &self.records.gateways[*at])
    }

    /// A provider's gateways, in ascending order of id.
    pub fn gateways_of(&self, provider: ProviderId) -> impl Iterator<Item = &Gateway> {
        let positions = self.index.gateways_of.get(&provider).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|at| &self.records.gateways[*at])
    }

    /// A WireGuard gateway's config, as it was parsed when the record entered.
    pub fn wireguard(&self, gateway: GatewayId) -> Option<&GatewayConfig> {
        self.gateway_at(gateway).and_then(|at| self.configs[at].wireguard())
    }

    /// An OpenVPN gateway's config, as it was parsed when the record entered.
    pub fn openvpn(&self, gateway: GatewayId) -> Option<&OpenvpnConfig> {
        self.gateway_at(gateway).and_then(|at| self.configs[at].openvpn())
    }

    /// A mapping by its id.
    pub fn mapping(&self, id: MappingId) -> Option<&Mapping> {
        let list = &self.records.mappings;
        list.binary_search_by_key(&id, |mapping| mapping.id).ok().map(|at| &list[at])
    }

    /// A credential by its id.
    pub fn credential(&self, id: CredentialId) -> Option<&Credential> {
        let list = &self.records.credentials;
        list.binary_search_by_key(&id, |credential| credential.id).ok().map(|at| &list[at])
    }

    /// A workspace by its name.
    pub fn workspace(&self, name: &str) -> Option<&Workspace> {
        let list = &self.records.workspaces;
        list.binary_search_by(|workspace| workspace.name.as_str().cmp(name))
            .ok()
            .map(|at| &list[at])
    }

    /// Whether a launch of this workspace may go without a gateway.
    pub fn egress(&self, workspace: Option<&str>) -> Egress {
        workspace.and_then(|name| self.workspace(name)).map_or(Egress::Required, |it| it.egress)
    }

    /// How many live connections a credential may carry. Where it names an account that is the
    /// smallest limit among the account's credentials, and it counts for all of them together.
    pub fn limit(&self, credential: &Credential) -> Option<u32> {
        match &credential.account {
            None => credential.limit.map(u32::from),
            Some(account) => self.account_limit(credential.provider_id, account),
        }
    }

    /// How many live connections the credentials of an account may carry together.
    pub fn account_limit(&self, provider: ProviderId, account: &str) -> Option<u32> {
        self.index.account_limits.get(&(provider, account.to_owned())).copied()
    }

    /// The public key of a WireGuard credential.
    pub fn public_key(&self, credential: CredentialId) -> Option<[u8; 32]> {
        let credentials = &self.records.credentials;
        let at = credentials.binary_search_by_key(&credential, |it| it.id).ok()?;
        self.public_keys[at]
    }
}

fn public_key(credential: &Credential) -> Option<[u8; 32]> {
    match &credential.secret {
        CredentialSecret::PrivateKey(private_key) => Some(key::public_of(private_key)),
        CredentialSecret::UserPassword { .. } | CredentialSecret::Custom(_) => None,
    }
}

impl Index {
    fn new(records: &Records) -> Self {
        let mut index = Self::default();
        for (at, provider) in records.providers.iter().enumerate() {
            index.provider_names.insert(provider.name.clone(), at);
        }
        for (at, gateway) in records.gateways.iter().enumerate() {
            index.gateway_names.entry(gateway.name.clone()).or_default().push(at);
            index.gateways_of.entry(gateway.provider_id).or_default().push(at);
        }
        for (at, mapping) in records.mappings.iter().enumerate() {
            index.mappings_of.entry(mapping.owner.clone()).or_default().push(at);
        }
        for (at, credential) in records.credentials.iter().enumerate() {
            index.credentials_of.entry(credential.owner.clone()).or_default().push(at);
            index.note_account_limit(credential);
        }
        index.menu_of = menu::in_order(records);
        index.lines = Lines::new(records);
        index
    }

    fn note_account_limit(&mut self, credential: &Credential) {
        let (Some(account), Some(limit)) = (&credential.account, credential.limit) else { return };
        let account = (credential.provider_id, account.clone());
        let smallest = self.account_limits.entry(account).or_insert(limit.get());
        *smallest = limit.get().min(*smallest);
    }
}
