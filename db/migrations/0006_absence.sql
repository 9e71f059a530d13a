-- By which rule a pair ran while it was scheduled, so that what is missing of the past is judged by the rule of its time.

CREATE TABLE times_rule (
    id     INTEGER PRIMARY KEY, -- a hash of the octets
    octets BLOB NOT NULL
) STRICT;

-- NULL: from before rules were kept. 0: it ran always.
ALTER TABLE pair_interval ADD COLUMN rule_id INTEGER;
ALTER TABLE pair_interval ADD COLUMN spacing_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pair_interval ADD COLUMN exponential INTEGER NOT NULL DEFAULT 0;

-- Why summaries are missing: from when to when (NULL: still) nothing of an agent, or of one of its pairs, could come. By the agent's
-- name, as gaps.
CREATE TABLE absence (
    id       INTEGER PRIMARY KEY,
    source   TEXT NOT NULL,
    pair_id  INTEGER NOT NULL, -- 0: all of its pairs
    cause    TEXT NOT NULL,    -- 'agent_down', 'awaited', 'refused'
    reason   TEXT NOT NULL,
    from_ns  INTEGER NOT NULL,
    until_ns INTEGER
) STRICT;
CREATE INDEX absence_by_source ON absence (source, from_ns);

-- When what was dropped had come into the spool; 0: the agent did not say.
ALTER TABLE gap ADD COLUMN from_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gap ADD COLUMN until_ns INTEGER NOT NULL DEFAULT 0;
