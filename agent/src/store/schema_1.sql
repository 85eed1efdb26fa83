-- Ids are the 16 bytes of a UUID. Lists and nested values are JSON. Columns named sealed_* are
-- encrypted with the record's own key, which is in record_key, wrapped by the master key that
-- key_id names.

CREATE TABLE meta (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    key_id  BLOB NOT NULL,
    starts  INTEGER NOT NULL            -- how often the store was opened: the high half of tunnel ids
) STRICT;

CREATE TABLE provider (
    id              BLOB PRIMARY KEY CHECK (length(id) = 16),
    name            TEXT NOT NULL UNIQUE,
    kind            TEXT NOT NULL,
    enabled         INTEGER NOT NULL,
    managed         INTEGER NOT NULL,
    enable_new_managed_gateways INTEGER NOT NULL,
    external_id     TEXT,
    version         INTEGER NOT NULL,
    split           INTEGER NOT NULL,
    on_hooks        TEXT NOT NULL,
    key_sharing     TEXT NOT NULL,
    selection       TEXT NOT NULL,
    release_delay_s INTEGER NOT NULL
) STRICT;

CREATE TABLE gateway (
    id              BLOB PRIMARY KEY CHECK (length(id) = 16),
    provider_id     BLOB NOT NULL REFERENCES provider (id),
    name            TEXT NOT NULL,
    country         TEXT NOT NULL,
    city            TEXT NOT NULL,
    enabled         INTEGER NOT NULL,
    external_id     TEXT,
    version         INTEGER NOT NULL,
    expected_exit   TEXT,
    key_id          BLOB NOT NULL,
    record_key      BLOB NOT NULL,
    sealed_config   BLOB NOT NULL,      -- may hold a preshared key or inline OpenVPN keys
    UNIQUE (provider_id, name)
) STRICT;

CREATE TABLE mapping (
    id              BLOB PRIMARY KEY CHECK (length(id) = 16),
    provider_id     BLOB NOT NULL REFERENCES provider (id),
    enabled         INTEGER NOT NULL,
    owner_kind      TEXT NOT NULL CHECK (owner_kind IN ('user', 'group', 'workspace')),
    owner           TEXT NOT NULL,
    all_gateways    INTEGER NOT NULL,
    version         INTEGER NOT NULL
) STRICT;

CREATE TABLE mapping_gateway (
    mapping_id      BLOB NOT NULL REFERENCES mapping (id),
    gateway_id      BLOB NOT NULL REFERENCES gateway (id),
    PRIMARY KEY (mapping_id, gateway_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mapping_gateway_gateway ON mapping_gateway (gateway_id);

CREATE TABLE credential (
    id              BLOB PRIMARY KEY CHECK (length(id) = 16),
    provider_id     BLOB NOT NULL REFERENCES provider (id),
    name            TEXT NOT NULL,
    enabled         INTEGER NOT NULL,
    owner_kind      TEXT NOT NULL CHECK (owner_kind IN ('user', 'group', 'workspace')),
    owner           TEXT NOT NULL,
    all_gateways    INTEGER NOT NULL,
    max_active      INTEGER CHECK (max_active >= 1),
    external_id     TEXT,
    account         TEXT,
    version         INTEGER NOT NULL,
    addresses       TEXT NOT NULL,
    dns             TEXT NOT NULL,
    mtu             INTEGER,
    secret_kind     TEXT NOT NULL CHECK (secret_kind IN ('user_password', 'private_key', 'custom')),
    username        TEXT,
    key_id          BLOB NOT NULL,
    record_key      BLOB NOT NULL,
    sealed_secret   BLOB NOT NULL,
    sealed_preshared_key BLOB,
    UNIQUE (provider_id, name)
) STRICT;

CREATE TABLE credential_gateway (
    credential_id   BLOB NOT NULL REFERENCES credential (id),
    gateway_id      BLOB NOT NULL REFERENCES gateway (id),
    PRIMARY KEY (credential_id, gateway_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_gateway_gateway ON credential_gateway (gateway_id);

CREATE TABLE workspace (
    name            TEXT PRIMARY KEY,
    egress          TEXT NOT NULL,
    override_egress_gateways INTEGER NOT NULL,
    version         INTEGER NOT NULL
) STRICT;

-- Which apply named a record last: only that one's --prune removes it.
CREATE TABLE applied (
    kind            TEXT NOT NULL,
    record          BLOB NOT NULL,      -- an id, or a workspace's name
    source          TEXT NOT NULL,
    PRIMARY KEY (kind, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX applied_source ON applied (source);

-- A session outlives the records it was made of, so it does not reference them.
CREATE TABLE session (
    session_id      TEXT PRIMARY KEY,
    request         TEXT NOT NULL,
    gateway_id      BLOB,
    credential_id   BLOB,
    netns_boot_id   TEXT NOT NULL,
    netns_cookie    INTEGER NOT NULL,   -- 64 bits, the sign has no meaning
    netns_found_by  TEXT NOT NULL,
    interface       TEXT,
    tunnel_id       INTEGER,
    addresses       TEXT NOT NULL,
    dns             TEXT NOT NULL,
    search          TEXT NOT NULL,
    mtu             INTEGER,
    generation      INTEGER NOT NULL,
    state           TEXT NOT NULL,
    reason          TEXT,
    endpoint        TEXT,
    created_at      INTEGER NOT NULL    -- seconds since the epoch
) STRICT;

-- One row per connection that counts. A lease without a session cools: the VPN server may still
-- count a connection that ended uncleanly. A lease outlives its credential's record.
CREATE TABLE lease (
    id              INTEGER PRIMARY KEY,
    session_id      TEXT UNIQUE,
    credential_id   BLOB NOT NULL,
    slot            INTEGER NOT NULL CHECK (slot >= 1),
    account_provider BLOB,
    account         TEXT,
    account_slot    INTEGER CHECK (account_slot >= 1),
    committed       INTEGER NOT NULL,
    claimed_at      INTEGER NOT NULL,   -- seconds since the epoch
    cool_until_ms   INTEGER,            -- milliseconds since the epoch
    cool_for_ms     INTEGER,            -- bounds the rest of it when the clock was set
    UNIQUE (credential_id, slot),
    UNIQUE (account_provider, account, account_slot),
    CHECK ((session_id IS NULL) = (cool_until_ms IS NOT NULL))
) STRICT;

CREATE TABLE lease_key (
    conflict_key    BLOB PRIMARY KEY,
    lease_id        INTEGER NOT NULL REFERENCES lease (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_key_lease ON lease_key (lease_id);

-- The newest wall time a WireGuard key has sent to its peers, which refuse an older one.
CREATE TABLE wall_clock (
    wireguard_key   BLOB PRIMARY KEY,   -- a digest of the public key
    unix_s          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
