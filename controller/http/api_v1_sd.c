/* /api/v1/sd: Prometheus HTTP service discovery. One target for each mesh, so that the scrapes of a large
 * fleet split, and one for agents and controller; the address is the one by which Prometheus reached us. Of
 * several controllers all have theirs, by the addresses that they say of themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/http/api.h"
#include "controller/registry.h"

#define HOST_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"
#define MAX_HOST 255

static bool is_host(const char *host)
{
    size_t len = host ? strlen(host) : 0;

    return len && len <= MAX_HOST && strspn(host, HOST_CHARS) == len;
}

struct where {
    const char *host; /* HOST:PORT */
    bool https;       /* and said so: where Prometheus reached us it knows itself */
};

/* Targets of one address differ in a parameter only, which Prometheus does not show: hence the instance. */
static cJSON *target(const struct where *w, const char *param, const char *value, const char *instance)
{
    cJSON *o = cJSON_CreateObject(), *labels;

    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "targets"), cJSON_CreateString(w->host));
    labels = cJSON_AddObjectToObject(o, "labels");
    if (w->https)
        cJSON_AddStringToObject(labels, "__scheme__", "https");
    cJSON_AddStringToObject(labels, "__metrics_path__", "/metrics");
    cJSON_AddStringToObject(labels, param, value);
    cJSON_AddStringToObject(labels, "instance", instance);
    return o;
}

static cJSON *mesh_target(const struct where *w, const char *mesh)
{
    char instance[REGISTRY_ADDRESS_MAX + STORE_NAME_MAX + 2];

    snprintf(instance, sizeof instance, "%s/%s", w->host, mesh);
    return target(w, "__param_mesh", mesh, instance);
}

static void add_controller(cJSON *list, const struct controller *c, const struct where *w)
{
    cJSON_AddItemToArray(list, target(w, "__param_level", "fleet", w->host));
    for (const struct mesh_state *m = c->inv.meshes; m; m = m->hh.next)
        cJSON_AddItemToArray(list, mesh_target(w, m->row.name));
}

/* What is said of the address before it; true: the row is listed. One that is missing is, too: that it cannot
 * be scraped is what Prometheus should know. */
static bool said(const struct registry_row *row, struct where *ret)
{
    const char *mark = strstr(row->facts->http_at, "://");

    if (!mark || row->state == REGISTRY_ENDED || !is_host(mark + 3))
        return false;
    *ret = (struct where){ mark + 3, !strncmp(row->facts->http_at, "https:", 6) };
    return true;
}

static bool is_new(const struct registry_row *rows, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(rows[k].facts->http_at, rows[i].facts->http_at))
            return false;
    return true;
}

static void add_all(cJSON *list, const struct controller *c, const char *host)
{
    const struct registry_row *rows;
    size_t n = registry_rows(c->registry, &rows);
    struct where w = { host, false };
    bool self = false;

    for (size_t i = 0; i < n; i++) {
        if (!said(&rows[i], &w) || !is_new(rows, i))
            continue;
        add_controller(list, c, &w);
        self |= rows[i].self;
    }
    if (!self) /* alone, or others do not know of us now */
        add_controller(list, c, &(struct where){ host, false });
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
    add_all(list, c, host);
    text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    api_answer(rq, text, text ? strlen(text) : 0);
}
