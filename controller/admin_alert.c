/* Admin: alerts that there are, who is told, acknowledgements and silences. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "controller/admin_alert.h"

#define LIST_DEFAULT 1000u
#define RECEIVERS_MAX 64
#define SILENCE_DEFAULT_NS (3600 * TW_NS_PER_S)
#define SILENCE_MAX_NS (INT64_C(366) * 86400 * TW_NS_PER_S)

/* ---- One alert ---- */

Tw__AlertNumber *admin_alert_number(struct arena *ar, struct tw_num v)
{
    Tw__AlertNumber *n = v.known ? arena_alloc(ar, sizeof *n) : NULL;

    if (!n)
        return NULL;
    tw__alert_number__init(n);
    n->value = v.value;
    return n;
}

static void fill_names(Tw__AlertInfo *m, const struct alert *a, struct arena *ar)
{
    bool many = a->key.slot == ALERT_SLOTS;
    enum tw_direction d = many ? TW_UNKNOWN : alert_direction_of(a);
    char subject[3 * ALERT_NAME_MAX], summary[ALERT_SUMMARY_MAX];

    if (a->key.kind == ALERT_PAIR)
        snprintf(subject, sizeof subject, "%s > %s", a->source, a->target);
    else
        snprintf(subject, sizeof subject, "%s", a->key.subject);
    m->subject = admin_text(ar, subject);
    m->summary = admin_text(ar, alert_summary(a, summary));
    m->metric = many ? (char *)protobuf_c_empty_string : (char *)alert_metric_name(alert_metric_of(a));
    m->direction = d == TW_UNKNOWN ? (char *)protobuf_c_empty_string : (char *)tw_direction_name(d);
    m->rule = (char *)a->rule;
    m->pair_id = a->key.pair_id;
    m->mesh = (char *)a->mesh;
    m->class_name = (char *)a->class_name;
    m->source = a->key.kind == ALERT_PAIR ? (char *)a->source : (char *)protobuf_c_empty_string;
    m->target = (char *)a->target;
}

/* Texts stay the engine's: valid as long as nothing is fed. NULL: no room. */
static Tw__AlertInfo *alert_info(const struct alert *a, struct arena *ar)
{
    Tw__AlertInfo *m = arena_alloc(ar, sizeof *m);

    if (!m)
        return NULL;
    tw__alert_info__init(m);
    m->id = a->id;
    m->state = (char *)alert_state_name(a->state);
    m->severity = (char *)alert_severity_name(a->severity);
    m->kind = (char *)alert_kind_name((enum alert_kind)a->key.kind);
    fill_names(m, a, ar);
    m->value = admin_alert_number(ar, a->value);
    m->worst = admin_alert_number(ar, a->worst);
    m->level = admin_alert_number(ar, a->level);
    m->baseline = admin_alert_number(ar, a->baseline);
    m->pending_ns = a->pending_ns;
    m->fired_ns = a->fired_ns;
    m->ended_ns = a->ended_ns;
    m->end_reason = (char *)a->end_reason;
    m->bad_pairs = a->bad;
    m->pairs = a->total;
    m->cause = a->cause;
    m->quiet = (char *)alert_quiet_name(a->quiet);
    m->quiet_reason = (char *)a->quiet_text;
    m->told = a->told;
    m->notices = a->notices;
    m->acked_ns = a->acked_ns;
    m->acked_by = (char *)a->ack_author;
    m->ack_reason = (char *)a->ack_reason;
    return m;
}

static void unknown(uint64_t id, void *closure_data)
{
    rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
             "no alert %llu: twampctl alert list shows those that go on, with --state all also the others",
             (unsigned long long)id);
}

/* ---- Lists ---- */

struct picks {
    struct alerts *a;
    const Tw__AlertListRequest *rq;
    struct selector *select;
    enum alert_severity least;
    uint64_t cause; /* not 0: only what it explains */
    const struct alert **v;
    size_t n, cap;
};

