/* agent/metrics_server.c - see metrics_server.h. */
#include "agent/metrics_server.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "agent/health_page.h"
#include "agent/pair_names.h"
#include "common/log.h"
#include "common/metrics_health.h"
#include "common/metrics_sums.h"
#include "common/net/http_accept.h"
#include "common/net/httpd.h"
#include "common/net/loop_metrics.h"
#include "common/net/now.h"
#include "common/net/thread_list.h"
#include "common/net/process.h"
#include "common/version.h"

#define PAGE_NS (5 * TW_NS_PER_S) /* as the controller's: a page is at most so old */
#define MOST_SERIES 100000        /* of one level, as the controller's default */
#define MOST_BUCKETS 160          /* of a native histogram, as the controller's default */
#define CONNECTIONS 16
#define MOST_SELF (24 + HOMING_MAX)

struct own_pair {
    uint64_t id;
    char *mesh, *class_name, *target; /* as of its first summary: the same id is the same pair */
    struct metrics_counters n;
    struct tw_summary last; /* latest report period, flows merged */
    uint32_t last_flows;
    struct stats_view view;
    struct hist delay[3];
    UT_hash_handle hh;
};
/* All pairs of a mesh and class. */
struct own_group {
    struct own_group_key {
        char mesh[64], class_name[64];
    } key;
    struct metrics_group sum;
    struct hist delay[3];
    UT_hash_handle hh;
};

enum { TEXT, OPEN, PROTOBUF, FORMATS };
static const struct metrics_ops *const formats[FORMATS] = { &metrics_text, &metrics_openmetrics,
                                                            &metrics_protobuf };

struct metrics_server {
    struct metrics_server_conf conf;
    struct httpd *httpd;
    struct own_pair *pairs;
    struct own_group *groups;
    int64_t started_ns;
    uint64_t no_memory; /* summaries that could not be counted */
    struct {
        struct http_blob *blob;
        int64_t at_ns; /* mono */
    } pages[FORMATS];
};

/* ---- Pairs and groups ---- */

static void free_pair(struct metrics_server *m, struct own_pair *p)
{
    HASH_DEL(m->pairs, p);
    free(p->mesh);
    free(p->class_name);
    free(p->target);
    summary_free(&p->last);
    for (int d = 0; d < 3; d++)
        hist_free(&p->delay[d]);
    free(p);
}

static void free_group(struct metrics_server *m, struct own_group *g)
{
    HASH_DEL(m->groups, g);
    for (int d = 0; d < 3; d++)
        hist_free(&g->delay[d]);
    free(g);
}

static struct own_pair *pair_of(struct metrics_server *m, const struct pair_name *n)
{
    struct own_pair *p;

    HASH_FIND(hh, m->pairs, &n->pair_id, sizeof n->pair_id, p);
    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->id = n->pair_id;
    p->mesh = strdup(n->mesh);
    p->class_name = strdup(n->class_name);
    p->target = strdup(n->target);
    summary_init(&p->last);
    for (int d = 0; d < 3; d++)
        hist_init(&p->delay[d]);
    HASH_ADD(hh, m->pairs, id, sizeof p->id, p);
    if (p->mesh && p->class_name && p->target)
        return p;
    free_pair(m, p);
    return NULL;
}

static struct own_group *group_of(struct metrics_server *m, const struct own_pair *p)
{
    struct own_group_key key;
    struct own_group *g;

    memset(&key, 0, sizeof key); /* padding is hashed */
    strncpy(key.mesh, p->mesh, sizeof key.mesh - 1);
    strncpy(key.class_name, p->class_name, sizeof key.class_name - 1);
    HASH_FIND(hh, m->groups, &key, sizeof key, g);
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->key = key;
    for (int d = 0; d < 3; d++)
        hist_init(&g->delay[d]);
    HASH_ADD(hh, m->groups, key, sizeof g->key, g);
    return g;
}

