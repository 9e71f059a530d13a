#include "controller/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/net/now.h"
#include "common/version.h"
#include "controller/absence.h"
#include "controller/alerts.h"
#include "controller/events.h"
#include "controller/planner.h"
#include "controller/registry_homes.h"
#include "controller/relay.h"
#include "db/where.h"

#define LOOK_NS (500 * TW_NS_PER_MS)
#define WRITE_NS (2 * TW_NS_PER_S)  /* what is different goes no more often */
#define RENEW_NS (60 * TW_NS_PER_S) /* and by then in any case: it says when we were there last */
#define FORGET_NS (7 * 86400 * TW_NS_PER_S)
#define ADOPT_NS (3 * WRITE_NS)
#define SLOT_RELAY (1 + HOMES_SLOTS)
#define SLOTS (SLOT_RELAY + 1)
#define NAMES_MAX 64 /* of controllers that agents were at since our start: those of more are not told */

struct registry {
    struct controller *c;
    struct presence *presence;
    struct registry_list list;
    struct registry_facts own; /* as it was said last */
    struct homes homes;        /* of agents, by what the others say */
    struct homes_own mine;
    uint64_t said_sum[HOMES_SLOTS];
    char *names[NAMES_MAX];    /* of controllers; agents refer to them */
    struct loop_timer timer;
    struct loop_task heard;
    int64_t said_ns; /* monotonic; 0: never */
    int64_t lease;   /* ours; 0: none */
    bool hears;      /* we are there for the others, and hear of them: who is not there is gone */
    bool twin;       /* told */
    char warning[320];
};

/* ---- What we say ---- */

static uint32_t connected(const struct controller *c)
{
    uint32_t n = 0;

    for (const struct agent *a = c->inv.agents; a; a = a->hh.next)
        n += a->peer != NULL;
    return n;
}

static void fill(struct registry *r, struct registry_facts *f)
{
    const char *problem = "";
    size_t n = controller_problems(r->c, &problem, 1);

    f->time_ns = tw_wall_now().ns;
    f->agents = connected(r->c);
    f->planner = planner_is(r->c->planner);
    f->ready = !n;
    memset(f->problem, 0, sizeof f->problem);
    snprintf(f->problem, sizeof f->problem, "%s", n ? problem : "");
}

/* Which agents we have, and which we had last. False: there is nothing new. */
static bool say_agents(struct registry *r)
{
    bool any = false;

    homes_own_clear(&r->mine);
    for (const struct agent *a = r->c->inv.agents; a; a = a->hh.next)
        if (a->row.id > 0 && (a->peer || a->ours) && homes_own_add(&r->mine, a->row.id, a->peer != NULL) != TW_OK)
            return false;
    for (unsigned i = 0; i < HOMES_SLOTS; i++) {
        const struct homes_part *p = &r->mine.parts[i];
        char *text;

        if (r->said_ns && p->sum == r->said_sum[i])
            continue;
        text = homes_text(p);
        if (!text)
            continue;
        presence_put(r->presence, 1 + i, text);
        r->said_sum[i] = p->sum;
        any = true;
    }
    return any;
}

static void say(struct registry *r)
{
    struct registry_facts now = r->own;
    int64_t mono_ns = tw_mono_now().ns, age_ns = mono_ns - r->said_ns;
    bool other;
    char *text;

    if (r->said_ns && age_ns < WRITE_NS)
        return;
    fill(r, &now);
    other = say_agents(r) || !r->said_ns || age_ns >= RENEW_NS || !registry_row_same(&now, &r->own);
    text = other ? registry_row_write(&now) : NULL;
    if (!text)
        return;
    presence_put(r->presence, 0, text);
    r->own = now;
    r->said_ns = mono_ns;
}

/* ---- What we hear ---- */

static void take(void *ctx, const struct presence_text *t)
{
    struct registry *r = ctx;

    if (!t->slot && registry_list_take(&r->list, t, tw_wall_now().ns) == TW_ECORRUPT)
        log_debug("what a controller says of itself cannot be read", LOG_S("name", t->name));
}

static const char *keep_name(struct registry *r, const char *name)
{
    for (size_t i = 0; i < NAMES_MAX; i++) {
        if (!r->names[i])
            r->names[i] = strdup(name);
        if (!r->names[i] || !strcmp(r->names[i], name))
            return r->names[i];
    }
    return NULL;
}

