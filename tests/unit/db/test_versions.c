/* Files that earlier releases left: tests/unit/db/versions has one of each schema version, with rows in every
 * table. */
#include <limits.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "db_fixture.h"
#include "db/backup.h"
#include "db/spool.h"
#include "db/sqlite/day.h"
#include "db/sqlite/statements.h"
#include "db/store_access.h"
#include "db/store_alert.h"
#include "db/store_join.h"

extern const struct sq_migration store_migrations[], spool_migrations[];
extern const size_t store_migrations_n, spool_migrations_n;

#define VERSIONS TW_SOURCE_DIR "/tests/unit/db/versions/"
#define STORE_APP 0x74776d68
#define SPOOL_APP 0x74777370
#define ALL_MAX (1 << 17)

static const char *const no_sql[] = { "SELECT 1" };
static const struct kind {
    const char *file; /* of the fixtures */
    const struct sq_migration *migrations;
    const size_t *n;
    int32_t application_id;
} kinds[] = {
    { "controller", store_migrations, &store_migrations_n, STORE_APP },
    { "spool", spool_migrations, &spool_migrations_n, SPOOL_APP },
};

/* Of folders and copies; the fixture has fdatasync(). */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

/* ---- Faults: SQLite's statements one by one --------------------------------------------------- */

enum fault { NO_FAULT, FAIL, KILL };
static enum fault fault;
static unsigned left; /* statements until then; counts on below 0 is never reached */

int __real_sqlite3_exec(sqlite3 *db, const char *text, int (*fn)(void *, int, char **, char **), void *ctx,
                        char **msg);
int __wrap_sqlite3_exec(sqlite3 *db, const char *text, int (*fn)(void *, int, char **, char **), void *ctx,
                        char **msg);

static int run_one(sqlite3 *db, const char *text, const char **tail)
{
    sqlite3_stmt *st = NULL;
    int code = sqlite3_prepare_v2(db, text, -1, &st, tail);

    while (code == SQLITE_OK && st && (code = sqlite3_step(st)) == SQLITE_ROW)
        code = SQLITE_OK;
    return st ? sqlite3_finalize(st) : code;
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *text, int (*fn)(void *, int, char **, char **), void *ctx,
                        char **msg)
{
    int code = SQLITE_OK;

    if (fault == NO_FAULT)
        return __real_sqlite3_exec(db, text, fn, ctx, msg);
    while (*text && code == SQLITE_OK) {
        if (left && --left == 0) {
            if (fault == KILL)
                _exit(9);
            return __real_sqlite3_exec(db, "SELECT a_fault_of_the_test()", NULL, NULL, NULL);
        }
        code = run_one(db, text, &text);
    }
    return code;
}

/* ---- Files ------------------------------------------------------------------------------------- */

static char *read_text(const char *path)
{
    size_t len;
    char *text = (char *)slurp(path, &len);

    text[len] = '\0'; /* far from its end */
    if (!len)
        fail_msg("%s: each migration needs the file of a database that it left: see " VERSIONS "README.md",
                 path);
    return text;
}

static const char *make_version(char path[PATH_SIZE], const struct kind *k, size_t version)
{
    char name[PATH_MAX], base[40];
    char *text;

    snprintf(name, sizeof name, VERSIONS "%s_%04zu.sql", k->file, version);
    text = read_text(name);
    snprintf(base, sizeof base, "%s_%zu.db", k->file, version);
    in_dir(path, base);
    unlink(path);
    sql(path, text);
    free(text);
    assert_int_equal(sql_int(path, "PRAGMA user_version"), version);
    return path;
}

static struct sq_spec spec_of(const struct kind *k, const size_t *n)
{
    return (struct sq_spec){ .what = k->file,
                             .application_id = k->application_id,
                             .migrations = k->migrations,
                             .n_migrations = n,
                             .bulk_glob = "summary_*",
                             .pragmas = "",
                             .sql = no_sql,
                             .n_sql = 1 };
}

static enum tw_rc open_and_close(const char *path, const struct sq_spec *spec)
{
    struct sq q;
    enum tw_rc rc = sq_open(&q, path, spec, &test_err);

    if (!rc)
        sq_close(&q);
    return rc;
}

/* All of it as text, which the caller frees: what there is, and every row. `what` "schema": only the former.
 */
struct all {
    char *text;
    size_t len;
    sqlite3 *db;
};

static void add(struct all *a, const char *text)
{
    size_t n = strlen(text);

    assert_true(a->len + n + 2 < ALL_MAX);
    memcpy(a->text + a->len, text, n);
    a->len += n;
    a->text[a->len++] = '\n';
    a->text[a->len] = '\0';
}

