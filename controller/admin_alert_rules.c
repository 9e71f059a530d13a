/* Admin: the rules of alerts, their document, and which of them is a pair's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin_alert.h"
#include "controller/alert_doc.h"
#include "controller/doc_json.h"
#include "db/store_alert.h"
#include "controller/near.h"

#define HISTORY_DEFAULT 100u
#define EXPLAIN_PAIRS_MAX 50

/* ---- Rules ---- */

static const char *level_value(const struct alert_rule *r, double v, char buf[ALERT_VALUE_TEXT])
{
    if (!r->relative)
        return alert_value_text(r->metric, (struct tw_num){ true, v }, buf);
    snprintf(buf, ALERT_VALUE_TEXT, "%gx", v);
    return buf;
}

static const char *level_text(const struct alert_rule *r, unsigned s, char *buf, size_t cap)
{
    char raise[ALERT_VALUE_TEXT], clear[ALERT_VALUE_TEXT];
    const struct alert_level *l = &r->level[s];

    buf[0] = '\0';
    if (l->given)
        snprintf(buf, cap, "raise %s, clear %s", level_value(r, l->raise, raise),
                 level_value(r, l->clear, clear));
    return buf;
}

static void add_match(char *buf, size_t cap, const char *key, const char *value, bool braces)
{
    size_t n = strlen(buf);

    if (value && *value && n < cap)
        snprintf(buf + n, cap - n, "%s%s=%s%s%s", n ? " " : "", key, braces ? "(" : "", value,
                 braces ? ")" : "");
}

static char *matches_of(const struct alert_rule *r, struct arena *ar)
{
    char buf[4096] = "";

    add_match(buf, sizeof buf, "mesh", r->mesh, false);
    add_match(buf, sizeof buf, "class", r->class_name, false);
    add_match(buf, sizeof buf, "source", r->source, false);
    add_match(buf, sizeof buf, "target", r->target, false);
    add_match(buf, sizeof buf, "select", r->select_text, true);
    add_match(buf, sizeof buf, "target_select", r->target_select_text, true);
    add_match(buf, sizeof buf, "group", r->group_text, true);
    return admin_text(ar, buf);
}

static char *direction_of(const struct alert_rule *r)
{
    return r->direction == TW_UNKNOWN ? (char *)protobuf_c_empty_string
                                      : (char *)tw_direction_name(r->direction);
}

struct tally {
    const char *rule;
    uint32_t pending, firing;
};

static enum tw_rc tally(void *ctx, const struct alert *a)
{
    struct tally *t = ctx;

    if (strcmp(a->rule, t->rule) != 0)
        return TW_OK;
    t->pending += a->state == ALERT_PENDING;
    t->firing += a->state == ALERT_FIRING;
    return TW_OK;
}

static Tw__AlertRuleInfo *rule_info(struct alerts *a, const struct alert_rule *r, struct arena *ar)
{
    Tw__AlertRuleInfo *m = arena_alloc(ar, sizeof *m);
    struct tally t = { .rule = r->name };
    char text[3][128];

    if (!m)
        return NULL;
    tw__alert_rule_info__init(m);
    alert_engine_each(alerts_engine(a), tally, &t);
    m->name = (char *)r->name;
    m->metric = (char *)alert_metric_name(r->metric);
    m->direction = direction_of(r);
    m->scope = (char *)alert_scope_name(r->scope);
    m->matches = matches_of(r, ar);
    m->off = r->off;
    m->info = admin_text(ar, level_text(r, ALERT_INFO, text[0], sizeof text[0]));
    m->warning = admin_text(ar, level_text(r, ALERT_WARNING, text[1], sizeof text[1]));
    m->critical = admin_text(ar, level_text(r, ALERT_CRITICAL, text[2], sizeof text[2]));
    m->for_time_ns = r->for_ns;
    m->clear_time_ns = r->clear_for_ns;
    m->baseline_time_ns = r->relative ? r->baseline_ns : 0;
    m->line = r->line;
    m->firing = t.firing;
    m->pending = t.pending;
    return m;
}

