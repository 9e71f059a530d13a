/* Reports of groups, and whether objectives were kept. */
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "common/net/summary_pb.h"
#include "controller/admin.h"
#include "controller/report_sla.h"
#include "controller/sla_doc.h"
#include "controller/report_group.h"

static bool copy_text(char *dst, size_t size, const char *src, const char *what, void *closure_data)
{
    if (strlen(src) >= size) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "the filter's %s has more than %zu octets", what, size - 1);
        return false;
    }
    strcpy(dst, src);
    return true;
}

bool admin_read_shape(const Tw__PairFilter *rq, struct report_filter *ret, void *closure_data)
{
    const char *label;
    enum report_by by;
    struct tw_err err;

    if (!copy_text(ret->group_by, sizeof ret->group_by, rq->group_by, "group_by", closure_data) ||
        !copy_text(ret->sort_by, sizeof ret->sort_by, rq->sort_by, "sort_by", closure_data))
        return false;
    if (report_by_parse(ret->group_by, &by, &label, &err) == TW_OK && report_sort_check(ret->sort_by, &err) == TW_OK)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", err.text);
    return false;
}

/* ---- Groups ---- */

static Tw__GroupReport *group_row(const struct report_group *g, struct arena *ar)
{
    Tw__GroupReport *row = arena_alloc(ar, sizeof *row);

    if (!row)
        return NULL;
    tw__group_report__init(row);
    row->key = (char *)g->key;
    row->pairs = g->pairs;
    row->periods_expected = g->periods_expected;
    row->periods_stored = g->periods_stored;
    row->covers_from_ns = g->covers_from_ns;
    row->covers_to_ns = g->covers_to_ns;
    if (summary_to_pb(&g->merged, ar, &row->merged) != TW_OK)
        return NULL;
    if (!g->before)
        return row;
    row->before_expected = g->before->periods_expected;
    row->before_stored = g->before->periods_stored;
    return summary_to_pb(&g->before->merged, ar, &row->before) == TW_OK ? row : NULL;
}

void admin_fill_groups(const struct report *rep, const char *by, size_t skip, struct arena *ar,
                       Tw__ReportReply *reply)
{
    size_t octets = 0;

    reply->group_by = (char *)by;
    reply->groups = arena_alloc(ar, sizeof *reply->groups * (rep->n_groups + 1));
    for (size_t i = skip; i < rep->n_groups; i++) {
        Tw__GroupReport *row = reply->groups ? group_row(&rep->groups[i], ar) : NULL;

        octets += row ? tw__group_report__get_packed_size(row) + 8 : 0;
        if (!row || octets > ADMIN_REPLY_MAX) {
            reply->truncated = true;
            reply->next = (uint32_t)i;
            break;
        }
        reply->groups[reply->n_groups++] = row;
    }
}

/* ---- Objectives ---- */

struct sla_call {
    struct controller *c;
    Tw__SlaReply_Closure closure;
    void *closure_data;
};

static void fill_goal(Tw__SlaGoal *m, const struct sla_result *r)
{
    tw__sla_goal__init(m);
    m->kind = (char *)sla_kind_name(r->kind);
    m->limit = r->limit;
    m->known = r->achieved.known;
    m->achieved = r->achieved.known ? r->achieved.value : 0;
    m->verdict = (char *)sla_verdict_name(r->verdict);
    m->unit = (char *)sla_budget_unit(r->kind);
    m->budget = r->budget;
    m->used = r->used;
    m->left = r->left;
}

static bool fill_goals(const struct sla_pair *p, struct arena *ar, Tw__SlaPair *m)
{
    Tw__SlaGoal *v = arena_alloc(ar, (p->n_results + 1) * sizeof *v);

    m->goals = arena_alloc(ar, (p->n_results + 1) * sizeof *m->goals);
    if (!v || !m->goals)
        return false;
    for (size_t i = 0; i < p->n_results; i++) {
        fill_goal(&v[i], &p->results[i]);
        m->goals[m->n_goals++] = &v[i];
    }
    return true;
}

static bool fill_outages(const struct sla_pair *p, struct arena *ar, Tw__SlaPair *m)
{
    Tw__SlaOutage *v = arena_alloc(ar, (p->n_outages + 1) * sizeof *v);

    m->outages = arena_alloc(ar, (p->n_outages + 1) * sizeof *m->outages);
    if (!v || !m->outages)
        return false;
    for (size_t i = 0; i < p->n_outages; i++) {
        tw__sla_outage__init(&v[i]);
        v[i].start_ns = p->outages[i].start_ns;
        v[i].end_ns = p->outages[i].end_ns;
        v[i].windows = p->outages[i].windows;
        v[i].flow = p->outages[i].flow;
        m->outages[m->n_outages++] = &v[i];
    }
    m->windows_unlisted = p->windows_unlisted;
    return true;
}

