-- What pushes of managed gateways leave behind.

-- Not null: the last snapshot left the record out; it was enabled then, or not.
ALTER TABLE gateway ADD COLUMN withdrawn INTEGER;
ALTER TABLE credential ADD COLUMN withdrawn INTEGER;

-- The snapshot that was pushed last for a provider. Passwords in it could be guessed at by its
-- digest, so that is sealed.
CREATE TABLE snapshot (
    id              BLOB PRIMARY KEY REFERENCES provider (id),
    version         INTEGER NOT NULL,
    key_id          BLOB NOT NULL,
    record_key      BLOB NOT NULL,
    sealed_digest   BLOB NOT NULL
) STRICT;
