/* agent/refusals.c - see refusals.h. */
#include "agent/refusals.h"

#include <stdlib.h>
#include <string.h>

static void free_one(Tw__Refusal *one)
{
    free(one->reason);
    free(one);
}

void refusals_clear(struct refusals *r)
{
    for (size_t i = 0; i < r->n; i++)
        free_one(r->v[i]);
    free(r->v);
    *r = (struct refusals){ 0 };
}

enum tw_rc refusals_add(struct refusals *r, uint64_t pair_id, uint32_t flow, const char *reason)
{
    Tw__Refusal **grown, *one;
    char *text;

    if (r->n == REFUSALS_MAX) {
        r->more++;
        return TW_OK;
    }
    grown = realloc(r->v, (r->n + 1) * sizeof *grown);
    one = calloc(1, sizeof *one);
    text = strndup(reason, REFUSALS_REASON_MAX);
    if (grown)
        r->v = grown;
    if (!grown || !one || !text) {
        free(one);
        free(text);
        return TW_ENOMEM;
    }
    tw__refusal__init(one);
    one->pair_id = pair_id;
    one->flow = flow;
    one->reason = text;
    r->v[r->n++] = one;
    return TW_OK;
}

void refusals_drop(struct refusals *r, uint64_t pair_id, uint32_t flow)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i]->pair_id != pair_id || r->v[i]->flow != flow)
            continue;
        free_one(r->v[i]);
        r->v[i] = r->v[--r->n];
        return;
    }
}