static bool state_fits(const char *wanted, enum alert_state s)
{
    if (!*wanted)
        return s == ALERT_PENDING || s == ALERT_FIRING;
    return !strcmp(wanted, "all") || !strcmp(wanted, alert_state_name(s));
}

static bool fits(struct picks *p, const struct alert *a)
{
    const struct tw_label *labels;
    size_t n;

    if (p->cause)
        return a->cause == p->cause;
    if (!state_fits(p->rq->state, a->state) || a->severity < p->least || (p->rq->roots && a->cause))
        return false;
    if (!p->select)
        return true;
    n = alert_engine_labels(alerts_engine(p->a), a, &labels);
    return selector_match(p->select, labels, n, a->key.kind == ALERT_PAIR ? a->source : a->key.subject);
}

static enum tw_rc pick(void *ctx, const struct alert *a)
{
    struct picks *p = ctx;
    const struct alert **more;

    if (!fits(p, a))
        return TW_OK;
    if (p->n == p->cap) {
        p->cap = 2 * p->cap + 64;
        more = realloc(p->v, p->cap * sizeof(*more));
        if (!more)
            return TW_ENOMEM;
        p->v = more;
    }
    p->v[p->n++] = a;
    return TW_OK;
}

/* Firing before pending before resolved, worst first, what stands for others before them, the newest first.
 */
static int cmp_alerts(const void *x, const void *y)
{
    static const int order[] = { [ALERT_FIRING] = 0, [ALERT_PENDING] = 1, [ALERT_RESOLVED] = 2 };
    const struct alert *a = *(const struct alert *const *)x, *b = *(const struct alert *const *)y;
    int d = order[a->state] - order[b->state];

    if (!d)
        d = (int)b->severity - (int)a->severity;
    if (!d)
        d = (int)b->key.kind - (int)a->key.kind;
    return d ? d : a->id < b->id ? 1 : -1;
}

/* As many as there is room for; true: not all. */
static bool fill_list(const struct picks *p, size_t limit, struct arena *ar, Tw__AlertInfo ***ret,
                      size_t *ret_n)
{
    size_t octets = 0;

    *ret_n = 0;
    *ret = arena_alloc(ar, (p->n + 1) * sizeof(**ret));
    for (size_t i = 0; *ret && i < p->n && i < limit; i++) {
        Tw__AlertInfo *m = alert_info(p->v[i], ar);

        octets += m ? tw__alert_info__get_packed_size(m) + 8 : 0;
        if (!m || octets > ADMIN_REPLY_MAX)
            return true;
        (*ret)[(*ret_n)++] = m;
    }
    return *ret_n < p->n;
}

static bool read_list(const Tw__AlertListRequest *rq, struct picks *ret, void *closure_data)
{
    struct tw_err err = { 0 };

    ret->rq = rq;
    if (*rq->state && strcmp(rq->state, "all") != 0 && strcmp(rq->state, "pending") != 0 &&
        strcmp(rq->state, "firing") != 0 && strcmp(rq->state, "resolved") != 0)
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "state: expected pending, firing, resolved or all");
    else if (*rq->severity && !alert_severity_parse(rq->severity, &ret->least))
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "severity: expected info, warning or critical");
    else if (*rq->select && selector_parse(rq->select, &ret->select, &err) != TW_OK)
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "select: %s", err.text);
    else
        return true;
    return false;
}

