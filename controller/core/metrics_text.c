#include "controller/core/metrics_text.h"
#include "common/version.h"
#include "controller/core/metrics_buf.h"
#include "controller/core/metrics_families.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Classic histograms ---- */

const double metrics_le_s[METRICS_LE_N] = { 0x1p-15, 0x1p-14, 0x1p-13, 0x1p-12, 0x1p-11, 0x1p-10, 0x1p-9,
                                            0x1p-8,  0x1p-7,  0x1p-6,  0x1p-5,  0x1p-4,  0x1p-3,  0x1p-2,
                                            0x1p-1,  1,       2,       4,       8 };
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

/* Bounds that are no whole number of ns lie inside a bucket whose upper end they round to; rounding up puts
 * them into the next one, and all of the bucket below counts. */
void metrics_hist_add(struct metrics_hist *h, const struct hist *delays)
{
    for (size_t i = 0; i < METRICS_LE_N; i++)
        h->bucket[i] += hist_count_le(delays, (int64_t)ceil(metrics_le_s[i] * (double)TW_NS_PER_S));
    h->count += delays->count;
    h->sum_s += (double)delays->sum_ns / (double)TW_NS_PER_S;
}

/* ---- Lines ---- */

/* An object with metrics and the text of its labels, without the closing brace. */
struct object {
    const void *p;
    const char *labels;
    size_t labels_len;
};

static void put_head(struct mbuf *b, const char *prefix, const char *name, const char *help, const char *type)
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

static void put_integer(struct mbuf *b, uint64_t v)
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

static void put_hist(struct mbuf *b, const struct name *n, const struct object *o, const struct sample *s,
                     const struct metrics_hist *h)
{
    for (size_t i = 0; i <= METRICS_LE_N; i++) {
        put_series(b, n, "_bucket", o, s->labels);
        mbuf_text(b, ",le=\"");
        mbuf_text(b, le_text[i]);
        mbuf_put(b, "\"", 1);
        put_integer(b, i < METRICS_LE_N ? h->bucket[i] : h->count);
    }
    put_series(b, n, "_sum", o, s->labels);
    put_double(b, isfinite(h->sum_s) ? h->sum_s : 0);
    put_series(b, n, "_count", o, s->labels);
    put_integer(b, h->count);
}

static void put_labelled(struct mbuf *b, const struct name *n, const struct object *o, const struct sample *s,
                         const char *value)
{
    if (!value)
        return;
    put_series(b, n, "", o, s->labels);
    mbuf_label(b, value);
    mbuf_put(b, "\"", 1);
    put_integer(b, 1);
}

static void put_number(struct mbuf *b, const struct name *n, const struct object *o, const struct sample *s,
                       double v)
{
    if (!isfinite(v))
        return;
    put_series(b, n, "", o, s->labels);
    put_double(b, v);
}

static void put_time(struct mbuf *b, const struct name *n, const struct object *o, const struct sample *s,
                     int64_t ns)
{
    if (!ns)
        return;
    put_series(b, n, "", o, s->labels);
    mbuf_put(b, "} ", 2);
    mbuf_seconds(b, ns);
    mbuf_put(b, "\n", 1);
}

