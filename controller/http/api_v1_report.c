/* /api/v1/report: the numbers of each pair over a span, with how much of the span they cover. */
#include <stdlib.h>
#include "controller/http/api.h"

struct report_answer {
    struct report *rep;
    bool latest, flows;
};

static cJSON *missing(const struct missing *m)
{
    cJSON *o = cJSON_CreateObject();

    for (int c = 0; c < STORE_CAUSES; c++)
        json_u64(o, store_cause_name(c), m->of[c]);
    return o;
}

static cJSON *completeness(uint64_t expected, uint64_t stored, uint64_t dropped, struct tw_num ratio)
{
    cJSON *o = cJSON_CreateObject();

    json_u64(o, "expected", expected);
    json_u64(o, "stored", stored);
    json_u64(o, "dropped", dropped);
    json_num(o, "ratio", ratio);
    return o;
}

static void put_numbers(cJSON *o, const struct stats_view *v, bool measured)
{
    if (measured)
        cJSON_AddStringToObject(o, "status", tw_status_name(v->status));
    else
        cJSON_AddNullToObject(o, "status");
    json_time(o, "start", "start_ns", v->start_ns);
    json_time(o, "end", "end_ns", v->end_ns);
    json_stats(o, v);
}

static cJSON *pair_head(const struct report_pair *p)
{
    cJSON *o = cJSON_CreateObject();

    json_pair(o, &p->pair);
    cJSON_AddBoolToObject(o, "scheduled", p->scheduled);
    cJSON_AddStringToObject(o, "state", p->state);
    cJSON_AddBoolToObject(o, "maintenance", p->maintenance);
    api_maintenance(o, p->maintenance_note);
    return o;
}

static cJSON *pair_item(const struct report_pair *p)
{
    cJSON *o = pair_head(p);
    cJSON *c = completeness(p->periods_expected, p->periods_stored, p->summaries_dropped, p->completeness_ratio);

    cJSON_AddItemToObject(c, "missing", missing(&p->missing));
    cJSON_AddItemToObject(o, "completeness", c);
    put_numbers(o, &p->view, p->merged.end_ns != 0);
    return o;
}

static cJSON *flow_item(const struct report_pair *p, const struct report_flow *f)
{
    cJSON *o = pair_head(p);

    cJSON_AddNumberToObject(o, "flow", f->flow);
    cJSON_AddItemToObject(
        o, "completeness",
        completeness(f->periods_expected, f->periods_stored, p->summaries_dropped, f->completeness_ratio));
    put_numbers(o, &f->view, f->merged.end_ns != 0);
    return o;
}

static char *write_report(const void *data, size_t *ret_len)
{
    const struct report_answer *a = data;
    cJSON *head = api_head("report");
    struct json_list l;

    json_time(head, "from", "from_ns", a->rep->from_ns);
    json_time(head, "to", "to_ns", a->rep->to_ns);
    cJSON_AddBoolToObject(head, "latest", a->latest);
    cJSON_AddBoolToObject(head, "flows", a->flows);
    cJSON_AddBoolToObject(head, "truncated", a->rep->truncated);
    json_list_begin(&l, head, "pairs");
    for (size_t i = 0; i < a->rep->n_pairs; i++) {
        const struct report_pair *p = &a->rep->pairs[i];

        if (!a->flows)
            json_list_add(&l, pair_item(p));
        for (size_t k = 0; a->flows && k < p->n_flows; k++)
            json_list_add(&l, flow_item(p, &p->flows[k]));
    }
    return json_list_end(&l, ret_len);
}

static void free_answer(void *data)
{
    struct report_answer *a = data;

    report_free(a->rep);
    free(a);
}

static void on_report(void *ctx, struct report *rep, const struct tw_err *err)
{
    struct api_wait *w = ctx;
    struct report_answer *a = rep ? malloc(sizeof *a) : NULL;

    if (a) {
        *a = (struct report_answer){ rep, w->filter.latest, w->filter.flows };
        api_render(w->c, w->rq, write_report, free_answer, a);
    } else {
        report_free(rep);
        api_refuse(w->rq, err ? err->rc : TW_ENOMEM, err);
    }
    free(w);
}

void http_report(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct api_wait *w;
    enum tw_rc rc;

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_FROM | QUERY_TO | QUERY_LIMIT | QUERY_LATEST | QUERY_FLOWS,
                    &f))
        return;
    f.views_only = true;
    w = api_wait_new(c, rq, &f);
    if (!w)
        return;
    rc = report_run(&c->inv, c->readers, &f, loop_now(c->loop).wall.ns, on_report, w);
    if (rc) {
        api_refuse(rq, rc, NULL);
        free(w);
    }
}
