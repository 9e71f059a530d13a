-- One index instead of two, since a million pairs scatter what is written to each: the open interval is found among the pair's.
DROP INDEX pair_interval_open;
DROP INDEX pair_interval_by_pair;
CREATE INDEX pair_interval_by_pair ON pair_interval (pair_id, from_ns, until_ns);
