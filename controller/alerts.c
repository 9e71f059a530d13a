#include "controller/alerts.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/alert_doc.h"
#include "controller/alert_past.h"
#include "controller/alert_row.h"
#include "controller/alert_save.h"
#include "controller/decide.h"
#include "controller/events.h"
#include "controller/flight.h"
#include "controller/maintenance.h"
#include "controller/notify_format.h"
#include "controller/shared_id.h"
#include "db/store_alert.h"

#define TICK_NS TW_NS_PER_S
#define SCAN_MAX 20000   /* pairs of one round: a million take a minute */
#define SCAN_PIECE 64    /* of them at a time, */
#define LOOKS_PIECE 2000 /* and of pairs and alerts by the engine, */
#define PIECE_NS                                                                              \
    (5 * TW_NS_PER_MS) /* until so much time has passed: then the loop has other things to do \
                        */
#define PAUSE_NS TW_NS_PER_MS
#define SHARE 10                     /* of the loop's time, at most: a tenth */
#define FRESH_NS (120 * TW_NS_PER_S) /* after our start: what has not come yet may be on its way */
#define AGENTS_NS (60 * TW_NS_PER_S) /* agents come back within that */
#define FLOWS_NS (3 * TW_NS_PER_S)   /* a period whose flows have not all come by then goes as it is */
#define FREEZES_MAX 100              /* of one minute: a fleet that burns must not be kept busy by it */
#define FREEZE_AROUND_NS (30 * TW_NS_PER_S)
#define RESEND_MAX 1000              /* alerts of one message */
#define STEP_NS (500 * TW_NS_PER_MS) /* by which the wall clock runs away between two looks: it was set */

struct alerts {
    struct controller *c;
    struct alert_engine *engine;
    struct alert_rules rules;
    struct alerts_document doc;
    struct alert_save *save;
    struct alert_pasts *pasts;
    struct notify *notify;
    struct loop_timer timer;
    size_t scan_at;
    struct {
        bool on, scanned;
        size_t left;                /* pairs to scan */
        int64_t began_ns, spent_ns; /* monotonic */
    } round;
    uint64_t last_notice, last_silence;
    int64_t minute_ns; /* mono, as resent_ns */
    unsigned freezes_of_minute;
    int64_t resent_ns[64]; /* by receiver */
    int64_t started_ns;    /* by the wall clock as it is now */
    int64_t ahead_ns;      /* of the wall clock before the monotonic one; 0: not looked yet */
    struct alerts_counters counters;
    struct {
        bool busy;
        struct alert_rules rules;
        struct alerts_document doc;
        alerts_done *done;
        void *ctx;
    } apply;
};

/* The clock was set: what goes on has begun so much later, or earlier, by it. Periods are of the agents'
 * clocks. */
static void stepped(struct alerts *a, int64_t by_ns)
{
    log_warn("the clock of this host was set", LOG_I("by_ms", by_ns / TW_NS_PER_MS));
    a->started_ns += by_ns;
    inventory_stepped(&a->c->inv, by_ns);
    if (a->c->publish)
        publish_stepped(a->c->publish, by_ns);
    alert_engine_stepped(a->engine, by_ns);
}

static int64_t now_of(struct alerts *a)
{
    struct tw_now now = loop_now(a->c->loop);
    int64_t ahead_ns = now.wall.ns - now.mono.ns, by_ns = ahead_ns - a->ahead_ns;
    bool first = !a->ahead_ns;

    a->ahead_ns = ahead_ns;
    if (!first && (by_ns > STEP_NS || by_ns < -STEP_NS))
        stepped(a, by_ns);
    return now.wall.ns;
}

static int64_t mono_of(const struct alerts *a)
{
    return loop_now(a->c->loop).mono.ns;
}

/* Where others give numbers, too, theirs must be others. */
static uint64_t next_number(struct alerts *a, uint64_t *last)
{
    return a->c->shared ? shared_id_next(loop_now(a->c->loop).wall, last) : ++*last;
}

/* ---- Subjects ---- */

static struct agent *agent_named(const struct alerts *a, const char *name)
{
    return inventory_agent(&a->c->inv, name);
}

struct alert_subject alerts_subject(struct alerts *a, const struct pair *p)
{
    const struct agent *source = agent_named(a, p->row.source), *target = agent_named(a, p->row.target);

    return (struct alert_subject){ .pair_id = p->row.id,
                                   .mesh = p->row.mesh,
                                   .class_name = p->row.class_name,
                                   .source = p->row.source,
                                   .target = p->row.target,
                                   .source_labels = source ? source->labels : NULL,
                                   .target_labels = target ? target->labels : NULL,
                                   .n_source_labels = source ? source->n_labels : 0,
                                   .n_target_labels = target ? target->n_labels : 0 };
}

