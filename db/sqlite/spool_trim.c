/* What goes, and in which order: acknowledged records that were kept long enough; if there are still too many
 * octets, acknowledged ones in any case, then those that the controller has stored ahead; unacknowledged ones
 * that are too old; and at last unacknowledged ones, oldest first. Only the last two lose anything. They leave a
 * gap, as do those that were stored ahead, which a controller that lost its database asks for again. Each is a
 * run of records from the oldest on, and a run ends where an older gap does. */
#include "db/sqlite/spool_priv.h"

#define MINUTE_NS (INT64_C(60) * 1000000000)

/* Until when a run goes on. */
struct run {
    uint64_t first, last;   /* only records of these numbers */
    uint64_t over_bytes;    /* go on while the spool holds more; UINT64_MAX: never for that */
    int64_t before_ns;      /* go on while the record is older; INT64_MIN: never for that */
    uint64_t through_seq;   /* go on through this one */
    const char *reason;     /* of the gap; NULL: nothing is lost, no gap */
    uint64_t n, bytes, end; /* found: how many, their octets, the last one's number */
    int64_t from_ns, until_ns; /* when its first and its last came */
};

static enum tw_rc measure(struct spool *s, struct run *run)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_RECORD_SCAN, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)run->first);
    sq_put_i64(&c, (int64_t)run->last);
    while ((rc = sq_next(&c, NULL)) == TW_OK) {
        uint64_t seq = (uint64_t)sq_take_i64(&c);
        int64_t time_ns = sq_take_i64(&c);
        uint64_t len = (uint64_t)sq_take_i64(&c);
        if (run->reason && run->n && seq != run->end + 1)
            break;
        if (seq > run->through_seq && time_ns >= run->before_ns &&
            s->now.bytes - run->bytes <= run->over_bytes)
            break;
        run->from_ns = run->n ? run->from_ns : time_ns;
        run->until_ns = time_ns;
        run->n++;
        run->bytes += len + SPOOL_RECORD_OVERHEAD;
        run->end = seq;
    }
    sq_end(&c);
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc drop_run(struct spool *s, struct run *run)
{
    struct sq_cur c;
    enum tw_rc rc = measure(s, run);

    if (rc || run->n == 0)
        return rc;
    rc = sq_start(&s->q, SP_RECORD_DELETE, &c, NULL);
    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)run->first);
    sq_put_i64(&c, (int64_t)run->end);
    rc = sq_run(&c, NULL);
    if (rc)
        return rc;
    s->now.bytes -= run->bytes;
    if (!run->reason)
        return TW_OK;
    return spool_put_gap(s, &(struct spool_gap){ run->end - run->n + 1, run->end, run->reason, run->from_ns, run->until_ns });
}

/* Runs until there is none; `what` says which records. */
static enum tw_rc drop_runs(struct spool *s, const struct run *what)
{
    struct run run;
    enum tw_rc rc;

    do {
        run = *what;
        rc = drop_run(s, &run);
    } while (!rc && run.n);
    return rc;
}

enum tw_rc spool_drop_over_bytes(struct spool *s)
{
    struct run run = { .last = s->now.acked_seq,
                       .over_bytes = (uint64_t)s->cfg.max_bytes,
                       .before_ns = INT64_MIN };
    enum tw_rc rc = drop_runs(s, &run);

    run.reason = "spool_full";
    for (size_t i = 0; i < s->ahead.n && !rc; i++) {
        run.first = s->ahead.v[i].first;
        run.last = s->ahead.v[i].last;
        rc = drop_runs(s, &run);
    }
    run.first = s->now.acked_seq + 1;
    run.last = s->now.last_seq;
    return rc ? rc : drop_runs(s, &run);
}

static enum tw_rc drop_old(struct spool *s, int64_t now_ns)
{
    struct run run = {
        .first = s->now.acked_seq + 1,
        .last = s->now.last_seq,
        .over_bytes = UINT64_MAX,
        .before_ns = now_ns - s->cfg.max_age_ns,
        .reason = "spool_age",
    };

    return drop_runs(s, &run);
}

static enum tw_rc run_i64(struct spool *s, enum spool_stmt which, int64_t v)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, which, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, v);
    return sq_run(&c, NULL);
}

/* *ret: everything through it was acknowledged before that minute. */
static enum tw_rc acked_before(struct spool *s, int64_t minute, uint64_t *ret)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_ACK_EXPIRED, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, minute);
    rc = sq_next(&c, NULL);
    if (rc)
        return rc;
    *ret = (uint64_t)sq_take_i64(&c);
    sq_end(&c);
    return TW_OK;
}

static enum tw_rc drop_expired(struct spool *s, int64_t now_ns)
{
    int64_t minute = (now_ns - s->cfg.keep_acked_ns) / MINUTE_NS;
    struct run run = { .over_bytes = UINT64_MAX, .before_ns = INT64_MIN };
    enum tw_rc rc = acked_before(s, minute, &run.last);

    if (rc || run.last == 0)
        return rc;
    run.through_seq = run.last;
    rc = drop_runs(s, &run);
    if (!rc)
        rc = run_i64(s, SP_GAP_DELETE, (int64_t)run.last);
    return rc ? rc : run_i64(s, SP_ACK_DELETE, minute);
}

enum tw_rc spool_trim(struct spool *s, int64_t now_ns)
{
    int64_t before = sqlite3_total_changes64(s->q.db);
    enum tw_rc rc = spool_begin(s);

    if (!rc)
        rc = spool_put_ack(s);
    if (!rc)
        rc = drop_expired(s, now_ns);
    if (!rc)
        rc = drop_old(s, now_ns);
    if (!rc)
        rc = spool_drop_over_bytes(s);
    if (!rc && !s->ack_ns && sqlite3_total_changes64(s->q.db) == before) {
        sq_rollback(&s->q); /* nothing to write: leave the disk asleep */
        return TW_OK;
    }
    rc = spool_finish(s, rc);
    return rc ? rc : sq_shrink(&s->q, NULL);
}
