/* A history on two replicas: which of them is asked does not matter, one that is behind is not asked, and
 * what was acknowledged stays, whichever of them, or ZooKeeper, is away. cluster_ch_writers pair does it at
 * random. */
#include <setjmp.h>
#include <stdarg.h>
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

static struct ch_pair pair;
static int64_t agent; /* of the test at hand; and its pair. Tables are the same: making them takes its time */

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

static int all_there(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        if (!pair.r[i].pid)
            ch_server_again(&pair.r[i]);
    if (!pair.zk)
        ch_pair_zk_again(&pair);
    agent++;
    return 0;
}

static void use(unsigned first, unsigned quorum)
{
    ch_pair_location(&pair, first, "tw", quorum, location, sizeof location);
}

/* A replica alone. */
static void use_only(unsigned which)
{
    snprintf(location, sizeof location, "%s/tw?cluster=" CH_PAIR_CLUSTER "&quorum=1", pair.r[which].endpoint);
}

/* Directly at one of them. */
__attribute__((format(printf, 2, 3))) static void tell(unsigned which, const char *fmt, ...)
{
    struct ch_http *http = NULL;
    struct ch_http_cfg cfg = { .endpoints = { pair.r[which].url }, .n_endpoints = 1 };
    char statement[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(statement, sizeof statement, fmt, ap);
    va_end(ap);
    CHECK_OK(ch_http_new(&cfg, &http, &err));
    CHECK_OK(ch_http_run(http, statement, &err));
    ch_http_free(http);
}

static int64_t ask(unsigned which, const char *query)
{
    struct ch_http *http = NULL;
    struct ch_http_cfg cfg = { .endpoints = { pair.r[which].url }, .n_endpoints = 1 };
    struct ch_sql s = { { 0 } };
    int64_t n;

    CHECK_OK(ch_http_new(&cfg, &http, &err));
    ch_sql_begin(&s, "SELECT " CH_ROW_MARK ", toInt64(%s) FORMAT RowBinary", query);
    CHECK_OK(ch_get_numbers(http, &s, &n, 1, &err));
    ch_sql_free(&s);
    ch_http_free(http);
    return n;
}

static enum tw_rc count_summary(void *ctx, const struct tw_summary *s)
{
    ((struct sums *)ctx)->rows++;
    (void)s;
    return TW_OK;
}

static enum tw_rc try_read(struct sums *ret)
{
    struct history_reader *r = NULL;
    const uint64_t one = (uint64_t)agent;
    enum tw_rc rc;

    *ret = (struct sums){ 0 };
    CHECK_OK(clickhouse_history.reader_open(&(struct history_conf){ .location = location }, &r, &err));
    rc = clickhouse_history.read_summaries(r, &one, 1, DAY0, DAY0 + CH_DAY_NS, count_summary, ret, &err);
    clickhouse_history.reader_close(r);
    return rc;
}

/* One that comes back takes its time. */
static void await_reading(void)
{
    struct sums s;
    enum tw_rc rc = TW_EIO;

    for (int tries = 0; rc && tries < 300; tries++) {
        rc = try_read(&s);
        if (rc)
            usleep(100000);
    }
    CHECK_OK(rc);
}

static struct history *open_for_sure(void)
{
    const struct history_conf conf = { .location = location };
    struct history *h = NULL;
    enum tw_rc rc = TW_EIO;

    for (int tries = 0; rc && tries < 300; tries++) {
        rc = clickhouse_history.open(&conf, &h, &err);
        if (rc)
            usleep(100000);
    }
    CHECK_OK(rc);
    return h;
}

static enum tw_rc commit_again(struct history *h, uint64_t first, size_t n)
{
    enum store_append_result res;

    return commit_of(h, agent, first, n, &res);
}

/* Until it is stored: a replica that comes back takes its time. */
static void commit_for_sure(struct history *h, uint64_t first, size_t n)
{
    enum tw_rc rc = TW_EIO;

    for (int tries = 0; rc && tries < 300; tries++) {
        rc = commit_again(h, first, n);
        if (rc)
            usleep(100000);
    }
    CHECK_OK(rc);
}

/* A round that is not at its end. */
static void begin_round_for_sure(struct history *h)
{
    bool more;
    enum tw_rc rc = TW_EIO;

    for (int tries = 0; rc && tries < 300; tries++) {
        rc = clickhouse_history.rollup(h, DAY0 + CH_DAY_NS, 10, &more, &err);
        if (rc)
            usleep(100000);
    }
    CHECK_OK(rc);
}

static void roll_up_for_sure(struct history *h)
{
    static int64_t now_ns = DAY0 + CH_DAY_NS;
    bool more = true;
    enum tw_rc rc = TW_OK;

    for (int tries = 0; more && tries < 300; now_ns += 600 * TW_NS_PER_S) {
        rc = clickhouse_history.rollup(h, now_ns, 10, &more, &err);
        if (rc) {
            more = true;
            tries++;
            usleep(100000);
        }
    }
    CHECK_OK(rc);
}

/* It is told what is missing, as soon as ZooKeeper knows. */
static void await_lack(struct history *h, const char *what)
{
    struct store_history_info info = { .lacks = "" };
    struct store_stats stats;

    for (int tries = 0; tries < 300 && strcmp(info.lacks, what) != 0; tries++) {
        usleep(tries ? 100000 : 0);
        ((struct ch_history *)h)->stats_ns = 0; /* looked for now */
        clickhouse_history.stats(h, &stats);
        clickhouse_history.info(h, &info);
    }
    assert_string_equal(info.lacks, what);
}

/* ---- Both there ---- */

static void each_has_everything(void **state)
{
    struct history *h;

    (void)state;
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 1, 40);
    use_only(1);
    expect((uint64_t)agent, 40);
    roll_up(h);
    expect((uint64_t)agent, 40);
    use_only(0);
    assert_true(read_cells((uint64_t)agent).cells > 0);
    expect((uint64_t)agent, 40);
    clickhouse_history.close(h);
    use(1, 0);
    h = open_for_sure();
    commit_for_sure(h, 21, 40); /* it knows what came by the other one */
    use_only(0);
    expect((uint64_t)agent, 60);
    clickhouse_history.close(h);
}

