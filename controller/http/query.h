/* controller/http/query.h - query parameters as data: unknown ones, repeated ones and bad values are refused by name. Pure. */
#ifndef TW_CONTROLLER_HTTP_QUERY_H
#define TW_CONTROLLER_HTTP_QUERY_H

#include "controller/report.h"

struct query_param {
    const char *name, *value;
};
enum query_known {
    QUERY_MESH = 1,
    QUERY_CLASS = 2,
    QUERY_SOURCE = 4,
    QUERY_TARGET = 8,
    QUERY_FROM = 16,
    QUERY_TO = 32,
    QUERY_LIMIT = 64,
    QUERY_LATEST = 128,
    QUERY_FLOWS = 256,
    QUERY_MIN_PROBES = 512,
    QUERY_MIN_DURATION = 1024,
    QUERY_DIRECTION = 2048,
    QUERY_AT = 4096,
    QUERY_SPAN = 8192,
    QUERY_FLOW = 16384,
    QUERY_SELECT = 32768,
    QUERY_TARGET_SELECT = 65536,
    QUERY_METRIC = 1 << 17,
    QUERY_POINTS = 1 << 18,
    QUERY_HEAT = 1 << 19,
    QUERY_BY = 1 << 20,
    QUERY_SORT = 1 << 21,
    QUERY_TOP = 1 << 22,
    QUERY_BEFORE_FROM = 1 << 23,
    QUERY_BEFORE_TO = 1 << 24,
    QUERY_FORMAT = 1 << 25,
    QUERY_SHAPE = QUERY_BY | QUERY_SORT | QUERY_TOP | QUERY_BEFORE_FROM | QUERY_BEFORE_TO | QUERY_FORMAT, /* of a report */
    QUERY_SELECTS = QUERY_SELECT | QUERY_TARGET_SELECT,
    QUERY_TEXTS = QUERY_MESH | QUERY_CLASS | QUERY_SOURCE | QUERY_TARGET,
    QUERY_NAMES = QUERY_TEXTS | QUERY_SELECTS, /* of pairs */
    QUERY_MATRIX = QUERY_MESH | QUERY_CLASS | QUERY_METRIC | QUERY_SELECTS | QUERY_AT,
    QUERY_SERIES = QUERY_NAMES | QUERY_FROM | QUERY_TO | QUERY_FLOWS | QUERY_POINTS | QUERY_HEAT,
    QUERY_OUTAGES = QUERY_MIN_PROBES | QUERY_MIN_DURATION | QUERY_DIRECTION
};
#define QUERY_LIMIT_MAX 100000

/* `known`: bits of enum query_known. Times: RFC 3339, whole Unix seconds, or a duration before now ("-15m"). An empty value is as if
 * the parameter were absent. The filter's defaults are filled in. TW_EINVAL: err->text names the parameter. */
enum tw_rc query_filter(const struct query_param *q, size_t n, unsigned known, int64_t now_ns, struct report_filter *ret,
                        struct tw_err *err);
/* The n-th parameter that there is: its bit and what is expected; NULL past the end. */
const char *query_param_name(size_t n, unsigned *ret_bit, const char **ret_expected);
/* One such time. */
enum tw_rc query_time(const char *value, int64_t now_ns, int64_t *ret_ns);
/* Comma-separated names of levels -> bits of enum metrics_level, added to *ret; "fleet" stands for QUERY_LEVEL_FLEET: what a page of all
 * meshes has beside its levels. */
#define QUERY_LEVEL_FLEET (METRICS_ALL + 1u)
enum tw_rc query_levels(const char *value, unsigned *ret, struct tw_err *err);

#endif
