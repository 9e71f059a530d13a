/* Summaries on their way into the spool, also when the disk is full. The worker is played by this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "agent/results.h"
#include "common/net/now.h"

#define HELD_MAX 20000u /* as results.c */
#define PATIENCE_NS (30 * TW_NS_PER_S)

struct fx {
    char dir[64], path[128];
    struct loop *loop;
    struct spool *spool;
    struct worker *workers[1];
    struct results *results;
    unsigned stored, named;
};

/* ---- The worker ---- */

static uint64_t waiting, next_pair, lost;

enum tw_rc worker_next_summary(struct worker *w, struct tw_summary *ret)
{
    (void)w;
    if (!waiting)
        return TW_EAGAIN;
    waiting--;
    summary_reset(ret);
    ret->pair_id = ++next_pair;
    ret->start_ns = 1;
    ret->end_ns = 2;
    return TW_OK;
}

void worker_counters(const struct worker *w, struct worker_counters *ret)
{
    (void)w;
    *ret = (struct worker_counters){ .summaries_lost = lost };
}

/* ---- Fixture ---- */

static void name(void *ctx, Tw__Summary *m)
{
    struct fx *f = ctx;

    f->named++;
    m->mesh = (char *)"mesh";
}

static void on_stored(void *ctx)
{
    struct fx *f = ctx;

    f->stored++;
}

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    struct spool_cfg sc = { .path = f->path };
    struct results_conf c = { .n_workers = 1, .name = name, .on_stored = on_stored, .ctx = f };
    struct tw_err err = { 0 };

    waiting = next_pair = lost = 0;
    snprintf(f->dir, sizeof f->dir, "/tmp/twtest-results-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/spool.db", f->dir);
    assert_int_equal(spool_open(&sc, &f->spool, &err), TW_OK);
    assert_int_equal(loop_new(&f->loop), TW_OK);
    c.loop = f->loop;
    c.spool = f->spool;
    c.workers = f->workers;
    assert_int_equal(results_new(&c, &f->results), TW_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    char cmd[96];

    results_free(f->results);
    spool_close(f->spool);
    loop_free(f->loop);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", f->dir);
    free(f);
    return system(cmd);
}

static struct spool_stats stats(struct fx *f)
{
    struct spool_stats st;

    spool_stats(f->spool, &st);
    return st;
}

#define WAIT(f, condition)                                                                          \
    do {                                                                                            \
        static const bool never = false;                                                            \
        int64_t wait_end_ns = tw_mono_now().ns + PATIENCE_NS;                                       \
        while (!(condition)) {                                                                      \
            if (tw_mono_now().ns > wait_end_ns)                                                     \
                fail_msg("never happened: %s", #condition);                                         \
            loop_run_until((f)->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS }); \
        }                                                                                           \
    } while (0)

/* No file of this process may grow. The previous limit is returned. */
static struct rlimit fill_disk(void)
{
    struct rlimit old, low;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    return old;
}

static void free_disk(const struct rlimit *old)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, old), 0);
}

/* Records `seq`.. are the summaries of pairs `pair`.. */
static void check_records(struct fx *f, uint64_t seq, uint64_t pair, size_t n)
{
    struct spool_record rec[256];
    struct spool_gap gap;
    size_t got = 0;

    assert_int_equal(spool_read(f->spool, seq, n, 1 << 20, rec, &got, &gap), TW_OK);
    assert_int_equal(got, n);
    for (size_t i = 0; i < n; i++) {
        Tw__Summary *m = tw__summary__unpack(NULL, rec[i].len, rec[i].data);
        assert_non_null(m);
        if (m->pair_id != pair + i || strcmp(m->mesh, "mesh") != 0)
            fail_msg("record %u: pair %u of mesh \"%s\"", (unsigned)(seq + i), (unsigned)m->pair_id, m->mesh);
        tw__summary__free_unpacked(m, NULL);
    }
}

/* ---- Tests ---- */

