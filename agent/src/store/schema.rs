//! The store's tables, and how a file of an older version gets them.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours (SQLite's `application_id`): "EGRS".
pub(super) const APPLICATION_ID: i32 = 0x4547_5253;

/// Every migration, oldest first; a file's `user_version` counts those it has had. Never change
/// one that was released: add the next.
const MIGRATIONS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// The version of a file that has had every migration.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a handful")]
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Brings a file to [`VERSION`], each step whole or not at all.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let have: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (version, sql) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > have) {
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(())
}
