/* common/metrics_out.h - the formats of a page of metrics: Prometheus text 0.0.4, OpenMetrics 1.0 text, and
 * delimited protobuf messages. Families and their series go in by these operations, whatever comes out;
 * metrics_lines.h makes them from tables. Pure. */
#ifndef TW_COMMON_METRICS_OUT_H
#define TW_COMMON_METRICS_OUT_H

#include "common/metrics_buf.h"
#include "common/metrics_hist.h"

/* A series of the family that was begun last. */
struct metrics_series {
    const char *object; /* what ops->object() made of the labels that it shares with others */
    size_t object_len;  /* 0: there are none */
    const char *labels; /* its own, static: ",direction=\"forward\""; "" = none */
    const char
        *value; /* not NULL: `labels` ends in an open quote, behind which this belongs, and the quote */
};

/* Where a page goes piece by piece, so that it never stands in memory as a whole: touching so much memory
 * that was not touched before costs more than writing the series. */
struct metrics_sink {
    void (*put)(void *ctx, const char *p, size_t len);
    /* What is put from hold() on comes behind `first`, which release() tells when all of it is known: a
     * length. One at a time. Only formats that are not text hold. */
    void (*hold)(void *ctx);
    void (*release)(void *ctx, const char *first, size_t len);
    void *ctx;
};

struct metrics_out;
struct metrics_ops {
    const char *content_type;
    bool has_native;
    /* Appends what stands for an object's labels; names and values alternate, up to a NULL name. */
    void (*object)(struct mbuf *b, const char *const *labels);
    /* The name is prefix and name; type: "counter", "gauge", "histogram", or "summary" of quantiles alone. */
    void (*begin)(struct metrics_out *o, const char *prefix, const char *name, const char *help,
                  const char *type);
    void (*integer)(struct metrics_out *o, const struct metrics_series *s, uint64_t v);
    void (*number)(struct metrics_out *o, const struct metrics_series *s, double v); /* finite */
    void (*seconds)(struct metrics_out *o, const struct metrics_series *s, int64_t ns);
    void (*hist)(struct metrics_out *o, const struct metrics_series *s, const struct metrics_hist *h);
    /* Only where the format has native histograms: elsewhere there is no series. */
    void (*native)(struct metrics_out *o, const struct metrics_series *s, const struct hist *h);
    void (*end)(struct metrics_out *o); /* a family without series leaves nothing */
    void (*finish)(struct metrics_out *o);
};
extern const struct metrics_ops metrics_text, metrics_openmetrics;
extern const struct metrics_ops metrics_protobuf; /* of the library tw_metrics_pb */

#define METRICS_NAME_MAX 96
#define METRICS_KNOWN 16 /* more than any family has series of an object */
#define METRICS_PIECE ((size_t)256 << 10) /* fits into the caches of a processor */
struct metrics_out {
    const struct metrics_ops *ops;
    struct mbuf b; /* the page, or what of it has not gone to the sink; look at `bad` once, at its end */
    const struct metrics_sink *sink; /* NULL: all stays in `b` */
    /* The rest belongs to the formats: the family at hand. */
    char name[METRICS_NAME_MAX];
    size_t name_len, before, headed;
    bool counter, quantiles;
    struct mbuf body, own;
    bool held;       /* the sink has the body before that one, */
    size_t held_len; /* and so much of it */
    struct {
        const char *labels;
        size_t at, len; /* in `own`: what they are there */
    } known[METRICS_KNOWN];
    size_t n_known;
};
void metrics_out_init(struct metrics_out *o, const struct metrics_ops *ops);
/* The page as far as it is in `b`, if there is a sink. */
void metrics_out_flush(struct metrics_out *o);
/* Frees all but the page, which is in `b`. */
void metrics_out_done(struct metrics_out *o);
/* "seconds", "bytes" or "ratio", by the end of a name, without the "_total" of a counter; "" = none. */
const char *metrics_unit(const char *name, size_t len);

#endif