void metrics_server_note(struct metrics_server *m, const struct tw_summary *s)
{
    const struct pair_name *n = m && !s->test_id ? schedule_run_pair(m->conf.schedule, s->pair_id) : NULL;
    struct own_pair *p = n ? pair_of(m, n) : NULL;
    struct own_group *g = p ? group_of(m, p) : NULL;
    struct stats_view view;

    if (n && !g)
        m->no_memory++;
    if (!g)
        return;
    stats_view(s, &view);
    metrics_count(&p->n, s);
    if (s->end_ns >= p->last.end_ns)
        metrics_take_last(&p->last, &p->last_flows, &p->view, s, &view);
    for (int d = 0; d < 3; d++)
        if (metrics_counts(&view, d))
            metrics_add_native(&p->delay[d], &s->delay[d], MOST_BUCKETS);
    metrics_group_add(&g->sum, g->delay, MOST_BUCKETS, s, &view);
}

/* ---- A page ---- */

struct snapshot {
    struct metrics_snapshot s; /* its arrays are ours */
    struct metrics_pair *pairs;
    struct metrics_group *groups;
    struct metrics_agent agent;
    struct metrics_self self[MOST_SELF];
    struct roam_view ways[HOMING_MAX];
};

/* As the controller has it: the next summary is not overdue. */
static bool is_fresh(const struct own_pair *p, int64_t period_ns, int64_t now_ns)
{
    int64_t bound = 2 * period_ns + TW_NS_PER_S;

    return now_ns - p->last.end_ns < bound && p->last.end_ns - now_ns < bound;
}

static void show_pair(struct metrics_server *m, struct snapshot *x, const struct own_pair *p, int64_t period_ns,
                      int64_t now_ns)
{
    struct metrics_pair *v = &x->pairs[x->s.n_pairs++];
    struct own_group *g = group_of(m, p);

    *v = (struct metrics_pair){ .mesh = p->mesh,
                                .class_name = p->class_name,
                                .source = m->conf.name,
                                .target = p->target,
                                .fresh = is_fresh(p, period_ns, now_ns),
                                .last_end_ns = p->last.end_ns,
                                .last = p->view };
    v->state = v->fresh ? tw_status_name(p->view.status) : "no_data";
    metrics_show(v, &p->n);
    for (int d = 0; d < 3; d++)
        v->delay[d] = &p->delay[d];
    if (!g)
        return;
    g->sum.pairs++;
    g->sum.pairs_fresh += v->fresh;
}

/* What is in the schedule no more leaves no series behind. */
static void show_pairs(struct metrics_server *m, struct snapshot *x, int64_t now_ns)
{
    struct own_pair *p, *next;

    for (struct own_group *g = m->groups; g; g = g->hh.next)
        g->sum.pairs = g->sum.pairs_fresh = 0;
    HASH_ITER(hh, m->pairs, p, next)
    {
        const struct pair_name *n = schedule_run_pair(m->conf.schedule, p->id);

        if (n)
            show_pair(m, x, p, n->report_period_ns, now_ns);
        else
            free_pair(m, p);
    }
}

static void show_groups(struct metrics_server *m, struct snapshot *x)
{
    struct own_group *g, *next;

    HASH_ITER(hh, m->groups, g, next)
    {
        struct metrics_group *v = &x->groups[x->s.n_agents_groups];

        if (!g->sum.pairs) {
            free_group(m, g);
            continue;
        }
        *v = g->sum;
        v->mesh = g->key.mesh;
        v->class_name = g->key.class_name;
        v->source = m->conf.name;
        for (int d = 0; d < 3; d++)
            v->delay[d].native = &g->delay[d];
        x->s.n_agents_groups++;
    }
}

static void show_agent(struct metrics_server *m, struct snapshot *x)
{
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;
    Tw__ClockState clock = TW__CLOCK_STATE__INIT;
    Tw__Noise noise = TW__NOISE__INIT;

    h.clock = &clock;
    h.noise = &noise;
    m->conf.fill_health(m->conf.ctx, &h);
    x->agent = (struct metrics_agent){ .name = m->conf.name,
                                       .state = m->conf.is_up(m->conf.ctx) ? "up" : "down",
                                       .software = tw_software_agent,
                                       .generation = h.generation };
    metrics_take_health(&x->agent, &h);
    x->s.fleet = &x->agent;
    x->s.n_fleet = 1;
}

