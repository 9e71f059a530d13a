/* Numbers, tables, CSV and times on the command line. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "admin.pb-c.h"
#include "common/net/rpc_check.h"
#include "controller/cli/filter.h"

static void expect(const char *what, const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", what, got, want);
}

static void seconds_adapt(void **state)
{
    static const struct {
        double s;
        const char *text;
    } cases[] = {
        { 0, "0.0 us" },         { 1e-9, "0.0 us" },      { 9.94e-6, "9.9 us" },   { 9.96e-6, "10 us" },
        { 999.4e-6, "999 us" },  { 999.6e-6, "1.00 ms" }, { 1.234e-3, "1.23 ms" }, { 9.996e-3, "10.0 ms" },
        { 99.96e-3, "100 ms" },  { 0.9994, "999 ms" },    { 0.9996, "1.00 s" },    { 12.34, "12.3 s" },
        { -5.5e-3, "-5.50 ms" }, { -2e-6, "-2.0 us" },
    };
    char buf[OUT_NUM];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        expect(cases[i].text, out_seconds((struct tw_num){ true, cases[i].s }, buf), cases[i].text);
    expect("unknown", out_seconds((struct tw_num){ 0 }, buf), "-");
}

/* A single loss in a billion is not none, and a single answer is not all lost. */
static void percents_are_honest(void **state)
{
    static const struct {
        double ratio;
        const char *text;
    } cases[] = {
        { 0, "0%" },         { 1, "100%" },       { 1e-9, "<0.01%" },
        { 0.0001, "0.01%" }, { 0.0123, "1.23%" }, { 0.99999999, "99.99%" },
        { 0.5, "50.00%" },
    };
    char buf[OUT_NUM];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        expect(cases[i].text, out_percent((struct tw_num){ true, cases[i].ratio }, buf), cases[i].text);
    expect("unknown", out_percent((struct tw_num){ 0 }, buf), "-");
}

static void other_numbers(void **state)
{
    char buf[OUT_NUM];
    const int64_t s = TW_NS_PER_S, now = 1000000 * s;

    (void)state;
    expect("bit/s", out_si(615999, "bit/s", buf), "616 kbit/s");
    expect("bytes", out_si(12, "B", buf), "12 B");
    expect("giga", out_si(2.8e9, "B", buf), "2.80 GB");
    expect("carry", out_si(999999, "B", buf), "1.00 MB");
    expect("s", out_ago(now - 119 * s, now, buf), "119 s");
    expect("min", out_ago(now - 120 * s, now, buf), "2 min");
    expect("h", out_ago(now - 7200 * s, now, buf), "2 h");
    expect("d", out_ago(now - 172800 * s, now, buf), "2 d");
    expect("a clock behind", out_ago(now + 5 * s, now, buf), "0 s");
    expect("never", out_ago(0, now, buf), "-");
    expect("time", out_time(1700000000 * s, buf), "2023-11-14T22:13:20Z");
}

/* ---- Tables ---- */

static char *printed(void (*print)(FILE *to))
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    print(f);
    fclose(f);
    return text;
}

static void print_wide(FILE *to)
{
    static const struct out_column columns[] = { { "NAME", false, 0 },
                                                 { "N", true, 0 },
                                                 { "LAST", false, 0 } };
    struct out_table t;

    out_table_init(&t, columns, TW_NELEM(columns));
    out_cell(&t, OUT_PLAIN, "zürich"); /* 6 wide, 7 octets */
    out_cell(&t, OUT_PLAIN, "%d", 7);
    out_cell(&t, OUT_PLAIN, "a");
    out_cell(&t, OUT_BAD, "東京"); /* 4 wide, 6 octets */
    out_cell(&t, OUT_PLAIN, "%d", 12345);
    out_cell(&t, OUT_DOUBT, "b\033[2J\xc2\x9b");
    out_table_print(&t, to, false, 0);
    out_table_print(&t, to, true, 1);
    out_table_free(&t);
}

static void tables_align_by_width(void **state)
{
    char *text = printed(print_wide);

    (void)state;
    expect("table", text,
           "NAME        N  LAST\n"
           "zürich      7  a\n"
           "東京    12345  b?[2J?\n"
           "\033[1mNAME\033[0m    \033[1mN\033[0m  \033[1mLAST\033[0m\n"
           "zürich  7  a\n");
    free(text);
}

