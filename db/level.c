#include <string.h>

#include "db/store.h"

static const struct {
    const char *name;
    int64_t ns;
} levels[STORE_LEVELS] = {
    [STORE_RAW] = { "raw", 0 },
    [STORE_1MIN] = { "1min", 60 * TW_NS_PER_S },
    [STORE_10MIN] = { "10min", 600 * TW_NS_PER_S },
    [STORE_1H] = { "1h", 3600 * TW_NS_PER_S },
    [STORE_1D] = { "1d", 86400 * TW_NS_PER_S },
};

const char *store_level_name(enum store_level l)
{
    return l < STORE_LEVELS ? levels[l].name : "?";
}

enum tw_rc store_level_parse(const char *name, enum store_level *ret)
{
    for (unsigned i = 0; i < STORE_LEVELS; i++)
        if (!strcmp(levels[i].name, name)) {
            *ret = (enum store_level)i;
            return TW_OK;
        }
    return TW_EINVAL;
}

int64_t store_level_ns(enum store_level l)
{
    return l < STORE_LEVELS ? levels[l].ns : 0;
}
