/* Pairs: their numbers and slots. A piece at a time, since there may be a million. */
#include <stdlib.h>
#include <string.h>
#include "controller/follow_priv.h"
#include "common/grow.h"
#include "controller/schedule.h"
#include "db/etcd/mirror_key.h"

#define PIECE_ROWS 16384
#define TAKE_IN_A_PIECE 2000 /* 1 to 3 ms */

struct pair_row {
    struct store_pair p;
    char texts[];
};
struct pair_rows {
    struct pair_row **v;
    size_t n, cap;
    size_t taken;
};

static void free_rows(void *data)
{
    struct pair_rows *r = data;

    for (size_t i = 0; i < r->n; i++)
        free(r->v[i]);
    free(r->v);
    free(r);
}

static const char *keep(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);

    *at += size;
    return copy;
}

static struct pair_row *row_new(const struct store_pair *p)
{
    struct pair_row *row = malloc(sizeof *row + strlen(p->mesh) + strlen(p->class_name) + strlen(p->source) +
                                  strlen(p->target) + 4);
    char *at = row ? row->texts : NULL;

    if (row)
        row->p = (struct store_pair){ .id = p->id,
                                      .mesh = keep(&at, p->mesh),
                                      .class_name = keep(&at, p->class_name),
                                      .source = keep(&at, p->source),
                                      .target = keep(&at, p->target),
                                      .slot = p->slot };
    return row;
}

static enum tw_rc add_row(void *ctx, const struct store_pair *p)
{
    struct pair_rows *r = ctx;

    if (!TW_GROW(&r->v, r->n, &r->cap, 64))
        return TW_ENOMEM;
    r->v[r->n] = row_new(p);
    return r->v[r->n] ? r->n++, TW_OK : TW_ENOMEM;
}

/* The pairs of one source in a class of a mesh. */
static enum tw_rc read_key(struct store *s, const char *text, struct pair_rows *r, struct tw_err *err)
{
    char *copy = strdup(text), *part[3];
    enum tw_rc rc = TW_OK;

    if (!copy)
        return TW_ENOMEM;
    if (mirror_key_parse(copy, part, 3))
        rc = store_each_pair_of(s, part[0], part[1], part[2], add_row, r, err);
    free(copy);
    return rc;
}

static enum tw_rc read_rows(const struct follow_keys *keys, struct store *s, void **ret, struct tw_err *err)
{
    struct pair_rows *r = *ret = calloc(1, sizeof *r);
    enum tw_rc rc = TW_OK;

    if (!r)
        return TW_ENOMEM;
    if (keys->all)
        return store_each_pair_after(s, keys->after, PIECE_ROWS, add_row, r, err);
    for (const struct follow_key *k = keys->v; rc == TW_OK && k; k = k->hh.next)
        rc = read_key(s, k->text, r, err);
    return rc;
}

/* Its agent was renamed, and may have been removed since, so that its row says nothing of it. Where another
 * one still has the new name that one was renamed, too, and agents come later. */
static enum tw_rc take_name(struct controller *c, const char *mine, const char *theirs)
{
    struct inventory *inv = &c->inv;
    struct agent *a = inventory_agent(inv, mine);
    const char *kept = strcmp(mine, theirs) != 0 ? names_keep(&inv->names, theirs) : mine;

    if (!kept)
        return TW_ENOMEM;
    if (kept == mine || (a && inventory_agent(inv, theirs)))
        return TW_OK;
    follow_expand(c);
    if (a)
        inventory_rename_agent(inv, a, theirs);
    else
        inventory_rename_pairs(inv, mine, kept);
    return TW_OK;
}

static enum tw_rc take_row(struct controller *c, const struct store_pair *row)
{
    struct pair *p = inventory_pair(&c->inv, row->id);

    if (!p) {
        follow_expand(c); /* it may have been missing */
        return inventory_add_pair(&c->inv, row) ? TW_OK : TW_ENOMEM;
    }
    p->unstored = false;
    if (take_name(c, p->row.source, row->source) != TW_OK ||
        take_name(c, p->row.target, row->target) != TW_OK)
        return TW_ENOMEM;
    if (p->row.slot == row->slot)
        return TW_OK;
    follow_expand(c);
    return schedule_move(&c->inv, p, row->slot);
}

/* All are read: those that do not come are in the store no more, as where it went back to an older state.
 * Their numbers stay theirs, and whoever wants one stores it again. */
static void doubt_all(struct inventory *inv)
{
    for (size_t i = 0; i < inv->pairs.n; i++)
        pair_table_at(&inv->pairs, i)->unstored = true;
}

static enum tw_rc take_rows(struct controller *c, struct follow_keys *keys, void *data)
{
    struct pair_rows *r = data;
    size_t end = r->n - r->taken > TAKE_IN_A_PIECE ? r->taken + TAKE_IN_A_PIECE : r->n;
    enum tw_rc rc = TW_OK;

    if (keys->all && !keys->after && !r->taken)
        doubt_all(&c->inv);
    while (rc == TW_OK && r->taken < end)
        rc = take_row(c, &r->v[r->taken++]->p);
    if (rc == TW_OK && end < r->n)
        return TW_EAGAIN;
    if (rc == TW_OK && keys->all && r->n == PIECE_ROWS)
        keys->after = r->v[r->n - 1]->p.id;
    else if (rc == TW_OK)
        keys->after = 0;
    return rc;
}

const struct follow_part follow_pairs = { "pairs", true, read_rows, take_rows, free_rows };
