/* The matrix over HTTP: its numbers are those of stats_view(), it fits its schema, and it is made as seldom
 * as can be. */
#include "tests/unit/controller/http_get.h"
#include "tests/unit/controller/json_schema.h"
#include "controller/events.h"
#include "controller/http/api.h"
#include "controller/matrix.h"

#define LONG_PERIOD (86400 * TW_NS_PER_S)

struct rig {
    struct fx *f;
    struct controller c;
    struct agent agents[2];
    int64_t start_ns;
    struct pair *fra, *ber, *back, *video, *other, *old;
};

static const struct http_route routes[] = { { .path = "/m", .help = "matrix", .fn = http_matrix } };

static void add_agent(struct rig *r, struct agent *a, const char *name, const char *site, bool up)
{
    static struct tw_label labels[2][2];
    struct tw_label *l = labels[a - r->agents];

    strcpy(a->row.name, name);
    a->row.approved = true;
    a->peer = up ? (struct rpc_peer *)r : NULL; /* only looked at */
    l[0] = (struct tw_label){ "role", "edge" };
    l[1] = (struct tw_label){ "site", site };
    a->labels = l;
    a->n_labels = 2;
    HASH_ADD_STR(r->c.inv.agents, row.name, a);
    name_of(names_keep(&r->c.inv.names, name))->agent = a;
}

static void publish(struct rig *r, struct pair *p, int64_t start_ns, bool synced)
{
    struct tw_summary s = fx_summary(r->f, p, 0, start_ns);

    s.clock_local.synced = synced;
    publish_summary(r->c.publish, p, &s);
    summary_free(&s);
    events_note(r->c.events, EVENT_PUBLISHED);
}

static struct rig *rig_start(void)
{
    struct rig *r = calloc(1, sizeof *r);
    struct publish_conf pc = { .inventory = &r->c.inv };
    struct httpd_conf hc = { .address = "127.0.0.1:0", .routes = routes, .n_routes = 1, .ctx = &r->c };
    struct events_conf ec = { .name = "x", .version = "1" };
    int64_t since;

    r->f = fx_new(2, 64);
    r->start_ns = (tw_wall_now().ns / FX_PERIOD - 1) * FX_PERIOD;
    since = r->start_ns - 100 * FX_PERIOD;
    r->fra = fx_pair(r->f, "m", "voice", "ams", "fra", 1, since);
    r->ber = fx_pair(r->f, "m", "voice", "ams", "ber", 1, since);
    r->back = fx_pair(r->f, "m", "voice", "fra", "ams", 1, since);
    r->video = fx_pair(r->f, "m", "video", "ams", "fra", 1, since);
    r->other = fx_pair(r->f, "k", "bulk", "fra", "ber", 1, since);
    r->old = fx_pair(r->f, "m", "voice", "ams", "old", 1, 0);
    /* A day, so that what is published stays fresh however slow the machine is. */
    r->fra->report_period_ns = r->ber->report_period_ns = r->back->report_period_ns = LONG_PERIOD;
    r->c.inv = r->f->inv;
    add_agent(r, &r->agents[0], "ams", "ams", true);
    add_agent(r, &r->agents[1], "fra", "fra", false);
    r->c.loop = pc.loop = hc.loop = ec.loop = r->f->loop;
    r->c.readers = pc.readers = r->f->readers;
    FX_OK(events_new(&ec, &r->c.events));
    FX_OK(publish_new(&pc, &r->c.publish));
    FX_OK(matrix_pages_new(&r->c, &r->c.matrix_pages));
    publish(r, r->fra, r->start_ns, true);
    publish(r, r->ber, r->start_ns - FX_PERIOD, false);
    FX_OK(httpd_start(&hc, &r->c.http, &err));
    return r;
}

static void rig_stop(struct rig *r)
{
    httpd_stop(r->c.http);
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    matrix_pages_free(r->c.matrix_pages);
    publish_free(r->c.publish);
    events_free(r->c.events);
    HASH_CLEAR(hh, r->c.inv.agents);
    r->f->inv = r->c.inv;
    fx_free(r->f);
    free(r);
}

