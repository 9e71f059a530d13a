/* Summaries as RowBinary, and answers cut into rows however they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "db/clickhouse/ch_row.h"
#include "db/clickhouse/ch_rows.h"
#include "tests/unit/db/clickhouse/any_summary.h"

static void same(const struct tw_summary *a, const struct tw_summary *b)
{
    struct ch_buf x = { 0 }, y = { 0 };

    assert_int_equal(ch_row_put(&x, a, true), TW_OK);
    assert_int_equal(ch_row_put(&y, b, true), TW_OK);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.p, y.p, x.len);
    ch_buf_free(&x);
    ch_buf_free(&y);
}

static void summaries_go_and_come(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct tw_summary s, back;
        struct ch_buf b = { 0 };
        struct wire_rd r;
        struct tw_err err = { 0 };

        any_summary(&s, seed);
        summary_init(&back);
        assert_int_equal(ch_row_put(&b, &s, seed % 2), TW_OK);
        r = (struct wire_rd){ .p = b.p, .end = b.p + b.len };
        if (ch_row_take(&r, &back, &err))
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.text);
        assert_ptr_equal(r.p, r.end);
        same(&s, &back);
        for (size_t cut = 0; cut < b.len; cut++) {
            r = (struct wire_rd){ .p = b.p, .end = b.p + cut };
            assert_int_equal(ch_row_take(&r, &back, &err), TW_ETRUNC);
        }
        summary_free(&s);
        summary_free(&back);
        ch_buf_free(&b);
    }
}

/* Whichever octet of a row with a digest is altered. */
static void altered_rows_are_noticed(void **state)
{
    struct tw_summary s, back;
    struct ch_buf b = { 0 };
    struct tw_err err = { 0 };

    (void)state;
    any_summary(&s, 7);
    summary_init(&back);
    assert_int_equal(ch_row_put(&b, &s, true), TW_OK);
    for (size_t at = 0; at < b.len; at++) {
        struct wire_rd r = { .p = b.p, .end = b.p + b.len };
        b.p[at] ^= 0x10;
        if (ch_row_take(&r, &back, &err) == TW_OK && r.p == r.end)
            fail_msg("octet %zu", at);
        b.p[at] ^= 0x10;
    }
    summary_free(&s);
    summary_free(&back);
    ch_buf_free(&b);
}

static const enum ch_type types[] = { CH_I64, CH_STRING, CH_U8, CH_U32, CH_ID };

struct seen {
    int64_t sum;
    size_t texts;
    enum tw_rc rc;
};

static enum tw_rc take(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct seen *s = ctx;
    size_t len;

    (void)err;
    s->sum += ch_get_i64(row);
    ch_get_string(row, &len);
    s->texts += len;
    ch_get_u8(row);
    ch_get_u32(row);
    wire_take(row, CH_ID_LEN);
    return s->rc;
}

static void put_row(struct ch_buf *b, int64_t v, size_t text)
{
    static const uint8_t id[CH_ID_LEN], octets[5000];

    ch_put_u8(b, 1);
    ch_put_i64(b, v);
    ch_put_string(b, octets, text);
    ch_put_u8(b, 2);
    ch_put_u32(b, 3);
    ch_put_octets(b, id, CH_ID_LEN);
}

static enum tw_rc feed(struct ch_rows *r, const struct ch_buf *b, size_t piece)
{
    enum tw_rc rc = TW_OK;

    for (size_t at = 0; at < b->len && !rc; at += piece)
        rc = ch_rows_feed(r, b->p + at, b->len - at < piece ? b->len - at : piece);
    return rc ? ch_rows_fail(r, rc) : ch_rows_end(r);
}

static void answers_come_in_any_pieces(void **state)
{
    struct ch_buf b = { 0 };

    (void)state;
    for (int i = 0; i < 20; i++)
        put_row(&b, i, (size_t)i * 200);
    for (size_t piece = 1; piece <= b.len; piece += piece < 300 ? 1 : 997) {
        struct seen s = { 0 };
        struct tw_err err = { 0 };
        struct ch_rows r = { .types = types, .n_types = TW_NELEM(types), .fn = take, .ctx = &s, .err = &err };
        assert_int_equal(feed(&r, &b, piece), TW_OK);
        assert_int_equal(r.rows, 20);
        assert_int_equal(s.sum, 190);
        assert_int_equal(s.texts, 38000);
    }
    ch_buf_free(&b);
}

static const struct {
    const char *name, *tail;
    size_t cut; /* octets off the end of two rows */
    enum tw_rc rc;
    uint64_t rows;
    const char *text;
} bad[] = {
    { "exception", "Code: 241, e.displayText() = DB::Exception: Memory limit, e.what() = DB::Exception\n", 0, TW_ENOMEM, 2,
      "code 241 after 2 rows: Memory limit" },
    { "later exception", "__exception__\r\nCode: 159. DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED) (version 25.3)\r\n", 0,
      TW_ETIMEOUT, 2, "Timeout exceeded" },
    { "no row", "xyz", 0, TW_ECORRUPT, 2, "row 3 of the answer is none" },
    { "broken off", "", 1, TW_ETRUNC, 1, "within row 2" },
};

