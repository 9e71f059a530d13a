/* /metrics: which page is asked for, and in which format. */
#include <string.h>
#include "common/net/http_accept.h"
#include "controller/http/api.h"

struct query {
    unsigned levels;
    const char *mesh, *format;
};

static const char *const format_names[PUBLISH_FORMATS] = {
    [PUBLISH_TEXT] = "text",
    [PUBLISH_OPENMETRICS] = "openmetrics",
    [PUBLISH_PROTOBUF] = "protobuf",
};

static enum tw_rc set_once(const char **dst, const char *name, const char *value, struct tw_err *err)
{
    if (*dst)
        return tw_err_set(err, TW_EINVAL, "parameter \"%s\" is given twice", name);
    *dst = value;
    return TW_OK;
}

/* "level" may be repeated. */
static enum tw_rc read_query(const struct http_req *rq, struct query *q, struct tw_err *err)
{
    const char *name;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && (name = http_query_name(rq, i)); i++) {
        const char *value = http_query_value(rq, i);
        if (!strcmp(name, "level"))
            rc = query_levels(value, &q->levels, err);
        else if (!strcmp(name, "mesh"))
            rc = set_once(&q->mesh, name, value, err);
        else if (!strcmp(name, "format"))
            rc = set_once(&q->format, name, value, err);
        else
            rc = tw_err_set(err, TW_EINVAL, "unknown parameter \"%.63s\"; known: level, mesh, format", name);
    }
    return rc;
}

/* Who names a format gets it, whatever the client accepts: a Prometheus that takes native histograms only
 * that way leaves out the classic ones. */
static enum tw_rc pick_format(const struct http_req *rq, const char *name, enum publish_format *ret,
                              struct tw_err *err)
{
    struct http_offer offers[PUBLISH_FORMATS];

    for (size_t i = 0; i < PUBLISH_FORMATS; i++) {
        offers[i].type = publish_content_type((enum publish_format)i);
        if (name && !strcmp(name, format_names[i])) {
            *ret = (enum publish_format)i;
            return TW_OK;
        }
    }
    if (name)
        return tw_err_set(err, TW_EINVAL,
                          "format \"%.63s\" is unknown; expected text, openmetrics or protobuf", name);
    *ret = (enum publish_format)http_accept_choose(http_header(rq, "Accept"), offers, PUBLISH_FORMATS);
    return TW_OK;
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
    struct query q = { 0 };
    enum publish_format format = PUBLISH_TEXT;
    struct tw_err err = { 0 };
    enum tw_rc rc = read_query(rq, &q, &err);

    if (!rc)
        rc = pick_format(rq, q.format, &format, &err);
    if (rc)
        http_answer_error(rq, 400, "%s", err.text);
    else if (q.mesh && !find_mesh(c, q.mesh))
        http_answer_error(rq, 404, "no mesh \"%.63s\"", q.mesh);
    else
        publish_answer(c->publish, rq, (q.levels ? q.levels : METRICS_DEFAULT) & METRICS_ALL, q.mesh, format);
}
