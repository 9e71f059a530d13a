/* /api/v1/outages: loss runs, joined over the ends of report periods, newest first. */
#include "controller/http/api.h"
#include "controller/outages.h"
#include <stdlib.h>

static cJSON *outage_item(const struct outage *g)
{
    cJSON *o = cJSON_CreateObject();

    json_pair(o, &g->pair);
    cJSON_AddNumberToObject(o, "flow", g->run.flow);
    json_time(o, "start", "start_ns", g->run.start_ns);
    json_time(o, "end", "end_ns", g->run.start_ns + g->run.length_ns);
    cJSON_AddNumberToObject(o, "duration_seconds", (double)g->run.length_ns / (double)TW_NS_PER_S);
    json_u64(o, "probes", g->run.probes);
    cJSON_AddNumberToObject(o, "seq_first", g->run.seq_first);
    cJSON_AddStringToObject(o, "direction", tw_direction_name(g->run.direction));
    cJSON_AddBoolToObject(o, "ongoing", g->ongoing);
    cJSON_AddBoolToObject(o, "start_known", g->start_known);
    return o;
}

static char *write_outages(const void *data, size_t *ret_len)
{
    const struct outages *a = data;
    cJSON *head = api_head("outages");
    struct json_list l;

    json_time(head, "from", "from_ns", a->from_ns);
    json_time(head, "to", "to_ns", a->to_ns);
    cJSON_AddBoolToObject(head, "truncated", a->truncated);
    json_list_begin(&l, head, "outages");
    for (size_t i = 0; i < a->n; i++)
        json_list_add(&l, outage_item(&a->v[i]));
    return json_list_end(&l, ret_len);
}

static void free_outages(void *data)
{
    outages_free(data);
}

static void on_outages(void *ctx, struct outages *o, const struct tw_err *err)
{
    struct api_wait *w = ctx;

    if (o)
        api_render(w->c, w->rq, write_outages, free_outages, o);
    else
        api_refuse(w->rq, err->rc, err);
    free(w);
}

void http_outages(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct api_wait *w;
    enum tw_rc rc;

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_FROM | QUERY_TO | QUERY_LIMIT | QUERY_OUTAGES, &f))
        return;
    w = api_wait_new(c, rq, &f);
    if (!w)
        return;
    rc = outages_run(&c->inv, c->readers, &f, loop_now(c->loop).wall.ns, on_outages, w);
    if (rc) {
        api_refuse(rq, rc, NULL);
        free(w);
    }
}
