#include "db/sqlite/row.h"

#include <pthread.h>
#include <string.h>
#include "db/sqlite/digest.h"

/* Enumerations are unsigned int, that is uint32_t, to this compiler. */
_Static_assert(sizeof(enum tw_status) == 4 && sizeof(enum tw_ts_source) == 4, "stored as 32 bits");
/* clang-format off */
#define KIND(member)                                  \
    _Generic(((struct tw_summary *)0)->member,        \
        uint64_t: ROW_64, int64_t: ROW_64,            \
        uint32_t: ROW_32, uint8_t: ROW_8,             \
        bool: ROW_BOOL, struct hist: ROW_HIST,        \
        struct tw_unavail: ROW_UNAVAIL)
/* clang-format on */
#define COL(name, member) { #name, KIND(member), offsetof(struct tw_summary, member) },
#define SAME(name) COL(name, name)
#define COUNTER(name, help) SAME(name)
#define JITTER(name, i)                                    \
    COL(name##_ewma_sum_ns, jitter[i].ewma_sum_ns)         \
    COL(name##_ewma_n, jitter[i].ewma_n)                   \
    COL(name##_ipdv_abs_sum_ns, jitter[i].ipdv_abs_sum_ns) \
    COL(name##_ipdv_n, jitter[i].ipdv_n)
#define OCTET(name)           \
    COL(name##_min, name.min) \
    COL(name##_max, name.max) COL(name##_n, name.n) COL(name##_changes, name.changes)
#define CLOCK(name) \
    COL(name##_synced, name.synced) COL(name##_max_error_ns, name.max_error_ns) COL(name##_steps, name.steps)

/* clang-format off */
const struct row_col row_cols[] = {
    SAME(pair_id) SAME(start_ns) SAME(flow) SAME(generation) SAME(end_ns) SAME(seq_first) SAME(status)
    TW_COUNTERS(COUNTER)
    COL(delay_forward, delay[TW_FORWARD])
    COL(delay_backward, delay[TW_BACKWARD])
    COL(delay_roundtrip, delay[TW_ROUNDTRIP])
    SAME(send_lateness)
    JITTER(jitter_forward, TW_FORWARD)
    JITTER(jitter_backward, TW_BACKWARD)
    JITTER(jitter_roundtrip, TW_ROUNDTRIP)
    SAME(loss_runs) SAME(loss_run_longest) SAME(loss_run_longest_ns)
    OCTET(ttl_forward) OCTET(ttl_backward) OCTET(tos_backward) SAME(tos_sent)
    SAME(residence_sum_ns) SAME(residence_max_ns)
    SAME(tx_source) SAME(rx_source)
    CLOCK(clock_local) SAME(clock_remote_known) CLOCK(clock_remote) SAME(clock_steps)
    OCTET(tos_forward)
    SAME(host_stall_max_ns) SAME(host_cpu_wait_ppm)
    COL(noise_sent, noise.sent) COL(noise_lost, noise.lost)
    COL(noise_p50_ns, noise.p50_ns) COL(noise_p99_ns, noise.p99_ns) COL(noise_max_ns, noise.max_ns)
    SAME(test_id)
    SAME(unavailable)
    { "digest", ROW_DIGEST, 0 },
};
/* clang-format on */
const size_t row_cols_n = TW_NELEM(row_cols);
_Static_assert(TW_NELEM(row_cols) <= ROW_MAX, "raise ROW_MAX");

void row_column_sql(sqlite3_str *sql, const struct row_col *col)
{
    sqlite3_str_appendf(sql, "%s %s", col->name,
                        row_is_blob(col) ? "BLOB" : "INTEGER NOT NULL DEFAULT 0");
}

/* ---- Digest: the sum of what each column that is not 0 or empty adds by its name, so that columns which one of two
 * programs does not know make no difference. ---- */

static uint64_t column_hash[ROW_MAX];

static void hash_columns(void)
{
    for (size_t i = 0; i < row_cols_n; i++)
        column_hash[i] = digest_of(0, row_cols[i].name, strlen(row_cols[i].name));
}

static const uint64_t *column_hashes(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, hash_columns);
    return column_hash;
}

static uint64_t share_of_number(uint64_t column, int64_t v)
{
    return v ? digest_mix(column ^ digest_mix((uint64_t)v)) : 0;
}

static uint64_t share_of_octets(uint64_t column, const uint8_t *p, size_t len)
{
    return len ? digest_of(column, p, len) : 0;
}

/* ---- Putting ---- */

static enum tw_rc put_blob(struct sq_cur *c, const struct row_col *col, const uint8_t *p, uint64_t column, uint8_t **scratch,
                           uint64_t *sum)
{
    size_t len = 0;
    enum tw_rc rc = TW_OK;

    if (col->kind == ROW_UNAVAIL)
        rc = unavail_encode((const struct tw_unavail *)(const void *)p, *scratch, UNAVAIL_MAX_BLOB, &len);
    else if (((const struct hist *)(const void *)p)->count)
        rc = hist_encode((const struct hist *)(const void *)p, *scratch, HIST_MAX_BLOB, &len);
    if (rc)
        return rc;
    if (len)
        sq_put_blob(c, *scratch, len);
    else
        sq_put_null(c);
    *sum += share_of_octets(column, *scratch, len);
    *scratch += len;
    return TW_OK;
}

static int64_t number_of(enum row_kind kind, const uint8_t *p)
{
    int64_t v64;
    uint32_t v32;

    if (kind == ROW_64) {
        memcpy(&v64, p, sizeof v64);
        return v64;
    }
    if (kind != ROW_32)
        return *p;
    memcpy(&v32, p, sizeof v32);
    return v32;
}

enum tw_rc row_put(struct sq_cur *c, const struct tw_summary *s, bool digest, uint8_t *scratch)
{
    const uint64_t *column = column_hashes();
    uint64_t sum = 0;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        const uint8_t *p = (const uint8_t *)s + row_cols[i].offset;
        int64_t v;

        if (row_is_blob(&row_cols[i])) {
            rc = put_blob(c, &row_cols[i], p, column[i], &scratch, &sum);
            continue;
        }
        v = row_cols[i].kind != ROW_DIGEST ? number_of(row_cols[i].kind, p) : digest ? digest_stored(sum) : 0;
        sum += share_of_number(column[i], v);
        sq_put_i64(c, v);
    }
    return rc;
}

/* ---- Taking ---- */

static enum tw_rc take_blob(struct sq_cur *c, enum row_kind kind, uint8_t *p, uint64_t column, uint64_t *sum)
{
    size_t len;
    const uint8_t *data = sq_take_blob(c, &len);

    *sum += share_of_octets(column, data, len);
    if (kind == ROW_UNAVAIL)
        return unavail_decode((struct tw_unavail *)(void *)p, data, len);
    if (len)
        return hist_decode((struct hist *)(void *)p, data, len);
    hist_reset((struct hist *)(void *)p);
    return TW_OK;
}

/* What does not fit its field was not written by us. */
static bool keep_number(int64_t v, enum row_kind kind, uint8_t *p)
{
    uint32_t v32 = (uint32_t)v;

    switch (kind) {
    case ROW_64:
        memcpy(p, &v, sizeof v);
        return true;
    case ROW_32:
        memcpy(p, &v32, sizeof v32);
        return v >= 0 && v <= UINT32_MAX;
    case ROW_8:
        *p = (uint8_t)v;
        return v >= 0 && v <= UINT8_MAX;
    case ROW_BOOL:
        *p = v != 0;
        return v == 0 || v == 1;
    case ROW_HIST:
    case ROW_UNAVAIL:
    case ROW_DIGEST:
        break;
    }
    return false;
}

static enum tw_rc take_columns(struct sq_cur *c, struct tw_summary *s, struct tw_err *err)
{
    const uint64_t *column = column_hashes();
    uint64_t sum = 0;

    for (size_t i = 0; i < row_cols_n; i++) {
        uint8_t *p = (uint8_t *)s + row_cols[i].offset;
        int64_t v;

        if (row_is_blob(&row_cols[i])) {
            if (take_blob(c, row_cols[i].kind, p, column[i], &sum))
                return tw_err_set(err, TW_ECORRUPT, "%s is damaged", row_cols[i].name);
            continue;
        }
        v = sq_take_i64(c);
        if (row_cols[i].kind == ROW_DIGEST) {
            if (v && v != digest_stored(sum))
                return tw_err_set(err, TW_ECORRUPT, "something in it was altered (its digest is of another content)");
            continue;
        }
        sum += share_of_number(column[i], v);
        if (!keep_number(v, row_cols[i].kind, p))
            return tw_err_set(err, TW_ECORRUPT, "%s is out of range", row_cols[i].name);
    }
    return summary_validate(s, err);
}

enum tw_rc row_take(struct sq_cur *c, struct tw_summary *s, struct tw_err *err)
{
    struct tw_err why = { 0 };

    if (take_columns(c, s, &why) == TW_OK)
        return TW_OK;
    return tw_err_set(
        err, TW_ECORRUPT, "%s %s: damaged row of pair %llu at %lld: %s: restore the file from a backup",
        c->q->spec->what, c->q->path, (unsigned long long)s->pair_id, (long long)s->start_ns, why.text);
}
