-- additive: triggers do for programs that do not know it what it adds
--
-- Gaps by the agent's number, and the names of agents that were removed, so that what is in the history is found by numbers alone.
CREATE TABLE agent_former (
    id   INTEGER PRIMARY KEY, -- of an agent that was removed; below 0: from before this table, by the name
    name TEXT NOT NULL
) STRICT;
CREATE INDEX agent_former_by_name ON agent_former (name);
INSERT INTO agent_former (id, name) SELECT -min(id), source FROM gap WHERE source NOT IN (SELECT name FROM agent) GROUP BY source;
CREATE TRIGGER agent_removed AFTER DELETE ON agent BEGIN
    INSERT INTO agent_former (id, name) VALUES (old.id, old.name);
END;

ALTER TABLE gap ADD COLUMN agent_id INTEGER NOT NULL DEFAULT 0;
UPDATE gap SET agent_id = ifnull((SELECT id FROM agent WHERE name = source), (SELECT id FROM agent_former WHERE name = source));
CREATE INDEX gap_by_agent ON gap (agent_id, received_ns);
CREATE TRIGGER gap_came AFTER INSERT ON gap WHEN new.agent_id = 0 BEGIN
    UPDATE gap SET agent_id = ifnull((SELECT id FROM agent WHERE name = new.source), 0) WHERE id = new.id;
END;