struct alert_subject alerts_agent_subject(const struct agent *ag)
{
    return (struct alert_subject){ .mesh = "",
                                   .class_name = "",
                                   .source = ag->row.name,
                                   .target = "",
                                   .source_labels = ag->labels,
                                   .n_source_labels = ag->n_labels };
}

/* ---- What the engine asks ---- */

static void on_changed(void *ctx, const struct alert *al)
{
    struct alerts *a = ctx;

    if (al->elsewhere)
        alert_save_ack(a->save, al);
    else
        alert_save_alert(a->save, al, now_of(a));
    events_note(a->c->events, EVENT_ALERTS);
}

static void on_dropped(void *ctx, const struct alert *al)
{
    struct alerts *a = ctx;

    alert_save_drop(a->save, al->id);
    events_note(a->c->events, EVENT_ALERTS);
}

static bool on_want(void *ctx, const struct alert_want *w)
{
    return alert_pasts_want(((struct alerts *)ctx)->pasts, w);
}

static void on_past(void *ctx, const struct alert_want *w, struct alert_past *v, size_t n)
{
    alert_engine_learn(((struct alerts *)ctx)->engine, w, v, n);
}

static uint32_t flows_of(void *ctx, uint64_t pair_id)
{
    const struct pair *p = inventory_pair(&((struct alerts *)ctx)->c->inv, pair_id);

    return p && p->flows ? p->flows : 1;
}

static void on_baseline(void *ctx, uint64_t pair_id, unsigned slot, const char *text)
{
    alert_save_baseline(((struct alerts *)ctx)->save, pair_id, slot, text);
}

static bool is_watched(const struct agent *ag)
{
    return ag && ag->row.approved && !agent_is_revoked(ag) && !agent_is_drained(ag);
}

static bool is_alive(void *ctx, const struct alert *al)
{
    struct alerts *a = ctx;
    const struct pair *p;

    if (al->key.kind == ALERT_AGENT)
        return is_watched(agent_named(a, al->key.subject));
    p = inventory_pair(&a->c->inv, al->key.pair_id);
    return p && p->scheduled && !p->paused;
}

static bool agent_works(const struct alerts *a, const char *name, int64_t now_ns, char *buf, size_t cap)
{
    const struct agent *ag = agent_named(a, name);
    const struct agent_span *span = ag ? agent_ops_span_at(ag->ops, now_ns) : NULL;

    if (!span)
        return false;
    snprintf(buf, cap, "of agent %s by %.40s: %.80s", name, span->author, span->reason);
    return true;
}

static bool site_works(const struct alerts *a, const char *site, int64_t now_ns, char *buf, size_t cap)
{
    bool any = false;

    for (const struct agent *ag = a->c->inv.agents; ag; ag = ag->hh.next) {
        const char *of = label_value(ag->labels, ag->n_labels, a->rules.site_label);

        if (!of || strcmp(of, site) != 0 || !is_watched(ag))
            continue;
        any = true;
        if (!agent_works(a, ag->row.name, now_ns, buf, cap))
            return false;
    }
    return any;
}

static bool on_maintenance(void *ctx, const struct alert *al, int64_t now_ns, char *buf, size_t cap)
{
    struct alerts *a = ctx;
    struct maintenance_now m;
    const struct pair *p;

    if (al->key.kind == ALERT_SITE)
        return site_works(a, al->key.subject, now_ns, buf, cap);
    if (al->key.kind == ALERT_AGENT)
        return agent_works(a, al->key.subject, now_ns, buf, cap);
    p = inventory_pair(&a->c->inv, al->key.pair_id);
    if (p && maintenance_of_pair(p, now_ns, &m) && !*m.agent) {
        snprintf(buf, cap, "of mesh %s: %.80s", p->row.mesh, m.reason);
        return true;
    }
    return agent_works(a, al->source, now_ns, buf, cap) || agent_works(a, al->target, now_ns, buf, cap);
}

static size_t on_labels(void *ctx, const struct alert *al, unsigned end, const struct tw_label **ret)
{
    const char *name = al->key.kind == ALERT_SITE   ? ""
                       : al->key.kind == ALERT_PAIR ? (end ? al->target : al->source)
                       : end                        ? ""
                                                    : al->key.subject;
    const struct agent *ag = *name ? agent_named(ctx, name) : NULL;

    *ret = ag ? ag->labels : NULL;
    return ag ? ag->n_labels : 0;
}