void admin_alert_rules(Tw__Admin_Service *service, const Tw__AlertRulesRequest *rq,
                       Tw__AlertRulesReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    const struct alerts_document *d = alerts_document(c->alerts);
    const struct alert_rules *rules = alerts_rules(c->alerts);
    struct arena *ar = admin_arena(c);
    Tw__AlertRulesReply reply = TW__ALERT_RULES_REPLY__INIT;

    (void)rq;
    reply.version = d->version;
    reply.time_ns = d->time_ns;
    reply.author = (char *)d->author;
    reply.reason = (char *)d->reason;
    reply.rules = arena_alloc(ar, (rules->n_rules + 1) * sizeof *reply.rules);
    for (size_t i = 0; reply.rules && i < rules->n_rules; i++) {
        Tw__AlertRuleInfo *m = rule_info(c->alerts, &rules->rules[i], ar);

        if (!m)
            break;
        reply.rules[reply.n_rules++] = m;
    }
    closure(&reply, closure_data);
}

/* ---- Explain ---- */

struct explain {
    struct controller *c;
    struct arena *ar;
    Tw__AlertExplainReply reply;
    size_t cap;
    bool applying; /* first those that apply, then the others */
};

static const struct alert *active_of(struct alerts *a, const struct alert_subject *s,
                                     const struct alert_rule *r);

struct finding {
    const struct alert_subject *s;
    const struct alert_rule *r;
    const struct alert *found;
};

static enum tw_rc find_active(void *ctx, const struct alert *a)
{
    struct finding *f = ctx;
    bool same = f->s->target[0] ? a->key.kind == ALERT_PAIR && a->key.pair_id == f->s->pair_id
                                : a->key.kind == ALERT_AGENT && !strcmp(a->key.subject, f->s->source);

    if (same && a->state != ALERT_RESOLVED && a->key.slot == alert_slot(f->r->metric, f->r->direction))
        f->found = a;
    return TW_OK;
}

static const struct alert *active_of(struct alerts *a, const struct alert_subject *s,
                                     const struct alert_rule *r)
{
    struct finding f = { s, r, NULL };

    alert_engine_each(alerts_engine(a), find_active, &f);
    return f.found;
}

static void fill_levels(const struct alert_rule *r, struct arena *ar, Tw__AlertExplainRow *m)
{
    char all[512] = "", one[128];

    for (unsigned s = 0; s < ALERT_SEVERITY_COUNT; s++) {
        size_t n = strlen(all);

        if (r->level[s].given)
            snprintf(all + n, sizeof all - n, "%s%s: %s", n ? "; " : "",
                     alert_severity_name((enum alert_severity)s), level_text(r, s, one, sizeof one));
    }
    m->levels = admin_text(ar, r->off ? "off" : all);
}

static void fill_applying(struct explain *e, const struct alert_subject *s, const struct alert_rule *r,
                          Tw__AlertExplainRow *m)
{
    const struct alert *a = active_of(e->c->alerts, s, r);

    fill_levels(r, e->ar, m);
    m->state = (char *)alert_state_name(a ? a->state : ALERT_OK);
    m->alert = a ? a->id : 0;
    m->value = a ? admin_alert_number(e->ar, a->value) : NULL;
    if (!r->relative)
        return;
    m->baseline =
        admin_alert_number(e->ar, alert_engine_baseline(alerts_engine(e->c->alerts), s->pair_id,
                                                        alert_slot(r->metric, r->direction),
                                                        loop_now(e->c->loop).wall.ns, &m->baseline_known_ns));
    m->baseline_wanted_ns = r->warm_up_ns;
}