/* The last of x->self, n of which are there. Returns how many there are then. */
static size_t show_ways(const struct metrics_server *m, struct snapshot *x, size_t n)
{
    size_t n_ways = m->conf.ways(m->conf.ctx, x->ways);

    for (size_t i = 0; i < n_ways; i++)
        x->self[n++] = (struct metrics_self){ "twamp_agent_controller_connected",
                                              "1: the agent is connected to this controller of its list.",
                                              "gauge",
                                              "controller",
                                              x->ways[i].url,
                                              x->ways[i].connected };
    x->self[n++] = (struct metrics_self){ "twamp_agent_controller_moves_total",
                                          "How often the agent went from one controller to another.",
                                          "counter",
                                          NULL,
                                          NULL,
                                          (double)m->conf.moves(m->conf.ctx) };
    return n;
}

static void show_self(const struct metrics_server *m, struct snapshot *x)
{
    struct httpd_counters c;
    size_t n = 0;

    httpd_counters(m->httpd, &c);
    x->self[n++] = (struct metrics_self){ "twamp_metrics_lost_total", "Summaries that are not in these metrics for want of memory.",
                                          "counter", NULL, NULL, (double)m->no_memory };
    x->self[n++] =
        (struct metrics_self){ "twamp_http_requests_total", "Requests.", "counter", NULL, NULL, (double)c.requests };
    x->self[n++] = (struct metrics_self){ "process_start_time_seconds", "Start time, seconds since 1970.", "gauge", NULL,
                                          NULL, (double)m->started_ns / 1e9 };
    x->self[n++] = (struct metrics_self){ "process_resident_memory_bytes", "Resident memory.", "gauge", NULL, NULL,
                                          (double)process_rss_bytes() };
    x->self[n++] = (struct metrics_self){ "process_cpu_seconds_total", "CPU time, user and system.", "counter", NULL, NULL,
                                          (double)process_cpu_ns() / 1e9 };
    x->self[n++] =
        (struct metrics_self){ "process_open_fds", "Open descriptors.", "gauge", NULL, NULL, (double)process_open_files() };
    if (httpd_cert_end_ns(m->httpd))
        x->self[n++] = (struct metrics_self){ "twamp_http_certificate_expiry_time_seconds",
                                              "When the certificate of HTTPS expires, seconds since 1970.", "gauge", NULL, NULL,
                                              (double)httpd_cert_end_ns(m->httpd) / 1e9 };
    if (m->conf.reload)
        n += reload_metrics(m->conf.reload, x->self + n);
    n += loop_metrics(m->conf.loop, x->self + n);
    n = show_ways(m, x, n);
    x->s.self = x->self;
    x->s.n_self = n;
}

static void put_piece(void *ctx, const char *p, size_t len)
{
    http_maker_put(ctx, p, len);
}

static void hold(void *ctx)
{
    http_maker_hold(ctx);
}

static void release(void *ctx, const char *first, size_t len)
{
    http_maker_release(ctx, first, len);
}

static enum tw_rc make_page(const struct snapshot *x, const struct metrics_ops *format, struct http_blob **ret)
{
    struct http_maker *maker;
    enum tw_rc rc = http_maker_new(format->content_type, &maker), made;

    if (rc)
        return rc;
    rc = metrics_render_to(&x->s, format, METRICS_PAIR | METRICS_AGENT, NULL,
                           &(struct metrics_sink){ put_piece, hold, release, maker });
    made = http_maker_end(maker, ret);
    if (rc && !made)
        http_blob_unref(*ret);
    if (!rc && !made)
        http_blob_header(*ret, "Vary", "Accept, Accept-Encoding");
    return rc ? rc : made;
}

static enum tw_rc render(struct metrics_server *m, int format, struct http_blob **ret)
{
    struct snapshot *x = calloc(1, sizeof *x);
    enum tw_rc rc = TW_ENOMEM;

    if (!x)
        return rc;
    x->pairs = calloc(HASH_COUNT(m->pairs) + 1, sizeof *x->pairs);
    x->groups = calloc(HASH_COUNT(m->groups) + 1, sizeof *x->groups);
    if (x->pairs && x->groups) {
        show_pairs(m, x, tw_wall_now().ns);
        show_groups(m, x);
        show_agent(m, x);
        show_self(m, x);
        x->s.pairs = x->pairs;
        x->s.agents = x->groups;
        x->s.of_agent = true;
        x->s.max_pair_series = MOST_SERIES;
        rc = make_page(x, formats[format], ret);
    }
    free(x->pairs);
    free(x->groups);
    free(x);
    return rc;
}

/* ---- HTTP ---- */

