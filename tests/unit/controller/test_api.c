/* Every route over HTTP: status, numbers, and that answers match the published schemas. */
#include <sqlite3.h>
#include "tests/unit/controller/http_get.h"
#include "tests/unit/controller/json_schema.h"
#include "common/loss_runs.h"
#include "controller/alerts.h"
#include "controller/flight.h"
#include "controller/http/api.h"
#include "controller/http/export.h"
#include "controller/http/page.h"
#include "controller/http/login.h"
#include "controller/registry.h"
#include "controller/http/pb_json.h"

/* ---- Stand-ins for the rest of the controller ---- */

static const char *problem, *warning;

/* Its methods over HTTP: tests/system/test_api.py. */
Tw__Admin_Service *admin_service(struct controller *c)
{
    (void)c;
    return NULL;
}

/* Nor logins: tests/system/test_login.py. */
void http_login(void *ctx, struct http_req *rq)
{
    (void)ctx;
    http_answer_error(rq, 503, "not here");
}

void http_logout(void *ctx, struct http_req *rq)
{
    http_login(ctx, rq);
}

void http_whoami(void *ctx, struct http_req *rq)
{
    http_login(ctx, rq);
}

/* There are no alerts here: tests/unit/controller/test_matrix.c, tests/system/test_api.py. */
struct alert_engine *alerts_engine(struct alerts *a)
{
    (void)a;
    return NULL;
}

const struct alert_rules *alerts_rules(const struct alerts *a)
{
    (void)a;
    return NULL;
}

struct alert_subject alerts_subject(struct alerts *a, const struct pair *p)
{
    (void)a;
    (void)p;
    return (struct alert_subject){ 0 };
}

size_t controller_problems(struct controller *c, const char **ret, size_t cap)
{
    (void)c;
    assert_true(cap > 0);
    ret[0] = problem;
    return problem ? 1 : 0;
}

size_t registry_rows(const struct registry *r, const struct registry_row **ret)
{
    (void)r;
    *ret = NULL;
    return 0;
}

size_t controller_warnings(struct controller *c, const char **ret, size_t cap)
{
    (void)c;
    assert_true(cap > 0);
    ret[0] = warning;
    return warning ? 1 : 0;
}

void controller_fill_agent(const struct controller *c, const struct agent *a, struct arena *ar,
                           Tw__AgentInfo *ret)
{
    static char empty[] = "", up[] = "up", print[] = "00:ff", address[] = "192.0.2.1", why[] = "too \"many\"";
    static char *addresses[] = { address };
    static Tw__Label label = TW__LABEL__INIT, *labels[] = { &label };
    static Tw__Refusal refusal = TW__REFUSAL__INIT, *refusals[] = { &refusal };
    static Tw__AgentMark mark = TW__AGENT_MARK__INIT;
    static Tw__AgentSpan span = TW__AGENT_SPAN__INIT, *spans[] = { &span };
    static Tw__AgentLimits limits = TW__AGENT_LIMITS__INIT;
    static Tw__ClockFinding finding = TW__CLOCK_FINDING__INIT;

    (void)ar;
    mark.time_ns = span.from_ns = INT64_C(1700000000000000000);
    mark.reason = why;
    finding.verdict = (char *)"offset";
    limits.max_pps = 1000;
    ret->drained = ret->revoked = &mark;
    ret->maintenance = spans;
    ret->n_maintenance = 1;
    ret->in_maintenance = true;
    ret->limits = &limits;
    ret->clock = &finding;
    label.key = up;
    label.value = print;
    refusal.reason = why;
    ret->name = (char *)(uintptr_t)a->row.name;
    ret->state = up;
    ret->fingerprint = print;
    ret->software = ret->peer_address = empty;
    ret->addresses = addresses;
    ret->labels = labels;
    ret->refusals = refusals;
    ret->n_addresses = ret->n_labels = ret->n_refusals = 1;
    ret->generation_wanted = c->inv.generation;
    ret->last_contact_ns = INT64_C(1700000000123456789);
    ret->health = a->health;
}

static struct flight_query flight_asked;
static const struct pair *flight_pair;

/* One probe of each kind, and a frozen part; unless nobody is there. */
void flight_fetch(struct controller *c, const struct flight_query *q,
                  void (*done)(void *ctx, const struct flight_result *r), void *ctx)
{
    static char reason[] = "3 \"lost\"";
    Tw__FlightReply reply = TW__FLIGHT_REPLY__INIT;
    Tw__FlightFlow flow = TW__FLIGHT_FLOW__INIT, *flows[] = { &flow };
    Tw__FlightRecord m[2] = { TW__FLIGHT_RECORD__INIT, TW__FLIGHT_RECORD__INIT }, *list[] = { &m[0], &m[1] };
    Tw__FlightFrozen part = TW__FLIGHT_FROZEN__INIT, *parts[] = { &part };
    struct flight_result r = { .pair = flight_pair, .from_ns = 1, .at_ns = 2, .to_ns = 3, .reply = &reply };

    (void)c;
    flight_asked = *q;
    m[0] = (Tw__FlightRecord){ m[0].base,
                               .seq = 7,
                               .fate = TW__FLIGHT_FATE__FLIGHT_FATE_RECEIVED,
                               .t1_ns = INT64_C(1700000000123456789),
                               .timed = true,
                               .forward_ns = -1000,
                               .backward_ns = 3000,
                               .residence_ns = 500,
                               .duplicates = 1,
                               .ttl_forward = 60,
                               .tos_backward = 1,
                               .tx_source = 1,
                               .rx_source = 3 };
    m[1].fate = TW__FLIGHT_FATE__FLIGHT_FATE_LOST;
    m[1].way = TW__FLIGHT_WAY__FLIGHT_WAY_BACKWARD;
    flow.flow = 4;
    flow.n_records = 2;
    flow.records = list;
    part.reason = reason;
    part.cause = TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN;
    reply.n_flows = reply.n_frozen = 1;
    reply.flows = flows;
    reply.frozen = parts;
    if (!strcmp(q->pairs.target, "fra"))
        done(ctx, &r);
    else
        done(ctx, &(struct flight_result){ .status = TW__STATUS__STATUS_NOT_FOUND, .text = "no such pair" });
}

