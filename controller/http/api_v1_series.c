/* /api/v1/series: one pair over time. Found on the loop; read, written and compressed on a reader. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/http/api.h"
#include "controller/series.h"

struct series_job {
    struct reader_job job; /* first */
    struct http_req *rq;
    struct report_filter f;
    struct store_pair pair;
    int64_t period_ns;
    uint32_t flows;
    enum tw_rc rc;
    struct tw_err err;
    struct http_blob *blob;
};

/* ---- JSON ---- */

static void put_times(cJSON *o, const struct series *s, size_t i)
{
    int64_t start_ns = s->first_ns + (int64_t)i * s->step_ns;

    json_time(o, "start", "start_ns", start_ns);
    json_time(o, "end", "end_ns", start_ns + s->step_ns);
}

static cJSON *step_item(const struct series *s, size_t i)
{
    const struct series_step *step = &s->steps[i];
    struct stats_view view;
    cJSON *o = cJSON_CreateObject();

    stats_view(&step->merged, &view);
    put_times(o, s, i);
    json_i64(o, "from_ns", step->merged.start_ns);
    json_i64(o, "until_ns", step->merged.end_ns);
    cJSON_AddStringToObject(o, "level", store_level_name(step->level));
    json_u64(o, "summaries", step->rows);
    cJSON_AddStringToObject(o, "status", tw_status_name(view.status));
    json_stats(o, &view);
    return o;
}

static cJSON *flow_step(const struct series *s, const struct series_flow *f, size_t i)
{
    const struct stats_delay *d;
    struct stats_view view;
    cJSON *o = cJSON_CreateObject();

    stats_view(&f->steps[i], &view);
    d = &view.delay[TW_ROUNDTRIP];
    json_i64(o, "start_ns", s->first_ns + (int64_t)i * s->step_ns);
    json_u64(o, "sent", view.sent);
    json_u64(o, "received", view.received);
    json_u64(o, "lost", view.lost);
    json_num(o, "loss_ratio", view.loss_ratio);
    json_num(o, "delay_roundtrip_p50_seconds", d->p50_s);
    json_num(o, "delay_roundtrip_p95_seconds", d->p95_s);
    json_num(o, "delay_roundtrip_jitter_rfc3550_seconds", d->jitter_rfc3550_s);
    return o;
}

static cJSON *flow_list(const struct series *s)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t k = 0; k < s->n_flows; k++) {
        cJSON *o = cJSON_CreateObject(), *steps;

        cJSON_AddNumberToObject(o, "flow", s->flows[k].flow);
        steps = cJSON_AddArrayToObject(o, "steps");
        for (size_t i = 0; i < s->n_steps; i++)
            if (s->flows[k].steps[i].end_ns)
                cJSON_AddItemToArray(steps, flow_step(s, &s->flows[k], i));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static cJSON *bounds(const struct series_heat *h)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < h->n_rows; i++) {
        cJSON *pair = cJSON_CreateArray();
        double low_ns, high_ns;

        hist_key_bounds(h->rows[i], h->scale, &low_ns, &high_ns);
        cJSON_AddItemToArray(pair, json_num_item((struct tw_num){ true, low_ns }));
        cJSON_AddItemToArray(pair, json_num_item((struct tw_num){ true, high_ns }));
        cJSON_AddItemToArray(list, pair);
    }
    return list;
}

/* [row, count, row, count, ...]; a histogram that was coarser before it was merged has no finer rows. */
static cJSON *column(const struct series_heat *h, const struct hist *from)
{
    char *text = NULL;
    size_t len;
    struct hist all;
    FILE *f = open_memstream(&text, &len);
    cJSON *raw;

    if (!f)
        return NULL;
    hist_init(&all);
    hist_merge(&all, from);
    hist_downscale(&all, h->scale);
    fputc('[', f);
    for (uint32_t i = 0; i < all.n; i++) {
        struct hist_bucket b = hist_bucket(&all, i);

        fprintf(f, "%s%d,%llu", i ? "," : "", series_heat_row(h, b.key), (unsigned long long)b.count);
    }
    fputc(']', f);
    hist_free(&all);
    raw = fclose(f) ? NULL : cJSON_CreateRaw(text);
    free(text);
    return raw;
}

