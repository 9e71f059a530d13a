/* One pair over time: steps and heat map are made of what is stored, each summary once, and say what
 * stats_view() says. */
#include "tests/unit/controller/http_get.h"
#include "tests/unit/controller/json_schema.h"
#include "controller/http/api.h"
#include "controller/series.h"

#define MINUTE (60 * TW_NS_PER_S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define PERIODS 60 /* stored: ten minutes */

struct rig {
    struct fx *f;
    struct controller c;
    struct pair *fra, *ber, *video;
    int64_t start_ns;
    struct tw_summary all[PERIODS];
};

static const struct http_route routes[] = { { .path = "/s", .help = "series", .fn = http_series } };

static struct rig *rig_start(uint32_t flows)
{
    struct rig *r = calloc(1, sizeof *r);
    struct httpd_conf hc = { .address = "127.0.0.1:0", .routes = routes, .n_routes = 1, .ctx = &r->c };
    int64_t since;

    r->f = fx_new(1, 8);
    r->start_ns = tw_wall_now().ns / (10 * MINUTE) * (10 * MINUTE) - 2 * HOUR;
    since = r->start_ns - DAY;
    r->fra = fx_pair(r->f, "m", "voice", "ams", "fra", flows, since);
    r->ber = fx_pair(r->f, "m", "voice", "ams", "ber", 1, since);
    r->video = fx_pair(r->f, "m", "video", "ams", "fra", 1, since);
    for (size_t i = 0; i < PERIODS; i++) {
        if (i == 30)
            continue; /* a hole */
        for (uint32_t flow = 0; flow < flows; flow++) {
            struct tw_summary s = fx_summary(r->f, r->fra, flow, r->start_ns + (int64_t)i * FX_PERIOD);

            fx_store(r->f, &s);
            if (!flow)
                summary_init(&r->all[i]);
            summary_merge(&r->all[i], &s);
            summary_free(&s);
        }
    }
    r->c.inv = r->f->inv;
    r->c.loop = hc.loop = r->f->loop;
    r->c.readers = r->f->readers;
    FX_OK(httpd_start(&hc, &r->c.http, &err));
    return r;
}

static void rig_stop(struct rig *r)
{
    httpd_stop(r->c.http);
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    for (size_t i = 0; i < PERIODS; i++)
        summary_free(&r->all[i]);
    r->f->inv = r->c.inv;
    fx_free(r->f);
    free(r);
}

static struct get fetch(struct rig *r, const char *query)
{
    static char target[512];
    struct get g;

    snprintf(target, sizeof target, "/s?%s", query);
    get_start(&g, r->f->loop, httpd_port(r->c.http), target);
    get_await(&g, r->f);
    return g;
}

/* Of fra's voice, in the ten minutes that are stored. */
static cJSON *fetch_json(struct rig *r, const char *more)
{
    char query[256];
    struct get g;
    cJSON *o;

    snprintf(query, sizeof query, "class=voice&target=fra&from=%lld&to=%lld%s",
             (long long)(r->start_ns / TW_NS_PER_S), (long long)((r->start_ns + 10 * MINUTE) / TW_NS_PER_S),
             more);
    g = fetch(r, query);
    o = cJSON_Parse(get_body(&g));
    if (g.status != 200 || !o)
        fail_msg("%s: %.400s", query, g.text);
    free(g.text);
    return o;
}

static double number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    if (!cJSON_IsNumber(v))
        fail_msg("no number %s", key);
    return v->valuedouble;
}

static const cJSON *steps_of(const cJSON *o)
{
    return cJSON_GetObjectItemCaseSensitive(o, "steps");
}

/* Members of a step are those of the merged summaries. */
static void expect_view(const cJSON *step, const struct tw_summary *s)
{
    struct stats_view v;
    cJSON *want = cJSON_CreateObject(), *parsed;
    const cJSON *item;
    char *text;

    stats_view(s, &v);
    json_stats(want, &v);
    text = cJSON_PrintUnformatted(want);
    parsed = cJSON_Parse(text);
    cJSON_ArrayForEach(item, parsed)
    {
        if (!cJSON_Compare(item, cJSON_GetObjectItemCaseSensitive(step, item->string), true))
            fail_msg("%s differs", item->string);
    }
    cJSON_free(text);
    cJSON_Delete(parsed);
    cJSON_Delete(want);
}

