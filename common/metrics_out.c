/* The two text formats. They differ in the names of counters' families, in units, in how bounds are written,
 * and in the end mark. */
#include "common/metrics_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/rc.h"

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
/* OpenMetrics asks for one way to write a bound: whole ones with a decimal. */
static const char *const whole_text[METRICS_LE_N + 1] = {
    [15] = "1.0", [16] = "2.0", [17] = "4.0", [18] = "8.0"
};

void metrics_out_init(struct metrics_out *o, const struct metrics_ops *ops)
{
    *o = (struct metrics_out){ .ops = ops };
}

void metrics_out_done(struct metrics_out *o)
{
    free(o->body.p);
    free(o->own.p);
    o->body = o->own = (struct mbuf){ 0 };
}

void metrics_out_flush(struct metrics_out *o)
{
    if (!o->sink || !o->b.len)
        return;
    o->sink->put(o->sink->ctx, o->b.p, o->b.len);
    o->b.len = 0;
}

const char *metrics_unit(const char *name, size_t len)
{
    static const char *const units[] = { "seconds", "bytes", "ratio" };

    for (size_t i = 0; i < TW_NELEM(units); i++) {
        size_t n = strlen(units[i]);

        if (len > n + 1 && name[len - n - 1] == '_' && !memcmp(name + len - n, units[i], n))
            return units[i];
    }
    return "";
}

static void text_object(struct mbuf *b, const char *const *labels)
{
    for (size_t i = 0; labels[i]; i += 2) {
        mbuf_text(b, i ? "," : "{");
        mbuf_text(b, labels[i]);
        mbuf_text(b, "=\"");
        mbuf_label(b, labels[i + 1]);
        mbuf_text(b, "\"");
    }
}

/* ---- Families ---- */

static void set_family(struct metrics_out *o, const char *prefix, const char *name, const char *type)
{
    size_t a = strlen(prefix), n = strlen(name);

    o->name_len = a + n < sizeof o->name ? a + n : 0;
    if (o->name_len) {
        memcpy(o->name, prefix, a);
        memcpy(o->name + a, name, n);
    }
    o->counter = !strcmp(type, "counter");
    o->quantiles = !strcmp(type, "summary");
    o->before = o->b.len;
}

static void text_begin(struct metrics_out *o, const char *prefix, const char *name, const char *help,
                       const char *type)
{
    set_family(o, prefix, name, type);
    mbuf_text(&o->b, "# HELP ");
    mbuf_put(&o->b, o->name, o->name_len);
    mbuf_text(&o->b, " ");
    mbuf_text(&o->b, help);
    mbuf_text(&o->b, "\n# TYPE ");
    mbuf_put(&o->b, o->name, o->name_len);
    mbuf_text(&o->b, " ");
    mbuf_text(&o->b, type);
    mbuf_text(&o->b, "\n");
    o->headed = o->b.len;
}

static void put_meta(struct metrics_out *o, const char *what, size_t name_len, const char *text)
{
    mbuf_text(&o->b, what);
    mbuf_put(&o->b, o->name, name_len);
    mbuf_text(&o->b, " ");
    mbuf_label(&o->b, text);
    mbuf_text(&o->b, "\n");
}

/* Of a counter the family is named without the ending that its series have. */
static void open_begin(struct metrics_out *o, const char *prefix, const char *name, const char *help,
                       const char *type)
{
    static const char total[] = "_total";
    size_t len, n = sizeof total - 1;
    const char *unit;

    set_family(o, prefix, name, type);
    len = o->name_len;
    if (o->counter && len > n && !memcmp(o->name + len - n, total, n))
        len -= n;
    unit = metrics_unit(o->name, len);
    put_meta(o, "# TYPE ", len, type);
    if (*unit)
        put_meta(o, "# UNIT ", len, unit);
    put_meta(o, "# HELP ", len, help);
    o->headed = o->b.len;
}

/* Behind a series: the family is not empty, so its head stays. */
static void end_line(struct metrics_out *o)
{
    mbuf_put(&o->b, "\n", 1);
    if (o->b.len < METRICS_PIECE || !o->sink)
        return;
    metrics_out_flush(o);
    o->headed = SIZE_MAX;
}

