-- What a release could do that older ones cannot work with; for tests (renamed.c has the statements for it).
ALTER TABLE cursor RENAME COLUMN through_seq TO delivered_seq;
ALTER TABLE cursor RENAME TO delivery;
