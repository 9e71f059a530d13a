/* Several controllers write one ClickHouse database: agents move between them, controllers end in the middle,
 * inserts of all kinds get lost, or come minutes later, when their agents have sent everything again to
 * another controller, and one of them rolls up, until another one does. After each step: what was
 * acknowledged is stored, everything that can be seen is there once, and all ways of reading say the same as
 * a plain table of it. usage: cluster_ch_writers; WRITERS_SEED=N in the environment: another sequence than
 * always the same; WRITERS_STEPS=N: so long. cluster_ch_writers pair: the database is on two replicas, of
 * which each controller prefers another one, and replicas and ZooKeeper are killed or stand still meanwhile;
 * what is only at one of those that are away may not be read then, but nothing else than right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/splitmix.h"
#include "db/clickhouse/ch_history.h"
#include "db/clickhouse/ch_priv.h"
#include "tests/cluster/ch_pair.h"
#include "tests/cluster/ch_server.h"
#include "tests/cluster/own_server.h"

#define DAY0 (INT64_C(20000) * CH_DAY_NS)
#define MINUTE (60 * TW_NS_PER_S)
#define CLUSTER 7
enum { WRITERS = 3, AGENTS = 4, NUMBERS = 400, BATCH = 12, LATE = 64 };

static struct ch_server server; /* or: */
static struct ch_pair pair;
static bool on_pair;
static bool away; /* a replica or ZooKeeper: anything may fail, and nothing else than that */
static struct tw_err err;
static char location[128];
static uint64_t seed;

static uint64_t draw(uint64_t n)
{
    return tw_splitmix64(&seed) % n;
}

/* Is it an error that may be for a while? A replica that is back has to come to itself. */
static bool may_fail(enum tw_rc rc)
{
    return on_pair && (rc == TW_EIO || rc == TW_ETIMEOUT || rc == TW_EBUSY);
}

/* ---- Inserts that get lost, or come later ---- */

static struct late {
    char *query;
    void *rows;
    size_t len;
} late[LATE];
static size_t n_late;
static const char *lose; /* the next insert into that table; NULL: none */
static bool lost;

enum tw_rc __real_ch_http_insert(struct ch_http *h, const char *query, const void *rows, size_t len,
                                 struct tw_err *e);
enum tw_rc __wrap_ch_http_insert(struct ch_http *h, const char *query, const void *rows, size_t len,
                                 struct tw_err *e);

enum tw_rc __wrap_ch_http_insert(struct ch_http *h, const char *query, const void *rows, size_t len,
                                 struct tw_err *e)
{
    if (!lose || !len || !strstr(query, lose))
        return __real_ch_http_insert(h, query, rows, len, e);
    lose = NULL;
    lost = true;
    if (n_late < LATE && draw(4)) {
        struct late *l = &late[n_late++];
        *l = (struct late){ strdup(query), malloc(len), len };
        memcpy(l->rows, rows, len);
    }
    if (draw(3) == 0) /* it is done, but the answer is lost */
        (void)__real_ch_http_insert(h, query, rows, len, e);
    return tw_err_set(e, TW_ETIMEOUT, "the test lost it");
}

static void land(struct ch_http *http)
{
    struct late *l = &late[draw(n_late)];

    enum tw_rc rc = __real_ch_http_insert(http, l->query, l->rows, l->len, &err);

    if (may_fail(rc))
        return;
    CHECK_OK(rc);
    free(l->query);
    free(l->rows);
    *l = late[--n_late];
}

/* ---- What may be away ---- */

static bool stands_still[2]; /* of the replicas */

/* "": where `first` prefers to go. */
static void locate(unsigned first, const char *database)
{
    if (on_pair)
        ch_pair_location(&pair, first % 2, database, 0, location, sizeof location);
    else
        snprintf(location, sizeof location, "%s/%s", server.endpoint, database);
}

static void all_back(void)
{
    if (!pair.zk)
        ch_pair_zk_again(&pair);
    for (int i = 0; i < 2; i++) {
        if (!pair.r[i].pid)
            ch_server_again(&pair.r[i]);
        if (stands_still[i])
            kill(pair.r[i].pid, SIGCONT);
        stands_still[i] = false;
    }
    away = false;
}

static void do_outage(void)
{
    unsigned what = (unsigned)draw(5), which = (unsigned)draw(2);

    if (away) {
        all_back();
    } else if (what < 2) {
        ch_server_kill(&pair.r[which]);
        away = true;
    } else if (what < 4) {
        kill(pair.r[which].pid, SIGSTOP);
        away = stands_still[which] = true;
    } else {
        ch_pair_kill_zk(&pair);
        away = true;
    }
}