static struct get fetch(struct rig *r, const char *target, const char *headers)
{
    struct get g;

    get_start_with(&g, r->f->loop, httpd_port(r->c.http), target, headers);
    get_await(&g, r->f);
    return g;
}

static cJSON *fetch_json(struct rig *r, const char *target)
{
    struct get g = fetch(r, target, "");
    cJSON *o = cJSON_Parse(get_body(&g));

    if (g.status != 200 || !o)
        fail_msg("%s: %u: %.300s", target, g.status, g.text);
    free(g.text);
    return o;
}

static const char *text_of(const cJSON *o, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

    return text ? text : "(null)";
}

static const char *node_name(const cJSON *o, const cJSON *cell, int at)
{
    return text_of(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, "nodes"),
                                      cJSON_GetArrayItem(cell, at)->valueint),
                   "name");
}

/* NULL: there is none. */
static const cJSON *cell_of(const cJSON *o, const char *source, const char *target)
{
    const cJSON *cell;

    cJSON_ArrayForEach(cell, cJSON_GetObjectItemCaseSensitive(o, "cells"))
    {
        if (!strcmp(node_name(o, cell, 0), source) && !strcmp(node_name(o, cell, 1), target))
            return cell;
    }
    return NULL;
}

static int n_cells(const cJSON *o)
{
    return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "cells"));
}

static bool is(const cJSON *cell, int at, struct tw_num n)
{
    const cJSON *v = cJSON_GetArrayItem(cell, at);

    return n.known ? cJSON_IsNumber(v) && v->valuedouble == n.value : cJSON_IsNull(v);
}

static void has_the_numbers(struct rig *r, enum cell_metric m)
{
    char target[64];
    const cJSON *cell;
    const struct stats_view *v = publish_view(r->fra);
    cJSON *o;

    snprintf(target, sizeof target, "/m?mesh=m&class=voice&metric=%s", cell_metric_name(m));
    o = fetch_json(r, target);
    cell = cell_of(o, "ams", "fra");
    assert_non_null(cell);
    assert_string_equal(cJSON_GetArrayItem(cell, 2)->valuestring, tw_status_name(v->status));
    assert_true(cJSON_IsNull(cJSON_GetArrayItem(cell, 3)));
    for (enum tw_direction d = TW_FORWARD; d < CELL_DIRECTIONS; d++)
        if (!is(cell, 4 + (int)d, cell_number(m, v, d)))
            fail_msg("%s: %s is not the number of stats_view()", target, tw_direction_name(d));
    assert_int_equal(cJSON_GetArrayItem(cell, 11)->valueint, 0);
    cell = cell_of(o, "ams", "ber"); /* its clock is not synchronised */
    assert_int_equal(cJSON_GetArrayItem(cell, 11)->valueint & MATRIX_WITHHELD,
                     m == CELL_P50 || m == CELL_P95 || m == CELL_P99);
    cell = cell_of(o, "fra", "ams"); /* its agent is not there */
    assert_string_equal(cJSON_GetArrayItem(cell, 2)->valuestring, "agent_down");
    for (int i = 3; i < 11; i++)
        assert_true(cJSON_IsNull(cJSON_GetArrayItem(cell, i)));
    assert_int_equal(n_cells(o), 3);
    cJSON_Delete(o);
}

static void same_numbers(void **state)
{
    struct rig *r = rig_start();

    (void)state;
    r->c.started_ns = 1;
    for (enum cell_metric m = 0; m < CELL_METRICS; m++)
        has_the_numbers(r, m);
    rig_stop(r);
}

static cJSON *schema(void)
{
    size_t len;
    const char *text = api_schema_file("matrix-v1.json", &len);

    return cJSON_ParseWithLength(text, len);
}

