-- Operators' tokens, of which only the digest is kept, and the log of what was changed, by whom.

CREATE TABLE access_token (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL, -- SHA-256 of the secret
    role       INTEGER NOT NULL,
    name       TEXT NOT NULL,
    author     TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL, -- 0: never, as the next two
    revoked_ns INTEGER NOT NULL,
    used_ns    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    time_ns  INTEGER NOT NULL,
    who      TEXT NOT NULL,
    role     TEXT NOT NULL,
    token_id TEXT NOT NULL, -- "": not by a token
    way      TEXT NOT NULL,
    origin   TEXT NOT NULL,
    method   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    status   INTEGER NOT NULL, -- -1: begun
    detail   TEXT NOT NULL,
    request  TEXT NOT NULL,
    before   TEXT NOT NULL,
    after    TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (time_ns);