/* ---- The world ---- */

static struct agent {
    uint64_t acked, made; /* of its spool, numbers 1..made */
    uint64_t sent;        /* by the connection: up to it */
    int writer;           /* it is connected to; -1: none */
} agents[AGENTS];

static struct writer {
    struct history *h; /* NULL: it does not run */
    bool in_txn;
} writers[WRITERS];

static int64_t holder_number = 1; /* rises */
static int holder;                /* who rolls up */

static int64_t maintainer(void *ctx)
{
    return (struct writer *)ctx == &writers[holder] ? holder_number : 0;
}

static bool is_gap(unsigned agent, uint64_t seq)
{
    return (seq * 7 + agent) % 23 == 0;
}

static int64_t start_of(uint64_t seq)
{
    /* Two days, with those that come late in between. */
    return DAY0 + (int64_t)((seq % 5 == 0 ? seq / 2 : seq) * 7) * MINUTE;
}

static void make_row(struct tw_summary *s, unsigned agent, uint64_t seq)
{
    summary_init(s);
    s->pair_id = agent + 1;
    s->flow = seq % 5 == 0 ? 1 : 0; /* no two start at once */
    s->start_ns = start_of(seq);
    s->end_ns = s->start_ns + MINUTE / 2;
    s->seq_first = (uint32_t)seq;
    s->sent = s->received = 1;
    s->status = TW_STATUS_OK;
    s->generation = seq;
    hist_add(&s->delay[TW_ROUNDTRIP], (int64_t)seq * 1000);
}

static void open_writer(unsigned w)
{
    enum tw_rc rc;
    const struct history_conf conf = { .location = location,
                                       .owner = 100 + w,
                                       .cluster = CLUSTER,
                                       .maintainer = maintainer,
                                       .maintainer_ctx = &writers[w] };

    locate(w, "shared");
    rc = clickhouse_history.open(&conf, &writers[w].h, &err);
    if (!may_fail(rc))
        CHECK_OK(rc);
}

/* Its agents find out. */
static void leave(unsigned w)
{
    for (unsigned a = 0; a < AGENTS; a++)
        if (agents[a].writer == (int)w)
            agents[a].writer = -1;
}

static void end_writer(unsigned w)
{
    clickhouse_history.close(writers[w].h);
    writers[w] = (struct writer){ .h = NULL };
    leave(w);
}

/* ---- What happens ---- */

static void do_connect(unsigned a)
{
    int64_t id = (int64_t)a + 1;
    unsigned w = (unsigned)draw(WRITERS);
    struct store_cursor at = { 0 };
    enum tw_rc rc;

    if (!writers[w].h)
        return;
    rc = clickhouse_history.learn_cursors(writers[w].h, &id, 1, &err);
    if (may_fail(rc))
        return;
    CHECK_OK(rc);
    rc = clickhouse_history.cursor(writers[w].h, id, (const uint8_t *)"the spool of it", &at, &err);
    assert_true(rc == TW_OK || rc == TW_ENOENT);
    if (writers[w].in_txn && at.through > agents[a].acked) /* some of it is in its open transaction, maybe */
        at.through = agents[a].acked;
    agents[a].writer = (int)w;
    agents[a].acked = at.through > agents[a].acked ? at.through : agents[a].acked;
    agents[a].sent = agents[a].acked;
}

/* The next ones: either summaries or a gap. */
static bool begin(struct writer *w)
{
    enum tw_rc rc = w->in_txn ? TW_OK : clickhouse_history.begin(w->h, &err);

    w->in_txn = !rc;
    if (may_fail(rc))
        return false;
    CHECK_OK(rc);
    return true;
}

static void send_batch(unsigned a)
{
    static struct tw_summary rows[BATCH];
    struct agent *g = &agents[a];
    struct writer *w = &writers[g->writer];
    uint64_t first = g->sent + 1, most = 1 + draw(BATCH), n, through;
    struct store_batch b = {
        .agent_id = (int64_t)a + 1, .spool_id = "the spool of it", .first_seq = first, .rows = rows
    };
    enum store_append_result res;

    if (!begin(w))
        return;
    for (n = 0; n < most && first + n < NUMBERS && !is_gap(a, first + n); n++)
        make_row(&rows[n], a, first + n);
    b.n = n;
    b.received_ns = DAY0 + 9 * CH_DAY_NS + (int64_t)first * MINUTE;
    if (!n) {
        b.gap_last_seq = first;
        b.gap_reason = "spool_full";
    }
    CHECK_OK(clickhouse_history.append(w->h, &b, &res, &through, &err));
    assert_int_not_equal(res, STORE_OUT_OF_SEQ);
    g->sent = first + (n ? n : 1) - 1;
    g->made = g->sent > g->made ? g->sent : g->made;
    for (size_t i = 0; i < n; i++)
        summary_free(&rows[i]);
}

