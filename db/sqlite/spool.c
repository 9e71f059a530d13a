#include "db/sqlite/spool_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "db/digest.h"

extern const struct sq_migration spool_migrations[];
extern const size_t spool_migrations_n;

static const char *const statements[SP_COUNT] = {
    [SP_BEGIN] = "BEGIN IMMEDIATE",
    [SP_COMMIT] = "COMMIT",
    [SP_STATE_GET] = "SELECT spool_id, last_seq, acked_seq, bytes, dropped FROM state",
    [SP_STATE_PUT] = "UPDATE state SET last_seq = ?, acked_seq = ?, bytes = ?, dropped = ?",
    [SP_RECORD_PUT] = "INSERT INTO record (seq, time_ns, data, digest) VALUES (?, ?, ?, ?)",
    [SP_RECORD_READ] = "SELECT seq, data, digest FROM record WHERE seq >= ? ORDER BY seq",
    [SP_RECORD_FIRST] = "SELECT min(seq) FROM record",
    [SP_RECORD_LAST] = "SELECT ifnull(max(seq), 0) FROM record",
    [SP_RECORD_BEFORE] = "SELECT seq FROM record WHERE seq > ?1 - 20000 AND (time_ns < ?2 OR seq = ?1 - "
                         "19999) ORDER BY seq DESC LIMIT 1",
    [SP_RECORD_SCAN] = "SELECT seq, time_ns, length(data) FROM record WHERE seq BETWEEN ? AND ? ORDER BY seq",
    [SP_RECORD_DELETE] = "DELETE FROM record WHERE seq BETWEEN ? AND ?",
    [SP_RECORD_HIGHEST] =
        "SELECT seq, data, digest FROM record WHERE seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT 1",
    [SP_RECORD_MOVE] = "UPDATE record SET seq = ?2, digest = ?3 WHERE seq = ?1",
    [SP_GAP_PUT] =
        "INSERT OR REPLACE INTO gap (first_seq, last_seq, reason, from_ns, until_ns) VALUES (?, ?, ?, ?, ?)",
    [SP_GAP_BEFORE] = "SELECT first_seq, from_ns FROM gap WHERE last_seq = ? AND reason = ?",
    /* The nearest one that ends at or after the number: holds it, or begins after it. */
    [SP_GAP_AT] = "SELECT first_seq, last_seq, reason, from_ns, until_ns FROM gap WHERE last_seq >= ? ORDER "
                  "BY first_seq LIMIT 1",
    [SP_GAP_DELETE] = "DELETE FROM gap WHERE last_seq <= ?",
    [SP_GAP_STRETCH] = "UPDATE gap SET last_seq = last_seq + ?2 WHERE first_seq <= ?1 AND last_seq > ?1",
    /* Two steps by way of negative numbers, since keys must not meet on their way. */
    [SP_GAP_LIFT] =
        "UPDATE gap SET first_seq = -first_seq - ?2, last_seq = last_seq + ?2 WHERE first_seq > ?1",
    [SP_GAP_MOVE] = "UPDATE gap SET first_seq = -first_seq WHERE first_seq < 0",
    [SP_GAP_WAITING] = "SELECT first_seq, last_seq FROM gap WHERE last_seq > ?",
    [SP_ACK_PUT] = "INSERT OR REPLACE INTO ack (minute, through_seq) VALUES (?, ?)",
    [SP_ACK_EXPIRED] = "SELECT max(through_seq) FROM ack WHERE minute < ?",
    [SP_ACK_DELETE] = "DELETE FROM ack WHERE minute < ?",
    [SP_VALUE_PUT] = "INSERT OR REPLACE INTO value (key, data, digest) VALUES (?, ?, ?)",
    [SP_VALUE_GET] = "SELECT data, digest FROM value WHERE key = ?",
};

static const struct sq_spec spec = {
    .what = "spool",
    .application_id = 0x74777370, /* "twsp" */
    .migrations = spool_migrations,
    .n_migrations = &spool_migrations_n,
    .bulk_glob = "record",
    .pragmas = "PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -4096;",
    .sql = statements,
    .n_sql = SP_COUNT,
};

#define DEFAULT_BYTES (INT64_C(256) << 20)
#define DEFAULT_AGE_NS (INT64_C(7) * 86400 * 1000000000)
#define DEFAULT_KEEP_NS (INT64_C(6) * 3600 * 1000000000)
#define MINUTE_NS (INT64_C(60) * 1000000000)