static void add_query(struct all *a, const char *query)
{
    sqlite3_stmt *st;

    if (sqlite3_prepare_v2(a->db, query, -1, &st, NULL))
        fail_msg("%s: %s", query, sqlite3_errmsg(a->db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        char row[8192];
        size_t n = 0;
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const char *v = (const char *)sqlite3_column_text(st, i);
            n += (size_t)snprintf(row + n, sizeof row - n, "%s|", v ? v : "NULL");
            assert_true(n < sizeof row);
        }
        add(a, row);
    }
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

#define NOT_OURS "name NOT LIKE 'sqlite_%' AND name <> 'schema_floor'"

static int add_table(void *ctx, int n, char **v, char **names)
{
    char query[200];
    struct all *a = ctx;

    (void)n;
    (void)names;
    add(a, v[0]);
    snprintf(query, sizeof query, "SELECT * FROM \"%s\" ORDER BY 1, 2", v[0]);
    add_query(a, query);
    return 0;
}

static char *all_of(const char *path, bool rows)
{
    struct all a = { .text = malloc(ALL_MAX) };

    assert_non_null(a.text);
    a.text[0] = '\0';
    assert_int_equal(sqlite3_open(path, &a.db), SQLITE_OK);
    add_query(&a, rows ? "SELECT name, sql FROM sqlite_schema WHERE " NOT_OURS " ORDER BY 1"
                       : "SELECT name, sql FROM sqlite_schema WHERE " NOT_OURS
                         " AND name NOT GLOB '*_20[0-9][0-9]*' ORDER BY 1");
    if (rows)
        sqlite3_exec(a.db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND " NOT_OURS " ORDER BY 1",
                     add_table, &a, NULL);
    add_query(&a, "PRAGMA integrity_check");
    add_query(&a, "PRAGMA foreign_key_check");
    add_query(&a, "PRAGMA user_version");
    assert_int_equal(sqlite3_close(a.db), SQLITE_OK);
    return a.text;
}

/* ---- The files are what they say ---------------------------------------------------------------- */

/* Nobody has altered a migration after it was released: of each file its SHA-256, in frozen.txt. */
static void migrations_are_frozen(void **state)
{
    char *frozen = read_text(VERSIONS "frozen.txt"), line[256], hex[2 * SHA256_DIGEST_LENGTH + 1];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(kinds); i++)
        for (size_t v = 0; v < *kinds[i].n; v++) {
            const struct sq_migration *m = &kinds[i].migrations[v];
            uint8_t sum[SHA256_DIGEST_LENGTH];
            SHA256((const uint8_t *)m->sql, strlen(m->sql), sum);
            for (size_t b = 0; b < sizeof sum; b++)
                snprintf(hex + 2 * b, 3, "%02x", sum[b]);
            snprintf(line, sizeof line, "%s %s %s\n", kinds[i].file, m->name, hex);
            if (!strstr(frozen, line))
                fail_msg("a released migration is never changed, a new one gets its line in frozen.txt: %s",
                         line);
        }
    free(frozen);
}

/* What a fixture has is what the migrations up to its version make. */
static void each_version_has_its_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(kinds); i++)
        for (size_t v = 1; v <= *kinds[i].n; v++) {
            const struct sq_spec spec = spec_of(&kinds[i], &v);
            char old[PATH_SIZE], fresh[PATH_SIZE];
            char *a, *b;
            make_version(old, &kinds[i], v);
            unlink(in_dir(fresh, "fresh.db"));
            CHECK_OK(open_and_close(fresh, &spec));
            a = all_of(old, false);
            b = all_of(fresh, false);
            assert_string_equal(a, b);
            free(a);
            free(b);
        }
}

/* An agent that goes back a release must be able to read its spool: a copy from before would give numbers out
 * twice. */
static void spools_are_always_readable(void **state)
{
    (void)state;
    assert_int_equal(sq_floor(&(struct sq_spec){ .migrations = spool_migrations }, spool_migrations_n), 2);
}

/* ---- Each is migrated, and says what it said ------------------------------------------------------ */

static char told[8192];
static size_t told_n;

__attribute__((format(printf, 1, 2))) static enum tw_rc tell(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    told_n += (size_t)vsnprintf(told + told_n, sizeof told - told_n, fmt, ap);
    va_end(ap);
    assert_true(told_n < sizeof told);
    return TW_OK;
}

/* Minutes since the beginning of the day of the fixtures. */
static long long at(int64_t ns)
{
    return (long long)((ns - DAY0) / MINUTE);
}

static enum tw_rc tell_agent(void *ctx, const struct store_agent *a)
{
    (void)ctx;
    return tell("%lld %s key=%02x approved=%d %s %s %s; ", (long long)a->id, a->name, a->public_key[31],
                a->approved, a->software, a->enrolment ? a->enrolment : "-", a->ops ? a->ops : "-");
}