static void do_send(unsigned a)
{
    if (agents[a].writer >= 0 && agents[a].sent + 1 < NUMBERS)
        send_batch(a);
}

static void settle(unsigned w, bool committed)
{
    writers[w].in_txn = false;
    for (unsigned a = 0; a < AGENTS; a++) {
        struct agent *g = &agents[a];
        if (g->writer != (int)w)
            continue;
        if (committed)
            g->acked = g->sent;
        g->sent = g->acked;
    }
}

static void do_commit(unsigned w)
{
    static const char *const tables[] = { ".summary (", ".gap (", ".cursor (", ".cursor (" };
    enum tw_rc rc;

    if (!writers[w].in_txn)
        return;
    lost = false;
    lose = draw(3) ? NULL : tables[draw(TW_NELEM(tables))];
    rc = clickhouse_history.commit(writers[w].h, &err);
    lose = NULL;
    if (rc && !lost && !may_fail(rc))
        fail_msg("%s", err.text);
    settle(w, !rc);
    if (rc && draw(2))
        end_writer(w);
}

static void do_rollup(void)
{
    static const char *const tables[] = { ".round (", ".cell_1min (", ".cell_1h (", ".cell_1d (" };
    static int64_t now_ns = DAY0 + 30 * CH_DAY_NS;
    struct writer *w = &writers[holder];
    bool more = true;
    enum tw_rc rc = TW_OK;

    if (!w->h || w->in_txn)
        return;
    lost = false;
    lose = draw(4) ? NULL : tables[draw(TW_NELEM(tables))];
    for (uint64_t slices = 1 + draw(6); slices && more && !rc; slices--, now_ns += 600 * TW_NS_PER_S)
        rc = clickhouse_history.rollup(w->h, now_ns, 1 + draw(40), &more, &err);
    lose = NULL;
    if (rc && !lost && !may_fail(rc))
        fail_msg("%s", err.text);
}

static void do_something(void)
{
    unsigned what = (unsigned)draw(100), w = (unsigned)draw(WRITERS), a = (unsigned)draw(AGENTS);

    if (on_pair && draw(away ? 8 : 25) == 0)
        do_outage();
    if (what < 12) {
        do_connect(a);
    } else if (what < 55) {
        do_send(a);
    } else if (what < 75) {
        do_commit(w);
    } else if (what < 88) {
        do_rollup();
    } else if (what < 91) {
        holder = (int)w;
        holder_number++;
    } else if (what < 94 && writers[w].h) {
        end_writer(w);
    } else if (!writers[w].h) {
        open_writer(w);
    }
}

/* ---- What can be read ---- */

struct seen {
    bool at[AGENTS][NUMBERS + 1];
    int64_t latest_ns[AGENTS][2];
    uint64_t rows[AGENTS], sum[AGENTS]; /* of numbers */
};

static enum tw_rc take_summary(void *ctx, const struct tw_summary *s)
{
    struct seen *to = ctx;
    unsigned a = (unsigned)s->pair_id - 1;
    int64_t *latest = &to->latest_ns[a][s->flow];

    if (to->at[a][s->generation])
        fail_msg("number %llu of agent %u twice", (unsigned long long)s->generation, a);
    assert_int_equal(s->start_ns, start_of(s->generation));
    to->at[a][s->generation] = true;
    *latest = s->start_ns > *latest ? s->start_ns : *latest;
    to->rows[a]++;
    to->sum[a] += s->generation;
    return TW_OK;
}

static enum tw_rc take_cell(void *ctx, const struct store_cell *c)
{
    struct seen *to = ctx;
    unsigned a = (unsigned)c->merged->pair_id - 1;

    to->rows[a] += c->rows;
    assert_int_equal(c->merged->sent, c->rows);
    assert_int_equal(c->merged->delay[TW_ROUNDTRIP].count, c->rows);
    to->sum[a] += (uint64_t)c->merged->delay[TW_ROUNDTRIP].sum_ns / 1000;
    return TW_OK;
}

