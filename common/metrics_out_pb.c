/* The protobuf format. A message in pieces is a message: labels are packed once for each object, and each
 * series puts them in front of its own and of its value, so that no tree of a whole family ever stands in
 * memory. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "common/clk.h"
#include "common/metrics_out.h"
#include "exposition.pb-c.h"

#define TAG_METRIC 0x22 /* MetricFamily.metric, and Metric.label: field 4 and 1, with a length */
#define TAG_LABEL 0x0a
#define ZERO_THRESHOLD 0x1p-128 /* our zero bucket is of 0 alone; the least delay is 1 ns */

static_assert(HIST_SCALE <= 8 && HIST_SCALE_MIN >= -4, "every scale is a schema");

static void put_varint(struct mbuf *b, uint64_t v)
{
    char octets[10];
    size_t n = 0;

    do {
        octets[n++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    mbuf_put(b, octets, n);
}

static void pack(struct mbuf *b, const ProtobufCMessage *m)
{
    uint8_t stack[512], *p = stack;
    size_t len = protobuf_c_message_get_packed_size(m);

    if (len > sizeof stack && !(p = malloc(len))) {
        b->bad = true;
        return;
    }
    mbuf_put(b, (const char *)p, protobuf_c_message_pack(m, p));
    if (p != stack)
        free(p);
}

/* ---- Labels ---- */

/* name and value need not end with a NUL. */
static void put_label(struct mbuf *b, const char *name, size_t name_len, const char *value, size_t value_len)
{
    char text[256];
    Io__Prometheus__Client__LabelPair pair = IO__PROMETHEUS__CLIENT__LABEL_PAIR__INIT;

    if (!name_len || name_len + value_len + 2 > sizeof text)
        return;
    memcpy(text, name, name_len);
    text[name_len] = '\0';
    memcpy(text + name_len + 1, value, value_len);
    text[name_len + 1 + value_len] = '\0';
    pair.name = text;
    pair.value = text + name_len + 1;
    mbuf_put(b, (const char[]){ TAG_LABEL }, 1);
    put_varint(b, io__prometheus__client__label_pair__get_packed_size(&pair));
    pack(b, &pair.base);
}

static void pb_object(struct mbuf *b, const char *const *labels)
{
    for (size_t i = 0; labels[i]; i += 2) {
        const char *value = labels[i + 1] ? labels[i + 1] : "";

        put_label(b, labels[i], strlen(labels[i]), value, strlen(value));
    }
}

/* As OpenMetrics writes it, and as Prometheus makes a label of what a message says. */
static const char *quantile_text(const char *value, size_t *len)
{
    if (*len != 1 || *value != '1')
        return value;
    *len = 3;
    return "1.0";
}

/* ",direction=\"forward\",quantile=\"0.5\"": our own tables, in which nothing is escaped. */
static void pack_own_labels(struct mbuf *b, const struct metrics_series *s)
{
    const char *p = s->labels;

    while (*p == ',') {
        const char *name = ++p, *value;
        size_t name_len = strcspn(p, "="), value_len;

        p += name_len;
        p += strspn(p, "=\"");
        value = p;
        value_len = strcspn(p, "\"");
        p += value_len + (p[value_len] == '"');
        if (!*p && s->value) {
            value = s->value;
            value_len = strlen(value);
        }
        if (name_len == 8 && !memcmp(name, "quantile", 8))
            value = quantile_text(value, &value_len);
        put_label(b, name, name_len, value, value_len);
    }
}

/* Every object has the same ones: they are packed once for each family. Texts with a value may be of the
 * moment. */
static void put_own_labels(struct metrics_out *o, const struct metrics_series *s)
{
    size_t i = 0, at = o->own.len;

    if (!*s->labels)
        return;
    while (i < o->n_known && o->known[i].labels != s->labels)
        i++;
    if (s->value || i == METRICS_KNOWN) {
        pack_own_labels(&o->body, s);
        return;
    }
    if (i == o->n_known) {
        pack_own_labels(&o->own, s);
        o->known[o->n_known].labels = s->labels;
        o->known[o->n_known].at = at;
        o->known[o->n_known++].len = o->own.len - at;
    }
    mbuf_put(&o->body, o->own.p + o->known[i].at, o->known[i].len);
}

/* ---- Families ---- */

static Io__Prometheus__Client__MetricType type_of(const char *type)
{
    if (!strcmp(type, "counter"))
        return IO__PROMETHEUS__CLIENT__METRIC_TYPE__COUNTER;
    if (!strcmp(type, "histogram"))
        return IO__PROMETHEUS__CLIENT__METRIC_TYPE__HISTOGRAM;
    return IO__PROMETHEUS__CLIENT__METRIC_TYPE__GAUGE; /* also quantiles: this format has none without sum and
                                                          count */
}

static void pb_begin(struct metrics_out *o, const char *prefix, const char *name, const char *help,
                     const char *type)
{
    Io__Prometheus__Client__MetricFamily f = IO__PROMETHEUS__CLIENT__METRIC_FAMILY__INIT;
    char full[METRICS_NAME_MAX] = "";
    size_t a = strlen(prefix), n = strlen(name);

    if (a + n < sizeof full) {
        memcpy(full, prefix, a);
        memcpy(full + a, name, n);
    }
    f.name = full;
    f.help = (char *)help; /* protobuf-c only reads it */
    f.type = type_of(type);
    n += a;
    if (f.type == IO__PROMETHEUS__CLIENT__METRIC_TYPE__COUNTER && n > 6)
        n -= 6; /* "_total" */
    f.unit = (char *)metrics_unit(full, n);
    o->counter = f.type == IO__PROMETHEUS__CLIENT__METRIC_TYPE__COUNTER;
    o->body.len = o->own.len = o->n_known = 0;
    pack(&o->body, &f.base);
    o->headed = o->body.len;
}

/* The length of a family comes before it. Of a long one, pieces go to the sink before that is known, which
 * puts it in front of them: a family of a hundred thousand pairs that waited here would be far more than any
 * cache holds. */
static void pass_on(struct metrics_out *o)
{
    if (!o->held) {
        metrics_out_flush(o);
        o->sink->hold(o->sink->ctx);
    }
    o->held = true;
    o->sink->put(o->sink->ctx, o->body.p, o->body.len);
    o->held_len += o->body.len;
    o->body.len = 0;
}

static void release(struct metrics_out *o)
{
    struct mbuf first = { 0 };

    pass_on(o);
    put_varint(&first, o->held_len);
    o->b.bad |= first.bad;
    if (!first.bad)
        o->sink->release(o->sink->ctx, first.p, first.len);
    free(first.p);
    o->held = false;
    o->held_len = 0;
}

static void pb_end(struct metrics_out *o)
{
    o->b.bad |= o->body.bad || o->own.bad;
    if (o->held) {
        release(o);
        return;
    }
    if (o->body.len == o->headed)
        return;
    put_varint(&o->b, o->body.len);
    mbuf_put(&o->b, o->body.p, o->body.len);
    if (o->b.len >= METRICS_PIECE)
        metrics_out_flush(o);
}

static void pb_finish(struct metrics_out *o)
{
    metrics_out_flush(o);
}

/* ---- Series ---- */

/* The length comes first and is known last: one octet is kept for it, and the message moves when it needs
 * more. */
static void put_metric(struct metrics_out *o, const struct metrics_series *s,
                       const Io__Prometheus__Client__Metric *value)
{
    struct mbuf *b = &o->body;
    size_t at, len, more;

    mbuf_put(b, (const char[]){ TAG_METRIC, 0 }, 2);
    at = b->len;
    mbuf_put(b, s->object, s->object_len);
    put_own_labels(o, s);
    pack(b, &value->base);
    if (b->bad)
        return;
    len = b->len - at;
    for (more = 0; len >> (7 * (more + 1)); more++)
        ;
    mbuf_put(b, "\0\0\0\0\0\0\0\0\0", more);
    if (b->bad)
        return;
    memmove(b->p + at + more, b->p + at, len);
    b->len = at - 1;
    put_varint(b, len);
    b->len = at + more + len;
    if (b->len >= METRICS_PIECE && o->sink)
        pass_on(o);
}

static void pb_number(struct metrics_out *o, const struct metrics_series *s, double v)
{
    Io__Prometheus__Client__Metric m = IO__PROMETHEUS__CLIENT__METRIC__INIT;
    Io__Prometheus__Client__Counter counter = IO__PROMETHEUS__CLIENT__COUNTER__INIT;
    Io__Prometheus__Client__Gauge gauge = IO__PROMETHEUS__CLIENT__GAUGE__INIT;

    counter.value = gauge.value = v;
    if (o->counter)
        m.counter = &counter;
    else
        m.gauge = &gauge;
    put_metric(o, s, &m);
}

static void pb_integer(struct metrics_out *o, const struct metrics_series *s, uint64_t v)
{
    pb_number(o, s, (double)v);
}

static void pb_seconds(struct metrics_out *o, const struct metrics_series *s, int64_t ns)
{
    pb_number(o, s, (double)ns / (double)TW_NS_PER_S);
}

/* ---- Histograms ---- */

/* One sign of a native histogram. */
struct side {
    Io__Prometheus__Client__BucketSpan *spans, **span_ptrs;
    int64_t *deltas;
    size_t n_spans, n;
    int64_t next, last_count; /* index behind the last span */
};

static bool side_init(struct side *s, size_t n)
{
    *s = (struct side){ .spans = calloc(n + 1, sizeof *s->spans),
                        .span_ptrs = calloc(n + 1, sizeof *s->span_ptrs),
                        .deltas = calloc(n + 1, sizeof *s->deltas) };
    return s->spans && s->span_ptrs && s->deltas;
}

static void side_free(struct side *s)
{
    free(s->spans);
    free(s->span_ptrs);
    free(s->deltas);
}

/* Indexes rise. */
static void side_add(struct side *s, int64_t index, uint64_t count)
{
    Io__Prometheus__Client__BucketSpan *span;

    if (!s->n || index != s->next) {
        span = s->span_ptrs[s->n_spans] = &s->spans[s->n_spans];
        *span = (Io__Prometheus__Client__BucketSpan)IO__PROMETHEUS__CLIENT__BUCKET_SPAN__INIT;
        span->offset = (int32_t)(index - s->next); /* next is 0 before the first */
        s->n_spans++;
    }
    s->spans[s->n_spans - 1].length++;
    s->deltas[s->n++] = (int64_t)count - s->last_count;
    s->last_count = (int64_t)count;
    s->next = index + 1;
}

/* Our bucket i is their i + 1, and of negative ones the least come first with us. */
static void take_buckets(const struct hist *h, struct side *negative, struct side *positive,
                         uint64_t *ret_zero)
{
    for (uint32_t i = h->n; i-- > 0;) {
        struct hist_bucket b = hist_bucket(h, i);

        if (b.key < 0)
            side_add(negative, (int64_t)-b.key - HIST_KEY_BIAS + 1, b.count);
    }
    for (uint32_t i = 0; i < h->n; i++) {
        struct hist_bucket b = hist_bucket(h, i);

        if (b.key > 0)
            side_add(positive, (int64_t)b.key - HIST_KEY_BIAS + 1, b.count);
        else if (!b.key)
            *ret_zero = b.count;
    }
}

static void put_histogram(struct metrics_out *o, const struct metrics_series *s,
                          Io__Prometheus__Client__Histogram *h, const struct hist *native)
{
    Io__Prometheus__Client__Metric m = IO__PROMETHEUS__CLIENT__METRIC__INIT;
    struct side negative = { 0 }, positive = { 0 };
    size_t n = native ? native->n : 0;

    m.histogram = h;
    if (!side_init(&negative, n) || !side_init(&positive, n)) {
        o->body.bad = true;
    } else {
        if (native) {
            h->schema = native->scale;
            h->zero_threshold = ZERO_THRESHOLD;
            take_buckets(native, &negative, &positive, &h->zero_count);
        }
        h->n_negative_span = negative.n_spans;
        h->negative_span = negative.span_ptrs;
        h->n_negative_delta = negative.n;
        h->negative_delta = negative.deltas;
        h->n_positive_span = positive.n_spans;
        h->positive_span = positive.span_ptrs;
        h->n_positive_delta = positive.n;
        h->positive_delta = positive.deltas;
        put_metric(o, s, &m);
    }
    side_free(&negative);
    side_free(&positive);
}

static void pb_hist(struct metrics_out *o, const struct metrics_series *s, const struct metrics_hist *h)
{
    Io__Prometheus__Client__Histogram m = IO__PROMETHEUS__CLIENT__HISTOGRAM__INIT;
    Io__Prometheus__Client__Bucket buckets[METRICS_LE_N], *ptrs[METRICS_LE_N];

    for (size_t i = 0; i < METRICS_LE_N; i++) {
        buckets[i] = (Io__Prometheus__Client__Bucket)IO__PROMETHEUS__CLIENT__BUCKET__INIT;
        buckets[i].cumulative_count = h->bucket[i];
        buckets[i].upper_bound = metrics_le_s[i];
        ptrs[i] = &buckets[i];
    }
    m.sample_count = h->count;
    m.sample_sum = h->sum_s;
    m.n_bucket = METRICS_LE_N;
    m.bucket = ptrs;
    put_histogram(o, s, &m, h->native);
}

static void pb_native(struct metrics_out *o, const struct metrics_series *s, const struct hist *h)
{
    Io__Prometheus__Client__Histogram m = IO__PROMETHEUS__CLIENT__HISTOGRAM__INIT;

    m.sample_count = h->count;
    m.sample_sum = (double)h->sum_ns / (double)TW_NS_PER_S;
    put_histogram(o, s, &m, h);
}

const struct metrics_ops metrics_protobuf = {
    .content_type =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    .has_native = true,
    .object = pb_object,
    .begin = pb_begin,
    .integer = pb_integer,
    .number = pb_number,
    .seconds = pb_seconds,
    .hist = pb_hist,
    .native = pb_native,
    .end = pb_end,
    .finish = pb_finish,
};
