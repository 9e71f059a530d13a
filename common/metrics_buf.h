/* common/metrics_buf.h - a growing text with fast appends of what metrics are made of. Pure. An
 * append that finds no memory sets `bad` and drops the rest; look once at the end. */
#ifndef TW_COMMON_METRICS_BUF_H
#define TW_COMMON_METRICS_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbuf {
    char *p;
    size_t len, cap;
    bool bad;
};

void mbuf_put(struct mbuf *b, const char *text, size_t len);
void mbuf_text(struct mbuf *b, const char *text);
void mbuf_u64(struct mbuf *b, uint64_t v);
/* Whole numbers plain, others in decimal with nine significant digits or all nine decimals. v must be finite.
 */
void mbuf_double(struct mbuf *b, double v);
/* Nanoseconds as seconds, exactly, without trailing zeros: "1.5". */
void mbuf_seconds(struct mbuf *b, int64_t ns);
/* The text of a label value: \ " and newline escaped; NULL is empty. */
void mbuf_label(struct mbuf *b, const char *value);

#endif
