#include "db/clickhouse/ch_sql.h"

#include <stdarg.h>
#include <stdio.h>

static void add(struct ch_sql *s, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void add(struct ch_sql *s, const char *fmt, va_list ap)
{
    va_list again;
    uint8_t *p;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    p = ch_buf_room(&s->text, (size_t)n + 1);
    if (!p)
        return;
    vsnprintf((char *)p, (size_t)n + 1, fmt, ap);
    s->text.len--; /* the next piece goes over its NUL */
}

void ch_sql_begin(struct ch_sql *s, const char *fmt, ...)
{
    va_list ap;

    ch_buf_reset(&s->text);
    va_start(ap, fmt);
    add(s, fmt, ap);
    va_end(ap);
}

void ch_sql_add(struct ch_sql *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(s, fmt, ap);
    va_end(ap);
}

void ch_sql_add_numbers(struct ch_sql *s, const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ch_sql_add(s, "%s%lld", i ? ", " : "(", (long long)v[i]);
    ch_sql_add(s, ")");
}

const char *ch_sql_text(struct ch_sql *s)
{
    return s->text.bad ? NULL : (const char *)s->text.p;
}

void ch_sql_free(struct ch_sql *s)
{
    ch_buf_free(&s->text);
}
