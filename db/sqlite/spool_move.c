/* Numbers that another copy of the file has given out, too: what was appended here under them gets others.
 * From the last on, so that no record meets one that has not moved yet; one at a time, since a cursor may not
 * stand in a table while its keys change. */
#include "db/digest.h"
#include "db/sqlite/spool_priv.h"

/* *ret: the last record from `first` to `last`; 0: there is none. Its digest is that of its new number; a
 * damaged one stays damaged. */
static enum tw_rc find_highest(struct spool *s, uint64_t first, uint64_t last, uint64_t by, uint64_t *ret,
                               int64_t *ret_digest)
{
    struct sq_cur c;
    const uint8_t *data;
    size_t len;
    enum tw_rc rc = sq_start(&s->q, SP_RECORD_HIGHEST, &c, NULL);

    *ret = 0;
    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)first);
    sq_put_i64(&c, (int64_t)last);
    rc = sq_next(&c, NULL);
    if (rc)
        return rc == TW_ENOENT ? TW_OK : rc;
    *ret = (uint64_t)sq_take_i64(&c);
    data = sq_take_blob(&c, &len);
    *ret_digest = sq_take_i64(&c);
    if (*ret_digest && spool_record_is_whole(*ret_digest, *ret, data, len))
        *ret_digest = digest_stored(digest_of(*ret + by, data, len));
    sq_end(&c);
    return TW_OK;
}

static enum tw_rc move_record(struct spool *s, uint64_t from, uint64_t to, int64_t digest)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_RECORD_MOVE, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)from);
    sq_put_i64(&c, (int64_t)to);
    sq_put_i64(&c, digest);
    return sq_run(&c, NULL);
}

static enum tw_rc move_records(struct spool *s, uint64_t after, uint64_t by)
{
    uint64_t at, last = s->now.last_seq;
    int64_t digest = 0;
    enum tw_rc rc;

    while ((rc = find_highest(s, after + 1, last, by, &at, &digest)) == TW_OK && at) {
        rc = move_record(s, at, at + by, digest);
        if (rc)
            break;
        last = at - 1;
    }
    return rc;
}

static enum tw_rc run_two(struct spool *s, enum spool_stmt which, uint64_t a, uint64_t b)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, which, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)a);
    sq_put_i64(&c, (int64_t)b);
    return sq_run(&c, NULL);
}

/* One that goes across the place takes in what is left out there. */
static enum tw_rc move_gaps(struct spool *s, uint64_t after, uint64_t by, int64_t now_ns)
{
    struct spool_gap left_out = { after + 1, after + by, "spool_full", 0, now_ns };
    int64_t before = sqlite3_total_changes64(s->q.db);
    struct sq_cur c;
    enum tw_rc rc = run_two(s, SP_GAP_STRETCH, after, by);
    bool taken_in = sqlite3_total_changes64(s->q.db) != before;

    if (!rc)
        rc = run_two(s, SP_GAP_LIFT, after, by);
    if (!rc)
        rc = sq_start(&s->q, SP_GAP_MOVE, &c, NULL);
    if (!rc)
        rc = sq_run(&c, NULL);
    if (rc || !taken_in)
        return rc ? rc : spool_put_gap(s, &left_out);
    s->now.dropped += by;
    return TW_OK;
}

enum tw_rc spool_move_behind(struct spool *s, uint64_t after_seq, uint64_t through_seq, int64_t now_ns,
                             uint64_t *ret_moved)
{
    uint64_t last = s->now.last_seq, by;
    enum tw_rc rc;

    if (after_seq < s->now.acked_seq || after_seq > last || through_seq <= after_seq)
        return TW_EINVAL;
    by = through_seq - after_seq;
    if (through_seq > INT64_MAX - (last - after_seq))
        return TW_ERANGE;
    rc = spool_begin(s);
    if (!rc)
        rc = move_records(s, after_seq, by);
    if (!rc)
        rc = move_gaps(s, after_seq, by, now_ns);
    if (!rc)
        s->now.last_seq += by;
    rc = spool_finish(s, rc);
    if (!rc)
        *ret_moved = last - after_seq;
    return rc;
}
