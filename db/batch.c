#include "db/batch.h"

enum tw_rc batch_check(const struct store_batch *b, uint64_t *ret_last, struct tw_err *err)
{
    bool gap = b->n == 0;

    if (b->first_seq == 0 || b->first_seq > INT64_MAX || b->gap_last_seq > INT64_MAX ||
        b->n > (uint64_t)INT64_MAX - b->first_seq || gap != (b->gap_last_seq != 0) ||
        (gap && b->gap_last_seq < b->first_seq))
        return tw_err_set(err, TW_EINVAL, "batch at %llu: impossible numbers",
                          (unsigned long long)b->first_seq);
    *ret_last = gap ? b->gap_last_seq : b->first_seq + b->n - 1;
    return TW_OK;
}

struct store_cursor batch_start(const struct store_batch *b)
{
    return (struct store_cursor){ .through = b->ahead ? 0 : b->first_seq - 1 };
}

enum store_append_result batch_judge(const struct store_batch *b, uint64_t last,
                                     const struct store_cursor *at, bool known)
{
    struct seqset grown = at->ahead;
    struct seq_span part;

    if (last <= at->through || !seqset_missing(&at->ahead, b->first_seq, last, &part))
        return STORE_REPEATED;
    if (b->first_seq <= at->through + 1)
        return STORE_APPENDED;
    return b->ahead && known && seqset_add(&grown, b->first_seq, last) == TW_OK ? STORE_APPENDED
                                                                                : STORE_OUT_OF_SEQ;
}

bool batch_next(uint64_t *from, uint64_t last, const struct store_cursor *at, struct seq_span *ret)
{
    if (*from <= at->through)
        *from = at->through + 1;
    if (*from > last || !seqset_missing(&at->ahead, *from, last, ret))
        return false;
    *from = ret->last + 1;
    return true;
}

enum tw_rc batch_advance(const struct store_batch *b, uint64_t last, struct store_cursor *at)
{
    if (b->first_seq > at->through + 1)
        return seqset_add(&at->ahead, b->first_seq, last);
    at->through = seqset_absorb(&at->ahead, last);
    return TW_OK;
}