void admin_alert_list(Tw__Admin_Service *service, const Tw__AlertListRequest *rq,
                      Tw__AlertListReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct picks p = { .a = c->alerts };
    Tw__AlertListReply reply = TW__ALERT_LIST_REPLY__INIT;
    struct alert_counts n;

    if (!read_list(rq, &p, closure_data))
        return;
    if (alert_engine_each(alerts_engine(c->alerts), pick, &p) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        if (p.n)
            qsort(p.v, p.n, sizeof(*p.v), cmp_alerts);
        reply.truncated = fill_list(&p, rq->limit ? rq->limit : LIST_DEFAULT, admin_arena(c), &reply.alerts,
                                    &reply.n_alerts);
        alert_engine_counts(alerts_engine(c->alerts), &n);
        for (int s = 0; s < ALERT_SEVERITY_COUNT; s++) {
            reply.pending += n.active[ALERT_PENDING][s];
            reply.firing += n.active[ALERT_FIRING][s];
        }
        closure(&reply, closure_data);
    }
    free(p.v);
    selector_free(p.select);
}

static void fill_labels(struct alerts *a, const struct alert *al, struct arena *ar, Tw__AlertShowReply *reply)
{
    const struct tw_label *labels;
    size_t n = alert_engine_labels(alerts_engine(a), al, &labels);

    reply->labels = arena_alloc(ar, (n + 1) * sizeof *reply->labels);
    for (size_t i = 0; reply->labels && i < n; i++) {
        Tw__AlertLabel *m = arena_alloc(ar, sizeof *m);

        if (!m)
            return;
        tw__alert_label__init(m);
        m->key = admin_text(ar, labels[i].key);
        m->value = admin_text(ar, labels[i].value);
        reply->labels[reply->n_labels++] = m;
    }
}

void admin_alert_show(Tw__Admin_Service *service, const Tw__AlertRequest *rq,
                      Tw__AlertShowReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    const struct alert *a = alert_engine_find(alerts_engine(c->alerts), rq->id);
    struct arena *ar = admin_arena(c);
    struct picks p = { .a = c->alerts, .cause = rq->id };
    Tw__AlertShowReply reply = TW__ALERT_SHOW_REPLY__INIT;
    const char *to[RECEIVERS_MAX];
    size_t n;

    if (!a) {
        unknown(rq->id, closure_data);
        return;
    }
    reply.alert = alert_info(a, ar);
    if (alert_engine_each(alerts_engine(c->alerts), pick, &p) == TW_OK && p.n) {
        qsort(p.v, p.n, sizeof(*p.v), cmp_alerts);
        fill_list(&p, LIST_DEFAULT, ar, &reply.evidence, &reply.n_evidence);
    }
    fill_labels(c->alerts, a, ar, &reply);
    n = alerts_receivers_of(c->alerts, a, to, TW_NELEM(to));
    reply.receivers = arena_alloc(ar, (n + 1) * sizeof *reply.receivers);
    for (size_t i = 0; reply.receivers && i < n; i++)
        reply.receivers[reply.n_receivers++] = (char *)to[i];
    closure(&reply, closure_data);
    free(p.v);
}

/* ---- Acknowledgement ---- */

static bool fits_text(const char *what, const char *text, size_t cap, void *closure_data)
{
    if (strlen(text) < cap)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s: expected at most %zu octets", what,
             cap - 1);
    return false;
}

static bool author_fits(const char *author, const char *reason, void *closure_data)
{
    return admin_author_ok(author, reason, closure_data) &&
           fits_text("author", author, ALERT_AUTHOR_MAX, closure_data) &&
           fits_text("reason", reason, ALERT_REASON_MAX, closure_data);
}

void admin_alert_ack(Tw__Admin_Service *service, const Tw__AlertAckRequest *rq,
                     Tw__AlertAckReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    const struct alert *a = alert_engine_find(alerts_engine(c->alerts), rq->id);
    Tw__AlertAckReply reply = TW__ALERT_ACK_REPLY__INIT;

    if (!author_fits(rq->author, rq->reason, closure_data))
        return;
    if (!a) {
        unknown(rq->id, closure_data);
    } else if (alerts_ack(c->alerts, rq->id, rq->author, rq->reason) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_FAILED_PRECONDITION, "alert %llu has ended",
                 (unsigned long long)rq->id);
    } else {
        reply.alert = alert_info(a, admin_arena(c));
        closure(&reply, closure_data);
    }
}