void flight_list(struct controller *c, const struct report_filter *f,
                 void (*done)(void *ctx, const struct flight_rows *r), void *ctx)
{
    struct flight_row rows[] = {
        { .agent = "ams", .pair_id = flight_pair->row.id, .id = 9, .probes = 5, .lost = 3 },
        { .agent = "ams", .pair_id = 4711 },
        { .agent = "ber", .error = "not connected" }
    };

    (void)c;
    (void)f;
    done(ctx, &(struct flight_rows){ .rows = rows, .n = 3 });
}

/* ---- Rig ---- */

struct rig {
    struct fx *f;
    struct controller c;
    struct pair *fra, *ber, *off;
    struct mesh_state mesh;
    struct agent agent;
    int64_t start_ns;
};

static struct rig *rig_new(void)
{
    static const struct tw_label site[] = { { "site", "ams" } };
    struct rig *r = calloc(1, sizeof *r);
    struct publish_conf pc = { .inventory = &r->c.inv, .page_interval_ns = 1 };
    struct httpd_conf hc = {
        .address = "127.0.0.1:0", .routes = controller_routes, .n_routes = controller_routes_n, .ctx = &r->c,
        .index = "/api/v1"
    };
    struct tw_summary s;

    r->f = fx_new(2, 20);
    r->start_ns = (tw_wall_now().ns / FX_PERIOD - 5) * FX_PERIOD;
    r->fra = fx_pair(r->f, "m", "voice", "ams", "fra", 1, r->start_ns - FX_PERIOD);
    r->ber = fx_pair(r->f, "m", "voice", "ams", "ber", 1, r->start_ns - FX_PERIOD);
    r->off = fx_pair(r->f, "m", "voice", "ams", "old", 1, 0);
    r->c.inv = r->f->inv;
    r->c.inv.generation = 7;
    strcpy(r->mesh.row.name, "m");
    HASH_ADD_STR(r->c.inv.meshes, row.name, &r->mesh);
    strcpy(r->agent.row.name, "ams");
    r->agent.row.approved = true;
    r->agent.audit.known = true;
    r->agent.audit.host.component_hosts = 1;
    r->agent.labels = (struct tw_label *)site;
    r->agent.n_labels = 1;
    HASH_ADD_STR(r->c.inv.agents, row.name, &r->agent);
    r->c.loop = pc.loop = hc.loop = r->f->loop;
    r->c.readers = pc.readers = r->f->readers;
    FX_OK(publish_new(&pc, &r->c.publish));
    FX_OK(clocks_new(r->c.loop, &r->c.inv, r->c.readers, &r->c.clocks));
    s = fx_summary(r->f, r->fra, 0, r->start_ns);
    fx_store(r->f, &s);
    publish_summary(r->c.publish, r->fra, &s);
    summary_free(&s);
    FX_OK(page_new(NULL, false, &r->c.page, &err));
    FX_OK(httpd_start(&hc, &r->c.http, &err));
    return r;
}

static void rig_free(struct rig *r)
{
    httpd_stop(r->c.http);
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    page_free(r->c.page);
    clocks_free(r->c.clocks);
    publish_free(r->c.publish);
    HASH_CLEAR(hh, r->c.inv.meshes);
    HASH_CLEAR(hh, r->c.inv.agents);
    fx_free(r->f);
    free(r);
}

static struct get fetch(struct rig *r, const char *target)
{
    struct get g;

    get_start(&g, r->f->loop, httpd_port(r->c.http), target);
    get_await(&g, r->f);
    return g;
}

/* docs/schema/NAME-v1.json */
static cJSON *read_schema(const char *name)
{
    char path[256], *text = calloc(1, 1 << 20);
    cJSON *schema;
    FILE *f;

    snprintf(path, sizeof path, "%s/docs/schema/%s-v1.json", TW_SOURCE_DIR, name);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    schema = cJSON_Parse(text);
    assert_non_null(schema);
    free(text);
    return schema;
}

/* The parsed answer, checked against its schema. */
static cJSON *fetch_json(struct rig *r, const char *target, const char *name)
{
    struct get g = fetch(r, target);
    cJSON *json = cJSON_Parse(get_body(&g)), *schema = read_schema(name);
    struct schema_error why = { "" };

    if (g.status != 200 || !json)
        fail_msg("%s: %.500s", target, g.text);
    if (!schema_check(schema, schema, json, "", &why))
        fail_msg("%s: %s in\n%.2000s", target, why.text, get_body(&g));
    cJSON_Delete(schema);
    free(g.text);
    return json;
}

