/* common/metrics_lines.h - metrics from tables: kinds of objects, their families of metrics, and from objects and
 * their table to a page, in any format of metrics_out.h. A new metric is one more row. Pure. */
#ifndef TW_COMMON_METRICS_LINES_H
#define TW_COMMON_METRICS_LINES_H

#include "common/metrics_out.h"
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
    METRIC_HIST,  /* struct metrics_hist */
    METRIC_NATIVE, /* struct hist *; only where there are native histograms, left out when NULL */
    METRIC_MS,    /* struct tw_num of seconds, as milliseconds */
    METRIC_PERCENT /* struct tw_num of a ratio, as percent */
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

/* An object with metrics, and what its labels are in the page's format. */
struct object {
    const void *p;
    const char *labels;
    size_t labels_len;
};

/* Objects of one level. Their labels are written once, here. */
struct objects {
    const struct metrics_ops *ops;
    struct object *v;
    size_t n;
    struct mbuf labels;
};

/* Room for cap objects on a page of that format. */
enum tw_rc objects_init(struct objects *o, const struct metrics_ops *ops, size_t cap);
void objects_free(struct objects *o);
/* Label names and values alternate, up to a NULL name. */
void objects_add(struct objects *o, const void *p, const char *const *labels);
/* All families of the level over all objects. */
void objects_put(struct metrics_out *out, const struct level *l, struct objects *o);
/* The same as text, for those that write nothing else. */
void objects_put_text(struct mbuf *b, const struct level *l, struct objects *o);

/* "# HELP" and "# TYPE" of the text format. */
void metrics_put_head(struct mbuf *b, const char *prefix, const char *name, const char *help,
                      const char *type);

#endif