/* ---- Silences ---- */

struct matching {
    struct alerts *a;
    const struct alert_silence *s;
    uint32_t n;
};

static enum tw_rc count_matching(void *ctx, const struct alert *a)
{
    struct matching *m = ctx;
    const struct tw_label *labels;
    size_t n;

    if (a->state != ALERT_FIRING)
        return TW_OK;
    n = alert_engine_labels(alerts_engine(m->a), a, &labels);
    m->n += selector_match(m->s->match, labels, n, a->key.kind == ALERT_PAIR ? a->source : a->key.subject);
    return TW_OK;
}

static void fill_silence(struct alerts *a, const struct alert_silence *s, int64_t now_ns,
                         Tw__AlertSilenceInfo *ret)
{
    struct matching m = { .a = a, .s = s };

    tw__alert_silence_info__init(ret);
    ret->id = s->id;
    ret->match = (char *)s->match_text;
    ret->start_ns = s->start_ns;
    ret->end_ns = s->end_ns;
    ret->author = (char *)s->author;
    ret->reason = (char *)s->reason;
    ret->made_ns = s->made_ns;
    ret->state = (char *)(now_ns >= s->end_ns ? "over" : now_ns < s->start_ns ? "pending" : "active");
    alert_engine_each(alerts_engine(a), count_matching, &m);
    ret->alerts = m.n;
}

/* False: it has failed the call. */
static bool read_silence(const Tw__AlertSilenceRequest *rq, int64_t now_ns, struct alert_silence *s,
                         void *closure_data)
{
    struct tw_err err = { 0 };

    if (!author_fits(rq->author, rq->reason, closure_data) ||
        !fits_text("match", rq->match, sizeof s->match_text, closure_data))
        return false;
    s->start_ns = rq->start_ns ? rq->start_ns : now_ns;
    s->end_ns = rq->end_ns;
    if (!s->end_ns &&
        __builtin_add_overflow(s->start_ns, rq->duration_ns ? rq->duration_ns : SILENCE_DEFAULT_NS, &s->end_ns))
        s->end_ns = INT64_MAX; /* refused below */
    if (rq->end_ns && rq->duration_ns)
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "expected an end or a duration, not both");
    else if (s->start_ns < 0 || s->end_ns <= s->start_ns || s->end_ns <= now_ns ||
             s->end_ns - now_ns > SILENCE_MAX_NS)
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "expected a silence that ends after it starts, in the future, within a year");
    else if (!*rq->match || selector_parse(rq->match, &s->match, &err) != TW_OK)
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "match: %s",
                 *rq->match ? err.text
                            : "expected labels of alerts, such as mesh=voice,source.site=ams; * is all");
    else
        return true;
    return false;
}

void admin_alert_silence(Tw__Admin_Service *service, const Tw__AlertSilenceRequest *rq,
                         Tw__AlertSilenceReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    int64_t now_ns = tw_wall_now().ns;
    Tw__AlertSilenceReply reply = TW__ALERT_SILENCE_REPLY__INIT;
    Tw__AlertSilenceInfo m;
    struct alert_silence s = { 0 };
    enum tw_rc rc;

    if (!read_silence(rq, now_ns, &s, closure_data))
        return;
    snprintf(s.match_text, sizeof s.match_text, "%s", rq->match);
    snprintf(s.author, sizeof s.author, "%s", rq->author);
    snprintf(s.reason, sizeof s.reason, "%s", rq->reason);
    rc = alerts_silence(c->alerts, &s);
    if (rc) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                 rc == TW_ENOSPC ? "there are %d silences that go on or are to come, which is the most: end some, or "
                                   "let one match more"
                                 : "out of memory",
                 ALERT_SILENCES_MAX);
        return;
    }
    fill_silence(c->alerts, &s, now_ns, &m);
    reply.silence = &m;
    closure(&reply, closure_data);
}