/* ---- One of them is away ---- */

/* In the middle of commits and of a round: the other one goes on where it was. */
static void one_goes_on_and_the_other_catches_up(void **state)
{
    struct history *h;

    (void)state;
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 1, 20);
    begin_round_for_sure(h);
    ch_server_kill(&pair.r[0]);
    for (uint64_t seq = 21; seq <= 60; seq += 10)
        commit_for_sure(h, seq, 10);
    use_only(1);
    expect((uint64_t)agent, 60);
    roll_up_for_sure(h);
    expect((uint64_t)agent, 60);
    await_lack(h, "of 2 replicas in cluster pair 1 are there");
    ch_server_again(&pair.r[0]);
    use_only(0);
    await_reading();
    expect((uint64_t)agent, 60);
    clickhouse_history.close(h);
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 61, 3);
    expect((uint64_t)agent, 63);
    clickhouse_history.close(h);
}

/* What was acknowledged by one that died before the other one had it is missed, not forgotten. */
static void one_that_is_behind_is_not_asked(void **state)
{
    static const char *const tables[] = { "summary", "cursor" };
    struct history *h;
    struct sums s;

    (void)state;
    for (size_t i = 0; i < (getenv("TW_TEST_LONG") ? TW_NELEM(tables) : 1); i++) {
        if (!pair.r[0].pid)
            ch_server_again(&pair.r[0]);
        use(0, 1);
        h = open_for_sure();
        commit_for_sure(h, 1, 10);
        tell(1, "SYSTEM STOP FETCHES tw.%s", tables[i]);
        commit_for_sure(h, 11, 10);
        ch_server_kill(&pair.r[0]);
        assert_int_not_equal(commit_again(h, 21, 5), TW_OK); /* nothing is decided by the other one */
        use_only(1);
        assert_int_equal(try_read(&s), TW_ETIMEOUT);
        if (!strstr(err.text, "not got yet"))
            fail_msg("%s", err.text);
        use(0, 1);
        tell(1, "SYSTEM START FETCHES tw.%s", tables[i]);
        ch_server_again(&pair.r[0]);
        commit_for_sure(h, 21, 5);
        expect((uint64_t)agent, 25);
        clickhouse_history.close(h);
        agent++;
    }
}

