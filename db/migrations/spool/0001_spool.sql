-- One row: who this spool is and how far it got. last_seq only grows, so that a number is never given out twice.
CREATE TABLE state (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    spool_id  BLOB NOT NULL,
    last_seq  INTEGER NOT NULL,
    acked_seq INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    dropped   INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, randomblob(16), 0, 0, 0, 0);

CREATE TABLE record (
    seq     INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    data    BLOB NOT NULL
) STRICT;

CREATE TABLE gap (
    first_seq INTEGER PRIMARY KEY,
    last_seq  INTEGER NOT NULL,
    reason    TEXT NOT NULL
) STRICT;

-- How far was acknowledged in which minute: tells when an acknowledged record may go.
CREATE TABLE ack (
    minute      INTEGER PRIMARY KEY,
    through_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE value (
    key  TEXT PRIMARY KEY,
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
