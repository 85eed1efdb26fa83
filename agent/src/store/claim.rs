//! How limits are kept: a claim takes a free slot of the first candidate that has one.

use std::collections::BTreeSet;

use egress_core::catalog::Candidate;
use egress_core::id::{CredentialId, SessionId};
use egress_core::wireguard::ConflictKey;
use rusqlite::{Connection, Row, named_params};

use super::in_use::{Account, Change, Held};
use super::lease::{Claim, Lease, held_by, unix_ms};

/// The lease that the session has or gets, with the table's change where it is new.
pub(super) fn claim(
    db: &Connection,
    session: &SessionId,
    candidates: &[Candidate],
) -> rusqlite::Result<(Claim, Option<Change>)> {
    if let Some(lease) = held_by(db, session)? {
        let credential = lease.credential;
        let keys = keys_of(db, session)?;
        let is_for = |candidate: &Candidate| {
            candidate.credential == credential && keys == distinct(&candidate.conflict_keys)
        };
        let claim = if candidates.iter().any(is_for) {
            Claim::Taken { credential, lease }
        } else {
            Claim::HoldsAnother { credential }
        };
        return Ok((claim, None));
    }
    let mut refusal = Claim::LimitReached;
    for candidate in candidates {
        match room(db, candidate)? {
            Room::Free { slot, account_slot } => {
                return take(db, session, candidate, slot, account_slot);
            }
            Room::Full => {}
            Room::KeyTaken => refusal = Claim::KeyInUse,
        }
    }
    Ok((refusal, None))
}

fn keys_of(db: &Connection, session: &SessionId) -> rusqlite::Result<BTreeSet<ConflictKey>> {
    db.prepare_cached(
        "SELECT conflict_key FROM lease_key JOIN lease ON lease.id = lease_id WHERE session_id = ?1",
    )?
    .query_map([session.as_str()], |row| row.get(0).map(ConflictKey))?
    .collect()
}

fn distinct(keys: &[ConflictKey]) -> BTreeSet<ConflictKey> {
    keys.iter().copied().collect()
}

/// Whether a candidate can carry one more connection.
enum Room {
    Free { slot: u32, account_slot: Option<u32> },
    Full,
    KeyTaken,
}

fn room(db: &Connection, candidate: &Candidate) -> rusqlite::Result<Room> {
    let Some(slot) = free_slot(db, candidate.credential, candidate.limit)? else {
        return Ok(Room::Full);
    };
    let account_slot = match &candidate.account {
        None => None,
        Some(account) => match free_account_slot(db, account, candidate.limit)? {
            None => return Ok(Room::Full),
            some => some,
        },
    };
    let mut taken = db.prepare_cached("SELECT 1 FROM lease_key WHERE conflict_key = ?1")?;
    for key in &candidate.conflict_keys {
        if taken.exists([key.0])? {
            return Ok(Room::KeyTaken);
        }
    }
    Ok(Room::Free { slot, account_slot })
}

const SLOTS: &str = "SELECT count(*), max(slot) FROM lease WHERE credential_id = ?1";
const GAP: &str = "SELECT min(slot) + 1 FROM (SELECT 0 AS slot UNION ALL SELECT slot FROM lease \
    WHERE credential_id = ?1) AS below WHERE NOT EXISTS (SELECT 1 FROM lease \
    WHERE credential_id = ?1 AND slot = below.slot + 1)";
const ACCOUNT_SLOTS: &str = "SELECT count(*), max(account_slot) FROM lease \
    WHERE account_provider = ?1 AND account = ?2";
const ACCOUNT_GAP: &str = "SELECT min(slot) + 1 FROM (SELECT 0 AS slot UNION ALL SELECT account_slot \
    FROM lease WHERE account_provider = ?1 AND account = ?2) AS below WHERE NOT EXISTS (SELECT 1 \
    FROM lease WHERE account_provider = ?1 AND account = ?2 AND account_slot = below.slot + 1)";

fn free_slot(
    db: &Connection,
    credential: CredentialId,
    limit: Option<u32>,
) -> rusqlite::Result<Option<u32>> {
    let (count, highest) = db.prepare_cached(SLOTS)?.query_row([credential.as_bytes()], tally)?;
    match next(count, highest, limit) {
        Next::Full => Ok(None),
        Next::After(highest) => Ok(Some(highest + 1)),
        Next::Gap => {
            db.prepare_cached(GAP)?.query_row([credential.as_bytes()], |row| row.get(0)).map(Some)
        }
    }
}

fn free_account_slot(
    db: &Connection,
    account: &Account,
    limit: Option<u32>,
) -> rusqlite::Result<Option<u32>> {
    let of = (account.0.as_bytes(), &account.1);
    let (count, highest) = db.prepare_cached(ACCOUNT_SLOTS)?.query_row(of, tally)?;
    match next(count, highest, limit) {
        Next::Full => Ok(None),
        Next::After(highest) => Ok(Some(highest + 1)),
        Next::Gap => db.prepare_cached(ACCOUNT_GAP)?.query_row(of, |row| row.get(0)).map(Some),
    }
}

fn tally(row: &Row<'_>) -> rusqlite::Result<(u32, u32)> {
    Ok((row.get(0)?, row.get::<_, Option<u32>>(1)?.unwrap_or(0)))
}

enum Next {
    Full,
    After(u32),
    Gap,
}

/// Where a free number is when `count` numbers up to `highest` are taken: the lowest one under a
/// limit. A limit that was lowered leaves numbers above it taken; they count as well.
fn next(count: u32, highest: u32, limit: Option<u32>) -> Next {
    match limit {
        Some(limit) if count >= limit => Next::Full,
        Some(_) if count < highest => Next::Gap,
        Some(_) | None => Next::After(highest),
    }
}

const TAKE: &str = "INSERT INTO lease (session_id, credential_id, slot, account_provider, account, \
    account_slot, committed, claimed_at) VALUES (:session, :credential, :slot, :provider, :account, \
    :account_slot, FALSE, :now)";

fn take(
    db: &Connection,
    session: &SessionId,
    candidate: &Candidate,
    slot: u32,
    account_slot: Option<u32>,
) -> rusqlite::Result<(Claim, Option<Change>)> {
    db.prepare_cached(TAKE)?.execute(named_params! {
        ":session": session.as_str(),
        ":credential": candidate.credential.as_bytes(),
        ":slot": slot,
        ":provider": candidate.account.as_ref().map(|(provider, _)| provider.as_bytes()),
        ":account": candidate.account.as_ref().map(|(_, account)| account),
        ":account_slot": account_slot,
        ":now": unix_ms() / 1000,
    })?;
    let id = db.last_insert_rowid();
    let mut add_key =
        db.prepare_cached("INSERT INTO lease_key (conflict_key, lease_id) VALUES (?1, ?2)")?;
    for key in distinct(&candidate.conflict_keys) {
        add_key.execute((key.0, id))?;
    }
    let credential = candidate.credential;
    let lease = Lease { session: session.clone(), credential, slot, committed: false };
    let held = Held {
        session: Some(session.clone()),
        credential,
        account: candidate.account.clone(),
        keys: candidate.conflict_keys.clone(),
    };
    Ok((Claim::Taken { credential, lease }, Some(Change::Held(id, held))))
}
