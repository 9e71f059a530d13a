#include "agent/core/diag.h"
#include <string.h>
#include "common/wire.h"

#define ERROR_ESTIMATE 0x0001 /* not synchronised, scale 0, multiplier 1: it says nothing, but is valid */
#define PADDING 0x5a          /* zeros would look like STAMP */
#define RETURNED_SEQ_AT 24

void diag_write(uint8_t *buf, size_t size, uint32_t seq, uint64_t token, enum diag_kind kind, bool stamp)
{
    struct wire_wr w = { .p = buf, .end = buf + size };

    memset(buf, stamp && size >= DIAG_STAMP_MIN ? 0 : PADDING, size);
    wire_put_u32(&w, seq);
    wire_put_u64(&w, (token & ~DIAG_KIND_MASK) | kind);
    wire_put_u16(&w, ERROR_ESTIMATE);
}

static uint64_t u64_at(const uint8_t *data, size_t len, size_t at)
{
    struct wire_rd r = { .p = data, .end = data + len };

    wire_take(&r, at);
    return wire_get_u64(&r); /* 0 if there are not so many */
}

uint64_t diag_token_of(const uint8_t *data, size_t len)
{
    return u64_at(data, len, DIAG_TOKEN_AT);
}

uint64_t diag_returned(const uint8_t *data, size_t len, uint32_t *ret_seq)
{
    uint64_t token = u64_at(data, len, DIAG_RETURNED_AT);
    struct wire_rd r = { .p = data, .end = data + len };

    wire_take(&r, RETURNED_SEQ_AT);
    if (token)
        *ret_seq = wire_get_u32(&r);
    return token;
}

/* ---- The search ---- */

void diag_search_begin(struct diag_search *s, uint32_t known, uint32_t top)
{
    *s = (struct diag_search){ .through = known, .top = top };
}

uint32_t diag_search_next(const struct diag_search *s)
{
    if (!s->lost)
        return s->top > s->through ? s->top : 0; /* most often all is well */
    return s->lost - s->through > 1 ? s->through + (s->lost - s->through) / 2 : 0;
}

void diag_search_result(struct diag_search *s, uint32_t size, bool came_through)
{
    if (came_through) {
        if (size > s->through)
            s->through = size;
    } else if (!s->lost || size < s->lost) {
        s->lost = size;
    }
}