/* ---- Telling ---- */

size_t alerts_receivers_of(struct alerts *a, const struct alert *al, const char **ret, size_t cap)
{
    const struct tw_label *labels;
    size_t n_labels = alert_engine_labels(a->engine, al, &labels), n = 0;
    const char *name = al->key.kind == ALERT_PAIR ? al->source : al->key.subject;

    for (size_t i = 0; i < a->rules.n_routes && n < cap; i++) {
        const struct alert_route *r = &a->rules.routes[i];
        bool known = false;

        if (al->severity < r->least || !selector_match(r->match, labels, n_labels, name))
            continue;
        for (size_t k = 0; k < n; k++)
            known |= !strcmp(ret[k], r->receiver);
        if (!known)
            ret[n++] = r->receiver;
        if (r->last)
            break;
    }
    return n;
}

static const struct alert_receiver *receiver_of(const struct alerts *a, const char *name)
{
    for (size_t i = 0; i < a->rules.n_receivers; i++)
        if (!strcmp(a->rules.receivers[i].name, name))
            return &a->rules.receivers[i];
    return NULL;
}

static char *body_of(struct alerts *a, const struct alert *al, const char *event, const char *key)
{
    const struct tw_label *labels;
    size_t n = alert_engine_labels(a->engine, al, &labels);

    return notify_body(al, event, key, a->c->name ? a->c->name : "", labels, n, now_of(a));
}

static void frozen(void *ctx, const struct flight_rows *r)
{
    (void)ctx;
    if (r->status && r->status != TW__STATUS__STATUS_NOT_FOUND)
        log_warn("the flight recorder of an alert could not be frozen", LOG_S("error", r->text));
}

/* What happened around the begin stays, at the agent that measured it. */
static void freeze(struct alerts *a, const struct alert *al)
{
    struct flight_query q = { .pair_id = al->key.pair_id,
                              .at_ns = al->pending_ns,
                              .before_ns = FREEZE_AROUND_NS,
                              .after_ns = FREEZE_AROUND_NS,
                              .cause = TW__FLIGHT_CAUSE__FLIGHT_CAUSE_ALERT };

    if (!a->rules.freeze || al->key.kind != ALERT_PAIR || a->freezes_of_minute++ >= FREEZES_MAX)
        return;
    snprintf(q.reason, sizeof q.reason, "alert %llu: rule %s", (unsigned long long)al->id, al->rule);
    a->counters.freezes++;
    flight_freeze(a->c, &q, frozen, a);
}

static void on_notice(void *ctx, const struct alert *al, enum alert_notice n)
{
    struct alerts *a = ctx;
    const char *to[64];
    struct alert told = *al;
    size_t n_to;
    char key[64], *body;

    /* Whom only the worst of it concerned is told of the end, too. */
    if (n == ALERT_NOTICE_RESOLVED && al->told_worst > told.severity)
        told.severity = al->told_worst;
    n_to = alerts_receivers_of(a, &told, to, TW_NELEM(to));

    snprintf(key, sizeof key, "%llu-%u", (unsigned long long)al->id, al->notices);
    log_info("alert", LOG_S("event", alert_notice_name(n)), LOG_U("id", al->id),
             LOG_S("severity", alert_severity_name(al->severity)), LOG_S("rule", al->rule),
             LOG_S("subject", al->key.subject), LOG_S("source", al->source), LOG_S("target", al->target),
             LOG_U("receivers", n_to));
    if (n == ALERT_NOTICE_FIRING)
        freeze(a, al);
    body = n_to ? body_of(a, al, alert_notice_name(n), key) : NULL;
    for (size_t i = 0; i < n_to && body; i++)
        if (n != ALERT_NOTICE_RESOLVED || receiver_of(a, to[i])->resolved)
            alert_save_notice(a->save, next_number(a, &a->last_notice), to[i], key, body, now_of(a));
    free(body);
}

static void on_committed(void *ctx, const char *receiver, struct notice *n)
{
    struct alerts *a = ctx;

    if (a->notify)
        notify_submit(a->notify, receiver, n);
    else
        notice_free(n); /* stopping: the database has it */
}

static void on_ended(void *ctx, const struct notice *n, const char *receiver)
{
    struct alerts *a = ctx;

    if (n->end != NOTICE_SENT)
        log_warn(n->end == NOTICE_REFUSED ? "a receiver refuses a notice of an alert"
                                          : "a notice of an alert is dropped",
                 LOG_S("receiver", receiver), LOG_S("key", n->key));
    alert_save_notice_gone(a->save, n->id);
}

