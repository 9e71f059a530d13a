/* common/finding.h - what `doctor` and `twamp-agent --check` find: how bad, about whom, what was seen, what
 * it most likely comes from, and what to do next. Pure. */
#ifndef TW_COMMON_FINDING_H
#define TW_COMMON_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

enum tw_severity {
    TW_PROBLEM, /* measuring does not work, or what is measured is wrong */
    TW_WARNING, /* it works, but not as it should, or not for long */
    TW_NOTE,    /* good to know */
    TW_SEVERITIES
};
const char *tw_severity_name(enum tw_severity s); /* "problem", "warning", "note" */

#define FINDING_SUBJECT 160
#define FINDING_TEXT 320
#define FINDINGS_MAX 5000u

struct finding {
    const char *id;    /* of the check; static, as the next */
    const char *about; /* "controller", "mesh", "agent", "pair", "host" */
    enum tw_severity severity;
    char subject[FINDING_SUBJECT]; /* "ams"; of a pair "ams:fra" */
    int64_t since_ns;              /* wall clock; 0: it is not known since when */
    bool since_or_before;          /* then, or earlier */
    char observed[FINDING_TEXT], cause[FINDING_TEXT], next[FINDING_TEXT];
    bool merged; /* the caller's mark */
};
struct findings {
    struct finding *v;
    size_t n, cap;
    size_t lost; /* no room or no memory for so many more */
};

/* A new one with empty texts, valid until the next; NULL: it is counted in `lost`. */
struct finding *findings_add(struct findings *f, const char *id, const char *about, enum tw_severity severity,
                             const char *subject);
/* Worst first, then by id and subject. */
void findings_sort(struct findings *f);
void findings_free(struct findings *f);
size_t findings_count(const struct findings *f, enum tw_severity severity);

#endif