static enum tw_rc tell_mesh(void *ctx, const struct store_mesh *m)
{
    (void)ctx;
    return tell("%s@%llu%s by %s %.10s; ", m->name, (unsigned long long)m->generation,
                m->paused ? " paused" : "", m->author, m->document);
}

static enum tw_rc tell_pair(void *ctx, const struct store_pair *p)
{
    (void)ctx;
    return tell("%llu %s/%s %s>%s slot=%u; ", (unsigned long long)p->id, p->mesh, p->class_name, p->source,
                p->target, p->slot);
}

static enum tw_rc tell_generation(void *ctx, const struct store_generation *g)
{
    (void)ctx;
    return tell("%llu-%llu %s %s '%s' +%llu%s; ", (unsigned long long)g->first, (unsigned long long)g->number,
                g->author, g->what, g->reason, (unsigned long long)g->added,
                g->complete ? "" : " incomplete");
}

static enum tw_rc tell_at(void *ctx, const struct store_mesh *m)
{
    (void)ctx;
    return tell("%s%s; ", m->name, m->paused ? " paused" : "");
}

static enum tw_rc tell_interval(void *ctx, const struct store_interval *i)
{
    (void)ctx;
    return tell("%lld-%lld flows=%u %s rule=%llu/%zu spacing=%lld exp=%d slot=%u; ", at(i->from_ns),
                at(i->until_ns), i->x.flows, i->x.rule_unknown ? "unknown" : "known",
                (unsigned long long)i->x.rule_id, i->x.rule_len, (long long)(i->x.spacing_ns / TW_NS_PER_S),
                i->x.exponential, i->x.slot);
}

static enum tw_rc tell_summary(void *ctx, const struct tw_summary *s)
{
    (void)ctx;
    return tell("%llu@%lld sent=%llu received=%llu late=%llu n=%llu test=%llu; ",
                (unsigned long long)s->pair_id, at(s->start_ns), (unsigned long long)s->sent,
                (unsigned long long)s->received, (unsigned long long)s->late,
                (unsigned long long)s->delay[TW_ROUNDTRIP].count, (unsigned long long)s->test_id);
}

struct sum {
    uint64_t sent, received, samples, rows;
};

static enum tw_rc sum_cell(void *ctx, const struct store_cell *c)
{
    struct sum *s = ctx;

    if (c->merged->test_id)
        return TW_OK;
    s->sent += c->merged->sent;
    s->received += c->merged->received;
    s->samples += c->merged->delay[TW_ROUNDTRIP].count;
    s->rows += c->rows;
    return TW_OK;
}

static enum tw_rc tell_run(void *ctx, const struct tw_loss_run *r)
{
    (void)ctx;
    return tell("run@%llds %llu %s; ", (long long)((r->start_ns - DAY0) / TW_NS_PER_S),
                (unsigned long long)r->probes, tw_direction_name(r->direction));
}

static enum tw_rc tell_absence(void *ctx, const struct store_absence *a)
{
    (void)ctx;
    return tell("%s %llu %s '%s' %lld; ", a->source, (unsigned long long)a->pair_id,
                store_cause_name(a->cause), a->reason, at(a->from_ns));
}

static enum tw_rc tell_test(void *ctx, const struct store_test *t)
{
    (void)ctx;
    return tell("test %llu %s %s %s runs=%u; ", (unsigned long long)t->id, t->author, t->what, t->state,
                t->runs);
}

static enum tw_rc tell_alert(void *ctx, const struct store_alert *a)
{
    (void)ctx;
    return tell("alert %llu open=%d %s; ", (unsigned long long)a->id, a->open, a->body);
}

static enum tw_rc tell_rules(void *ctx, const struct store_alert_document *d)
{
    (void)ctx;
    return tell("rules %llu %s; ", (unsigned long long)d->version, d->author);
}

static enum tw_rc tell_silence(void *ctx, const struct store_alert_silence *i)
{
    (void)ctx;
    return tell("silence %llu %lld; ", (unsigned long long)i->id, at(i->end_ns));
}

static enum tw_rc tell_baseline(void *ctx, const struct store_alert_baseline *b)
{
    (void)ctx;
    return tell("baseline %llu/%u %s; ", (unsigned long long)b->pair_id, b->slot, b->body);
}

static enum tw_rc tell_notice(void *ctx, const struct store_alert_notice *n)
{
    (void)ctx;
    return tell("notice %llu %s %s; ", (unsigned long long)n->id, n->receiver, n->key);
}

static enum tw_rc tell_token(void *ctx, const struct store_join_token *t)
{
    (void)ctx;
    return tell("join %s %u/%u %02x %s %s; ", t->id, t->used, t->uses, t->digest[31], t->name_glob,
                t->labels);
}