/* Six columns as in a table of pairs; the first and the fourth are never left out. */
static void print_fitted(FILE *to, size_t width)
{
    static const struct out_column columns[] = {
        { "PAIR", false, 0 }, { "FWD", true, 2 }, { "JIT", true, 1 },
        { "LOSS", true, 0 },  { "BWD", true, 2 }, { "LABELS", false, 3 },
    };
    static const char *const cells[] = { "ams > fra", "10 ms", "2.0 us", "3%", "9.0 ms", "site=ams" };
    struct out_table t;

    out_table_init(&t, columns, TW_NELEM(columns));
    for (size_t i = 0; i < TW_NELEM(cells); i++)
        out_cell(&t, OUT_PLAIN, "%s", cells[i]);
    out_table_fit(&t, width);
    out_table_print(&t, to, false, 0);
    out_table_print_hidden(&t, to);
    if (out_table_shows(&t, 1) != out_table_shows(&t, 4) || !out_table_shows(&t, 0))
        fail_msg("%zu wide: columns that go together do not, or one is hidden that never goes", width);
    out_table_free(&t);
}

#define ALL_NEED " left out: -o wide shows all (48 wide)\n"

static void columns_give_way(void **state)
{
    static const char whole[] = "PAIR         FWD     JIT  LOSS     BWD  LABELS\n"
                                "ams > fra  10 ms  2.0 us    3%  9.0 ms  site=ams\n";
    static const struct {
        size_t width;
        const char *text;
    } cases[] = {
        { 0, whole }, /* no terminal */
        { 48, whole },
        { 47, "PAIR         FWD  LOSS     BWD  LABELS\n"
              "ams > fra  10 ms    3%  9.0 ms  site=ams\n1 column" ALL_NEED },
        { 40, "PAIR         FWD  LOSS     BWD  LABELS\n"
              "ams > fra  10 ms    3%  9.0 ms  site=ams\n1 column" ALL_NEED },
        { 39, "PAIR       LOSS  LABELS\nams > fra    3%  site=ams\n3 columns" ALL_NEED },
        { 24, "PAIR       LOSS\nams > fra    3%\n4 columns" ALL_NEED },
        { 1, "PAIR       LOSS\nams > fra    3%\n4 columns" ALL_NEED },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        char *text = NULL;
        size_t len;
        FILE *f = open_memstream(&text, &len);
        print_fitted(f, cases[i].width);
        fclose(f);
        expect("table", text, cases[i].text);
        free(text);
    }
}

/* ---- Listings ---- */

struct thing {
    const char *name, *state;
    int64_t seen_ns;
    double seconds;
};

static void put_thing(struct out_records *r, const void *row, const void *ctx)
{
    const struct thing *t = row;

    out_text(r, "name", t->name);
    out_text(r, "state", t->state);
    out_style(r, "state", t->state && !strcmp(t->state, "down") ? OUT_BAD : OUT_PLAIN);
    out_num(r, "rtt_seconds", (struct tw_num){ t->seconds > 0, t->seconds });
    out_show(r, "BOTH", OUT_DOUBT, "%s/%s", t->name, t->state);
    out_ns(r, "seen_ns", t->seen_ns);
    out_bool(r, "good", t->seconds > 0);
    if (ctx)
        out_u64(r, "flow", 7);
    out_tree(r, "tree", cJSON_CreateArray());
}

