#include "common/metrics_lines.h"

#include "common/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const le_text[METRICS_LE_N + 1] = {
    "3.0517578125e-05",
    "6.103515625e-05",
    "0.0001220703125",
    "0.000244140625",
    "0.00048828125",
    "0.0009765625",
    "0.001953125",
    "0.00390625",
    "0.0078125",
    "0.015625",
    "0.03125",
    "0.0625",
    "0.125",
    "0.25",
    "0.5",
    "1",
    "2",
    "4",
    "8",
    "+Inf",
};

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

struct name {
    char text[80];
    size_t len;
};

static void name_set(struct name *n, const char *prefix, const char *text)
{
    size_t a = strlen(prefix), b = strlen(text);

    n->len = 0;
    if (a + b > sizeof n->text)
        return;
    memcpy(n->text, prefix, a);
    memcpy(n->text + a, text, b);
    n->len = a + b;
}

static void put_series(struct mbuf *b, const struct name *n, const char *suffix, const struct object *o,
                       const char *labels)
{
    mbuf_put(b, n->text, n->len);
    mbuf_text(b, suffix);
    mbuf_put(b, o->labels, o->labels_len);
    mbuf_text(b, labels);
}

void metrics_put_integer(struct mbuf *b, uint64_t v)
{
    mbuf_put(b, "} ", 2);
    mbuf_u64(b, v);
    mbuf_put(b, "\n", 1);
}

static void put_double(struct mbuf *b, double v)
{
    mbuf_put(b, "} ", 2);
    mbuf_double(b, v);
    mbuf_put(b, "\n", 1);
}

static void put_hist(struct mbuf *b, const struct name *n, const struct object *o,
                     const struct metric_sample *s, const struct metrics_hist *h)
{
    for (size_t i = 0; i <= METRICS_LE_N; i++) {
        put_series(b, n, "_bucket", o, s->labels);
        mbuf_text(b, ",le=\"");
        mbuf_text(b, le_text[i]);
        mbuf_put(b, "\"", 1);
        metrics_put_integer(b, i < METRICS_LE_N ? h->bucket[i] : h->count);
    }
    put_series(b, n, "_sum", o, s->labels);
    put_double(b, isfinite(h->sum_s) ? h->sum_s : 0);
    put_series(b, n, "_count", o, s->labels);
    metrics_put_integer(b, h->count);
}

static void put_labelled(struct mbuf *b, const struct name *n, const struct object *o,
                         const struct metric_sample *s, const char *value)
{
    if (!value)
        return;
    put_series(b, n, "", o, s->labels);
    mbuf_label(b, value);
    mbuf_put(b, "\"", 1);
    metrics_put_integer(b, 1);
}

static void put_number(struct mbuf *b, const struct name *n, const struct object *o,
                       const struct metric_sample *s, double v)
{
    if (!isfinite(v))
        return;
    put_series(b, n, "", o, s->labels);
    put_double(b, v);
}

static void put_time(struct mbuf *b, const struct name *n, const struct object *o,
                     const struct metric_sample *s, int64_t ns)
{
    if (!ns)
        return;
    put_series(b, n, "", o, s->labels);
    mbuf_put(b, "} ", 2);
    mbuf_seconds(b, ns);
    mbuf_put(b, "\n", 1);
}

static void put_sample(struct mbuf *b, const struct name *n, const struct object *o,
                       const struct metric_sample *s)
{
    const void *field = (const char *)o->p + s->offset;

    switch (s->kind) {
    case METRIC_U64:
        put_series(b, n, "", o, s->labels);
        metrics_put_integer(b, *(const uint64_t *)field);
        break;
    case METRIC_U8:
        put_series(b, n, "", o, s->labels);
        metrics_put_integer(b, *(const uint8_t *)field);
        break;
    case METRIC_DOUBLE:
        put_number(b, n, o, s, *(const double *)field);
        break;
    case METRIC_NUM:
        put_number(b, n, o, s,
                   ((const struct tw_num *)field)->known ? ((const struct tw_num *)field)->value : NAN);
        break;
    case METRIC_BOOL:
        put_series(b, n, "", o, s->labels);
        metrics_put_integer(b, *(const bool *)field);
        break;
    case METRIC_TIME:
        put_time(b, n, o, s, *(const int64_t *)field);
        break;
    case METRIC_LABEL:
        put_labelled(b, n, o, s, *(const char *const *)field);
        break;
    case METRIC_IS_UP:
        put_series(b, n, "", o, s->labels);
        metrics_put_integer(b, !strcmp(*(const char *const *)field, "up"));
        break;
    case METRIC_HIST:
        put_hist(b, n, o, s, field);
        break;
    }
}

/* One family over all objects: its samples must stand together. A family without any leaves no head. */
static void put_family(struct mbuf *b, const char *prefix, const struct family *f, const struct object *v,
                       size_t n)
{
    size_t before = b->len, headed;
    struct name name;

    name_set(&name, prefix, f->name);
    metrics_put_head(b, prefix, f->name, f->help, f->type);
    headed = b->len;
    for (size_t i = 0; i < n; i++) {
        if (f->gate != NO_GATE && !*(const bool *)((const char *)v[i].p + f->gate))
            continue;
        for (size_t k = 0; k < f->n; k++)
            put_sample(b, &name, &v[i], &f->samples[k]);
    }
    if (b->len == headed)
        b->len = before;
}

static void put_level(struct mbuf *b, const struct level *l, const struct object *v, size_t n)
{
    for (size_t i = 0; i < l->n; i++)
        put_family(b, l->prefix, &l->families[i], v, n);
}

/* ---- Objects ---- */

enum tw_rc objects_init(struct objects *o, size_t cap)
{
    *o = (struct objects){ .v = calloc(cap + 1, sizeof *o->v) };
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

    for (size_t i = 0; labels[i]; i += 2) {
        mbuf_text(&o->labels, i ? "," : "{");
        mbuf_text(&o->labels, labels[i]);
        mbuf_text(&o->labels, "=\"");
        mbuf_label(&o->labels, labels[i + 1]);
        mbuf_text(&o->labels, "\"");
    }
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

void objects_put(struct mbuf *b, const struct level *l, struct objects *o)
{
    objects_done(o);
    b->bad |= o->labels.bad;
    if (!b->bad)
        put_level(b, l, o->v, o->n);
}
