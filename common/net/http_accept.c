#include "common/net/http_accept.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define WEIGHT_MAX 1000
#define PARAMS_MAX 16

struct piece {
    const char *p;
    size_t len;
};
struct param {
    struct piece name, value; /* quotes are off the value; a \ in it stays */
};
struct media {
    struct piece type, subtype;
    struct param param[PARAMS_MAX];
    size_t n;
    int weight; /* thousandths */
};

/* ---- Tokens ---- */

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_space(const char **p)
{
    *p += strspn(*p, " \t");
}

static bool take_token(const char **p, struct piece *ret)
{
    const char *start = *p;

    while (is_token_char(**p))
        ++*p;
    *ret = (struct piece){ start, (size_t)(*p - start) };
    return ret->len > 0;
}

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    ++*p;
    return true;
}

/* After the first quote. */
static bool take_quoted(const char **p, struct piece *ret)
{
    const char *start = *p;

    for (; **p && **p != '"'; ++*p)
        if (**p == '\\' && (*p)[1])
            ++*p;
    *ret = (struct piece){ start, (size_t)(*p - start) };
    return take_char(p, '"');
}

/* To behind the comma that ends this element, or to the end; commas in quotes do not count. */
static void skip_element(const char **p)
{
    struct piece unused;

    while (**p && **p != ',') {
        ++*p;
        if ((*p)[-1] == '"')
            take_quoted(p, &unused);
    }
    take_char(p, ',');
}

static bool is_text(struct piece a, const char *text)
{
    return a.len == strlen(text) && !strncasecmp(a.p, text, a.len);
}

static bool same(struct piece a, struct piece b)
{
    return a.len == b.len && !strncasecmp(a.p, b.p, a.len);
}

/* ---- Ranges and offers ---- */

/* 0, 1, and up to three decimals; 1 has only zeros. */
static bool read_weight(struct piece v, int *ret)
{
    int weight, unit = 100;

    if (!v.len || v.len > 5 || (v.p[0] != '0' && v.p[0] != '1') || (v.len > 1 && v.p[1] != '.'))
        return false;
    weight = (v.p[0] - '0') * WEIGHT_MAX;
    for (size_t i = 2; i < v.len; i++, unit /= 10) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
        weight += (v.p[i] - '0') * unit;
    }
    *ret = weight;
    return weight <= WEIGHT_MAX;
}

static bool take_param(const char **p, struct param *ret)
{
    skip_space(p);
    if (!take_token(p, &ret->name) || !take_char(p, '='))
        return false;
    return take_char(p, '"') ? take_quoted(p, &ret->value) : take_token(p, &ret->value);
}

/* What comes after the weight belongs to it and says nothing about the type. */
static bool add_param(struct media *m, struct param param, bool *weighted)
{
    if (*weighted)
        return true;
    *weighted = is_text(param.name, "q");
    if (*weighted)
        return read_weight(param.value, &m->weight);
    if (m->n == PARAMS_MAX)
        return false;
    m->param[m->n++] = param;
    return true;
}

/* False: malformed. *p stands somewhere in the element then. */
static bool take_media(const char **p, struct media *ret)
{
    bool weighted = false;
    struct param param;

    *ret = (struct media){ .weight = WEIGHT_MAX };
    skip_space(p);
    if (!take_token(p, &ret->type) || !take_char(p, '/') || !take_token(p, &ret->subtype))
        return false;
    if (is_text(ret->type, "*") && !is_text(ret->subtype, "*"))
        return false;
    for (;;) {
        skip_space(p);
        if (!**p || **p == ',')
            return true;
        if (!take_char(p, ';'))
            return false;
        skip_space(p);
        if (**p == ';' || **p == ',' || !**p)
            continue; /* an empty parameter */
        if (!take_param(p, &param) || !add_param(ret, param, &weighted))
            return false;
    }
}

/* How many parameters of the offer the range names; -1: one with another value. */
static int params_named(const struct media *range, const struct media *offer)
{
    int named = 0;

    for (size_t i = 0; i < range->n; i++)
        for (size_t k = 0; k < offer->n; k++) {
            if (!same(range->param[i].name, offer->param[k].name))
                continue;
            if (!same(range->param[i].value, offer->param[k].value))
                return -1;
            named++;
        }
    return named;
}

/* -1: it does not fit. */
static int specificity(const struct media *range, const struct media *offer)
{
    int named;

    if (is_text(range->type, "*"))
        return 0;
    if (!same(range->type, offer->type))
        return -1;
    if (is_text(range->subtype, "*"))
        return 1;
    if (!same(range->subtype, offer->subtype))
        return -1;
    named = params_named(range, offer);
    return named < 0 ? -1 : 2 + named;
}

static int weight_of(const char *accept, const struct media *offer)
{
    int best = -1, weight = 0;

    while (*accept) {
        const char *p = accept;
        struct media range;

        if (take_media(&p, &range)) {
            int s = specificity(&range, offer);

            if (s > best || (s == best && s >= 0 && range.weight > weight)) {
                best = s;
                weight = range.weight;
            }
        }
        skip_element(&accept);
    }
    return weight;
}

size_t http_accept_choose(const char *accept, const struct http_offer *offers, size_t n)
{
    size_t best = 0;
    int best_weight = 0;

    for (size_t i = 0; accept && i < n; i++) {
        const char *p = offers[i].type;
        struct media offer;
        int weight = take_media(&p, &offer) ? weight_of(accept, &offer) : 0;

        if (weight > best_weight) {
            best = i;
            best_weight = weight;
        }
    }
    return best;
}