static enum tw_rc load_state(struct spool *s, struct tw_err *err)
{
    struct sq_cur c;
    const uint8_t *id;
    size_t len;
    enum tw_rc rc = sq_start(&s->q, SP_STATE_GET, &c, err);

    if (!rc)
        rc = sq_next(&c, err);
    if (rc && rc != TW_ENOENT)
        return rc;
    id = rc ? NULL : sq_take_blob(&c, &len);
    if (!id || len != sizeof s->id) {
        sq_end(&c);
        return tw_err_set(err, TW_ECORRUPT, "%s %s: its state is missing: move the file away",
                          s->q.spec->what, s->q.path);
    }
    memcpy(s->id, id, len);
    s->now.last_seq = (uint64_t)sq_take_i64(&c);
    s->now.acked_seq = (uint64_t)sq_take_i64(&c);
    s->now.bytes = (uint64_t)sq_take_i64(&c);
    s->now.dropped = (uint64_t)sq_take_i64(&c);
    return sq_run(&c, err);
}

/* A number that is given out twice would be taken for a repetition. */
static enum tw_rc check_state(struct spool *s, struct tw_err *err)
{
    struct sq_cur c;
    uint64_t last;
    enum tw_rc rc = sq_start(&s->q, SP_RECORD_LAST, &c, err);

    if (!rc)
        rc = sq_next(&c, err);
    if (rc)
        return rc;
    last = (uint64_t)sq_take_i64(&c);
    sq_end(&c);
    if (last <= s->now.last_seq && s->now.acked_seq <= s->now.last_seq && s->now.last_seq <= INT64_MAX)
        return TW_OK;
    return tw_err_set(err, TW_ECORRUPT, "%s %s: damaged (its state does not fit its records): move the file away", s->q.spec->what,
                      s->q.path);
}

void spool_set_bounds(struct spool *s, int64_t max_bytes, int64_t keep_acked_ns)
{
    s->cfg.max_bytes = max_bytes;
    s->cfg.keep_acked_ns = keep_acked_ns;
}

enum tw_rc spool_open(const struct spool_cfg *cfg, struct spool **ret, struct tw_err *err)
{
    struct spool *s = calloc(1, sizeof *s);
    enum tw_rc rc;

    if (!s)
        return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", spec.what, cfg->path);
    s->cfg.max_bytes = cfg->max_bytes ? cfg->max_bytes : DEFAULT_BYTES;
    s->cfg.max_age_ns = cfg->max_age_ns ? cfg->max_age_ns : DEFAULT_AGE_NS;
    s->cfg.keep_acked_ns = cfg->keep_acked_ns ? cfg->keep_acked_ns : DEFAULT_KEEP_NS;
    rc = sq_open(&s->q, cfg->path, &spec, err);
    if (!rc)
        rc = load_state(s, err);
    if (!rc)
        rc = check_state(s, err);
    if (rc) {
        sq_close(&s->q);
        free(s);
        return rc;
    }
    *ret = s;
    return TW_OK;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    if (s->ack_ns) /* if it fails, the controller sees repeated records, which it knows how to answer */
        spool_finish(s, spool_begin(s));
    sq_close(&s->q);
    free(s->buf);
    free(s);
}

const uint8_t *spool_id(const struct spool *s)
{
    return s->id;
}

/* ---- Transactions ------------------------------------------------------------------------------- */

enum tw_rc spool_begin(struct spool *s)
{
    s->saved = s->now;
    return sq_begin(&s->q, SP_BEGIN, NULL);
}

static enum tw_rc put_state(struct spool *s)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_STATE_PUT, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)s->now.last_seq);
    sq_put_i64(&c, (int64_t)s->now.acked_seq);
    sq_put_i64(&c, (int64_t)s->now.bytes);
    sq_put_i64(&c, (int64_t)s->now.dropped);
    return sq_run(&c, NULL);
}

enum tw_rc spool_put_ack(struct spool *s)
{
    struct sq_cur c;
    enum tw_rc rc;

