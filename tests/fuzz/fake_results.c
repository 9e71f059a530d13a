#include "tests/fuzz/fake_results.h"
#include <stdlib.h>
#include <string.h>
#include "common/net/summary_pb.h"
#include "tests/fuzz/check.h"

#define PERIOD_NS (10 * TW_NS_PER_S)
#define DAY_NS (86400 * TW_NS_PER_S)

enum { SENT = 10, OLD = 4 }; /* OLD of the results are of other days */

static void add_delays(struct tw_summary *s, unsigned i)
{
    for (unsigned n = 0; n < s->received; n++) {
        int64_t delay_ns = (1 + i) * TW_NS_PER_MS + n * 37 * 1000;

        hist_add(&s->delay[TW_FORWARD], delay_ns);
        hist_add(&s->delay[TW_BACKWARD], delay_ns / 2 - (int64_t)(n % 3) * TW_NS_PER_MS);
        hist_add(&s->delay[TW_ROUNDTRIP], 2 * delay_ns);
        hist_add(&s->send_lateness, n * 1000);
    }
    for (int d = 0; d < 3 && s->received; d++)
        s->jitter[d] = (struct tw_jitter){ 3000 * (int64_t)s->received, s->received, 1000, s->received - 1 };
    s->residence_max_ns = s->residence_sum_ns = s->received ? 5000 : 0;
    s->ttl_forward = s->ttl_backward = (struct tw_octet_range){ 60, 64, s->received, s->received ? 1 : 0 };
}

/* One run of all that was lost; its windows count as unavailable if nothing came back. */
static void add_losses(struct tw_summary *s, unsigned i)
{
    uint64_t lost = s->sent - s->received;

    if (!lost)
        return;
    s->loss_runs = 1;
    s->loss_run_longest = lost;
    s->loss_run_longest_ns = TW_NS_PER_S;
    s->runs.v = calloc(1, sizeof *s->runs.v);
    CHECK(s->runs.v);
    s->runs.n = s->runs.cap = 1;
    *s->runs.v = (struct tw_loss_run){ .start_ns = s->start_ns + TW_NS_PER_S,
                                       .length_ns = TW_NS_PER_S,
                                       .probes = lost,
                                       .direction = i % 2 ? TW_FORWARD : TW_MIXED,
                                       .continues_after = !s->received };
    if (s->received)
        return;
    s->unavailable.v = calloc(1, sizeof *s->unavailable.v);
    CHECK(s->unavailable.v);
    s->unavailable.n = s->unavailable.cap = 1;
    *s->unavailable.v = (struct tw_unavail_run){ s->start_ns, s->end_ns, 1, 0 };
}

static void add_host(struct tw_summary *s, unsigned i)
{
    s->clock_local.synced = s->clock_remote.synced = i % 3 != 0;
    s->clock_remote_known = i % 2;
    if (i % 4 != 3)
        return;
    s->host_stalls = 2;
    s->host_stall_max_ns = 30 * TW_NS_PER_MS;
    s->host_cpu_wait_ppm = 300000;
    s->noise = (struct tw_noise){ 10, 1, 1000, 2000, 3000 };
    s->host_drops = 1;
}

void fake_result_fill(struct tw_summary *s, unsigned i, int64_t now_ns)
{
    static const uint64_t received[] = { SENT, 7, 0, SENT, 9 };
    int64_t back_ns = i < OLD ? (int64_t)(8 - 2 * i) * DAY_NS : (int64_t)(FAKE_RESULTS - i) * PERIOD_NS;

    s->start_ns = (now_ns - back_ns) / PERIOD_NS * PERIOD_NS;
    s->end_ns = s->start_ns + PERIOD_NS;
    s->seq_first = i * SENT;
    s->sent = SENT;
    s->received = received[i % TW_NELEM(received)];
    s->lost_forward = (s->sent - s->received) / 2;
    s->lost_unknown = s->sent - s->received - s->lost_forward;
    s->windows_available = s->received ? 1 : 0;
    s->windows_unavailable = s->received ? 0 : 1;
    add_delays(s, i);
    add_losses(s, i);
    add_host(s, i);
    s->status = summary_status(s);
}

size_t fake_results(uint64_t pair_id, uint64_t generation, uint8_t spool, int64_t now_ns, uint8_t *body,
                    size_t cap)
{
    Tw__SummaryBatch batch = TW__SUMMARY_BATCH__INIT;
    Tw__Summary *list[FAKE_RESULTS];
    struct tw_err err = { 0 };
    struct arena *a;
    uint8_t id[16];
    size_t len;

    CHECK(arena_new(1 << 20, &a) == TW_OK);
    memset(id, spool, sizeof id);
    batch.spool_id = (ProtobufCBinaryData){ sizeof id, id };
    batch.first_seq = 1;
    batch.summaries = list;
    batch.n_summaries = FAKE_RESULTS;
    for (unsigned i = 0; i < FAKE_RESULTS; i++) {
        struct tw_summary s;

        summary_init(&s);
        s.pair_id = pair_id;
        s.generation = generation;
        fake_result_fill(&s, i, now_ns);
        CHECK(summary_validate(&s, &err) == TW_OK && summary_to_pb(&s, a, &list[i]) == TW_OK);
        summary_free(&s);
    }
    len = tw__summary_batch__get_packed_size(&batch);
    CHECK(len <= cap);
    tw__summary_batch__pack(&batch, body);
    arena_free(a);
    return len;
}
