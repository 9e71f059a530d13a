#include "controller/doc_split.h"

#include <stdlib.h>
#include <string.h>

/* ---- Lines ---- */

enum kind { BLANK, DIRECTIVE, START, START_WITH_TEXT, END, CONTENT };

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r' && p[i] != '\n')
            return p[i] == '#';
    return true;
}

static size_t line_length(const char *p, const char *end)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));

    return nl ? (size_t)(nl - p) + 1 : (size_t)(end - p);
}

static bool is_marker(const char *p, size_t n, const char *marker)
{
    return n >= 3 && !memcmp(p, marker, 3) &&
           (n == 3 || p[3] == ' ' || p[3] == '\t' || p[3] == '\r' || p[3] == '\n');
}

/* Nothing else on the line, not even a comment. */
static bool is_bare(const char *p, size_t n, const char *marker)
{
    return is_marker(p, n, marker) && is_blank(p + 3, n - 3) && !memchr(p, '#', n);
}

static enum kind line_kind(const char *p, size_t n)
{
    if (is_marker(p, n, "---"))
        return is_blank(p + 3, n - 3) ? START : START_WITH_TEXT;
    if (is_marker(p, n, "..."))
        return END;
    if (is_blank(p, n))
        return BLANK;
    return *p == '%' ? DIRECTIVE : CONTENT;
}

/* ---- Normal form ---- */

static const char *skip_bom(const char *p, const char *end)
{
    return end - p >= 3 && !memcmp(p, "\xef\xbb\xbf", 3) ? p + 3 : p;
}

/* Begin of the last line of what is not empty. */
static const char *last_line(const char *p, const char *end)
{
    const char *q = end - 1;

    while (q > p && q[-1] != '\n')
        q--;
    return q;
}

static bool begins_with_directive(const char *p, const char *end)
{
    while (p < end) {
        size_t n = line_length(p, end);

        if (!is_blank(p, n))
            return *p == '%';
        p += n;
    }
    return false;
}

static void trim(const char **p, const char **end)
{
    size_t n;

    *p = skip_bom(*p, *end);
    n = line_length(*p, *end);
    if (n && is_bare(*p, n, "---") && !begins_with_directive(*p + n, *end)) /* it would become one */
        *p += n;
    if (*p < *end) {
        const char *last = last_line(*p, *end);

        if (is_bare(last, (size_t)(*end - last), "..."))
            *end = last;
    }
}

static char *normal(const char *p, const char *end)
{
    size_t n;
    char *text;

    trim(&p, &end);
    n = (size_t)(end - p);
    text = malloc(n + 2);
    if (!text)
        return NULL;
    memcpy(text, p, n);
    if (n && text[n - 1] != '\n')
        text[n++] = '\n';
    text[n] = '\0';
    return text;
}

char *doc_normal(const char *text)
{
    return normal(text, text + strlen(text));
}

bool doc_same(const char *a, const char *b)
{
    const char *ea = a + strlen(a), *eb = b + strlen(b);

    trim(&a, &ea);
    trim(&b, &eb);
    if (ea > a && ea[-1] == '\n')
        ea--;
    if (eb > b && eb[-1] == '\n')
        eb--;
    return ea - a == eb - b && !memcmp(a, b, (size_t)(ea - a));
}

/* ---- Splitting ---- */

struct split {
    struct doc_piece *v;
    size_t n, cap;
    const char *start; /* of the piece */
    unsigned lines_before;
    bool marked, content; /* the piece has them */
};

static unsigned count_lines(const char *p, const char *end)
{
    unsigned n = 0;

    for (; p < end; p++)
        n += *p == '\n';
    return n;
}

static enum tw_rc put_piece(struct split *s, const char *end)
{
    const char *from = skip_bom(s->start, end), *to = end;
    struct doc_piece *more;

    if (s->n == s->cap) {
        s->cap = 2 * s->cap + 8;
        more = realloc(s->v, s->cap * sizeof *more);
        if (!more)
            return TW_ENOMEM;
        s->v = more;
    }
    s->v[s->n].text = normal(s->start, end);
    if (!s->v[s->n].text)
        return TW_ENOMEM;
    trim(&from, &to);
    s->v[s->n++].lines_before = s->lines_before + count_lines(s->start, from);
    return TW_OK;
}

static enum tw_rc end_piece(struct split *s, const char *end)
{
    enum tw_rc rc = s->content ? put_piece(s, end) : TW_OK;

    s->lines_before += count_lines(s->start, end);
    s->start = end;
    s->marked = s->content = false;
    return rc;
}

static enum tw_rc take_line(struct split *s, const char *p, size_t n)
{
    enum kind kind = line_kind(p, n);
    bool begun = s->marked || s->content;
    enum tw_rc rc = TW_OK;

    switch (kind) {
    case START:
    case START_WITH_TEXT:
        if (begun)
            rc = end_piece(s, p);
        s->marked = true;
        s->content = kind == START_WITH_TEXT;
        break;
    case END:
        rc = end_piece(s, p + n);
        break;
    case DIRECTIVE: /* in a document it is text */
        s->content = begun;
        break;
    case CONTENT:
        s->content = true;
        break;
    case BLANK:
        break;
    }
    return rc;
}

enum tw_rc doc_split(const char *text, struct doc_piece **ret, size_t *ret_n)
{
    const char *end = text + strlen(text), *p = skip_bom(text, end);
    struct split s = { .start = text };
    enum tw_rc rc = TW_OK;

    for (size_t n; rc == TW_OK && p < end; p += n) {
        n = line_length(p, end);
        rc = take_line(&s, p, n);
    }
    if (rc == TW_OK)
        rc = end_piece(&s, end);
    if (rc == TW_OK && !s.n) { /* whoever reads it says what is missing */
        s.start = text;
        s.lines_before = 0;
        rc = put_piece(&s, end);
    }
    if (rc != TW_OK) {
        doc_pieces_free(s.v, s.n);
        return rc;
    }
    *ret = s.v;
    *ret_n = s.n;
    return TW_OK;
}

void doc_pieces_free(struct doc_piece *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].text);
    free(v);
}

/* ---- Joining ---- */

const char *doc_separator(const char *document, bool first)
{
    const char *end = document + strlen(document);

    for (const char *p = document; p < end;) {
        size_t n = line_length(p, end);
        enum kind kind = line_kind(p, n);

        if (kind == START || kind == START_WITH_TEXT || kind == DIRECTIVE) /* it brings its own */
            return first ? "" : "...\n";
        if (kind == CONTENT)
            break;
        p += n;
    }
    return "---\n";
}
