#include "controller/report.h"
#include <string.h>

enum tw_rc report_filter_resolve(struct report_filter *f, int64_t now_ns, struct tw_err *err)
{
    if (f->from_ns < 0 || f->to_ns < 0)
        return tw_err_set(err, TW_EINVAL, "times before 1970 have no results");
    if (!f->to_ns)
        f->to_ns = now_ns;
    if (!f->from_ns)
        f->from_ns = f->to_ns - 3600 * TW_NS_PER_S;
    if (f->from_ns < f->to_ns)
        return TW_OK;
    return tw_err_set(err, TW_EINVAL, "\"from\" must be before \"to\"");
}

static bool matches(const char *wanted, const char *name)
{
    return !*wanted || !strcmp(wanted, name);
}

bool report_filter_matches(const struct report_filter *f, const struct store_pair *p)
{
    return matches(f->mesh, p->mesh) && matches(f->class_name, p->class_name) &&
           matches(f->source, p->source) && matches(f->target, p->target);
}
