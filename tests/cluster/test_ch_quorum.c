/* quorum=2 with several controllers that write at once, each by the replica that it prefers, while one of
 * them rolls up: everybody gets its turn; while a replica is away nothing is acknowledged; when it is back
 * they go on, and what was acknowledged is at both. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/net/now.h"
#include "tests/cluster/ch_fx.h"
#include "tests/cluster/ch_pair.h"
#include "tests/cluster/own_server.h"

enum { WRITERS = 3, COMMITS = 6, ROWS = 8, BEFORE = 2, TRIES = 900 };
#define CLUSTER 7
#define AWAY_US 3000000

static struct ch_pair pair;

/* A controller, on a thread of its own. */
static struct writer {
    pthread_t thread;
    int number;
    struct history *h;
    char where[128];
    atomic_uint done;      /* commits that were acknowledged */
    unsigned refused;      /* tries that were not */
    int64_t longest_ns;    /* of those that were */
    struct tw_err problem; /* why it gave up */
} writers[WRITERS];

static int64_t maintainer(void *ctx)
{
    return ((struct writer *)ctx)->number == 0;
}

static enum tw_rc open_writer(struct writer *w)
{
    const struct history_conf conf = { .location = w->where,
                                       .owner = 100 + w->number,
                                       .cluster = CLUSTER,
                                       .maintainer = maintainer,
                                       .maintainer_ctx = w };

    return clickhouse_history.open(&conf, &w->h, &err);
}

static enum tw_rc commit_next(struct writer *w)
{
    enum store_append_result res;
    int64_t begun_ns = tw_mono_now().ns, took_ns;
    enum tw_rc rc = commit_of(w->h, 1 + w->number, 1 + w->done * ROWS, ROWS, &res);

    took_ns = tw_mono_now().ns - begun_ns;
    if (!rc && took_ns > w->longest_ns)
        w->longest_ns = took_ns;
    return rc;
}

/* A slice of a round, if it can be. */
static void roll_up_some(struct writer *w)
{
    static int64_t now_ns = DAY0 + CH_DAY_NS;
    bool more;

    now_ns += 600 * TW_NS_PER_S;
    (void)clickhouse_history.rollup(w->h, now_ns, 10, &more, &err);
}

static void *write_all(void *ctx)
{
    struct writer *w = ctx;
    enum tw_rc rc = TW_OK;

    for (unsigned tries = 0; w->done < COMMITS && tries < TRIES; tries++) {
        rc = w->h ? TW_OK : open_writer(w);
        rc = rc ? rc : commit_next(w);
        w->refused += rc != TW_OK;
        w->done += !rc;
        if (rc)
            usleep(50000);
        else if (w->number == 0 && w->done % 2)
            roll_up_some(w); /* not more files than it takes */
    }
    if (w->done < COMMITS)
        w->problem = err;
    return NULL;
}

static int start(void **state)
{
    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ch_pair_start(&pair);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ch_pair_stop(&pair);
    curl_global_cleanup();
    return 0;
}

static unsigned fewest_done(void)
{
    unsigned n = COMMITS;

    for (int i = 0; i < WRITERS; i++)
        n = writers[i].done < n ? writers[i].done : n;
    return n;
}

static unsigned all_done(void)
{
    unsigned n = 0;

    for (int i = 0; i < WRITERS; i++)
        n += writers[i].done;
    return n;
}

static void await_done(unsigned each)
{
    for (int tries = 0; fewest_done() < each && tries < 1200; tries++)
        usleep(50000);
    assert_true(fewest_done() >= each);
}

static void each_replica_has(unsigned which)
{
    struct history *h = NULL;
    enum tw_rc rc = TW_EIO;

    snprintf(location, sizeof location, "%s/tw?cluster=" CH_PAIR_CLUSTER "&quorum=1", pair.r[which].endpoint);
    for (int tries = 0; rc && tries < 300; tries++) {
        rc = clickhouse_history.open(
            &(struct history_conf){ .location = location, .owner = 100, .cluster = CLUSTER }, &h, &err);
        if (rc)
            usleep(100000);
    }
    CHECK_OK(rc);
    for (int i = 0; i < WRITERS; i++)
        expect((uint64_t)i + 1, COMMITS * ROWS);
    roll_up(h);
    for (int i = 0; i < WRITERS; i++)
        expect((uint64_t)i + 1, COMMITS * ROWS);
    clickhouse_history.close(h);
}

static void everybody_gets_its_turn(void **state)
{
    int64_t begun_ns;
    unsigned before;

    (void)state;
    for (int i = 0; i < WRITERS; i++) {
        struct writer *w = &writers[i];
        w->number = i;
        ch_pair_location(&pair, (unsigned)i % 2, "tw", 2, w->where, sizeof w->where);
        if (i == 0)
            CHECK_OK(open_writer(w)); /* it makes the tables */
        assert_int_equal(pthread_create(&w->thread, NULL, write_all, w), 0);
    }
    begun_ns = tw_mono_now().ns;
    await_done(BEFORE);
    print_message("%u commits in %.1f s\n", all_done(), (double)(tw_mono_now().ns - begun_ns) / 1e9);
    ch_server_kill(&pair.r[1]);
    before = all_done();
    usleep(AWAY_US);
    assert_in_range(all_done() - before, 0, WRITERS); /* those that it had confirmed */
    ch_server_again(&pair.r[1]);
    for (int i = 0; i < WRITERS; i++) {
        struct writer *w = &writers[i];
        pthread_join(w->thread, NULL);
        print_message("writer %d: %u commits, the longest of %.2f s; %u tries refused\n", i,
                      (unsigned)w->done, (double)w->longest_ns / 1e9, w->refused);
        if (w->done < COMMITS)
            fail_msg("writer %d: %s", i, w->problem.text);
        clickhouse_history.close(w->h);
    }
    each_replica_has(0);
    each_replica_has(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_gets_its_turn),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
