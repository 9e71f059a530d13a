#include "common/metrics_buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NUMBER_MAX 40
#define LARGE_PAGE ((size_t)2 << 20)

/* The kernel clears each small page when it is first touched: of a page of 50 MB that is most of the time.
 * Only a hint, so whether it helps does not matter. */
static void ask_for_large_pages(char *p, size_t len)
{
    uintptr_t start = (uintptr_t)p, first = (start + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);

    if (len >= 4 * LARGE_PAGE)
        madvise((void *)first, (start + len - first) & ~(LARGE_PAGE - 1), MADV_HUGEPAGE);
}

static bool room(struct mbuf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : 4096;
    char *p;

    if (b->bad)
        return false;
    if (b->cap - b->len >= n)
        return true;
    while (cap - b->len < n)
        cap *= 2;
    p = realloc(b->p, cap);
    if (!p) {
        b->bad = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    ask_for_large_pages(p, cap);
    return true;
}

void mbuf_put(struct mbuf *b, const char *text, size_t len)
{
    if (!room(b, len))
        return;
    memcpy(b->p + b->len, text, len);
    b->len += len;
}

void mbuf_text(struct mbuf *b, const char *text)
{
    mbuf_put(b, text, strlen(text));
}

void mbuf_u64(struct mbuf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    mbuf_put(b, digits + at, sizeof digits - at);
}

void mbuf_seconds(struct mbuf *b, int64_t ns)
{
    uint64_t abs = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, part = abs % 1000000000;
    char decimals[10] = ".";
    size_t n = 10;

    if (ns < 0)
        mbuf_put(b, "-", 1);
    mbuf_u64(b, abs / 1000000000);
    if (!part)
        return;
    for (size_t i = 9; i >= 1; i--, part /= 10)
        decimals[i] = (char)('0' + part % 10);
    while (decimals[n - 1] == '0')
        n--;
    mbuf_put(b, decimals, n);
}

void mbuf_double(struct mbuf *b, double v)
{
    double billionths = v * 1e9, nearest = rint(billionths), size = fabs(v);
    int n;

    /* Almost every value is a delay in whole nanoseconds or a ratio, and printf() is slow. */
    if (size < 1e6 && (fabs(billionths - nearest) <= 1e-10 * fabs(billionths) || size >= 0.1)) {
        mbuf_seconds(b, (int64_t)nearest);
        return;
    }
    if (!room(b, NUMBER_MAX))
        return;
    n = snprintf(b->p + b->len, NUMBER_MAX, v == rint(v) && size < 9e15 ? "%.0f" : "%.9g", v);
    b->len += (size_t)n;
}

void mbuf_label(struct mbuf *b, const char *value)
{
    while (value && *value) {
        size_t plain = strcspn(value, "\\\"\n");

        mbuf_put(b, value, plain);
        value += plain;
        if (!*value)
            return;
        mbuf_text(b, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\");
        value++;
    }
}
