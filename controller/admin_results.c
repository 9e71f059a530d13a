#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "common/net/summary_pb.h"
#include "controller/admin.h"
#include "controller/results.h"

static bool copy_name(char dst[STORE_NAME_MAX], const char *src, const char *what, void *closure_data)
{
    if (strlen(src) >= STORE_NAME_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "the filter's %s has more than %d characters", what, STORE_NAME_MAX - 1);
        return false;
    }
    strcpy(dst, src);
    return true;
}

static bool read_direction(const char *text, struct report_filter *ret, void *closure_data)
{
    if (!*text)
        return true;
    ret->by_direction = true;
    if (tw_direction_parse(text, &ret->direction) == TW_OK && ret->direction != TW_ROUNDTRIP)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
             "the filter's direction is \"%.40s\"; expected forward, backward, mixed or unknown", text);
    return false;
}

static bool read_form(const char *text, struct report_filter *ret, void *closure_data)
{
    if (!*text || !strcmp(text, "csv") || !strcmp(text, "ndjson")) {
        ret->form = !*text ? RESULTS_AS_ROWS : *text == 'c' ? RESULTS_AS_CSV : RESULTS_AS_LINES;
        return true;
    }
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
             "the filter's page_form is \"%.40s\"; expected csv or ndjson", text);
    return false;
}

static bool copy_selector(char dst[SELECTOR_TEXT_MAX], const char *src, void *closure_data)
{
    struct selector *sel = NULL;
    struct tw_err err = { 0 };

    if (*src && selector_parse(src, &sel, &err) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", err.text);
        return false;
    }
    selector_free(sel);
    strcpy(dst, src); /* what is longer is no selector */
    return true;
}

bool admin_read_filter(const Tw__PairFilter *rq, struct report_filter *ret, void *closure_data)
{
    *ret = (struct report_filter){
        .from_ns = rq->from_ns,
        .to_ns = rq->to_ns,
        .limit = rq->limit,
        .latest = rq->latest,
        .flows = rq->flows,
        .min_probes = rq->min_probes,
        .min_duration_ns = rq->min_duration_ns,
        .top = rq->top,
        .skip = rq->skip,
        .paged = rq->paged,
        .page_pair = rq->page_pair,
        .page_ns = rq->page_ns,
        .before_from_ns = rq->before_from_ns,
        .before_to_ns = rq->before_to_ns,
        .on_demand = rq->on_demand,
        .test_id = rq->test_id,
    };
    return read_form(rq->page_form, ret, closure_data) && read_direction(rq->direction, ret, closure_data) &&
           admin_read_shape(rq, ret, closure_data) && copy_name(ret->mesh, rq->mesh, "mesh", closure_data) &&
           copy_name(ret->class_name, rq->class_name, "class", closure_data) &&
           copy_name(ret->source, rq->source, "source", closure_data) &&
           copy_name(ret->target, rq->target, "target", closure_data) &&
           copy_selector(ret->select, rq->select, closure_data) &&
           copy_selector(ret->target_select, rq->target_select, closure_data);
}

void admin_fill_pair(const struct inventory *inv, const struct store_pair *p, Tw__PairInfo *ret)
{
    const struct pair *known = inventory_pair((struct inventory *)inv, p->id);

    tw__pair_info__init(ret);
    ret->pair_id = p->id;
    ret->mesh = (char *)p->mesh;
    ret->class_name = (char *)p->class_name;
    ret->source = (char *)p->source;
    ret->target = (char *)p->target;
    ret->scheduled = known && known->scheduled;
}

void admin_fail_run(enum tw_rc rc, const char *text, void *closure_data)
{
    Tw__Status status = rc == TW_ENOMEM   ? TW__STATUS__STATUS_RESOURCE_EXHAUSTED
                        : rc == TW_EINVAL ? TW__STATUS__STATUS_INVALID_ARGUMENT
                                          : TW__STATUS__STATUS_INTERNAL;

    if (rc == TW_EBUSY)
        rpc_fail_later(closure_data, ADMIN_RETRY_MS, "%s",
                       text[0] ? text : "too many queries run already: try again later");
    else
        rpc_fail(closure_data, status, "%s", text[0] ? text : tw_rc_name(rc));
}

/* ---- Results ---- */

struct results_call {
    struct controller *c;
    bool paged;
    Tw__ResultsReply_Closure closure;
    void *closure_data;
};

/* Room for message and packed octets both; NULL: the reply is full. */
static Tw__ResultRow *result_row(const struct controller *c, const struct result_row *r, struct arena *ar)
{
    Tw__ResultRow *row = arena_alloc(ar, sizeof *row);

    if (!row)
        return NULL;
    tw__result_row__init(row);
    row->pair = arena_alloc(ar, sizeof *row->pair);
    if (!row->pair || summary_to_pb(&r->summary, ar, &row->summary) != TW_OK)
        return NULL;
    admin_fill_pair(&c->inv, &r->pair, row->pair);
    return row;
}