static void text_end(struct metrics_out *o)
{
    if (o->b.len == o->headed)
        o->b.len = o->before;
}

static void text_finish(struct metrics_out *o)
{
    metrics_out_flush(o);
}

static void open_finish(struct metrics_out *o)
{
    mbuf_text(&o->b, "# EOF\n");
    metrics_out_flush(o);
}

/* ---- Series ---- */

/* A quantile is a bound, too. */
static void put_own_labels(struct metrics_out *o, const char *labels)
{
    static const char one[] = "quantile=\"1\"";
    size_t len = strlen(labels), n = sizeof one - 1;

    if (o->quantiles && o->ops == &metrics_openmetrics && len >= n && !memcmp(labels + len - n, one, n)) {
        mbuf_put(&o->b, labels, len - 1);
        mbuf_put(&o->b, ".0\"", 3);
    } else {
        mbuf_put(&o->b, labels, len);
    }
}

/* Up to the value; more: one more label, or "". */
static void put_series(struct metrics_out *o, const char *suffix, const struct metrics_series *s,
                       const char *more, const char *more_value)
{
    struct mbuf *b = &o->b;

    mbuf_put(b, o->name, o->name_len);
    mbuf_text(b, suffix);
    if (!s->object_len && !*s->labels) {
        mbuf_put(b, " ", 1);
        return;
    }
    if (s->object_len)
        mbuf_put(b, s->object, s->object_len);
    else
        mbuf_put(b, "{", 1);
    put_own_labels(o, s->object_len ? s->labels : s->labels + 1);
    if (s->value) {
        mbuf_label(b, s->value);
        mbuf_put(b, "\"", 1);
    }
    if (more) {
        mbuf_text(b, more);
        mbuf_text(b, more_value);
        mbuf_put(b, "\"", 1);
    }
    mbuf_put(b, "} ", 2);
}

static void put_integer(struct metrics_out *o, const char *suffix, const struct metrics_series *s, uint64_t v)
{
    put_series(o, suffix, s, NULL, NULL);
    mbuf_u64(&o->b, v);
    end_line(o);
}

static void put_number(struct metrics_out *o, const char *suffix, const struct metrics_series *s, double v)
{
    put_series(o, suffix, s, NULL, NULL);
    mbuf_double(&o->b, v);
    end_line(o);
}

static void text_integer(struct metrics_out *o, const struct metrics_series *s, uint64_t v)
{
    put_integer(o, "", s, v);
}

static void text_number(struct metrics_out *o, const struct metrics_series *s, double v)
{
    put_number(o, "", s, v);
}

static void text_seconds(struct metrics_out *o, const struct metrics_series *s, int64_t ns)
{
    put_series(o, "", s, NULL, NULL);
    mbuf_seconds(&o->b, ns);
    end_line(o);
}

static void text_hist(struct metrics_out *o, const struct metrics_series *s, const struct metrics_hist *h)
{
    bool open = o->ops == &metrics_openmetrics;

    for (size_t i = 0; i <= METRICS_LE_N; i++) {
        put_series(o, "_bucket", s, ",le=\"", open && whole_text[i] ? whole_text[i] : le_text[i]);
        mbuf_u64(&o->b, i < METRICS_LE_N ? h->bucket[i] : h->count);
        end_line(o);
    }
    put_number(o, "_sum", s, isfinite(h->sum_s) ? h->sum_s : 0);
    put_integer(o, "_count", s, h->count);
}

static void text_native(struct metrics_out *o, const struct metrics_series *s, const struct hist *h)
{
    (void)o;
    (void)s;
    (void)h;
}

const struct metrics_ops metrics_text = {
    .content_type = "text/plain; version=0.0.4; charset=utf-8",
    .object = text_object,
    .begin = text_begin,
    .integer = text_integer,
    .number = text_number,
    .seconds = text_seconds,
    .hist = text_hist,
    .native = text_native,
    .end = text_end,
    .finish = text_finish,
};
const struct metrics_ops metrics_openmetrics = {
    .content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
    .object = text_object,
    .begin = open_begin,
    .integer = text_integer,
    .number = text_number,
    .seconds = text_seconds,
    .hist = text_hist,
    .native = text_native,
    .end = text_end,
    .finish = open_finish,
};