    if (!s->ack_ns)
        return TW_OK;
    rc = sq_start(&s->q, SP_ACK_PUT, &c, NULL);
    if (rc)
        return rc;
    sq_put_i64(&c, s->ack_ns / MINUTE_NS);
    sq_put_i64(&c, (int64_t)s->now.acked_seq);
    return sq_run(&c, NULL);
}

static enum tw_rc commit(struct spool *s)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_COMMIT, &c, NULL);

    return rc ? rc : sq_run(&c, NULL);
}

enum tw_rc spool_finish(struct spool *s, enum tw_rc rc)
{
    if (!rc)
        rc = spool_put_ack(s);
    if (!rc)
        rc = put_state(s);
    if (!rc)
        rc = commit(s);
    if (rc) {
        sq_rollback(&s->q);
        s->now = s->saved;
        return rc;
    }
    s->q.in_txn = false;
    s->ack_ns = 0;
    return TW_OK;
}

/* ---- Gaps --------------------------------------------------------------------------------------- */

/* The gap right before `g`, if it has the same reason: g becomes both. */
static enum tw_rc join_gap(struct spool *s, struct spool_gap *g)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_GAP_BEFORE, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)g->first_seq - 1);
    sq_put_text(&c, g->reason);
    rc = sq_next(&c, NULL);
    if (rc)
        return rc == TW_ENOENT ? TW_OK : rc;
    g->first_seq = (uint64_t)sq_take_i64(&c);
    g->from_ns = sq_take_i64(&c);
    sq_end(&c);
    return TW_OK;
}

enum tw_rc spool_put_gap(struct spool *s, const struct spool_gap *gap)
{
    struct spool_gap g = *gap;
    struct sq_cur c;
    enum tw_rc rc = join_gap(s, &g);

    if (!rc)
        rc = sq_start(&s->q, SP_GAP_PUT, &c, NULL);
    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)g.first_seq);
    sq_put_i64(&c, (int64_t)g.last_seq);
    sq_put_text(&c, g.reason);
    sq_put_i64(&c, g.from_ns);
    sq_put_i64(&c, g.until_ns);
    rc = sq_run(&c, NULL);
    if (!rc)
        s->now.dropped += seqset_count_missing(&s->ahead, gap->first_seq, gap->last_seq);
    return rc;
}

void spool_count_lost(struct spool *s, uint64_t n)
{
    s->lost += n;
}

/* ---- Append ------------------------------------------------------------------------------------- */

static enum tw_rc put_record(struct spool *s, int64_t now_ns, const struct spool_record *r)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_RECORD_PUT, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)s->now.last_seq + 1);
    sq_put_i64(&c, now_ns);
    sq_put_blob(&c, r->data, r->len);
    sq_put_i64(&c, digest_stored(digest_of(s->now.last_seq + 1, r->data, r->len)));
    rc = sq_run(&c, NULL);
    if (rc)
        return rc;
    s->now.last_seq++;
    s->now.bytes += r->len + SPOOL_RECORD_OVERHEAD;
    return TW_OK;
}

/* What the caller lost gets numbers too, so that the controller hears of it like of any gap. */
static enum tw_rc put_lost(struct spool *s, int64_t now_ns)
{
    struct spool_gap gap = { s->now.last_seq + 1, s->now.last_seq + s->lost, "spool_full", s->last_append_ns, now_ns };

    if (!s->lost)
        return TW_OK;
    s->now.last_seq = gap.last_seq;
    return spool_put_gap(s, &gap);
}

enum tw_rc spool_append(struct spool *s, int64_t now_ns, const struct spool_record *rec, size_t n,
                        uint64_t *ret_first_seq)
{
    uint64_t first = 0;
    enum tw_rc rc = spool_begin(s);

    if (!rc)
        rc = put_lost(s, now_ns);
    if (!rc)
        first = s->now.last_seq + 1;
    for (size_t i = 0; i < n && !rc; i++)
        rc = put_record(s, now_ns, &rec[i]);
    if (!rc && s->now.bytes > (uint64_t)s->cfg.max_bytes)
        rc = spool_drop_over_bytes(s);
    rc = spool_finish(s, rc);
    if (rc) {
        s->append_errors++;
        return rc;
    }
    s->lost = 0;
    s->last_append_ns = now_ns;
    *ret_first_seq = first;
    return TW_OK;
}

/* ---- Read --------------------------------------------------------------------------------------- */