static void put_sample(struct mbuf *b, const struct name *n, const struct object *o, const struct sample *s)
{
    const void *field = (const char *)o->p + s->offset;

    switch (s->kind) {
    case SAMPLE_U64:
        put_series(b, n, "", o, s->labels);
        put_integer(b, *(const uint64_t *)field);
        break;
    case SAMPLE_DOUBLE:
        put_number(b, n, o, s, *(const double *)field);
        break;
    case SAMPLE_NUM:
        put_number(b, n, o, s,
                   ((const struct tw_num *)field)->known ? ((const struct tw_num *)field)->value : NAN);
        break;
    case SAMPLE_BOOL:
        put_series(b, n, "", o, s->labels);
        put_integer(b, *(const bool *)field);
        break;
    case SAMPLE_TIME:
        put_time(b, n, o, s, *(const int64_t *)field);
        break;
    case SAMPLE_LABEL:
        put_labelled(b, n, o, s, *(const char *const *)field);
        break;
    case SAMPLE_IS_UP:
        put_series(b, n, "", o, s->labels);
        put_integer(b, !strcmp(*(const char *const *)field, "up"));
        break;
    case SAMPLE_HIST:
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
    put_head(b, prefix, f->name, f->help, f->type);
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

/* ---- Objects: their labels are escaped once ---- */

struct objects {
    struct object *v;
    size_t n;
    struct mbuf labels;
};

static enum tw_rc objects_init(struct objects *o, size_t cap)
{
    *o = (struct objects){ .v = calloc(cap + 1, sizeof *o->v) };
    return o->v ? TW_OK : TW_ENOMEM;
}

static void objects_free(struct objects *o)
{
    free(o->v);
    free(o->labels.p);
}

/* Names and values alternate, up to a NULL name. */
static void objects_add(struct objects *o, const void *p, const char *const *labels)
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

static void put_objects(struct mbuf *b, const struct level *l, struct objects *o)
{
    objects_done(o);
    b->bad |= o->labels.bad;
    if (!b->bad)
        put_level(b, l, o->v, o->n);
}

/* ---- Pairs and their budget ---- */

static double badness(const struct metrics_pair *p)
{
    return p->fresh && p->last.loss_ratio.known ? p->last.loss_ratio.value : -1;
}

static int compare_badness(const void *a, const void *b)
{
    const struct metrics_pair *x = *(const struct metrics_pair *const *)a,
                              *y = *(const struct metrics_pair *const *)b;
    double bx = badness(x), by = badness(y);

    if (bx != by)
        return bx < by ? 1 : -1;
    return (x > y) - (x < y);
}

static int compare_place(const void *a, const void *b)
{
    const struct metrics_pair *x = *(const struct metrics_pair *const *)a,
                              *y = *(const struct metrics_pair *const *)b;

    return (x > y) - (x < y);
}

/* Keeps the worst that the budget allows, in the order in which they were. Returns how many. */
static size_t keep_worst(const struct metrics_pair **v, size_t n, uint64_t max_series)
{
    uint64_t keep = max_series / metrics_series_per_pair();

    if (!max_series || n <= keep)
        return n;
    qsort(v, n, sizeof *v, compare_badness);
    qsort(v, (size_t)keep, sizeof *v, compare_place);
    return (size_t)keep;
}

static void put_single(struct mbuf *b, enum single which, const char *label, uint64_t value)
{
    const struct family *f = &singles[which];

    put_head(b, "", f->name, f->help, f->type);
    mbuf_text(b, f->name);
    if (label) {
        mbuf_text(b, "{");
        mbuf_text(b, f->labels);
        mbuf_text(b, "=\"");
        mbuf_label(b, label);
        mbuf_text(b, "\"}");
    }
    mbuf_text(b, " ");
    mbuf_u64(b, value);
    mbuf_text(b, "\n");
}

static bool wanted(const char *mesh, const char *filter)
{
    return !filter || !strcmp(mesh, filter);
}

static size_t filter_pairs(const struct metrics_snapshot *s, const char *mesh, const struct metrics_pair **v)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_pairs; i++)
        if (wanted(s->pairs[i].mesh, mesh))
            v[n++] = &s->pairs[i];
    return n;
}

static enum tw_rc render_pairs(struct mbuf *b, const struct metrics_snapshot *s, const char *mesh)
{
    const struct metrics_pair **v = calloc(s->n_pairs + 1, sizeof *v);
    struct objects o;
    size_t n, kept;

    if (!v || objects_init(&o, s->n_pairs)) {
        free(v);
        return TW_ENOMEM;
    }
    n = filter_pairs(s, mesh, v);
    kept = keep_worst(v, n, s->max_pair_series);
    for (size_t i = 0; i < kept; i++) {
        const struct metrics_pair *p = v[i];
        const char *labels[] = { "mesh",    p->mesh,  "class",   p->class_name, "source",
                                 p->source, "target", p->target, NULL };
        objects_add(&o, p, labels);
    }
    put_objects(b, &level_pair, &o);
    put_single(b, SINGLE_SUPPRESSED, NULL, (n - kept) * metrics_series_per_pair());
    objects_free(&o);
    free(v);
    return TW_OK;
}

/* ---- Aggregates, agents, ourselves ---- */

static enum tw_rc render_groups(struct mbuf *b, const struct level *l, const struct metrics_group *g,
                                size_t n, const char *mesh)
{
    struct objects o;

    if (objects_init(&o, n))
        return TW_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *labels[] = {
            "mesh", g[i].mesh, "class", g[i].class_name, g[i].source ? "source" : NULL, g[i].source, NULL
        };
        if (wanted(g[i].mesh, mesh))
            objects_add(&o, &g[i], labels);
    }
    put_objects(b, l, &o);
    objects_free(&o);
    return TW_OK;
}

static void put_agent_states(struct mbuf *b, const struct metrics_snapshot *s)
{
    static const char *const states[] = { "pending", "up", "down" };
    const struct family *f = &singles[SINGLE_AGENTS];

    put_head(b, "", f->name, f->help, f->type);
    for (size_t k = 0; k < TW_NELEM(states); k++) {
        uint64_t n = 0;

        for (size_t i = 0; i < s->n_fleet; i++)
            n += !strcmp(s->fleet[i].state, states[k]);
        mbuf_text(b, "twamp_agents{state=\"");
        mbuf_text(b, states[k]);
        mbuf_text(b, "\"");
        put_integer(b, n);
    }
}