static void every_period(void **state)
{
    struct rig *r = rig_start(1);
    cJSON *o = fetch_json(r, "");
    const cJSON *step;
    size_t i = 0;

    (void)state;
    assert_true(number(o, "step_ns") == (double)FX_PERIOD);
    assert_int_equal(cJSON_GetArraySize(steps_of(o)), PERIODS - 1);
    cJSON_ArrayForEach(step, steps_of(o))
    {
        i += i == 30;
        assert_true(number(step, "start_ns") == (double)(r->start_ns + (int64_t)i * FX_PERIOD));
        assert_true(number(step, "end_ns") == (double)(r->start_ns + (int64_t)(i + 1) * FX_PERIOD));
        expect_view(step, &r->all[i]);
        i++;
    }
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, "flows")));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "scheduled")), 1);
    cJSON_Delete(o);
    rig_stop(r);
}

static struct tw_summary merge_of(const struct rig *r, size_t from, size_t to)
{
    struct tw_summary s;

    summary_init(&s);
    for (size_t i = from; i < to; i++)
        if (i != 30)
            summary_merge(&s, &r->all[i]);
    return s;
}

/* Whatever is rolled up by now: the numbers are the same. */
static void longer_steps(void **state)
{
    struct rig *r = rig_start(1);

    (void)state;
    for (int round = 0; round < 2; round++) {
        cJSON *o = fetch_json(r, "&points=10");
        const cJSON *step;
        bool more = true;
        size_t i = 0;

        assert_true(number(o, "step_ns") == (double)MINUTE);
        assert_int_equal(cJSON_GetArraySize(steps_of(o)), 10);
        cJSON_ArrayForEach(step, steps_of(o))
        {
            struct tw_summary s = merge_of(r, i * 6, i * 6 + 6);

            expect_view(step, &s);
            assert_true(number(step, "summaries") == (i == 5 ? 5 : 6));
            assert_string_equal(cJSON_GetObjectItemCaseSensitive(step, "level")->valuestring,
                                round ? "1min" : "raw");
            summary_free(&s);
            i++;
        }
        cJSON_Delete(o);
        while (!round && more)
            FX_OK(store_rollup(r->f->store, tw_wall_now().ns, 10000, &more, &err));
    }
    rig_stop(r);
}

static double sum_of_column(const cJSON *column, int rows)
{
    double sum = 0;

    for (int i = 0; i + 1 < cJSON_GetArraySize(column); i += 2) {
        int row = cJSON_GetArrayItem(column, i)->valueint;

        if (row < 0 || row >= rows)
            fail_msg("row %d of %d", row, rows);
        sum += cJSON_GetArrayItem(column, i + 1)->valuedouble;
    }
    return sum;
}

static void heat_map(void **state)
{
    static const char *const directions[] = { "forward", "backward", "roundtrip" };
    struct rig *r = rig_start(1);

    (void)state;
    for (size_t d = 0; d < TW_NELEM(directions); d++) {
        char more[32], key[64];
        cJSON *o, *heat, *bounds, *columns;
        const cJSON *row;
        double last = -1;
        int i = 0;

        snprintf(more, sizeof more, "&heat=%s", directions[d]);
        snprintf(key, sizeof key, "delay_%s_count", directions[d]);
        o = fetch_json(r, more);
        heat = cJSON_GetObjectItemCaseSensitive(o, "heat");
        bounds = cJSON_GetObjectItemCaseSensitive(heat, "bounds_ns");
        columns = cJSON_GetObjectItemCaseSensitive(heat, "columns");
        assert_string_equal(cJSON_GetObjectItemCaseSensitive(heat, "direction")->valuestring, directions[d]);
        assert_in_range(cJSON_GetArraySize(bounds), 10, SERIES_HEAT_ROWS);
        cJSON_ArrayForEach(row, bounds)
        {
            double low = cJSON_GetArrayItem(row, 0)->valuedouble,
                   high = cJSON_GetArrayItem(row, 1)->valuedouble;

            assert_true(low < high && low >= 0.9e6 && high < 20e6 &&
                        (last < 0 || (low > last * 0.999 && low < last * 1.001)));
            last = high;
        }
        assert_int_equal(cJSON_GetArraySize(columns), cJSON_GetArraySize(steps_of(o)));
        cJSON_ArrayForEach(row, columns)
        {
            assert_true(sum_of_column(row, cJSON_GetArraySize(bounds)) ==
                        number(cJSON_GetArrayItem(steps_of(o), i++), key));
        }
        cJSON_Delete(o);
    }
    rig_stop(r);
}

