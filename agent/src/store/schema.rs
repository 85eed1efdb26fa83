//! The store's tables, and how a file of an older version gets them.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours (SQLite's `application_id`): "EGRS".
pub(super) const APPLICATION_ID: i32 = 0x4547_5253;

/// Every migration, oldest first; a file's `user_version` counts those it has had. Never change
/// one that was released: add the next, and keep a file of its version beside the tests.
pub(super) const MIGRATIONS: [&str; 3] =
    [include_str!("schema_1.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

/// The version of a file that has had every migration.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a handful")]
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// The version of a file; 0 for an empty one.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file to the last of these migrations, each step whole or not at all. A step may leave
/// references that lead nowhere only until it ends.
pub(super) fn migrate(db: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let have = version(db)?;
    for (version, sql) in (1..).zip(migrations).filter(|(version, _)| *version > have) {
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.pragma_update(None, "defer_foreign_keys", "ON")?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(())
}
