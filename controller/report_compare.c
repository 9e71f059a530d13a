/* A report beside that of another span. */
#include <stdlib.h>
#include <string.h>
#include "controller/report_group.h"

struct compare {
    struct inventory *inv;
    struct reader_pool *readers;
    struct report_filter f;
    int64_t now_ns;
    struct report *now;
    void (*done)(void *ctx, struct report *rep, const struct tw_err *err);
    void *ctx;
};

static int cmp_pairs(const void *pa, const void *pb)
{
    const struct report_pair *a = *(const struct report_pair *const *)pa,
                             *b = *(const struct report_pair *const *)pb;

    return (a->pair.id > b->pair.id) - (a->pair.id < b->pair.id);
}

static int cmp_group(const void *key, const void *group)
{
    return strcmp(key, ((const struct report_group *)group)->key);
}

/* Takes `before`. */
static enum tw_rc put_beside(struct report *now, struct report *before)
{
    const struct report_pair **v = malloc((before->n_pairs + 1) * sizeof(const struct report_pair *));

    now->before = before;
    if (!v)
        return TW_ENOMEM;
    for (size_t i = 0; i < before->n_pairs; i++)
        v[i] = &before->pairs[i];
    qsort(v, before->n_pairs, sizeof *v, cmp_pairs);
    for (size_t i = 0; i < now->n_pairs; i++) {
        const struct report_pair *key = &now->pairs[i],
                                 **found = bsearch(&key, v, before->n_pairs, sizeof *v, cmp_pairs);
        now->pairs[i].before = found ? *found : NULL;
    }
    free(v);
    for (size_t i = 0; i < now->n_groups && before->n_groups; i++)
        now->groups[i].before =
            bsearch(now->groups[i].key, before->groups, before->n_groups, sizeof *before->groups, cmp_group);
    return TW_OK;
}

static void fail(struct compare *c, enum tw_rc rc, const struct tw_err *err)
{
    struct tw_err own = { 0 };

    if (!err)
        tw_err_set(&own, rc, "%s",
                   rc == TW_EBUSY ? "too many queries run already: try again" : tw_rc_name(rc));
    report_free(c->now);
    c->done(c->ctx, NULL, err ? err : &own);
    free(c);
}

static void on_before(void *ctx, struct report *rep, const struct tw_err *err)
{
    struct compare *c = ctx;
    enum tw_rc rc;

    if (!rep) {
        fail(c, err->rc, err);
        return;
    }
    rc = put_beside(c->now, rep);
    if (rc) {
        fail(c, rc, NULL);
        return;
    }
    c->done(c->ctx, c->now, NULL);
    free(c);
}

static void on_now(void *ctx, struct report *rep, const struct tw_err *err)
{
    struct compare *c = ctx;
    struct report_filter f = c->f;
    enum tw_rc rc;

    if (!rep) {
        fail(c, err->rc, err);
        return;
    }
    c->now = rep;
    f.from_ns = f.before_from_ns;
    f.to_ns = f.before_to_ns;
    f.before_from_ns = f.before_to_ns = 0;
    f.sort_by[0] = '\0'; /* whoever is the worst now */
    f.top = 0;
    rc = report_run(c->inv, NULL, c->readers, &f, c->now_ns, on_before, c);
    if (rc)
        fail(c, rc, NULL);
}

enum tw_rc report_compare_run(struct inventory *inv, struct reader_pool *readers,
                              const struct report_filter *f, int64_t now_ns,
                              void (*done)(void *ctx, struct report *rep, const struct tw_err *err),
                              void *ctx)
{
    struct compare *c = calloc(1, sizeof *c);
    struct report_filter first = *f;
    enum tw_rc rc;

    if (!c)
        return TW_ENOMEM;
    *c = (struct compare){ inv, readers, *f, now_ns, NULL, done, ctx };
    first.before_from_ns = first.before_to_ns = 0;
    rc = report_run(inv, NULL, readers, &first, now_ns, on_now, c);
    if (rc)
        free(c);
    return rc;
}