static enum tw_rc take_latest(void *ctx, const struct tw_summary *s)
{
    const struct seen *want = ctx;

    assert_int_equal(s->start_ns, want->latest_ns[s->pair_id - 1][s->flow]);
    return TW_OK;
}

static enum tw_rc take_gap(void *ctx, const struct history_gap *g)
{
    struct seen *to = ctx;
    unsigned a = (unsigned)g->agent_id - 1;

    for (uint64_t q = g->first_seq; q <= g->last_seq; q++) {
        if (to->at[a][q])
            fail_msg("gap %llu of agent %u twice", (unsigned long long)q, a);
        assert_true(is_gap(a, q));
        to->at[a][q] = true;
    }
    return TW_OK;
}

static enum tw_rc only_from(void *ctx, uint64_t pair_id, struct history_kept *ret, struct tw_err *e)
{
    (void)pair_id;
    (void)e;
    for (int l = 0; l < STORE_LEVELS; l++)
        ret->from_ns[l] = l < *(int *)ctx ? DAY0 + 60 * CH_DAY_NS : DAY0;
    return TW_OK;
}

static const uint64_t pair_ids[AGENTS] = { 1, 2, 3, 4 };

/* The coarsest that fit, and then nothing finer than each level. */
static enum tw_rc check_cells(struct history_reader *r, const struct seen *want)
{
    enum tw_rc rc;

    for (int level = STORE_RAW; level < STORE_LEVELS; level++) {
        struct history_keeper keeper = { .fn = only_from, .ctx = &level };
        struct seen got = { .rows = { 0 } };
        struct store_span span = { .pair_ids = pair_ids,
                                   .n_pairs = AGENTS,
                                   .from_ns = DAY0,
                                   .to_ns = DAY0 + 20 * CH_DAY_NS,
                                   .raw_from_ns = INT64_MAX,
                                   .fn = take_cell,
                                   .ctx = &got };
        rc = clickhouse_history.read_span(r, &span, &keeper, &err);
        if (rc)
            return rc;
        for (unsigned a = 0; a < AGENTS; a++)
            if (got.rows[a] != want->rows[a] || got.sum[a] != want->sum[a])
                fail_msg("agent %u by level %s: %llu rows and numbers to %llu, not %llu and %llu", a,
                         store_level_name((enum store_level)level), (unsigned long long)got.rows[a],
                         (unsigned long long)got.sum[a], (unsigned long long)want->rows[a],
                         (unsigned long long)want->sum[a]);
    }
    return TW_OK;
}

static void check_acked(const struct seen *rows, const struct seen *gaps)
{
    for (unsigned a = 0; a < AGENTS; a++)
        for (uint64_t q = 1; q <= NUMBERS; q++) {
            bool there = is_gap(a, q) ? gaps->at[a][q] : rows->at[a][q];
            if (q <= agents[a].acked && !there)
                fail_msg("number %llu of agent %u is lost", (unsigned long long)q, a);
            if (there && q > agents[a].made)
                fail_msg("number %llu of agent %u was never sent", (unsigned long long)q, a);
        }
}

/* Whatever could be read is right. */
static enum tw_rc try_check(struct history_reader *r)
{
    static const int64_t ids[AGENTS] = { 1, 2, 3, 4 };
    struct seen rows = { .rows = { 0 } }, gaps = { .rows = { 0 } };
    enum tw_rc rc = clickhouse_history.read_summaries(r, pair_ids, AGENTS, DAY0, DAY0 + 20 * CH_DAY_NS,
                                                      take_summary, &rows, &err);

    if (!rc)
        rc = clickhouse_history.read_gaps(r, ids, AGENTS, HISTORY_RECEIVED, DAY0, DAY0 + 60 * CH_DAY_NS,
                                          take_gap, &gaps, &err);
    if (!rc)
        rc = clickhouse_history.read_latest(r, pair_ids, AGENTS, 0, take_latest, &rows, &err);
    if (rc)
        return rc;
    check_acked(&rows, &gaps);
    return check_cells(r, &rows);
}

static enum tw_rc check(unsigned first)
{
    struct history_reader *r = NULL;
    enum tw_rc rc;

    locate(first, "shared");
    CHECK_OK(clickhouse_history.reader_open(&(struct history_conf){ .location = location }, &r, &err));
    rc = try_check(r);
    clickhouse_history.reader_close(r);
    if (!may_fail(rc))
        CHECK_OK(rc);
    return rc;
}

/* ---- The end of it ---- */