static const cJSON *at(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* ---- Tests ---- */

static void statuses(void **state)
{
    static const struct {
        const char *target;
        unsigned status;
        const char *has;
    } cases[] = {
        { "/", 200, "<title>" },
        { "/api/v1", 200, "/api/v1/summaries" },
        { "/nosuch", 404, "no such path; /api/v1 lists what there is" },
        { "/healthz", 200, "ok\n" },
        { "/readyz", 200, "{\"ready\":true,\"problems\":[],\"warnings\":[]}" },
        { "/metrics", 200,
          "twamp_probes_sent_total{mesh=\"m\",class=\"voice\",source=\"ams\",target=\"fra\"} 100" },
        { "/metrics?level=mesh", 200, "twamp_mesh_probes_sent_total{mesh=\"m\",class=\"voice\"} 100" },
        { "/metrics?level=mesh,agent&level=pair&mesh=m", 200, "text/plain; version=0.0.4" },
        { "/metrics?level=site", 200, "twamp_site_pairs{mesh=\"m\",class=\"voice\"" },
        { "/metrics?level=area", 400, "level \\\"area\\\" is unknown" },
        { "/metrics?level=twampy", 200, "twampy_result_total{mesh=\"m\",class=\"voice\"" },
        { "/metrics?format=openmetrics", 200, "\n# EOF\n" },
        { "/metrics?format=openmetrics", 200, "Content-Type: application/openmetrics-text; version=1.0.0" },
        { "/metrics?format=protobuf", 200, "Content-Type: application/vnd.google.protobuf; proto=io" },
        { "/metrics?format=xml", 400, "expected text, openmetrics or protobuf" },
        { "/metrics?mesh=x", 404, "no mesh \\\"x\\\"" },
        { "/metrics?mesh=m&mesh=m", 400, "given twice" },
        { "/metrics?lvl=1", 400, "known: level, mesh, format" },
        { "/api/v1/sd", 200,
          "{\"targets\":[\"test.example:8080\"],\"labels\":{\"__metrics_path__\":\"/"
          "metrics\",\"__param_mesh\":\"m\","
          "\"instance\":\"test.example:8080/m\"}}]" },
        { "/api/v1/sd", 200,
          "[{\"targets\":[\"test.example:8080\"],\"labels\":{\"__metrics_path__\":\"/"
          "metrics\",\"__param_level\":\"fleet\"," },
        { "/metrics?level=fleet", 200, "twamp_agents" },
        { "/api/v1/sd?x=1", 400, "unknown parameter \\\"x\\\"; known: none" },
        { "/api/v1/agents?x=1", 400, "known: select" },
        { "/api/v1/agents?select=site%3Dams", 200, "\"name\":\"ams\"" },
        { "/api/v1/agents?select=site%3Dfra", 200, "\"agents\":[]" },
        { "/api/v1/agents?select=site%3D", 400, "\\\"select\\\" is \\\"site=\\\"; expected a selector of labels" },
        { "/api/v1/clock?x=1", 400, "known: select" },
        { "/api/v1/clock?select=name%3Dams", 200, "\"name\":\"ams\"" },
        { "/api/v1/clock?select=site%21%3Dams", 200, "\"agents\":[]" },
        { "/api/v1/pairs?from=1", 400, "known: mesh, class, source, target, limit" },
        { "/api/v1/summaries?latest=1", 400, "known: mesh, class, source, target, from, to, limit" },
        { "/api/v1/report?latest=1&from=-1h", 400, "goes without" },
        { "/api/v1/report?min_probes=1", 400, "unknown parameter" },
        { "/api/v1/outages?x=1", 400,
          "known: mesh, class, source, target, from, to, limit, min_probes, min_duration, direction" },
        { "/api/v1/outages?min_probes=0", 400, "expected a whole number of lost probes, 1 or more" },
        { "/api/v1/outages?min_probes=-1", 400, "expected a whole number of lost probes, 1 or more" },
        { "/api/v1/outages?min_duration=200", 400, "expected a duration such as 200ms" },
        { "/api/v1/outages?direction=roundtrip", 400, "expected forward, backward, mixed or unknown" },
        { "/api/v1/outages?direction=mixed", 200, "\"outages\":[]" },
        { "/api/v1/report?flows=2", 400, "\\\"flows\\\" is \\\"2\\\"; expected 0, 1, false or true" },
        { "/api/v1/report?from=yesterday", 400, "\\\"from\\\" is \\\"yesterday\\\"; expected a time" },
        { "/api/v1/report?mesh=%22%3Cx%3E%c3", 200, "\"pairs\":[]" },
        { "/api/v1/report?by=source", 200, "\"groups\":[{\"key\":\"ams\",\"pairs\":2," },
        { "/api/v1/report?by=label%3Asite", 200, "\"group_by\":\"label:site\"" },
        { "/api/v1/report?by=colour", 400, "expected pair, source, target, agent, mesh, class or label:KEY" },
        { "/api/v1/report?sort=speed", 400, "is no number of a report" },
        { "/api/v1/report?sort=loss_ratio&top=1", 200, "\"target\":\"fra\"" },
        { "/api/v1/report?top=0", 400, "expected a whole number from 1 to 100000" },
        { "/api/v1/report?format=xml", 400, "expected json, csv, ndjson or html" },
        { "/api/v1/report?format=csv", 200, "Content-Type: text/csv; charset=utf-8" },
        { "/api/v1/report?format=csv&by=mesh", 200, "\nm,2," },
        { "/api/v1/report?format=ndjson", 200, "Content-Type: application/x-ndjson" },
        { "/api/v1/report?format=html", 200, "default-src 'none'" },
        { "/api/v1/report?format=html&limit=10001", 400, "10000 rows at most: narrow it with mesh" },
        { "/api/v1/report?before_from=-3h&before_to=-2h", 200, "\"change\":{\"loss_ratio\":{" },
        { "/api/v1/report?before_from=-2h&before_to=-3h", 400, "must be before" },
    };
    struct rig *r = rig_new();

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct get g = fetch(r, cases[i].target);
        if (g.status != cases[i].status || !strstr(g.text, cases[i].has))
            fail_msg("%s: expected %u with %s, is\n%.1500s", cases[i].target, cases[i].status, cases[i].has,
                     g.text);
        free(g.text);
    }
    problem = "the disk is full";
    warning = "it fills";
    struct get g = fetch(r, "/readyz");
    if (g.status != 503 || !strstr(g.text, "{\"ready\":false,\"problems\":[\"the disk is full\"],\"warnings\":[\"it fills\"]}"))
        fail_msg("%s", g.text);
    problem = warning = NULL;
    free(g.text);
    rig_free(r);
}

