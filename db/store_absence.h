/* db/store_absence.h - why something is missing. Control state, but for what spools dropped, which is in the
 * history. As db/store.h:
 * writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a non-OK result
 * of fn stops and is returned. */
#ifndef TW_DB_STORE_ABSENCE_H
#define TW_DB_STORE_ABSENCE_H

#include "db/store_base.h"

enum store_cause {
    STORE_REFUSED,    /* the agent did not take the session: its limits, what it cannot do */
    STORE_DROPPED,    /* its spool had to give it up */
    STORE_AGENT_DOWN, /* it did not run: between the last that was heard of it and its next start */
    STORE_AWAITED,    /* nothing is heard of it now: it may run, and its results may come yet */
    STORE_UNKNOWN,
    STORE_CAUSES
};
const char *
store_cause_name(enum store_cause c); /* "refused", "dropped", "agent_down", "awaited", "unknown" */
/* The connection to an agent is gone; nothing has been heard of it since from_ns. Again before it is found:
 * nothing. In the open transaction. */
enum tw_rc store_agent_lost(struct store *s, const char *source, int64_t from_ns, struct tw_err *err);
/* It is back, and runs since started_ns: if that is later than when it was lost, it was down between. */
enum tw_rc store_agent_found(struct store *s, const char *source, int64_t started_ns, struct tw_err *err);
struct store_refusal {
    uint64_t pair_id;
    const char *reason;
    bool known; /* the store's own */
};
/* What it refuses from at_ns on, all of it; sorts v. What it refused before and does not any more ends. */
enum tw_rc store_put_refusals(struct store *s, const char *source, struct store_refusal *v, size_t n,
                              int64_t at_ns, struct tw_err *err);
struct store_absence {
    const char *source;
    uint64_t pair_id; /* 0: all of the source's */
    enum store_cause cause;
    const char *reason; /* of a refusal */
    int64_t from_ns,
        until_ns; /* INT64_MAX: it goes on. Dropped: when the summaries had come into the spool */
};
/* Those that overlap [from, to), in no order; each valid during fn. */
enum tw_rc store_read_absences(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns,
                               enum tw_rc (*fn)(void *ctx, const struct store_absence *a), void *ctx,
                               struct tw_err *err);
/* Summaries that the pair's source reported as dropped by its spool with gap records received in [from, to);
 * UINT64_MAX at most. */
enum tw_rc store_read_dropped(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns,
                              uint64_t *ret, struct tw_err *err);

#endif
