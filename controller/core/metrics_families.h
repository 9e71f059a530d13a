/* controller/core/metrics_families.h - private to metrics_text.c: the tables of what is on the page. A new
 * metric is one more row. */
#ifndef TW_CONTROLLER_METRICS_FAMILIES_H
#define TW_CONTROLLER_METRICS_FAMILIES_H

#include "controller/core/metrics_text.h"

enum sample_kind {
    SAMPLE_U64,
    SAMPLE_DOUBLE,
    SAMPLE_NUM,   /* struct tw_num; left out when not known */
    SAMPLE_BOOL,  /* 1 or 0 */
    SAMPLE_TIME,  /* int64_t ns since 1970; left out when 0 */
    SAMPLE_LABEL, /* 1, with the text as value of the last label, which `labels` leaves open */
    SAMPLE_IS_UP, /* 1 if the text is "up" */
    SAMPLE_HIST   /* struct metrics_hist */
};
struct sample {
    const char *labels; /* after those of the object: ",direction=\"forward\"" */
    enum sample_kind kind;
    size_t offset; /* in the object */
};

#define NO_GATE SIZE_MAX
struct family {
    const char *name; /* without the level's prefix */
    const char *type, *labels, *help;
    size_t gate; /* offset of a bool in the object: without it no sample */
    const struct sample *samples;
    size_t n;
};

/* One kind of object that has metrics. */
struct level {
    const char *prefix; /* of all names */
    const char *labels; /* of all samples, for the reference */
    const struct family *families;
    size_t n;
};
extern const struct level level_pair, level_agent, level_mesh, level_fleet;

/* Those that are not of an object. */
enum single { SINGLE_BUILD, SINGLE_SUPPRESSED, SINGLE_AGENTS, SINGLE_GENERATION, SINGLE_COUNT };
extern const struct family singles[SINGLE_COUNT];

#endif
