#include "common/selector.h"

#include <stdlib.h>
#include <string.h>

enum op { OP_IN, OP_NOT_IN, OP_HAS, OP_HAS_NOT };

struct term {
    enum op op;
    const char *key;
    unsigned first, n; /* of values */
};

struct selector {
    unsigned n, n_values;
    struct term terms[SELECTOR_TERMS_MAX];
    const char *values[SELECTOR_VALUES_MAX];
    char *next_word;                                    /* while parsing: where the next word goes */
    char words[SELECTOR_TEXT_MAX + SELECTOR_TERMS_MAX]; /* each with its NUL */
};

struct parser {
    const char *start, *p;
    struct selector *s;
    struct tw_err *err;
};

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("._-/", c));
}

static size_t word_len(const char *p)
{
    size_t n = 0;

    while (word_char(p[n]))
        n++;
    return n;
}

bool label_word_ok(const char *word)
{
    size_t n = word_len(word);

    return n > 0 && n < TW_LABEL_MAX && !word[n];
}

bool label_key_ok(const char *key)
{
    return label_word_ok(key) && strcmp(key, SELECTOR_NAME_KEY) != 0;
}

const char *label_value(const struct tw_label *labels, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(labels[i].key, key))
            return labels[i].value;
    return NULL;
}

static void skip_spaces(struct parser *ps)
{
    while (*ps->p == ' ' || *ps->p == '\t')
        ps->p++;
}

static bool take(struct parser *ps, const char *token)
{
    size_t n = strlen(token);

    skip_spaces(ps);
    if (strncmp(ps->p, token, n) != 0)
        return false;
    ps->p += n;
    return true;
}

/* A word that is a keyword here: "in" of "a in (b)", not the start of "a inside". */
static bool take_word(struct parser *ps, const char *word)
{
    skip_spaces(ps);
    return word_len(ps->p) == strlen(word) && take(ps, word);
}

static enum tw_rc wrong(struct parser *ps, const char *expected)
{
    unsigned column = (unsigned)(ps->p - ps->start) + 1;

    if (ps->err)
        ps->err->column = column;
    return tw_err_set(ps->err, TW_EINVAL, "expected %s at character %u of the selector \"%.100s\"", expected,
                      column, ps->start);
}

static enum tw_rc get_word(struct parser *ps, const char *what, const char **ret)
{
    struct selector *s = ps->s;
    size_t n;

    skip_spaces(ps);
    n = word_len(ps->p);
    if (!n)
        return wrong(ps, what);
    if (n >= TW_LABEL_MAX)
        return wrong(ps, "at most 63 characters of a key or value");
    /* Fits: each word but the last is followed by a character that is none of any word. */
    memcpy(s->next_word, ps->p, n);
    s->next_word[n] = '\0';
    *ret = s->next_word;
    s->next_word += n + 1;
    ps->p += n;
    return TW_OK;
}

static enum tw_rc get_value(struct parser *ps, struct term *t)
{
    if (ps->s->n_values == SELECTOR_VALUES_MAX)
        return wrong(ps, "at most 128 values");
    t->n++;
    return get_word(ps, "a value (A-Z a-z 0-9 . _ - /)", &ps->s->values[ps->s->n_values++]);
}

static enum tw_rc get_values(struct parser *ps, struct term *t)
{
    enum tw_rc rc;

    if (!take(ps, "("))
        return wrong(ps, "\"(\" and values");
    do {
        rc = get_value(ps, t);
        if (rc)
            return rc;
    } while (take(ps, ","));
    return take(ps, ")") ? TW_OK : wrong(ps, "\",\" or \")\"");
}

static enum tw_rc get_term(struct parser *ps, struct term *t)
{
    bool absent = take(ps, "!");
    enum tw_rc rc = get_word(ps, "a key (A-Z a-z 0-9 . _ - /)", &t->key);

    t->first = ps->s->n_values;
    t->op = absent ? OP_HAS_NOT : OP_HAS;
    if (rc || absent)
        return rc;
    if (take(ps, "!=")) {
        t->op = OP_NOT_IN;
        return get_value(ps, t);
    }
    if (take(ps, "=")) {
        t->op = OP_IN;
        return get_value(ps, t);
    }
    if (take_word(ps, "in"))
        t->op = OP_IN;
    else if (take_word(ps, "notin"))
        t->op = OP_NOT_IN;
    else
        return TW_OK;
    return get_values(ps, t);
}

static enum tw_rc get_terms(struct parser *ps)
{
    enum tw_rc rc;

    if (take(ps, "*")) {
        skip_spaces(ps);
        return *ps->p ? wrong(ps, "nothing behind \"*\"") : TW_OK;
    }
    do {
        if (ps->s->n == SELECTOR_TERMS_MAX)
            return wrong(ps, "at most 32 terms");
        rc = get_term(ps, &ps->s->terms[ps->s->n++]);
        if (rc)
            return rc;
    } while (take(ps, ","));
    skip_spaces(ps);
    return *ps->p ? wrong(ps, "\"=\", \"!=\", \"in\", \"notin\", \",\" or the end") : TW_OK;
}

enum tw_rc selector_parse(const char *text, struct selector **ret, struct tw_err *err)
{
    struct parser ps = { .start = text, .p = text, .err = err };
    enum tw_rc rc;

    if (strnlen(text, SELECTOR_TEXT_MAX) == SELECTOR_TEXT_MAX)
        return tw_err_set(err, TW_EINVAL, "a selector has at most %d characters", SELECTOR_TEXT_MAX - 1);
    ps.s = calloc(1, sizeof *ps.s);
    if (!ps.s)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    ps.s->next_word = ps.s->words;
    rc = get_terms(&ps);
    if (rc) {
        selector_free(ps.s);
        return rc;
    }
    *ret = ps.s;
    return TW_OK;
}

void selector_free(struct selector *s)
{
    free(s);
}

static bool one_of(const struct selector *s, const struct term *t, const char *value)
{
    for (unsigned i = 0; i < t->n; i++)
        if (!strcmp(s->values[t->first + i], value))
            return true;
    return false;
}

static bool holds(const struct selector *s, const struct term *t, const char *value)
{
    switch (t->op) {
    case OP_IN:
        return value && one_of(s, t, value);
    case OP_NOT_IN:
        return !value || !one_of(s, t, value);
    case OP_HAS:
        return value != NULL;
    case OP_HAS_NOT:
        return !value;
    }
    return false;
}

bool selector_match(const struct selector *s, const struct tw_label *labels, size_t n, const char *name)
{
    for (unsigned i = 0; s && i < s->n; i++) {
        const struct term *t = &s->terms[i];
        const char *value = strcmp(t->key, SELECTOR_NAME_KEY) != 0 ? label_value(labels, n, t->key) : name;

        if (!holds(s, t, value))
            return false;
    }
    return true;
}
