/* /api/v1/timeline: what happened, for time axes. */
#include <stdlib.h>
#include "controller/http/api.h"
#include "controller/timeline.h"

struct timeline_job {
    struct reader_job job; /* first */
    struct http_req *rq;
    struct timeline t;
    enum tw_rc rc;
    struct tw_err err;
    struct http_blob *blob;
};

static void put_name(cJSON *o, const char *key, const char *name)
{
    json_put(o, key, *name ? cJSON_CreateString(name) : cJSON_CreateNull());
}

static cJSON *event_item(const struct timeline_event *e)
{
    cJSON *o = cJSON_CreateObject(), *subject;

    json_time(o, "at", "at_ns", e->at_ns);
    json_time(o, "until", "until_ns", e->until_ns == INT64_MAX ? 0 : e->until_ns);
    cJSON_AddBoolToObject(o, "ongoing", e->until_ns == INT64_MAX);
    cJSON_AddStringToObject(o, "kind", timeline_kind_name(e->kind));
    cJSON_AddStringToObject(o, "severity", e->severity);
    cJSON_AddStringToObject(o, "title", e->title);
    cJSON_AddStringToObject(o, "detail", e->detail);
    json_u64(o, "number", e->number);
    subject = cJSON_AddObjectToObject(o, "subject");
    put_name(subject, "agent", e->agent);
    put_name(subject, "mesh", e->mesh);
    put_name(subject, "class", e->class_name);
    put_name(subject, "source", e->source);
    put_name(subject, "target", e->target);
    return o;
}

static char *write_timeline(const struct timeline *t, size_t *ret_len)
{
    cJSON *head = api_head("timeline");
    struct json_list l;

    json_time(head, "from", "from_ns", t->from_ns);
    json_time(head, "to", "to_ns", t->to_ns);
    cJSON_AddBoolToObject(head, "truncated", t->truncated);
    json_list_begin(&l, head, "events");
    for (size_t i = 0; i < t->n; i++)
        json_list_add(&l, event_item(&t->v[i]));
    return json_list_end(&l, ret_len);
}

static void job_work(struct reader_job *job, struct store_reader *db)
{
    struct timeline_job *j = (struct timeline_job *)job;
    size_t len;
    char *text;

    j->rc = timeline_read(&j->t, db, &j->err);
    if (j->rc != TW_OK)
        return;
    text = write_timeline(&j->t, &len);
    j->rc = text ? http_blob_new(text, len, "application/json", true, &j->blob) : TW_ENOMEM;
}

static void job_free(struct timeline_job *j)
{
    http_blob_unref(j->blob);
    timeline_free(&j->t);
    free(j);
}

static void job_done(struct reader_job *job)
{
    struct timeline_job *j = (struct timeline_job *)job;

    if (j->rc == TW_OK)
        http_answer_blob(j->rq, 200, j->blob);
    else
        api_refuse(j->rq, j->rc, &j->err);
    job_free(j);
}

/* Changes of a pair are looked for if the filter means one. */
static enum tw_rc find_one(struct controller *c, const struct report_filter *f, const struct pair **ret)
{
    const struct pair **v;
    size_t n;
    enum tw_rc rc = report_select(&c->inv, f, &v, &n);

    *ret = NULL;
    if (rc != TW_OK)
        return rc;
    if (*f->source && *f->target)
        *ret = report_one(v, n, &n);
    free(v);
    return TW_OK;
}

void http_timeline(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct timeline_job *j;
    const struct pair *one;
    enum tw_rc rc;

    if (!api_filter(c, rq, QUERY_TEXTS | QUERY_FROM | QUERY_TO, &f))
        return;
    j = calloc(1, sizeof *j);
    rc = j ? find_one(c, &f, &one) : TW_ENOMEM;
    if (rc == TW_OK)
        rc = timeline_take(c, &f, one, &j->t);
    if (rc == TW_OK) {
        j->job = (struct reader_job){ .run = job_work, .done = job_done };
        j->rq = rq;
        rc = reader_submit(c->readers, &j->job);
    }
    if (rc == TW_OK)
        return;
    if (j)
        job_free(j);
    api_refuse(rq, rc, NULL);
}