/* ---- Alertmanagers forget what they do not hear again ---- */

struct resend {
    struct alerts *a;
    const char *receiver;
    char *bodies[RESEND_MAX];
    size_t n;
};

static enum tw_rc collect(void *ctx, const struct alert *al)
{
    struct resend *r = ctx;
    const char *to[64];
    size_t n;

    if (al->state != ALERT_FIRING || !al->told)
        return TW_OK;
    n = alerts_receivers_of(r->a, al, to, TW_NELEM(to));
    for (size_t i = 0; i < n && r->n < RESEND_MAX; i++)
        if (!strcmp(to[i], r->receiver) && (r->bodies[r->n] = body_of(r->a, al, "refresh", "")))
            r->n++;
    return TW_OK;
}

static void resend_to(struct alerts *a, const char *receiver)
{
    struct resend *r = calloc(1, sizeof *r);
    struct notice *n;
    char *body;

    if (!r)
        return;
    r->a = a;
    r->receiver = receiver;
    alert_engine_each(a->engine, collect, r);
    body = r->n ? notify_bodies(r->bodies, r->n) : NULL;
    n = body ? notice_new(0, "refresh", body) : NULL;
    if (n)
        notify_refresh(a->notify, receiver, n);
    free(body);
    for (size_t i = 0; i < r->n; i++)
        free(r->bodies[i]);
    free(r);
}

static void resend_due(struct alerts *a)
{
    int64_t now_ns = mono_of(a);

    for (size_t i = 0; i < a->rules.n_receivers && i < TW_NELEM(a->resent_ns); i++) {
        const struct alert_receiver *r = &a->rules.receivers[i];

        if (r->format != ALERT_FORMAT_ALERTMANAGER || r->kind != ALERT_TO_WEBHOOK ||
            now_ns - a->resent_ns[i] < r->resend_ns)
            continue;
        a->resent_ns[i] = now_ns;
        resend_to(a, r->name);
    }
}

/* ---- Feeding ---- */

/* The worse of what the mesh clock audit finds of the clocks of both ends, if it finds one of them wrong. */
static struct tw_num audited_offset(const struct alerts *a, const struct pair *p)
{
    const struct agent *ends[] = { agent_named(a, p->row.source), agent_named(a, p->row.target) };
    struct tw_num worst = { 0 };

    for (size_t i = 0; i < TW_NELEM(ends); i++) {
        const struct agent_audit *f = ends[i] ? &ends[i]->audit : NULL;
        double off = f ? fabs(f->host.offset_s) : 0;

        if (f && f->known && f->host.verdict == CLOCK_OFFSET && off > worst.value)
            worst = (struct tw_num){ true, off };
    }
    return worst;
}

static void feed(struct alerts *a, struct pair *p, int64_t now_ns)
{
    struct pair_live *l = p->live;
    struct alert_subject s = alerts_subject(a, p);
    struct alert_facts f = { .start_ns = l->last_start_ns,
                             .end_ns = l->last_end_ns,
                             .period_ns = l->report_period_ns,
                             .view = publish_view(p),
                             .completeness = publish_completeness(a->c->publish, p, now_ns),
                             .clock_offset = audited_offset(a, p) };

    l->judged_end_ns = l->last_end_ns;
    if (alert_engine_feed(a->engine, &s, &f, now_ns) != TW_OK)
        log_error("no memory for alerts: a report period was not judged");
}

static bool is_new(const struct pair *p)
{
    return p->live && p->live->last_end_ns != p->live->judged_end_ns; /* a clock that was ahead may go back */
}

void alerts_note(struct alerts *a, struct pair *p)
{
    if (a && a->doc.version && p->scheduled && !p->paused && is_new(p) && p->live->last_flows >= p->flows)
        feed(a, p, now_of(a));
}

static struct tw_num in_seconds(int64_t ns)
{
    return (struct tw_num){ true, ns > 0 ? (double)ns / (double)TW_NS_PER_S : 0 };
}

/* For how long nothing came that should, whatever clocks say; unknown: nothing should, or it cannot be told
 * yet. */
static struct tw_num silent_s(const struct alerts *a, const struct pair *p, int64_t now_ns)
{
    const struct pair_key key = pair_key_of(p);
    int64_t since_ns = p->scheduled_since_ns > a->started_ns ? p->scheduled_since_ns : a->started_ns,
            silent_ns;
    bool heard = p->live && p->live->last_end_ns;

