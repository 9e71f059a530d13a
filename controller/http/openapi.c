/* controller/http/openapi.c - the OpenAPI 3.1 document, from the table of routes and the messages'
 * descriptors, so that it cannot say anything else than what is served. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/version.h"
#include "controller/admin.h"
#include "controller/http/api.h"
#include "controller/http/page.h"
#include "controller/http/pb_json.h"

/* ---- Parameters ---- */

static void add_parameter(cJSON *list, const char *name, const char *in, const char *text, cJSON *schema)
{
    cJSON *p = cJSON_CreateObject();

    cJSON_AddStringToObject(p, "name", name);
    cJSON_AddStringToObject(p, "in", in);
    if (!strcmp(in, "path"))
        cJSON_AddBoolToObject(p, "required", 1);
    if (text)
        cJSON_AddStringToObject(p, "description", text);
    json_put(p, "schema", schema);
    cJSON_AddItemToArray(list, p);
}

static cJSON *text_schema(void)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "type", "string");
    return o;
}

static bool in_path(const char *path, const char *name)
{
    char part[72];

    snprintf(part, sizeof part, "{%s}", name);
    return strstr(path, part);
}

static void add_path_parameters(cJSON *list, const char *path)
{
    char name[64];

    for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{')) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}"), at + 1);
        add_parameter(list, name, "path", NULL, text_schema());
    }
}

static void add_known_parameters(cJSON *list, unsigned known)
{
    const char *name, *expected;
    unsigned bit;

    for (size_t i = 0; (name = query_param_name(i, &bit, &expected)); i++)
        if (known & bit)
            add_parameter(list, name, "query", expected, text_schema());
}

/* Those of a request that can stand in a query. */
static void add_field_parameters(cJSON *list, const char *path, const ProtobufCMessageDescriptor *d)
{
    cJSON *all = pb_json_schema(d, true), *properties = cJSON_GetObjectItemCaseSensitive(all, "properties");

    for (unsigned i = 0; i < d->n_fields; i++) {
        const char *name = pb_json_member(&d->fields[i]);
        char moment[64];

        if (pb_json_is_internal(&d->fields[i]))
            continue;
        if (pb_json_is_moment(name)) {
            snprintf(moment, sizeof moment, "%.*s", (int)strlen(name) - 3, name);
            add_parameter(list, moment, "query",
                          "RFC 3339, Unix seconds, or a duration before now such as -15m", text_schema());
        } else if (d->fields[i].type != PROTOBUF_C_TYPE_MESSAGE && !in_path(path, name)) {
            add_parameter(list, name, "query", NULL,
                          cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(properties, name), true));
        }
    }
    cJSON_Delete(all);
}

/* ---- Messages ---- */

static void add_schema(cJSON *schemas, const ProtobufCMessageDescriptor *d, bool request)
{
    char name[64];

    pb_json_schema_name(d, name);
    if (cJSON_GetObjectItemCaseSensitive(schemas, name) || !strcmp(name, "label"))
        return;
    cJSON_AddItemToObject(schemas, name, pb_json_schema(d, request));
    if (!strcmp(name, "summary"))
        return;
    for (unsigned i = 0; i < d->n_fields; i++)
        if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            add_schema(schemas, d->fields[i].descriptor, request);
}

/* An answer has its `schema` member besides. */
static void add_head(cJSON *schemas, const ProtobufCMessageDescriptor *d)
{
    char name[64], value[96];
    cJSON *o, *properties, *is;

    pb_json_schema_name(d, name);
    o = cJSON_GetObjectItemCaseSensitive(schemas, name);
    properties = cJSON_GetObjectItemCaseSensitive(o, "properties");
    if (!properties || cJSON_GetObjectItemCaseSensitive(properties, "schema"))
        return;
    is = cJSON_CreateObject();
    snprintf(value, sizeof value, "twampmesh/%s/v1", name);
    cJSON_AddStringToObject(is, "const", value);
    json_put(properties, "schema", is);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(o, "required"), cJSON_CreateString("schema"));
}

static cJSON *reference(const char *where, const char *name)
{
    cJSON *o = cJSON_CreateObject();
    char text[128];

    snprintf(text, sizeof text, "%s%s", where, name);
    cJSON_AddStringToObject(o, "$ref", text);
    return o;
}

/* ---- Operations ---- */

static void add_content(cJSON *to, const char *type, cJSON *schema)
{
    cJSON *content = cJSON_AddObjectToObject(to, "content"), *media = cJSON_AddObjectToObject(content, type);

    json_put(media, "schema", schema);
}

static cJSON *add_response(cJSON *responses, const char *status, const char *text)
{
    cJSON *r = cJSON_AddObjectToObject(responses, status);

    cJSON_AddStringToObject(r, "description", text);
    return r;
}

static void add_errors(cJSON *responses)
{
    add_content(add_response(responses, "default", "what is wrong, in one line"), "application/json",
                reference("#/components/schemas/", "error"));
}

