#include "db/row_cols.h"

#include <pthread.h>
#include <string.h>
#include "db/digest.h"

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

/* ---- Numbers ---- */

int64_t row_number(const struct row_col *col, const struct tw_summary *s)
{
    const uint8_t *p = (const uint8_t *)s + col->offset;
    int64_t v64;
    uint32_t v32;

    if (col->kind == ROW_64) {
        memcpy(&v64, p, sizeof v64);
        return v64;
    }
    if (col->kind != ROW_32)
        return *p;
    memcpy(&v32, p, sizeof v32);
    return v32;
}

bool row_set_number(const struct row_col *col, int64_t v, struct tw_summary *s)
{
    uint8_t *p = (uint8_t *)s + col->offset;
    uint32_t v32 = (uint32_t)v;

    switch (col->kind) {
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

/* ---- Octets ---- */

enum tw_rc row_encode(const struct row_col *col, const struct tw_summary *s, uint8_t *buf, size_t *ret_len)
{
    const void *p = (const uint8_t *)s + col->offset;
    const struct hist *h = p;

    *ret_len = 0;
    if (col->kind == ROW_UNAVAIL)
        return unavail_encode(p, buf, UNAVAIL_MAX_BLOB, ret_len);
    return h->count ? hist_encode(h, buf, HIST_MAX_BLOB, ret_len) : TW_OK;
}

enum tw_rc row_decode(const struct row_col *col, const uint8_t *data, size_t len, struct tw_summary *s)
{
    void *p = (uint8_t *)s + col->offset;

    if (col->kind == ROW_UNAVAIL)
        return unavail_decode(p, data, len);
    if (len)
        return hist_decode(p, data, len);
    hist_reset(p);
    return TW_OK;
}

/* ---- Digest ---- */

static uint64_t column_hash[ROW_MAX];

static void hash_columns(void)
{
    for (size_t i = 0; i < row_cols_n; i++)
        column_hash[i] = digest_of(0, row_cols[i].name, strlen(row_cols[i].name));
}

static uint64_t hash_of_column(size_t i)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, hash_columns);
    return column_hash[i];
}

uint64_t row_share_of_number(size_t i, int64_t v)
{
    return v ? digest_mix(hash_of_column(i) ^ digest_mix((uint64_t)v)) : 0;
}

uint64_t row_share_of_octets(size_t i, const uint8_t *p, size_t len)
{
    return len ? digest_of(hash_of_column(i), p, len) : 0;
}