static void fits_its_schema(void **state)
{
    static const char *const targets[] = { "/m",
                                           "/m?mesh=nosuch",
                                           "/m?metric=p95",
                                           "/m?select=site%3Dams",
                                           "/m?mesh=k&metric=jitter",
                                           "/m?mesh=m&at=-1h" };
    struct rig *r = rig_start();
    cJSON *s = schema();

    (void)state;
    for (size_t i = 0; i < TW_NELEM(targets); i++) {
        cJSON *o = fetch_json(r, targets[i]);
        struct schema_error err;

        if (!schema_check(s, s, o, "$", &err))
            fail_msg("%s: %s", targets[i], err.text);
        cJSON_Delete(o);
    }
    cJSON_Delete(s);
    rig_stop(r);
}

static void what_is_chosen(void **state)
{
    static const struct {
        const char *target, *mesh, *class_name;
        int cells;
    } cases[] = {
        { "/m", "k", "bulk", 1 },
        { "/m?mesh=m", "m", "video", 1 },
        { "/m?class=voice", "m", "voice", 3 },
        { "/m?mesh=m&class=voice", "m", "voice", 3 },
        { "/m?mesh=m&class=voice&select=site%3Dams", "m", "voice", 2 },
        { "/m?mesh=m&class=voice&target_select=site%3Dams", "m", "voice", 1 },
        { "/m?mesh=m&class=voice&select=site%3Dnowhere", "m", "voice", 0 },
        { "/m?mesh=nosuch", "nosuch", "(null)", 0 },
        { "/m?mesh=k&class=voice", "k", "voice", 0 },
    };
    struct rig *r = rig_start();

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        cJSON *o = fetch_json(r, cases[i].target);
        char *choices = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, "choices"));

        if (strcmp(text_of(o, "mesh"), cases[i].mesh) != 0 ||
            strcmp(text_of(o, "class"), cases[i].class_name) != 0 || n_cells(o) != cases[i].cells)
            fail_msg("%s: %s %s, %d cells", cases[i].target, text_of(o, "mesh"), text_of(o, "class"),
                     n_cells(o));
        assert_string_equal(
            choices,
            "[{\"mesh\":\"k\",\"classes\":[\"bulk\"]},{\"mesh\":\"m\",\"classes\":[\"video\",\"voice\"]}]");
        cJSON_free(choices);
        cJSON_Delete(o);
    }
    rig_stop(r);
}

static void bad_queries(void **state)
{
    static const struct {
        const char *target, *expect;
    } cases[] = {
        { "/m?metric=p90", "expected loss, p50, p95, p99 or jitter" },
        { "/m?source=a", "known: mesh, class, at, select, target_select, metric" },
        { "/m?select=x%3D", "expected a selector" },
        { "/m?mesh=m&mesh=k", "given twice" },
    };
    struct rig *r = rig_start();

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct get g = fetch(r, cases[i].target, "");

        if (g.status != 400 || !strstr(g.text, cases[i].expect))
            fail_msg("%s: %.400s", cases[i].target, g.text);
        free(g.text);
    }
    rig_stop(r);
}

static uint64_t built(const struct rig *r)
{
    struct matrix_counters n;

    matrix_pages_counters(r->c.matrix_pages, &n);
    return n.built;
}

static void nodes_and_age(void **state)
{
    struct rig *r = rig_start();
    cJSON *o = fetch_json(r, "/m?class=voice"), *labels;
    const cJSON *n, *ams = NULL, *ber = NULL;

    (void)state;
    cJSON_ArrayForEach(n, cJSON_GetObjectItemCaseSensitive(o, "nodes"))
    {
        if (!strcmp(text_of(n, "name"), "ams"))
            ams = n;
        if (!strcmp(text_of(n, "name"), "ber"))
            ber = n;
    }
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "nodes")), 3);
    assert_string_equal(text_of(ams, "state"), "up");
    assert_string_equal(text_of(ber, "state"), "target");
    labels = cJSON_GetObjectItemCaseSensitive(ams, "labels");
    assert_string_equal(text_of(labels, "site"), "ams");
    assert_string_equal(text_of(labels, "role"), "edge");
    assert_true(cJSON_GetObjectItemCaseSensitive(o, "at_ns")->valuedouble ==
                (double)(r->start_ns + FX_PERIOD));
    assert_true(cJSON_GetObjectItemCaseSensitive(o, "age_s")->valuedouble >= 0);
    assert_true(cJSON_GetObjectItemCaseSensitive(o, "period_ns")->valuedouble == (double)LONG_PERIOD);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "live")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, "levels")));
    cJSON_Delete(o);
    rig_stop(r);
}