/* A replica that is back takes its time: what may fail is tried for so long. */
#define AGAIN_US 100000
static bool goes_on(const char *what)
{
    static unsigned tries;

    if (++tries > 1200)
        fail_msg("%s: %s", what, err.text);
    usleep(on_pair ? AGAIN_US : 0);
    return true;
}

static void open_all(void)
{
    for (unsigned w = 0; w < WRITERS; w++) {
        if (writers[w].h)
            end_writer(w);
        while (!writers[w].h && goes_on("open"))
            open_writer(w);
    }
}

static void store_all(void)
{
    for (unsigned a = 0; a < AGENTS; a++)
        while (agents[a].acked + 1 < NUMBERS && goes_on("store")) {
            while (agents[a].writer < 0)
                do_connect(a);
            while (agents[a].sent + 1 < NUMBERS && begin(&writers[agents[a].writer]))
                send_batch(a);
            do_commit((unsigned)agents[a].writer);
        }
}

/* Everybody sends the rest, what is late comes, and all of it is rolled up. */
static void come_to_rest(void)
{
    int64_t now_ns = DAY0 + 4000 * CH_DAY_NS;
    bool more = true;
    enum tw_rc rc = TW_OK;

    if (on_pair)
        all_back();
    open_all();
    store_all();
    open_all(); /* some may have ended */
    while (n_late && goes_on("what is late"))
        land(((struct ch_history *)writers[0].h)->db.http);
    for (int n = 0; more || rc || n < 3; n++, now_ns += 600 * TW_NS_PER_S) {
        rc = clickhouse_history.rollup(writers[holder].h, now_ns, 100, &more, &err);
        if (rc)
            goes_on("roll-up");
    }
}

static void nothing_is_lost_or_twice(void **state)
{
    const char *said = getenv("WRITERS_SEED"), *steps = getenv("WRITERS_STEPS");
    unsigned n = steps ? (unsigned)strtoul(steps, NULL, 10) : on_pair ? 40 : 300, read = 0;

    (void)state;
    seed = said ? strtoull(said, NULL, 10) : 4711;
    for (unsigned w = 0; w < WRITERS; w++)
        open_writer(w);
    for (unsigned a = 0; a < AGENTS; a++)
        agents[a] = (struct agent){ .writer = -1 };
    for (unsigned i = 0; i < n; i++) {
        do_something();
        if (n_late && writers[0].h && draw(12) == 0)
            land(((struct ch_history *)writers[0].h)->db.http);
        if (i % 8 == 0)
            read += check(i) == TW_OK;
    }
    come_to_rest();
    for (unsigned first = 0; first < 2; first++)
        while (check(first) && goes_on("read"))
            ;
    print_message("read %u times meanwhile\n", read);
    for (unsigned a = 0; a < AGENTS; a++)
        assert_int_equal(agents[a].acked, NUMBERS - 1);
    for (unsigned w = 0; w < WRITERS; w++)
        end_writer(w);
}

static void a_foreign_controller_is_refused(void **state)
{
    static const struct {
        const char *what;
        uint64_t owner, cluster;
        enum tw_rc rc;
    } steps[] = {
        { "the first, alone", 1, 0, TW_OK },
        { "again", 1, 0, TW_OK },
        { "another one", 2, 0, TW_EINUSE },
        { "another one, of a cluster", 2, 5, TW_EINUSE },
        { "the first, of a cluster now", 1, 5, TW_OK },
        { "another one of that", 2, 5, TW_OK },
        { "of another cluster", 3, 6, TW_EINUSE },
        { "of none", 3, 0, TW_EINUSE },
        { "the first, of none again", 1, 0, TW_EINUSE },
    };

    (void)state;
    locate(0, "owners");
    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        const struct history_conf conf = { .location = location,
                                           .owner = steps[i].owner,
                                           .cluster = steps[i].cluster };
        struct history *h = NULL;
        enum tw_rc rc = clickhouse_history.open(&conf, &h, &err);
        if (rc != steps[i].rc)
            fail_msg("%s: %s: %s", steps[i].what, tw_rc_name(rc), err.text);
        clickhouse_history.close(h);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_foreign_controller_is_refused),
        cmocka_unit_test(nothing_is_lost_or_twice),
    };
    int failed;

    on_pair = argc > 1 && !strcmp(argv[1], "pair");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (on_pair)
        ch_pair_start(&pair);
    else
        ch_server_start(&server);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    ch_pair_stop(&pair);
    ch_server_stop(&server);
    curl_global_cleanup();
    return failed;
}
