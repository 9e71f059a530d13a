/* db/clickhouse/ch_wire.h - RowBinary: values one after another, little-endian, texts behind their length as a LEB128. Pure.
 * Reading is by the cursor of common/wire.h. */
#ifndef TW_DB_CH_WIRE_H
#define TW_DB_CH_WIRE_H

#include "common/rc.h"
#include "common/wire.h"

/* Grows; `bad`: there was no memory, and what came after is not in it. */
struct ch_buf {
    uint8_t *p;
    size_t len, cap;
    bool bad;
};
void ch_buf_free(struct ch_buf *b);
static inline void ch_buf_reset(struct ch_buf *b) /* keeps the memory */
{
    b->len = 0;
    b->bad = false;
}
/* n octets at the end; NULL: no memory, or none wanted of a buffer that never had any. */
uint8_t *ch_buf_room(struct ch_buf *b, size_t n);

void ch_put_u8(struct ch_buf *b, uint8_t v);
void ch_put_u32(struct ch_buf *b, uint32_t v);
void ch_put_i64(struct ch_buf *b, int64_t v);
void ch_put_octets(struct ch_buf *b, const void *data, size_t len);           /* FixedString(len) */
void ch_put_string(struct ch_buf *b, const void *data, size_t len);           /* String */

/* Past the end: 0, and sets bad. */
uint8_t ch_get_u8(struct wire_rd *r);
uint32_t ch_get_u32(struct wire_rd *r);
int64_t ch_get_i64(struct wire_rd *r);
/* Valid as long as what is read; NULL if bad. */
const uint8_t *ch_get_string(struct wire_rd *r, size_t *ret_len);

/* The types of columns that we use. */
enum ch_type { CH_U8, CH_U32, CH_I64, CH_STRING, CH_ID /* FixedString(16) */ };
#define CH_ID_LEN 16
const char *ch_type_name(enum ch_type t); /* "UInt8", ... */
void ch_skip(struct wire_rd *r, enum ch_type t);

#endif