static void etag_of(const struct get *g, char *ret, size_t cap)
{
    const char *at = strstr(g->text, "\r\nETag: ");

    assert_non_null(at);
    snprintf(ret, cap, "If-None-Match: %.*s\r\n", (int)strcspn(at + 8, "\r"), at + 8);
}

static void made_when_something_is_new(void **state)
{
    struct rig *r = rig_start();
    char header[128], again[128];
    struct get g;

    (void)state;
    g = fetch(r, "/m?class=voice", "");
    etag_of(&g, header, sizeof header);
    free(g.text);
    assert_int_equal(built(r), 1);
    g = fetch(r, "/m?class=voice", header);
    assert_int_equal(g.status, 304);
    assert_string_equal(get_body(&g), "");
    free(g.text);
    assert_int_equal(built(r), 1); /* it was there */
    free(fetch(r, "/m?class=voice&metric=p95", "").text);
    assert_int_equal(built(r), 2);
    publish(r, r->fra, r->start_ns + FX_PERIOD, true);
    fx_run_until_ns(r->f, 1100 * TW_NS_PER_MS); /* without listeners once a second does */
    g = fetch(r, "/m?class=voice", header);
    assert_int_equal(g.status, 200);
    etag_of(&g, again, sizeof again);
    assert_string_not_equal(header, again);
    free(g.text);
    assert_int_equal(built(r), 3);
    rig_stop(r);
}

static void store_period(struct rig *r, const struct pair *p, int64_t start_ns, struct stats_view *ret)
{
    struct tw_summary s = fx_summary(r->f, p, 0, start_ns);

    fx_store(r->f, &s);
    stats_view(&s, ret);
    summary_free(&s);
}

static cJSON *fetch_at(struct rig *r, int64_t at_ns, const char *more)
{
    char target[128];

    snprintf(target, sizeof target, "/m?mesh=m&class=voice&at=%lld%s", (long long)(at_ns / TW_NS_PER_S),
             more);
    return fetch_json(r, target);
}

static void expect_past(struct rig *r, int64_t at_ns, enum cell_metric m, const struct stats_view *fra,
                        const struct stats_view *old)
{
    char more[32];
    const cJSON *cell;
    cJSON *o;

    snprintf(more, sizeof more, "&metric=%s", cell_metric_name(m));
    o = fetch_at(r, at_ns, more);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(o, "live")));
    assert_int_equal(n_cells(o), 4);
    for (enum tw_direction d = TW_FORWARD; d < CELL_DIRECTIONS; d++) {
        assert_true(is(cell_of(o, "ams", "fra"), 4 + (int)d, cell_number(m, fra, d)));
        assert_true(
            is(cell_of(o, "ams", "old"), 4 + (int)d, cell_number(m, old, d))); /* it is scheduled no more */
    }
    cell = cell_of(o, "ams", "ber");
    assert_string_equal(cJSON_GetArrayItem(cell, 2)->valuestring, "no_data");
    assert_true(cJSON_IsNull(cJSON_GetArrayItem(cell, 4)));
    assert_string_equal(cJSON_GetArrayItem(cell_of(o, "fra", "ams"), 2)->valuestring, "agent_down");
    cJSON_Delete(o);
}

