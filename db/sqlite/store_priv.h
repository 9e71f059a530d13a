/* db/sqlite/store_priv.h - what the files of the store share. */
#ifndef TW_DB_STORE_PRIV_H
#define TW_DB_STORE_PRIV_H

#include "db/sqlite/cells.h"
#include "db/cursors.h"
#include "db/sqlite/runs.h"
#include "db/store.h"

extern const struct sq_spec store_spec;

/* Statements of the writer and, from ST_READ_ on, of readers. */
enum store_stmt {
    ST_BEGIN,
    ST_COMMIT,
    ST_AGENT_INSERT,
    ST_AGENT_UPDATE,
    ST_AGENT_DELETE,
    ST_AGENT_EACH,
    ST_AGENT_KNOWN,
    ST_RENAME_SOURCE,
    ST_RENAME_TARGET,
    ST_RENAME_GAP,
    ST_RENAME_ABSENCE,
    ST_RENAME_MAINTENANCE,
    ST_MAINTENANCE_DROP,
    ST_MAINTENANCE_CUT,
    ST_MAINTENANCE_PUT,
    ST_RETAIN_MAINTENANCE,
    ST_READ_MAINTENANCE,
    ST_MESH_PUT,
    ST_MESH_DELETE,
    ST_MESH_EACH,
    ST_PAIR_FIND,
    ST_PAIR_INSERT,
    ST_PAIR_EACH,
    ST_PAIR_SLOT,
    ST_RULE_PUT,
    ST_INTERVAL_SAME,
    ST_INTERVAL_OPEN,
    ST_INTERVAL_CLOSE,
    ST_ABSENCE_PUT,
    ST_ABSENCE_DOWN,
    ST_ABSENCE_FORGET,
    ST_ABSENCE_END,
    ST_ABSENCE_REFUSED,
    ST_GENERATION_PUT,
    ST_GENERATION_LAST,
    ST_GENERATION_MERGE,
    ST_DOCUMENT_FIND,
    ST_DOCUMENT_PUT,
    ST_VERSION_PUT,
    ST_RETAIN_GENERATION,
    ST_RETAIN_VERSION,
    ST_RETAIN_DELETED,
    ST_RETAIN_DOCUMENT,
    ST_CURSOR_EACH,
    ST_CURSOR_PUT,
    ST_AHEAD_EACH,
    ST_AHEAD_DELETE,
    ST_AHEAD_PUT,
    ST_FLOOR_PUT,
    ST_GAP_PUT,
    ST_LATEST_PUT,
    ST_TEST_PUT,
    ST_TEST_RUN_PUT,
    ST_TEST_LAST,
    ST_TEST_NOTE,
    ST_TEST_RUN_NOTE,
    ST_RETAIN_TEST,
    ST_RETAIN_TEST_RUN,
    ST_RETAIN_LATEST,
    ST_RETAIN_GAP,
    ST_RETAIN_INTERVAL,
    ST_KEPT_MESHES,
    ST_KEPT_EACH,
    ST_KEPT_PUT,
    ST_RETAIN_MESH_LATEST,
    ST_DAY_EACH,
    ST_DAY_PUT,
    ST_DAY_DELETE,
    ST_PART_EACH,
    ST_PART_ADD,
    ST_PART_DELETE,
    ST_RETAIN_ABSENCE,
    ST_RETAIN_RULE,
    ST_READ_LATEST,
    ST_READ_LATEST_DAYS,
    ST_READ_INTERVALS,
    ST_READ_ABSENCES,
    ST_READ_GAPS,
    ST_READ_GENERATIONS,
    ST_READ_GENERATION,
    ST_READ_MESH_CHANGES,
    ST_READ_MESHES_AT,
    ST_READ_TESTS,
    ST_READ_TEST_RUNS,
    ST_READ_DAYS,
    ST_READ_KEPT,
    ST_ALERT_PUT,
    ST_ALERT_REMOVE,
    ST_ALERT_LAST,
    ST_ALERT_EACH,
    ST_ALERT_DOCUMENT_PUT,
    ST_ALERT_DOCUMENTS,
    ST_ALERT_SILENCE_PUT,
    ST_ALERT_SILENCE_EACH,
    ST_ALERT_SILENCE_LAST,
    ST_ALERT_BASELINE_PUT,
    ST_ALERT_BASELINE_EACH,
    ST_ALERT_NOTICE_PUT,
    ST_ALERT_NOTICE_REMOVE,
    ST_ALERT_NOTICE_EACH,
    ST_ALERT_NOTICE_LAST,
    ST_RETAIN_ALERT,
    ST_RETAIN_ALERT_SILENCE,
    ST_RETAIN_ALERT_DOCUMENT,
    ST_JOIN_TOKEN_PUT,
    ST_JOIN_TOKEN_EACH,
    ST_RETAIN_JOIN_TOKEN,
    ST_CERTIFICATE_PUT,
    ST_CERTIFICATE_TRIM,
    ST_CERTIFICATE_EACH,
    ST_CERTIFICATE_REMOVE,
    ST_ACCESS_PUT,
    ST_ACCESS_REMOVE,
    ST_ACCESS_EACH,
    ST_AUDIT_PUT,
    ST_AUDIT_LAST,
    ST_RETAIN_AUDIT,
    ST_READ_AUDIT,
    ST_COUNT
};

