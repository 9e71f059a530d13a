/* /api/v1/report: the numbers of each pair over a span, with how much of the span they cover. */
#include <stdlib.h>
#include <string.h>
#include "common/net/httpd.h"
#include "controller/http/api.h"
#include "controller/http/export.h"
#include "controller/http/report_text.h"

struct report_answer {
    struct report *rep;
    struct report_filter f;
};

static cJSON *report_head(const struct report_answer *a)
{
    cJSON *head = api_head(a->rep->groups ? "report-groups" : "report");

    json_time(head, "from", "from_ns", a->rep->from_ns);
    json_time(head, "to", "to_ns", a->rep->to_ns);
    if (a->rep->before) {
        json_time(head, "before_from", "before_from_ns", a->rep->before->from_ns);
        json_time(head, "before_to", "before_to_ns", a->rep->before->to_ns);
    }
    if (a->rep->groups)
        cJSON_AddStringToObject(head, "group_by", a->f.group_by);
    cJSON_AddBoolToObject(head, "latest", a->f.latest);
    if (!a->rep->groups)
        cJSON_AddBoolToObject(head, "flows", a->f.flows);
    cJSON_AddBoolToObject(head, "truncated", a->rep->truncated);
    return head;
}

static char *write_json(const struct report_answer *a, size_t *ret_len)
{
    struct json_list l;

    json_list_begin(&l, report_head(a), a->rep->groups ? "groups" : "pairs");
    for (size_t i = 0; i < a->rep->n_groups; i++)
        json_list_add(&l, report_group_item(&a->rep->groups[i]));
    for (size_t i = 0; !a->rep->groups && i < a->rep->n_pairs; i++) {
        const struct report_pair *p = &a->rep->pairs[i];

        if (!a->f.flows)
            json_list_add(&l, report_pair_item(p));
        for (size_t k = 0; a->f.flows && k < p->n_flows; k++)
            json_list_add(&l, report_flow_item(p, &p->flows[k]));
    }
    return json_list_end(&l, ret_len);
}

static const char *const types[] = {
    [REPORT_JSON] = "application/json",
    [REPORT_CSV] = "text/csv; charset=utf-8",
    [REPORT_NDJSON] = "application/x-ndjson",
    [REPORT_HTML] = "text/html; charset=utf-8",
};

static char *write_report(const void *data, size_t *ret_len)
{
    const struct report_answer *a = data;

    switch (a->f.format) {
    case REPORT_CSV:
        return report_csv(a->rep, a->f.flows, ret_len);
    case REPORT_NDJSON:
        return report_ndjson(a->rep, a->f.flows, ret_len);
    case REPORT_HTML:
        return report_html(a->rep, a->f.group_by, a->f.latest, ret_len);
    case REPORT_JSON:
        break;
    }
    return write_json(a, ret_len);
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
        *a = (struct report_answer){ rep, w->filter };
        api_render_as(w->c, w->rq, types[w->filter.format], write_report, free_answer, a);
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

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_FROM | QUERY_TO | QUERY_LIMIT | QUERY_LATEST | QUERY_FLOWS | QUERY_SHAPE,
                    &f))
        return;
    if (f.format == REPORT_HTML && f.limit > REPORT_HTML_ROWS) {
        http_answer_error(rq, 400,
                          "limit: a page of HTML has %d rows at most: narrow it with mesh, class, source or target, or "
                          "take format=csv or format=ndjson, which come piece by piece",
                          REPORT_HTML_ROWS);
        return;
    }
    f.views_only = true;
    if ((f.format == REPORT_CSV || f.format == REPORT_NDJSON) && report_filter_is_plain(&f)) {
        export_start(c, rq, EXPORT_REPORT, &f);
        return;
    }
    w = api_wait_new(c, rq, &f);
    if (!w)
        return;
    rc = report_run(&c->inv, NULL, c->readers, &f, loop_now(c->loop).wall.ns, on_report, w);
    if (rc) {
        api_refuse(rq, rc, NULL);
        free(w);
    }
}