static const struct out_col thing_columns[] = {
    { .title = "NAME", .name = "name" },
    { .title = "BOTH" },
    { .title = "RTT", .name = "rtt_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "FLOW", .name = "flow", .as = OUT_AS_COUNT, .optional = true },
    { .title = "STATE", .name = "state" },
    { .title = "SEEN", .name = "seen_ns", .as = OUT_AS_AGO },
    { .title = "AT", .name = "seen_ns", .as = OUT_AS_EXACT, .wide = true },
    { .title = "GOOD", .name = "good", .wide = true },
};
static const struct thing no_thing;
static const struct out_listing thing_listing = { .key = "things",
                                                  .columns = thing_columns,
                                                  .n_columns = TW_NELEM(thing_columns),
                                                  .put = put_thing,
                                                  .none = &no_thing };
static const struct thing things[] = { { "a", "up", 1700000000 * TW_NS_PER_S, 0.0123 },
                                       { "longer", "down", 0, 0 } };

static void print_things(FILE *to, struct out_rows rows, const void *ctx, bool wide, bool colour)
{
    struct out_records r = { .for_people = true };
    struct out_table t;

    out_listing_records(&thing_listing, &r, rows, ctx);
    out_listing_table(&thing_listing, &r, wide, 1700000030 * TW_NS_PER_S, &t);
    out_table_print(&t, to, colour, 0);
    if (!out_listing_shows(&thing_listing, &t, "BOTH") ||
        out_listing_shows(&thing_listing, &t, "good") != wide)
        fail_msg("the table does not know its columns");
    out_table_free(&t);
    out_listing_facts(&thing_listing, &r, wide, 1700000030 * TW_NS_PER_S, &t);
    if (wide)
        out_table_print(&t, to, false, 0);
    out_table_free(&t);
    out_csv_header(&r, to);
    out_csv_rows(&r, to);
    out_records_free(&r);
}

static void print_all_things(FILE *to)
{
    const struct thing *pointers[] = { &things[1] };
    int flows = 1;

    print_things(to, OUT_ROW_ARRAY(things, 2), NULL, false, false);
    print_things(to, OUT_ROW_ARRAY(things, 1), &flows, true, false);
    print_things(to, OUT_ROWS(pointers, 1), NULL, false, true);
    print_things(to, OUT_ROWS(NULL, 0), NULL, false, false);
}

/* One description: tables with and without wide columns, facts, and CSV, which has its heading without rows,
 * too. */
static void a_listing_feeds_all(void **state)
{
    char *text = printed(print_all_things);

    (void)state;
    expect("listing", text,
           "NAME    BOTH             RTT  STATE  SEEN\n"
           "a       a/up         12.3 ms  up     30 s\n"
           "longer  longer/down        -  down      -\n"
           "name,state,rtt_seconds,seen_ns,good\n"
           "a,up,0.0123,1700000000000000000,true\n"
           "longer,down,,,false\n"
           "NAME  BOTH      RTT  FLOW  STATE  SEEN  AT                        GOOD\n"
           "a     a/up  12.3 ms     7  up     30 s  2023-11-14T22:13:20.000Z  yes\n"
           "NAME   a\nBOTH   a/up\nRTT    12.3 ms\nFLOW   7\nSTATE  up\nSEEN   30 s\n"
           "AT     2023-11-14T22:13:20.000Z\nGOOD   yes\n"
           "name,state,rtt_seconds,seen_ns,good,flow\n"
           "a,up,0.0123,1700000000000000000,true,7\n"
           "\033[1mNAME\033[0m    \033[1mBOTH\033[0m         \033[1mRTT\033[0m  \033[1mSTATE\033[0m  "
           "\033[1mSEEN\033[0m\n"
           "longer  \033[33mlonger/down\033[0m    -  \033[31mdown\033[0m      -\n"
           "name,state,rtt_seconds,seen_ns,good\n"
           "longer,down,,,false\n"
           "NAME  BOTH  RTT  STATE  SEEN\n"
           "name,state,rtt_seconds,seen_ns,good\n");
    free(text);
}

/* Texts that a reader of YAML would take for something else, or that cannot stand there plainly, are quoted;
 * by the emitter, so that they come back as they were. */
static void print_yaml(FILE *to)
{
    static const char *const texts[] = { "ams",   "zürich",     "no",      "Null", "12",     "1e3",
                                         "0x1f",  "~",          "",        "a: b", "a#b",    "a #b",
                                         "- x",   "2026-11-27", "*:fra",   "x ",   "a\nb\n", "tab\tx",
                                         "\033[", "'q'\"",      "voice/ef" };
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "texts");
    const char *why;

    for (size_t i = 0; i < TW_NELEM(texts); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(texts[i]));
    cJSON_AddItemToObject(root, "raw", cJSON_CreateRaw("18446744073709551615"));
    cJSON_AddNumberToObject(root, "small", 2e-6);
    cJSON_AddTrueToObject(root, "yes");
    cJSON_AddNullToObject(root, "nothing");
    cJSON_AddItemToObject(root, "empty", cJSON_CreateArray());
    cJSON_AddItemToObject(root, "none", cJSON_CreateObject());
    assert_true(out_yaml_print(root, to, true, &why));
    assert_false(out_yaml_print(cJSON_CreateString("\xff"), to, false, &why));
    assert_non_null(strstr(why, "UTF-8"));
}

static void yaml_comes_back_as_it_was(void **state)
{
    char *text = printed(print_yaml);

    (void)state;
    expect("yaml", text,
           "---\n"
           "texts:\n"
           "- ams\n- zürich\n- 'no'\n- 'Null'\n- '12'\n- '1e3'\n- '0x1f'\n- '~'\n- ''\n- 'a: b'\n- a#b\n"
           "- 'a #b'\n- '- x'\n- '2026-11-27'\n- '*:fra'\n- 'x '\n- |\n  a\n  b\n- \"tab\\tx\"\n- \"\\e[\"\n"
           "- '''q''\"'\n- voice/ef\n"
           "raw: 18446744073709551615\nsmall: 2.0e-06\n'yes': true\nnothing: null\nempty: []\nnone: {}\n");
    free(text);
}