static void add_admin(cJSON *op, cJSON *schemas, const struct http_route *r)
{
    const ProtobufCMethodDescriptor *m = &tw__admin__descriptor.methods[api_admin_method(r)];
    cJSON *responses = cJSON_AddObjectToObject(op, "responses"), *body;
    char name[64];

    cJSON_AddStringToObject(op, "operationId", m->name);
    if (r->body_max) {
        body = cJSON_AddObjectToObject(op, "requestBody");
        add_schema(schemas, m->input, true);
        add_content(body, "application/json",
                    reference("#/components/schemas/", pb_json_schema_name(m->input, name)));
    } else {
        add_field_parameters(cJSON_GetObjectItemCaseSensitive(op, "parameters"), r->path, m->input);
    }
    add_schema(schemas, m->output, false);
    add_head(schemas, m->output);
    add_content(add_response(responses, "200", "done"), "application/json",
                reference("#/components/schemas/", pb_json_schema_name(m->output, name)));
    if (protobuf_c_message_descriptor_get_field_by_name(m->output, "error"))
        add_content(add_response(responses, "422", "refused as a whole: `error` says where, and why"),
                    "application/json",
                    reference("#/components/schemas/", pb_json_schema_name(m->output, name)));
    add_errors(responses);
}

static void add_page(cJSON *op, const struct http_route *r)
{
    const struct api_doc *doc = r->data;
    cJSON *responses = cJSON_AddObjectToObject(op, "responses"),
          *ok = add_response(responses, "200", r->help);

    if (doc && doc->request)
        add_content(cJSON_AddObjectToObject(op, "requestBody"), "application/json", reference("schema/", doc->request));
    if (doc) {
        add_known_parameters(cJSON_GetObjectItemCaseSensitive(op, "parameters"), doc->known);
        add_content(ok, "application/json", reference("schema/", doc->schema));
    }
    add_errors(responses);
}

/* Who may. */
static const char *role_of(const struct http_route *r)
{
    if (r->open)
        return "none";
    return access_role_name(r->fn == http_admin ? admin_needs((unsigned)api_admin_method(r)).role : ACCESS_VIEWER);
}

static void add_operation(cJSON *paths, cJSON *schemas, const struct http_route *r)
{
    cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, r->path), *op;
    char method[16];
    size_t n = 0;

    if (!path)
        path = cJSON_AddObjectToObject(paths, r->path);
    for (const char *c = r->method ? r->method : "GET"; *c && n < sizeof method - 1; c++)
        method[n++] = (char)tolower((unsigned char)*c);
    method[n] = '\0';
    op = cJSON_AddObjectToObject(path, method);
    cJSON_AddStringToObject(op, "summary", r->help);
    add_path_parameters(cJSON_AddArrayToObject(op, "parameters"), r->path);
    cJSON_AddStringToObject(op, "x-role", role_of(r));
    if (r->open)
        cJSON_AddArrayToObject(op, "security"); /* none */
    if (r->fn == http_admin)
        add_admin(op, schemas, r);
    else
        add_page(op, r);
}

static void add_error_schema(cJSON *schemas)
{
    cJSON *o = cJSON_AddObjectToObject(schemas, "error"), *properties;

    cJSON_AddStringToObject(o, "type", "object");
    properties = cJSON_AddObjectToObject(o, "properties");
    json_put(properties, "error", text_schema());
    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "required"), cJSON_CreateString("error"));
}

/* Access tokens. */
static void add_security(cJSON *o, cJSON *components)
{
    cJSON *bearer = cJSON_AddObjectToObject(cJSON_AddObjectToObject(components, "securitySchemes"), "bearer"), *need = cJSON_CreateObject();

    cJSON_AddStringToObject(bearer, "type", "http");
    cJSON_AddStringToObject(bearer, "scheme", "bearer");
    cJSON_AddArrayToObject(need, "bearer");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "security"), need);
}

cJSON *api_openapi(const struct http_route *routes, size_t n)
{
    cJSON *o = cJSON_CreateObject(), *info, *paths, *components, *schemas;

    cJSON_AddStringToObject(o, "openapi", "3.1.0");
    info = cJSON_AddObjectToObject(o, "info");
    cJSON_AddStringToObject(info, "title", "twampmesh controller");
    cJSON_AddStringToObject(info, "version", TW_VERSION);
    cJSON_AddStringToObject(
        info, "description",
        "Everything but the GETs changes something. Each operation says which role it needs (x-role).");
    paths = cJSON_AddObjectToObject(o, "paths");
    components = cJSON_AddObjectToObject(o, "components");
    schemas = cJSON_AddObjectToObject(components, "schemas");
    add_error_schema(schemas);
    add_security(o, components);
    for (size_t i = 0; i < n; i++)
        if (routes[i].fn != http_page) /* for browsers */
            add_operation(paths, schemas, &routes[i]);
    return o;
}

/* It cannot change while the program runs: made, and compressed, for the first who asks, and kept. Loop thread. */
void http_openapi(void *ctx, struct http_req *rq)
{
    static struct http_blob *kept;
    cJSON *o = kept ? NULL : api_openapi(controller_routes, controller_routes_n);
    char *text = o ? cJSON_PrintUnformatted(o) : NULL;

    (void)ctx;
    cJSON_Delete(o);
    if (text && http_blob_new(text, strlen(text), "application/json", true, &kept) != TW_OK)
        kept = NULL;
    if (kept)
        http_answer_blob(rq, 200, kept);
    else
        api_refuse(rq, TW_ENOMEM, NULL);
}
