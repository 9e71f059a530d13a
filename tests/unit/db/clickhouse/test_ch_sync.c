/* When a replica is believed to have everything, by what ZooKeeper says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/clickhouse/ch_schema.h"
#include "db/clickhouse/ch_sync.h"
#include "db/clickhouse/ch_wire.h"

#define MANY INT64_MAX /* no entry brings anything */
#define PATH "/clickhouse/tables/pair/tw/t/replicas/r1"

/* What is answered, one after the other. */
static const struct step {
    char kind; /* p: pointers; q: queues */
    struct row {
        int table;
        bool readonly, late, is_log;
        int64_t newest, pointer;       /* of the log */
        int64_t last, oldest;          /* of the queue */
    } rows[3];
    size_t n;
} * script;
static size_t at;
static char asked[8192]; /* the last statement */

enum tw_rc __wrap_ch_http_ask(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx,
                              int64_t until_ns, bool *ret_elsewhere, struct tw_err *err);
const char *__wrap_ch_http_server(const struct ch_http *h);

const char *__wrap_ch_http_server(const struct ch_http *h)
{
    (void)h;
    return "r1:8123";
}

static void put_row(struct ch_buf *b, char kind, const struct row *r)
{
    ch_put_u8(b, 1);
    ch_put_u8(b, (uint8_t)r->table);
    if (kind == 'p') {
        ch_put_string(b, PATH, strlen(PATH));
        ch_put_u8(b, !r->readonly);
        ch_put_u8(b, r->late);
        ch_put_i64(b, r->newest);
        ch_put_i64(b, r->pointer);
    } else {
        ch_put_u8(b, r->is_log);
        ch_put_i64(b, r->last);
        ch_put_i64(b, r->oldest);
    }
}

enum tw_rc __wrap_ch_http_ask(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx,
                              int64_t until_ns, bool *ret_elsewhere, struct tw_err *err)
{
    const struct step *s = &script[at];
    struct ch_buf b = { 0 };
    enum tw_rc rc;

    (void)h;
    (void)err;
    (void)until_ns;
    *ret_elsewhere = false;
    if (!s->kind)
        fail_msg("asked for more: %s", query);
    if ((strstr(query, "system.zookeeper") ? 'q' : 'p') != s->kind)
        fail_msg("step %zu: %s", at, query);
    strncpy(asked, query, sizeof asked - 1);
    for (size_t i = 0; i < s->n; i++)
        put_row(&b, s->kind, &s->rows[i]);
    rc = b.len ? fn(ctx, b.p, b.len) : TW_OK;
    ch_buf_free(&b);
    at++;
    return rc;
}

/* clang-format off */
#define P(t, new, ptr) { .table = t, .newest = new, .pointer = ptr }
#define Q(t, last_, old) { .table = t, .last = last_, .oldest = old }
#define LOG(t) { .table = t, .is_log = true, .oldest = MANY }
/* clang-format on */
#define NOTHING    \
    {              \
        .table = 0 \
    } /* and no row */
#define CURSOR (1U << CH_CURSOR)
#define ROUND (1U << CH_ROUND)

static const struct {
    const char *name;
    unsigned which;
    enum tw_rc rc;
    struct step steps[8];
} cases[] = {
    { "everything is there",
      CURSOR,
      TW_OK,
      { { 'p', { P(CH_CURSOR, 41, 42) }, 1 }, { 'q', { NOTHING }, 0 } } },
    { "its pointer is behind, and then its queue has it",
      CURSOR,
      TW_OK,
      { { 'p', { P(CH_CURSOR, 41, 41) }, 1 },
        { 'p', { P(CH_CURSOR, 50, 42) }, 1 }, /* what came since is not waited for */
        { 'q', { Q(CH_CURSOR, 7, 7) }, 1 },
        { 'q', { Q(CH_CURSOR, 8, 8) }, 1 } } },
    { "merges alone",
      CURSOR,
      TW_OK,
      { { 'p', { P(CH_CURSOR, 41, 42) }, 1 }, { 'q', { Q(CH_CURSOR, 9, MANY) }, 1 } } },
    { "the first entry of all",
      CURSOR,
      TW_OK,
      { { 'p', { P(CH_CURSOR, 0, 0) }, 1 },
        { 'q', { LOG(CH_CURSOR) }, 1 },
        { 'p', { P(CH_CURSOR, 0, 1) }, 1 },
        { 'q', { Q(CH_CURSOR, 0, 0) }, 1 },
        { 'q', { NOTHING }, 0 } } },
    { "nothing was ever written",
      CURSOR,
      TW_OK,
      { { 'p', { P(CH_CURSOR, 0, 0) }, 1 }, { 'q', { NOTHING }, 0 } } },
    { "each table for itself",
      CURSOR | ROUND,
      TW_OK,
      { { 'p', { P(CH_CURSOR, 41, 42), P(CH_ROUND, 5, 5) }, 2 },
        { 'p', { P(CH_ROUND, 5, 6) }, 1 },
        { 'q', { Q(CH_ROUND, 0, 0) }, 1 },
        { 'q', { NOTHING }, 0 } } },
    { "it came back just now",
      CURSOR,
      TW_ETIMEOUT,
      { { 'p', { { .table = CH_CURSOR, .readonly = true, .newest = 41, .pointer = 42 } }, 1 } } },
    { "it is behind for long",
      CURSOR,
      TW_ETIMEOUT,
      { { 'p', { { .table = CH_CURSOR, .late = true, .newest = 41, .pointer = 42 } }, 1 },
        { 'q', { Q(CH_CURSOR, 9, 9) }, 1 } } },
    { "no table", CURSOR, TW_ENOENT, { { 'p', { NOTHING }, 0 } } },
    { "one table is not there, the other one is complete",
      CURSOR | ROUND,
      TW_ENOENT,
      { { 'p', { P(CH_ROUND, 5, 6) }, 1 }, { 'q', { NOTHING }, 0 } } },
};

static void believes_what_is_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct ch_sync s = { .database = "tw", .cluster = "pair" };
        struct tw_err err = { 0 };
        bool elsewhere = false;
        enum tw_rc rc;

        script = cases[i].steps;
        at = 0;
        rc = ch_sync_run(&s, cases[i].which, tw_mono_now().ns + 60 * TW_NS_PER_S, &elsewhere, &err);
        if (rc != cases[i].rc || script[at].kind || elsewhere != (rc == TW_ETIMEOUT))
            fail_msg("%s: %s after %zu answers: %s", cases[i].name, tw_rc_name(rc), at, err.text);
        ch_sync_free(&s);
    }
}

/* What has come to nothing by then. */
static void gives_up_in_time(void **state)
{
    static const struct step steps[] = {
        { 'p', { P(CH_CURSOR, 41, 41) }, 1 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }
    };
    struct ch_sync s = { .database = "tw", .cluster = "pair" };
    struct tw_err err = { 0 };
    bool elsewhere = false;

    (void)state;
    script = steps;
    at = 0;
    assert_int_equal(ch_sync_run(&s, CURSOR, tw_mono_now().ns, &elsewhere, &err), TW_ETIMEOUT);
    assert_true(elsewhere);
    assert_non_null(strstr(err.text, "r1:8123: it has not got yet"));
    assert_non_null(strstr(asked, "table IN ('cursor')"));
    ch_sync_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_what_is_so),
        cmocka_unit_test(gives_up_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