static enum tw_rc tell_certificate(void *ctx, const struct store_certificate *c)
{
    (void)ctx;
    return tell("certificate %s %zu; ", c->serial, c->der_len);
}

static enum tw_rc tell_access(void *ctx, const struct store_access_token *t)
{
    (void)ctx;
    return tell("access %s %s role=%u %02x; ", t->id, t->name, t->role, t->digest[31]);
}

static enum tw_rc tell_audit(void *ctx, const struct store_audit *a)
{
    (void)ctx;
    return tell("audit %llu %s %s %s; ", (unsigned long long)a->id, a->who, a->method, a->subject);
}

static enum tw_rc tell_time(void *ctx, const struct store_time *t)
{
    (void)ctx;
    return tell("maintenance %lld-%lld; ", (long long)((t->from_ns - DAY0) / MINUTE), (long long)((t->to_ns - DAY0) / MINUTE));
}

static void begin_told(void)
{
    told[0] = '\0';
    told_n = 0;
}

static void tell_results(struct store *s, struct store_reader *r)
{
    struct sum sum = { 0 };
    const uint64_t pairs[] = { 1001, 1002 };
    const struct store_span span = { .pair_ids = pairs,
                                     .n_pairs = 2,
                                     .from_ns = DAY0,
                                     .to_ns = DAY0 + 86400 * TW_NS_PER_S,
                                     .raw_from_ns = INT64_MAX,
                                     .fn = sum_cell,
                                     .ctx = &sum };
    bool more = true;
    uint64_t through = 0, dropped = 0;
    uint8_t spool[STORE_ID_LEN];

    memset(spool, 0xaa, sizeof spool);
    for (int i = 0; i < 2; i++) { /* before and after what older releases left undone */
        sum = (struct sum){ 0 };
        CHECK_OK(store_read_span(r, &span, &test_err));
        tell("day sent=%llu received=%llu samples=%llu rows=%llu; ", (unsigned long long)sum.sent,
             (unsigned long long)sum.received, (unsigned long long)sum.samples, (unsigned long long)sum.rows);
        while (more)
            CHECK_OK(store_rollup(s, DAY0 + 2 * 86400 * TW_NS_PER_S, 1000, &more, &test_err));
    }
    CHECK_OK(store_read_summaries(r, pairs, 2, DAY0, DAY0 + 60 * MINUTE, tell_summary, NULL, &test_err));
    tell("latest: ");
    CHECK_OK(store_read_latest(r, pairs, 2, 0, tell_summary, NULL, &test_err));
    CHECK_OK(store_read_loss_runs(r, 1001, DAY0, DAY0 + 60 * MINUTE, tell_run, NULL, &test_err));
    CHECK_OK(store_cursor(s, 1, spool, &through));
    CHECK_OK(store_read_dropped(r, "ams", DAY0, DAY0 + 60 * MINUTE, &dropped, &test_err));
    tell("through=%llu dropped=%llu; ", (unsigned long long)through, (unsigned long long)dropped);
}

static void expect_told(size_t version, const char *want)
{
    if (strcmp(told, want))
        fail_msg("version %zu:\n%s\nwant\n%s", version, told, want);
    begin_told();
}

#define SUMMARIES(late)                                                                                      \
    "1001@0 sent=60 received=58 late=1 n=58 test=0; 1001@1 sent=60 received=58 late=1 n=58 test=0; " late    \
    "1002@0 sent=60 received=58 late=1 n=58 test=0; latest: 1001@1 sent=60 received=58 late=1 n=58 test=0; " \
    "1002@0 sent=60 received=58 late=1 n=58 test=0; run@5s 2 unknown; through=4 dropped=1; "
#define DAY "day sent=180 received=174 samples=174 rows=3; "

static void check_schedule(struct store *s, struct store_reader *r, size_t v)
{
    char want[1024];

    CHECK_OK(store_each_agent(s, tell_agent, NULL, &test_err));
    snprintf(want, sizeof want,
             "1 ams key=11 approved=1 twamp-agent 0.1.0 {\"labels\":{\"site\":\"ams\"}} %s; "
             "2 fra key=22 approved=0 twamp-agent 0.1.0 - -; ",
             v >= 3 ? "{\"labels\":{\"tier\":\"1\"}}" : "-");
    expect_told(v, want);
    CHECK_OK(store_each_mesh(s, tell_mesh, NULL, &test_err));
    expect_told(v, "core@2 by eve mesh: core; edge@1 paused by root mesh: edge; ");
    CHECK_OK(store_each_pair(s, tell_pair, NULL, &test_err));
    snprintf(want, sizeof want, "1001 core/voice ams>fra slot=%d; 1002 core/voice fra>ams slot=%d; ",
             v >= 8 ? 7 : 0, v >= 8 ? 9 : 0);
    expect_told(v, want);
    CHECK_OK(store_read_generations(r, 0, 9, tell_generation, NULL, &test_err));
    expect_told(v, v >= 2 ? "2-2 eve apply core 'second' +1; 1-1 root apply edge 'first' +1; "
                          : "2-2 eve apply core '' +0; 1-1 root apply edge '' +0 incomplete; ");
    CHECK_OK(store_read_meshes_at(r, 2, tell_at, NULL, &test_err));
    expect_told(v, "core; edge paused; ");
    CHECK_OK(store_read_intervals(r, 1001, DAY0, DAY0 + 20 * MINUTE, tell_interval, NULL, &test_err));
    snprintf(want, sizeof want,
             "0-10 flows=1 unknown rule=0/0 spacing=0 exp=0 slot=0; "
             "10-20 flows=2 %s slot=%d; ",
             v >= 6 ? "known rule=77/3 spacing=1 exp=1" : "unknown rule=0/0 spacing=0 exp=0", v >= 8 ? 7 : 0);
    expect_told(v, want);
}