    if (!heard && now_ns - a->started_ns < FRESH_NS && since_ns == a->started_ns)
        return (struct tw_num){ 0 };
    if (heard && now_ns - (mono_of(a) - p->live->heard.ns) > since_ns)
        since_ns = now_ns - (mono_of(a) - p->live->heard.ns);
    silent_ns = class_times_silence(p->times, &key, since_ns, now_ns);
    return silent_ns < 0 ? (struct tw_num){ 0 } : in_seconds(silent_ns);
}

/* Who an agent is connected to judges what it measures, and that it is not any more. */
static bool is_judged_here(const struct alerts *a, const struct agent *source)
{
    return !a->c->shared || (source && source->ours);
}

static void scan_pair(struct alerts *a, struct pair *p, int64_t now_ns)
{
    struct alert_subject s;

    if (!p->scheduled || p->paused || !is_judged_here(a, pair_source(p))) {
        alert_engine_forget(a->engine, p->row.id);
        return;
    }
    if (is_new(p) && now_ns - p->live->last_end_ns > FLOWS_NS)
        feed(a, p, now_ns);
    s = alerts_subject(a, p);
    if (alert_engine_absent(a->engine, &s, silent_s(a, p, now_ns), now_ns) != TW_OK)
        log_error("no memory for alerts: a pair was not looked at");
}

static void scan_piece(struct alerts *a, int64_t now_ns)
{
    size_t n = a->c->inv.pairs.n;

    for (unsigned i = 0; i < SCAN_PIECE && a->round.left; i++, a->round.left--) {
        if (a->scan_at >= n)
            a->scan_at = 0;
        scan_pair(a, pair_table_at(&a->c->inv.pairs, a->scan_at++), now_ns);
    }
}

static struct tw_num down_s(const struct alerts *a, const struct agent *ag, int64_t now_ns)
{
    int64_t since_ns = ag->last_contact_ns > a->started_ns ? ag->last_contact_ns : a->started_ns;

    if (ag->peer)
        return (struct tw_num){ true, 0 };
    if (now_ns - a->started_ns < AGENTS_NS)
        return (struct tw_num){ 0 };
    return in_seconds(now_ns - since_ns);
}

static void scan_agents(struct alerts *a, int64_t now_ns)
{
    for (const struct agent *ag = a->c->inv.agents; ag; ag = ag->hh.next) {
        struct alert_subject s = alerts_agent_subject(ag);

        if (is_watched(ag) && is_judged_here(a, ag) &&
            alert_engine_agent(a->engine, &s, down_s(a, ag, now_ns), now_ns) != TW_OK)
            log_error("no memory for alerts: an agent was not looked at");
    }
}

/* ---- Once a second, or as often as a tenth of the loop's time allows ---- */

static void begin_round(struct alerts *a)
{
    size_t n = a->c->inv.pairs.n;

    a->round.on = true;
    a->round.scanned = false;
    a->round.left = n < SCAN_MAX ? n : SCAN_MAX;
    a->round.began_ns = tw_mono_now().ns;
    a->round.spent_ns = 0;
    if (mono_of(a) - a->minute_ns >= 60 * TW_NS_PER_S) {
        a->minute_ns = mono_of(a);
        a->freezes_of_minute = 0;
    }
}

static void end_round(struct alerts *a)
{
    a->round.on = false;
    resend_due(a);
    alert_pasts_go(a->pasts);
    alert_save_flush(a->save);
}

/* False: the round is over. */
static bool go_on(struct alerts *a, int64_t now_ns)
{
    bool more = true;

    if (a->round.left) {
        scan_piece(a, now_ns);
    } else if (!a->round.scanned) {
        scan_agents(a, now_ns);
        a->round.scanned = true;
    } else {
        alert_engine_work(a->engine, now_ns, LOOKS_PIECE, &more);
    }
    return more;
}

/* A million pairs and their alerts take longer than anybody at the loop should wait: a piece of the round at
 * a time. */
static void work(struct alerts *a, int64_t now_ns)
{
    int64_t start_ns = tw_mono_now().ns, spent_ns;
    bool more;

    if (!a->round.on)
        begin_round(a);
    do {
        more = go_on(a, now_ns);
        spent_ns = tw_mono_now().ns - start_ns;
    } while (more && spent_ns < PIECE_NS);
    a->round.spent_ns += spent_ns;
    if (!more)
        end_round(a);
}

static int64_t next_ns(const struct alerts *a)
{
    int64_t soon_ns = tw_mono_now().ns + PAUSE_NS, pause_ns = SHARE * a->round.spent_ns,
            due_ns = a->round.began_ns + (pause_ns > TICK_NS ? pause_ns : TICK_NS);

    return a->round.on || due_ns < soon_ns ? soon_ns : due_ns;
}

