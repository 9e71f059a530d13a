/* /api/v1/clock: whose clock is wrong, by the mesh clock audit. */
#include <stdlib.h>
#include "controller/http/api.h"

static struct tw_num known(bool is, double v)
{
    return (struct tw_num){ is, v };
}

static cJSON *crooked(const struct clocks_result *r)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < r->n_crooked; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "from", r->crooked[i].a);
        cJSON_AddStringToObject(o, "to", r->crooked[i].b);
        json_num(o, "longer_seconds", known(true, r->crooked[i].longer_s));
        json_num(o, "round_trip_seconds", known(true, r->crooked[i].round_trip_s));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static cJSON *finding(const struct agent *a)
{
    const struct agent_audit *f = &a->audit;
    bool measured = f->host.pairs > 0;
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "name", a->row.name);
    cJSON_AddStringToObject(o, "verdict", clock_verdict_name(f->host.verdict));
    json_put(o, "synced", f->claim.known ? cJSON_CreateBool(f->claim.synced) : cJSON_CreateNull());
    json_num(o, "claimed_error_seconds", known(f->claim.synced, f->claim.error_s));
    json_num(o, "offset_seconds", known(measured, f->host.offset_s));
    json_num(o, "uncertainty_seconds", known(measured, f->host.uncertainty_s));
    json_num(o, "limit_seconds", known(measured, f->host.limit_s));
    cJSON_AddBoolToObject(o, "certain", f->host.certain);
    json_u64(o, "pairs", f->host.pairs);
    json_u64(o, "pairs_used", f->host.pairs_used);
    json_u64(o, "component", f->host.component);
    json_u64(o, "component_agents", f->host.component_hosts);
    return o;
}

static char *write_clock(const struct controller *c, const struct selector *sel,
                         const struct clocks_result *r, size_t *ret_len)
{
    size_t n;
    const struct agent **v = clocks_sorted(&c->inv, &n);
    cJSON *head = api_head("clock");
    struct json_list l;

    json_time(head, "time", "time_ns", r->time_ns);
    json_u64(head, "pairs", r->pairs);
    json_u64(head, "pairs_used", r->pairs_used);
    json_u64(head, "components", r->components);
    cJSON_AddItemToObject(head, "crooked", crooked(r));
    json_list_begin(&l, head, "agents");
    l.failed = l.failed || !v;
    for (size_t i = 0; i < n; i++)
        if (v[i]->audit.known && selector_match(sel, v[i]->labels, v[i]->n_labels, v[i]->row.name))
            json_list_add(&l, finding(v[i]));
    free(v);
    return json_list_end(&l, ret_len);
}

static void audited(void *ctx, enum tw_rc rc, const struct clocks_result *r)
{
    struct api_wait *w = ctx;
    struct selector *sel = NULL;
    size_t len = 0;
    char *text;

    if (!rc)
        rc = api_selector(&w->filter, &sel);
    if (rc) {
        api_refuse(w->rq, rc, NULL);
    } else {
        text = write_clock(w->c, sel, r, &len);
        api_answer(w->rq, text, len);
    }
    selector_free(sel);
    free(w);
}

void http_clock(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct api_wait *w;

    if (!api_filter(c, rq, QUERY_SELECT, &f))
        return;
    w = api_wait_new(c, rq, &f);
    if (w)
        clocks_ask(c->clocks, audited, w);
}