/* `seq` is not stored, the next record is `next` (0: none). Without a gap record it was acknowledged and then
 * removed, which a controller that asks again has to hear of as well. */
static enum tw_rc find_gap(struct spool *s, uint64_t seq, uint64_t next, struct spool_gap *ret)
{
    struct sq_cur c;
    uint64_t first, last;
    enum tw_rc rc = sq_start(&s->q, SP_GAP_AT, &c, NULL);

    if (rc)
        return rc;
    *ret = (struct spool_gap){ seq, next ? next - 1 : s->now.last_seq, "spool_age", 0, 0 };
    sq_put_i64(&c, (int64_t)seq);
    rc = sq_next(&c, NULL);
    if (rc)
        return rc == TW_ENOENT ? TW_OK : rc;
    first = (uint64_t)sq_take_i64(&c);
    last = (uint64_t)sq_take_i64(&c);
    if (first <= seq) {
        sq_take_name(&c, s->reason, sizeof s->reason);
        *ret = (struct spool_gap){ seq, last, s->reason, sq_take_i64(&c), 0 };
        ret->until_ns = sq_take_i64(&c);
    } else if (first <= ret->last_seq) {
        ret->last_seq = first - 1;
    }
    sq_end(&c);
    return TW_OK;
}

/* Room for `more` octets after the `used` first ones; pointers into the buffer move with it. */
static bool grow(struct spool *s, size_t used, size_t more, struct spool_record *rec, size_t n)
{
    size_t cap = s->buf_cap ? s->buf_cap : 4096, at = 0;
    uint8_t *buf;

    if (used + more <= s->buf_cap)
        return true;
    while (cap < used + more)
        cap *= 2;
    buf = realloc(s->buf, cap);
    if (!buf)
        return false;
    s->buf = buf;
    s->buf_cap = cap;
    for (size_t i = 0; i < n; at += rec[i++].len)
        rec[i].data = buf + at;
    return true;
}

bool spool_record_is_whole(int64_t digest, uint64_t seq, const uint8_t *data, size_t len)
{
    return !digest || digest == digest_stored(digest_of(seq, data, len));
}

/* Consecutive records from seq on; *ret_next: where the first record found is. *ret_damaged: it is not what was written. */
static enum tw_rc read_records(struct spool *s, uint64_t seq, size_t max_n, size_t max_bytes,
                               struct spool_record *ret, size_t *ret_n, uint64_t *ret_next, bool *ret_damaged)
{
    struct sq_cur c;
    size_t n = 0, used = 0;
    enum tw_rc rc = sq_start(&s->q, SP_RECORD_READ, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)seq);
    while (n < max_n && (rc = sq_next(&c, NULL)) == TW_OK) {
        uint64_t at = (uint64_t)sq_take_i64(&c);
        size_t len;
        const uint8_t *data = sq_take_blob(&c, &len);
        if (n == 0)
            *ret_next = at;
        if (at != seq + n || (n && used + len > max_bytes))
            break;
        if (!spool_record_is_whole(sq_take_i64(&c), at, data, len)) {
            *ret_damaged = n == 0;
            break;
        }
        if (!grow(s, used, len, ret, n)) {
            rc = TW_ENOMEM;
            break;
        }
        if (len)
            memcpy(s->buf + used, data, len);
        ret[n++] = (struct spool_record){ s->buf + used, len };
        used += len;
    }
    sq_end(&c);
    *ret_n = n;
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc spool_read(struct spool *s, uint64_t seq, size_t max_n, size_t max_bytes, struct spool_record *ret,
                      size_t *ret_n, struct spool_gap *ret_gap)
{
    uint64_t next = 0;
    bool damaged = false;
    enum tw_rc rc;

    if (seq == 0 || max_n == 0)
        return TW_EINVAL;
    if (seq > s->now.last_seq)
        return TW_EAGAIN;
    *ret_gap = (struct spool_gap){ 0 };
    rc = read_records(s, seq, max_n, max_bytes, ret, ret_n, &next, &damaged);
    if (damaged)
        *ret_gap = (struct spool_gap){ seq, seq, "spool_corrupt", 0, 0 };
    if (rc || *ret_n || damaged)
        return rc;
    return find_gap(s, seq, next, ret_gap);
}

/* ---- Acknowledgements, statistics, values ------------------------------------------------------- */

