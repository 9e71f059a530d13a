/* What tests of reports, live state and HTTP share: a store with summaries, the inventory that goes with it,
 * a loop and readers. */
#ifndef TW_TESTS_API_FIXTURE_H
#define TW_TESTS_API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/net/now.h"
#include "controller/inventory.h"
#include "controller/reader.h"

#define FX_PERIOD (10 * TW_NS_PER_S)
#define FX_DEADLINE_S 20

struct fx {
    char dir[32], path[64];
    struct store *store;
    struct loop *loop;
    struct reader_pool *readers;
    struct inventory inv;
    int64_t agent_id;
    uint64_t seq;
    unsigned seed;
};

#define FX_OK(call)                                                   \
    do {                                                              \
        struct tw_err err = { 0 };                                    \
        enum tw_rc rc_ = (call);                                      \
        if (rc_)                                                      \
            fail_msg("%s: %s: %s", #call, tw_rc_name(rc_), err.text); \
    } while (0)

__attribute__((unused)) static struct fx *fx_new(unsigned threads, unsigned max_jobs)
{
    struct fx *f = calloc(1, sizeof *f);
    struct store_agent a = { .name = "ams", .approved = true };

    strcpy(f->dir, "/tmp/twtest-api-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/store.db", f->dir);
    FX_OK(store_open(f->path, &f->store, &err));
    FX_OK(store_put_agent(f->store, &a, &err));
    f->agent_id = a.id;
    f->seed = 1;
    FX_OK(loop_new(&f->loop));
    FX_OK(reader_pool_start(f->loop, &(struct store_where){ .control = f->path }, threads, max_jobs,
                            &f->readers, &err));
    return f;
}

/* Caller's publish and httpd are gone; readers may be stopped already. */
__attribute__((unused)) static void fx_free(struct fx *f)
{
    char cmd[64];

    reader_pool_stop(f->readers);
    inventory_free(&f->inv);
    loop_free(f->loop);
    store_close(f->store);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", f->dir);
    assert_int_equal(system(cmd), 0);
    free(f);
}

/* A pair in the store and the inventory; scheduled since then unless 0. */
__attribute__((unused)) static struct pair *fx_pair(struct fx *f, const char *mesh, const char *class_name,
                                                    const char *source, const char *target, uint32_t flows,
                                                    int64_t since_ns)
{
    struct store_pair row = { .mesh = mesh, .class_name = class_name, .source = source, .target = target };
    struct pair *p;

    FX_OK(store_begin(f->store, &err));
    FX_OK(store_put_pair(f->store, &row, &err));
    p = inventory_add_pair(&f->inv, &row);
    assert_non_null(p);
    p->flows = flows;
    p->report_period_ns = FX_PERIOD;
    p->scheduled = since_ns != 0;
    p->scheduled_since_ns = since_ns;
    if (since_ns)
        FX_OK(store_pair_scheduled(f->store, p->row.id, 1,
                                   &(struct store_expectation){ .report_period_ns = FX_PERIOD, .flows = flows }, since_ns, &err));
    FX_OK(store_commit(f->store, &err));
    return p;
}

/* A summary of one report period with some random delays and losses; the caller frees it. */
__attribute__((unused)) static struct tw_summary fx_summary(struct fx *f, const struct pair *p, uint32_t flow,
                                                            int64_t start_ns)
{
    struct tw_summary s;

    summary_init(&s);
    s.pair_id = p->row.id;
    s.flow = flow;
    s.generation = 1;
    s.start_ns = start_ns;
    s.end_ns = start_ns + FX_PERIOD;
    s.sent = 100;
    s.lost_forward = (uint64_t)(rand_r(&f->seed) % 4);
    s.received = s.sent - s.lost_forward;
    s.status = summary_status(&s);
    for (uint64_t i = 0; i < s.received; i++) {
        int64_t there = TW_NS_PER_MS + rand_r(&f->seed) % 3000000,
                back = TW_NS_PER_MS + rand_r(&f->seed) % 2000000;
        hist_add(&s.delay[TW_FORWARD], there);
        hist_add(&s.delay[TW_BACKWARD], back);
        hist_add(&s.delay[TW_ROUNDTRIP], there + back);
    }
    s.clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 1000 };
    s.clock_remote_known = true;
    s.clock_remote = s.clock_local;
    return s;
}

__attribute__((unused)) static void fx_store(struct fx *f, const struct tw_summary *s)
{
    struct store_batch b = {
        .agent_id = f->agent_id, .spool_id = "spool", .first_seq = ++f->seq, .rows = s, .n = 1
    };
    enum store_append_result res;
    uint64_t through;

    FX_OK(store_begin(f->store, &err));
    FX_OK(store_append(f->store, &b, &res, &through, &err));
    assert_int_equal(res, STORE_APPENDED);
    FX_OK(store_commit(f->store, &err));
}

__attribute__((unused)) static void fx_run_until(struct fx *f, const bool *flag, const char *what)
{
    struct tw_mono deadline = { tw_mono_now().ns + FX_DEADLINE_S * TW_NS_PER_S };

    if (loop_run_until(f->loop, flag, deadline))
        fail_msg("waited in vain: %s", what);
}

__attribute__((unused)) static void fx_run_until_ns(struct fx *f, int64_t ns)
{
    const bool never = false;

    loop_run_until(f->loop, &never, (struct tw_mono){ tw_mono_now().ns + ns });
}

/* Compares every number that people see. */
__attribute__((unused)) static void fx_same_view(const char *name, const struct stats_view *a,
                                                 const struct stats_view *b)
{
    for (size_t i = 0; i < stats_fields_n; i++) {
        const struct stats_field *f = &stats_fields[i];
        const char *pa = (const char *)a + f->offset, *pb = (const char *)b + f->offset;
        static const size_t size[] = { [STATS_U64] = sizeof(uint64_t),
                                       [STATS_U8] = 1,
                                       [STATS_U32] = 4,
                                       [STATS_F64] = sizeof(double),
                                       [STATS_NUM] = 0,
                                       [STATS_BOOL] = sizeof(bool),
                                       [STATS_TEXT] = 0 };
        const struct tw_num *na = (const void *)pa, *nb = (const void *)pb;
        bool same = f->kind == STATS_NUM    ? na->known == nb->known && na->value == nb->value
                    : f->kind == STATS_TEXT ? !strcmp(*(const char *const *)pa, *(const char *const *)pb)
                                            : !memcmp(pa, pb, size[f->kind]);
        if (!same)
            fail_msg("%s: %s differs", name, f->name);
    }
}

#endif