static void answer_metrics(void *ctx, struct http_req *rq)
{
    struct metrics_server *m = ctx;
    struct http_offer offers[FORMATS] = { 0 };
    int64_t now_ns = tw_mono_now().ns;
    struct http_blob *blob = NULL;
    size_t f;

    for (size_t i = 0; i < FORMATS; i++)
        offers[i].type = formats[i]->content_type;
    f = http_accept_choose(http_header(rq, "Accept"), offers, FORMATS);
    if (m->pages[f].blob && now_ns - m->pages[f].at_ns < PAGE_NS) {
        http_answer_blob(rq, 200, m->pages[f].blob);
        return;
    }
    if (render(m, (int)f, &blob)) {
        http_answer_error(rq, 503, "the page cannot be made now: out of memory");
        return;
    }
    http_blob_unref(m->pages[f].blob);
    m->pages[f].blob = blob;
    m->pages[f].at_ns = now_ns;
    http_answer_blob(rq, 200, blob);
}

static void answer_text(struct http_req *rq, unsigned status, char *text, size_t len)
{
    if (text)
        http_answer(rq, status, "text/plain; charset=utf-8", text, len);
    else
        http_answer_error(rq, 503, "out of memory");
}

static void answer_healthz(void *ctx, struct http_req *rq)
{
    (void)ctx;
    answer_text(rq, 200, strdup("ok\n"), 3);
}

static void answer_readyz(void *ctx, struct http_req *rq)
{
    struct metrics_server *m = ctx;
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;
    Tw__ClockState clock = TW__CLOCK_STATE__INIT;
    Tw__Noise noise = TW__NOISE__INIT;
    struct roam_view ways[HOMING_MAX];
    struct health_page_facts facts = { .health = &h, .up = m->conf.is_up(m->conf.ctx), .ways = ways };
    char *text;
    size_t len;
    bool ready;

    h.clock = &clock;
    h.noise = &noise;
    m->conf.fill_health(m->conf.ctx, &h);
    facts.n_ways = m->conf.ways(m->conf.ctx, ways);
    facts.reload_error = m->conf.reload ? m->conf.reload->error : NULL;
    ready = health_page(&facts, &text, &len);
    answer_text(rq, ready ? 200 : 503, text, len);
}

enum tw_rc metrics_server_start(const struct metrics_server_conf *c, struct metrics_server **ret, struct tw_err *err)
{
    static const struct http_route routes[] = {
        { .path = "/metrics", .help = "metrics of this agent and its pairs, for Prometheus", .fn = answer_metrics },
        { .path = "/healthz", .help = "200 as long as its loop turns", .fn = answer_healthz },
        { .path = "/readyz", .help = "200: it measures; else why not; and what somebody should see to", .fn = answer_readyz },
    };
    struct metrics_server *m = calloc(1, sizeof *m);
    struct httpd_conf conf = { .loop = c->loop,
                               .address = c->address,
                               .tls_cert = c->tls_cert,
                               .tls_key = c->tls_key,
                               .plaintext = c->plaintext,
                               .routes = routes,
                               .n_routes = TW_NELEM(routes),
                               .ctx = m,
                               .max_connections = CONNECTIONS };
    enum tw_rc rc;

    if (!m)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    m->conf = *c;
    m->started_ns = tw_wall_now().ns;
    rc = httpd_start(&conf, &m->httpd, err);
    if (rc) {
        free(m);
        return rc;
    }
    *ret = m;
    return TW_OK;
}

enum tw_rc metrics_server_reload(struct metrics_server *m, struct tw_err *err)
{
    return httpd_reload(m->httpd, err);
}

void metrics_server_stop(struct metrics_server *m)
{
    struct own_pair *p, *next_pair;
    struct own_group *g, *next_group;

    if (!m)
        return;
    httpd_stop(m->httpd);
    HASH_ITER(hh, m->pairs, p, next_pair)
    free_pair(m, p);
    HASH_ITER(hh, m->groups, g, next_group)
    free_group(m, g);
    for (size_t f = 0; f < FORMATS; f++)
        http_blob_unref(m->pages[f].blob);
    free(m);
}

uint16_t metrics_server_port(const struct metrics_server *m)
{
    return httpd_port(m->httpd);
}

void metrics_server_threads(const struct metrics_server *m, struct thread_list *ret)
{
    struct httpd_load l;

    httpd_load(m->httpd, &l);
    thread_list_http(ret, &l);
}
