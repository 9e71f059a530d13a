/* /api/v1/summaries: the stored summaries themselves, one row for each flow and report period. */
#include <stdlib.h>
#include "controller/http/api.h"
#include "controller/http/export.h"
#include "controller/http/report_text.h"
#include "controller/results.h"

struct summaries_answer {
    struct results *res;
    int64_t from_ns, to_ns;
};

static char *write_summaries(const void *data, size_t *ret_len)
{
    const struct summaries_answer *a = data;
    cJSON *head = api_head("summaries");
    struct json_list l;

    json_time(head, "from", "from_ns", a->from_ns);
    json_time(head, "to", "to_ns", a->to_ns);
    cJSON_AddBoolToObject(head, "truncated", a->res->truncated);
    json_list_begin(&l, head, "summaries");
    for (size_t i = 0; i < a->res->n_rows; i++)
        json_list_add(&l, summary_item(&a->res->rows[i].pair, &a->res->rows[i].summary));
    return json_list_end(&l, ret_len);
}

static void free_answer(void *data)
{
    struct summaries_answer *a = data;

    results_free(a->res);
    free(a);
}

static void on_results(void *ctx, struct results *res, const struct tw_err *err)
{
    struct api_wait *w = ctx;
    struct summaries_answer *a = res ? malloc(sizeof *a) : NULL;

    if (a) {
        *a = (struct summaries_answer){ res, w->filter.from_ns, w->filter.to_ns };
        api_render(w->c, w->rq, write_summaries, free_answer, a);
    } else {
        results_free(res);
        api_refuse(w->rq, err ? err->rc : TW_ENOMEM, err);
    }
    free(w);
}

void http_summaries(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct api_wait *w;
    enum tw_rc rc;

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_FROM | QUERY_TO | QUERY_LIMIT | QUERY_FORMAT, &f))
        return;
    if (f.format == REPORT_HTML) {
        http_answer_error(rq, 400, "parameter \"format\" is \"html\"; expected json, csv or ndjson");
        return;
    }
    if (f.format != REPORT_JSON) {
        export_start(c, rq, EXPORT_SUMMARIES, &f);
        return;
    }
    w = api_wait_new(c, rq, &f);
    if (!w)
        return;
    rc = results_run(&c->inv, NULL, c->readers, &f, loop_now(c->loop).wall.ns, on_results, w);
    if (rc) {
        api_refuse(rq, rc, NULL);
        free(w);
    }
}