/* The value of a column in the line that begins with `row`. */
static double csv_number(const char *csv, const char *row, const char *column)
{
    const char *line = strstr(csv, row), *name = csv;
    int at = 0;

    for (; strncmp(name, column, strlen(column)) != 0 || !strchr(",\n", name[strlen(column)]); at++) {
        name = strchr(name, ',');
        assert_true(name && name < strchr(csv, '\n'));
        name++;
    }
    assert_non_null(line);
    for (line++; at--; line++)
        assert_non_null(line = strchr(line, ','));
    return strtod(line, NULL);
}

/* Of one pair, in JSON, NDJSON, CSV, and on the page as far as it shows them; the metrics are of the same view. */
static void every_format_has_the_same_numbers(void **state)
{
    static const char *const names[] = { "sent", "lost", "loss_ratio", "delay_roundtrip_p99_seconds", "mos_g711",
                                         "delay_forward_mean_seconds" };
    struct rig *r = rig_new();
    cJSON *json = fetch_json(r, "/api/v1/report?from=-10m&target=fra", "report"),
          *groups = fetch_json(r, "/api/v1/report?from=-10m&target=fra&by=target", "report-groups");
    struct get csv = fetch(r, "/api/v1/report?from=-10m&target=fra&format=csv"),
               lines = fetch(r, "/api/v1/report?from=-10m&target=fra&format=ndjson"),
               html = fetch(r, "/api/v1/report?from=-10m&target=fra&format=html");
    cJSON *line = cJSON_Parse(get_body(&lines));
    const cJSON *pair = cJSON_GetArrayItem(at(json, "pairs"), 0), *group = cJSON_GetArrayItem(at(groups, "groups"), 0);
    char shown[64];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(names); i++) {
        double v = at(pair, names[i])->valuedouble;
        if (at(line, names[i])->valuedouble != v || at(group, names[i])->valuedouble != v ||
            csv_number(get_body(&csv), "\nm,voice,ams,fra,", names[i]) != v)
            fail_msg("%s: %.17g\n%s", names[i], v, get_body(&csv));
    }
    assert_true(at(pair, "delay_roundtrip_p99_seconds")->valuedouble ==
                publish_view(r->fra)->delay[TW_ROUNDTRIP].p99_s.value);
    snprintf(shown, sizeof shown, "<td>%.3f ms</td>", 1e3 * at(pair, "delay_roundtrip_p99_seconds")->valuedouble);
    assert_non_null(strstr(html.text, shown));
    cJSON_Delete(json);
    cJSON_Delete(groups);
    cJSON_Delete(line);
    free(csv.text);
    free(lines.text);
    free(html.text);
    json = fetch_json(r, "/api/v1/report?from=-10m&before_from=-20m&before_to=-10m", "report");
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/report?by=mesh&before_from=-20m&before_to=-10m", "report-groups");
    cJSON_Delete(json);
    rig_free(r);
}

/* ---- Answers of any length ---- */

#define MANY 300

/* In the past of all others. */
static void store_many(struct rig *r)
{
    for (int64_t n = 1; n <= MANY; n++) {
        struct tw_summary s = fx_summary(r->f, r->fra, 0, r->start_ns - (1000 + n) * FX_PERIOD);
        fx_store(r->f, &s);
        summary_free(&s);
    }
}

static size_t count_lines(const char *text, const char *begins)
{
    size_t n = 0;

    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        n += !strncmp(at, begins, strlen(begins));
    return n;
}

