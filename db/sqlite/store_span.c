/* A span of pairs, by whatever level serves it best. */
#include "db/sqlite/store_priv.h"

#include <stdlib.h>

static enum tw_rc hand_on(void *ctx, const struct tw_summary *s)
{
    const struct store_span *span = ctx;
    const struct store_cell c = { .merged = s,
                                  .level = STORE_RAW,
                                  .from_ns = s->start_ns,
                                  .until_ns = s->end_ns,
                                  .rows = 1,
                                  .whole = s->start_ns % (s->end_ns - s->start_ns) == 0 };

    return span->fn(span->ctx, &c);
}

static enum tw_rc read_pair(struct store_reader *r, const struct store_span *span, uint64_t pair_id,
                            struct tw_err *err)
{
    if (span->covers)
        span->covers(span->ctx, pair_id, span->from_ns, span->to_ns);
    return store_read_summaries(r, &pair_id, 1, span->from_ns, span->to_ns, hand_on, (void *)span, err);
}

enum tw_rc store_read_span(struct store_reader *r, const struct store_span *span, struct tw_err *err)
{
    uint64_t *ids = store_sorted_ids(span->pair_ids, span->n_pairs);
    enum tw_rc rc = TW_OK;

    if (!ids)
        return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", r->q.spec->what, r->q.path);
    for (size_t i = 0; i < span->n_pairs && !rc; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            rc = read_pair(r, span, ids[i], err);
    free(ids);
    return rc;
}
