#include "db/etcd/mirror_head.h"

#include <cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "db/digest.h"

#define BEGIN_HEAD 11 /* of digests */

struct mirror_head mirror_head_of(int64_t revision, const char *value, size_t len)
{
    return (struct mirror_head){ revision, digest_stored(digest_of(BEGIN_HEAD, value, len)) };
}

bool mirror_head_follows(const struct mirror_head *before, const char *value)
{
    cJSON *o = cJSON_Parse(value);
    const char *after = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "after"));
    char want[17];
    bool follows;

    snprintf(want, sizeof want, "%016" PRIx64, (uint64_t)before->digest);
    follows = !after || !strcmp(after, want);
    cJSON_Delete(o);
    return follows;
}

bool mirror_head_is_of_another(const struct mirror_head *known, int64_t seen, const struct mirror_head *now)
{
    return now->revision <= seen && (now->revision != known->revision || now->digest != known->digest);
}