static cJSON *heat(const struct series *s, enum tw_direction d)
{
    cJSON *o = cJSON_CreateObject(), *columns;
    struct series_heat h;

    series_heat(s, d, &h);
    cJSON_AddStringToObject(o, "direction", tw_direction_name(d));
    json_put(o, "bounds_ns", bounds(&h));
    columns = cJSON_AddArrayToObject(o, "columns");
    for (size_t i = 0; i < s->n_steps; i++)
        if (s->steps[i].merged.end_ns)
            cJSON_AddItemToArray(columns, column(&h, &s->steps[i].merged.delay[d]));
    return o;
}

static cJSON *scheduled(const struct series *s)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < s->n_scheduled; i++) {
        cJSON *o = cJSON_CreateObject();

        json_i64(o, "from_ns", s->scheduled[i].from_ns);
        json_i64(o, "until_ns", s->scheduled[i].until_ns);
        json_i64(o, "report_period_ns", s->scheduled[i].report_period_ns);
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static char *write_series(const struct series *s, const struct report_filter *f, size_t *ret_len)
{
    cJSON *head = api_head("series"), *pair = cJSON_AddObjectToObject(head, "pair");
    struct json_list l;

    json_pair(pair, &s->pair);
    json_time(head, "from", "from_ns", s->from_ns);
    json_time(head, "to", "to_ns", s->to_ns);
    json_i64(head, "step_ns", s->step_ns);
    cJSON_AddBoolToObject(head, "truncated", s->truncated);
    json_put(head, "scheduled", scheduled(s));
    json_put(head, "heat", heat(s, f->heat));
    json_put(head, "flows", f->flows ? flow_list(s) : cJSON_CreateNull());
    json_list_begin(&l, head, "steps");
    for (size_t i = 0; i < s->n_steps; i++)
        if (s->steps[i].merged.end_ns)
            json_list_add(&l, step_item(s, i));
    return json_list_end(&l, ret_len);
}

/* ---- The job ---- */

static void job_work(struct reader_job *job, struct store_reader *db)
{
    struct series_job *j = (struct series_job *)job;
    struct series s;
    size_t len;
    char *text;

    j->rc = series_read(db, &j->pair, &j->f, j->period_ns, j->flows, &s, &j->err);
    if (j->rc != TW_OK)
        return;
    text = write_series(&s, &j->f, &len);
    series_free(&s);
    j->rc = text ? http_blob_new(text, len, "application/json", true, &j->blob) : TW_ENOMEM;
}

static void job_done(struct reader_job *job)
{
    struct series_job *j = (struct series_job *)job;

    if (j->rc == TW_OK)
        http_answer_blob(j->rq, 200, j->blob);
    else
        api_refuse(j->rq, j->rc, &j->err);
    http_blob_unref(j->blob);
    free(j);
}

static void submit(struct controller *c, struct http_req *rq, const struct report_filter *f,
                   const struct pair *p)
{
    struct series_job *j = calloc(1, sizeof *j);
    enum tw_rc rc = TW_ENOMEM;

    if (j) {
        j->job = (struct reader_job){ .run = job_work, .done = job_done };
        j->rq = rq;
        j->f = *f;
        j->pair = p->row;
        j->period_ns = p->scheduled ? p->report_period_ns : 0;
        j->flows = p->flows;
        rc = reader_submit(c->readers, &j->job);
    }
    if (rc == TW_OK)
        return;
    free(j);
    api_refuse(rq, rc, NULL);
}

void http_series(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    const struct pair **v, *one;
    size_t n;

    if (!api_filter(c, rq, QUERY_SERIES, &f))
        return;
    if (report_select(&c->inv, &f, &v, &n) != TW_OK) {
        api_refuse(rq, TW_ENOMEM, NULL);
        return;
    }
    one = report_one(v, n, &n);
    free(v);
    if (one)
        submit(c, rq, &f, one);
    else if (n)
        http_answer_error(rq, 409, "%zu pairs are so; say mesh, class, source and target of one", n);
    else
        http_answer_error(rq, 404, "there is no such pair");
}
