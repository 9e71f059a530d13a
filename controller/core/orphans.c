#include "controller/core/orphans.h"

#include <stdlib.h>
#define HASH_NONFATAL_OOM 1 /* then hh.tbl is NULL after HASH_ADD */
#include <uthash.h>

struct orphan {
    uint64_t id;
    int64_t since_ns;
    bool ours, seen;
    UT_hash_handle hh;
};
struct orphans {
    int64_t after_ns;
    struct orphan *v;
};

enum tw_rc orphans_new(int64_t after_ns, struct orphans **ret)
{
    struct orphans *o = calloc(1, sizeof *o);

    if (!o)
        return TW_ENOMEM;
    o->after_ns = after_ns;
    *ret = o;
    return TW_OK;
}

static void drop(struct orphans *o, struct orphan *one)
{
    HASH_DEL(o->v, one);
    free(one);
}

void orphans_free(struct orphans *o)
{
    struct orphan *one, *next;

    if (!o)
        return;
    HASH_ITER(hh, o->v, one, next)
    drop(o, one);
    free(o);
}

void orphans_begin(struct orphans *o)
{
    for (struct orphan *one = o->v; one; one = one->hh.next)
        one->seen = false;
}

bool orphans_see(struct orphans *o, uint64_t id, bool there, int64_t now_ns)
{
    struct orphan *one;

    HASH_FIND(hh, o->v, &id, sizeof id, one);
    if (there && !(one && one->ours)) /* not seen: it is forgotten */
        return false;
    if (!one && (one = calloc(1, sizeof *one))) {
        one->id = id;
        one->since_ns = now_ns;
        HASH_ADD(hh, o->v, id, sizeof one->id, one);
        if (!one->hh.tbl) { /* no memory: next time */
            free(one);
            return false;
        }
    }
    if (!one)
        return false;
    one->seen = true;
    if (one->ours || now_ns - one->since_ns < o->after_ns)
        return false;
    return one->ours = true;
}

void orphans_end(struct orphans *o, bool all)
{
    struct orphan *one, *next;

    HASH_ITER(hh, o->v, one, next)
    if (!one->seen && (all || !one->ours))
        drop(o, one);
}