/* One that was killed is there again before ZooKeeper has taken it for gone: it may say nothing, but no less
 * than everything. */
static void one_that_comes_back_at_once_says_nothing_less(void **state)
{
    struct history *h;
    struct sums s;
    enum tw_rc rc = TW_EIO;

    (void)state;
    use(0, 1);
    h = open_for_sure();
    commit_for_sure(h, 1, 10);
    use_only(1);
    await_reading();
    ch_server_kill(&pair.r[1]);
    commit_for_sure(h, 11, 10);
    ch_server_again(&pair.r[1]);
    for (int tries = 0, read = 0; read < 20 && tries < 600; tries++) {
        rc = try_read(&s);
        if (!rc)
            assert_int_equal(s.rows, 20);
        read += !rc;
        usleep(rc ? 50000 : 0);
    }
    CHECK_OK(rc);
    clickhouse_history.close(h);
}

/* Asked is another one. */
static struct store_history_info look_now(struct history *h)
{
    struct store_history_info info = { .lacks = "" };
    struct store_stats stats;

    ((struct ch_history *)h)->stats_ns = ((struct ch_history *)h)->lacks.looked_ns = 0;
    clickhouse_history.stats(h, &stats);
    clickhouse_history.info(h, &info);
    return info;
}

static void await_behind(struct history *h, int64_t from_s, int64_t to_s)
{
    struct store_history_info info = look_now(h);

    for (int tries = 0; (info.behind_s < from_s || info.behind_s > to_s) && tries < 900; tries++) {
        usleep(100000);
        info = look_now(h);
    }
    assert_in_range(info.behind_s, from_s, to_s);
    if ((info.behind_s > 30) != (strstr(info.lacks, " s behind the others") != NULL))
        fail_msg("%lld s: \"%s\"", (long long)info.behind_s, info.lacks);
}

static void one_that_is_behind_is_seen_by_the_other(void **state)
{
    int64_t s = getenv("TW_TEST_LONG") ? 31 : 2;
    struct history *h;

    (void)state;
    use(0, 1);
    h = open_for_sure();
    commit_for_sure(h, 1, 10);
    await_behind(h, 0, 0);
    tell(1, "SYSTEM STOP FETCHES tw.cursor");
    commit_for_sure(h, 11, 10);
    await_behind(h, s, 1000);
    tell(1, "SYSTEM START FETCHES tw.cursor");
    await_behind(h, 0, 0);
    ch_server_kill(&pair.r[1]); /* that is another thing */
    commit_for_sure(h, 21, 10);
    await_lack(h, "of 2 replicas in cluster pair 1 are there");
    assert_int_equal(look_now(h).behind_s, 0);
    clickhouse_history.close(h);
}

static void await_mutations(unsigned which)
{
    int64_t n = 0;

    for (int tries = 0; !n && tries < 300; tries++) {
        usleep(tries ? 100000 : 0);
        n = ask(which, "(SELECT count() FROM system.replication_queue WHERE database = 'tw' AND table = "
                       "'summary' AND type = 'MUTATE_PART')");
    }
    assert_true(n > 0);
}

/* Mutations, which bring nothing, may take as long as they want: here for ever. */
static void one_that_has_work_left_is_asked(void **state)
{
    unsigned which;
    struct history *h;

    (void)state;
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 1, 10);
    commit_for_sure(h, 11, 10);
    which =
        ask(0, "(SELECT is_leader FROM system.replicas WHERE database = 'tw' AND table = 'summary')") ? 1 : 0;
    tell(which, "SYSTEM STOP MERGES tw.summary");
    tell(!which, "ALTER TABLE tw.summary DELETE WHERE pair_id = 999999");
    await_mutations(which);
    use_only(which);
    await_reading();
    expect((uint64_t)agent, 20);
    await_mutations(which); /* still */
    tell(which, "SYSTEM START MERGES tw.summary");
    clickhouse_history.close(h);
}

/* ---- Quorum ---- */