void admin_alert_unsilence(Tw__Admin_Service *service, const Tw__AlertUnsilenceRequest *rq,
                           Tw__AlertSilenceReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    Tw__AlertSilenceReply reply = TW__ALERT_SILENCE_REPLY__INIT;
    Tw__AlertSilenceInfo m;
    struct alert_silence s;

    if (!author_fits(rq->author, "", closure_data))
        return;
    if (alerts_unsilence(c->alerts, rq->id, rq->author, &s) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no silence %llu that goes on or is to come: twampctl alert silences shows them",
                 (unsigned long long)rq->id);
        return;
    }
    fill_silence(c->alerts, &s, s.end_ns, &m);
    reply.silence = &m;
    closure(&reply, closure_data);
}

void admin_alert_silences(Tw__Admin_Service *service, const Tw__AlertSilencesRequest *rq,
                          Tw__AlertSilencesReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    int64_t now_ns = tw_wall_now().ns;
    Tw__AlertSilencesReply reply = TW__ALERT_SILENCES_REPLY__INIT;
    size_t n, octets = 0;
    const struct alert_silence *v = alert_engine_silences(alerts_engine(c->alerts), &n);

    reply.silences = arena_alloc(ar, (n + 1) * sizeof *reply.silences);
    for (size_t i = n; reply.silences && i--;) {
        Tw__AlertSilenceInfo *m;

        if (!rq->all && v[i].end_ns <= now_ns)
            continue;
        m = arena_alloc(ar, sizeof *m);
        if (!m)
            break;
        fill_silence(c->alerts, &v[i], now_ns, m);
        octets += tw__alert_silence_info__get_packed_size(m) + 8;
        if (octets > ADMIN_REPLY_MAX)
            break;
        reply.silences[reply.n_silences++] = m;
    }
    closure(&reply, closure_data);
}

/* ---- Receivers ---- */

static void fill_receiver(const struct notify_state *s, struct arena *ar, Tw__AlertReceiverInfo *m)
{
    static const char *const kinds[] = { "webhook", "command", "mail" }, *const formats[] = { "generic",
                                                                                              "alertmanager",
                                                                                              "slack" };

    tw__alert_receiver_info__init(m);
    m->name = admin_text(ar, s->name);
    m->kind = (char *)kinds[s->kind];
    m->format = s->kind == ALERT_TO_WEBHOOK ? (char *)formats[s->format] : (char *)protobuf_c_empty_string;
    m->state = (char *)(s->sending ? "sending" : s->next_try_ns ? "retrying" : "idle");
    m->queued = s->queued;
    m->queue_max = NOTIFY_QUEUE_MAX;
    m->sent = s->sent;
    m->failed = s->failed;
    m->refused = s->refused;
    m->dropped = s->dropped;
    m->last_sent_ns = s->last_sent_ns;
    m->last_failed_ns = s->last_failed_ns;
    m->last_error = admin_text(ar, s->last_error);
    m->next_try_ns = s->next_try_ns;
}

void admin_alert_receivers(Tw__Admin_Service *service, const Tw__AlertReceiversRequest *rq,
                           Tw__AlertReceiversReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    Tw__AlertReceiversReply reply = TW__ALERT_RECEIVERS_REPLY__INIT;
    struct notify_state states[RECEIVERS_MAX];
    size_t n = notify_states(alerts_notify(c->alerts), states, TW_NELEM(states));

    (void)rq;
    reply.receivers = arena_alloc(ar, (n + 1) * sizeof *reply.receivers);
    for (size_t i = 0; reply.receivers && i < n; i++) {
        Tw__AlertReceiverInfo *m = arena_alloc(ar, sizeof *m);

        if (!m)
            break;
        fill_receiver(&states[i], ar, m);
        reply.receivers[reply.n_receivers++] = m;
    }
    closure(&reply, closure_data);
}