/* More than one piece of each: nothing is missing, twice or out of order, and each row is that of the JSON answer. */
static void exports_are_whole(void **state)
{
    struct rig *r = rig_new();
    struct get csv, lines;
    cJSON *json;
    const cJSON *row;
    const char *pos;
    int64_t last = 0;
    size_t n = 0;

    (void)state;
    store_many(r);
    csv = fetch(r, "/api/v1/summaries?from=-10d&format=csv");
    lines = fetch(r, "/api/v1/summaries?from=-10d&format=ndjson");
    assert_int_equal(csv.status, 200);
    assert_non_null(strstr(csv.text, "text/csv"));
    assert_non_null(strstr(lines.text, "application/x-ndjson"));
    assert_true(strlen(get_body(&lines)) > 3 * (256 << 10)); /* pieces */
    assert_int_equal(count_lines(get_body(&csv), "m,voice,ams,fra,0,"), MANY + 1);
    assert_int_equal(count_lines(get_body(&csv), ""), MANY + 2);
    json = fetch_json(r, "/api/v1/summaries?from=-10d&limit=10000", "summaries");
    row = at(json, "summaries")->child;
    for (pos = get_body(&lines); *pos; pos = strchr(pos, '\n') + 1, row = row->next, n++) {
        cJSON *line = cJSON_ParseWithLength(pos, (size_t)(strchr(pos, '\n') - pos));
        assert_true(row && cJSON_Compare(line, row, true));
        assert_true(at(line, "start_ns")->valuedouble > (double)last);
        last = (int64_t)at(line, "start_ns")->valuedouble;
        cJSON_Delete(line);
    }
    assert_true(!row && n == MANY + 1);
    free(csv.text);
    free(lines.text);
    cJSON_Delete(json);
    csv = fetch(r, "/api/v1/summaries?from=-10d&format=csv&limit=7");
    assert_int_equal(count_lines(get_body(&csv), ""), 8);
    free(csv.text);
    csv = fetch(r, "/api/v1/summaries?format=csv&target=nobody");
    assert_int_equal(count_lines(get_body(&csv), ""), 1);
    assert_true(!strncmp(get_body(&csv), "mesh,class,source,target,flow,status,start_ns,", 46));
    free(csv.text);
    assert_int_equal(r->c.n_exports, 0);
    rig_free(r);
}

/* A client that does not read: no reader works for it, and the database's log can be given back, whatever comes. */
static void a_slow_client_holds_nothing(void **state)
{
    struct rig *r = rig_new();
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    static const char request[] = "GET /api/v1/summaries?from=-10d&format=ndjson HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM, 0), room = 4096, log = -1, back = -1;
    bool never = false;
    sqlite3 *db;

    (void)state;
    for (int i = 0; i < 4; i++)
        store_many(r); /* again and again: rows may be the same */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    sin.sin_port = htons(httpd_port(r->c.http));
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    loop_run_until(r->f->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_S });
    assert_int_equal(r->c.n_exports, 1);
    assert_int_equal(sqlite3_open(r->f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &log, &back), SQLITE_OK);
    sqlite3_close(db);
    exports_stop(&r->c); /* as when the controller ends */
    assert_int_equal(r->c.n_exports, 0);
    close(fd);
    rig_free(r);
}

static void report_matches_its_schema(void **state)
{
    struct rig *r = rig_new();
    const struct stats_view *view = publish_view(r->fra);
    cJSON *json;
    const cJSON *pair;

    (void)state;
    json = fetch_json(r, "/api/v1/report?from=-10m", "report");
    assert_int_equal(cJSON_GetArraySize(at(json, "pairs")), 2);
    pair = cJSON_GetArrayItem(at(json, "pairs"), 0); /* ber: nothing stored */
    assert_string_equal(at(pair, "target")->valuestring, "ber");
    assert_true(cJSON_IsNull(at(pair, "loss_ratio")) && cJSON_IsNull(at(pair, "status")) &&
                cJSON_IsNull(at(pair, "start_ns")));
    pair = cJSON_GetArrayItem(at(json, "pairs"), 1);
    assert_true(at(pair, "delay_roundtrip_p99_seconds")->valuedouble ==
                view->delay[TW_ROUNDTRIP].p99_s.value);
    assert_true(at(pair, "loss_ratio")->valuedouble == view->loss_ratio.value);
    assert_true(cJSON_IsNull(at(pair, "ttl_forward_min"))); /* not known, not 0 */
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/report?latest=1&target=fra", "report");
    assert_int_equal(cJSON_GetArraySize(at(json, "pairs")), 1);
    assert_true(at(json, "from_ns")->valuedouble == (double)r->start_ns);
    assert_true(cJSON_IsFalse(at(json, "flows")));
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/report?latest=1&target=fra&flows=1", "report");
    assert_true(cJSON_IsTrue(at(json, "flows")));
    assert_int_equal(cJSON_GetArraySize(at(json, "pairs")), (int)r->fra->flows);
    pair = cJSON_GetArrayItem(at(json, "pairs"), 0);
    assert_true(at(pair, "flow")->valuedouble == 0);
    assert_string_equal(at(pair, "target")->valuestring, "fra");
    assert_true(at(pair, "sent")->valuedouble == 100);
    cJSON_Delete(json);
    rig_free(r);
}

