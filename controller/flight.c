#include "controller/flight.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "controller/near.h"
#include "controller/registry.h"
#include "controller/relay.h"

#define CANDIDATES_SHOWN 3
#define ROWS_MAX 20000u

/* ---- Which pair ---- */

static const char *or_any(const char *name)
{
    return *name ? name : "*";
}

static void say_names(const struct report_filter *f, char *ret, size_t cap)
{
    if (*f->mesh || *f->class_name)
        snprintf(ret, cap, "%s/%s/%s:%s", or_any(f->mesh), or_any(f->class_name), or_any(f->source),
                 or_any(f->target));
    else
        snprintf(ret, cap, "%s:%s", or_any(f->source), or_any(f->target));
}

static Tw__Status none_matches(const struct flight_query *q, char *text, size_t cap)
{
    char names[4 * STORE_NAME_MAX + 8];

    say_names(&q->pairs, names, sizeof names);
    if (q->pair_id)
        snprintf(text, cap, "no pair has the id %llu; \"twampctl -o csv report\" has the ids",
                 (unsigned long long)q->pair_id);
    else
        snprintf(text, cap, "no pair matches %s; \"twampctl watch\" shows all", names);
    return TW__STATUS__STATUS_NOT_FOUND;
}

static Tw__Status several_match(const struct flight_query *q, const struct pair **v, size_t n, char *text,
                                size_t cap)
{
    char names[4 * STORE_NAME_MAX + 8];
    size_t len;

    say_names(&q->pairs, names, sizeof names);
    len = (size_t)snprintf(text, cap, "%zu pairs match %s; name one of them:", n, names);
    for (size_t i = 0; i < n && i < CANDIDATES_SHOWN && len < cap; i++)
        len += (size_t)snprintf(text + len, cap - len, "%s %s/%s/%s:%s", i ? "," : "", v[i]->row.mesh,
                                v[i]->row.class_name, v[i]->row.source, v[i]->row.target);
    if (n > CANDIDATES_SHOWN && len < cap)
        snprintf(text + len, cap - len, ", ...");
    return TW__STATUS__STATUS_FAILED_PRECONDITION;
}

/* Of several the one that is scheduled, if only one is. */
static const struct pair *the_scheduled(const struct pair **v, size_t n)
{
    const struct pair *found = NULL;

    for (size_t i = 0; i < n; i++) {
        if (!v[i]->scheduled)
            continue;
        if (found)
            return NULL;
        found = v[i];
    }
    return found;
}

static Tw__Status find_pair(const struct controller *c, const struct flight_query *q, const struct pair **ret,
                            char *text, size_t cap)
{
    const struct pair **v;
    size_t n;
    Tw__Status status = TW__STATUS__STATUS_OK;

    if (q->pair_id) {
        *ret = inventory_pair((struct inventory *)&c->inv, q->pair_id);
        return *ret ? TW__STATUS__STATUS_OK : none_matches(q, text, cap);
    }
    if (report_select(&c->inv, &q->pairs, &v, &n) != TW_OK) {
        snprintf(text, cap, "out of memory");
        return TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    }
    *ret = n == 1 ? v[0] : the_scheduled(v, n);
    if (!n)
        status = none_matches(q, text, cap);
    else if (!*ret)
        status = several_match(q, v, n, text, cap);
    free(v);
    return status;
}

/* ---- Which time ---- */

struct span {
    int64_t from_ns, at_ns, to_ns;
};

static Tw__Status find_span(const struct flight_query *q, struct span *ret, char *text, size_t cap)
{
    int64_t at = q->at_ns ? q->at_ns : tw_wall_now().ns;

    if (at < 0 || q->before_ns < 0 || q->after_ns < 0 || q->before_ns + q->after_ns < 1 ||
        q->before_ns > FLIGHT_SPAN_MAX_NS || q->after_ns > FLIGHT_SPAN_MAX_NS ||
        at > INT64_MAX - FLIGHT_SPAN_MAX_NS) {
        snprintf(text, cap,
                 "a span of the flight recorder is longer than 0 and at most a day on either side");
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    }
    *ret = (struct span){ at - q->before_ns, at, at + q->after_ns };
    return TW__STATUS__STATUS_OK;
}

