//! Providers, gateways, mappings, credentials: the records, and who may use which.

mod build;
mod change;
mod check;
mod config;
mod difference;
mod document;
mod edits;
mod effect;
mod index;
mod kind;
mod menu;
pub mod model;
mod node;
mod record_id;
mod removal;
pub mod select;
mod snapshot;
mod sorted;
pub mod why;

use std::sync::Arc;

pub use change::{Change, Changed, Expected, NotChanged};
pub use difference::Differences;
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
pub use sorted::Versions;
pub use why::Why;

use crate::id::{CredentialId, GatewayId, MappingId, ProviderId};
use crate::openvpn::OpenvpnConfig;
use crate::wireguard::GatewayConfig;
use index::Index;
use node::{CredentialNode, GatewayNode};
use sorted::Sorted;

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

/// All records, known to be sound together: unique ids and names, references that lead somewhere,
/// configs that parse. Immutable; a change makes another one, which shares with it what stays. A
/// clone shares everything.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    providers: Sorted<ProviderId, Arc<Provider>>,
    gateways: Sorted<GatewayId, Arc<GatewayNode>>,
    mappings: Sorted<MappingId, Arc<Mapping>>,
    credentials: Sorted<CredentialId, Arc<CredentialNode>>,
    workspaces: Sorted<String, Arc<Workspace>>,
    index: Index,
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
    /// A copy of every record, each list in ascending order of its key.
    pub fn records(&self) -> Records {
        Records {
            providers: self.providers().cloned().collect(),
            gateways: self.gateways().cloned().collect(),
            mappings: self.mappings().cloned().collect(),
            credentials: self.credentials().cloned().collect(),
            workspaces: self.workspaces().cloned().collect(),
        }
    }

    /// Every provider, in ascending order of id.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values().map(Arc::as_ref)
    }

    /// Every gateway, in ascending order of id.
    pub fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        self.gateways.values().map(|node| &*node.record)
    }

    /// Every mapping, in ascending order of id.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.values().map(Arc::as_ref)
    }

    /// Every credential, in ascending order of id.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.values().map(|node| &node.record)
    }

    /// Every workspace, in ascending order of name.
    pub fn workspaces(&self) -> impl Iterator<Item = &Workspace> {
        self.workspaces.values().map(Arc::as_ref)
    }

    /// A provider by its id.
    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.get(&id).map(Arc::as_ref)
    }

    /// A provider by its name.
    pub fn provider_named(&self, name: &str) -> Option<&Provider> {
        self.index.provider_names.get(name).and_then(|id| self.provider(*id))
    }

    /// A gateway by its id.
    pub fn gateway(&self, id: GatewayId) -> Option<&Gateway> {
        self.gateways.get(&id).map(|node| &*node.record)
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
        let found = self.index.gateway_names.range(move |(it, _)| it.as_str().cmp(name));
        found.filter_map(|(_, id)| self.gateway(*id))
    }

    /// A provider's gateways, in ascending order of id.
    pub fn gateways_of(&self, provider: ProviderId) -> impl Iterator<Item = &Gateway> {
        let records = self.index.of_provider(provider).filter_map(RecordId::gateway);
        records.filter_map(|id| self.gateway(id))
    }

    /// A provider's credentials, in ascending order of id.
    fn credentials_at(&self, provider: ProviderId) -> impl Iterator<Item = &Credential> {
        let records = self.index.of_provider(provider).filter_map(RecordId::credential);
        records.filter_map(|id| self.credential(id))
    }

    /// A WireGuard gateway's config, as it was parsed when the record entered.
    pub fn wireguard(&self, gateway: GatewayId) -> Option<&GatewayConfig> {
        self.gateways.get(&gateway).and_then(|node| node.parsed.config.wireguard())
    }

    /// An OpenVPN gateway's config, as it was parsed when the record entered.
    pub fn openvpn(&self, gateway: GatewayId) -> Option<&OpenvpnConfig> {
        self.gateways.get(&gateway).and_then(|node| node.parsed.config.openvpn())
    }

    /// A mapping by its id.
    pub fn mapping(&self, id: MappingId) -> Option<&Mapping> {
        self.mappings.get(&id).map(Arc::as_ref)
    }

    /// A credential by its id.
    pub fn credential(&self, id: CredentialId) -> Option<&Credential> {
        self.credentials.get(&id).map(|node| &node.record)
    }

    /// A workspace by its name.
    pub fn workspace(&self, name: &str) -> Option<&Workspace> {
        self.workspaces.get(name).map(Arc::as_ref)
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
        self.index.account_limit(provider, account)
    }

    /// The public key of a WireGuard credential.
    pub fn public_key(&self, credential: CredentialId) -> Option<[u8; 32]> {
        self.credentials.get(&credential)?.public_key
    }
}
