-- When what was dropped had come into the spool; 0: not known.
ALTER TABLE gap ADD COLUMN from_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gap ADD COLUMN until_ns INTEGER NOT NULL DEFAULT 0;
