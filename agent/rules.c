#include "agent/rules.h"

#include <stdlib.h>

void rules_free(struct rules *r)
{
    for (size_t i = 0; i < r->n; i++)
        times_unref(r->v[i].times);
    free(r->v);
    *r = (struct rules){ 0 };
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct rule *)a)->id, y = ((const struct rule *)b)->id;

    return (x > y) - (x < y);
}

enum tw_rc rules_read(Tw__TimesRule *const *list, size_t n, struct rules *ret)
{
    struct rules r = { .v = calloc(n + 1, sizeof *r.v) };

    if (!r.v)
        return TW_ENOMEM;
    for (; r.n < n; r.n++) {
        struct rule *u = &r.v[r.n];
        enum tw_rc rc = times_unpack(list[r.n]->rule.data, list[r.n]->rule.len, &u->times);

        if (rc == TW_ENOMEM) {
            rules_free(&r);
            return rc;
        }
        u->id = list[r.n]->id;
        if (rc)
            u->why = rc == TW_EVERSION ? "the agent's program is too old for the times of this session"
                                       : "the times of this session came broken";
    }
    qsort(r.v, r.n, sizeof *r.v, by_id);
    *ret = r;
    return TW_OK;
}

struct times *rules_find(const struct rules *r, uint64_t id, const char **ret_why)
{
    const struct rule key = { .id = id };
    const struct rule *found = r->n ? bsearch(&key, r->v, r->n, sizeof key, by_id) : NULL;

    *ret_why = found ? found->why : "the times of this session did not come with the schedule";
    return found ? found->times : NULL;
}