static void without_a_quorum_nothing_is_acknowledged(void **state)
{
    struct history *h;
    struct sums s;

    (void)state;
    use(0, 2);
    h = open_for_sure();
    commit_for_sure(h, 1, 10);
    ch_server_kill(&pair.r[1]);
    assert_int_not_equal(commit_again(h, 11, 10), TW_OK);
    assert_int_not_equal(commit_again(h, 11, 10), TW_OK);
    CHECK_OK(try_read(&s)); /* what there is can be read */
    assert_int_equal(s.rows, 10);
    ch_server_again(&pair.r[1]);
    commit_for_sure(h, 11, 10);
    roll_up_for_sure(h);
    expect((uint64_t)agent, 20);
    ch_server_kill(&pair.r[0]);
    await_reading();
    expect((uint64_t)agent, 20); /* the other one has all of it at once */
    clickhouse_history.close(h);
}

/* One that is there, and gets nothing: its quorum is not waited for any longer than an insert may take. */
static void a_replica_that_gets_nothing_stops_nobody(void **state)
{
    struct history *h;

    (void)state;
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 1, 10);
    tell(1, "SYSTEM STOP FETCHES tw.cursor");
    commit_for_sure(h, 11, 5);
    usleep(5500000); /* until the quorum is tried again */
    CHECK_OK(commit_again(h, 16, 5));
    tell(1, "SYSTEM START FETCHES tw.cursor");
    expect((uint64_t)agent, 20);
    clickhouse_history.close(h);
}

/* ---- What may vanish ---- */

static void (*behind_cursors)(void); /* once, when table cursor was read */

enum tw_rc __real_ch_http_select(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx,
                                 struct tw_err *e);
enum tw_rc __wrap_ch_http_select(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx,
                                 struct tw_err *e);
enum tw_rc __wrap_ch_http_select(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx,
                                 struct tw_err *e)
{
    enum tw_rc rc = __real_ch_http_select(h, query, fn, ctx, e);
    void (*then)(void) = behind_cursors;

    if (!then || !strstr(query, ".cursor FINAL"))
        return rc;
    behind_cursors = NULL;
    then();
    return rc;
}

/* It has those tables, and all of them that it knows of. */
static void await_fetched(unsigned which, const char *tables, int64_t n)
{
    char query[160];
    int64_t have = 0;

    snprintf(query, sizeof query,
             "(SELECT countIf(inserts_in_queue = 0) FROM system.replicas WHERE database = 'tw' AND table %s)",
             tables);
    for (int tries = 0; have != n && tries < 300; tries++) {
        usleep(tries ? 100000 : 0);
        have = ask(which, query);
    }
    assert_int_equal(have, n);
}

/* The only one that has them dies, and the other one gives them up. */
static void lose_what_was_read(void)
{
    await_fetched(1, "!= 'cursor'", CH_TABLES);
    ch_server_kill(&pair.r[0]);
    tell(1, "SYSTEM START FETCHES tw.cursor");
    await_fetched(1, "= 'cursor'", 1);
}

/* Neither if another server answers when it is looked whether they may. */
static void rows_that_vanish_are_told_to_nobody(void **state)
{
    static const uint8_t spool[STORE_ID_LEN] = { 7 };
    struct store_cursor at;
    struct history *h;

    (void)state;
    use(0, 2);
    h = open_for_sure();
    commit_for_sure(h, 1, 10);
    tell(1, "SYSTEM STOP FETCHES tw.cursor");
    assert_int_not_equal(commit_again(h, 11, 10), TW_OK);
    clickhouse_history.close(h);
    use(0, 0);
    behind_cursors = lose_what_was_read;
    h = open_for_sure();
    assert_null(behind_cursors);
    CHECK_OK(clickhouse_history.cursor(h, agent, spool, &at, &err));
    assert_int_equal(at.through, 10);
    ch_server_again(&pair.r[0]);
    commit_for_sure(h, 11, 10);
    expect((uint64_t)agent, 20);
    clickhouse_history.close(h);
}

/* ---- A disk that was lost ---- */

static void empty_the_disk(unsigned which)
{
    char command[128];

    ch_server_kill(&pair.r[which]);
    snprintf(command, sizeof command, "rm -rf %s/data", pair.r[which].folder);
    assert_int_equal(system(command), 0);
    ch_server_again(&pair.r[which]);
}

