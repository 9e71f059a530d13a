/* db/store_mesh.h - meshes, pairs, when pairs were scheduled, and generations. Control state. As db/store.h:
 * writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a non-OK result
 * of fn stops and is returned. */
#ifndef TW_DB_STORE_MESH_H
#define TW_DB_STORE_MESH_H

#include "db/store_base.h"

/* ---- Meshes and pairs ---- */

struct store_mesh {
    char name[STORE_NAME_MAX];
    const char *document; /* as applied */
    bool paused;
    uint64_t generation; /* in which it last changed */
    int64_t changed_ns;
    const char *author;
};
/* The history keeps what it was before; a generation changes a mesh once. */
enum tw_rc store_put_mesh(struct store *s, const struct store_mesh *m, struct tw_err *err);
enum tw_rc store_remove_mesh(struct store *s, const char *name, uint64_t generation, struct tw_err *err);
enum tw_rc store_each_mesh(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_mesh *m),
                           void *ctx, struct tw_err *err);

/* A pair keeps its id for ever, also when an agent of it gets another name: the same (mesh, class, source,
 * target) always gets the same one. */
struct store_pair {
    uint64_t id;
    const char *mesh, *class_name, *source, *target; /* each shorter than STORE_NAME_MAX */
    uint8_t slot; /* of its interval, in which its runs begin (controller/core/spread.h); 0: it never ran by
                     one */
};
/* The id that belongs to these names (p->id is not read): a hash, 1..2^53-1 (exact in JSON too), so that it
 * is the same in every database and an agent's spool can refill an empty one. */
uint64_t store_pair_id(const struct store_pair *p);
/* Finds or makes; fills p->id. It gets the slot, if that is not 0. Where another pair has the id that belongs
 * to these names (it was made for a pair whose agent has another name now, or, one in 10^4 for a million
 * pairs, by chance) it gets the next one that is free. */
enum tw_rc store_put_pair(struct store *s, struct store_pair *p, struct tw_err *err);
/* Another slot. TW_ENOENT: there is no such pair. */
enum tw_rc store_put_slot(struct store *s, uint64_t pair_id, uint8_t slot, struct tw_err *err);
/* The names are valid during fn. */
enum tw_rc store_each_pair(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_pair *p),
                           void *ctx, struct tw_err *err);

/* At most `limit` of those with a higher id, in order of ids. */
enum tw_rc store_each_pair_after(struct store *s, uint64_t id, size_t limit,
                                 enum tw_rc (*fn)(void *ctx, const struct store_pair *p), void *ctx,
                                 struct tw_err *err);
/* Those of one source in one class of a mesh. */
enum tw_rc store_each_pair_of(struct store *s, const char *mesh, const char *class_name, const char *source,
                              enum tw_rc (*fn)(void *ctx, const struct store_pair *p), void *ctx,
                              struct tw_err *err);

/* When a pair was scheduled and what to do, so that what is missing can be told from what was never asked
 * for. Opens an interval at from_ns, or closes the open one at until_ns. Scheduling a pair again with the
 * same expectation changes nothing (the session runs on; if it begins anew, unschedule it first); with
 * another it closes the open interval and opens one. Unscheduling without an open interval is no error. */
struct store_expectation {
    int64_t report_period_ns;
    uint32_t flows;
    /* When it runs (common/times.h). */
    bool rule_unknown;   /* reading: from before rules were kept; the next six are 0 */
    uint64_t rule_id;    /* by its octets; 0: it runs always */
    const uint8_t *rule; /* packed */
    size_t rule_len;
    int64_t spacing_ns; /* of its probes */
    bool exponential;
    uint8_t slot; /* as the pair's at that time; 0: from before there were any */
};
enum tw_rc store_pair_scheduled(struct store *s, uint64_t pair_id, uint64_t generation,
                                const struct store_expectation *x, int64_t from_ns, struct tw_err *err);
enum tw_rc store_pair_unscheduled(struct store *s, uint64_t pair_id, int64_t until_ns, struct tw_err *err);
/* When the pair was scheduled, cut to [from, to), oldest first; each valid during fn. */
struct store_interval {
    struct store_expectation x;
    int64_t from_ns, until_ns;
};
enum tw_rc store_read_intervals(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct store_interval *i), void *ctx,
                                struct tw_err *err);

/* ---- Generations ---- */

struct store_generation {
    uint64_t number;
    uint64_t first; /* stands for first..number, none of which but the last touched a mesh; 0 = number */
    int64_t time_ns;
    const char *author;
    const char *what;                        /* was done: "apply voice" */
    const char *reason;                      /* as the author gave it; may be "" */
    uint64_t pairs, added, removed, changed; /* of all meshes; after it, and by it */
    bool counted;                            /* reading: false: made before pairs were counted */
    bool complete;                           /* reading: the documents of all meshes in it are known */
};
/* Takes the place of the rows from `first` on. */
enum tw_rc store_put_generation(struct store *s, const struct store_generation *g, struct tw_err *err);
enum tw_rc store_last_generation(struct store *s, uint64_t *ret, struct tw_err *err); /* 0 = none yet */
/* Forgets generations from before `before_ns`, but for the last one, and documents that only they had. In the
 * open transaction, or else in its own. */
enum tw_rc store_retain_history(struct store *s, int64_t before_ns, struct tw_err *err);

/* Generations below `before` (0: all), newest first, at most `limit`; each valid during fn. */
enum tw_rc store_read_generations(struct store_reader *r, uint64_t before, uint64_t limit,
                                  enum tw_rc (*fn)(void *ctx, const struct store_generation *g), void *ctx,
                                  struct tw_err *err);
/* The one that stands for `number`. TW_ENOENT: it is not kept, or never was. */
enum tw_rc store_read_generation(struct store_reader *r, uint64_t number,
                                 enum tw_rc (*fn)(void *ctx, const struct store_generation *g), void *ctx,
                                 struct tw_err *err);
/* What a generation did to a mesh. */
struct store_mesh_change {
    const char *mesh;
    const char *before, *after; /* documents; NULL: there was, or is, none */
    bool was_paused, paused;
};
enum tw_rc store_read_mesh_changes(struct store_reader *r, uint64_t generation,
                                   enum tw_rc (*fn)(void *ctx, const struct store_mesh_change *c), void *ctx,
                                   struct tw_err *err);
/* All meshes as they were in a generation that is `complete`, in order of name. */
enum tw_rc store_read_meshes_at(struct store_reader *r, uint64_t generation,
                                enum tw_rc (*fn)(void *ctx, const struct store_mesh *m), void *ctx,
                                struct tw_err *err);

#endif
