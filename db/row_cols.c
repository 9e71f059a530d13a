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
#define COL(part, name, member) { #name, KIND(member), part, offsetof(struct tw_summary, member) },
#define SAME(part, name) COL(part, name, name)
#define COUNTER(name, help) SAME(IN_##name, name)
#define JITTER(name, i)                                                  \
    COL(STORE_JITTER, name##_ewma_sum_ns, jitter[i].ewma_sum_ns)         \
    COL(STORE_JITTER, name##_ewma_n, jitter[i].ewma_n)                   \
    COL(STORE_JITTER, name##_ipdv_abs_sum_ns, jitter[i].ipdv_abs_sum_ns) \
    COL(STORE_JITTER, name##_ipdv_n, jitter[i].ipdv_n)
#define OCTET(name)                       \
    COL(STORE_REST, name##_min, name.min) \
    COL(STORE_REST, name##_max, name.max) \
    COL(STORE_REST, name##_n, name.n)     \
    COL(STORE_REST, name##_changes, name.changes)
#define CLOCK(name)                                           \
    COL(STORE_DELAYS, name##_synced, name.synced)             \
    COL(STORE_DELAYS, name##_max_error_ns, name.max_error_ns) \
    COL(STORE_DELAYS, name##_steps, name.steps)

/* The part of each counter; a new one is classed here. Those that say what the status is are always read. */
enum {
    IN_sent = 0,
    IN_received = 0,
    IN_lost_forward = 0,
    IN_lost_backward = 0,
    IN_lost_unknown = 0,
    IN_send_errors = 0,
    IN_skipped = 0,
    IN_windows_available = 0,
    IN_windows_unavailable = 0,
    IN_windows_unknown = 0,
    IN_host_drops = STORE_HOST,
    IN_host_stalls = STORE_HOST,
    IN_late = STORE_REST,
    IN_duplicates_forward = STORE_REST,
    IN_duplicates_backward = STORE_REST,
    IN_duplicates_unknown = STORE_REST,
    IN_reordered_forward = STORE_REST,
    IN_reordered_backward = STORE_REST,
    IN_reordered_roundtrip = STORE_REST,
    IN_rejected = STORE_REST,
    IN_invalid_time = STORE_REST,
    IN_rx_user_time = STORE_REST,
    IN_tx_user_time = STORE_REST,
    IN_followed_up = STORE_REST
};

/* clang-format off */
const struct row_col row_cols[] = {
    SAME(0, pair_id) SAME(0, start_ns) SAME(0, flow) SAME(STORE_REST, generation) SAME(0, end_ns)
    SAME(STORE_REST, seq_first) SAME(0, status)
    TW_COUNTERS(COUNTER)
    COL(STORE_DELAYS, delay_forward, delay[TW_FORWARD])
    COL(STORE_DELAYS, delay_backward, delay[TW_BACKWARD])
    COL(STORE_DELAYS, delay_roundtrip, delay[TW_ROUNDTRIP])
    SAME(STORE_REST, send_lateness)
    JITTER(jitter_forward, TW_FORWARD)
    JITTER(jitter_backward, TW_BACKWARD)
    JITTER(jitter_roundtrip, TW_ROUNDTRIP)
    SAME(STORE_REST, loss_runs) SAME(STORE_REST, loss_run_longest) SAME(STORE_REST, loss_run_longest_ns)
    OCTET(ttl_forward) OCTET(ttl_backward) OCTET(tos_backward) SAME(STORE_REST, tos_sent)
    SAME(STORE_DELAYS, residence_sum_ns) SAME(STORE_DELAYS, residence_max_ns)
    SAME(STORE_REST, tx_source) SAME(STORE_REST, rx_source)
    CLOCK(clock_local) SAME(STORE_DELAYS, clock_remote_known) CLOCK(clock_remote) SAME(STORE_DELAYS, clock_steps)
    OCTET(tos_forward)
    SAME(STORE_HOST, host_stall_max_ns) SAME(STORE_HOST, host_cpu_wait_ppm)
    COL(STORE_HOST, noise_sent, noise.sent) COL(STORE_HOST, noise_lost, noise.lost)
    COL(STORE_HOST, noise_p50_ns, noise.p50_ns) COL(STORE_HOST, noise_p99_ns, noise.p99_ns)
    COL(STORE_HOST, noise_max_ns, noise.max_ns)
    SAME(0, test_id)
    SAME(STORE_REST, unavailable)
    { "digest", ROW_DIGEST, 0, 0 },
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
        return hist_decode_over(p, data, len);
    hist_reset(p);
    return TW_OK;
}

void row_leave_out(const struct row_col *col, struct tw_summary *s)
{
    if (row_is_blob(col))
        row_decode(col, NULL, 0, s);
    else if (col->kind != ROW_DIGEST)
        row_set_number(col, 0, s);
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