static void explain_rule(struct explain *e, const struct alert_subject *s, size_t i)
{
    const struct alert_rules *rules = alerts_rules(e->c->alerts);
    const struct alert_rule *r = &rules->rules[i];
    size_t other;
    enum alert_verdict v = alert_rules_explain(rules, s, i, &other);
    Tw__AlertExplainRow *m;

    if ((v == ALERT_APPLIES) != e->applying || (v == ALERT_OTHER_KIND && !e->applying))
        return;
    m = e->reply.n_rows < e->cap ? arena_alloc(e->ar, sizeof *m) : NULL;
    if (!m)
        return;
    tw__alert_explain_row__init(m);
    m->mesh = (char *)s->mesh;
    m->class_name = (char *)s->class_name;
    m->metric = (char *)alert_metric_name(r->metric);
    m->direction = direction_of(r);
    m->rule = (char *)r->name;
    m->applies = v == ALERT_APPLIES;
    m->why = (char *)alert_verdict_text(v);
    m->other = other != i ? (char *)rules->rules[other].name : (char *)protobuf_c_empty_string;
    if (m->applies)
        fill_applying(e, s, r, m);
    e->reply.rows[e->reply.n_rows++] = m;
}

static void explain_subject(struct explain *e, const struct alert_subject *s)
{
    for (size_t i = 0; i < alerts_rules(e->c->alerts)->n_rules; i++)
        explain_rule(e, s, i);
}

static bool begin_explain(struct explain *e, size_t subjects)
{
    e->cap = subjects * alerts_rules(e->c->alerts)->n_rules;
    e->reply = (Tw__AlertExplainReply)TW__ALERT_EXPLAIN_REPLY__INIT;
    e->reply.rows = arena_alloc(e->ar, (e->cap + 1) * sizeof *e->reply.rows);
    return e->reply.rows != NULL;
}

static void explain_agent(struct explain *e, const Tw__AlertExplainRequest *rq,
                          Tw__AlertExplainReply_Closure closure, void *closure_data)
{
    const struct agent *ag = inventory_agent(&e->c->inv, rq->source);
    char mean[NEAR_TEXT];
    struct alert_subject s;

    if (!ag) {
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no agent \"%.63s\"%s: twampctl agent list shows them", rq->source, near_agent(&e->c->inv, rq->source, mean));
        return;
    }
    s = alerts_agent_subject(ag);
    for (int pass = 0; begin_explain(e, 1) && pass < 1; pass++) {
        e->applying = true;
        explain_subject(e, &s);
        e->applying = false;
        explain_subject(e, &s);
    }
    closure(&e->reply, closure_data);
}

static bool is_asked(const struct pair *p, const Tw__AlertExplainRequest *rq)
{
    return p->scheduled && !strcmp(p->row.source, rq->source) && !strcmp(p->row.target, rq->target) &&
           (!*rq->mesh || !strcmp(p->row.mesh, rq->mesh)) &&
           (!*rq->class_name || !strcmp(p->row.class_name, rq->class_name));
}

void admin_alert_explain(Tw__Admin_Service *service, const Tw__AlertExplainRequest *rq,
                         Tw__AlertExplainReply_Closure closure, void *closure_data)
{
    struct explain e = { .c = admin_controller(service) };
    const struct pair *found[EXPLAIN_PAIRS_MAX];
    size_t n = 0;

    e.ar = admin_arena(e.c);
    if (!*rq->target) {
        explain_agent(&e, rq, closure, closure_data);
        return;
    }
    for (size_t i = 0; i < e.c->inv.pairs.n && n < EXPLAIN_PAIRS_MAX; i++)
        if (is_asked(pair_table_at(&e.c->inv.pairs, i), rq))
            found[n++] = pair_table_at(&e.c->inv.pairs, i);
    if (!n) {
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no pair from \"%.63s\" to \"%.63s\" is scheduled so", rq->source, rq->target);
        return;
    }
    if (begin_explain(&e, n))
        for (int pass = 0; pass < 2; pass++) {
            e.applying = pass == 0;
            for (size_t i = 0; i < n; i++) {
                struct alert_subject s = alerts_subject(e.c->alerts, found[i]);

                explain_subject(&e, &s);
            }
        }
    closure(&e.reply, closure_data);
}

/* ---- Document ---- */