static void errors_in_answers_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        for (size_t piece = 1; piece < 400; piece += 13) {
            struct seen s = { 0 };
            struct tw_err err = { 0 };
            struct ch_rows r = { .types = types, .n_types = TW_NELEM(types), .fn = take, .ctx = &s, .err = &err };
            struct ch_buf b = { 0 };
            put_row(&b, 1, 20);
            put_row(&b, 1, 20);
            b.len -= bad[i].cut;
            ch_put_octets(&b, bad[i].tail, strlen(bad[i].tail));
            assert_int_equal(feed(&r, &b, piece), bad[i].rc);
            assert_int_equal(r.rows, bad[i].rows);
            if (!strstr(err.text, bad[i].text))
                fail_msg("%s: %s", bad[i].name, err.text);
            ch_buf_free(&b);
        }
}

#define TAGGED                                                                          \
    "\r\n__exception__\r\nqmrtcjxmkpsdnbtw\r\nCode: 241. DB::Exception: Memory limit. " \
    "(MEMORY_LIMIT_EXCEEDED) "                                                          \
    "(version 26.5.1.1)\r\n88 qmrtcjxmkpsdnbtw\r\n__exception__\r\n"

/* From 25.11 on the connection fails behind it. */
static void a_reason_is_told_of_what_broke_off(void **state)
{
    static const struct {
        const char *tail;
        enum tw_rc rc;
        const char *text;
    } cases[] = { { TAGGED, TW_ENOMEM, "code 241 after 1 rows: Memory limit. (MEMORY_LIMIT_EXCEEDED)" },
                  { "\r\n__exce", TW_EIO, "recv" },
                  { "", TW_EIO, "recv" } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct seen s = { 0 };
        struct tw_err err = { 0 };
        struct ch_rows r = { .types = types, .n_types = TW_NELEM(types), .fn = take, .ctx = &s, .err = &err };
        struct ch_buf b = { 0 };
        put_row(&b, 1, 20);
        ch_put_octets(&b, cases[i].tail, strlen(cases[i].tail));
        assert_int_equal(ch_rows_feed(&r, b.p, b.len), TW_OK);
        tw_err_set(&err, TW_EIO, "recv failed");
        assert_int_equal(ch_rows_fail(&r, TW_EIO), cases[i].rc);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%zu: %s", i, err.text);
        ch_buf_free(&b);
    }
}

static void rows_have_bounds(void **state)
{
    struct seen s = { 0 };
    struct tw_err err = { 0 };
    struct ch_rows r = { .types = types, .n_types = TW_NELEM(types), .fn = take, .ctx = &s, .err = &err };
    struct ch_buf b = { 0 };
    uint8_t *octets = calloc(1, CH_ROW_OCTETS_MAX + 1);

    (void)state;
    ch_put_u8(&b, 1);
    ch_put_i64(&b, 1);
    ch_put_string(&b, octets, CH_ROW_OCTETS_MAX + 1);
    assert_int_equal(feed(&r, &b, 60000), TW_ECORRUPT);
    assert_non_null(strstr(err.text, "longer than any"));
    ch_buf_free(&b);
    free(octets);
}

static void a_reader_ends_it(void **state)
{
    struct seen s = { .rc = TW_ERANGE };
    struct tw_err err = { 0 };
    struct ch_rows r = { .types = types, .n_types = TW_NELEM(types) - 1, .fn = take, .ctx = &s, .err = &err };
    struct ch_buf b = { 0 };

    (void)state;
    put_row(&b, 1, 3);
    assert_int_equal(feed(&r, &b, 1000), TW_ERANGE);
    s.rc = TW_OK; /* one that wants more columns than it gets */
    assert_int_equal(feed(&r, &b, 1000), TW_ECORRUPT);
    assert_non_null(strstr(err.text, "other columns"));
    ch_buf_free(&b);
}

static void names_are_those_of_the_table(void **state)
{
    (void)state;
    assert_int_equal(strncmp(ch_row_definitions(), "pair_id Int64, start_ns Int64, flow UInt32, ", 44), 0);
    assert_non_null(strstr(ch_row_definitions(), ", delay_forward String, "));
    assert_string_equal(strrchr(ch_row_names(), ','), ", digest");
    assert_string_equal(strrchr(ch_row_definitions(), ','), ", digest Int64"); /* nothing was cut */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summaries_go_and_come),
        cmocka_unit_test(altered_rows_are_noticed),
        cmocka_unit_test(answers_come_in_any_pieces),
        cmocka_unit_test(errors_in_answers_are_told),
        cmocka_unit_test(rows_have_bounds),
        cmocka_unit_test(a_reader_ends_it),
        cmocka_unit_test(names_are_those_of_the_table),
        cmocka_unit_test(a_reason_is_told_of_what_broke_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
