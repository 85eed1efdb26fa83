//! A record's entry with some fields changed: a JSON merge patch (RFC 7396) on what is stored.

use serde_json::{Map, Value};

use super::{
    CredentialEntry, GatewayEntry, MappingEntry, ProviderEntry, Scope, Text, WorkspaceEntry,
};
use crate::catalog::model::{Credential, Gateway, GatewayScope, Mapping, Provider, Workspace};
use crate::catalog::{Catalog, RecordId, RecordKind};
use crate::fault::{Faults, Finding};
use crate::secret::Secret;

/// Of these a record has exactly one.
const OWNERS: [&str; 3] = ["user", "group", "workspace"];
/// Secrets that every record of their kind needs: they are replaced, not removed.
const NEEDED_SECRETS: [&str; 3] = ["private_key", "password", "custom"];

/// The record's entry with these fields in the place of its own; `null` gives a field its default.
/// `None` when there is no such record.
pub fn patched(
    catalog: &Catalog,
    record: &RecordId,
    patch: Map<String, Value>,
) -> Option<Result<Value, Faults>> {
    let entry = entry(catalog, record)?;
    let mut entry = serde_json::to_value(entry).expect("entries have text keys only");
    let patch = match prepared(record, patch) {
        Ok(patch) => patch,
        Err(faults) => return Some(Err(faults)),
    };
    if owns(record.kind()) && OWNERS.iter().any(|owner| is_set(&patch, owner)) {
        for owner in OWNERS {
            fields(&mut entry).remove(owner);
        }
    }
    merge(&mut entry, Value::Object(patch));
    Some(Ok(entry))
}

fn owns(kind: RecordKind) -> bool {
    match kind {
        RecordKind::Mapping | RecordKind::Credential => true,
        RecordKind::Provider | RecordKind::Gateway | RecordKind::Workspace => false,
    }
}

fn is_set(patch: &Map<String, Value>, field: &str) -> bool {
    patch.get(field).is_some_and(|value| !value.is_null())
}

/// What of the patch is to be merged.
fn prepared(
    record: &RecordId,
    mut patch: Map<String, Value>,
) -> Result<Map<String, Value>, Faults> {
    let mut faults = Vec::new();
    let key = if record.kind() == RecordKind::Workspace { "name" } else { "id" };
    let names_another = |value: &Value| value.as_str() != Some(&record.to_string());
    if patch.remove(key).as_ref().is_some_and(names_another) {
        let message = "a record keeps its key: create another, and delete this one";
        faults.push(Finding::fault(message).about(key));
    }
    for secret in NEEDED_SECRETS.iter().filter(|secret| patch.get(**secret) == Some(&Value::Null)) {
        let message = "a secret is not removed: give another one, or leave the field out";
        faults.push(Finding::fault(message).about(*secret));
    }
    // A preshared key that is left out stays, an empty one goes.
    if let Some(preshared_key @ Value::Null) = patch.get_mut("preshared_key") {
        *preshared_key = Value::from("");
    }
    if faults.is_empty() { Ok(patch) } else { Err(Faults(faults)) }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    let target = fields(target);
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn fields(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made one")
}

/// An entry of any kind.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Entry {
    Provider(ProviderEntry),
    Gateway(GatewayEntry),
    Mapping(MappingEntry),
    Credential(CredentialEntry),
    Workspace(WorkspaceEntry),
}

fn entry(catalog: &Catalog, record: &RecordId) -> Option<Entry> {
    Some(match record {
        RecordId::Provider(id) => Entry::Provider(catalog.provider(*id)?.into()),
        RecordId::Gateway(id) => Entry::Gateway(catalog.gateway(*id)?.into()),
        RecordId::Mapping(id) => Entry::Mapping(catalog.mapping(*id)?.into()),
        RecordId::Credential(id) => Entry::Credential(catalog.credential(*id)?.into()),
        RecordId::Workspace(name) => Entry::Workspace(catalog.workspace(name)?.into()),
    })
}

impl From<&Provider> for ProviderEntry {
    fn from(provider: &Provider) -> Self {
        Self {
            id: Some(provider.id),
            name: provider.name.clone(),
            kind: provider.kind,
            enabled: provider.enabled,
            managed: provider.managed,
            enable_new_managed_gateways: provider.enable_new_managed_gateways,
            external_id: provider.external_id.clone(),
            split: provider.split,
            on_hooks: provider.on_hooks,
            key_sharing: provider.key_sharing,
            selection: provider.selection,
            release_delay_s: provider.release_delay_s,
        }
    }
}

impl From<&Gateway> for GatewayEntry {
    fn from(gateway: &Gateway) -> Self {
        Self {
            id: Some(gateway.id),
            provider: gateway.provider_id.to_string(),
            name: gateway.name.clone(),
            country: gateway.country.clone(),
            city: gateway.city.clone(),
            enabled: gateway.enabled,
            config: Text::Inline(Secret::new(gateway.config.clone())),
            external_id: gateway.external_id.clone(),
            expected_exit: gateway.expected_exit.clone(),
        }
    }
}

impl From<&Mapping> for MappingEntry {
    fn from(mapping: &Mapping) -> Self {
        Self {
            id: Some(mapping.id),
            provider: mapping.provider_id.to_string(),
            owner: mapping.owner.clone(),
            gateways: Scope::from(&mapping.gateways),
            enabled: mapping.enabled,
        }
    }
}

impl From<&Credential> for CredentialEntry {
    /// Without its secrets and its username: what is left out stays.
    fn from(credential: &Credential) -> Self {
        let overrides = &credential.overrides;
        Self {
            id: Some(credential.id),
            provider: credential.provider_id.to_string(),
            name: credential.name.clone(),
            owner: credential.owner.clone(),
            private_key: None,
            username: None,
            password: None,
            custom: None,
            gateways: Scope::from(&credential.gateways),
            active_connection_limit: credential.limit,
            account: credential.account.clone(),
            external_id: credential.external_id.clone(),
            address: overrides.addresses.clone(),
            dns: overrides.dns.clone(),
            mtu: overrides.mtu,
            preshared_key: None,
            enabled: credential.enabled,
        }
    }
}

impl From<&Workspace> for WorkspaceEntry {
    fn from(workspace: &Workspace) -> Self {
        Self {
            name: workspace.name.clone(),
            egress: workspace.egress,
            override_egress_gateways: workspace.override_egress_gateways,
        }
    }
}

impl From<&GatewayScope> for Scope {
    fn from(scope: &GatewayScope) -> Self {
        match scope {
            GatewayScope::All => Self::All,
            GatewayScope::Selected(ids) => {
                Self::Selected(ids.iter().map(ToString::to_string).collect())
            }
        }
    }
}
