#include "controller/sla_doc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/doc.h"

#define CLASSES_MAX 256

/* "99.9%" or "0.999"; by hand, since strtod() would follow the locale. */
static bool read_ratio(const char *text, double *ret)
{
    double v = 0, scale = 1;
    const char *p = text;

    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9' && v < 1e6; p++)
        v = v * 10 + (*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++) {
            if (scale < 1e15) {
                v = v * 10 + (*p - '0');
                scale *= 10;
            }
        }
    if (*p == '%') {
        scale *= 100;
        p++;
    }
    *ret = v / scale;
    return !*p && *ret <= 1;
}

static enum tw_rc set_ratio(struct doc *d, const yaml_node_t *value, struct sla_goals *g, enum sla_kind k)
{
    const char *text;
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    if (!read_ratio(text, &g->limit[k]))
        return doc_fail(d, value, "expected a percentage such as 99.9%%, or a number from 0 to 1");
    g->set[k] = true;
    return TW_OK;
}

static enum tw_rc set_delay(struct doc *d, const yaml_node_t *value, struct sla_goals *g, enum sla_kind k)
{
    int64_t ns;
    enum tw_rc rc = doc_duration(d, value, 1, 3600 * TW_NS_PER_S, &ns);

    if (rc)
        return rc;
    g->limit[k] = (double)ns / (double)TW_NS_PER_S;
    g->set[k] = true;
    return TW_OK;
}

static enum tw_rc set_availability(struct doc *d, const yaml_node_t *value, void *into)
{
    return set_ratio(d, value, into, SLA_AVAILABILITY);
}

static enum tw_rc set_loss(struct doc *d, const yaml_node_t *value, void *into)
{
    return set_ratio(d, value, into, SLA_LOSS);
}

static enum tw_rc set_p95(struct doc *d, const yaml_node_t *value, void *into)
{
    return set_delay(d, value, into, SLA_P95);
}

static enum tw_rc set_p99(struct doc *d, const yaml_node_t *value, void *into)
{
    return set_delay(d, value, into, SLA_P99);
}

static enum tw_rc set_classes(struct doc *d, const yaml_node_t *value, void *into);

/* The last one is of the document alone. `into` is a struct sla_goals, which struct sla_objectives begins
 * with. */
static const struct doc_key keys[] = {
    { "availability", DOC_TEXT, false, set_availability },
    { "loss", DOC_TEXT, false, set_loss },
    { "p95", DOC_TEXT, false, set_p95 },
    { "p99", DOC_TEXT, false, set_p99 },
    { "classes", DOC_MAP, false, set_classes },
};
_Static_assert(offsetof(struct sla_objectives, common) == 0, "the keys write there");

static enum tw_rc set_class(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                            void *into)
{
    struct sla_objectives *o = into;
    struct sla_class *c = &o->classes[i];
    const char *name;
    enum tw_rc rc = doc_text(d, key, &name);

    if (rc)
        return rc;
    if (strlen(name) >= sizeof c->name)
        return doc_fail(d, key, "expected the name of a class, at most %d octets", SLA_CLASS_MAX - 1);
    strcpy(c->name, name);
    o->n_classes = i + 1;
    return doc_map(d, value, keys, TW_NELEM(keys) - 1, &c->goals);
}

static enum tw_rc set_classes(struct doc *d, const yaml_node_t *value, void *into)
{
    struct sla_objectives *o = into;
    size_t n = doc_count(value);

    if (n > CLASSES_MAX)
        return doc_fail(d, value, "expected at most %d classes", CLASSES_MAX);
    o->classes = calloc(n + 1, sizeof *o->classes);
    return o->classes ? doc_named(d, value, DOC_MAP, set_class, o) : doc_no_memory(d);
}

static bool any_goal(const struct sla_objectives *o)
{
    bool any = false;

    for (int k = 0; k < SLA_KINDS; k++) {
        any = any || o->common.set[k];
        for (size_t i = 0; i < o->n_classes; i++)
            any = any || o->classes[i].goals.set[k];
    }
    return any;
}

enum tw_rc sla_doc_parse(const char *text, size_t len, struct sla_objectives *ret, struct tw_err *err)
{
    struct sla_objectives o = { 0 };
    struct doc d;
    enum tw_rc rc;

    if (len > SLA_DOC_MAX)
        return tw_err_set(err, TW_EINVAL, "the objectives are longer than %d octets", SLA_DOC_MAX);
    rc = doc_open(&d, "objectives", text, len, err);
    if (rc)
        return rc;
    rc = doc_map(&d, doc_root(&d), keys, TW_NELEM(keys), &o);
    if (!rc && !any_goal(&o))
        rc = doc_fail(&d, doc_root(&d), "expected at least one of availability, loss, p95 and p99");
    doc_close(&d);
    if (rc)
        sla_objectives_free(&o);
    else
        *ret = o;
    return rc;
}
