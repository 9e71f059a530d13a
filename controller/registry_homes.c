#include "controller/registry_homes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "common/splitmix.h"

#define ID_TEXT 22 /* of a number with its sign and comma */

/* ---- What we say ---- */

void homes_own_clear(struct homes_own *h)
{
    for (unsigned i = 0; i < HOMES_SLOTS; i++)
        h->parts[i].n = h->parts[i].sum = 0;
}

void homes_own_free(struct homes_own *h)
{
    for (unsigned i = 0; i < HOMES_SLOTS; i++)
        free(h->parts[i].v);
    *h = (struct homes_own){ 0 };
}

enum tw_rc homes_own_add(struct homes_own *h, int64_t id, bool connected)
{
    struct homes_part *p = &h->parts[(uint64_t)id % HOMES_SLOTS];
    uint64_t state;

    if (!TW_GROW(&p->v, p->n, &p->cap, 16))
        return TW_ENOMEM;
    p->v[p->n] = connected ? id : -id;
    state = (uint64_t)p->v[p->n++];
    p->sum += tw_splitmix64(&state);
    return TW_OK;
}

char *homes_text(const struct homes_part *p)
{
    size_t cap = p->n * ID_TEXT + 3, len = 1;
    char *text = malloc(cap);

    if (!text)
        return NULL;
    text[0] = '[';
    for (size_t i = 0; i < p->n; i++)
        len += (size_t)snprintf(text + len, cap - len, "%s%" PRId64, i ? "," : "", p->v[i]);
    strcpy(text + len, "]");
    return text;
}

/* ---- What others say ---- */

void homes_begin(struct homes *h)
{
    for (size_t i = 0; i < h->n_said; i++)
        h->said[i].seen = false;
}

static size_t count_numbers(const char *text)
{
    size_t n = 1;

    for (; *text; text++)
        n += *text == ',';
    return n;
}

static bool take_number(const char **at, int64_t *ret)
{
    bool minus = **at == '-';
    const char *digits = *at + minus;
    size_t len = strspn(digits, "0123456789");

    if (!len || len > 18 || *digits == '0')
        return false;
    *ret = strtoll(*at, NULL, 10);
    *at = digits + len;
    return true;
}

static bool parse(const char *text, int64_t *v, size_t *ret_n)
{
    *ret_n = 0;
    if (*text++ != '[')
        return false;
    if (!strcmp(text, "]"))
        return true;
    for (;; text++) {
        if (!take_number(&text, &v[(*ret_n)++]))
            return false;
        if (*text != ',')
            return !strcmp(text, "]");
    }
}

static struct homes_said *find_said(struct homes *h, int64_t lease, unsigned slot)
{
    for (size_t i = 0; i < h->n_said; i++)
        if (h->said[i].lease == lease && h->said[i].slot == slot)
            return &h->said[i];
    return NULL;
}

static struct homes_said *add_said(struct homes *h, int64_t lease, unsigned slot)
{
    struct homes_said *v = reallocarray(h->said, h->n_said + 1, sizeof *v);

    if (!v)
        return NULL;
    h->said = v;
    v[h->n_said] = (struct homes_said){ .lease = lease, .slot = slot };
    return &v[h->n_said++];
}

enum tw_rc homes_take(struct homes *h, const char *controller, int64_t lease, unsigned slot, int64_t revision,
                      const char *text)
{
    struct homes_said *s = find_said(h, lease, slot);
    int64_t *v;
    size_t n;
    bool ok;

    if (s && s->revision == revision) {
        s->seen = true;
        return TW_OK;
    }
    v = calloc(count_numbers(text), sizeof *v);
    ok = v && parse(text, v, &n);
    if (!ok || (!s && !(s = add_said(h, lease, slot)))) {
        free(v);
        return ok || !v ? TW_ENOMEM : TW_ECORRUPT;
    }
    free(s->v);
    s->v = v;
    s->n = n;
    s->controller = controller;
    s->revision = revision;
    s->seen = h->changed = true;
    return TW_OK;
}

static void drop_unseen(struct homes *h)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n_said; i++) {
        if (h->said[i].seen)
            h->said[n++] = h->said[i];
        else
            free(h->said[i].v);
    }
    h->changed |= n != h->n_said;
    h->n_said = n;
}

static int by_id(const void *a, const void *b)
{
    const struct home *x = a, *y = b;

    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (y->connected > x->connected) - (y->connected < x->connected);
}

bool homes_end(struct homes *h)
{
    size_t n = 0;
    struct home *v;

    drop_unseen(h);
    if (!h->changed)
        return false;
    for (size_t i = 0; i < h->n_said; i++)
        n += h->said[i].n;
    v = reallocarray(h->v, n + 1, sizeof *v);
    if (!v)
        return false;
    h->v = v;
    h->n = 0;
    for (size_t i = 0; i < h->n_said; i++)
        for (size_t k = 0; k < h->said[i].n; k++) {
            int64_t id = h->said[i].v[k];

            h->v[h->n++] = (struct home){ id < 0 ? -id : id, h->said[i].controller, id > 0 };
        }
    qsort(h->v, h->n, sizeof *h->v, by_id);
    h->changed = false;
    return true;
}

const struct home *homes_find(const struct homes *h, int64_t id)
{
    size_t low = 0, high = h->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (h->v[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < h->n && h->v[low].id == id ? &h->v[low] : NULL;
}

void homes_free(struct homes *h)
{
    for (size_t i = 0; i < h->n_said; i++)
        free(h->said[i].v);
    free(h->said);
    free(h->v);
    *h = (struct homes){ 0 };
}
