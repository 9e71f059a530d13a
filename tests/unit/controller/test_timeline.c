/* What happened: changes of one pair, what the store knows, and the newest of too many. */
#include "tests/unit/controller/http_get.h"
#include "tests/unit/controller/json_schema.h"
#include "controller/http/api.h"
#include "controller/timeline.h"

#define HOUR (3600 * TW_NS_PER_S)

/* ---- Changes ---- */

#define TTL(low, high)                                                   \
    {                                                                    \
        .min = (low), .max = (high), .n = 10, .changes = (low) != (high) \
    }
#define PART(at, which, ttl, ...)                                           \
    {                                                                       \
        .from_ns = (at), .flow = (which), .octet = { TTL ttl }, __VA_ARGS__ \
    }

static void changes(void **state)
{
    static const struct {
        const char *name;
        struct timeline_part v[4];
        size_t n;
        const char *expect[3]; /* "at kind title" */
    } cases[] = {
        { "nothing", { PART(1, 0, (60, 60)), PART(2, 0, (60, 60)) }, 2, { NULL } },
        { "another path",
          { PART(2, 0, (58, 58)), PART(1, 0, (60, 60)) },
          2,
          { "2 ttl_change TTL forward 58" } },
        { "and back",
          { PART(1, 0, (60, 60)), PART(2, 0, (58, 60)), PART(3, 0, (60, 60)) },
          3,
          { "2 ttl_change TTL forward 58 to 60", "3 ttl_change TTL forward 60" } },
        { "flows have paths of their own",
          { PART(1, 0, (60, 60)), PART(1, 1, (58, 58)), PART(2, 0, (60, 60)), PART(2, 1, (58, 58)) },
          4,
          { NULL } },
        { "not seen for a while",
          { PART(1, 0, (60, 60)), { .from_ns = 2 }, PART(3, 0, (61, 61)) },
          3,
          { "3 ttl_change TTL forward 61" } },
        { "a step of a clock",
          { PART(1, 0, (60, 60)), PART(2, 0, (60, 60), .clock_steps = 2) },
          2,
          { "2 clock_step the clock of ams stepped" } },
        { "of the other one",
          { PART(5, 0, (60, 60), .remote_steps = 1) },
          1,
          { "5 clock_step the clock of fra stepped" } },
        { "another class",
          { { .from_ns = 1, .octet = { [2] = TTL(184, 184) } },
            { .from_ns = 2, .octet = { [2] = TTL(0, 0) } } },
          2,
          { "2 dscp_change traffic class forward 0" } },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct timeline t = {
            .pair = { .id = 1, .mesh = "m", .class_name = "c", .source = "ams", .target = "fra" }
        };
        struct timeline_part v[4];
        size_t n = 0;

        memcpy(v, cases[i].v, sizeof v);
        assert_int_equal(timeline_changes(&t, v, cases[i].n), TW_OK);
        while (n < 3 && cases[i].expect[n])
            n++;
        if (t.n != n)
            fail_msg("%s: %zu events", cases[i].name, t.n);
        for (size_t k = 0; k < n; k++) {
            char text[256];

            snprintf(text, sizeof text, "%lld %s %s", (long long)t.v[k].at_ns,
                     timeline_kind_name(t.v[k].kind), t.v[k].title);
            if (strcmp(text, cases[i].expect[k]) != 0)
                fail_msg("%s: \"%s\"", cases[i].name, text);
            assert_string_equal(t.v[k].source, "ams");
        }
        timeline_free(&t);
    }
}

/* ---- Over HTTP ---- */

struct rig {
    struct fx *f;
    struct controller c;
    struct agent agent;
    struct agent_ops ops;
    int64_t now_ns;
    struct pair *fra, *video;
};

static const struct http_route routes[] = { { .path = "/t", .help = "timeline", .fn = http_timeline } };

static void put_generation(struct rig *r, uint64_t number, int64_t ago_ns)
{
    struct store_generation g = { .number = number,
                                  .time_ns = r->now_ns - ago_ns,
                                  .author = "ops",
                                  .what = "apply voice",
                                  .reason = "more" };

    FX_OK(store_begin(r->f->store, &err));
    FX_OK(store_put_generation(r->f->store, &g, &err));
    FX_OK(store_commit(r->f->store, &err));
}

static void store_hops(struct rig *r, int64_t ago_ns, uint8_t ttl)
{
    struct tw_summary s = fx_summary(r->f, r->fra, 0, (r->now_ns - ago_ns) / FX_PERIOD * FX_PERIOD);

    s.ttl_forward = (struct tw_octet_range){ .min = ttl, .max = ttl, .n = s.received };
    fx_store(r->f, &s);
    summary_free(&s);
}

static struct rig *rig_start(void)
{
    struct rig *r = calloc(1, sizeof *r);
    struct httpd_conf hc = { .address = "127.0.0.1:0", .routes = routes, .n_routes = 1, .ctx = &r->c };