/* Pending agents are only counted: anybody can name one. */
static enum tw_rc render_fleet(struct mbuf *b, const struct metrics_snapshot *s)
{
    struct objects o;

    if (objects_init(&o, s->n_fleet))
        return TW_ENOMEM;
    for (size_t i = 0; i < s->n_fleet; i++) {
        const char *labels[] = { "agent", s->fleet[i].name, NULL };

        if (strcmp(s->fleet[i].state, "pending"))
            objects_add(&o, &s->fleet[i], labels);
    }
    put_agent_states(b, s);
    put_objects(b, &level_fleet, &o);
    put_single(b, SINGLE_GENERATION, NULL, s->generation);
    objects_free(&o);
    return TW_OK;
}

static void put_self(struct mbuf *b, const struct metrics_self *r)
{
    if (!isfinite(r->value))
        return;
    mbuf_text(b, r->name);
    if (r->label) {
        mbuf_text(b, "{");
        mbuf_text(b, r->label);
        mbuf_text(b, "=\"");
        mbuf_label(b, r->label_value);
        mbuf_text(b, "\"}");
    }
    mbuf_text(b, " ");
    mbuf_double(b, r->value);
    mbuf_text(b, "\n");
}

static bool same_series(const struct metrics_self *a, const struct metrics_self *b)
{
    if (strcmp(a->name, b->name) || !a->label != !b->label)
        return false;
    return !a->label || (!strcmp(a->label, b->label) && !strcmp(a->label_value, b->label_value));
}

/* The first row of these that is the same series, or shares the name. */
static size_t first_like(const struct metrics_self *v, size_t i, bool series)
{
    for (size_t k = 0; k < i; k++)
        if (series ? same_series(&v[k], &v[i]) : !strcmp(v[k].name, v[i].name))
            return k;
    return i;
}

static void render_self(struct mbuf *b, const struct metrics_self *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (first_like(v, i, false) != i)
            continue;
        put_head(b, "", v[i].name, v[i].help, v[i].type);
        for (size_t k = i; k < n; k++)
            if (!strcmp(v[k].name, v[i].name) && first_like(v, k, true) == k)
                put_self(b, &v[k]);
    }
}

/* ---- The page ---- */

static enum tw_rc render(struct mbuf *b, const struct metrics_snapshot *s, unsigned levels, const char *mesh)
{
    enum tw_rc rc = TW_OK;

    put_single(b, SINGLE_BUILD, TW_VERSION, 1);
    if (!mesh)
        rc = render_fleet(b, s);
    if (!rc && levels & METRICS_MESH)
        rc = render_groups(b, &level_mesh, s->meshes, s->n_meshes, mesh);
    if (!rc && levels & METRICS_AGENT)
        rc = render_groups(b, &level_agent, s->agents, s->n_agents_groups, mesh);
    if (!rc && levels & METRICS_PAIR)
        rc = render_pairs(b, s, mesh);
    if (!rc && !mesh)
        render_self(b, s->self, s->n_self);
    return !rc && b->bad ? TW_ENOMEM : rc;
}

enum tw_rc metrics_render(const struct metrics_snapshot *s, unsigned levels, const char *mesh, char **ret,
                          size_t *ret_len)
{
    struct mbuf b = { 0 };
    enum tw_rc rc = render(&b, s, levels, mesh);

    if (rc) {
        free(b.p);
        return rc;
    }
    *ret = b.p;
    *ret_len = b.len;
    return TW_OK;
}

static unsigned series_of(const struct level *l)
{
    unsigned n = 0;

    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->families[i].n; k++)
            n += l->families[i].samples[k].kind == SAMPLE_HIST ? METRICS_LE_N + 3 : 1;
    return n;
}

unsigned metrics_series_per_pair(void)
{
    return series_of(&level_pair);
}

unsigned metrics_series_per_group(void)
{
    return series_of(&level_agent);
}

/* ---- The reference ---- */

static void describe(const char *prefix, const char *labels, const struct family *f,
                     struct metrics_description *ret)
{
    *ret = (struct metrics_description){ .type = f->type, .help = f->help };
    snprintf(ret->name, sizeof ret->name, "%s%s", prefix, f->name);
    snprintf(ret->labels, sizeof ret->labels, "%s%s%s", labels, *labels && *f->labels ? ", " : "", f->labels);
}

bool metrics_describe(size_t i, struct metrics_description *ret)
{
    static const struct level *const levels[] = { &level_pair, &level_agent, &level_mesh, &level_fleet };

    for (size_t k = 0; k < TW_NELEM(levels); i -= levels[k++]->n)
        if (i < levels[k]->n) {
            describe(levels[k]->prefix, levels[k]->labels, &levels[k]->families[i], ret);
            return true;
        }
    if (i >= SINGLE_COUNT)
        return false;
    describe("", "", &singles[i], ret);
    return true;
}
