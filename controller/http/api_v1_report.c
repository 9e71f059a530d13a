/* /api/v1/report: the numbers of each pair over a span, with how much of the span they cover. */
#include <stdlib.h>
#include "controller/http/api.h"

struct report_answer {
    struct report *rep;
    bool latest;
};

static cJSON *completeness(const struct report_pair *p)
{
    cJSON *o = cJSON_CreateObject();

    json_u64(o, "expected", p->periods_expected);
    json_u64(o, "stored", p->periods_stored);
    json_u64(o, "dropped", p->summaries_dropped);
    json_num(o, "ratio", p->completeness_ratio);
    return o;
}

static cJSON *pair_item(const struct report_pair *p)
{
    cJSON *o = cJSON_CreateObject();

    json_pair(o, &p->pair);
    cJSON_AddBoolToObject(o, "scheduled", p->scheduled);
    cJSON_AddStringToObject(o, "state", p->state);
    if (p->merged.end_ns)
        cJSON_AddStringToObject(o, "status", tw_status_name(p->view.status));
    else
        cJSON_AddNullToObject(o, "status");
    json_time(o, "start", "start_ns", p->view.start_ns);
    json_time(o, "end", "end_ns", p->view.end_ns);
    cJSON_AddItemToObject(o, "completeness", completeness(p));
    json_stats(o, &p->view);
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
    cJSON_AddBoolToObject(head, "truncated", a->rep->truncated);
    json_list_begin(&l, head, "pairs");
    for (size_t i = 0; i < a->rep->n_pairs; i++)
        json_list_add(&l, pair_item(&a->rep->pairs[i]));
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
        *a = (struct report_answer){ rep, w->filter.latest };
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

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_FROM | QUERY_TO | QUERY_LIMIT | QUERY_LATEST, &f))
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