    r->f = fx_new(1, 8);
    r->now_ns = tw_wall_now().ns;
    r->fra = fx_pair(r->f, "m", "voice", "ams", "fra", 1, r->now_ns - 24 * HOUR);
    r->video = fx_pair(r->f, "m", "video", "ams", "fra", 1, r->now_ns - 24 * HOUR);
    put_generation(r, 1, 30 * HOUR);
    put_generation(r, 2, 3 * HOUR);
    store_hops(r, 2 * HOUR, 60);
    store_hops(r, HOUR, 57);
    FX_OK(store_begin(r->f->store, &err));
    FX_OK(store_agent_lost(r->f->store, "ams", r->now_ns - HOUR / 2, &err));
    FX_OK(store_agent_found(r->f->store, "ams", r->now_ns - HOUR / 4, &err));
    FX_OK(store_put_test(r->f->store,
                         &(struct store_test){ .id = 7,
                                               .started_ns = r->now_ns - HOUR / 5,
                                               .ended_ns = r->now_ns - HOUR / 6,
                                               .author = "me",
                                               .what = "ams to fra",
                                               .settings = "",
                                               .state = "done" },
                         &err));
    FX_OK(store_commit(r->f->store, &err));
    r->c.inv = r->f->inv;
    r->c.loop = hc.loop = r->f->loop;
    r->c.readers = r->f->readers;
    strcpy(r->agent.row.name, "ams");
    r->ops.n_spans = 1;
    r->ops.spans[0] = (struct agent_span){ r->now_ns - 5 * HOUR, r->now_ns - 4 * HOUR, "ops", "new disk" };
    r->agent.ops = &r->ops;
    HASH_ADD_STR(r->c.inv.agents, row.name, &r->agent);
    FX_OK(httpd_start(&hc, &r->c.http, &err));
    return r;
}

static void rig_stop(struct rig *r)
{
    httpd_stop(r->c.http);
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    HASH_CLEAR(hh, r->c.inv.agents);
    r->f->inv = r->c.inv;
    fx_free(r->f);
    free(r);
}

static cJSON *fetch_json(struct rig *r, const char *target)
{
    struct get g;
    cJSON *o;

    get_start(&g, r->f->loop, httpd_port(r->c.http), target);
    get_await(&g, r->f);
    o = cJSON_Parse(get_body(&g));
    if (g.status != 200 || !o)
        fail_msg("%s: %.400s", target, g.text);
    free(g.text);
    return o;
}

/* "kind title; ..." */
static void list(const cJSON *o, char *ret, size_t cap)
{
    const cJSON *e;
    double last = 0;

    *ret = '\0';
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(o, "events"))
    {
        size_t n = strlen(ret);
        double at = cJSON_GetObjectItemCaseSensitive(e, "at_ns")->valuedouble;

        snprintf(ret + n, cap - n, "%s%s %s", n ? "; " : "",
                 cJSON_GetObjectItemCaseSensitive(e, "kind")->valuestring,
                 cJSON_GetObjectItemCaseSensitive(e, "title")->valuestring);
        assert_true(at >= last);
        last = at;
    }
}

static void what_is_told(void **state)
{
#define AGENT "maintenance maintenance of ams; generation generation 2; "
#define DOWN "agent_down ams did not run; agent_restart ams started"
    static const struct {
        const char *target, *expect;
    } cases[] = {
        { "/t?from=-6h", AGENT DOWN "; test test 7" },
        { "/t?from=-2h", DOWN "; test test 7" },
        { "/t?from=-48h&to=-20h", "generation generation 1" },
        { "/t?from=-6h&source=fra", "generation generation 2" },
        { "/t?from=-6h&target=ams", AGENT DOWN },
        { "/t?from=-6h&source=ams&target=fra&class=voice", AGENT "ttl_change TTL forward 57; " DOWN },
        { "/t?from=-6h&source=ams&target=fra", AGENT DOWN }, /* two pairs: no changes of one */
    };
    struct rig *r = rig_start();
    size_t len;
    const char *text = api_schema_file("timeline-v1.json", &len);
    cJSON *s = cJSON_ParseWithLength(text, len);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        cJSON *o = fetch_json(r, cases[i].target);
        struct schema_error err;
        char is[1024];

        list(o, is, sizeof is);
        if (strcmp(is, cases[i].expect) != 0)
            fail_msg("%s: %s", cases[i].target, is);
        if (!schema_check(s, s, o, "$", &err))
            fail_msg("%s: %s", cases[i].target, err.text);
        cJSON_Delete(o);
    }
    cJSON_Delete(s);
    rig_stop(r);
}

static void too_many(void **state)
{
    struct rig *r = rig_start();
    cJSON *o, *events;

    (void)state;
    FX_OK(store_begin(r->f->store, &err));
    for (uint64_t i = 0; i < 3 * TIMELINE_MAX; i++)
        FX_OK(store_put_generation(
            r->f->store,
            &(struct store_generation){ .number = 10 + i,
                                        .time_ns = r->now_ns - HOUR + (int64_t)i * TW_NS_PER_MS,
                                        .author = "",
                                        .what = "x",
                                        .reason = "" },
            &err));
    FX_OK(store_commit(r->f->store, &err));
    o = fetch_json(r, "/t?from=-6h&source=nobody");
    events = cJSON_GetObjectItemCaseSensitive(o, "events");
    assert_int_equal(cJSON_GetArraySize(events), TIMELINE_MAX);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "truncated")));
    assert_int_equal(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(events, TIMELINE_MAX - 1), "number")->valueint,
        9 + 3 * TIMELINE_MAX);
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(events, 0), "number")->valueint,
                     10 + 2 * TIMELINE_MAX);
    cJSON_Delete(o);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(changes), cmocka_unit_test(what_is_told),
                                        cmocka_unit_test(too_many) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
