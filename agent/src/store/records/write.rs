//! Records become rows: only those that differ are written.

use egress_core::catalog::{
    Credential, CredentialSecret, Differences, Gateway, GatewayScope, LastPush, Mapping, Owner,
    Provider, Versions, Workspace,
};
use egress_core::id::{CredentialId, GatewayId, ProviderId};
use rusqlite::{Connection, named_params};

use crate::store::columns::{Bits, Json, Word};
use crate::store::seal::{MasterKey, Record};

/// Makes the tables hold what is now. Call it in a transaction.
///
/// What changed is deleted and inserted again, all deletions first, so that two records may swap
/// their names.
pub(in crate::store) fn write(
    db: &Connection,
    key: &MasterKey,
    changes: &Differences<'_>,
) -> rusqlite::Result<()> {
    let Differences { providers, gateways, mappings, credentials, workspaces } = changes;
    // Within the transaction a reference may lead nowhere for a while.
    db.pragma_update(None, "defer_foreign_keys", "ON")?;
    delete(db, &DELETE_PROVIDER, providers, |it| *it.id.as_bytes())?;
    delete(db, &["DELETE FROM gateway WHERE id = ?1"], gateways, |it| *it.id.as_bytes())?;
    delete(db, &DELETE_MAPPING, mappings, |it| *it.id.as_bytes())?;
    delete(db, &DELETE_CREDENTIAL, credentials, |it| *it.id.as_bytes())?;
    delete(db, &["DELETE FROM workspace WHERE name = ?1"], workspaces, |it| it.name.clone())?;

    insert(providers, |it| insert_provider(db, key, it))?;
    insert(gateways, |it| insert_gateway(db, key, it))?;
    insert(mappings, |it| insert_mapping(db, it))?;
    insert(credentials, |it| insert_credential(db, key, it))?;
    insert(workspaces, |it| insert_workspace(db, it))
}

const DELETE_PROVIDER: [&str; 2] =
    ["DELETE FROM snapshot WHERE id = ?1", "DELETE FROM provider WHERE id = ?1"];
const DELETE_MAPPING: [&str; 2] =
    ["DELETE FROM mapping_gateway WHERE mapping_id = ?1", "DELETE FROM mapping WHERE id = ?1"];
const DELETE_CREDENTIAL: [&str; 2] = [
    "DELETE FROM credential_gateway WHERE credential_id = ?1",
    "DELETE FROM credential WHERE id = ?1",
];

