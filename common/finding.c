#include "common/finding.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tw_severity_name(enum tw_severity s)
{
    static const char *const names[TW_SEVERITIES] = { "problem", "warning", "note" };

    return (unsigned)s < TW_SEVERITIES ? names[s] : "note";
}

struct finding *findings_add(struct findings *f, const char *id, const char *about, enum tw_severity severity,
                             const char *subject)
{
    struct finding *x;

    if (f->n == f->cap && f->cap < FINDINGS_MAX) {
        size_t cap = f->cap ? 2 * f->cap : 16;
        struct finding *grown = realloc(f->v, cap * sizeof *grown);
        if (grown) {
            f->v = grown;
            f->cap = cap;
        }
    }
    if (f->n == f->cap) {
        f->lost++;
        return NULL;
    }
    x = &f->v[f->n++];
    *x = (struct finding){ .id = id, .about = about, .severity = severity };
    snprintf(x->subject, sizeof x->subject, "%s", subject);
    return x;
}

static int compare(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;

    if (x->severity != y->severity)
        return x->severity < y->severity ? -1 : 1;
    if (strcmp(x->id, y->id) != 0)
        return strcmp(x->id, y->id);
    return strcmp(x->subject, y->subject);
}

void findings_sort(struct findings *f)
{
    if (f->n)
        qsort(f->v, f->n, sizeof *f->v, compare);
}

void findings_free(struct findings *f)
{
    free(f->v);
    *f = (struct findings){ 0 };
}

size_t findings_count(const struct findings *f, enum tw_severity severity)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += f->v[i].severity == severity;
    return n;
}
