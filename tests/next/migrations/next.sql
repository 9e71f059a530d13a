-- additive: what the release after this one adds; for tests.
ALTER TABLE agent ADD COLUMN next TEXT NOT NULL DEFAULT 'of an older release';
ALTER TABLE pair ADD COLUMN next INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generation ADD COLUMN next BLOB;
CREATE TABLE next (
    id    INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agent (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX next_by_agent ON next (agent);
