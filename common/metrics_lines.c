#include "common/metrics_lines.h"

#include "common/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void metrics_put_head(struct mbuf *b, const char *prefix, const char *name, const char *help,
                      const char *type)
{
    mbuf_text(b, "# HELP ");
    mbuf_text(b, prefix);
    mbuf_text(b, name);
    mbuf_text(b, " ");
    mbuf_text(b, help);
    mbuf_text(b, "\n# TYPE ");
    mbuf_text(b, prefix);
    mbuf_text(b, name);
    mbuf_text(b, " ");
    mbuf_text(b, type);
    mbuf_text(b, "\n");
}

static void put_number(struct metrics_out *o, const struct metrics_series *s, double v)
{
    if (isfinite(v))
        o->ops->number(o, s, v);
}

static void put_num(struct metrics_out *o, const struct metrics_series *s, const struct tw_num *n,
                    double factor)
{
    if (n->known)
        put_number(o, s, n->value * factor);
}

static void put_native(struct metrics_out *o, const struct metrics_series *s, const struct hist *h)
{
    if (h)
        o->ops->native(o, s, h);
}

static void put_labelled(struct metrics_out *o, struct metrics_series s, const char *value)
{
    if (!value)
        return;
    s.value = value;
    o->ops->integer(o, &s, 1);
}

static void put_sample(struct metrics_out *o, const struct object *object, const struct metric_sample *m)
{
    const void *field = (const char *)object->p + m->offset;
    const struct metrics_series s = { object->labels, object->labels_len, m->labels, NULL };

    switch (m->kind) {
    case METRIC_U64:
        o->ops->integer(o, &s, *(const uint64_t *)field);
        break;
    case METRIC_U8:
        o->ops->integer(o, &s, *(const uint8_t *)field);
        break;
    case METRIC_DOUBLE:
        put_number(o, &s, *(const double *)field);
        break;
    case METRIC_NUM:
        put_num(o, &s, field, 1);
        break;
    case METRIC_MS:
        put_num(o, &s, field, 1e3);
        break;
    case METRIC_PERCENT:
        put_num(o, &s, field, 100);
        break;
    case METRIC_BOOL:
        o->ops->integer(o, &s, *(const bool *)field);
        break;
    case METRIC_TIME:
        if (*(const int64_t *)field)
            o->ops->seconds(o, &s, *(const int64_t *)field);
        break;
    case METRIC_LABEL:
        put_labelled(o, s, *(const char *const *)field);
        break;
    case METRIC_IS_UP:
        o->ops->integer(o, &s, !strcmp(*(const char *const *)field, "up"));
        break;
    case METRIC_HIST:
        o->ops->hist(o, &s, field);
        break;
    case METRIC_NATIVE:
        put_native(o, &s, *(const struct hist *const *)field);
        break;
    }
}

/* Objects are far apart, and each family looks at a few octets of all of them: without that it would wait for
 * the memory at each. */
#define AHEAD 6
static void fetch_ahead(const struct family *f, const struct object *o)
{
    const char *p = o->p;

    if (!f->n)
        return;
    __builtin_prefetch(p + f->samples[0].offset);
    __builtin_prefetch(p + f->samples[f->n - 1].offset);
    if (f->gate != NO_GATE)
        __builtin_prefetch(p + f->gate);
}

/* One family over all objects: its samples must stand together. */
static void put_family(struct metrics_out *o, const char *prefix, const struct family *f,
                       const struct object *v, size_t n)
{
    o->ops->begin(o, prefix, f->name, f->help, f->type);
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            fetch_ahead(f, &v[i + AHEAD]);
        if (f->gate != NO_GATE && !*(const bool *)((const char *)v[i].p + f->gate))
            continue;
        for (size_t k = 0; k < f->n; k++)
            put_sample(o, &v[i], &f->samples[k]);
    }
    o->ops->end(o);
}

/* ---- Objects ---- */

enum tw_rc objects_init(struct objects *o, const struct metrics_ops *ops, size_t cap)
{
    *o = (struct objects){ .ops = ops, .v = calloc(cap + 1, sizeof *o->v) };
    return o->v ? TW_OK : TW_ENOMEM;
}

void objects_free(struct objects *o)
{
    free(o->v);
    free(o->labels.p);
}

void objects_add(struct objects *o, const void *p, const char *const *labels)
{
    size_t start = o->labels.len;

    o->ops->object(&o->labels, labels);
    o->v[o->n++] = (struct object){ .p = p, .labels_len = o->labels.len - start };
}

/* The text moves while it grows, so the pointers come last. */
static void objects_done(struct objects *o)
{
    size_t at = 0;

    for (size_t i = 0; i < o->n; i++) {
        o->v[i].labels = o->labels.p + at;
        at += o->v[i].labels_len;
    }
}

void objects_put(struct metrics_out *out, const struct level *l, struct objects *o)
{
    objects_done(o);
    out->b.bad |= o->labels.bad;
    for (size_t i = 0; i < l->n && !out->b.bad; i++)
        put_family(out, l->prefix, &l->families[i], o->v, o->n);
}

void objects_put_text(struct mbuf *b, const struct level *l, struct objects *o)
{
    struct metrics_out out;

    metrics_out_init(&out, &metrics_text);
    out.b = *b;
    objects_put(&out, l, o);
    *b = out.b;
    metrics_out_done(&out);
}