/* ---- Which agent ---- */

/* In words: why it cannot be asked. */
static void say_absent(const struct controller *c, const char *name, char *text, size_t cap)
{
    const struct agent *a = inventory_agent((struct inventory *)&c->inv, name);
    char when[TW_TIME_TEXT];

    if (!a)
        snprintf(text, cap, "agent %s has been removed, and its flight recorder with it", name);
    else if (!a->row.approved)
        snprintf(text, cap, "agent %s is not approved", name);
    else if (a->elsewhere)
        registry_say_where(c->registry, a, text, cap);
    else if (a->last_contact_ns)
        snprintf(text, cap,
                 "agent %s is not connected since %.19sZ: what it recorded can be read when it is back", name,
                 tw_wall_format((struct tw_wall){ a->last_contact_ns }, when));
    else
        snprintf(text, cap, "agent %s is not connected: what it recorded can be read when it is back", name);
}

static struct rpc_peer *peer_of(const struct controller *c, const char *name)
{
    const struct agent *a = inventory_agent((struct inventory *)&c->inv, name);

    return a && a->row.approved ? a->peer : NULL;
}

/* Also of an agent that is connected to another controller. */
static ProtobufCService *service_of(const struct controller *c, const char *name)
{
    const struct agent *a = inventory_agent((struct inventory *)&c->inv, name);
    struct rpc_peer *p = peer_of(c, name);

    if (p)
        return rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, FLIGHT_DEADLINE_MS);
    return a && a->row.approved ? relay_agent(c->relay, a) : NULL;
}

/* Why a call to it came to nothing; inside its done(). */
static Tw__Status say_failure(const char *name, char *text, size_t cap)
{
    struct rpc_result r = rpc_result();

    if (r.status == TW__STATUS__STATUS_UNIMPLEMENTED)
        snprintf(text, cap, "agent %s has no flight recorder: it is older than this controller", name);
    else if (r.status == TW__STATUS__STATUS_DEADLINE_EXCEEDED)
        snprintf(text, cap, "agent %s did not answer within %u s", name, FLIGHT_DEADLINE_MS / 1000);
    else
        snprintf(text, cap, "agent %s: %s", name,
                 r.detail && *r.detail ? r.detail : rpc_status_name(r.status));
    return r.status == TW__STATUS__STATUS_UNIMPLEMENTED ? TW__STATUS__STATUS_FAILED_PRECONDITION
                                                        : TW__STATUS__STATUS_UNAVAILABLE;
}

/* ---- Fetching ---- */

struct fetch {
    struct controller *c;
    void (*done)(void *ctx, const struct flight_result *r);
    void *ctx;
    uint64_t pair_id;
    char agent[STORE_NAME_MAX];
    struct span span;
};

static void fetch_done(const Tw__FlightReply *reply, void *ctx)
{
    struct fetch *f = ctx;
    char text[512] = "";
    struct flight_result r = { .text = text,
                               .pair = inventory_pair(&f->c->inv, f->pair_id),
                               .from_ns = f->span.from_ns,
                               .at_ns = f->span.at_ns,
                               .to_ns = f->span.to_ns,
                               .reply = reply };

    if (!reply)
        r.status = say_failure(f->agent, text, sizeof text);
    f->done(f->ctx, &r);
    free(f);
}

static void call_flight(ProtobufCService *agent, struct fetch *f, const struct flight_query *q)
{
    Tw__FlightRequest rq = TW__FLIGHT_REQUEST__INIT;

    rq.pair_id = f->pair_id;
    rq.one_flow = q->one_flow;
    rq.flow = q->flow;
    rq.from_ns = f->span.from_ns;
    rq.at_ns = f->span.at_ns;
    rq.to_ns = f->span.to_ns;
    rq.limit = q->limit;
    tw__fleet_agent__flight(agent, &rq, fetch_done, f);
}