/* There are no rules. */
static void idle(struct alerts *a)
{
    a->round.began_ns = tw_mono_now().ns;
    a->round.spent_ns = 0;
    alert_save_flush(a->save);
}

static void tick(struct loop_timer *t)
{
    struct alerts *a = t->ctx;

    if (a->doc.version)
        work(a, now_of(a));
    else
        idle(a);
    if (loop_timer_set(a->c->loop, t, (struct tw_mono){ next_ns(a) }) != TW_OK)
        log_error("no memory for the timer of alerts: they stand still until a restart");
}

/* ---- Changes ---- */

static void free_document(struct alerts_document *d)
{
    free(d->text);
    *d = (struct alerts_document){ 0 };
}

/* Takes both. */
static enum tw_rc put_in_force(struct alerts *a, struct alert_rules *rules, struct alerts_document *doc)
{
    enum tw_rc rc = a->notify ? notify_set_receivers(a->notify, rules) : TW_OK; /* NULL: stopping */
    struct alert_rules old = a->rules;

    if (rc)
        return rc;
    a->rules = *rules;
    *rules = (struct alert_rules){ 0 };
    free_document(&a->doc);
    a->doc = *doc;
    *doc = (struct alerts_document){ 0 };
    alert_engine_set_rules(a->engine, &a->rules);
    alert_rules_clear(&old);
    events_note(a->c->events, EVENT_ALERTS);
    return TW_OK;
}

static void applied(void *ctx, enum tw_rc rc, const struct tw_err *err)
{
    struct alerts *a = ctx;
    struct tw_err own = *err;

    if (rc == TW_OK && put_in_force(a, &a->apply.rules, &a->apply.doc) != TW_OK)
        rc = tw_err_set(&own, TW_ENOMEM, "stored, but not in force for want of memory: apply it again");
    alert_rules_clear(&a->apply.rules);
    free_document(&a->apply.doc);
    a->apply.busy = false;
    a->apply.done(a->apply.ctx, rc, &own);
}

enum tw_rc alerts_apply(struct alerts *a, const char *text, struct alert_rules *rules, const char *author,
                        const char *reason, alerts_done *done, void *ctx)
{
    struct alerts_document *d = &a->apply.doc;

    if (a->apply.busy)
        return TW_EBUSY;
    *d =
        (struct alerts_document){ .version = a->doc.version + 1, .time_ns = now_of(a), .text = strdup(text) };
    if (!d->text)
        return TW_ENOMEM;
    snprintf(d->author, sizeof d->author, "%s", author);
    snprintf(d->reason, sizeof d->reason, "%s", reason);
    a->apply.rules = *rules;
    *rules = (struct alert_rules){ 0 };
    a->apply.busy = true;
    a->apply.done = done;
    a->apply.ctx = ctx;
    alert_save_document(a->save, d->version, text, author, reason, d->time_ns, decide_memory(a->c), applied,
                        a);
    return TW_OK;
}

enum tw_rc alerts_ack(struct alerts *a, uint64_t id, const char *author, const char *reason)
{
    enum tw_rc rc = alert_engine_ack(a->engine, id, author, reason, now_of(a));

    if (rc == TW_OK)
        alert_save_flush(a->save);
    return rc;
}

enum tw_rc alerts_silence(struct alerts *a, struct alert_silence *s)
{
    enum tw_rc rc;

    s->id = next_number(a, &a->last_silence);
    s->made_ns = now_of(a);
    rc = alert_engine_silence(a->engine, s);
    if (rc)
        return rc;
    alert_save_silence(a->save, s);
    alert_save_flush(a->save);
    events_note(a->c->events, EVENT_ALERTS);
    return TW_OK;
}

enum tw_rc alerts_unsilence(struct alerts *a, uint64_t id, const char *author, struct alert_silence *ret)
{
    if (!alert_engine_unsilence(a->engine, id, now_of(a), ret))
        return TW_ENOENT;
    log_info("silence ended", LOG_U("id", id), LOG_S("author", author));
    alert_save_silence(a->save, ret);
    alert_save_flush(a->save);
    events_note(a->c->events, EVENT_ALERTS);
    return TW_OK;
}

/* ---- What others did ---- */

enum tw_rc alerts_follow_document(struct alerts *a, const struct store_alert_document *row,
                                  struct tw_err *err)
{
    struct alerts_document d = { .version = row->version, .time_ns = row->time_ns };
    struct alert_rules rules;
    enum tw_rc rc;

