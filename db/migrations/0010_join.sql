-- Tokens by which agents join: of the secret only its SHA-256.
CREATE TABLE join_token (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    revoked_ns INTEGER NOT NULL, -- 0: it is not
    uses       INTEGER NOT NULL,
    used       INTEGER NOT NULL,
    approve    INTEGER NOT NULL,
    name_glob  TEXT NOT NULL,    -- '': any
    labels     TEXT NOT NULL,    -- 'key=value,key=value'
    author     TEXT NOT NULL
) STRICT;

-- Certificates that were issued, by the identity of the agent: names change.
CREATE TABLE certificate (
    serial       TEXT PRIMARY KEY,
    public_key   BLOB NOT NULL,
    issued_ns    INTEGER NOT NULL,
    not_after_ns INTEGER NOT NULL,
    der          BLOB NOT NULL
) STRICT;
CREATE INDEX certificate_by_key ON certificate (public_key, issued_ns);
