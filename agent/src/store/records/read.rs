//! Rows become records.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use egress_core::catalog::{
    Credential, CredentialSecret, Gateway, GatewayScope, LastPush, Mapping, Owner, Provider,
    Records, WireguardOverrides, Withdrawn, Workspace,
};
use egress_core::id::{CredentialId, GatewayId, MappingId, ProviderId};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Row};

use super::RecordError;
use crate::store::columns::{Bits, Json, Word};
use crate::store::seal::{MasterKey, Record, RecordKey};

const PROVIDERS: &str = "SELECT provider.*, snapshot.version AS snapshot_version, record_key, \
    sealed_digest FROM provider LEFT JOIN snapshot USING (id)";

/// Every record of the catalog.
pub(in crate::store) fn read(db: &Connection, key: &MasterKey) -> Result<Records, RecordError> {
    let mapped = selected(db, "SELECT mapping_id, gateway_id FROM mapping_gateway")?;
    let opened = selected(db, "SELECT credential_id, gateway_id FROM credential_gateway")?;
    Ok(Records {
        providers: rows(db, PROVIDERS, |row| provider(row, key))?,
        gateways: rows(db, "SELECT * FROM gateway", |row| gateway(row, key))?,
        mappings: rows(db, "SELECT * FROM mapping", |row| Ok(mapping(row, &mapped)?))?,
        credentials: rows(db, "SELECT * FROM credential", |row| credential(row, &opened, key))?,
        workspaces: rows(db, "SELECT * FROM workspace", |row| Ok(workspace(row)?))?,
    })
}

fn rows<T>(
    db: &Connection,
    sql: &str,
    one: impl Fn(&Row<'_>) -> Result<T, RecordError>,
) -> Result<Vec<T>, RecordError> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(one(row)?);
    }
    Ok(all)
}

/// The gateways listed by each mapping or credential.
type Selected = BTreeMap<[u8; 16], Vec<GatewayId>>;

fn selected(db: &Connection, sql: &str) -> rusqlite::Result<Selected> {
    let mut selected = Selected::new();
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let gateway = GatewayId::from_bytes(row.get(1)?);
        selected.entry(row.get(0)?).or_default().push(gateway);
    }
    Ok(selected)
}

fn provider(row: &Row<'_>, key: &MasterKey) -> Result<Provider, RecordError> {
    let id = ProviderId::from_bytes(row.get("id")?);
    Ok(Provider {
        id,
        name: row.get("name")?,
        kind: row.get::<_, Word<_>>("kind")?.0,
        enabled: row.get("enabled")?,
        managed: row.get("managed")?,
        enable_new_managed_gateways: row.get("enable_new_managed_gateways")?,
        external_id: row.get("external_id")?,
        version: row.get::<_, Bits>("version")?.0,
        split: row.get("split")?,
        on_hooks: row.get::<_, Word<_>>("on_hooks")?.0,
        key_sharing: row.get::<_, Word<_>>("key_sharing")?.0,
        selection: row.get::<_, Word<_>>("selection")?.0,
        release_delay_s: row.get("release_delay_s")?,
        last_push: last_push(row, id, key)?,
    })
}

fn last_push(
    row: &Row<'_>,
    provider: ProviderId,
    key: &MasterKey,
) -> Result<Option<LastPush>, RecordError> {
    let Some(Bits(version)) = row.get("snapshot_version")? else { return Ok(None) };
    let key = record_key(row, key, Record::new("snapshot", &provider))?;
    let digest = key.open_32("digest", &row.get::<_, Vec<u8>>("sealed_digest")?)?;
    Ok(Some(LastPush { version, digest }))
}

fn gateway(row: &Row<'_>, key: &MasterKey) -> Result<Gateway, RecordError> {
    let id = GatewayId::from_bytes(row.get("id")?);
    let key = record_key(row, key, Record::new("gateway", &id))?;
    let config = key.open_text("config", &row.get::<_, Vec<u8>>("sealed_config")?)?;
    Ok(Gateway {
        id,
        provider_id: ProviderId::from_bytes(row.get("provider_id")?),
        name: row.get("name")?,
        country: row.get("country")?,
        city: row.get("city")?,
        enabled: row.get("enabled")?,
        config: config.expose().clone(),
        external_id: row.get("external_id")?,
        version: row.get::<_, Bits>("version")?.0,
        expected_exit: row.get::<_, Option<Json<_>>>("expected_exit")?.map(|exit| exit.0),
        withdrawn: withdrawn(row)?,
    })
}

