//! Which apply named each record last: what its next `--prune` may remove.

use std::collections::BTreeSet;

use egress_core::catalog::RecordId;
use egress_core::id::{CredentialId, GatewayId, MappingId, ProviderId};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Row};

/// The records of this source.
pub(super) fn by(db: &Connection, source: &str) -> rusqlite::Result<BTreeSet<RecordId>> {
    db.prepare_cached("SELECT kind, record FROM applied WHERE source = ?1")?
        .query_map([source], read)?
        .collect()
}

/// Notes that an apply of this source named these records.
pub(super) fn note(
    db: &Connection,
    source: &str,
    named: &BTreeSet<RecordId>,
) -> rusqlite::Result<()> {
    let mut put = db.prepare_cached(
        "INSERT INTO applied (kind, record, source) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET source = excluded.source WHERE source <> excluded.source",
    )?;
    for record in named {
        let (kind, key) = columns(record);
        put.execute((kind, key, source))?;
    }
    Ok(())
}

/// Forgets records that are gone.
pub(super) fn forget(
    db: &Connection,
    gone: impl IntoIterator<Item = RecordId>,
) -> rusqlite::Result<()> {
    let mut forget = db.prepare_cached("DELETE FROM applied WHERE kind = ?1 AND record = ?2")?;
    for record in gone {
        forget.execute(columns(&record))?;
    }
    Ok(())
}

fn columns(record: &RecordId) -> (&'static str, &[u8]) {
    match record {
        RecordId::Provider(id) => ("provider", id.as_bytes()),
        RecordId::Gateway(id) => ("gateway", id.as_bytes()),
        RecordId::Mapping(id) => ("mapping", id.as_bytes()),
        RecordId::Credential(id) => ("credential", id.as_bytes()),
        RecordId::Workspace(name) => ("workspace", name.as_bytes()),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<RecordId> {
    let kind: String = row.get(0)?;
    match kind.as_str() {
        "provider" => row.get(1).map(ProviderId::from_bytes).map(RecordId::Provider),
        "gateway" => row.get(1).map(GatewayId::from_bytes).map(RecordId::Gateway),
        "mapping" => row.get(1).map(MappingId::from_bytes).map(RecordId::Mapping),
        "credential" => row.get(1).map(CredentialId::from_bytes).map(RecordId::Credential),
        "workspace" => {
            let name = String::from_utf8(row.get(1)?).map_err(FromSqlError::other)?;
            Ok(RecordId::Workspace(name))
        }
        _ => Err(FromSqlError::InvalidType.into()),
    }
}
