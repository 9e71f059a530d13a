#include "controller/alerts_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/alert_doc.h"
#include "controller/alert_row.h"
#include "controller/decide.h"
#include "controller/events.h"
#include "controller/maintenance.h"
#include "controller/shared_id.h"
#include "db/store_alert.h"

#define STEP_NS (500 * TW_NS_PER_MS) /* by which the wall clock runs away between two looks: it was set */

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

int64_t alerts_now(struct alerts *a)
{
    struct tw_now now = loop_now(a->c->loop);
    int64_t ahead_ns = now.wall.ns - now.mono.ns, by_ns = ahead_ns - a->ahead_ns;
    bool first = !a->ahead_ns;

    a->ahead_ns = ahead_ns;
    if (!first && (by_ns > STEP_NS || by_ns < -STEP_NS))
        stepped(a, by_ns);
    return now.wall.ns;
}

int64_t alerts_mono(const struct alerts *a)
{
    return loop_now(a->c->loop).mono.ns;
}

/* Where others give numbers, too, theirs must be others. */
uint64_t alerts_next_number(struct alerts *a, uint64_t *last)
{
    return a->c->shared ? shared_id_next(loop_now(a->c->loop).wall, last) : ++*last;
}

/* ---- Subjects ---- */

struct agent *alerts_agent(const struct alerts *a, const char *name)
{
    return inventory_agent(&a->c->inv, name);
}

struct alert_subject alerts_subject(struct alerts *a, const struct pair *p)
{
    const struct agent *source = alerts_agent(a, p->row.source), *target = alerts_agent(a, p->row.target);

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
        alert_save_alert(a->save, al, alerts_now(a));
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

bool alerts_is_watched(const struct agent *ag)
{
    return ag && ag->row.approved && !agent_is_revoked(ag) && !agent_is_drained(ag);
}

static bool is_alive(void *ctx, const struct alert *al)
{
    struct alerts *a = ctx;
    const struct pair *p;

    if (al->key.kind == ALERT_AGENT)
        return alerts_is_watched(alerts_agent(a, al->key.subject));
    p = inventory_pair(&a->c->inv, al->key.pair_id);
    return p && p->scheduled && !p->paused;
}

static bool agent_works(const struct alerts *a, const char *name, int64_t now_ns, char *buf, size_t cap)
{
    const struct agent *ag = alerts_agent(a, name);
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

        if (!of || strcmp(of, site) != 0 || !alerts_is_watched(ag))
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
    const struct agent *ag = *name ? alerts_agent(ctx, name) : NULL;

    *ret = ag ? ag->labels : NULL;
    return ag ? ag->n_labels : 0;
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
    *d = (struct alerts_document){ .version = a->doc.version + 1,
                                   .time_ns = alerts_now(a),
                                   .text = strdup(text) };
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
    enum tw_rc rc = alert_engine_ack(a->engine, id, author, reason, alerts_now(a));

    if (rc == TW_OK)
        alert_save_flush(a->save);
    return rc;
}

enum tw_rc alerts_silence(struct alerts *a, struct alert_silence *s)
{
    enum tw_rc rc;

    s->id = alerts_next_number(a, &a->last_silence);
    s->made_ns = alerts_now(a);
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
    if (!alert_engine_unsilence(a->engine, id, alerts_now(a), ret))
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

    if (row->version == a->doc.version && row->time_ns == a->doc.time_ns)
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

enum tw_rc alerts_follow_no_document(struct alerts *a)
{
    struct alerts_document none = { 0 };
    struct alert_rules rules;
    enum tw_rc rc;

    if (!a->doc.version)
        return TW_OK;
    alert_rules_init(&rules);
    rc = put_in_force(a, &rules, &none);
    alert_rules_clear(&rules);
    return rc;
}

enum tw_rc alerts_follow_silence(struct alerts *a, struct alert_silence *s)
{
    events_note(a->c->events, EVENT_ALERTS);
    return alert_engine_silence(a->engine, s);
}

void alerts_follow_silences(struct alerts *a, bool (*is_gone)(const void *ctx, const struct alert_silence *s),
                            const void *ctx)
{
    size_t n;
    const struct alert_silence *v = alert_engine_silences(a->engine, &n);

    while (n-- && !alert_save_has_silence(a->save))
        if (is_gone(ctx, &v[n]))
            alert_engine_forget_silence(a->engine, v[n].id);
    events_note(a->c->events, EVENT_ALERTS);
}

enum tw_rc alerts_follow(struct alerts *a, const struct alert *row)
{
    const struct agent *ag =
        inventory_agent(&a->c->inv, row->key.kind == ALERT_AGENT ? row->key.subject : row->source);
    enum tw_rc rc = alert_engine_show(a->engine, row);

    events_note(a->c->events, EVENT_ALERTS);
    if (rc == TW_OK && ag && ag->peer) /* who judged it meanwhile did not know yet that we have it */
        alert_engine_claim(a->engine, ag->row.name, loop_now(a->c->loop).wall.ns);
    return rc;
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
        alert_engine_claim(a->engine, ag->row.name, alerts_now(a));
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
    struct notice *n;

    if (a->c->shared && !alerts_adopt_is_of(row->body, a->c->name))
        return TW_OK; /* whoever made it sends it, or the planner if that has gone */
    n = notice_new(row->id, row->key, row->body);
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
                               .notice = alerts_on_notice,
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
    a->timer = (struct loop_timer){ .fn = alerts_tick, .ctx = a };
    rc = alert_save_new(
        &(struct alert_save_conf){
            .shared = c->shared, .writer = &c->writer, .send = alerts_on_committed, .ctx = a },
        &a->save);
    if (rc == TW_OK)
        rc = notify_new(
            &(struct notify_conf){
                .loop = c->loop, .controller = c->name, .ended = alerts_on_ended, .ctx = a },
            &a->notify);
    if (rc == TW_OK)
        rc = alert_pasts_new(
            &(struct alert_pasts_conf){
                .readers = &c->readers, .learn = on_past, .flows = flows_of, .ctx = a },
            &a->pasts);
    if (rc == TW_OK)
        rc = alerts_adopt_new(c, ALERTS_ADOPT_NS, alerts_on_committed, a, &a->adopt);
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
    alerts_adopt_free(a->adopt);
    alert_save_free(a->save);
    alert_rules_clear(&a->rules);
    alert_rules_clear(&a->apply.rules);
    free_document(&a->doc);
    free_document(&a->apply.doc);
    free(a);
}