/* Flows of a pair have the same starts: a page ends between two of these. Of more flows than an answer holds
 * there is no next page. */
static void end_page(const struct results *res, Tw__ResultsReply *reply)
{
    const struct result_row *next = reply->n_rows < res->n_rows ? &res->rows[reply->n_rows] : NULL;

    reply->next_pair = next ? next->pair.id : res->next_pair;
    reply->next_ns = next ? next->summary.start_ns : res->next_ns;
    while (reply->n_rows && reply->rows[reply->n_rows - 1]->pair->pair_id == reply->next_pair &&
           reply->rows[reply->n_rows - 1]->summary->start_ns == reply->next_ns)
        reply->n_rows--;
    if (res->n_rows && !reply->n_rows)
        reply->next_pair = 0;
}

static void answer_text(const struct results_call *call, const struct results *res)
{
    Tw__ResultsReply reply = TW__RESULTS_REPLY__INIT;
    Tw__PairInfo last;

    reply.truncated = res->truncated;
    reply.next_pair = res->next_pair;
    reply.next_ns = res->next_ns;
    reply.page_text = (ProtobufCBinaryData){ res->text_len, (uint8_t *)res->text };
    reply.page_rows = res->text_rows;
    if (res->text_rows) {
        admin_fill_pair(&call->c->inv, &res->last, &last);
        reply.page_last = &last;
    }
    call->closure(&reply, call->closure_data);
}

static void answer_results(const struct results_call *call, const struct results *res)
{
    struct arena *ar = admin_arena(call->c);
    Tw__ResultsReply reply = TW__RESULTS_REPLY__INIT;
    size_t octets = 0;

    reply.truncated = res->truncated;
    reply.rows = arena_alloc(ar, sizeof *reply.rows * (res->n_rows + 1));
    for (size_t i = 0; i < res->n_rows; i++) {
        Tw__ResultRow *row = reply.rows ? result_row(call->c, &res->rows[i], ar) : NULL;

        octets += row ? tw__result_row__get_packed_size(row) + 8 : 0;
        if (!row || octets > ADMIN_REPLY_MAX) {
            reply.truncated = true;
            break;
        }
        reply.rows[reply.n_rows++] = row;
    }
    if (call->paged && reply.truncated)
        end_page(res, &reply);
    call->closure(&reply, call->closure_data);
}

static void results_done(void *ctx, struct results *res, const struct tw_err *err)
{
    struct results_call *call = ctx;

    if (!res)
        admin_fail_run(err->rc, err->text, call->closure_data);
    else if (res->text)
        answer_text(call, res);
    else
        answer_results(call, res);
    results_free(res);
    free(call);
}

void admin_results(Tw__Admin_Service *service, const Tw__PairFilter *rq, Tw__ResultsReply_Closure closure,
                   void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct results_call *call;
    struct report_filter f;
    enum tw_rc rc;

    if (!admin_read_filter(rq, &f, closure_data))
        return;
    call = malloc(sizeof *call);
    if (call)
        *call = (struct results_call){ c, rq->paged, closure, closure_data };
    rc = call
             ? results_run(&c->inv, admin_pair_lists(c), c->readers, &f, tw_wall_now().ns, results_done, call)
             : TW_ENOMEM;
    if (rc == TW_OK)
        return;
    free(call);
    admin_fail_run(rc, "", closure_data);
}

/* ---- Reports ---- */

/* Who asks again source by source does not hear of these from AgentList. They fit behind ADMIN_REPLY_MAX. */
#define REMOVED_MAX (64u << 10)

struct report_call {
    struct controller *c;
    struct report_filter filter;
    Tw__ReportReply_Closure closure;
    void *closure_data;
};