void flight_fetch(struct controller *c, const struct flight_query *q,
                  void (*done)(void *ctx, const struct flight_result *r), void *ctx)
{
    char text[512] = "";
    struct flight_result r = { .text = text };
    struct fetch *f = NULL;
    ProtobufCService *agent = NULL;
    struct span span;

    r.status = find_span(q, &span, text, sizeof text);
    if (!r.status)
        r.status = find_pair(c, q, &r.pair, text, sizeof text);
    if (!r.status && !(agent = service_of(c, r.pair->row.source))) {
        say_absent(c, r.pair->row.source, text, sizeof text);
        r.status = TW__STATUS__STATUS_UNAVAILABLE;
    }
    if (!r.status && !(f = calloc(1, sizeof *f))) {
        snprintf(text, sizeof text, "out of memory");
        r.status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    }
    if (r.status) {
        done(ctx, &r);
        return;
    }
    *f = (struct fetch){ .c = c, .done = done, .ctx = ctx, .pair_id = r.pair->row.id, .span = span };
    snprintf(f->agent, sizeof f->agent, "%s", r.pair->row.source);
    call_flight(agent, f, q);
}

/* ---- Asking many agents ---- */

struct gather {
    struct controller *c;
    void (*done)(void *ctx, const struct flight_rows *r);
    void *ctx;
    struct report_filter filter;
    struct flight_row *rows;
    size_t n, cap;
    size_t waiting; /* for so many agents, and one for whoever is asking */
    bool truncated;
};
struct asked {
    struct gather *g;
    char agent[STORE_NAME_MAX];
};

/* NULL: there are too many; that is said. */
static struct flight_row *add_row(struct gather *g, const char *agent)
{
    struct flight_row *row;

    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 64;
        struct flight_row *grown = cap <= ROWS_MAX * 2 ? realloc(g->rows, cap * sizeof *grown) : NULL;
        if (!grown) {
            g->truncated = true;
            return NULL;
        }
        g->rows = grown;
        g->cap = cap;
    }
    row = &g->rows[g->n++];
    *row = (struct flight_row){ .pair_id = 0 };
    snprintf(row->agent, sizeof row->agent, "%s", agent);
    return row;
}

static void add_frozen(struct gather *g, const char *agent, const Tw__FlightFrozen *m)
{
    struct flight_row *row = add_row(g, agent);

    if (!row)
        return;
    flight_row_of(m, row);
    snprintf(row->agent, sizeof row->agent, "%s", agent);
}

