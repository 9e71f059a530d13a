/* controller/http/api_admin.c - methods of the Admin service over HTTP: a row in routes.c names the method,
 * everything else follows from its messages. What a name in the path, a query or the content says fills the
 * request; docs/api.md has the rules.
 *
 * Who may do what is the gate's matter. Changes are never taken from a page of another site: such a page can
 * make a browser send anything but a JSON content type or a method like DELETE, unless we allowed it, which we
 * do not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "controller/admin.h"
#include "controller/gate.h"
#include "controller/http/api.h"
#include "controller/http/pb_json.h"

int api_admin_method(const struct http_route *route)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;

    for (unsigned i = 0; i < d->n_methods; i++)
        if (!strcmp(d->methods[i].name, route->data))
            return (int)i;
    return -1;
}

/* ---- Who may ---- */

static const char *after_scheme(const char *origin)
{
    const char *at = strstr(origin, "://");

    return at ? at + 3 : origin;
}

/* A browser names the page that asks. */
static bool is_own_origin(const struct http_req *rq)
{
    const char *origin = http_header(rq, "Origin"), *host = http_header(rq, "Host");

    return !origin || (host && !strcasecmp(after_scheme(origin), host));
}

static bool is_json(const struct http_req *rq)
{
    const char *type = http_header(rq, "Content-Type");

    return type && !strncasecmp(type, "application/json", 16) && (!type[16] || strchr("; ", type[16]));
}

/* Answers, and returns false, if it may not change anything. */
static bool may_change(struct http_req *rq)
{
    if (!is_own_origin(rq))
        http_answer_error(rq, 403, "changes are not taken from pages of another site");
    else if (!strcmp(http_route_of(rq)->method, "POST") && !is_json(rq))
        http_answer_error(rq, 415, "expected Content-Type: application/json");
    else
        return true;
    return false;
}

/* ---- The request ---- */

static enum tw_rc from_query(const struct http_req *rq, cJSON *o, struct tw_err *err)
{
    const char *name;

    for (size_t i = 0; (name = http_query_name(rq, i)); i++) {
        if (!*http_query_value(rq, i))
            continue;
        if (cJSON_GetObjectItemCaseSensitive(o, name))
            return tw_err_set(err, TW_EINVAL, "parameter \"%.60s\" is given twice", name);
        if (!cJSON_AddStringToObject(o, name, http_query_value(rq, i)))
            return tw_err_set(err, TW_ENOMEM, "out of memory");
    }
    return TW_OK;
}

static enum tw_rc from_content(const struct http_req *rq, cJSON **ret, struct tw_err *err)
{
    const char *end = NULL, *text;
    size_t len;

    text = http_body(rq, &len);
    if (!len) {
        *ret = cJSON_CreateObject();
        return *ret ? TW_OK : tw_err_set(err, TW_ENOMEM, "out of memory");
    }
    *ret = cJSON_ParseWithLengthOpts(text, len + 1, &end, true);
    if (cJSON_IsObject(*ret))
        return TW_OK;
    if (*ret)
        return tw_err_set(err, TW_EINVAL, "expected a JSON object");
    return tw_err_set(err, TW_EINVAL, "the content is no JSON: look at octet %td", end ? end - text + 1 : 1);
}

/* What stands in the path cannot be said otherwise in the content. */
static enum tw_rc from_path(const struct http_req *rq, cJSON *o, struct tw_err *err)
{
    char name[64];

    for (const char *at = strchr(http_route_of(rq)->path, '{'); at; at = strchr(at + 1, '{')) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}"), at + 1);
        if (cJSON_GetObjectItemCaseSensitive(o, name))
            return tw_err_set(err, TW_EINVAL, "\"%s\" is in the path; it cannot be given again", name);
        if (!cJSON_AddStringToObject(o, name, http_path(rq, name)))
            return tw_err_set(err, TW_ENOMEM, "out of memory");
    }
    return TW_OK;
}

static enum tw_rc read_request(const struct controller *c, const struct http_req *rq,
                               const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret,
                               struct tw_err *err)
{
    bool text = http_route_of(rq)->body_max == 0;
    cJSON *o = text ? cJSON_CreateObject() : NULL;
    enum tw_rc rc = text ? from_query(rq, o, err) : from_content(rq, &o, err);

    if (rc == TW_OK && !text && http_query_name(rq, 0))
        rc = tw_err_set(err, TW_EINVAL, "no parameters are taken here: put \"%.60s\" into the content",
                        http_query_name(rq, 0));
    if (rc == TW_OK)
        rc = from_path(rq, o, err);
    if (rc == TW_OK)
        rc = pb_json_parse(d, o, text, loop_now(c->loop).wall.ns, ret, err);
    cJSON_Delete(o);
    return rc;
}

/* ---- The answer ---- */

static unsigned http_status(Tw__Status s)
{
    static const struct {
        Tw__Status status;
        unsigned http;
    } rows[] = {
        { TW__STATUS__STATUS_OK, 200 },
        { TW__STATUS__STATUS_INVALID_ARGUMENT, 400 },
        { TW__STATUS__STATUS_OUT_OF_RANGE, 400 },
        { TW__STATUS__STATUS_UNAUTHENTICATED, 401 },
        { TW__STATUS__STATUS_PERMISSION_DENIED, 403 },
        { TW__STATUS__STATUS_NOT_FOUND, 404 },
        { TW__STATUS__STATUS_ALREADY_EXISTS, 409 },
        { TW__STATUS__STATUS_FAILED_PRECONDITION, 409 },
        { TW__STATUS__STATUS_ABORTED, 409 },
        { TW__STATUS__STATUS_UNIMPLEMENTED, 501 },
        { TW__STATUS__STATUS_UNAVAILABLE, 503 },
        { TW__STATUS__STATUS_RESOURCE_EXHAUSTED, 503 },
        { TW__STATUS__STATUS_DEADLINE_EXCEEDED, 504 },
    };

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (rows[i].status == s)
            return rows[i].http;
    return 500;
}

/* Refusals of what a document says are an answer of their own: where, and why. */
static bool has_error(const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "error");

    return f && f->type == PROTOBUF_C_TYPE_MESSAGE && *(const void *const *)((const char *)m + f->offset);
}

static void answered(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply)
{
    struct http_req *rq = ctx;
    char name[64];
    cJSON *o;
    char *text;

    if (r->retry_ms) {
        http_answer_later(rq, (r->retry_ms + 999) / 1000, "%s", r->detail);
        return;
    }
    if (r->status != TW__STATUS__STATUS_OK || !reply) {
        http_answer_error(rq, http_status(r->status), "%s", r->detail);
        return;
    }
    pb_json_schema_name(reply->descriptor, name);
    o = api_head(name);
    pb_json_add(o, reply);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (text)
        http_answer(rq, has_error(reply) ? 422 : 200, "application/json", text, strlen(text));
    else
        api_refuse(rq, TW_ENOMEM, NULL);
}

void http_admin(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    ProtobufCService *service = (ProtobufCService *)admin_service(c);
    int method = api_admin_method(http_route_of(rq));
    ProtobufCMessage *request = NULL;
    struct tw_err err = { 0 };

    if (http_route_of(rq)->method && !may_change(rq))
        return;
    if (read_request(c, rq, service->descriptor->methods[method].input, &request, &err)) {
        http_answer_error(rq, err.rc == TW_ENOMEM ? 503 : 400, "%s", err.text);
        return;
    }
    rpc_call_local(c->loop, service, (unsigned)method, request, gate_http_actor(rq), answered, rq);
    protobuf_c_message_free_unpacked(request, NULL);
}