static enum tw_rc tell_cursor(void *ctx, int64_t agent_id, const uint8_t *spool_id, const struct store_cursor *at)
{
    (void)ctx;
    for (size_t i = 0; i < at->ahead.n; i++)
        tell("ahead %lld/%x %llu-%llu; ", (long long)agent_id, spool_id[0], (unsigned long long)at->ahead.v[i].first,
             (unsigned long long)at->ahead.v[i].last);
    return TW_OK;
}

static void check_later_tables(struct store *s, struct store_reader *r, size_t v)
{
    const struct store_audit_query all = { .who = "", .what = "", .limit = 9 };
    uint64_t dropped = 0;

    CHECK_OK(store_read_tests(r, 0, 9, tell_test, NULL, &test_err));
    expect_told(v, v >= 4 ? "test 1 eve ams > fra done runs=1; " : "");
    CHECK_OK(
        store_read_absences(r, "ams", DAY0 + 10 * MINUTE, DAY0 + 60 * MINUTE, tell_absence, NULL, &test_err));
    CHECK_OK(
        store_read_absences(r, "fra", DAY0 + 10 * MINUTE, DAY0 + 60 * MINUTE, tell_absence, NULL, &test_err));
    expect_told(v, v >= 6 ? "ams 0 agent_down '' 20; fra 1002 refused 'max_pps' 30; " : "");
    CHECK_OK(store_each_alert(s, 9, tell_alert, NULL, &test_err));
    if (v >= 7)
        CHECK_OK(store_last_alert_document(s, tell_rules, NULL, &test_err));
    CHECK_OK(store_each_alert_silence(s, 0, tell_silence, NULL, &test_err));
    CHECK_OK(store_each_alert_baseline(s, tell_baseline, NULL, &test_err));
    CHECK_OK(store_each_alert_notice(s, tell_notice, NULL, &test_err));
    expect_told(
        v, v >= 7 ? "alert 1 open=1 {\"rule\":\"loss\"}; alert 2 open=0 {\"rule\":\"delay\"}; rules 1 eve; "
                    "silence 1 60; baseline 1001/3 {\"n\":4}; notice 1 mail k1; "
                  : "");
    CHECK_OK(store_each_join_token(s, tell_token, NULL, &test_err));
    CHECK_OK(store_each_certificate(s, tell_certificate, NULL, &test_err));
    expect_told(v, v >= 10 ? "join tok1 2/5 33 a* site=ams; certificate 0A 5; " : "");
    CHECK_OK(store_each_access_token(s, tell_access, NULL, &test_err));
    CHECK_OK(store_read_audit(r, &all, tell_audit, NULL, &test_err));
    expect_told(v, v >= 11 ? "access acc1 grafana role=2 44; audit 1 eve ScheduleApply core; " : "");
    CHECK_OK(store_read_maintenance(r, "ams", DAY0, DAY0 + 60 * MINUTE, tell_time, NULL, &test_err));
    expect_told(v, v >= 12 ? "maintenance 10-20; " : "");
    CHECK_OK(store_each_cursor(s, tell_cursor, NULL, &test_err));
    expect_told(v, v >= 13 ? "ahead 1/aa 7-9; " : "");
    CHECK_OK(store_read_dropped(r, "lon", DAY0, DAY0 + 60 * MINUTE, &dropped, &test_err));
    assert_int_equal(dropped, v >= 14 ? 5 : 0);
}

static void no_problem(void *ctx, const struct store_checked *c)
{
    if (!c->ok)
        fail_msg("version %zu: %s: %s", *(const size_t *)ctx, c->name, c->text);
}