/* After all of slot 0 was taken: only those of others that are there count. */
static void take_agents(void *ctx, const struct presence_text *t)
{
    struct registry *r = ctx;
    const struct registry_member *m = t->slot && t->slot <= HOMES_SLOTS && t->lease != r->lease
                                          ? registry_list_member(&r->list, t->lease)
                                          : NULL;
    const char *name = m ? keep_name(r, m->facts.name) : NULL;

    if (!m || (name && homes_take(&r->homes, name, t->lease, t->slot, t->revision, t->text) == TW_OK))
        return;
    r->hears = false; /* in this round: agents that seem to be nobody's may be that one's */
    log_debug("which agents a controller has cannot be taken", LOG_S("name", m->facts.name));
}

/* ---- Who judges an agent that nobody has ---- */

static bool is_planner(const struct registry *r, const char *controller)
{
    for (size_t i = 0; i < r->list.n_rows; i++)
        if (r->list.rows[i].state == REGISTRY_UP && r->list.rows[i].facts->planner &&
            !strcmp(r->list.rows[i].facts->name, controller))
            return true;
    return false;
}

/* Whoever had it last, until another one has it. Of two, of which one was thought to be gone, the planner. */
static void give_up(struct registry *r, struct agent *a, const struct home *home, bool planner)
{
    if (home && (home->connected || (!planner && is_planner(r, home->controller))))
        alerts_agent_went(r->c->alerts, a);
}

/* Its controller is gone, or it has been at none since all were started: after a while in which others may
 * say that they have it the planner takes it over. Its controller may have ended any time in its lease. */
static void adopt(struct registry *r, struct agent *a, int64_t now_ns)
{
    if (!a->nobodys_ns)
        a->nobodys_ns = now_ns;
    if (now_ns - a->nobodys_ns < ADOPT_NS)
        return;
    a->nobodys_ns = 0;
    a->last_contact_ns -= a->was_elsewhere ? REGISTRY_LEASE_NS : 0;
    a->was_elsewhere = false;
    absence_lost(r->c, a);
    alerts_agent_came(r->c->alerts, a);
}

static void judge(struct registry *r, struct agent *a, const struct home *home, bool planner)
{
    bool nobodys = !home && !a->ours && a->row.approved && !agent_is_revoked(a);

    if (a->ours)
        give_up(r, a, home, planner);
    if (nobodys && planner && r->hears)
        adopt(r, a, tw_mono_now().ns);
    else
        a->nobodys_ns = 0;
}

/* Agents may be new, too, so all are looked at in any case. */
static void place_agents(struct registry *r)
{
    bool any = false, planner = planner_is(r->c->planner);
    int64_t now_ns = tw_wall_now().ns;

    for (struct agent *a = r->c->inv.agents; a; a = a->hh.next) {
        const struct home *home = a->row.id > 0 ? homes_find(&r->homes, a->row.id) : NULL;
        const char *at = home && home->connected ? home->controller : NULL;

        any |= a->elsewhere != at;
        a->elsewhere = at;
        a->was_elsewhere = !a->peer && (at || a->was_elsewhere);
        if (a->peer)
            continue;
        if (at)
            a->last_contact_ns = now_ns;
        judge(r, a, home, planner);
    }
    if (any)
        events_note(r->c->events, EVENT_AGENTS);
}

static void look_for_twin(struct registry *r)
{
    const struct registry_row *twin = NULL;

    for (size_t i = 0; i < r->list.n_rows; i++)
        if (r->list.rows[i].twin && !r->list.rows[i].self &&
            !strcmp(r->list.rows[i].facts->name, r->own.name))
            twin = &r->list.rows[i];
    r->warning[0] = '\0';
    if (twin)
        snprintf(r->warning, sizeof r->warning,
                 "another controller has the name %.60s, too (on %.60s, for agents %.60s): give each a "
                 "--name of its own",
                 r->own.name, twin->facts->host, twin->facts->agents_at);
    if (twin && !r->twin)
        log_warn("another controller has this one's name: give each a --name of its own",
                 LOG_S("name", r->own.name), LOG_S("host", twin->facts->host),
                 LOG_S("agents_at", twin->facts->agents_at));
    r->twin = twin != NULL;
}

/* Nobody waits for one that has been gone for so long: the planner takes it out. */
static void forget_old(struct registry *r)
{
    int64_t now_ns = tw_wall_now().ns;

    for (size_t i = 0; i < r->list.n_rows; i++) {
        const struct registry_row *row = &r->list.rows[i];

        if (row->state != REGISTRY_UP && now_ns - row->gone_ns > FORGET_NS && planner_is(r->c->planner)) {
            presence_forget(r->presence, row->facts->name);
            return;
        }
    }
}

