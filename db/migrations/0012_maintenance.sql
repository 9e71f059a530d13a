-- additive: programs that do not know the table go by what is said of agents now, as they did
--
-- When agents were in maintenance, by what had been said at each moment: a report of the past goes by it, whatever is said, or
-- becomes of the agent, later. By its name, as gaps. What is still to come changes with what is said.
CREATE TABLE agent_maintenance (
    agent   TEXT NOT NULL,
    from_ns INTEGER NOT NULL,
    to_ns   INTEGER NOT NULL
) STRICT;
CREATE INDEX agent_maintenance_by_agent ON agent_maintenance (agent, from_ns);

INSERT INTO agent_maintenance (agent, from_ns, to_ns)
SELECT agent.name, CAST(json_extract(span.value, '$.from_ns') AS INTEGER), CAST(json_extract(span.value, '$.to_ns') AS INTEGER)
FROM agent, json_each(agent.ops, '$.maintenance') AS span WHERE json_valid(agent.ops);
