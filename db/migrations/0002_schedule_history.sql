-- What the schedule was: the documents by content, which of them each mesh had from which generation on, and who
-- made the generation why.

CREATE TABLE document (
    id   INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL, -- of the text; 0: not reckoned
    text TEXT NOT NULL
) STRICT;
CREATE INDEX document_by_hash ON document (hash);

-- From this generation on; what a mesh was in generation N is its newest row up to N.
CREATE TABLE mesh_version (
    mesh       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    document   INTEGER REFERENCES document (id), -- NULL: deleted
    paused     INTEGER NOT NULL,
    PRIMARY KEY (mesh, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_version_by_generation ON mesh_version (generation);
CREATE INDEX mesh_version_by_document ON mesh_version (document);

ALTER TABLE generation RENAME COLUMN reason TO what;
ALTER TABLE generation ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE generation ADD COLUMN first INTEGER NOT NULL DEFAULT 0; -- the row stands for first..number
ALTER TABLE generation ADD COLUMN pairs INTEGER;                   -- NULL: from before this migration
ALTER TABLE generation ADD COLUMN added INTEGER;
ALTER TABLE generation ADD COLUMN removed INTEGER;
ALTER TABLE generation ADD COLUMN changed INTEGER;
ALTER TABLE generation ADD COLUMN complete INTEGER NOT NULL DEFAULT 0; -- the documents of all meshes are known
UPDATE generation SET first = number;
UPDATE generation SET complete = 1 WHERE number = (SELECT max(number) FROM generation);

INSERT INTO document (id, hash, text) SELECT rowid, 0, document FROM mesh;
INSERT INTO mesh_version (mesh, generation, document, paused) SELECT name, generation, rowid, paused FROM mesh;
