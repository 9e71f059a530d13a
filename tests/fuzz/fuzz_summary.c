/* What an agent can send as DATA: a SummaryBatch, unpacked in an arena, each summary validated. What is
 * accepted must survive merging, printing and sending on. */

#include "common/net/rpc_frame.h"
#include "common/net/summary_pb.h"
#include "common/unavail.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_on(const struct tw_summary *s)
{
    struct tw_summary back;
    struct tw_err err = { 0 };
    Tw__Summary *m = NULL;
    struct arena *a;

    CHECK(arena_new(1 << 20, &a) == TW_OK);
    summary_init(&back);
    CHECK(summary_to_pb(s, a, &m) == TW_OK);
    CHECK(summary_from_pb(m, &back, &err) == TW_OK);
    CHECK(hist_equal(&s->delay[TW_ROUNDTRIP], &back.delay[TW_ROUNDTRIP]));
    CHECK(s->runs.n == back.runs.n);
    for (size_t i = 0; i < s->runs.n; i++)
        CHECK(s->runs.v[i].start_ns == back.runs.v[i].start_ns && s->runs.v[i].length_ns == back.runs.v[i].length_ns &&
              s->runs.v[i].probes == back.runs.v[i].probes && s->runs.v[i].direction == back.runs.v[i].direction);
    CHECK(s->unavailable.n == back.unavailable.n &&
          unavail_windows(&s->unavailable) == unavail_windows(&back.unavailable));
    CHECK(s->received == back.received && s->status == back.status && s->tos_sent == back.tos_sent);
    summary_free(&back);
    arena_free(a);
}

static void read_octets(const struct tw_unavail *l)
{
    uint8_t blob[UNAVAIL_MAX_BLOB];
    struct tw_unavail back = { 0 };
    size_t len;

    CHECK(unavail_encode(l, blob, sizeof blob, &len) == TW_OK);
    CHECK(unavail_decode(&back, blob, len) == TW_OK && back.n == l->n);
    unavail_free(&back);
}

static void take(const Tw__Summary *m, struct tw_summary *s, struct tw_summary *sum)
{
    struct stats_view view;
    struct tw_err err = { 0 };

    if (summary_from_pb(m, s, &err)) {
        CHECK(err.text[0]);
        CHECK(s->sent == 0);
        return;
    }
    send_on(s);
    summary_merge(sum, s);
    CHECK(sum->runs.n <= TW_LOSS_RUNS_MAX && sum->runs.n <= sum->loss_runs);
    CHECK(sum->unavailable.n <= TW_UNAVAIL_MAX && unavail_windows(&sum->unavailable) <= sum->windows_unavailable);
    read_octets(&sum->unavailable);
    stats_view(s, &view);
    stats_view(sum, &view);
    CHECK(view.sent >= s->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tw_summary s, sum;
    ProtobufCMessage *any = NULL;
    const Tw__SummaryBatch *b;
    struct tw_err err = { 0 };
    struct arena *a;

    if (arena_new(RPC_ARENA_CAP(size), &a))
        return 0;
    if (rpc_body_unpack(&tw__summary_batch__descriptor, data, size, a, &any, &err) == TW_OK) {
        b = (const Tw__SummaryBatch *)any;
        summary_init(&s);
        summary_init(&sum);
        for (size_t i = 0; i < b->n_summaries && i < 256; i++)
            take(b->summaries[i], &s, &sum);
        summary_free(&s);
        summary_free(&sum);
    }
    arena_free(a);
    return 0;
}
