#include "controller/core/text_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/fnv1a.h"

#define CONTEXT 2
#define CELLS_MAX 1000000

struct line {
    const char *p;
    size_t n; /* without its newline */
    uint64_t hash;
};
struct lines {
    struct line *v;
    size_t n;
};

static enum tw_rc split_lines(const char *text, struct lines *ret)
{
    size_t n = 1;

    for (const char *p = text; *p; p++)
        n += *p == '\n';
    ret->v = calloc(n, sizeof *ret->v);
    ret->n = 0;
    if (!ret->v)
        return TW_ENOMEM;
    while (*text) {
        struct line *l = &ret->v[ret->n++];

        l->p = text;
        l->n = strcspn(text, "\n");
        l->hash = tw_fnv1a(TW_FNV1A_INIT, text, l->n);
        text += l->n + (text[l->n] == '\n');
    }
    return TW_OK;
}

static bool same(const struct line *a, const struct line *b)
{
    return a->hash == b->hash && a->n == b->n && !memcmp(a->p, b->p, a->n);
}

/* ---- Which lines: a script of '=', '-' and '+', one for each line ---- */

/* Longest common subsequence of what is left of both from (i, j) on. */
static void fill_table(uint32_t *t, const struct line *a, size_t na, const struct line *b, size_t nb)
{
    size_t width = nb + 1;

    for (size_t i = na; i-- > 0;)
        for (size_t j = nb; j-- > 0;) {
            uint32_t below = t[(i + 1) * width + j], right = t[i * width + j + 1];

            t[i * width + j] = same(&a[i], &b[j]) ? t[(i + 1) * width + j + 1] + 1
                               : below > right    ? below
                                                  : right;
        }
}

static char *all_replaced(char *script, size_t na, size_t nb)
{
    memset(script, '-', na);
    memset(script + na, '+', nb);
    return script + na + nb;
}

/* NULL: no memory. Else where the script goes on. */
static char *walk_table(char *script, const struct line *a, size_t na, const struct line *b, size_t nb)
{
    size_t width = nb + 1, i = 0, j = 0;
    uint32_t *t;

    if ((na + 1) * width > CELLS_MAX)
        return all_replaced(script, na, nb);
    t = calloc((na + 1) * width, sizeof *t);
    if (!t)
        return NULL;
    fill_table(t, a, na, b, nb);
    while (i < na && j < nb) {
        if (same(&a[i], &b[j])) {
            *script++ = '=';
            i++;
            j++;
        } else if (t[(i + 1) * width + j] >= t[i * width + j + 1]) {
            *script++ = '-';
            i++;
        } else {
            *script++ = '+';
            j++;
        }
    }
    free(t);
    return all_replaced(script, na - i, nb - j);
}

/* malloc'ed, terminated; NULL: no memory. */
static char *make_script(const struct lines *a, const struct lines *b)
{
    size_t head = 0, tail = 0, least = a->n < b->n ? a->n : b->n;
    char *script = malloc(a->n + b->n + 1), *p;

    if (!script)
        return NULL;
    while (head < least && same(&a->v[head], &b->v[head]))
        head++;
    while (tail < least - head && same(&a->v[a->n - 1 - tail], &b->v[b->n - 1 - tail]))
        tail++;
    memset(script, '=', head);
    p = walk_table(script + head, a->v + head, a->n - head - tail, b->v + head, b->n - head - tail);
    if (!p) {
        free(script);
        return NULL;
    }
    memset(p, '=', tail);
    p[tail] = '\0';
    return script;
}

/* ---- In words ---- */

struct writer {
    char *text;
    size_t len, cap, max;
    bool truncated, no_memory;
};

static bool make_room(struct writer *w, size_t n)
{
    size_t cap = w->cap;
    char *more;

    while (cap < w->len + n)
        cap = 2 * cap + 256;
    if (cap == w->cap)
        return true;
    more = realloc(w->text, cap);
    w->no_memory |= !more;
    if (!more)
        return false;
    w->text = more;
    w->cap = cap;
    return true;
}

static void put(struct writer *w, char mark, const char *text, size_t n)
{
    w->truncated |= w->len + n + 2 > w->max;
    if (w->truncated || w->no_memory || !make_room(w, n + 3))
        return;
    w->text[w->len++] = mark;
    memcpy(w->text + w->len, text, n);
    w->len += n;
    w->text[w->len++] = '\n';
}

/* End of the hunk that begins at script[i]: no change follows within twice the context. */
static size_t hunk_end(const char *script, size_t i)
{
    size_t quiet = 0, end = i;

    for (; script[i] && quiet <= 2 * CONTEXT; i++) {
        quiet = script[i] == '=' ? quiet + 1 : 0;
        if (!quiet)
            end = i + 1;
    }
    for (size_t k = 0; k < CONTEXT && script[end]; k++)
        end++;
    return end;
}

static void put_head(struct writer *w, const char *script, size_t n, size_t i, size_t j)
{
    size_t na = 0, nb = 0;
    char text[96];

    for (size_t k = 0; k < n; k++) {
        na += script[k] != '+';
        nb += script[k] != '-';
    }
    snprintf(text, sizeof text, "@ -%zu,%zu +%zu,%zu @@", na ? i + 1 : i, na, nb ? j + 1 : j, nb);
    put(w, '@', text, strlen(text));
}

static void put_hunks(struct writer *w, const char *script, const struct lines *a, const struct lines *b)
{
    size_t i = 0, j = 0, k = 0;

    while (script[k]) {
        size_t next = k + strspn(script + k, "="), start, end;

        if (!script[next])
            return;
        start = next - k > CONTEXT ? next - CONTEXT : k;
        i += start - k;
        j += start - k;
        end = hunk_end(script, next);
        put_head(w, script + start, end - start, i, j);
        for (k = start; k < end; k++) {
            const struct line *l = script[k] == '+' ? &b->v[j] : &a->v[i];

            put(w, script[k] == '=' ? ' ' : script[k], l->p, l->n);
            i += script[k] != '+';
            j += script[k] != '-';
        }
    }
}

static enum tw_rc print(const char *script, const struct lines *a, const struct lines *b, size_t max,
                        struct text_diff *d)
{
    struct writer w = { .max = max };

    if (make_room(&w, 1))
        put_hunks(&w, script, a, b);
    if (w.no_memory) {
        free(w.text);
        return TW_ENOMEM;
    }
    w.text[w.len] = '\0';
    d->text = w.text;
    d->truncated = w.truncated;
    for (; *script; script++) {
        d->added += *script == '+';
        d->removed += *script == '-';
    }
    return TW_OK;
}

enum tw_rc text_diff(const char *before, const char *after, size_t max_octets, struct text_diff *ret)
{
    struct text_diff d = { 0 };
    struct lines a = { 0 }, b = { 0 };
    char *script = NULL;
    enum tw_rc rc = split_lines(before, &a);

    if (rc == TW_OK)
        rc = split_lines(after, &b);
    if (rc == TW_OK && !(script = make_script(&a, &b)))
        rc = TW_ENOMEM;
    if (rc == TW_OK)
        rc = print(script, &a, &b, max_octets, &d);
    free(script);
    free(a.v);
    free(b.v);
    if (rc == TW_OK)
        *ret = d;
    return rc;
}