/* As soon as ZooKeeper has forgotten the one that it was. */
static void await_mending(struct history *h)
{
    struct ch_history *ch = (struct ch_history *)h;
    struct store_stats stats;

    assert_true(ch_http_saw_bare(ch->db.http));
    for (int tries = 0; ch_http_saw_bare(ch->db.http) && tries < 300; tries++) {
        usleep(tries ? 100000 : 0);
        ch->stats_ns = 0;
        clickhouse_history.stats(h, &stats);
    }
    assert_false(ch_http_saw_bare(ch->db.http));
}

/* Who had it open goes on with the other one, who starts does, too, and then it gets everything again. */
static void an_empty_disk_is_filled(void **state)
{
    struct history *h, *later;

    (void)state;
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 1, 20);
    use_only(1); /* it has everything */
    await_reading();
    use(0, 0);
    empty_the_disk(0);
    commit_for_sure(h, 21, 10);
    later = open_for_sure();
    expect((uint64_t)agent, 30);
    roll_up_for_sure(later);
    clickhouse_history.close(later);
    await_mending(h);
    await_fetched(0, "!= ''", CH_TABLES + 1);
    use_only(0);
    await_reading();
    expect((uint64_t)agent, 30);
    clickhouse_history.close(h);
    h = open_for_sure();
    commit_for_sure(h, 31, 10);
    expect((uint64_t)agent, 40);
    clickhouse_history.close(h);
}

/* ---- ZooKeeper is away ---- */

static void nothing_goes_without_zookeeper_and_then_it_goes_on(void **state)
{
    struct history *h;
    bool more;
    enum tw_rc rc;

    (void)state;
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 1, 30);
    begin_round_for_sure(h);
    ch_pair_kill_zk(&pair);
    assert_int_not_equal(commit_again(h, 31, 10), TW_OK);
    rc = clickhouse_history.rollup(h, DAY0 + 2 * CH_DAY_NS, 10, &more, &err);
    assert_int_not_equal(rc, TW_OK);
    ch_pair_zk_again(&pair);
    commit_for_sure(h, 31, 10);
    roll_up_for_sure(h);
    await_reading();
    expect((uint64_t)agent, 40);
    clickhouse_history.close(h);
}

/* ---- Retention ---- */

#define DELETED_NS (120 * TW_NS_PER_S) /* a server of a machine that is busy lets a mutation wait */

static void retain_for_sure(struct history *h, const struct history_retention *r)
{
    int64_t end_ns = tw_mono_now().ns + DELETED_NS;
    bool more = true;
    enum tw_rc rc = TW_EIO;

    while ((rc || more) && tw_mono_now().ns < end_ns) {
        more = false;
        rc = clickhouse_history.begin(h, &err);
        if (!rc)
            rc = clickhouse_history.retain(h, r, &more, &err);
        if (!rc)
            rc = clickhouse_history.commit(h, &err);
        else
            clickhouse_history.rollback(h);
        if (rc)
            usleep(100000);
    }
    CHECK_OK(rc);
    assert_false(more);
}

/* Of the pair there are so many summaries, and as many in cells of hours: the other replica deletes by
 * itself, later. */
static void await_rows(unsigned which, int64_t of, uint64_t raw, uint64_t in_hours)
{
    struct sums s = { .rows = UINT64_MAX };

    use_only(which);
    await_reading();
    for (int tries = 0; s.rows != raw && tries < 300; tries++) {
        usleep(tries ? 100000 : 0);
        s = read_raw((uint64_t)of);
    }
    assert_int_equal(s.rows, raw);
    assert_int_equal(read_hours((uint64_t)of).rows, in_hours);
}

/* 18.16 deletes nothing in the part that was confirmed last of a table: there has to be another one. */
static void delete_for_sure(struct history *h, const struct history_retention *r)
{
    bool more;

    roll_up_for_sure(h);
    CHECK_OK(clickhouse_history.begin(h, &err));
    CHECK_OK(clickhouse_history.retain(h, r, &more, &err));
    CHECK_OK(clickhouse_history.commit(h, &err));
    agent++;
    commit_for_sure(h, 21, 1);
    agent--;
    roll_up_for_sure(h);
    retain_for_sure(h, r);
}

