-- Control state and the bookkeeping of the history. Raw summaries are in one table per UTC day, which the writer
-- makes from the fields of struct tw_summary when the first row of the day arrives.

CREATE TABLE agent (
    id              INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again for another agent
    name            TEXT NOT NULL UNIQUE,
    public_key      BLOB NOT NULL,
    approved        INTEGER NOT NULL,
    first_seen_ns   INTEGER NOT NULL,
    approved_ns     INTEGER NOT NULL,
    last_contact_ns INTEGER NOT NULL,
    software        TEXT NOT NULL,
    enrolment       TEXT
) STRICT;

-- How far each spool of each agent is stored.
CREATE TABLE cursor (
    agent_id    INTEGER NOT NULL REFERENCES agent (id) ON DELETE CASCADE,
    spool_id    BLOB NOT NULL,
    through_seq INTEGER NOT NULL,
    PRIMARY KEY (agent_id, spool_id)
) STRICT, WITHOUT ROWID;

-- What agents had to drop. By the agent's name, because it outlives the agent's enrolment.
CREATE TABLE gap (
    id          INTEGER PRIMARY KEY,
    source      TEXT NOT NULL,
    spool_id    BLOB NOT NULL,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    received_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX gap_by_source ON gap (source, received_ns);

CREATE TABLE mesh (
    name       TEXT PRIMARY KEY,
    document   TEXT NOT NULL,
    paused     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    author     TEXT NOT NULL
) STRICT;

CREATE TABLE generation (
    number  INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    author  TEXT NOT NULL,
    reason  TEXT NOT NULL
) STRICT;

CREATE TABLE pair (
    id         INTEGER PRIMARY KEY,
    mesh       TEXT NOT NULL,
    class_name TEXT NOT NULL,
    source     TEXT NOT NULL,
    target     TEXT NOT NULL,
    UNIQUE (mesh, class_name, source, target)
) STRICT;

CREATE TABLE pair_interval (
    id         INTEGER PRIMARY KEY,
    pair_id    INTEGER NOT NULL REFERENCES pair (id),
    generation INTEGER NOT NULL,
    period_ns  INTEGER NOT NULL,
    flows      INTEGER NOT NULL,
    from_ns    INTEGER NOT NULL,
    until_ns   INTEGER -- NULL: still scheduled
) STRICT;
CREATE INDEX pair_interval_by_pair ON pair_interval (pair_id, from_ns);
CREATE UNIQUE INDEX pair_interval_open ON pair_interval (pair_id) WHERE until_ns IS NULL;

-- Where the newest summary of each flow is: day (since 1970) names the table, row is its rowid there.
CREATE TABLE latest (
    pair_id  INTEGER NOT NULL,
    flow     INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    day      INTEGER NOT NULL,
    row      INTEGER NOT NULL,
    PRIMARY KEY (pair_id, flow)
) STRICT, WITHOUT ROWID;