    if (row->version == a->doc.version)
        return TW_OK;
    alert_rules_init(&rules);
    rc = alert_doc_parse("the document", row->text, strlen(row->text), &rules, err);
    if (rc == TW_OK && !(d.text = strdup(row->text)))
        rc = TW_ENOMEM;
    snprintf(d.author, sizeof d.author, "%s", row->author);
    snprintf(d.reason, sizeof d.reason, "%s", row->reason);
    if (rc == TW_OK)
        rc = put_in_force(a, &rules, &d);
    alert_rules_clear(&rules);
    free_document(&d);
    return rc;
}

enum tw_rc alerts_follow_silence(struct alerts *a, struct alert_silence *s)
{
    events_note(a->c->events, EVENT_ALERTS);
    return alert_engine_silence(a->engine, s);
}

enum tw_rc alerts_follow(struct alerts *a, const struct alert *row)
{
    events_note(a->c->events, EVENT_ALERTS);
    return alert_engine_show(a->engine, row);
}

void alerts_follow_gone(struct alerts *a, uint64_t id)
{
    events_note(a->c->events, EVENT_ALERTS);
    alert_engine_hide(a->engine, id);
}

void alerts_agent_came(struct alerts *a, struct agent *ag)
{
    bool came = !ag->ours;

    ag->ours = true;
    if (a && came && a->c->shared)
        alert_engine_claim(a->engine, ag->row.name, now_of(a));
}

void alerts_agent_went(struct alerts *a, struct agent *ag)
{
    if (ag->ours)
        alert_engine_give(a->engine, ag->row.name);
    ag->ours = false;
}

/* ---- Looking ---- */

struct alert_engine *alerts_engine(struct alerts *a)
{
    return a->engine;
}

const struct alerts_document *alerts_document(const struct alerts *a)
{
    return &a->doc;
}

const struct alert_rules *alerts_rules(const struct alerts *a)
{
    return &a->rules;
}

struct notify *alerts_notify(struct alerts *a)
{
    return a->notify;
}

void alerts_counters(const struct alerts *a, struct alerts_counters *ret)
{
    *ret = a->counters;
    ret->lost = alert_save_lost(a->save);
}

/* ---- Start ---- */

static enum tw_rc load_document(void *ctx, const struct store_alert_document *d)
{
    struct alerts *a = ctx;

    a->doc =
        (struct alerts_document){ .version = d->version, .time_ns = d->time_ns, .text = strdup(d->text) };
    snprintf(a->doc.author, sizeof a->doc.author, "%s", d->author);
    snprintf(a->doc.reason, sizeof a->doc.reason, "%s", d->reason);
    return a->doc.text ? TW_OK : TW_ENOMEM;
}

static enum tw_rc load_alert(void *ctx, const struct store_alert *row)
{
    struct alerts *a = ctx;
    struct alert al;

    if (alert_row_read(row->body, &al) != TW_OK || al.id != row->id) {
        log_warn("a stored alert cannot be read, and is left out", LOG_U("id", row->id));
        return TW_OK;
    }
    if (a->c->shared) /* until its agent comes to us */
        return alert_engine_show(a->engine, &al);
    return alert_engine_restore(a->engine, &al) == TW_ENOMEM ? TW_ENOMEM : TW_OK;
}

static enum tw_rc load_silence(void *ctx, const struct store_alert_silence *row)
{
    struct alerts *a = ctx;
    struct alert_silence s;

    if (alert_silence_read(row->body, &s) != TW_OK) {
        log_warn("a stored silence cannot be read, and is left out", LOG_U("id", row->id));
        return TW_OK;
    }
    if (alert_engine_silence(a->engine, &s) == TW_ENOMEM)
        return TW_ENOMEM;
    return TW_OK;
}

static enum tw_rc load_baseline(void *ctx, const struct store_alert_baseline *row)
{
    alert_engine_restore_baseline(((struct alerts *)ctx)->engine, row->pair_id, row->slot, row->body);
    return TW_OK;
}

static enum tw_rc load_notice(void *ctx, const struct store_alert_notice *row)
{
    struct alerts *a = ctx;
    struct notice *n = notice_new(row->id, row->key, row->body);

    if (!n)
        return TW_ENOMEM;
    notify_submit(a->notify, row->receiver, n);
    return TW_OK;
}

static enum tw_rc load_rules(struct alerts *a, struct tw_err *err)
{
    enum tw_rc rc = store_last_alert_document(a->c->store, load_document, a, err);