static void check_store(const char *path, size_t v)
{
    struct store *s = NULL;
    struct store_reader *r = NULL;

    begin_told();
    CHECK_OK(store_open(path, &s, &test_err));
    CHECK_OK(store_reader_open(path, &r, &test_err));
    check_schedule(s, r, v);
    tell_results(s, r);
    expect_told(v, v >= 4 ? DAY DAY SUMMARIES("1001@2 sent=60 received=58 late=1 n=58 test=1; ")
                          : DAY DAY SUMMARIES(""));
    check_later_tables(s, r, v);
    store_reader_close(r);
    store_close(s);
    assert_int_equal(sql_int(path, "PRAGMA user_version"), store_migrations_n);
    CHECK_OK(store_check(path, NULL, no_problem, &v, &test_err));
}

static void every_database_is_migrated(void **state)
{
    char path[PATH_SIZE];

    (void)state;
    for (size_t v = 1; v <= store_migrations_n; v++) {
        make_version(path, &kinds[0], v);
        check_store(path, v);
        check_store(path, v); /* once more, of what is migrated */
    }
}

static void every_spool_is_migrated(void **state)
{
    char path[PATH_SIZE];

    (void)state;
    for (size_t v = 1; v <= spool_migrations_n; v++) {
        const struct spool_cfg cfg = { .path = make_version(path, &kinds[1], v) };
        struct spool_record rec[9];
        struct spool_gap gap;
        struct spool_stats st;
        struct spool *s = NULL;
        uint8_t *value = NULL;
        size_t n = 0, len = 0;
        CHECK_OK(spool_open(&cfg, &s, &test_err));
        assert_int_equal(spool_id(s)[15], 0xaa);
        spool_stats(s, &st);
        assert_int_equal(st.last_seq, 5);
        assert_int_equal(st.acked_seq, 2);
        assert_int_equal(st.waiting, 3);
        assert_int_equal(st.dropped, 1);
        CHECK_OK(spool_read(s, 2, 9, 1 << 20, rec, &n, &gap));
        assert_int_equal(n, 0);
        assert_int_equal(gap.last_seq, 2);
        assert_string_equal(gap.reason, "spool_full");
        assert_int_equal(gap.from_ns, v >= 2 ? DAY0 + 2 * MINUTE : 0);
        CHECK_OK(spool_read(s, 3, 9, 1 << 20, rec, &n, &gap));
        assert_int_equal(n, 3);
        assert_memory_equal(rec[2].data, "rec5", 4);
        CHECK_OK(spool_get_value(s, "schedule", &value, &len));
        assert_int_equal(len, 2);
        free(value);
        spool_close(s);
        assert_int_equal(sql_int(path, "PRAGMA user_version"), spool_migrations_n);
    }
}

/* ---- A migration that does not come to its end ---------------------------------------------------- */

/* What the file is in each version from `from` on, migrated undisturbed. */
static char *undisturbed(const struct kind *k, size_t from, size_t to)
{
    const struct sq_spec spec = spec_of(k, &to);
    char path[PATH_SIZE];

    make_version(path, k, from);
    if (to > from)
        CHECK_OK(open_and_close(path, &spec));
    return all_of(path, true);
}

static enum tw_rc disturbed(const char *path, const struct sq_spec *spec, enum fault how, unsigned after)
{
    enum tw_rc rc = TW_OK;
    int status = 0;

    test_err = (struct tw_err){ 0 };
    if (how == KILL) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid) {
            fault = how;
            left = after;
            _exit(open_and_close(path, spec) ? 1 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
        return WEXITSTATUS(status) ? TW_EIO : TW_OK;
    }
    fault = how;
    left = after;
    rc = open_and_close(path, spec);
    fault = NO_FAULT;
    return rc;
}

#define PRAGMAS 4 /* before each migration the same */

/* At every statement of the migration after version v: afterwards the file is as it was, or as it is to be.
 */
static unsigned disturb_one(const struct kind *k, size_t v, enum fault how)
{
    size_t next = v + 1, len;
    const struct sq_spec spec = spec_of(k, &next);
    char *before = undisturbed(k, v, v), *after = undisturbed(k, v, next), path[PATH_SIZE];
    uint8_t *image;
    unsigned n = v > 1 ? PRAGMAS : 0, undone = 0;
    enum tw_rc rc;

    make_version(path, k, v);
    image = slurp(path, &len);
    do {
        char *now, wal[PATH_SIZE + 8];
        snprintf(wal, sizeof wal, "%s-wal", path);
        unlink(wal);
        snprintf(wal, sizeof wal, "%s-shm", path);
        unlink(wal);
        spew(path, image, len);
        rc = disturbed(path, &spec, how, ++n);
        if (rc && how == FAIL && strstr(test_err.text, "migration") &&
            (!strstr(test_err.text, spec.migrations[v].name) ||
             !strstr(test_err.text, "a_fault_of_the_test")))
            fail_msg("not said which migration failed, and why: %s", test_err.text);
        undone += rc && how == FAIL && strstr(test_err.text, "undone") ? 1 : 0;
        now = all_of(path, true);
        if (strcmp(now, rc ? before : after))
            fail_msg("%s %zu, statement %u: neither the old nor the new file:\n%s", k->file, v, n, now);
        free(now);
        CHECK_OK(open_and_close(path, &spec)); /* the next start */
        now = all_of(path, true);
        assert_string_equal(now, after);
        free(now);
    } while (rc);
    free(image);
    free(before);
    free(after);
    if (how == FAIL && undone < 3)
        fail_msg("%s %zu: only %u faults were in the migration", k->file, v, undone);
    return n;
}