static void the_other_answers_match_theirs(void **state)
{
    struct rig *r = rig_new();
    cJSON *json;
    const cJSON *pair;
    Tw__HealthReport health = TW__HEALTH_REPORT__INIT;
    Tw__Noise noise = TW__NOISE__INIT;
    Tw__ClockState clock = TW__CLOCK_STATE__INIT;

    (void)state;
    json = fetch_json(r, "/api/v1/summaries?from=-10m", "summaries");
    assert_int_equal(cJSON_GetArraySize(at(json, "summaries")), 1);
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/pairs", "pairs");
    assert_int_equal(cJSON_GetArraySize(at(json, "pairs")), 2);
    pair = cJSON_GetArrayItem(at(json, "pairs"), 0);
    assert_true(cJSON_IsNull(at(pair, "last")) && cJSON_IsNull(at(pair, "totals")));
    pair = cJSON_GetArrayItem(at(json, "pairs"), 1);
    assert_int_equal(at(at(pair, "totals"), "sent")->valueint, 100);
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/pairs?limit=1", "pairs");
    assert_true(cJSON_IsTrue(at(json, "truncated")));
    assert_int_equal(cJSON_GetArraySize(at(json, "pairs")), 1); /* the first by name */
    assert_true(cJSON_IsNull(at(cJSON_GetArrayItem(at(json, "pairs"), 0), "last")));
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/agents", "agents");
    assert_true(cJSON_IsNull(at(cJSON_GetArrayItem(at(json, "agents"), 0), "health")));
    cJSON_Delete(json);
    health.clock = &clock;
    health.time_ns = r->start_ns;
    health.cpu_ns = UINT64_C(9007199254740993); /* 2^53 + 1: a double would lose it */
    health.reflector_auth_failed = 7;
    noise.sent = 600;
    noise.p99_ns = 64000;
    health.noise = &noise;
    health.host_cpu_wait_ppm = 12500;
    health.secrets_error = (char *)"secrets:3: expected KEYID and passphrase";
    health.clock_leap = (char *)"insert";
    health.clock_frequency_ppb = -18837;
    r->agent.health = &health;
    json = fetch_json(r, "/api/v1/agents", "agents");
    pair = at(cJSON_GetArrayItem(at(json, "agents"), 0), "health");
    assert_int_equal(at(pair, "reflector_auth_failed")->valueint, 7);
    assert_int_equal(at(at(pair, "noise"), "p99_ns")->valueint, 64000);
    assert_true(at(pair, "host_cpu_wait_ratio")->valuedouble == 0.0125);
    assert_string_equal(at(pair, "clock_leap")->valuestring, "insert");
    assert_int_equal(at(pair, "clock_frequency_ppb")->valueint, -18837);
    assert_string_equal(at(pair, "secrets_error")->valuestring, "secrets:3: expected KEYID and passphrase");
    cJSON_Delete(json);
    struct get g = fetch(r, "/api/v1/agents");
    assert_non_null(strstr(g.text, "\"cpu_ns\":9007199254740993,"));
    assert_non_null(strstr(
        g.text, "\"last_contact\":\"2023-11-14T22:13:20.123Z\",\"last_contact_ns\":1700000000123456789,"));
    free(g.text);
    rig_free(r);
}

/* Fields that no agent happens to have set count, too: the answer follows the messages by itself, and the
 * published schema must say what it can have, and nothing else. */
static void the_schema_of_agents_names_every_field(void **state)
{
    static const struct {
        const char *def;
        const ProtobufCMessageDescriptor *d;
    } rows[] = {
        { "agent", &tw__agent_info__descriptor },  { "health", &tw__health_report__descriptor },
        { "mark", &tw__agent_mark__descriptor },   { "span", &tw__agent_span__descriptor },
        { "limits", &tw__agent_limits__descriptor }, { "finding", &tw__clock_finding__descriptor },
        { "refusal", &tw__refusal__descriptor },   { "clock", &tw__clock_state__descriptor },
    };
    cJSON *schema = read_schema("agents");

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        const cJSON *properties = at(at(at(schema, "$defs"), rows[i].def), "properties");
        cJSON *is = pb_json_schema(rows[i].d, false), *members = cJSON_GetObjectItemCaseSensitive(is, "properties");

        assert_non_null(properties);
        for (const cJSON *m = members->child; m; m = m->next)
            if (!at(properties, m->string))
                fail_msg("docs/schema/agents-v1.json, $defs.%s lacks \"%s\": describe it there (and under \"required\")",
                         rows[i].def, m->string);
        for (const cJSON *m = properties->child; m; m = m->next)
            if (!at(members, m->string))
                fail_msg("docs/schema/agents-v1.json, $defs.%s has \"%s\", which no answer has", rows[i].def,
                         m->string);
        cJSON_Delete(is);
    }
    cJSON_Delete(schema);
}

