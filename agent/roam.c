#include "agent/roam.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"

#define PING_MS 2000    /* with other controllers to go to */
#define DETAIL_TEXT 513 /* as rpc has it */

/* One connection, or an attempt at one. */
struct link {
    struct roam *r;
    struct rpc_client *client; /* NULL: free */
    struct rpc_peer *peer;     /* NULL: not up (any more) */
    size_t which;              /* in rank */
    bool was_up, ended;        /* it is over: to be taken away */
    bool left;                 /* by us: nobody listens to it */
    Tw__Status status;         /* how it ended */
    char detail[DETAIL_TEXT];
};

struct roam {
    struct roam_conf conf;
    struct homing homing;
    struct link links[3]; /* in use, dialling, and one that is being left */
    struct link *used;    /* NULL: not connected */
    struct rpc_welcome welcome;
    struct loop_task step; /* what follows from a hook is done outside of it */
    struct loop_timer timer;
    struct log_limit failures;
    bool stopping;
    struct {
        char why[160];
        int64_t since_ns;
    } told[HOMING_MAX]; /* by rank */
};

/* ---- What is known of each ---- */

static void tell(struct roam *r, size_t which, const char *why)
{
    if (!*why || strcmp(r->told[which].why, why) != 0)
        r->told[which].since_ns = tw_wall_now().ns;
    snprintf(r->told[which].why, sizeof r->told[which].why, "%s", why);
}

size_t roam_view(const struct roam *r, struct roam_view ret[HOMING_MAX])
{
    for (size_t i = 0; i < r->homing.n; i++) {
        ret[i] = (struct roam_view){ .url = r->homing.v[i].url,
                                     .connected = r->homing.at == i,
                                     .since_ns = r->told[i].since_ns };
        memcpy(ret[i].why, r->told[i].why, sizeof ret[i].why);
    }
    return r->homing.n;
}

uint64_t roam_moves(const struct roam *r)
{
    return r->homing.moves;
}

struct rpc_welcome roam_welcome(const struct roam *r)
{
    return r->welcome;
}

const char *roam_url(const struct roam *r)
{
    return r->used ? r->homing.v[r->used->which].url : NULL;
}

/* ---- Hooks of the connections ---- */

static void soon(struct roam *r)
{
    if (!r->stopping)
        loop_post(r->conf.client.loop, &r->step);
}

static void leave(struct roam *r, Tw__Status status, const char *why)
{
    struct link *old = r->used;

    r->used = NULL;
    if (!old)
        return;
    old->left = true;
    rpc_peer_close(old->peer, status, why);
    r->conf.client.hooks.on_down(r->conf.client.hooks.ctx, old->peer, status, why);
}

/* Not where an operator has still to let us in, as long as another one works with us. */
static bool is_no_better(const struct roam *r, const struct rpc_welcome *w)
{
    return r->used && r->welcome.approved && !w->approved;
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct link *l = ctx;
    struct roam *r = l->r;
    struct rpc_welcome w = rpc_client_welcome(l->client);

    if (r->stopping || l->left)
        return;
    l->peer = p;
    if (is_no_better(r, &w)) {
        rpc_peer_close(p, TW__STATUS__STATUS_ABORTED, "this agent is not approved here, and it is elsewhere");
        return;
    }
    l->was_up = true;
    leave(r, TW__STATUS__STATUS_ABORTED, "moved to a controller that this agent prefers");
    homing_up(&r->homing, l->which, tw_mono_now());
    tell(r, l->which, "");
    r->used = l;
    r->welcome = w;
    r->conf.client.hooks.on_up(r->conf.client.hooks.ctx, p);
    soon(r);
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct link *l = ctx;
    struct roam *r = l->r;

    l->peer = NULL;
    l->ended = true;
    l->status = status;
    snprintf(l->detail, sizeof l->detail, "%s", detail);
    if (r->stopping)
        return;
    if (r->used == l) {
        r->used = NULL;
        r->conf.client.hooks.on_down(r->conf.client.hooks.ctx, p, status, detail);
    }
    soon(r);
}

static void on_refused(void *ctx, Tw__Status status, const char *detail)
{
    struct link *l = ctx;
    const struct rpc_hooks *h = &l->r->conf.client.hooks;

    if (!l->r->stopping && !l->left && !l->r->used)
        h->on_refused(h->ctx, status, detail);
}

static void on_ack(void *ctx, struct rpc_peer *p, uint64_t through_seq, const struct rpc_ahead *ahead,
                   uint32_t window, Tw__Status status, const char *detail)
{
    struct link *l = ctx;
    const struct rpc_hooks *h = &l->r->conf.client.hooks;

    if (l->r->used == l) /* of another controller it says nothing about what this one has */
        h->on_ack(h->ctx, p, through_seq, ahead, window, status, detail);
}

/* ---- Beginning and ending them ---- */

static struct link *free_link(struct roam *r)
{
    for (size_t i = 0; i < TW_NELEM(r->links); i++)
        if (!r->links[i].client)
            return &r->links[i];
    for (size_t i = 0; i < TW_NELEM(r->links); i++)
        if (r->links[i].left) { /* its second is not over */
            rpc_client_stop(r->links[i].client);
            return &r->links[i];
        }
    return NULL;
}

static enum homing_end end_of(const struct link *l, const struct rpc_client_end *e)
{
    if (e->silent)
        return HOMING_SILENT;
    if (!e->sent_away)
        return HOMING_BROKEN;
    if (e->elsewhere)
        return HOMING_AWAY;
    if (l->status == TW__STATUS__STATUS_PERMISSION_DENIED)
        return HOMING_UNWANTED;
    if (!l->was_up)
        return HOMING_REFUSED;
    return l->status == TW__STATUS__STATUS_UNAVAILABLE || l->status == TW__STATUS__STATUS_ABORTED ||
                   l->status == TW__STATUS__STATUS_UNAUTHENTICATED
               ? HOMING_AGAIN
               : HOMING_BROKEN;
}

