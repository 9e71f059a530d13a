#include "common/stats_compare.h"

#include <string.h>

const struct stats_field *stats_field_find(const char *name)
{
    for (size_t i = 0; i < stats_fields_n; i++)
        if (!strcmp(stats_fields[i].name, name))
            return &stats_fields[i];
    return NULL;
}

struct tw_num stats_number(const struct stats_view *v, const struct stats_field *f)
{
    const void *at = (const char *)v + f->offset;

    switch (f->kind) {
    case STATS_U64:
        return (struct tw_num){ true, (double)*(const uint64_t *)at };
    case STATS_U32:
        return (struct tw_num){ true, *(const uint32_t *)at };
    case STATS_U8:
        return (struct tw_num){ true, *(const uint8_t *)at };
    case STATS_F64:
        return (struct tw_num){ true, *(const double *)at };
    case STATS_NUM:
        return *(const struct tw_num *)at;
    case STATS_BOOL:
        return (struct tw_num){ true, *(const bool *)at };
    case STATS_TEXT:
        break;
    }
    return (struct tw_num){ 0 };
}

bool stats_low_is_worse(const char *name)
{
    static const char *const low[] = {
        "availability_ratio", "completeness_ratio", "received",        "sent",
        "windows_available",  "one_way_valid",      "r_factor_g711",   "mos_g711",
        "r_factor_g729a",     "mos_g729a",          "ttl_forward_min", "ttl_backward_min"
    };

    for (size_t i = 0; i < TW_NELEM(low); i++)
        if (!strcmp(low[i], name))
            return true;
    return false;
}

#define X_NAME(name) #name,
const char *const stats_compared[] = { STATS_COMPARED(X_NAME) NULL };

struct stats_change stats_change_of(struct tw_num now, struct tw_num before)
{
    struct stats_change c = { .now = now, .before = before };

    if (now.known && before.known) {
        c.delta = (struct tw_num){ true, now.value - before.value };
        if (before.value != 0)
            c.ratio = (struct tw_num){ true, now.value / before.value };
    }
    return c;
}