static void outages_match_their_schema(void **state)
{
    struct rig *r = rig_new();
    struct tw_summary s = fx_summary(r->f, r->ber, 0, r->start_ns);
    struct tw_loss_run run = { .start_ns = r->start_ns + TW_NS_PER_S,
                               .length_ns = 300 * TW_NS_PER_MS,
                               .probes = 3,
                               .seq_first = 10,
                               .direction = TW_BACKWARD };
    const cJSON *o;
    cJSON *json;

    (void)state;
    s.lost_forward = 0;
    s.lost_backward = 3;
    s.received = 97;
    s.loss_runs = 1;
    s.loss_run_longest = 3;
    loss_runs_add(&s.runs, &run);
    fx_store(r->f, &s);
    summary_free(&s);
    json = fetch_json(r, "/api/v1/outages?from=-10m&min_probes=3&min_duration=300ms&direction=backward&target=ber",
                      "outages");
    assert_true(cJSON_IsFalse(at(json, "truncated")));
    assert_int_equal(cJSON_GetArraySize(at(json, "outages")), 1);
    o = cJSON_GetArrayItem(at(json, "outages"), 0);
    assert_string_equal(at(o, "target")->valuestring, "ber");
    assert_string_equal(at(o, "direction")->valuestring, "backward");
    assert_true(at(o, "start_ns")->valuedouble == (double)run.start_ns && at(o, "duration_seconds")->valuedouble == 0.3 &&
                at(o, "probes")->valueint == 3 && at(o, "seq_first")->valueint == 10);
    assert_true(cJSON_IsFalse(at(o, "ongoing")) && cJSON_IsTrue(at(o, "start_known")));
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/outages?from=-10m&min_probes=4", "outages");
    assert_int_equal(cJSON_GetArraySize(at(json, "outages")), 0);
    cJSON_Delete(json);
    rig_free(r);
}

static void flight_matches_its_schema(void **state)
{
    struct rig *r = rig_new();
    const cJSON *probe;
    struct get g;
    cJSON *json;

    (void)state;
    flight_pair = r->fra;
    json =
        fetch_json(r, "/api/v1/flight?source=ams&target=fra&at=1700000000&span=4s&flow=4&limit=7", "flight");
    assert_true(flight_asked.one_flow && flight_asked.flow == 4 && flight_asked.limit == 7);
    assert_true(flight_asked.at_ns == INT64_C(1700000000) * TW_NS_PER_S &&
                flight_asked.before_ns == 2 * TW_NS_PER_S && flight_asked.after_ns == 2 * TW_NS_PER_S);
    assert_string_equal(flight_asked.pairs.source, "ams");
    assert_int_equal(cJSON_GetArraySize(at(json, "probes")), 2);
    probe = cJSON_GetArrayItem(at(json, "probes"), 0);
    assert_true(at(probe, "rtt_seconds")->valuedouble == 2e-6 && at(probe, "tos_backward")->valuedouble == 0);
    assert_true(cJSON_IsNull(at(probe, "ttl_backward")) && cJSON_IsNull(at(probe, "lost_on")));
    assert_string_equal(at(probe, "rx_source")->valuestring, "hardware");
    probe = cJSON_GetArrayItem(at(json, "probes"), 1);
    assert_string_equal(at(probe, "lost_on")->valuestring, "backward");
    assert_true(cJSON_IsNull(at(probe, "rtt_seconds")));
    cJSON_Delete(json);
    json = fetch_json(r, "/api/v1/flight?target=fra", "flight");
    assert_true(!flight_asked.one_flow && flight_asked.before_ns == 10 * TW_NS_PER_S &&
                !flight_asked.after_ns);
    cJSON_Delete(json);
    g = fetch(r, "/api/v1/flight?target=nowhere");
    assert_true(g.status == 404 && strstr(g.text, "no such pair"));
    free(g.text);
    g = fetch(r, "/api/v1/flight?span=0s");
    assert_true(g.status == 400 && strstr(g.text, "\"span\\\" is"));
    free(g.text);
    json = fetch_json(r, "/api/v1/frozen", "frozen");
    assert_int_equal(cJSON_GetArraySize(at(json, "frozen")), 3);
    cJSON_Delete(json);
    rig_free(r);
}

/* Two agents 50 ms apart with 5 ms between them: either. A third without pairs: unknown, and no figures. */
static void clock_matches_its_schema(void **state)
{
    static const char *const names[] = { "ber", "new" };
    struct rig *r = rig_new();
    struct agent *more = calloc(2, sizeof *more);
    struct tw_summary s;
    const cJSON *agents, *first;
    cJSON *json;

    (void)state;
    r->agent.row.id = 1;
    r->agent.row.approved = true;
    for (int i = 0; i < 2; i++) {
        strcpy(more[i].row.name, names[i]);
        more[i].row.id = 2 + i;
        more[i].row.approved = true;
        HASH_ADD_STR(r->c.inv.agents, row.name, &more[i]);
    }
    name_of(r->ber->row.source)->agent = &r->agent;
    summary_init(&s);
    s.end_ns = tw_wall_now().ns;
    s.start_ns = s.end_ns - FX_PERIOD;
    hist_add(&s.delay[TW_FORWARD], 55 * TW_NS_PER_MS);
    hist_add(&s.delay[TW_BACKWARD], -45 * TW_NS_PER_MS);
    clocks_note(r->c.clocks, r->ber, &s);
    summary_free(&s);
    json = fetch_json(r, "/api/v1/clock", "clock");
    agents = at(json, "agents");
    first = cJSON_GetArrayItem(agents, 0);
    assert_int_equal(cJSON_GetArraySize(agents), 3);
    assert_int_equal(at(json, "pairs")->valueint, 1);
    assert_string_equal(at(first, "verdict")->valuestring, "either");
    assert_true(fabs(fabs(at(first, "offset_seconds")->valuedouble) - 0.025) < 1e-6);
    assert_true(cJSON_IsNull(at(first, "synced")));
    assert_string_equal(at(cJSON_GetArrayItem(agents, 2), "name")->valuestring, "new");
    assert_true(cJSON_IsNull(at(cJSON_GetArrayItem(agents, 2), "offset_seconds")));
    cJSON_Delete(json);
    name_of(r->ber->row.source)->agent = NULL;
    rig_free(r);
    free(more);
}