fn delete<R, K: rusqlite::ToSql>(
    db: &Connection,
    statements: &[&str],
    changes: &[Versions<'_, R>],
    key: impl Fn(&R) -> K,
) -> rusqlite::Result<()> {
    for statement in statements {
        let mut statement = db.prepare_cached(statement)?;
        for record in changes.iter().filter_map(|it| it.before) {
            statement.execute([key(record)])?;
        }
    }
    Ok(())
}

fn insert<R>(
    changes: &[Versions<'_, R>],
    insert: impl Fn(&R) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    changes.iter().filter_map(|it| it.now).try_for_each(insert)
}

const PROVIDER: &str = "INSERT INTO provider (id, name, kind, enabled, managed, \
    enable_new_managed_gateways, external_id, version, split, on_hooks, key_sharing, selection, \
    release_delay_s) VALUES (:id, :name, :kind, :enabled, :managed, :enable_new, :external_id, \
    :version, :split, :on_hooks, :key_sharing, :selection, :release_delay_s)";

fn insert_provider(db: &Connection, key: &MasterKey, provider: &Provider) -> rusqlite::Result<()> {
    db.prepare_cached(PROVIDER)?.execute(named_params! {
        ":id": provider.id.as_bytes(),
        ":name": provider.name,
        ":kind": Word(provider.kind),
        ":enabled": provider.enabled,
        ":managed": provider.managed,
        ":enable_new": provider.enable_new_managed_gateways,
        ":external_id": provider.external_id,
        ":version": Bits(provider.version),
        ":split": provider.split,
        ":on_hooks": Word(provider.on_hooks),
        ":key_sharing": Word(provider.key_sharing),
        ":selection": Word(provider.selection),
        ":release_delay_s": provider.release_delay_s,
    })?;
    match &provider.last_push {
        Some(push) => insert_snapshot(db, key, provider.id, push),
        None => Ok(()),
    }
}

const SNAPSHOT: &str = "INSERT INTO snapshot (id, version, key_id, record_key, sealed_digest) \
    VALUES (:id, :version, :key_id, :record_key, :sealed_digest)";

fn insert_snapshot(
    db: &Connection,
    key: &MasterKey,
    provider: ProviderId,
    push: &LastPush,
) -> rusqlite::Result<()> {
    let (record_key, wrapped) = key.new_record_key(Record::new("snapshot", &provider));
    db.prepare_cached(SNAPSHOT)?.execute(named_params! {
        ":id": provider.as_bytes(),
        ":version": Bits(push.version),
        ":key_id": key.id().0,
        ":record_key": wrapped,
        ":sealed_digest": record_key.seal("digest", push.digest.expose()),
    })?;
    Ok(())
}

const GATEWAY: &str = "INSERT INTO gateway (id, provider_id, name, country, city, enabled, \
    external_id, version, expected_exit, withdrawn, key_id, record_key, sealed_config) VALUES (:id, \
    :provider_id, :name, :country, :city, :enabled, :external_id, :version, :expected_exit, \
    :withdrawn, :key_id, :record_key, :sealed_config)";

fn insert_gateway(db: &Connection, key: &MasterKey, gateway: &Gateway) -> rusqlite::Result<()> {
    let (record_key, wrapped) = key.new_record_key(Record::new("gateway", &gateway.id));
    db.prepare_cached(GATEWAY)?.execute(named_params! {
        ":id": gateway.id.as_bytes(),
        ":provider_id": gateway.provider_id.as_bytes(),
        ":name": gateway.name,
        ":country": gateway.country,
        ":city": gateway.city,
        ":enabled": gateway.enabled,
        ":external_id": gateway.external_id,
        ":version": Bits(gateway.version),
        ":expected_exit": gateway.expected_exit.as_ref().map(Json),
        ":withdrawn": gateway.withdrawn.map(|withdrawn| withdrawn.was_enabled),
        ":key_id": key.id().0,
        ":record_key": wrapped,
        ":sealed_config": record_key.seal("config", gateway.config.as_bytes()),
    })?;
    Ok(())
}

const MAPPING: &str = "INSERT INTO mapping (id, provider_id, enabled, owner_kind, owner, \
    all_gateways, version) VALUES (:id, :provider_id, :enabled, :owner_kind, :owner, \
    :all_gateways, :version)";

fn insert_mapping(db: &Connection, mapping: &Mapping) -> rusqlite::Result<()> {
    let (owner_kind, owner) = owner(&mapping.owner);
    db.prepare_cached(MAPPING)?.execute(named_params! {
        ":id": mapping.id.as_bytes(),
        ":provider_id": mapping.provider_id.as_bytes(),
        ":enabled": mapping.enabled,
        ":owner_kind": owner_kind,
        ":owner": owner,
        ":all_gateways": mapping.gateways == GatewayScope::All,
        ":version": Bits(mapping.version),
    })?;
    let sql = "INSERT INTO mapping_gateway (mapping_id, gateway_id) VALUES (?1, ?2)";
    insert_selected(db, sql, mapping.id.as_bytes(), &mapping.gateways)
}

const CREDENTIAL: &str = "INSERT INTO credential (id, provider_id, name, enabled, owner_kind, \
    owner, all_gateways, max_active, external_id, account, version, withdrawn, secret_version, \
    addresses, dns, mtu, secret_kind, username, key_id, record_key, sealed_secret, sealed_preshared_key) VALUES (:id, \
    :provider_id, :name, :enabled, :owner_kind, :owner, :all_gateways, :max_active, :external_id, \
    :account, :version, :withdrawn, :secret_version, :addresses, :dns, :mtu, :secret_kind, \
    :username, :key_id, :record_key, :sealed_secret, :sealed_preshared_key)";

fn insert_credential(
    db: &Connection,
    key: &MasterKey,
    credential: &Credential,
) -> rusqlite::Result<()> {
    let (owner_kind, owner) = owner(&credential.owner);
    let (record_key, wrapped) = key.new_record_key(Record::new("credential", &credential.id));
    let secret = Plain::of(&credential.secret);
    let preshared_key = credential.overrides.preshared_key.as_ref();
    db.prepare_cached(CREDENTIAL)?.execute(named_params! {
        ":id": credential.id.as_bytes(),
        ":provider_id": credential.provider_id.as_bytes(),
        ":name": credential.name,
        ":enabled": credential.enabled,
        ":owner_kind": owner_kind,
        ":owner": owner,
        ":all_gateways": credential.gateways == GatewayScope::All,
        ":max_active": credential.limit.map(u32::from),
        ":external_id": credential.external_id,
        ":account": credential.account,
        ":version": Bits(credential.version),
        ":withdrawn": credential.withdrawn.map(|withdrawn| withdrawn.was_enabled),
        ":secret_version": Bits(credential.secret_version),
        ":addresses": Json(&credential.overrides.addresses),
        ":dns": Json(&credential.overrides.dns),
        ":mtu": credential.overrides.mtu,
        ":secret_kind": secret.kind,
        ":username": secret.username,
        ":key_id": key.id().0,
        ":record_key": wrapped,
        ":sealed_secret": record_key.seal("secret", secret.secret),
        ":sealed_preshared_key":
            preshared_key.map(|preshared| record_key.seal("preshared_key", preshared.expose())),
    })?;
    let sql = "INSERT INTO credential_gateway (credential_id, gateway_id) VALUES (?1, ?2)";
    insert_selected(db, sql, credential.id.as_bytes(), &credential.gateways)
}

const WORKSPACE: &str = "INSERT INTO workspace (name, egress, override_egress_gateways, version) \
    VALUES (:name, :egress, :override_egress_gateways, :version)";

fn insert_workspace(db: &Connection, workspace: &Workspace) -> rusqlite::Result<()> {
    db.prepare_cached(WORKSPACE)?.execute(named_params! {
        ":name": workspace.name,
        ":egress": Word(workspace.egress),
        ":override_egress_gateways": workspace.override_egress_gateways,
        ":version": Bits(workspace.version),
    })?;
    Ok(())
}

fn insert_selected(
    db: &Connection,
    sql: &str,
    of: &[u8; 16],
    gateways: &GatewayScope,
) -> rusqlite::Result<()> {
    let GatewayScope::Selected(gateways) = gateways else { return Ok(()) };
    let mut insert = db.prepare_cached(sql)?;
    for gateway in gateways {
        insert.execute((of, gateway.as_bytes()))?;
    }
    Ok(())
}

fn owner(owner: &Owner) -> (&'static str, &str) {
    match owner {
        Owner::User(name) => ("user", name),
        Owner::Group(name) => ("group", name),
        Owner::Workspace(name) => ("workspace", name),
    }
}

/// A credential's secret in the moment in which it is sealed.
struct Plain<'a> {
    kind: &'static str,
    username: Option<&'a str>,
    secret: &'a [u8],
}

impl<'a> Plain<'a> {
    fn of(secret: &'a CredentialSecret) -> Self {
        match secret {
            CredentialSecret::UserPassword { username, password } => Self {
                kind: "user_password",
                username: Some(username),
                secret: password.expose().as_bytes(),
            },
            CredentialSecret::PrivateKey(key) => {
                Self { kind: "private_key", username: None, secret: key.expose() }
            }
            CredentialSecret::Custom(text) => {
                Self { kind: "custom", username: None, secret: text.expose().as_bytes() }
            }
        }
    }
}

/// Wraps every record's key with another master key.
pub(in crate::store) fn rewrap(
    db: &Connection,
    old: &MasterKey,
    new: &MasterKey,
) -> Result<(), super::RecordError> {
    rewrap_table(db, "gateway", old, new, |id| GatewayId::from_bytes(id).to_string())?;
    rewrap_table(db, "credential", old, new, |id| CredentialId::from_bytes(id).to_string())?;
    rewrap_table(db, "snapshot", old, new, |id| ProviderId::from_bytes(id).to_string())?;
    db.execute("UPDATE meta SET key_id = ?1", [new.id().0])?;
    Ok(())
}

fn rewrap_table(
    db: &Connection,
    table: &'static str,
    old: &MasterKey,
    new: &MasterKey,
    name: impl Fn([u8; 16]) -> String,
) -> Result<(), super::RecordError> {
    let keys: Vec<([u8; 16], Vec<u8>)> = db
        .prepare(&format!("SELECT id, record_key FROM {table}"))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut update =
        db.prepare(&format!("UPDATE {table} SET record_key = ?2, key_id = ?3 WHERE id = ?1"))?;
    for (id, wrapped) in keys {
        let wrapped = old.rewrap(&wrapped, &Record::new(table, &name(id)), new)?;
        update.execute((id, wrapped, new.id().0))?;
    }
    Ok(())
}