static void disturb(enum fault how)
{
    unsigned n = 0;

    for (size_t i = 0; i < TW_NELEM(kinds); i++)
        for (size_t v = 1; v < *kinds[i].n; v++)
            if (how == FAIL || getenv("TW_TEST_LONG") || v == 1 || v + 1 == *kinds[i].n)
                n += disturb_one(&kinds[i], v, how);
    assert_true(n > 30); /* statements */
}

static void a_failure_leaves_old_or_new(void **state)
{
    (void)state;
    disturb(FAIL);
}

static void a_kill_leaves_old_or_new(void **state)
{
    (void)state;
    disturb(KILL);
}

/* ---- Gaps by number ------------------------------------------------------------------------------------ */

static uint64_t dropped_of(struct store_reader *r, const char *source)
{
    uint64_t n = 0;

    CHECK_OK(store_read_dropped(r, source, DAY0, DAY0 + 60 * MINUTE, &n, &test_err));
    return n;
}

/* What they are found by came with migration 14: those of agents that were removed before, and what the
 * release before writes and removes after it, are found, too. */
static void gaps_are_found_by_any_name(void **state)
{
    char path[PATH_SIZE];
    struct store *s = NULL;
    struct store_reader *r = NULL;

    (void)state;
    make_version(path, &kinds[0], 13);
    sql(path, "INSERT INTO gap (source, spool_id, first_seq, last_seq, reason, received_ns) VALUES ('lon', "
              "x'01', 1, 3, '',"
              " 1728000300000000000), ('lon', x'02', 7, 7, '', 1728000300000000000), ('par', x'03', 1, 9, "
              "'', 1728000300000000000)");
    CHECK_OK(store_open(path, &s, &test_err));
    CHECK_OK(store_reader_open(path, &r, &test_err));
    assert_int_equal(dropped_of(r, "ams"), 1);
    assert_int_equal(dropped_of(r, "lon"), 4);
    assert_int_equal(dropped_of(r, "par"), 9);
    sql(path, "INSERT INTO gap (source, spool_id, first_seq, last_seq, reason, received_ns) VALUES ('fra', "
              "x'04', 1, 20, '',"
              " 1728000300000000000)");
    sql(path, "DELETE FROM agent WHERE name = 'fra'");
    assert_int_equal(dropped_of(r, "fra"), 20);
    CHECK_OK(store_begin(s, &test_err));
    CHECK_OK(store_rename_source(s, "fra", "ber", &test_err));
    CHECK_OK(store_commit(s, &test_err));
    assert_int_equal(dropped_of(r, "fra"), 0);
    assert_int_equal(dropped_of(r, "ber"), 20);
    store_reader_close(r);
    store_close(s);
}

/* ---- The release after this one -------------------------------------------------------------------- */

static struct sq_migration next_migrations[64];
static size_t next_n;

static struct sq_spec next_release(bool breaking)
{
    struct sq_spec spec = store_spec;

    memcpy(next_migrations, store_migrations, store_migrations_n * sizeof *store_migrations);
    next_n = store_migrations_n + 1;
    next_migrations[next_n - 1] =
        (struct sq_migration){ "next", "ALTER TABLE agent ADD COLUMN next TEXT NOT NULL DEFAULT 'old'",
                               true };
    if (breaking)
        next_migrations[next_n++] =
            (struct sq_migration){ "breaking", "ALTER TABLE mesh RENAME TO meshes", false };
    spec.migrations = next_migrations;
    spec.n_migrations = &next_n;
    return spec;
}

/* Columns and tables that this release does not know: it works with the file, and the next one goes on with
 * it. */
