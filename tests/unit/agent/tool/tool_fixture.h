/* tests/unit/agent/tool/tool_fixture.h - a plan and results as a run would make them, and golden copies.
 * TW_UPDATE_GOLDEN=1 in the environment writes the copies anew. */
#ifndef TW_TESTS_TOOL_FIXTURE_H
#define TW_TESTS_TOOL_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/loss_runs.h"
#include "agent/tool/out.h"

#define T0_NS (INT64_C(1795700000) * TW_NS_PER_S)

static inline void fixture_addr(const char *text, struct tw_addr *ret)
{
    assert_int_equal(tw_addr_parse(text, 0, ret), TW_OK);
}

static inline struct plan *fixture_plan(size_t flows, bool forever, bool stamp)
{
    struct plan *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->run.n_flows = flows;
    p->run.flows = p->flows;
    p->run.tos = 0xb8;
    p->run.ttl = 64;
    p->run.session = (struct session_cfg){ .spacing_ns = 20 * TW_NS_PER_MS,
                                           .timeout_ns = 5 * TW_NS_PER_S,
                                           .report_period_ns = forever ? 10 * TW_NS_PER_S : RUN_ONE_PERIOD_NS,
                                           .count = forever ? 0 : 100 };
    p->protocol = stamp ? "stamp" : "light";
    p->auth = "none";
    strcpy(p->target, "ber.example.net:20001");
    fixture_addr("192.0.2.7:20001", &p->remote);
    for (size_t i = 0; i < flows; i++) {
        fixture_addr("192.0.2.1", &p->source[i]);
        p->source[i].port = (uint16_t)(20000 + i);
    }
    p->forever = forever;
    p->size_bytes = 41;
    if (stamp) {
        p->ssid = 7;
        p->tlvs = STAMP_TLV_BIT(STAMP_TLV_LOCATION) | STAMP_TLV_BIT(STAMP_TLV_COS);
    }
    return p;
}

/* n answers of a host nearby, whose clock is 50 ms ahead: the way back takes less than nothing. */
static inline void fixture_summary(struct tw_summary *s, uint64_t n)
{
    summary_init(s);
    s->start_ns = T0_NS;
    s->end_ns = T0_NS + 2 * TW_NS_PER_S;
    s->sent = s->received = n;
    s->tos_sent = 0xb8;
    for (uint64_t i = 0; i < n; i++) {
        int64_t forward = 50100 * TW_NS_PER_US + (int64_t)(i % 10) * 1000, backward = -49900 * TW_NS_PER_US;
        hist_add(&s->delay[TW_FORWARD], forward);
        hist_add(&s->delay[TW_BACKWARD], backward);
        hist_add(&s->delay[TW_ROUNDTRIP], forward + backward);
        hist_add(&s->send_lateness, 50000);
    }
    for (int d = 0; d < 3; d++)
        s->jitter[d] = (struct tw_jitter){ (int64_t)n * 1500, n, (int64_t)n * 2000, n };
    s->ttl_forward = (struct tw_octet_range){ 60, 60, n, 0 };
    s->ttl_backward = (struct tw_octet_range){ 250, 250, n, 0 };
    s->tos_backward = (struct tw_octet_range){ 0xb8, 0xb8, n, 0 };
    s->residence_sum_ns = (int64_t)n * 30000;
    s->residence_max_ns = 40000;
    s->tx_source = TW_TS_USER;
    s->rx_source = TW_TS_KERNEL;
    s->clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 300000 };
    s->clock_remote_known = true;
    s->clock_remote = (struct tw_clock_state){ .synced = false, .max_error_ns = 16 * TW_NS_PER_S };
    s->status = summary_status(s);
}

static inline void fixture_lose(struct tw_summary *s, uint64_t forward, uint64_t backward, uint64_t unknown)
{
    s->lost_forward = forward;
    s->lost_backward = backward;
    s->lost_unknown = unknown;
    s->sent += forward + backward + unknown;
    s->loss_runs = 1;
    s->loss_run_longest = forward + backward + unknown;
    s->loss_run_longest_ns = (int64_t)s->loss_run_longest * 20 * TW_NS_PER_MS;
    loss_runs_add(&s->runs, &(struct tw_loss_run){ .start_ns = s->start_ns + 1,
                                                   .length_ns = s->loss_run_longest_ns,
                                                   .probes = s->loss_run_longest,
                                                   .seq_first = (uint32_t)s->received,
                                                   .flow = s->flow,
                                                   .direction = unknown                ? TW_UNKNOWN
                                                                : forward && backward ? TW_MIXED
                                                                : forward             ? TW_FORWARD
                                                                                      : TW_BACKWARD });
    s->status = summary_status(s);
}

/* ---- Golden copies ---- */

static inline char *fixture_read(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 20);

    assert_non_null(text);
    if (!f)
        fail_msg("%s: no such file; TW_UPDATE_GOLDEN=1 makes it", path);
    assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
    fclose(f);
    return text;
}

static inline void fixture_golden(const char *name, const char *text)
{
    char path[512], *want;

    snprintf(path, sizeof path, "%s/tests/golden/tool/%s", TW_SOURCE_DIR, name);
    if (getenv("TW_UPDATE_GOLDEN")) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
    }
    want = fixture_read(path);
    if (strcmp(want, text))
        fail_msg("%s: differs; is:\n%s\nwas:\n%s", name, text, want);
    free(want);
}

#endif
