-- At which moment of their interval pairs begin their runs: one of 240 slots, chosen when a pair came. 0: none yet.
ALTER TABLE pair ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;
-- 0: by a hash of its names, as it was before there were slots.
ALTER TABLE pair_interval ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;