static void tell_changes(const struct registry_row *row, enum registry_state before)
{
    if (row->state == before)
        return;
    if (row->state == REGISTRY_UP)
        log_info("a controller is there", LOG_S("name", row->facts->name),
                 LOG_S("version", row->facts->version), LOG_S("agents_at", row->facts->agents_at));
    else if (row->state == REGISTRY_ENDED)
        log_info("a controller has ended", LOG_S("name", row->facts->name));
    else
        log_warn("a controller is missing", LOG_S("name", row->facts->name),
                 LOG_S("agents_at", row->facts->agents_at));
}

/* States before, to tell what is different. */
struct before {
    size_t n;
    struct {
        char name[REGISTRY_NAME_MAX];
        enum registry_state state;
    } v[];
};

static struct before *note_before(const struct registry_list *l)
{
    struct before *b = calloc(1, sizeof *b + l->n_rows * sizeof b->v[0]);

    for (size_t i = 0; b && i < l->n_rows; i++) {
        snprintf(b->v[b->n].name, sizeof b->v[b->n].name, "%s", l->rows[i].facts->name);
        b->v[b->n++].state = l->rows[i].state;
    }
    return b;
}

static void tell(const struct registry_list *l, const struct before *b)
{
    for (size_t i = 0; b && i < l->n_rows; i++) {
        enum registry_state before = REGISTRY_STATES;

        for (size_t k = 0; k < b->n; k++)
            if (!strcmp(b->v[k].name, l->rows[i].facts->name))
                before = b->v[k].state;
        if (!l->rows[i].self)
            tell_changes(&l->rows[i], before);
    }
}

static void look(struct registry *r)
{
    struct before *before = note_before(&r->list);
    struct presence_state state;

    registry_list_begin(&r->list);
    state = presence_read(r->presence, take, r);
    if (registry_list_end(&r->list, state.lease, tw_wall_now().ns) == TW_OK)
        tell(&r->list, before);
    free(before);
    r->lease = state.lease;
    r->hears = state.heard && state.hears && state.lease;
    homes_begin(&r->homes);
    presence_read(r->presence, take_agents, r);
    homes_end(&r->homes);
    place_agents(r);
    look_for_twin(r);
    forget_old(r);
    relay_look(r->c->relay);
}

static void on_heard(struct loop_task *t)
{
    look(t->ctx);
}

/* A thread of presence's. */
static void changed(void *ctx)
{
    struct registry *r = ctx;

    loop_post(r->c->loop, &r->heard);
}

static void on_timer(struct loop_timer *t)
{
    struct registry *r = t->ctx;

    say(r);
    look(r);
    if (loop_timer_set(r->c->loop, t, (struct tw_mono){ tw_mono_now().ns + LOOK_NS }) != TW_OK)
        log_error("no memory for the timer of the registry: what this controller says of itself is old");
}

/* ---- For others ---- */

size_t registry_rows(const struct registry *r, const struct registry_row **ret)
{
    *ret = r ? r->list.rows : NULL;
    return r ? r->list.n_rows : 0;
}

const char *registry_warning(const struct registry *r)
{
    return r ? r->warning : "";
}

const struct registry_row *registry_find_up(const struct registry *r, const char *name)
{
    for (size_t i = r ? r->list.n_rows : 0; i--;)
        if (r->list.rows[i].state == REGISTRY_UP && !strcmp(r->list.rows[i].facts->name, name))
            return &r->list.rows[i];
    return NULL;
}

bool registry_takes_calls(const struct registry *r, const char *name)
{
    const struct registry_row *row = registry_find_up(r, name);

    return row && row->facts->takes_calls;
}

void registry_put_relay(struct registry *r, char *text)
{
    presence_put(r->presence, SLOT_RELAY, text);
}

struct relay_reader {
    struct registry *r;
    void (*fn)(void *ctx, const struct presence_text *t);
    void *ctx;
};

static void read_relay(void *ctx, const struct presence_text *t)
{
    const struct relay_reader *rd = ctx;

    if (t->slot == SLOT_RELAY && t->lease != rd->r->lease && registry_list_member(&rd->r->list, t->lease))
        rd->fn(rd->ctx, t);
}

void registry_read_relay(struct registry *r, void (*fn)(void *ctx, const struct presence_text *t), void *ctx)
{
    presence_read(r->presence, read_relay, &(struct relay_reader){ r, fn, ctx });
}