static void print_csv(FILE *to)
{
    char *list[] = { (char *)"a", (char *)"b, c" };
    struct out_records r = { 0 };

    for (int i = 0; i < 2; i++) {
        out_record(&r);
        out_text(&r, "plain", "x");
        out_text(&r, "odd{\"k\"}", i ? "say \"hi\", twice\nor more" : "");
        out_u64(&r, "u", UINT64_MAX);
        out_i64(&r, "i", INT64_MIN);
        out_num(&r, "n", (struct tw_num){ i == 0, 0.5 });
        out_real(&r, "inf", 1.0 / (double)(1 - i));
        out_bool(&r, "b", i);
        out_list(&r, "l", list, (size_t)i * 2);
    }
    out_csv_header(&r, to);
    out_csv_rows(&r, to);
    out_json_print(out_json_object(&r, 1), to, true);
    out_records_free(&r);
}

static void records_are_exact(void **state)
{
    char *text = printed(print_csv);

    (void)state;
    expect(
        "records", text,
        "plain,\"odd{\"\"k\"\"}\",u,i,n,inf,b,l\n"
        "x,,18446744073709551615,-9223372036854775808,0.5,1,false,\n"
        "x,\"say \"\"hi\"\", twice\nor more\",18446744073709551615,-9223372036854775808,,,true,\"a b, c\"\n"
        "{\"plain\":\"x\",\"odd{\\\"k\\\"}\":\"say \\\"hi\\\", twice\\nor more\",\"u\":18446744073709551615,"
        "\"i\":-9223372036854775808,\"n\":null,\"inf\":null,\"b\":true,\"l\":[\"a\",\"b, c\"]}\n");
    free(text);
}

/* ---- Times ---- */

/* What a terminal would obey, wherever in an answer it is. */
static void answers_command_no_terminal(void **state)
{
    char name[] = "ams\033[2J\x7f\xc2\x9b\x31m", document[] = "a: 1\r\n\tb: \r\xc3\xa9\n", reason[] = "\a";
    Tw__AgentInfo agent = TW__AGENT_INFO__INIT, *agents[] = { &agent };
    Tw__AgentListReply list = TW__AGENT_LIST_REPLY__INIT;
    Tw__MeshInfo mesh = TW__MESH_INFO__INIT;

    (void)state;
    agent.name = name;
    agent.software = reason;
    list.agents = agents;
    list.n_agents = 1;
    rpc_each_text(&list.base, out_defuse);
    assert_string_equal(name, "ams?[2J??1m");
    assert_string_equal(reason, "?");
    mesh.document = document;
    rpc_each_text(&mesh.base, out_defuse);
    assert_string_equal(document, "a: 1\r\n\tb: ?\xc3\xa9\n");
}

static void times(void **state)
{
    const int64_t now = 1700000000 * TW_NS_PER_S;
    static const struct {
        const char *text;
        int64_t ns; /* 0: refused */
    } cases[] = {
        { "now", 1700000000 * TW_NS_PER_S },
        { "-15m", 1699999100 * TW_NS_PER_S },
        { "-0", 1700000000 * TW_NS_PER_S },
        { "-1.5s", 1700000000 * TW_NS_PER_S - 1500 * TW_NS_PER_MS },
        { "1600000000", 1600000000 * TW_NS_PER_S },
        { "2023-11-14T22:13:20Z", 1700000000 * TW_NS_PER_S },
        { "2023-11-14T23:13:20+01:00", 1700000000 * TW_NS_PER_S },
        { "0", 1 }, /* not the default, which is what 0 asks for */
        { "15m", 0 },
        { "-15", 0 },
        { "-", 0 },
        { "", 0 },
        { "-100000d", 0 }, /* before 1970 */
        { "2023-11-14", 0 },
        { "yesterday", 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        int64_t ns = 0;
        filter_parse_time(cases[i].text, now, &ns);
        if (ns != cases[i].ns)
            fail_msg("\"%s\" is %lld, expected %lld", cases[i].text, (long long)ns, (long long)cases[i].ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_adapt),
        cmocka_unit_test(percents_are_honest),
        cmocka_unit_test(other_numbers),
        cmocka_unit_test(tables_align_by_width),
        cmocka_unit_test(columns_give_way),
        cmocka_unit_test(a_listing_feeds_all),
        cmocka_unit_test(yaml_comes_back_as_it_was),
        cmocka_unit_test(records_are_exact),
        cmocka_unit_test(answers_command_no_terminal),
        cmocka_unit_test(times),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
