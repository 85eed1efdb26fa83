-- What pushes of managed gateways leave behind.

-- The version of the snapshot that was pushed last.
ALTER TABLE provider ADD COLUMN snapshot_version INTEGER;
-- Not null: the last snapshot left the record out; it was enabled then, or not.
ALTER TABLE gateway ADD COLUMN withdrawn INTEGER;
ALTER TABLE credential ADD COLUMN withdrawn INTEGER;

-- What was in the last snapshot, by its digest. That could be guessed at, so it is sealed.
CREATE TABLE snapshot (
    id              BLOB PRIMARY KEY CHECK (length(id) = 16),   -- the provider's
    key_id          BLOB NOT NULL,
    record_key      BLOB NOT NULL,
    sealed_digest   BLOB NOT NULL
) STRICT;