/* A row of the open transaction that may become its flow's latest. */
struct latest_row {
    uint64_t pair_id;
    uint32_t flow;
    int64_t start_ns, day, row;
    int64_t ahead_ns; /* a latest that starts after this is none */
};

/* What one table of a level holds. */
struct part_state {
    struct cells_part part; /* raw: a day */
    int64_t rows, octets, add_rows, add_octets; /* add_: in the open transaction */
};
/* A summary of the round under way. */
struct round_row {
    uint64_t pair_id;
    int64_t start_ns, row;
    uint32_t flow;
};
struct level_acc {
    bool active;
    struct cell_row cell;
    int64_t schema_version; /* of the statements of spans */
};
struct rollup {
    struct level_day *days, *durable; /* by day; as the open transaction has them, and as they are committed */
    size_t n_days, cap_days, at_day;  /* at_day: looked up last */
    struct part_state *parts;
    size_t n_parts, cap_parts, at_part[STORE_LEVELS];
    /* The round under way; v NULL: none. */
    size_t day, n, at; /* day: in days */
    struct round_row *v;
    int64_t round_since_ns, fresh_since_ns; /* when the first of its rows came, and of those behind it */
    struct level_acc acc[STORE_LEVELS];
    struct cells_writer writers[STORE_LEVELS];
    struct cell_row stored;
    struct tw_summary row;
    struct day_cache by_row;
    uint64_t add_rows, add_cells; /* of the open transaction */
    bool slicing;                 /* that is a slice */
};

/* What store_retain() is at. */
struct retain_level {
    int64_t from_ns, done_ns; /* as in level_kept */
    int64_t wanted_ns;
};
struct retain_mesh {
    char name[STORE_NAME_MAX];
    struct retain_level level[STORE_LEVELS];
};
struct retain_todo {
    struct cells_part part;
    int mesh;  /* its rows only; -1: the whole table */
    bool last; /* of the mesh and level: it is done */
};
struct retain {
    bool active;
    struct retain_mesh *meshes;
    size_t n_meshes;
    int64_t from_ns[STORE_LEVELS]; /* before it nobody keeps anything */
    struct retain_todo *todo;
    size_t n_todo, cap_todo, at;
};

struct store {
    struct sq q;
    enum tw_rc broken; /* a write of the open transaction failed half-way: it cannot be committed */
    struct cursors cursors;
    struct day_cache insert, insert_runs;
    struct latest_row *latest;
    size_t n_latest, cap_latest;
    uint8_t *scratch; /* ROW_SCRATCH, encoded histograms of the row being inserted */
    struct store_stats stats;
    uint64_t pending_rows, pending_batches;
    bool floor_raised; /* as committed: schema_floor keeps programs out that know nothing of stretches ahead */
    bool floor_now;    /* with the open transaction */
    struct rollup rollup;
    struct retain retain;
    bool shrink; /* the open transaction drops days: give room back after it */
};

struct store_reader {
    struct sq q;
    struct day_cache range, by_row, latest, runs, tail, cells, longest;
    struct tw_summary row;
    struct cell_row cell;
    int64_t schema_version; /* of the statements of spans */
};

/* store_read.c: a sorted copy of ids, malloc'ed. */
uint64_t *store_sorted_ids(const uint64_t *ids, size_t n);

/* store_history.c: the mesh is that from this generation on; document NULL: it is deleted. */
enum tw_rc store_put_version(struct store *s, const char *mesh, uint64_t generation, const char *document,
                             bool paused, struct tw_err *err);

/* store_rollup.c */
enum tw_rc rollup_open(struct store *s, struct tw_err *err);
void rollup_close(struct store *s);
/* A row came into a day's table. */
enum tw_rc rollup_note(struct store *s, int64_t day, int64_t row, uint64_t octets, int64_t received_ns, struct tw_err *err);
enum tw_rc rollup_flush(struct store *s, struct tw_err *err); /* before a commit */
void rollup_committed(struct store *s);
void rollup_rolled_back(struct store *s);
/* Are there summaries of the day that are in no cell yet? */
bool rollup_waits(struct store *s, int64_t day);
/* A slice of that day in the open transaction. */
enum tw_rc rollup_now(struct store *s, int64_t day, size_t max_rows, struct tw_err *err);
void rollup_stats(const struct store *s, struct store_stats *ret);
/* The table is gone, in the open transaction. */
enum tw_rc rollup_forget(struct store *s, const struct cells_part *p, struct tw_err *err);
/* Something of it was deleted, in the open transaction. */
enum tw_rc rollup_part_add(struct store *s, const struct cells_part *p, int64_t rows, int64_t octets, struct tw_err *err);

/* store_retain.c: begins anew. */
void retain_forget(struct store *s);

/* store_append.c: writes what a transaction collected; at its end. */
enum tw_rc store_flush_pending(struct store *s, struct tw_err *err);

/* store_test.c: the row is of a test on demand; makes the test known if it is not. */
enum tw_rc store_note_test(struct store *s, const struct tw_summary *row, struct tw_err *err);

#endif