struct apply_call {
    struct controller *c;
    Tw__AlertApplyReply_Closure closure;
    void *closure_data;
    Tw__AlertApplyReply reply;
};

static void applied(void *ctx, enum tw_rc rc, const struct tw_err *err)
{
    struct apply_call *call = ctx;

    if (rc == TW_OK) {
        call->reply.version = alerts_document(call->c->alerts)->version;
        call->closure(&call->reply, call->closure_data);
    } else if (rc == TW_ECLOSED) {
        rpc_fail(call->closure_data, TW__STATUS__STATUS_UNAVAILABLE, "the controller is stopping");
    } else {
        rpc_fail(call->closure_data,
                 rc == TW_EAGAIN ? TW__STATUS__STATUS_ABORTED : TW__STATUS__STATUS_INTERNAL, "%s", err->text);
    }
    free(call);
}

static void refuse_document(const struct tw_err *err, Tw__AlertApplyReply_Closure closure, void *closure_data)
{
    Tw__AlertApplyReply reply = TW__ALERT_APPLY_REPLY__INIT;
    Tw__AlertDocumentError e = TW__ALERT_DOCUMENT_ERROR__INIT;

    e.line = err->line;
    e.column = err->column;
    e.path = (char *)err->field;
    e.text = (char *)err->text;
    e.file = (char *)err->file;
    reply.error = &e;
    closure(&reply, closure_data);
}

static void start_apply(struct controller *c, const Tw__AlertApplyRequest *rq, struct alert_rules *rules,
                        const Tw__AlertApplyReply *reply, Tw__AlertApplyReply_Closure closure,
                        void *closure_data)
{
    struct apply_call *call = malloc(sizeof *call);
    enum tw_rc rc = TW_ENOMEM;

    if (call) {
        *call = (struct apply_call){ c, closure, closure_data, *reply };
        rc = alerts_apply(c->alerts, rq->document, rules, rq->author, rq->reason, applied, call);
    }
    if (rc == TW_OK)
        return;
    free(call);
    alert_rules_clear(rules);
    if (rc == TW_EBUSY)
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE,
                 "another document is being applied: try again");
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

void admin_alert_apply(Tw__Admin_Service *service, const Tw__AlertApplyRequest *rq,
                       Tw__AlertApplyReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    const struct alerts_document *d = alerts_document(c->alerts);
    Tw__AlertApplyReply reply = TW__ALERT_APPLY_REPLY__INIT;
    struct alert_rules rules;
    struct tw_err err = { 0 };

    if (!admin_author_ok(rq->author, rq->reason, closure_data))
        return;
    if (strlen(rq->document) > ALERT_DOCUMENT_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "document: expected at most %u octets",
                 ALERT_DOCUMENT_MAX);
        return;
    }
    if (alert_doc_parse(*rq->file ? rq->file : "document", rq->document, strlen(rq->document), &rules,
                        &err) != TW_OK) {
        refuse_document(&err, closure, closure_data);
        return;
    }
    reply.version = d->version;
    reply.rules = (uint32_t)rules.n_rules;
    reply.receivers = (uint32_t)rules.n_receivers;
    reply.routes = (uint32_t)rules.n_routes;
    reply.unchanged = d->text && !strcmp(d->text, rq->document);
    if (!reply.unchanged && !rq->check_only) {
        start_apply(c, rq, &rules, &reply, closure, closure_data);
        return;
    }
    alert_rules_clear(&rules);
    closure(&reply, closure_data);
}

/* ---- History ---- */

struct kept {
    struct store_alert_document d;
};
struct documents_job {
    struct reader_job job; /* first */
    struct controller *c;
    uint64_t version, limit;
    bool list;
    struct kept *v;
    size_t n;
    enum tw_rc rc;
    struct tw_err err;
    union {
        Tw__AlertExportReply_Closure one;
        Tw__AlertHistoryReply_Closure all;
    } closure;
    void *closure_data;
};

static enum tw_rc keep(void *ctx, const struct store_alert_document *d)
{
    struct documents_job *j = ctx;
    struct kept *more = realloc(j->v, (j->n + 1) * sizeof *more);