void registry_say_where(const struct registry *r, const struct agent *a, char *text, size_t cap)
{
    const struct registry_row *row = registry_find_up(r, a->elsewhere);
    const char *at = row ? row->facts->admin_at : "", *http = row ? row->facts->http_at : "";

    snprintf(text, cap, "agent %s is connected to controller %s: ask that one%s%s%s", a->row.name, a->elsewhere,
             *at ? " (twampctl --controller " : *http ? " (" : "", *at ? at : http, *at || *http ? ")" : "");
}

struct registry_counts registry_counts(const struct registry *r)
{
    struct registry_counts n = { .twins = 0 };

    for (size_t i = 0; r && i < r->list.n_rows; i++) {
        const struct registry_row *row = &r->list.rows[i];

        n.of[row->state]++;
        n.twins += row->twin;
        n.other_release += row->state == REGISTRY_UP && strcmp(row->facts->version, tw_version) != 0;
    }
    return n;
}

/* ---- Life ---- */

/* --advertise: the host, and the URL of HTTP where that is another one. */
static void advertised(const struct controller_conf *conf, const char **ret_host, const char **ret_http)
{
    *ret_host = *ret_http = NULL;
    for (size_t i = 0; i < conf->advertise.n; i++)
        if (strstr(conf->advertise.v[i], "://"))
            *ret_http = conf->advertise.v[i];
        else
            *ret_host = conf->advertise.v[i];
}

static void fill_addresses(const struct controller_conf *conf, const char *host_name,
                           struct registry_facts *f)
{
    const char *host, *http;
    bool has_http = conf->http && strcmp(conf->http, "off") != 0;

    advertised(conf, &host, &http);
    registry_address(conf->listen, "tcp", host, host_name, f->agents_at);
    registry_address(conf->admin_tls ? conf->admin_tls : conf->admin_listen, "tcp", host, host_name,
                     f->admin_at);
    if (has_http && http)
        snprintf(f->http_at, sizeof f->http_at, "%s", http);
    else if (has_http)
        registry_address(conf->http, conf->http_tls_cert ? "https" : "http", host, host_name, f->http_at);
}

static enum tw_rc begin(struct registry *r, const struct controller_conf *conf, struct tw_err *err)
{
    struct controller *c = r->c;
    uint64_t owner;
    enum tw_rc rc = store_where_owner(c->db_path, &owner, err);

    if (rc)
        return rc;
    snprintf(r->own.name, sizeof r->own.name, "%s", c->name);
    snprintf(r->own.version, sizeof r->own.version, "%s", tw_version);
    snprintf(r->own.host, sizeof r->own.host, "%s", c->host_name);
    fill_addresses(conf, c->host_name, &r->own);
    r->own.owner = (int64_t)owner;
    r->own.started_ns = c->started_ns;
    r->own.takes_calls = true;
    rc = store_where_presence(
        conf->control,
        &(struct presence_conf){
            .name = r->own.name, .ttl_ns = REGISTRY_LEASE_NS, .slots = SLOTS, .changed = changed, .ctx = r },
        &r->presence, err);
    if (!rc)
        on_timer(&r->timer);
    return rc;
}

enum tw_rc registry_start(struct controller *c, const struct controller_conf *conf, struct registry **ret,
                          struct tw_err *err)
{
    struct registry *r = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    r->c = c;
    r->timer = (struct loop_timer){ .fn = on_timer, .ctx = r };
    r->heard = (struct loop_task){ .fn = on_heard, .ctx = r };
    rc = begin(r, conf, err);
    if (rc) {
        registry_stop(r);
        return rc;
    }
    *ret = r;
    return TW_OK;
}

void registry_stop(struct registry *r)
{
    char *last;

    if (!r)
        return;
    loop_timer_cancel(r->c->loop, &r->timer);
    r->own.time_ns = r->own.ended_ns = tw_wall_now().ns;
    r->own.agents = 0;
    last = registry_row_write(&r->own);
    presence_stop(r->presence, last);
    free(last);
    loop_unpost(r->c->loop, &r->heard);
    for (struct agent *a = r->c->inv.agents; a; a = a->hh.next)
        a->elsewhere = NULL;
    registry_list_free(&r->list);
    homes_free(&r->homes);
    homes_own_free(&r->mine);
    for (size_t i = 0; i < NAMES_MAX; i++)
        free(r->names[i]);
    free(r);
}
