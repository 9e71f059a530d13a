/* /api/v1/sd: Prometheus HTTP service discovery. One target for each mesh, so that the scrapes of a large
 * fleet split; the address is the one by which Prometheus reached us. */
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

/* Instances differ, or the series about the fleet, which are on every page, would collide. */
static cJSON *target(const char *host, const char *mesh)
{
    cJSON *o = cJSON_CreateObject(), *labels;
    char instance[MAX_HOST + STORE_NAME_MAX + 2];

    snprintf(instance, sizeof instance, "%s/%s", host, mesh);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "targets"), cJSON_CreateString(host));
    labels = cJSON_AddObjectToObject(o, "labels");
    cJSON_AddStringToObject(labels, "__metrics_path__", "/metrics");
    cJSON_AddStringToObject(labels, "__param_mesh", mesh);
    cJSON_AddStringToObject(labels, "instance", instance);
    return o;
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
    for (const struct mesh_state *m = c->inv.meshes; m; m = m->hh.next)
        cJSON_AddItemToArray(list, target(host, m->row.name));
    text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    api_answer(rq, text, text ? strlen(text) : 0);
}
