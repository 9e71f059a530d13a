/* /metrics: which page is asked for. */
#include <string.h>
#include "controller/http/api.h"

#define ALL_LEVELS (METRICS_PAIR | METRICS_AGENT | METRICS_MESH)

/* "level" may be repeated. */
static enum tw_rc read_query(const struct http_req *rq, unsigned *ret_levels, const char **ret_mesh,
                             struct tw_err *err)
{
    const char *name;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && (name = http_query_name(rq, i)); i++) {
        const char *value = http_query_value(rq, i);
        if (!strcmp(name, "level"))
            rc = query_levels(value, ret_levels, err);
        else if (strcmp(name, "mesh") != 0)
            rc = tw_err_set(err, TW_EINVAL, "unknown parameter \"%.63s\"; known: level, mesh", name);
        else if (*ret_mesh)
            rc = tw_err_set(err, TW_EINVAL, "parameter \"mesh\" is given twice");
        else
            *ret_mesh = value;
    }
    return rc;
}

static const struct mesh_state *find_mesh(const struct controller *c, const char *name)
{
    struct mesh_state *m;

    HASH_FIND_STR(c->inv.meshes, name, m);
    return m;
}

void http_metrics(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    const char *mesh = NULL;
    unsigned levels = 0;
    struct tw_err err = { 0 };

    if (read_query(rq, &levels, &mesh, &err))
        http_answer_error(rq, 400, "%s", err.text);
    else if (mesh && !find_mesh(c, mesh))
        http_answer_error(rq, 404, "no mesh \"%.63s\"", mesh);
    else
        publish_answer(c->publish, rq, (levels ? levels : ALL_LEVELS) & ALL_LEVELS, mesh);
}
