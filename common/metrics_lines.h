/* common/metrics_lines.h - Prometheus text 0.0.4 from tables: kinds of objects, their families of metrics,
 * and from an object and its table to lines of text. A new metric is one more row. Pure. */
#ifndef TW_COMMON_METRICS_LINES_H
#define TW_COMMON_METRICS_LINES_H

#include "common/metrics_buf.h"
#include "common/metrics_hist.h"
#include "common/rc.h"

enum metric_kind {
    METRIC_U64,
    METRIC_U8,
    METRIC_DOUBLE,
    METRIC_NUM,   /* struct tw_num; left out when not known */
    METRIC_BOOL,  /* 1 or 0 */
    METRIC_TIME,  /* int64_t ns since 1970; left out when 0 */
    METRIC_LABEL, /* 1, with the text as value of the last label, which `labels` leaves open */
    METRIC_IS_UP, /* 1 if the text is "up" */
    METRIC_HIST   /* struct metrics_hist */
};
struct metric_sample {
    const char *labels; /* after those of the object: ",direction=\"forward\"" */
    enum metric_kind kind;
    size_t offset; /* in the object */
};

#define NO_GATE SIZE_MAX
struct family {
    const char *name; /* without the level's prefix */
    const char *type, *labels, *help;
    size_t gate; /* offset of a bool in the object: without it no sample */
    const struct metric_sample *samples;
    size_t n;
};

/* One kind of object that has metrics. */
struct level {
    const char *prefix; /* of all names */
    const char *labels; /* of all samples, for the reference */
    const struct family *families;
    size_t n;
};

/* An object with metrics and the text of its labels, without the closing brace. */
struct object {
    const void *p;
    const char *labels;
    size_t labels_len;
};

/* Objects of one level. Their labels are escaped once, here. */
struct objects {
    struct object *v;
    size_t n;
    struct mbuf labels;
};

/* Room for cap objects. */
enum tw_rc objects_init(struct objects *o, size_t cap);
void objects_free(struct objects *o);
/* Label names and values alternate, up to a NULL name. */
void objects_add(struct objects *o, const void *p, const char *const *labels);
/* All families of the level over all objects. */
void objects_put(struct mbuf *b, const struct level *l, struct objects *o);

/* "# HELP" and "# TYPE". */
void metrics_put_head(struct mbuf *b, const char *prefix, const char *name, const char *help,
                      const char *type);
/* The end of a line with labels: "} 1". */
void metrics_put_integer(struct mbuf *b, uint64_t v);

#endif