static void add_error(struct gather *g, const char *agent, uint64_t pair_id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void add_error(struct gather *g, const char *agent, uint64_t pair_id, const char *fmt, ...)
{
    struct flight_row *row = add_row(g, agent);
    va_list ap;

    if (!row)
        return;
    row->pair_id = pair_id;
    va_start(ap, fmt);
    vsnprintf(row->error, sizeof row->error, fmt, ap);
    va_end(ap);
}

static int by_time(const void *a, const void *b)
{
    const struct flight_row *x = a, *y = b;

    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    if (strcmp(x->agent, y->agent) != 0)
        return strcmp(x->agent, y->agent);
    return (x->id > y->id) - (x->id < y->id);
}

static void finish_one(struct gather *g)
{
    struct flight_rows r;

    if (--g->waiting)
        return;
    if (g->n)
        qsort(g->rows, g->n, sizeof *g->rows, by_time);
    r = (struct flight_rows){ .text = "", .rows = g->rows, .n = g->n, .truncated = g->truncated };
    g->done(g->ctx, &r);
    free(g->rows);
    free(g);
}

static void fail_gather(void (*done)(void *ctx, const struct flight_rows *r), void *ctx, Tw__Status status,
                        const char *text)
{
    struct flight_rows r = { .status = status, .text = text };

    done(ctx, &r);
}

static struct gather *new_gather(struct controller *c, const struct report_filter *f,
                                 void (*done)(void *ctx, const struct flight_rows *r), void *ctx)
{
    struct gather *g = calloc(1, sizeof *g);

    if (g)
        *g = (struct gather){ .c = c, .done = done, .ctx = ctx, .filter = *f, .waiting = 1 };
    return g;
}

/* The peer to ask, with what to hand to the call; NULL: that is a row already. */
static struct rpc_peer *begin_asking(struct gather *g, const char *agent, struct asked **ret)
{
    struct rpc_peer *p = peer_of(g->c, agent);
    char text[256] = "out of memory";

    *ret = p ? calloc(1, sizeof **ret) : NULL;
    if (!*ret) {
        if (!p)
            say_absent(g->c, agent, text, sizeof text);
        add_error(g, agent, 0, "%s", text);
        return NULL;
    }
    (*ret)->g = g;
    snprintf((*ret)->agent, sizeof(*ret)->agent, "%s", agent);
    g->waiting++;
    return p;
}

/* ---- Freezing ---- */

static void freeze_done(const Tw__FlightFreezeReply *reply, void *ctx)
{
    struct asked *a = ctx;
    char text[256];

    if (!reply) {
        say_failure(a->agent, text, sizeof text);
        add_error(a->g, a->agent, 0, "%s", text);
    } else if (!reply->recording) {
        add_error(a->g, a->agent, 0, "agent %s records nothing: it was started with --flight-probes 0",
                  a->agent);
    } else if (!reply->n_frozen) {
        add_error(a->g, a->agent, 0, "agent %s recorded no probe in that span", a->agent);
    }
    for (size_t i = 0; reply && i < reply->n_frozen; i++)
        add_frozen(a->g, a->agent, reply->frozen[i]);
    finish_one(a->g);
    free(a);
}

static void ask_to_freeze(struct gather *g, const char *agent, uint64_t *ids, size_t n,
                          const struct flight_query *q, const struct span *span)
{
    Tw__FlightFreezeRequest rq = TW__FLIGHT_FREEZE_REQUEST__INIT;
    struct asked *a;
    struct rpc_peer *p = begin_asking(g, agent, &a);

    if (!p)
        return;
    rq.n_pair_ids = n;
    rq.pair_ids = ids;
    rq.from_ns = span->from_ns;
    rq.at_ns = span->at_ns;
    rq.to_ns = span->to_ns;
    rq.cause = q->cause;
    rq.reason = (char *)q->reason;
    tw__fleet_agent__flight_freeze(
        rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, FLIGHT_DEADLINE_MS), &rq,
        freeze_done, a);
}

static int by_source(const void *a, const void *b)
{
    const struct pair *x = *(const struct pair *const *)a, *y = *(const struct pair *const *)b;

    return strcmp(x->row.source, y->row.source);
}

/* v: pairs, sorted by source. */
static void freeze_by_agent(struct gather *g, const struct pair **v, size_t n, uint64_t *ids,
                            const struct flight_query *q, const struct span *span)
{
    for (size_t i = 0, k; i < n; i += k) {
        for (k = 0; i + k < n && !strcmp(v[i]->row.source, v[i + k]->row.source); k++)
            ids[k] = v[i + k]->row.id;
        ask_to_freeze(g, v[i]->row.source, ids, k, q, span);
    }
}

