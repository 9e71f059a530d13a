-- Tests on demand. Their results are rows of the days' tables like all others, marked by test_id.

CREATE TABLE test (
    id          INTEGER PRIMARY KEY,
    started_ns  INTEGER NOT NULL,
    ended_ns    INTEGER NOT NULL, -- 0: it runs, or the controller ended before it did
    author      TEXT NOT NULL,
    what        TEXT NOT NULL,    -- "ams > fra"
    settings    TEXT NOT NULL,
    count       INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    state       TEXT NOT NULL
) STRICT;

CREATE TABLE test_run (
    test_id    INTEGER NOT NULL,
    pair_id    INTEGER NOT NULL,
    state      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    ended_ns   INTEGER NOT NULL,
    PRIMARY KEY (test_id, pair_id)
) STRICT, WITHOUT ROWID;
