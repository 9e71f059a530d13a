-- Alerts: what the rules were, what has happened, who is not to be told, and what is on its way to receivers.

CREATE TABLE alert_document (
    version INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    author  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    text    TEXT NOT NULL
) STRICT;

CREATE TABLE alert (
    id         INTEGER PRIMARY KEY,
    open       INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    body       TEXT NOT NULL -- JSON of controller/alert_row.h
) STRICT;
CREATE INDEX alert_open ON alert (open, id);

CREATE TABLE alert_silence (
    id     INTEGER PRIMARY KEY,
    end_ns INTEGER NOT NULL,
    body   TEXT NOT NULL
) STRICT;

CREATE TABLE alert_baseline (
    pair_id INTEGER NOT NULL,
    slot    INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (pair_id, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_notice (
    id       INTEGER PRIMARY KEY,
    made_ns  INTEGER NOT NULL,
    receiver TEXT NOT NULL,
    key      TEXT NOT NULL, -- what the receiver knows it by
    body     TEXT NOT NULL
) STRICT;