    alert_rules_init(&a->rules);
    if (rc == TW_ENOENT)
        return TW_OK;
    if (rc == TW_OK)
        rc = alert_doc_parse("the stored alert document", a->doc.text, strlen(a->doc.text), &a->rules, err);
    return rc == TW_OK ? notify_set_receivers(a->notify, &a->rules) : rc;
}

static enum tw_rc load_state(struct alerts *a, struct tw_err *err)
{
    struct store *s = a->c->store;
    enum tw_rc rc = store_each_alert(s, ALERT_DONE_MAX, load_alert, a, err);

    if (rc == TW_OK)
        rc = store_each_alert_silence(s, a->c->started_ns, load_silence, a, err);
    if (rc == TW_OK)
        rc = store_each_alert_baseline(s, load_baseline, a, err);
    if (rc == TW_OK)
        rc = store_last_alert_silence(s, &a->last_silence, err);
    if (rc == TW_OK)
        rc = store_last_alert_notice(s, &a->last_notice, err);
    return rc;
}

/* Numbers of alerts begin with the time of the start, so that none is used twice, even of what is forgotten.
 */
static enum tw_rc make_engine(struct alerts *a, struct tw_err *err)
{
    struct alert_conf conf = { .ctx = a,
                               .changed = on_changed,
                               .dropped = on_dropped,
                               .notice = on_notice,
                               .alive = is_alive,
                               .maintenance = on_maintenance,
                               .end_labels = on_labels,
                               .baseline = on_baseline,
                               .want = on_want };
    uint64_t now_s = (uint64_t)(a->c->started_ns / TW_NS_PER_S);
    enum tw_rc rc = store_last_alert(a->c->store, &conf.last_id, err);

    conf.last_id = a->c->shared           ? shared_id_begin((struct tw_wall){ a->c->started_ns })
                   : conf.last_id > now_s ? conf.last_id
                                          : now_s;
    return rc == TW_OK ? alert_engine_new(&conf, &a->engine) : rc;
}

enum tw_rc alerts_new(struct controller *c, struct alerts **ret, struct tw_err *err)
{
    struct alerts *a = calloc(1, sizeof *a);
    enum tw_rc rc;

    if (!a)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    a->c = c;
    a->started_ns = c->started_ns;
    a->timer = (struct loop_timer){ .fn = tick, .ctx = a };
    rc = alert_save_new(
        &(struct alert_save_conf){
            .shared = c->shared, .writer = &c->writer, .send = on_committed, .ctx = a },
        &a->save);
    if (rc == TW_OK)
        rc = notify_new(
            &(struct notify_conf){ .loop = c->loop, .controller = c->name, .ended = on_ended, .ctx = a },
            &a->notify);
    if (rc == TW_OK)
        rc = alert_pasts_new(
            &(struct alert_pasts_conf){
                .readers = &c->readers, .learn = on_past, .flows = flows_of, .ctx = a },
            &a->pasts);
    if (rc == TW_OK)
        rc = make_engine(a, err);
    if (rc == TW_OK)
        rc = load_rules(a, err);
    if (rc == TW_OK)
        alert_engine_set_rules(a->engine, &a->rules);
    if (rc == TW_OK)
        rc = load_state(a, err);
    if (rc == TW_OK)
        rc = store_each_alert_notice(c->store, load_notice, a, err);
    if (rc == TW_OK) {
        *ret = a;
        return TW_OK;
    }
    alerts_free(a);
    return err->text[0] ? rc : tw_err_set(err, rc, "cannot load alerts: %s", tw_rc_name(rc));
}

enum tw_rc alerts_start(struct alerts *a, struct tw_err *err)
{
    enum tw_rc rc = loop_timer_set(a->c->loop, &a->timer, (struct tw_mono){ tw_mono_now().ns + TICK_NS });

    return rc == TW_OK ? rc : tw_err_set(err, rc, "out of memory");
}

void alerts_stop(struct alerts *a)
{
    if (!a)
        return;
    loop_timer_cancel(a->c->loop, &a->timer);
    notify_free(a->notify); /* what it has sent is not to be sent again */
    a->notify = NULL;
    alert_save_flush(a->save);
}

void alerts_free(struct alerts *a)
{
    if (!a)
        return;
    notify_free(a->notify);
    alert_engine_free(a->engine);
    alert_pasts_free(a->pasts);
    alert_save_free(a->save);
    alert_rules_clear(&a->rules);
    alert_rules_clear(&a->apply.rules);
    free_document(&a->doc);
    free_document(&a->apply.doc);
    free(a);
}