static void the_past(void **state)
{
    struct rig *r = rig_start();
    int64_t then = (r->start_ns / (60 * TW_NS_PER_S) - 10) * (60 * TW_NS_PER_S);
    struct stats_view fra, old, later;
    bool more = true;
    cJSON *o;

    (void)state;
    r->fra->report_period_ns = r->ber->report_period_ns = r->back->report_period_ns = FX_PERIOD;
    store_period(r, r->fra, then, &fra);
    store_period(r, r->old, then, &old);
    store_period(r, r->fra, then + FX_PERIOD, &later);
    FX_OK(store_begin(r->f->store, &err));
    FX_OK(store_agent_lost(r->f->store, "fra", then - FX_PERIOD, &err));
    FX_OK(store_commit(r->f->store, &err));
    for (enum cell_metric m = 0; m < CELL_METRICS; m++)
        expect_past(r, then + FX_PERIOD + 3 * TW_NS_PER_S, m, &fra, &old);
    o = fetch_at(r, then + 2 * FX_PERIOD, "");
    assert_true(is(cell_of(o, "ams", "fra"), 6, later.loss_ratio));
    assert_string_equal(text_of(o, "level"), "raw");
    assert_null(cell_of(o, "ams", "old"));
    cJSON_Delete(o);
    o = fetch_at(r, then - 20 * 60 * TW_NS_PER_S, ""); /* before any of them was scheduled */
    assert_int_equal(n_cells(o), 0);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, "at")));
    cJSON_Delete(o);
    while (more)
        FX_OK(store_rollup(r->f->store, tw_wall_now().ns, 10000, &more, &err));
    expect_past(r, then + FX_PERIOD + 3 * TW_NS_PER_S, CELL_P95, &fra,
                &old); /* a shorter period than a cell: still of itself */
    rig_stop(r);
}

/* All who ask while one is being made get that one. */
static void many_at_once(void **state)
{
    enum { N = 30 };
    struct rig *r = rig_start();
    struct get g[N];

    (void)state;
    for (size_t i = 0; i < N; i++)
        get_start(&g[i], r->f->loop, httpd_port(r->c.http), "/m?class=voice");
    for (size_t i = 0; i < N; i++) {
        get_await(&g[i], r->f);
        assert_int_equal(g[i].status, 200);
        free(g[i].text);
    }
    assert_int_equal(built(r), 1);
    rig_stop(r);
}

/* However many selections there are, few are kept. */
static void bounded(void **state)
{
    struct rig *r = rig_start();
    struct matrix_counters n;
    uint64_t one;

    (void)state;
    free(fetch(r, "/m?class=voice&select=k%3D100", "").text);
    matrix_pages_counters(r->c.matrix_pages, &n);
    one = n.bytes;
    assert_true(one > 300);
    for (int i = 101; i < 120; i++) {
        char target[64];

        snprintf(target, sizeof target, "/m?class=voice&select=k%%3D%d", i);
        free(fetch(r, target, "").text);
    }
    matrix_pages_counters(r->c.matrix_pages, &n);
    assert_int_equal(n.built, 20);
    assert_true(n.bytes <= 17 * one && n.bytes >= 10 * one);
    rig_stop(r);
}

/* Stopping while some are being made, and many wait. */
static void stops_while_it_is_made(void **state)
{
    enum { N = 12 };
    struct rig *r = rig_start();
    struct get g[N];
    char target[N][64];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        snprintf(target[i], sizeof target[i], "/m?class=voice&select=k%%3D%zu", i / 3);
        get_start(&g[i], r->f->loop, httpd_port(r->c.http), target[i]);
    }
    fx_run_until_ns(r->f, 3 * TW_NS_PER_MS);
    httpd_stop(r->c.http);
    r->c.http = NULL;
    for (size_t i = 0; i < N; i++)
        pthread_join(g[i].thread, NULL);
    rig_stop(r); /* what is being made finds nobody to answer */
    for (size_t i = 0; i < N; i++)
        free(g[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_numbers),           cmocka_unit_test(fits_its_schema),
        cmocka_unit_test(what_is_chosen),         cmocka_unit_test(bad_queries),
        cmocka_unit_test(nodes_and_age),          cmocka_unit_test(made_when_something_is_new),
        cmocka_unit_test(many_at_once),           cmocka_unit_test(bounded),
        cmocka_unit_test(stops_while_it_is_made), cmocka_unit_test(the_past),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
