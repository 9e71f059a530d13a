/* Who is told of an alert, and how. */
#include "controller/alerts_priv.h"

#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "controller/flight.h"
#include "controller/notify_format.h"

#define FREEZES_MAX 100 /* of one minute: a fleet that burns must not be kept busy by it */
#define FREEZE_AROUND_NS (30 * TW_NS_PER_S)
#define RESEND_MAX 1000 /* alerts of one message */

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

    return notify_body(al, event, key, a->c->name ? a->c->name : "", labels, n, alerts_now(a));
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

void alerts_on_notice(void *ctx, const struct alert *al, enum alert_notice n)
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
            alert_save_notice(a->save, alerts_next_number(a, &a->last_notice), to[i], key, body,
                              alerts_now(a));
    free(body);
}

void alerts_on_committed(void *ctx, const char *receiver, struct notice *n)
{
    struct alerts *a = ctx;

    if (a->notify)
        notify_submit(a->notify, receiver, n);
    else
        notice_free(n); /* stopping: the database has it */
}

void alerts_on_ended(void *ctx, const struct notice *n, const char *receiver)
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

void alerts_resend_due(struct alerts *a)
{
    int64_t now_ns = alerts_mono(a);

    for (size_t i = 0; i < a->rules.n_receivers && i < TW_NELEM(a->resent_ns); i++) {
        const struct alert_receiver *r = &a->rules.receivers[i];

        if (r->format != ALERT_FORMAT_ALERTMANAGER || r->kind != ALERT_TO_WEBHOOK ||
            now_ns - a->resent_ns[i] < r->resend_ns)
            continue;
        a->resent_ns[i] = now_ns;
        resend_to(a, r->name);
    }
}