static Tw__Status select_scheduled(struct controller *c, const struct flight_query *q,
                                   const struct pair ***ret, size_t *ret_n, char *text, size_t cap)
{
    const struct pair **v, *one;
    size_t n, k = 0;

    if (report_select(&c->inv, &q->pairs, &v, &n) != TW_OK) {
        snprintf(text, cap, "out of memory");
        return TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    }
    one = q->pair_id ? inventory_pair(&c->inv, q->pair_id) : NULL;
    for (size_t i = 0; i < n; i++)
        if (v[i]->scheduled && (!q->pair_id || v[i] == one))
            v[k++] = v[i];
    *ret = v;
    *ret_n = k;
    if (k && k <= FLIGHT_PAIRS_MAX)
        return TW__STATUS__STATUS_OK;
    free(v);
    if (!k)
        return none_matches(q, text, cap);
    snprintf(text, cap, "%zu pairs match: at most %u can be frozen at once", k, FLIGHT_PAIRS_MAX);
    return TW__STATUS__STATUS_INVALID_ARGUMENT;
}

void flight_freeze(struct controller *c, const struct flight_query *q,
                   void (*done)(void *ctx, const struct flight_rows *r), void *ctx)
{
    const struct pair **v = NULL;
    uint64_t *ids = NULL;
    struct gather *g = NULL;
    struct span span;
    char text[512];
    size_t n = 0;
    Tw__Status status = find_span(q, &span, text, sizeof text);

    if (!status)
        status = select_scheduled(c, q, &v, &n, text, sizeof text);
    if (status) {
        fail_gather(done, ctx, status, text);
        return;
    }
    g = new_gather(c, &q->pairs, done, ctx);
    ids = malloc(n * sizeof *ids);
    if (!g || !ids) {
        free(g);
        fail_gather(done, ctx, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        qsort(v, n, sizeof(struct pair *), by_source);
        freeze_by_agent(g, v, n, ids, q, &span);
        finish_one(g);
    }
    free(ids);
    free(v);
}

/* ---- Listing ---- */

static bool is_wanted(const struct gather *g, uint64_t pair_id)
{
    static const struct store_pair unknown = { 0, "", "", "", "", 0 };
    const struct pair *p = inventory_pair(&g->c->inv, pair_id);
    struct report_match m;
    bool wanted;

    if (report_match_begin(&m, &g->c->inv, &g->filter) != TW_OK)
        return true; /* no memory: rather too much than too little */
    wanted = report_matches(&m, p ? &p->row : &unknown);
    report_match_end(&m);
    return wanted;
}

static void list_done(const Tw__FlightListReply *reply, void *ctx)
{
    struct asked *a = ctx;
    char text[256];

    if (!reply) {
        say_failure(a->agent, text, sizeof text);
        add_error(a->g, a->agent, 0, "%s", text);
    }
    for (size_t i = 0; reply && i < reply->n_frozen; i++)
        if (is_wanted(a->g, reply->frozen[i]->pair_id))
            add_frozen(a->g, a->agent, reply->frozen[i]);
    if (reply && reply->truncated)
        a->g->truncated = true;
    finish_one(a->g);
    free(a);
}

void flight_list(struct controller *c, const struct report_filter *f,
                 void (*done)(void *ctx, const struct flight_rows *r), void *ctx)
{
    Tw__FlightListRequest rq = TW__FLIGHT_LIST_REQUEST__INIT;
    struct gather *g;

    if (*f->source && !inventory_agent(&c->inv, f->source)) {
        char text[256];
    char mean[NEAR_TEXT];
        snprintf(text, sizeof text, "no agent \"%s\"%s: twampctl agent list shows them", f->source, near_agent(&c->inv, f->source, mean));
        fail_gather(done, ctx, TW__STATUS__STATUS_NOT_FOUND, text);
        return;
    }
    g = new_gather(c, f, done, ctx);
    if (!g) {
        fail_gather(done, ctx, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    for (const struct agent *a = c->inv.agents; a; a = a->hh.next) {
        struct asked *asked;
        struct rpc_peer *p;
        if (!a->row.approved || (*f->source && strcmp(f->source, a->row.name) != 0))
            continue;
        p = begin_asking(g, a->row.name, &asked);
        if (p)
            tw__fleet_agent__flight_list(
                rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, FLIGHT_DEADLINE_MS), &rq,
                list_done, asked);
    }
    finish_one(g);
}