static void flows(void **state)
{
    struct rig *r = rig_start(3);
    cJSON *o = fetch_json(r, "&flows=true&points=10"), *list = cJSON_GetObjectItemCaseSensitive(o, "flows");
    const cJSON *step;
    int i = 0;

    (void)state;
    assert_int_equal(cJSON_GetArraySize(list), 3);
    cJSON_ArrayForEach(step, steps_of(o))
    {
        double lost = 0, sent = 0;

        for (int k = 0; k < 3; k++) {
            const cJSON *flow = cJSON_GetArrayItem(list, k),
                        *part = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(flow, "steps"), i);

            assert_true(number(flow, "flow") == k && number(part, "start_ns") == number(step, "start_ns"));
            lost += number(part, "lost");
            sent += number(part, "sent");
            assert_true(number(part, "delay_roundtrip_p50_seconds") > 0);
        }
        assert_true(lost == number(step, "lost") && sent == number(step, "sent"));
        i++;
    }
    cJSON_Delete(o);
    rig_stop(r);
}

static void lengths_of_steps(void **state)
{
    static const struct {
        int64_t span_ns, period_ns;
        uint32_t points;
        int64_t step_ns;
    } cases[] = {
        { HOUR, 10 * TW_NS_PER_S, 360, 10 * TW_NS_PER_S },
        { HOUR, 10 * TW_NS_PER_S, 300, 20 * TW_NS_PER_S }, /* 15 s is no whole number of periods */
        { HOUR, MINUTE, 300, MINUTE },
        { DAY, MINUTE, 300, 5 * MINUTE },
        { DAY, 7 * MINUTE, 300, 7 * MINUTE },
        { 7 * DAY, MINUTE, 300, HOUR },
        { 7 * DAY, 7 * MINUTE, 300, 35 * MINUTE }, /* an odd period: no round number */
        { 365 * DAY, MINUTE, 300, 2 * DAY },
        { HOUR, MINUTE, 1, HOUR },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        int64_t from = 20000 * DAY,
                step = series_step_ns(from, from + cases[i].span_ns, cases[i].period_ns, cases[i].points);

        if (step != cases[i].step_ns)
            fail_msg("case %zu: %lld s", i, (long long)(step / TW_NS_PER_S));
    }
    for (int64_t from = 20000 * DAY; from < 20001 * DAY;
         from += 17 * MINUTE) /* wherever it begins, there are not more */
        for (uint32_t points = 1; points < 2000; points = points * 3 + 1) {
            for (int64_t span = 5 * DAY + MINUTE; span < 40000 * DAY; span *= 11) {
                int64_t step = series_step_ns(from, from + span, MINUTE, points);

                assert_true((from + span - 1) / step - from / step + 1 <= points && step % MINUTE == 0);
            }
        }
}

static void refusals(void **state)
{
    static const struct {
        const char *query;
        unsigned status;
        const char *expect;
    } cases[] = {
        { "target=nosuch", 404, "there is no such pair" },
        { "mesh=m", 409, "3 pairs are so; say mesh, class, source and target of one" },
        { "target=fra&points=2001", 400, "expected a whole number from 1 to 2000" },
        { "target=fra&points=0", 400, "expected a whole number from 1 to 2000" },
        { "target=fra&heat=unknown", 400, "expected forward, backward or roundtrip" },
        { "target=fra&limit=1", 400,
          "known: mesh, class, source, target, from, to, flows, select, target_select, points, heat" },
        { "target=ber&from=-1h", 200, "\"steps\":[]" },
    };
    struct rig *r = rig_start(1);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct get g = fetch(r, cases[i].query);

        if (g.status != cases[i].status || !strstr(g.text, cases[i].expect))
            fail_msg("%s: %.500s", cases[i].query, g.text);
        free(g.text);
    }
    rig_stop(r);
}

static void fits_its_schema(void **state)
{
    static const char *const more[] = { "", "&points=10&flows=1", "&heat=forward" };
    struct rig *r = rig_start(2);
    size_t len;
    const char *text = api_schema_file("series-v1.json", &len);
    cJSON *s = cJSON_ParseWithLength(text, len);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(more); i++) {
        cJSON *o = fetch_json(r, more[i]);
        struct schema_error err;

        if (!schema_check(s, s, o, "$", &err))
            fail_msg("%s: %s", more[i], err.text);
        cJSON_Delete(o);
    }
    cJSON_Delete(s);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_period),    cmocka_unit_test(longer_steps),     cmocka_unit_test(heat_map),
        cmocka_unit_test(flows),           cmocka_unit_test(lengths_of_steps), cmocka_unit_test(refusals),
        cmocka_unit_test(fits_its_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