fn mapping(row: &Row<'_>, selected: &Selected) -> rusqlite::Result<Mapping> {
    Ok(Mapping {
        id: MappingId::from_bytes(row.get("id")?),
        provider_id: ProviderId::from_bytes(row.get("provider_id")?),
        enabled: row.get("enabled")?,
        owner: owner(row)?,
        gateways: scope(row, selected)?,
        version: row.get::<_, Bits>("version")?.0,
    })
}

fn credential(
    row: &Row<'_>,
    selected: &Selected,
    key: &MasterKey,
) -> Result<Credential, RecordError> {
    let id = CredentialId::from_bytes(row.get("id")?);
    let key = record_key(row, key, Record::new("credential", &id))?;
    Ok(Credential {
        id,
        provider_id: ProviderId::from_bytes(row.get("provider_id")?),
        name: row.get("name")?,
        enabled: row.get("enabled")?,
        owner: owner(row)?,
        secret: secret(row, &key)?,
        gateways: scope(row, selected)?,
        limit: row.get::<_, Option<u32>>("max_active")?.and_then(NonZeroU32::new),
        external_id: row.get("external_id")?,
        overrides: overrides(row, &key)?,
        account: row.get("account")?,
        version: row.get::<_, Bits>("version")?.0,
        secret_version: row.get::<_, Bits>("secret_version")?.0,
        withdrawn: withdrawn(row)?,
    })
}

fn workspace(row: &Row<'_>) -> rusqlite::Result<Workspace> {
    Ok(Workspace {
        name: row.get("name")?,
        egress: row.get::<_, Word<_>>("egress")?.0,
        override_egress_gateways: row.get("override_egress_gateways")?,
        version: row.get::<_, Bits>("version")?.0,
    })
}

fn withdrawn(row: &Row<'_>) -> rusqlite::Result<Option<Withdrawn>> {
    let was_enabled: Option<bool> = row.get("withdrawn")?;
    Ok(was_enabled.map(|was_enabled| Withdrawn { was_enabled }))
}

fn owner(row: &Row<'_>) -> rusqlite::Result<Owner> {
    let (kind, name) = (row.get::<_, String>("owner_kind")?, row.get("owner")?);
    match kind.as_str() {
        "user" => Ok(Owner::User(name)),
        "group" => Ok(Owner::Group(name)),
        "workspace" => Ok(Owner::Workspace(name)),
        _ => Err(FromSqlError::InvalidType.into()),
    }
}

fn scope(row: &Row<'_>, selected: &Selected) -> rusqlite::Result<GatewayScope> {
    if row.get("all_gateways")? {
        return Ok(GatewayScope::All);
    }
    let listed = selected.get(&row.get::<_, [u8; 16]>("id")?);
    Ok(GatewayScope::Selected(listed.into_iter().flatten().copied().collect()))
}

fn record_key(row: &Row<'_>, key: &MasterKey, record: Record) -> Result<RecordKey, RecordError> {
    let wrapped: Vec<u8> = row.get("record_key")?;
    Ok(key.open_record_key(&wrapped, record)?)
}

fn secret(row: &Row<'_>, key: &RecordKey) -> Result<CredentialSecret, RecordError> {
    let kind: String = row.get("secret_kind")?;
    let sealed: Vec<u8> = row.get("sealed_secret")?;
    match kind.as_str() {
        "user_password" => Ok(CredentialSecret::UserPassword {
            username: row.get("username")?,
            password: key.open_text("secret", &sealed)?,
        }),
        "private_key" => Ok(CredentialSecret::PrivateKey(key.open_32("secret", &sealed)?)),
        "custom" => Ok(CredentialSecret::Custom(key.open_text("secret", &sealed)?)),
        _ => Err(rusqlite::Error::from(FromSqlError::InvalidType).into()),
    }
}

fn overrides(row: &Row<'_>, key: &RecordKey) -> Result<WireguardOverrides, RecordError> {
    let sealed: Option<Vec<u8>> = row.get("sealed_preshared_key")?;
    let open = |sealed: Vec<u8>| key.open_32("preshared_key", &sealed);
    Ok(WireguardOverrides {
        addresses: row.get::<_, Json<_>>("addresses")?.0,
        dns: row.get::<_, Json<_>>("dns")?.0,
        mtu: row.get("mtu")?,
        preshared_key: sealed.map(open).transpose()?,
    })
}
