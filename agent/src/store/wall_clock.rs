//! The newest wall time each WireGuard key has sent.

use rusqlite::Connection;

use super::columns::Bits;

/// Notes a time and gives the newest of the key's.
pub(super) fn note(
    db: &Connection,
    wireguard_key: &[u8; 32],
    unix_s: u64,
) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "INSERT INTO wall_clock (wireguard_key, unix_s) VALUES (?1, ?2) \
         ON CONFLICT DO UPDATE SET unix_s = max(unix_s, excluded.unix_s) RETURNING unix_s",
    )?
    .query_row((wireguard_key, Bits(unix_s)), |row| row.get::<_, Bits>(0))
    .map(|newest| newest.0)
}