/* Rows of those who keep less, and then the whole day; by one replica and then by the other, of which one is
 * not the leader. */
static void what_is_not_kept_goes_at_both(void **state)
{
    const uint64_t less = (uint64_t)agent;
    struct history_group g = { .pair_ids = &less, .n_pairs = 1 };
    struct history_retention r = { .now_ns = DAY0 + 40 * CH_DAY_NS, .groups = &g, .n_groups = 1 };
    struct history *h;

    (void)state;
    for (int l = 0; l < STORE_LEVELS; l++) {
        g.done_ns[l] = INT64_MIN;
        g.from_ns[l] = l < STORE_1H ? DAY0 + CH_DAY_NS : DAY0;
        r.from_ns[l] = DAY0;
    }
    use(0, 0);
    h = open_for_sure();
    commit_for_sure(h, 1, 20);
    agent++;
    commit_for_sure(h, 1, 20);
    agent--;
    delete_for_sure(h, &r);
    clickhouse_history.close(h);
    for (unsigned i = 0; i < 2; i++) {
        await_rows(i, agent, 0, 20);
        await_rows(i, agent + 1, 21, 21);
    }
    for (int l = 0; l < STORE_1H; l++)
        r.from_ns[l] = DAY0 + 30 * CH_DAY_NS;
    use(1, 0);
    h = open_for_sure();
    retain_for_sure(h, &r);
    clickhouse_history.close(h);
    for (unsigned i = 0; i < 2; i++) {
        await_rows(i, agent, 0, 20);
        await_rows(i, agent + 1, 0, 21);
    }
    agent++;
}

/* ---- What is refused ---- */

static void refuse(const char *where, enum tw_rc rc, const char *why)
{
    struct history *h = NULL;
    enum tw_rc got;

    snprintf(location, sizeof location, "%s/%s", pair.r[0].endpoint, where);
    got = clickhouse_history.open(&(struct history_conf){ .location = location }, &h, &err);
    if (got != rc || !strstr(err.text, why))
        fail_msg("%s: %s: %s", location, tw_rc_name(got), err.text);
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    refuse("a?cluster=nowhere", TW_ENOENT, "knows no cluster nowhere");
    refuse("a?cluster=" CH_PAIR_SHARDS, TW_EINVAL, "has 2 shards: expected one");
    refuse("a?cluster=" CH_PAIR_CLUSTER "&quorum=3", TW_EINVAL, "has 2 replicas");
    snprintf(location, sizeof location, "%s/plain", pair.r[0].endpoint);
    clickhouse_history.close(open_for_sure());
    refuse("plain?cluster=" CH_PAIR_CLUSTER, TW_EINVAL, "not replicated");
    snprintf(location, sizeof location, "%s/both?cluster=" CH_PAIR_CLUSTER, pair.r[0].endpoint);
    clickhouse_history.close(open_for_sure());
    refuse("both", TW_EINVAL, "expected ?cluster=NAME");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_has_everything, all_there),
        cmocka_unit_test_setup(one_goes_on_and_the_other_catches_up, all_there),
        cmocka_unit_test_setup(one_that_is_behind_is_not_asked, all_there),
        cmocka_unit_test_setup(one_that_comes_back_at_once_says_nothing_less, all_there),
        cmocka_unit_test_setup(one_that_is_behind_is_seen_by_the_other, all_there),
        cmocka_unit_test_setup(one_that_has_work_left_is_asked, all_there),
        cmocka_unit_test_setup(without_a_quorum_nothing_is_acknowledged, all_there),
        cmocka_unit_test_setup(a_replica_that_gets_nothing_stops_nobody, all_there),
        cmocka_unit_test_setup(rows_that_vanish_are_told_to_nobody, all_there),
        cmocka_unit_test_setup(an_empty_disk_is_filled, all_there),
        cmocka_unit_test_setup(nothing_goes_without_zookeeper_and_then_it_goes_on, all_there),
        cmocka_unit_test_setup(what_is_not_kept_goes_at_both, all_there),
        cmocka_unit_test_setup(what_cannot_be_is_said, all_there),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, start, stop);
}