static void summaries_are_named_at_once_and_stored_together(void **state)
{
    struct fx *f = *state;

    waiting = 3;
    results_notify(f->results);
    assert_int_equal(f->named, 3);
    waiting = 2;
    results_notify(f->results);
    assert_int_equal(stats(f).last_seq, 0);
    WAIT(f, f->stored == 1);
    assert_int_equal(stats(f).last_seq, 5);
    check_records(f, 1, 1, 5);
}

/* Of sessions that no worker runs. */
static void others_go_the_same_way(void **state)
{
    struct fx *f = *state;
    struct tw_summary s;

    summary_init(&s);
    s.start_ns = 1;
    s.end_ns = 2;
    s.status = TW_STATUS_NAME_ERROR;
    for (s.pair_id = 1; s.pair_id <= 2; s.pair_id++)
        results_add(f->results, &s);
    assert_int_equal(f->named, 2);
    assert_int_equal(stats(f).last_seq, 0);
    WAIT(f, f->stored == 1);
    check_records(f, 1, 1, 2);
    summary_free(&s);
}

static void a_full_disk_only_delays_them(void **state)
{
    struct fx *f = *state;
    struct rlimit old = fill_disk();

    waiting = 3;
    results_notify(f->results);
    WAIT(f, stats(f).append_errors >= 1);
    waiting = 2; /* more come meanwhile */
    results_notify(f->results);
    assert_int_equal(f->stored, 0);
    free_disk(&old);
    WAIT(f, f->stored == 1);
    check_records(f, 1, 1, 5);
    assert_int_equal(results_dropped(f->results), 0);
}

static void what_memory_cannot_hold_leaves_a_gap(void **state)
{
    struct fx *f = *state;
    struct rlimit old = fill_disk();
    struct spool_record rec[1];
    struct spool_gap gap = { 0 };
    size_t n = 0;

    waiting = HELD_MAX + 5;
    results_notify(f->results);
    assert_int_equal(results_dropped(f->results), 5);
    WAIT(f, stats(f).append_errors >= 1);
    assert_int_equal(stats(f).dropped, 5);
    free_disk(&old);
    WAIT(f, f->stored == 1);
    assert_int_equal(spool_read(f->spool, 1, 1, 1 << 20, rec, &n, &gap), TW_OK);
    assert_int_equal(n, 0);
    assert_int_equal(gap.first_seq, 1);
    assert_int_equal(gap.last_seq, 5);
    assert_string_equal(gap.reason, "spool_full");
    assert_int_equal(stats(f).last_seq, HELD_MAX + 5);
    check_records(f, 6, 1, 100);
}

static void what_a_worker_lost_leaves_a_gap_once(void **state)
{
    struct fx *f = *state;
    struct spool_record rec[1];
    struct spool_gap gap = { 0 };
    size_t n = 0;

    lost = 4;
    waiting = 1;
    results_notify(f->results);
    results_notify(f->results);
    WAIT(f, f->stored == 1);
    assert_int_equal(spool_read(f->spool, 1, 1, 1 << 20, rec, &n, &gap), TW_OK);
    assert_int_equal(gap.last_seq, 4);
    check_records(f, 5, 1, 1);
    waiting = 1;
    results_flush(f->results);
    check_records(f, 6, 2, 1);
}

static void a_flush_stores_everything_now(void **state)
{
    struct fx *f = *state;

    waiting = 300;
    results_flush(f->results);
    assert_int_equal(stats(f).last_seq, 300);
    assert_int_equal(f->stored, 1);
    results_flush(f->results); /* nothing more */
    assert_int_equal(f->stored, 1);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(summaries_are_named_at_once_and_stored_together),
        ROW(others_go_the_same_way),
        ROW(a_full_disk_only_delays_them),
        ROW(what_memory_cannot_hold_leaves_a_gap),
        ROW(what_a_worker_lost_leaves_a_gap_once),
        ROW(a_flush_stores_everything_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