/* Written with the next change: a lost acknowledgement only means that some records are sent twice. */
enum tw_rc spool_ack(struct spool *s, uint64_t through_seq, int64_t now_ns)
{
    if (through_seq > s->now.last_seq)
        return TW_EINVAL;
    if (through_seq <= s->now.acked_seq)
        return TW_OK;
    s->now.acked_seq = through_seq;
    s->ack_ns = now_ns ? now_ns : 1;
    return TW_OK;
}

void spool_note_ahead(struct spool *s, const struct seqset *ahead)
{
    s->ahead = *ahead;
}

/* Every number after the acknowledged one is a record or in a gap. */
static uint64_t waiting(struct spool *s)
{
    uint64_t n = seqset_count_missing(&s->ahead, s->now.acked_seq + 1, s->now.last_seq);
    struct sq_cur c;

    if (sq_start(&s->q, SP_GAP_WAITING, &c, NULL))
        return n;
    sq_put_i64(&c, (int64_t)s->now.acked_seq);
    while (sq_next(&c, NULL) == TW_OK) {
        uint64_t first = (uint64_t)sq_take_i64(&c), last = (uint64_t)sq_take_i64(&c);
        if (first <= s->now.acked_seq)
            first = s->now.acked_seq + 1;
        n -= seqset_count_missing(&s->ahead, first, last);
    }
    return n;
}

/* The first number that spool_read() can give. */
static uint64_t first_seq(struct spool *s)
{
    struct sq_cur c;
    uint64_t first = 0;

    if (sq_start(&s->q, SP_RECORD_FIRST, &c, NULL) == TW_OK && sq_next(&c, NULL) == TW_OK) {
        first = (uint64_t)sq_take_i64(&c);
        sq_end(&c);
    }
    return first ? first : s->now.last_seq + 1;
}

/* What is not a record is a gap, and old. */
enum tw_rc spool_since(struct spool *s, int64_t time_ns, uint64_t *ret_seq)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, SP_RECORD_BEFORE, &c, NULL);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)s->now.last_seq);
    sq_put_i64(&c, time_ns);
    rc = sq_next(&c, NULL);
    if (rc == TW_ENOENT) {
        *ret_seq = first_seq(s);
        return TW_OK;
    }
    if (rc)
        return rc;
    *ret_seq = (uint64_t)sq_take_i64(&c) + 1;
    sq_end(&c);
    return TW_OK;
}

void spool_stats(struct spool *s, struct spool_stats *ret)
{
    *ret = (struct spool_stats){
        .first_seq = first_seq(s),
        .last_seq = s->now.last_seq,
        .acked_seq = s->now.acked_seq,
        .waiting = waiting(s),
        .bytes = s->now.bytes,
        .dropped = s->now.dropped + s->lost,
        .append_errors = s->append_errors,
    };
}

enum tw_rc spool_put_value(struct spool *s, const char *key, const void *data, size_t len)
{
    struct sq_cur c;
    enum tw_rc rc = spool_begin(s);

    if (!rc)
        rc = sq_start(&s->q, SP_VALUE_PUT, &c, NULL);
    if (!rc) {
        sq_put_text(&c, key);
        sq_put_blob(&c, data, len);
        sq_put_i64(&c, digest_stored(digest_of(0, data, len)));
        rc = sq_run(&c, NULL);
    }
    return spool_finish(s, rc);
}

enum tw_rc spool_get_value(struct spool *s, const char *key, uint8_t **ret, size_t *ret_len)
{
    struct sq_cur c;
    const uint8_t *data;
    uint8_t *copy;
    size_t len;
    enum tw_rc rc = sq_start(&s->q, SP_VALUE_GET, &c, NULL);

    if (rc)
        return rc;
    sq_put_text(&c, key);
    rc = sq_next(&c, NULL);
    if (rc)
        return rc;
    data = sq_take_blob(&c, &len);
    if (!spool_record_is_whole(sq_take_i64(&c), 0, data, len)) {
        sq_end(&c);
        return TW_ECORRUPT;
    }
    copy = malloc(len ? len : 1);
    if (copy && len)
        memcpy(copy, data, len);
    sq_end(&c);
    if (!copy)
        return TW_ENOMEM;
    *ret = copy;
    *ret_len = len;
    return TW_OK;
}
