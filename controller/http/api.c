#include "controller/http/api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARAMS 64
/* Pages to print: their own style and nothing else, no script, in nobody's frame. */
#define PRINT_POLICY "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

bool api_filter(const struct controller *c, struct http_req *rq, unsigned known, struct report_filter *ret)
{
    struct query_param q[MAX_PARAMS];
    struct tw_err err = { 0 };
    const char *name;
    size_t n = 0;

    while (n < MAX_PARAMS && (name = http_query_name(rq, n))) {
        q[n] = (struct query_param){ name, http_query_value(rq, n) };
        n++;
    }
    if (query_filter(q, n, known, loop_now(c->loop).wall.ns, ret, &err) == TW_OK)
        return true;
    http_answer_error(rq, 400, "%s", err.text);
    return false;
}

enum tw_rc api_selector(const struct report_filter *f, struct selector **ret)
{
    *ret = NULL;
    return *f->select ? selector_parse(f->select, ret, NULL) : TW_OK;
}

void api_refuse(struct http_req *rq, enum tw_rc rc, const struct tw_err *err)
{
    if (rc == TW_EBUSY)
        http_answer_later(rq, 1, "too many queries at once: try again later");
    else
        http_answer_error(rq, 503, "cannot read the results: %s",
                          err && err->text[0] ? err->text : tw_rc_name(rc));
}

cJSON *api_head(const char *name)
{
    char schema[64];
    cJSON *head = cJSON_CreateObject();

    snprintf(schema, sizeof schema, "twampmesh/%s/v1", name);
    cJSON_AddStringToObject(head, "schema", schema);
    return head;
}

void api_maintenance(cJSON *o, const struct maintenance_note *note)
{
    cJSON *m = note ? cJSON_AddObjectToObject(o, "maintenance_now") : cJSON_AddNullToObject(o, "maintenance_now");

    if (!note || !m)
        return;
    if (*note->agent)
        cJSON_AddStringToObject(m, "agent", note->agent);
    else
        cJSON_AddNullToObject(m, "agent");
    cJSON_AddStringToObject(m, "reason", note->reason);
    json_time(m, "until", "until_ns", note->until_ns);
}

void api_answer(struct http_req *rq, char *text, size_t len)
{
    if (text)
        http_answer(rq, 200, "application/json", text, len);
    else
        api_refuse(rq, TW_ENOMEM, NULL);
}

/* ---- Printing on a reader ---- */

struct render_job {
    struct reader_job job; /* first */
    struct http_req *rq;
    char *(*write)(const void *data, size_t *ret_len);
    void (*free_data)(void *data);
    void *data;
    const char *type;
    struct http_blob *blob;
    bool pack; /* nobody else gets this one: for who does not take gzip it need not be made */
};

static void render_work(struct reader_job *job, struct store_reader *db)
{
    struct render_job *j = (struct render_job *)job;
    size_t len;
    char *text = j->write(j->data, &len);

    (void)db;
    if (!text || http_blob_new(text, len, j->type, j->pack, &j->blob) != TW_OK)
        return;
    if (!j->pack)
        http_blob_header(j->blob, "Vary", "Accept-Encoding");
    if (!strncmp(j->type, "text/html", 9))
        http_blob_header(j->blob, "Content-Security-Policy", PRINT_POLICY);
}

static void render_free(struct render_job *j)
{
    j->free_data(j->data);
    http_blob_unref(j->blob);
    free(j);
}

static void render_done(struct reader_job *job)
{
    struct render_job *j = (struct render_job *)job;

    if (j->blob)
        http_answer_blob(j->rq, 200, j->blob);
    else
        api_refuse(j->rq, TW_ENOMEM, NULL);
    render_free(j);
}

void api_render(struct controller *c, struct http_req *rq, char *(*write)(const void *data, size_t *ret_len),
                void (*free_data)(void *data), void *data)
{
    api_render_as(c, rq, "application/json", write, free_data, data);
}

void api_render_as(struct controller *c, struct http_req *rq, const char *type,
                   char *(*write)(const void *data, size_t *ret_len), void (*free_data)(void *data), void *data)
{
    struct render_job *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j) {
        free_data(data);
        api_refuse(rq, TW_ENOMEM, NULL);
        return;
    }
    *j = (struct render_job){ { .run = render_work, .done = render_done },
                              rq,
                              write,
                              free_data,
                              data,
                              type,
                              NULL,
                              http_accepts_gzip(rq) };
    rc = reader_submit(c->readers, &j->job);
    if (rc) {
        api_refuse(rq, rc, NULL);
        render_free(j);
    }
}

struct api_wait *api_wait_new(struct controller *c, struct http_req *rq, const struct report_filter *f)
{
    struct api_wait *w = malloc(sizeof *w);

    if (w)
        *w = (struct api_wait){ c, rq, *f };
    else
        api_refuse(rq, TW_ENOMEM, NULL);
    return w;
}
