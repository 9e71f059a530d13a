-- What operators said of an agent: labels, drain, maintenance, revocation, former names; JSON of controller/agent_ops.h.
ALTER TABLE agent ADD COLUMN ops TEXT;