/* twampctl prints the same ones. */
static void numbers_keep_every_digit(void **state)
{
    static const struct {
        struct tw_num v;
        const char *text;
    } cases[] = {
        { { true, 0.1 }, "{\"n\":0.1}" },
        { { true, 0.1 + 0.2 }, "{\"n\":0.30000000000000004}" },
        { { true, 8.383254999999998e-06 }, "{\"n\":8.383254999999998e-06}" },
        { { true, 1700000000 }, "{\"n\":1700000000}" },
        { { true, 1e15 }, "{\"n\":1e+15}" },
        { { true, (double)INFINITY }, "{\"n\":null}" },
        { { false, 1 }, "{\"n\":null}" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        cJSON *o = cJSON_CreateObject();
        char *text;

        json_num(o, "n", cases[i].v);
        text = cJSON_PrintUnformatted(o);
        if (strcmp(text, cases[i].text) != 0)
            fail_msg("%s, expected %s", text, cases[i].text);
        free(text);
        cJSON_Delete(o);
    }
}

/* ---- Queries ---- */

#define NOW (INT64_C(1700000000) * TW_NS_PER_S)
#define ALL 255u

static void queries(void **state)
{
    static const struct {
        const char *name, *value;
        enum tw_rc rc;
        int64_t from_ns, to_ns;
    } cases[] = {
        { "from", "-15m", TW_OK, NOW - 900 * TW_NS_PER_S, NOW },
        { "from", "1699999000", TW_OK, INT64_C(1699999000) * TW_NS_PER_S, NOW },
        { "from", "2023-11-14T22:13:19.5Z", TW_OK, NOW - TW_NS_PER_S / 2, NOW },
        { "from", "2023-11-14T23:13:19+01:00", TW_OK, NOW - TW_NS_PER_S, NOW },
        { "from", "2023-11-14T23:13:19 01:00", TW_OK, NOW - TW_NS_PER_S, NOW }, /* '+' not percent-encoded */
        { "to", "-1h", TW_OK, NOW - 7200 * TW_NS_PER_S, NOW - 3600 * TW_NS_PER_S },
        { "to", "", TW_OK, NOW - 3600 * TW_NS_PER_S, NOW },
        { "from", "1700000000", TW_EINVAL, 0, 0 }, /* not before to */
        { "from", "-15", TW_EINVAL, 0, 0 },
        { "from", "--15m", TW_EINVAL, 0, 0 },
        { "from", "-1000000d", TW_EINVAL, 0, 0 },
        { "from", "15m", TW_EINVAL, 0, 0 },
        { "from", "0", TW_EINVAL, 0, 0 },
        { "from", "1960-01-01T00:00:00Z", TW_EINVAL, 0, 0 },
        { "from", "99999999999999999999", TW_EINVAL, 0, 0 },
        { "limit", "0", TW_EINVAL, 0, 0 },
        { "limit", "100001", TW_EINVAL, 0, 0 },
        { "limit", "1 ", TW_EINVAL, 0, 0 },
        { "limit", "100000", TW_OK, NOW - 3600 * TW_NS_PER_S, NOW },
        { "latest", "yes", TW_EINVAL, 0, 0 },
        { "latest", "true", TW_OK, NOW - 3600 * TW_NS_PER_S, NOW },
        { "mesh", "1234567890123456789012345678901234567890123456789012345678901234", TW_EINVAL, 0, 0 },
        { "mash", "x", TW_EINVAL, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct query_param q = { cases[i].name, cases[i].value };
        struct report_filter f = { 0 };
        struct tw_err err = { 0 };
        enum tw_rc rc = query_filter(&q, 1, ALL, NOW, &f, &err);
        if (rc != cases[i].rc || f.from_ns != cases[i].from_ns || f.to_ns != cases[i].to_ns ||
            (rc && !err.text[0]))
            fail_msg("%s=%s: %s (%s), %lld to %lld", cases[i].name, cases[i].value, tw_rc_name(rc), err.text,
                     (long long)f.from_ns, (long long)f.to_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(report_matches_its_schema),
        cmocka_unit_test(every_format_has_the_same_numbers),
        cmocka_unit_test(exports_are_whole),
        cmocka_unit_test(a_slow_client_holds_nothing),
        cmocka_unit_test(the_other_answers_match_theirs),
        cmocka_unit_test(clock_matches_its_schema),
        cmocka_unit_test(the_schema_of_agents_names_every_field),
        cmocka_unit_test(outages_match_their_schema),
        cmocka_unit_test(flight_matches_its_schema),
        cmocka_unit_test(numbers_keep_every_digit),
        cmocka_unit_test(queries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
