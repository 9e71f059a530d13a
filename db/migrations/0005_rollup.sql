-- Roll-ups. Their rows are in tables of a day, month or year that the writer makes: rollup_1min_YYYYMMDD,
-- rollup_10min_YYYYMM, rollup_1h_YYYYMM, rollup_1d_YYYY.

-- How far each day's summaries are rolled up: rows of the day's table up to `through` are; those of (through, until],
-- too, of pairs below next_pair.
CREATE TABLE rollup_day (
    day       INTEGER PRIMARY KEY, -- since 1970, as the table's name
    last      INTEGER NOT NULL,    -- row
    through   INTEGER NOT NULL,
    until     INTEGER NOT NULL,    -- through: no round is under way
    next_pair INTEGER NOT NULL
) STRICT;

-- What each table of summaries (level 0) and cells holds; first_day names it.
CREATE TABLE level_part (
    level     INTEGER NOT NULL,
    first_day INTEGER NOT NULL,
    n_rows    INTEGER NOT NULL,
    octets    INTEGER NOT NULL, -- of rows and their index entries, without what pages leave empty
    PRIMARY KEY (level, first_day)
) STRICT, WITHOUT ROWID;

-- Retention: of this mesh's pairs nothing from before from_ns is kept any more at this level; what is from before
-- done_ns has been deleted.
CREATE TABLE level_kept (
    mesh    TEXT NOT NULL,
    level   INTEGER NOT NULL,
    from_ns INTEGER NOT NULL,
    done_ns INTEGER NOT NULL,
    PRIMARY KEY (mesh, level)
) STRICT, WITHOUT ROWID;