    if (!more)
        return TW_ENOMEM;
    j->v = more;
    more += j->n++;
    more->d = *d;
    more->d.author = strdup(d->author);
    more->d.reason = strdup(d->reason);
    more->d.text = strdup(j->list ? "" : d->text);
    return more->d.author && more->d.reason && more->d.text ? TW_OK : TW_ENOMEM;
}

static void read_documents(struct reader_job *job, struct store_reader *r)
{
    struct documents_job *j = (struct documents_job *)job;

    j->rc = store_read_alert_documents(r, j->version, j->limit, keep, j, &j->err);
}

static void fill_document(const struct kept *k, Tw__AlertDocument *m)
{
    tw__alert_document__init(m);
    m->version = k->d.version;
    m->time_ns = k->d.time_ns;
    m->author = (char *)k->d.author;
    m->reason = (char *)k->d.reason;
    m->document = (char *)k->d.text;
}

static void answer_all(struct documents_job *j)
{
    struct arena *ar = admin_arena(j->c);
    Tw__AlertHistoryReply reply = TW__ALERT_HISTORY_REPLY__INIT;

    reply.documents = arena_alloc(ar, (j->n + 1) * sizeof *reply.documents);
    for (size_t i = 0; reply.documents && i < j->n; i++) {
        Tw__AlertDocument *m = arena_alloc(ar, sizeof *m);

        if (!m)
            break;
        fill_document(&j->v[i], m);
        reply.documents[reply.n_documents++] = m;
    }
    j->closure.all(&reply, j->closure_data);
}

static void answer_one(struct documents_job *j)
{
    Tw__AlertExportReply reply = TW__ALERT_EXPORT_REPLY__INIT;
    Tw__AlertDocument m;

    fill_document(&j->v[0], &m);
    reply.document = &m;
    j->closure.one(&reply, j->closure_data);
}

static void documents_read(struct reader_job *job)
{
    struct documents_job *j = (struct documents_job *)job;

    if (j->rc)
        rpc_fail(j->closure_data, TW__STATUS__STATUS_INTERNAL, "%s",
                 j->err.text[0] ? j->err.text : tw_rc_name(j->rc));
    else if (j->list)
        answer_all(j);
    else if (j->n)
        answer_one(j);
    else
        rpc_fail(j->closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 j->version ? "no such version: twampctl alert history shows them"
                            : "no alert document was applied yet: twampctl alert apply -f FILE");
    for (size_t i = 0; i < j->n; i++) {
        free((char *)j->v[i].d.author);
        free((char *)j->v[i].d.reason);
        free((char *)j->v[i].d.text);
    }
    free(j->v);
    free(j);
}

static void submit(struct documents_job *j, void *closure_data)
{
    enum tw_rc rc = TW_ENOMEM;

    if (j) {
        j->job = (struct reader_job){ .run = read_documents, .done = documents_read };
        j->closure_data = closure_data;
        rc = reader_submit(j->c->readers, &j->job);
    }
    if (rc == TW_OK)
        return;
    free(j);
    admin_fail_run(rc, "", closure_data);
}

void admin_alert_export(Tw__Admin_Service *service, const Tw__AlertExportRequest *rq,
                        Tw__AlertExportReply_Closure closure, void *closure_data)
{
    struct documents_job *j = calloc(1, sizeof *j);

    if (j) {
        j->c = admin_controller(service);
        j->version = rq->version;
        j->limit = 1;
        j->closure.one = closure;
    }
    submit(j, closure_data);
}

void admin_alert_history(Tw__Admin_Service *service, const Tw__AlertHistoryRequest *rq,
                         Tw__AlertHistoryReply_Closure closure, void *closure_data)
{
    struct documents_job *j = calloc(1, sizeof *j);

    if (j) {
        j->c = admin_controller(service);
        j->list = true;
        j->limit = rq->limit ? rq->limit : HISTORY_DEFAULT;
        j->closure.all = closure;
    }
    submit(j, closure_data);
}
