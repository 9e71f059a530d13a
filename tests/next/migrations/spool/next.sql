-- additive: what the release after this one adds; for tests.
ALTER TABLE record ADD COLUMN next INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN next INTEGER NOT NULL DEFAULT 0;
CREATE TABLE next (id INTEGER PRIMARY KEY) STRICT;