/* What rpc says begins with the URL sometimes, which is said beside it anyway. */
static const char *without_url(const struct roam *r, const struct link *l)
{
    char start[512];
    size_t n = (size_t)snprintf(start, sizeof start, "cannot connect to %s: ", r->homing.v[l->which].url);

    return n < sizeof start && !strncmp(l->detail, start, n) ? l->detail + n : l->detail;
}

static void log_end(struct roam *r, const struct link *l)
{
    unsigned held = 0;

    if (r->used) /* a better one was tried, and is not there yet */
        return;
    if (log_limit_ok(&r->failures, tw_mono_now().ns, &held))
        log_warn(l->was_up ? "connection to the controller lost" : "cannot connect to the controller",
                 LOG_S("url", r->homing.v[l->which].url), LOG_S("status", rpc_status_name(l->status)),
                 LOG_S("reason", l->detail), LOG_U("not_logged", held));
}

static void drop(struct roam *r, struct link *l, enum homing_end end, int64_t retry_ns)
{
    homing_ended(&r->homing, l->which, end, retry_ns, tw_mono_now());
    tell(r, l->which, without_url(r, l));
    log_end(r, l);
}

/* Those that are over. */
static void reap(struct roam *r)
{
    for (size_t i = 0; i < TW_NELEM(r->links); i++) {
        struct link *l = &r->links[i];
        struct rpc_client_end e;

        if (!l->client || !l->ended)
            continue;
        e = rpc_client_end(l->client);
        if (!l->left)
            drop(r, l, end_of(l, &e), (int64_t)e.retry_ms * TW_NS_PER_MS);
        rpc_client_stop(l->client);
        *l = (struct link){ 0 };
    }
}

static void dial(struct roam *r, size_t which)
{
    struct link *l = free_link(r);
    struct rpc_client_conf c = r->conf.client;
    struct tw_err err = { 0 };

    c.url = r->homing.v[which].url;
    c.once = true;
    c.others = homing_has_others(&r->homing, tw_mono_now());
    c.times.dead_ms = homing_dead_ms(&r->homing);
    c.times.ping_ms = c.times.dead_ms ? PING_MS : 0;
    c.hooks = (struct rpc_hooks){
        .ctx = l, .on_up = on_up, .on_down = on_down, .on_refused = on_refused, .on_ack = on_ack
    };
    *l = (struct link){ .r = r, .which = which };
    if (rpc_client_start(&c, &l->client, &err) == TW_OK)
        return;
    l->status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    snprintf(l->detail, sizeof l->detail, "%s", err.text);
    drop(r, l, HOMING_BROKEN, 0);
}

static void give_up(struct roam *r, size_t which)
{
    struct link *l = r->links;

    while (!l->client || l->left || l == r->used || l->which != which)
        l++;
    l->left = true;
    rpc_client_stop(l->client);
    l->client = NULL;
    l->status = TW__STATUS__STATUS_DEADLINE_EXCEEDED;
    snprintf(l->detail, sizeof l->detail, "no answer in time, so others are tried");
    drop(r, l, HOMING_SILENT, 0);
    *l = (struct link){ 0 };
}

static void go_on(struct roam *r)
{
    struct homing_step s;

    reap(r);
    for (;;) {
        s = homing_next(&r->homing, tw_mono_now());
        if (s.what == HOMING_WAIT)
            break;
        if (s.what == HOMING_DIAL)
            dial(r, s.which);
        else
            give_up(r, s.which);
    }
    loop_timer_cancel(r->conf.client.loop, &r->timer);
    if (s.due.ns != TW_MONO_NEVER.ns && loop_timer_set(r->conf.client.loop, &r->timer, s.due) != TW_OK)
        log_error("no memory for a timer: this agent does not connect again before the next event");
}

static void on_step(struct loop_task *t)
{
    go_on(t->ctx);
}

static void on_timer(struct loop_timer *t)
{
    go_on(t->ctx);
}

void roam_hurry(struct roam *r)
{
    homing_hurry(&r->homing, tw_mono_now());
    soon(r);
}

/* ---- Lifetime ---- */

enum tw_rc roam_start(const struct roam_conf *c, struct roam **ret, struct tw_err *err)
{
    struct roam *r;
    uint64_t seed = (uint64_t)tw_mono_now().ns;

    for (size_t i = 0; i < c->n_urls; i++)
        if (rpc_check_url(c->urls[i], err) != TW_OK)
            return TW_EINVAL;
    r = calloc(1, sizeof *r);
    if (!r)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    r->conf = *c;
    r->conf.urls = NULL; /* homing has them */
    r->welcome.detail = "";
    r->step = (struct loop_task){ .fn = on_step, .ctx = r };
    r->timer = (struct loop_timer){ .fn = on_timer, .ctx = r };
    r->failures.burst = 3;
    identity_random((uint8_t *)&seed, sizeof seed); /* failing means less jitter but no harm */
    homing_init(&r->homing, c->client.name, c->urls, c->n_urls, seed);
    soon(r);
    *ret = r;
    return TW_OK;
}

void roam_stop(struct roam *r)
{
    if (!r)
        return;
    r->stopping = true;
    for (size_t i = 0; i < TW_NELEM(r->links); i++)
        rpc_client_stop(r->links[i].client);
    loop_unpost(r->conf.client.loop, &r->step);
    loop_timer_cancel(r->conf.client.loop, &r->timer);
    free(r);
}
