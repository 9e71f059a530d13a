#include "common/zone.h"

#include <stdlib.h>
#include <string.h>

#define OFFSET_MAX (26 * 3600)
#define MOMENT_MAX INT64_C(9000000000) /* in nanoseconds it fits: until 2255 */

void zone_clear(struct zone *z)
{
    free(z->v);
    *z = (struct zone){ 0 };
}

enum tw_rc zone_copy(const struct zone *z, struct zone *ret)
{
    struct zone_change *v = NULL;

    *ret = (struct zone){ 0 };
    if (z->n && !(v = malloc(z->n * sizeof *v)))
        return TW_ENOMEM;
    *ret = *z;
    ret->v = v;
    if (z->n)
        memcpy(v, z->v, z->n * sizeof *v);
    return TW_OK;
}

static bool is_offset(int32_t s)
{
    return s > -OFFSET_MAX && s < OFFSET_MAX;
}

bool zone_is_valid(const struct zone *z)
{
    if (!is_offset(z->offset_s) || z->n > ZONE_CHANGES_MAX || !memchr(z->name, 0, sizeof z->name))
        return false;
    for (size_t i = 0; i < z->n; i++)
        if (!is_offset(z->v[i].offset_s) || z->v[i].at_s > MOMENT_MAX || z->v[i].at_s < -MOMENT_MAX ||
            (i && z->v[i].at_s <= z->v[i - 1].at_s))
            return false;
    return true;
}

bool zone_same(const struct zone *a, const struct zone *b)
{
    if (a->n != b->n || a->offset_s != b->offset_s || strcmp(a->name, b->name))
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].at_s != b->v[i].at_s || a->v[i].offset_s != b->v[i].offset_s)
            return false;
    return true;
}

static int32_t offset_before(const struct zone *z, size_t i)
{
    return i ? z->v[i - 1].offset_s : z->offset_s;
}

/* How many changes have come. */
static size_t passed(const struct zone *z, int64_t utc_s)
{
    size_t lo = 0, hi = z->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (z->v[mid].at_s <= utc_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct zone_part zone_at(const struct zone *z, int64_t utc_s)
{
    size_t i = passed(z, utc_s);
    int32_t offset = offset_before(z, i);

    return (struct zone_part){ .offset_s = offset,
                               .from_s = i ? z->v[i - 1].at_s : INT64_MIN,
                               .to_s = i < z->n ? z->v[i].at_s : INT64_MAX,
                               .before_s = i ? offset_before(z, i - 1) : offset };
}

/* The first part in which a clock shows that time, or has already passed it when the part begins. */
int64_t zone_moment(const struct zone *z, int64_t local_s)
{
    size_t i = passed(z, local_s - OFFSET_MAX); /* no clock has got there yet */

    while (i < z->n && z->v[i].at_s <= local_s - offset_before(z, i))
        i++;
    local_s -= offset_before(z, i);
    return i && local_s < z->v[i - 1].at_s ? z->v[i - 1].at_s : local_s;
}