/* flow NULL: the pair as a whole. Room for message and packed octets both; NULL: the reply is full. */
static Tw__PairReport *report_row(const struct controller *c, const struct report_pair *r,
                                  const struct report_flow *flow, struct arena *ar)
{
    Tw__PairReport *row = arena_alloc(ar, sizeof *row);

    if (!row)
        return NULL;
    tw__pair_report__init(row);
    row->pair = arena_alloc(ar, sizeof *row->pair);
    if (!row->pair || summary_to_pb(flow ? &flow->merged : &r->merged, ar, &row->merged) != TW_OK)
        return NULL;
    admin_fill_pair(&c->inv, &r->pair, row->pair);
    row->pair->scheduled = r->scheduled;
    row->flow = flow ? flow->flow : 0;
    row->periods_expected = flow ? flow->periods_expected : r->periods_expected;
    row->periods_stored = flow ? flow->periods_stored : r->periods_stored;
    row->summaries_dropped = r->summaries_dropped;
    if (r->covers_from_ns < r->covers_to_ns) {
        row->covers_from_ns = r->covers_from_ns;
        row->covers_to_ns = r->covers_to_ns;
    }
    row->missing = flow ? NULL : admin_missing(&r->missing, ar);
    row->state = (char *)r->state;
    row->maintenance = r->maintenance;
    if (r->maintenance_note) { /* it lives until the reply has been packed */
        row->pair->maintenance_agent = r->maintenance_note->agent;
        row->pair->maintenance_reason = r->maintenance_note->reason;
        row->pair->maintenance_until_ns = r->maintenance_note->until_ns;
    }
    if (r->before && summary_to_pb(&r->before->merged, ar, &row->before) != TW_OK)
        return NULL;
    row->before_expected = r->before ? r->before->periods_expected : 0;
    row->before_stored = r->before ? r->before->periods_stored : 0;
    return row;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_removed(const struct report_call *call, struct arena *ar, Tw__ReportReply *reply)
{
    const struct inventory *inv = &call->c->inv;
    char **v = arena_alloc(ar, sizeof *v * (inv->pairs.n + 1));
    size_t n = 0, octets = 0;
    struct report_match m;

    if (!v || report_match_begin(&m, inv, &call->filter) != TW_OK)
        return;
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        if (!pair_source(p) && report_matches(&m, &p->row))
            v[n++] = (char *)p->row.source;
    }
    report_match_end(&m);
    if (!n)
        return;
    qsort(v, n, sizeof *v, by_text);
    reply->removed_sources = v;
    for (size_t i = 0; i < n && octets < REMOVED_MAX; i++) {
        if (i && !strcmp(v[i], v[reply->n_removed_sources - 1]))
            continue;
        octets += strlen(v[i]) + 2;
        v[reply->n_removed_sources++] = v[i];
    }
}

static bool add_row(const struct controller *c, struct arena *ar, Tw__ReportReply *reply,
                    const struct report_pair *r, const struct report_flow *flow, size_t *octets)
{
    Tw__PairReport *row = reply->pairs ? report_row(c, r, flow, ar) : NULL;

    *octets += row ? tw__pair_report__get_packed_size(row) + 8 : 0;
    if (!row || *octets > ADMIN_REPLY_MAX) {
        reply->truncated = true;
        return false;
    }
    reply->pairs[reply->n_pairs++] = row;
    return true;
}

static void answer_report(const struct report_call *call, const struct report *rep)
{
    struct arena *ar = admin_arena(call->c);
    Tw__ReportReply reply = TW__REPORT_REPLY__INIT;
    size_t octets = 0, rows = 0, skip = *call->filter.sort_by ? call->filter.skip : 0;
    bool room = true;

    reply.from_ns = rep->from_ns;
    reply.to_ns = rep->to_ns;
    reply.truncated = rep->truncated;
    reply.flows = call->filter.flows;
    for (size_t i = 0; i < rep->n_pairs; i++)
        rows += reply.flows ? rep->pairs[i].n_flows : 1;
    reply.pairs = arena_alloc(ar, sizeof *reply.pairs * (rows + 1));
    reply.sort_by = (char *)call->filter.sort_by;
    reply.before_from_ns = call->filter.before_from_ns;
    reply.before_to_ns = call->filter.before_to_ns;
    if (rep->groups) {
        admin_fill_groups(rep, call->filter.group_by, call->filter.skip, ar, &reply);
        call->closure(&reply, call->closure_data);
        return;
    }
    reply.next = rep->next;
    for (size_t i = skip; room && i < rep->n_pairs; i++) {
        const struct report_pair *r = &rep->pairs[i];
        size_t before = reply.n_pairs;

        if (!reply.flows)
            room = add_row(call->c, ar, &reply, r, NULL, &octets);
        for (size_t k = 0; room && reply.flows && k < r->n_flows; k++)
            room = add_row(call->c, ar, &reply, r, &r->flows[k], &octets);
        if (!room) { /* with all its flows, or not at all */
            reply.n_pairs = before;
            reply.next = *call->filter.sort_by ? (uint32_t)i : r->number;
        }
    }
    if (reply.truncated)
        list_removed(call, ar, &reply);
    call->closure(&reply, call->closure_data);
}

static void report_done(void *ctx, struct report *rep, const struct tw_err *err)
{
    struct report_call *call = ctx;

    if (rep)
        answer_report(call, rep);
    else
        admin_fail_run(err->rc, err->text, call->closure_data);
    if (rep)
        report_free(rep);
    free(call);
}

void admin_report(Tw__Admin_Service *service, const Tw__PairFilter *rq, Tw__ReportReply_Closure closure,
                  void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct report_call *call;
    struct report_filter f;
    enum tw_rc rc;

    if (!admin_read_filter(rq, &f, closure_data))
        return;
    call = malloc(sizeof *call);
    if (call)
        *call = (struct report_call){ c, f, closure, closure_data };
    rc = call ? report_run(&c->inv, admin_pair_lists(c), c->readers, &f, tw_wall_now().ns, report_done, call)
              : TW_ENOMEM;
    if (rc == TW_OK)
        return;
    free(call);
    admin_fail_run(rc, "", closure_data);
}
