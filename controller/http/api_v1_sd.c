/* /api/v1/sd: Prometheus HTTP service discovery. One target for each mesh, so that the scrapes of a large
 * fleet split, and one for agents and controller; the address is the one by which Prometheus reached us. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/http/api.h"

#define HOST_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"
#define MAX_HOST 255

static bool is_host(const char *host)
{
    size_t len = host ? strlen(host) : 0;

    return len && len <= MAX_HOST && strspn(host, HOST_CHARS) == len;
}

/* Targets of one address differ in a parameter only, which Prometheus does not show: hence the instance. */
static cJSON *target(const char *host, const char *param, const char *value, const char *instance)
{
    cJSON *o = cJSON_CreateObject(), *labels;

    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "targets"), cJSON_CreateString(host));
    labels = cJSON_AddObjectToObject(o, "labels");
    cJSON_AddStringToObject(labels, "__metrics_path__", "/metrics");
    cJSON_AddStringToObject(labels, param, value);
    cJSON_AddStringToObject(labels, "instance", instance);
    return o;
}

static cJSON *mesh_target(const char *host, const char *mesh)
{
    char instance[MAX_HOST + STORE_NAME_MAX + 2];

    snprintf(instance, sizeof instance, "%s/%s", host, mesh);
    return target(host, "__param_mesh", mesh, instance);
}

void http_sd(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    const char *host = http_header(rq, "Host");
    struct report_filter none;
    cJSON *list;
    char *text;

    if (!api_filter(c, rq, 0, &none))
        return;
    if (!is_host(host)) {
        http_answer_error(rq, 400, "a Host header with a name or an address is needed");
        return;
    }
    list = cJSON_CreateArray();
    cJSON_AddItemToArray(list, target(host, "__param_level", "fleet", host));
    for (const struct mesh_state *m = c->inv.meshes; m; m = m->hh.next)
        cJSON_AddItemToArray(list, mesh_target(host, m->row.name));
    text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    api_answer(rq, text, text ? strlen(text) : 0);
}