static void additions_are_worked_with(void **state)
{
    const struct sq_spec next = next_release(false);
    char path[PATH_SIZE], copy[PATH_SIZE + 32];
    struct store *s = NULL;
    struct store_reader *r = NULL;

    (void)state;
    make_version(path, &kinds[0], store_migrations_n);
    CHECK_OK(open_and_close(path, &next));
    assert_int_equal(sql_int(path, "PRAGMA user_version"), next_n);
    sq_copy_name(path, next_n, copy, sizeof copy);
    assert_int_equal(access(copy, F_OK), -1); /* none is needed */
    assert_int_equal(sql_int(path, "SELECT oldest FROM schema_floor"), 13); /* it has stretches ahead */
    CHECK_OK(store_open(path, &s, &test_err));
    CHECK_OK(store_reader_open(path, &r, &test_err));
    CHECK_OK(store_begin(s, &test_err));
    new_agent(s, "new");
    CHECK_OK(store_commit(s, &test_err));
    begin_told();
    tell_results(s, r);
    expect_told(next_n, DAY DAY SUMMARIES("1001@2 sent=60 received=58 late=1 n=58 test=1; "));
    store_reader_close(r);
    store_close(s);
    CHECK_OK(store_check(path, NULL, no_problem, &next_n, &test_err));
    CHECK_OK(open_and_close(path, &next));
    assert_int_equal(sql_int(path, "PRAGMA user_version"), next_n);
    assert_int_equal(sql_int(path, "SELECT count(*) FROM agent WHERE next = 'old'"), 3);
}

/* What this release could not work with is refused, untouched, with the name of the copy from before; which
 * leads back. */
static void a_breaking_upgrade_keeps_a_copy(void **state)
{
    const struct sq_spec next = next_release(true);
    char path[PATH_SIZE], copy[PATH_SIZE + 32], kept[PATH_SIZE + 64];
    struct store *s = NULL;
    size_t len, len2;
    uint8_t *a, *b;

    (void)state;
    make_version(path, &kinds[0], store_migrations_n);
    CHECK_OK(open_and_close(path, &next));
    sq_copy_name(path, next_n, copy, sizeof copy);
    a = slurp(path, &len);
    assert_int_equal(store_open(path, &s, &test_err), TW_EVERSION);
    assert_non_null(strstr(test_err.text, "newer program"));
    assert_non_null(strstr(test_err.text, "twampctl db restore"));
    assert_non_null(strstr(test_err.text, copy));
    b = slurp(path, &len2);
    assert_int_equal(len, len2);
    assert_memory_equal(a, b, len);
    free(a);
    free(b);
    CHECK_OK(store_restore(copy, path, DAY0, NULL, kept, sizeof kept, &test_err));
    check_store(path, store_migrations_n);
    CHECK_OK(open_and_close(kept, &next)); /* what the newer release had is there, too */
    unlink(copy);
    unlink(kept);
}

/* Without the copy there is no way back: then nothing is migrated. */
static void no_copy_no_upgrade(void **state)
{
    const struct sq_spec next = next_release(true);
    char path[PATH_SIZE], copy[PATH_SIZE + 32], part[PATH_SIZE + 40];
    char *before, *now;

    (void)state;
    make_version(path, &kinds[0], store_migrations_n);
    before = all_of(path, true);
    sq_copy_name(path, next_n, copy, sizeof copy);
    snprintf(part, sizeof part, "%s.part", copy);
    assert_int_equal(mkdir(part, 0700), 0);
    assert_int_not_equal(open_and_close(path, &next), TW_OK);
    assert_non_null(strstr(test_err.text, "no copy could be made before the upgrade"));
    assert_non_null(strstr(test_err.text, part));
    now = all_of(path, true);
    assert_string_equal(now, before);
    free(now);
    free(before);
    rmdir(part);
}

/* A backup of each earlier release can be put back under this one. */
static void old_backups_can_be_restored(void **state)
{
    char from[PATH_SIZE], to[PATH_SIZE], kept[PATH_SIZE + 64];

    (void)state;
    for (size_t v = 1; v < store_migrations_n; v++) {
        make_version(from, &kinds[0], v);
        unlink(in_dir(to, "restored.db"));
        CHECK_OK(store_restore(from, to, DAY0, NULL, kept, sizeof kept, &test_err));
        assert_int_equal(sql_int(to, "PRAGMA user_version"), v);
        check_store(to, v);
        assert_int_equal(access("-wal", F_OK), -1); /* of a log that was left there alone */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_are_frozen),           cmocka_unit_test(each_version_has_its_file),
        cmocka_unit_test(spools_are_always_readable),      cmocka_unit_test(every_database_is_migrated),
        cmocka_unit_test(every_spool_is_migrated),         cmocka_unit_test(a_failure_leaves_old_or_new),
        cmocka_unit_test(a_kill_leaves_old_or_new),        cmocka_unit_test(additions_are_worked_with),
        cmocka_unit_test(a_breaking_upgrade_keeps_a_copy), cmocka_unit_test(no_copy_no_upgrade),
        cmocka_unit_test(old_backups_can_be_restored),     cmocka_unit_test(gaps_are_found_by_any_name),
    };

    no_sync = true;
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