static bool fill_excluded(const struct sla_pair *p, struct arena *ar, Tw__SlaPair *m)
{
    Tw__SlaExcluded *v = arena_alloc(ar, (p->maintenance.n + 1) * sizeof *v);

    m->excluded = arena_alloc(ar, (p->maintenance.n + 1) * sizeof *m->excluded);
    if (!v || !m->excluded)
        return false;
    for (size_t i = 0; i < p->maintenance.n; i++) {
        tw__sla_excluded__init(&v[i]);
        v[i].from_ns = p->maintenance.v[i].from_ns;
        v[i].to_ns = p->maintenance.v[i].to_ns;
        m->excluded[m->n_excluded++] = &v[i];
    }
    return true;
}

/* NULL: the reply is full. */
static Tw__SlaPair *sla_row(const struct sla_pair *p, struct arena *ar)
{
    Tw__SlaPair *m = arena_alloc(ar, sizeof *m);

    if (!m)
        return NULL;
    tw__sla_pair__init(m);
    m->pair_id = p->pair.id;
    m->mesh = (char *)p->pair.mesh;
    m->class_name = (char *)p->pair.class_name;
    m->source = (char *)p->pair.source;
    m->target = (char *)p->pair.target;
    m->verdict = (char *)sla_verdict_name(p->verdict);
    m->inexact = p->inexact;
    m->sent = p->view.sent;
    m->lost = p->view.lost;
    m->windows_available = p->view.windows_available;
    m->windows_unavailable = p->view.windows_unavailable;
    m->windows_unknown = p->view.windows_unknown;
    m->periods_expected = p->periods_expected;
    m->periods_stored = p->periods_stored;
    return fill_goals(p, ar, m) && fill_outages(p, ar, m) && fill_excluded(p, ar, m) ? m : NULL;
}

static void count_verdict(Tw__SlaReply *reply, enum sla_verdict v)
{
    reply->met += v == SLA_MET;
    reply->missed += v == SLA_MISSED;
    reply->unknown += v == SLA_UNKNOWN;
}

static void answer_sla(const struct sla_call *call, const struct sla_report *rep)
{
    struct arena *ar = admin_arena(call->c);
    Tw__SlaReply reply = TW__SLA_REPLY__INIT;
    size_t octets = 0;

    reply.from_ns = rep->from_ns;
    reply.to_ns = rep->to_ns;
    reply.truncated = rep->truncated;
    reply.next = rep->truncated ? rep->next : 0;
    reply.pairs = arena_alloc(ar, sizeof *reply.pairs * (rep->n_pairs + 1));
    for (size_t i = 0; i < rep->n_pairs; i++) {
        Tw__SlaPair *row = reply.pairs ? sla_row(&rep->pairs[i], ar) : NULL;

        octets += row ? tw__sla_pair__get_packed_size(row) + 8 : 0;
        if (!row || octets > ADMIN_REPLY_MAX) {
            reply.truncated = true;
            reply.next = rep->pairs[i].number;
            break;
        }
        reply.pairs[reply.n_pairs++] = row;
        count_verdict(&reply, rep->pairs[i].verdict);
    }
    call->closure(&reply, call->closure_data);
}

static void sla_done(void *ctx, struct sla_report *rep, const struct tw_err *err)
{
    struct sla_call *call = ctx;

    if (rep)
        answer_sla(call, rep);
    else
        admin_fail_run(err->rc, err->text, call->closure_data);
    sla_report_free(rep);
    free(call);
}

static bool read_request(const Tw__PairFilter *rq, struct report_filter *f, struct sla_objectives *o,
                         void *closure_data)
{
    struct tw_err err = { 0 };
    char text[512];

    if (!admin_read_filter(rq, f, closure_data))
        return false;
    if (!*rq->objectives)
        tw_err_set(&err, TW_EINVAL,
                   "no objectives: expected a document such as {availability: 99.9%%, p99: 50ms}");
    else if (sla_span(f, tw_wall_now().ns, &err) == TW_OK &&
             sla_doc_parse(rq->objectives, strlen(rq->objectives), o, &err) == TW_OK)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", tw_err_format(&err, text, sizeof text));
    return false;
}

void admin_report_sla(Tw__Admin_Service *service, const Tw__PairFilter *rq, Tw__SlaReply_Closure closure,
                      void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct sla_objectives objectives = { 0 };
    struct sla_call *call;
    struct report_filter f;
    enum tw_rc rc;

    if (!read_request(rq, &f, &objectives, closure_data))
        return;
    call = malloc(sizeof *call);
    if (call)
        *call = (struct sla_call){ c, closure, closure_data };
    rc = call ? sla_run(&c->inv, c->readers, &f, rq->skip, &objectives, sla_done, call) : TW_ENOMEM;
    if (rc == TW_OK)
        return;
    sla_objectives_free(&objectives);
    free(call);
    admin_fail_run(rc, "", closure_data);
}
