//! Leases: the right to one live connection on a credential.
//!
//! A lease has a slot number of its credential, of its account where it has one, and its conflict
//! keys; the table's unique indexes make two holders of one of them impossible.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use egress_core::id::{CredentialId, ProviderId, SessionId};
use egress_core::wireguard::ConflictKey;
use rusqlite::{Connection, OptionalExtension, Row};

use super::columns::Text;
use super::in_use::{Change, Held};

/// The right to one live connection on a credential. There is no copy of it; it ends with
/// [`release`](super::Store::release), not when it is dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    pub(super) session: SessionId,
    pub(super) credential: CredentialId,
    pub(super) slot: u32,
    pub(super) committed: bool,
}

impl Lease {
    /// Who has it.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// On which credential.
    pub fn credential(&self) -> CredentialId {
        self.credential
    }

    /// Its number among the credential's connections, from 1.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether its tunnel has stood.
    pub fn committed(&self) -> bool {
        self.committed
    }
}

/// What became of a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// The first candidate that had room.
    Taken {
        /// Which.
        credential: CredentialId,
        /// The right to connect with it.
        lease: Lease,
    },
    /// Every candidate is at its limit.
    LimitReached,
    /// No candidate has room, at least one only because its key is live towards that gateway.
    KeyInUse,
    /// The session has a lease that is for none of the candidates, but for another credential or
    /// another peer: release it first.
    HoldsAnother {
        /// The credential it has.
        credential: CredentialId,
    },
}

const LEASES: &str = "SELECT session_id, credential_id, slot, committed FROM lease";

/// The session's lease.
pub(super) fn held_by(db: &Connection, session: &SessionId) -> rusqlite::Result<Option<Lease>> {
    db.prepare_cached(&format!("{LEASES} WHERE session_id = ?1"))?
        .query_row([session.as_str()], read)
        .optional()
}

/// Every lease that a session has, in the order in which they were taken.
pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<Lease>> {
    db.prepare_cached(&format!("{LEASES} WHERE session_id IS NOT NULL ORDER BY id"))?
        .query_map([], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        session: row.get::<_, Text<SessionId>>("session_id")?.0,
        credential: CredentialId::from_bytes(row.get("credential_id")?),
        slot: row.get("slot")?,
        committed: row.get("committed")?,
    })
}

/// Notes that the lease's tunnel has stood; no lease is fine.
pub(super) fn commit(db: &Connection, session: &SessionId) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE lease SET committed = TRUE WHERE session_id = ?1")?
        .execute([session.as_str()])?;
    Ok(())
}

/// Ends the session's lease, now or after it has cooled; no lease is fine.
pub(super) fn release(
    db: &Connection,
    session: &SessionId,
    cool_for: Duration,
) -> rusqlite::Result<Option<Change>> {
    if cool_for.is_zero() {
        return end(db, session);
    }
    let cool_ms = millis(cool_for);
    let lease = db
        .prepare_cached(
            "UPDATE lease SET session_id = NULL, cool_until_ms = ?2, cool_for_ms = ?3 \
             WHERE session_id = ?1 RETURNING id",
        )?
        .query_row((session.as_str(), unix_ms().saturating_add(cool_ms), cool_ms), |row| row.get(0))
        .optional()?;
    Ok(lease.map(|lease| Change::Cooling { lease, until: Instant::now() + cool_for }))
}

fn end(db: &Connection, session: &SessionId) -> rusqlite::Result<Option<Change>> {
    let lease = db
        .prepare_cached("DELETE FROM lease WHERE session_id = ?1 RETURNING id")?
        .query_row([session.as_str()], |row| row.get(0))
        .optional()?;
    Ok(lease.map(|lease| Change::Freed { lease }))
}

/// Ends the leases of sessions that have no row or are blocked, and names them.
pub(super) fn release_orphans(db: &Connection) -> rusqlite::Result<(Vec<SessionId>, Vec<Change>)> {
    let ended: Vec<(i64, Text<SessionId>)> = db
        .prepare_cached(
            "DELETE FROM lease WHERE session_id IS NOT NULL \
             AND session_id NOT IN (SELECT session_id FROM session WHERE state <> 'blocked') \
             RETURNING id, session_id",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(ended.into_iter().map(|(lease, session)| (session.0, Change::Freed { lease })).unzip())
}

/// Frees the slots of leases that have cooled.
pub(super) fn free(db: &Connection, leases: &[i64]) -> rusqlite::Result<()> {
    let transaction = db.unchecked_transaction()?;
    for lease in leases {
        transaction.prepare_cached("DELETE FROM lease WHERE id = ?1")?.execute([lease])?;
    }
    transaction.commit()
}

/// What the table says is held, as changes to an empty [`InUseSnapshot`](super::InUseSnapshot).
pub(super) fn restore(db: &Connection) -> rusqlite::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut leases = db.prepare("SELECT * FROM lease")?;
    let mut rows = leases.query([])?;
    while let Some(row) = rows.next()? {
        let lease = row.get("id")?;
        changes.push(Change::Held(lease, held(db, row, lease)?));
        if let Some(cool_for) = row.get::<_, Option<i64>>("cool_for_ms")? {
            let left = remaining(row.get("cool_until_ms")?, cool_for, unix_ms());
            changes.push(Change::Cooling { lease, until: Instant::now() + left });
        }
    }
    Ok(changes)
}

fn held(db: &Connection, row: &Row<'_>, lease: i64) -> rusqlite::Result<Held> {
    let provider = row.get::<_, Option<_>>("account_provider")?.map(ProviderId::from_bytes);
    let keys = db
        .prepare_cached("SELECT conflict_key FROM lease_key WHERE lease_id = ?1")?
        .query_map([lease], |row| row.get(0).map(ConflictKey))?
        .collect::<Result<_, _>>()?;
    Ok(Held {
        session: row.get::<_, Option<Text<SessionId>>>("session_id")?.map(|text| text.0),
        credential: CredentialId::from_bytes(row.get("credential_id")?),
        account: provider.zip(row.get("account")?),
        keys,
    })
}

/// How long a lease still cools. A clock that was set back does not make it longer than it was
/// meant to be.
fn remaining(until_ms: i64, cool_for_ms: i64, now_ms: i64) -> Duration {
    let left = until_ms.saturating_sub(now_ms).clamp(0, cool_for_ms.max(0));
    Duration::from_millis(left.cast_unsigned())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since the epoch.
pub(super) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_does_not_make_a_slot_cool_longer_than_asked() {
        let hour = 3_600_000;
        assert_eq!(remaining(10_000, 5_000, 8_000), Duration::from_secs(2));
        assert_eq!(remaining(10_000, 5_000, 10_000 - hour), Duration::from_secs(5), "set back");
        assert_eq!(remaining(10_000, 5_000, 10_000 + hour), Duration::ZERO, "set ahead");
    }
}
