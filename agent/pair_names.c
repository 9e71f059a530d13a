/* agent/pair_names.c - see pair_names.h. */
#include "agent/pair_names.h"

#include <stdlib.h>
#include <string.h>

static void free_name(struct pair_name *n)
{
    free(n->mesh);
    free(n->class_name);
    free(n->target);
    free(n);
}

struct pair_name *pair_names_find(const struct pair_names *p, uint64_t pair_id)
{
    struct pair_name *n;

    HASH_FIND(hh, p->all, &pair_id, sizeof pair_id, n);
    return n;
}

enum tw_rc pair_names_keep(struct pair_names *p, const Tw__SessionSpec *spec, uint64_t generation)
{
    struct pair_name *n = pair_names_find(p, spec->pair_id);

    if (!n) {
        n = calloc(1, sizeof *n);
        if (!n)
            return TW_ENOMEM;
        n->pair_id = spec->pair_id;
        n->mesh = strdup(spec->mesh);
        n->class_name = strdup(spec->class_name);
        n->target = strdup(spec->target);
        if (!n->mesh || !n->class_name || !n->target) {
            free_name(n);
            return TW_ENOMEM;
        }
        HASH_ADD(hh, p->all, pair_id, sizeof n->pair_id, n);
    }
    n->wanted_in = generation;
    n->report_period_ns = spec->report_period_ns;
    return TW_OK;
}

void pair_names_forget(struct pair_names *p, uint64_t previous, uint64_t present)
{
    struct pair_name *n, *tmp;

    HASH_ITER(hh, p->all, n, tmp)
    {
        if (n->in_workers || n->wanted_in == previous || n->wanted_in == present)
            continue;
        HASH_DEL(p->all, n);
        free_name(n);
    }
}

void pair_names_free(struct pair_names *p)
{
    struct pair_name *n, *tmp;

    HASH_ITER(hh, p->all, n, tmp)
    {
        HASH_DEL(p->all, n);
        free_name(n);
    }
}
