/* The generation that a change makes, and what the history says of it. */
#include <stdio.h>
#include <string.h>
#include "controller/change_priv.h"

#define FLEET_GAP_NS (60 * TW_NS_PER_S)  /* a row takes the next change of the fleet if it comes so soon... \
                                          */
#define FLEET_ROW_NS (600 * TW_NS_PER_S) /* ...and the row's first is not older */

void change_names_add(struct change_names *n, const char *name)
{
    size_t len = strlen(n->text), need = strlen(name) + (len ? 2 : 0);

    n->n++;
    if (len + need + 1 > sizeof n->text || n->left_out) {
        n->left_out++;
        return;
    }
    snprintf(n->text + len, sizeof n->text - len, "%s%s", len ? ", " : "", name);
}

static void add_names(struct change_names *to, const struct change_names *from)
{
    char text[CHANGE_NAMES], *rest = text, *name;

    snprintf(text, sizeof text, "%s", from->text);
    while ((name = strtok_r(rest, ", ", &rest)))
        change_names_add(to, name);
    to->n += from->left_out;
    to->left_out += from->left_out;
}

/* Kinds that only follow the fleet. */
static const char *const fleet_words[] = {
    [CHANGE_APPROVE] = "approve",
    [CHANGE_REMOVE] = "remove",
    [CHANGE_EXPAND] = "follow",
};

static const char *fleet_word(enum change_kind kind)
{
    return kind < TW_NELEM(fleet_words) ? fleet_words[kind] : NULL;
}

static bool joins_row(const struct change_fleet *f, const struct change *ch)
{
    return f->number && f->number == ch->owner->c->inv.generation && f->kind == ch->rq.kind &&
           ch->now_ns - f->last_ns < FLEET_GAP_NS && ch->now_ns - f->first_ns < FLEET_ROW_NS &&
           !strncmp(f->author, ch->rq.author, sizeof f->author - 1);
}

static void tell_names(struct change *ch, const struct change_names *n)
{
    size_t len = (size_t)snprintf(ch->what, sizeof ch->what, "%s agent%s %s", fleet_word(ch->rq.kind),
                                  n->n == 1 ? "" : "s", n->text);

    if (n->left_out)
        snprintf(ch->what + len, sizeof ch->what - len, " and %u more", n->left_out);
}

/* What the fleet's row will be with this change. */
static struct change_fleet fleet_row(const struct change *ch)
{
    const struct change_fleet *old = &ch->owner->fleet;
    struct change_fleet f = { .first = ch->generation.number, .first_ns = ch->now_ns };

    if (joins_row(old, ch))
        f = *old;
    f.number = ch->generation.number;
    f.kind = ch->rq.kind;
    f.last_ns = ch->now_ns;
    snprintf(f.author, sizeof f.author, "%s", ch->rq.author);
    if (ch->agent)
        change_names_add(&f.names, ch->agent->row.name);
    add_names(&f.names, &ch->names);
    f.added += ch->diff.added;
    f.removed += ch->diff.removed;
    f.changed += ch->diff.changed;
    return f;
}

void change_number(struct change *ch)
{
    struct store_generation *g = &ch->generation;
    struct change_fleet f;

    *g = (struct store_generation){ .number = ch->owner->c->inv.generation + 1,
                                    .time_ns = ch->now_ns,
                                    .author = ch->rq.author,
                                    .what = ch->what,
                                    .reason = ch->rq.reason,
                                    .pairs = ch->diff.pairs,
                                    .added = ch->diff.added,
                                    .removed = ch->diff.removed,
                                    .changed = ch->diff.changed };
    if (!fleet_word(ch->rq.kind))
        return;
    f = fleet_row(ch);
    tell_names(ch, &f.names);
    g->first = f.first;
    g->added = f.added;
    g->removed = f.removed;
    g->changed = f.changed;
}

void change_numbered(struct change *ch)
{
    struct changes *s = ch->owner;

    s->fleet = fleet_word(ch->rq.kind) ? fleet_row(ch) : (struct change_fleet){ 0 };
    s->c->inv.generation = ch->generation.number;
}
