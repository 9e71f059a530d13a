/* The query of a report: "name=value" parts between '&', as a client may send them once decoded. */
#include <stdlib.h>
#include <string.h>
#include "controller/http/query.h"
#include "controller/series.h"

#define NOW (INT64_C(1700000000) * TW_NS_PER_S)
#define MAX_PARAMS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split(char *text, struct query_param *q)
{
    size_t n = 0;
    char *rest, *part;

    for (part = strtok_r(text, "&", &rest); part && n < MAX_PARAMS; part = strtok_r(NULL, "&", &rest)) {
        char *value = strchr(part, '=');
        if (value)
            *value++ = '\0';
        q[n++] = (struct query_param){ part, value ? value : "" };
    }
    return n;
}

static void check(const struct report_filter *f)
{
    if (f->from_ns >= f->to_ns || f->limit > QUERY_LIMIT_MAX || f->metric >= CELL_METRICS || f->points > SERIES_POINTS_MAX || f->heat > TW_ROUNDTRIP ||
        strnlen(f->mesh, STORE_NAME_MAX) == STORE_NAME_MAX ||
        strnlen(f->class_name, STORE_NAME_MAX) == STORE_NAME_MAX ||
        strnlen(f->source, STORE_NAME_MAX) == STORE_NAME_MAX ||
        strnlen(f->target, STORE_NAME_MAX) == STORE_NAME_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct query_param q[MAX_PARAMS];
    struct report_filter f;
    struct tw_err err = { 0 };
    unsigned levels = 0;
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (query_levels(text, &levels, &err) == TW_OK && !levels)
        abort();
    if (query_filter(q, split(text, q), UINT_MAX, NOW, &f, &err) == TW_OK)
        check(&f);
    free(text);
    return 0;
}
