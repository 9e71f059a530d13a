-- additive: while the table is empty. While it is not, schema_floor admits only programs that know it (store_append.c), since others
-- would store again what is stored already.
--
-- What of a spool is stored beyond its cursor: fresh results come before the backlog of an outage.
CREATE TABLE cursor_ahead (
    agent_id  INTEGER NOT NULL REFERENCES agent (id) ON DELETE CASCADE,
    spool_id  BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    PRIMARY KEY (agent_id, spool_id, first_seq)
) STRICT, WITHOUT ROWID;
