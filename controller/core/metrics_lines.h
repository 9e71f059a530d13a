/* controller/core/metrics_lines.h - private to metrics_text.c: from an object and a table of families to
 * lines of text. Pure. */
#ifndef TW_CONTROLLER_METRICS_LINES_H
#define TW_CONTROLLER_METRICS_LINES_H

#include "controller/core/metrics_buf.h"
#include "controller/core/metrics_families.h"

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
