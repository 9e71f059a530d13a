#include <stdlib.h>
#include <string.h>
#include "controller/schedule_priv.h"

/* ---- A pair comes into the schedule, changes, or leaves ---- */

struct adoption {
    struct inventory *inv;
    struct wanted *w;
    struct summer summer;
    int64_t now_ns;
    void (*forget)(void *ctx, struct pair *p);
    void *ctx;
};

static void sum_of(const struct pair *p, struct digest_sum *ret)
{
    memcpy(ret->v, p->sum, sizeof ret->v);
}

/* Out of its agent's list. */
static void unlist(struct pair *p, uint32_t row)
{
    struct agent *a = p->scheduled ? pair_source(p) : NULL;
    struct digest_sum sum;

    if (!a)
        return;
    sum_of(p, &sum);
    digest_sum_subtract(&a->sum, &sum);
    a->pairs--;
    a->sessions -= p->flows;
    a->unopened -= p->interval != INTERVAL_OPEN;
    journal_touch(&a->journal, row, p->flows);
}

static void list(struct pair *p, uint32_t row, bool was_listed)
{
    struct agent *a = p->scheduled ? pair_source(p) : NULL;
    struct digest_sum sum;

    if (!a)
        return;
    sum_of(p, &sum);
    digest_sum_add(&a->sum, &sum);
    a->pairs++;
    a->sessions += p->flows;
    a->unopened += p->interval != INTERVAL_OPEN;
    if (!was_listed)
        journal_touch(&a->journal, row, 0);
}

static bool interval_is_stray(const struct pair *p)
{
    return p->interval != INTERVAL_CLOSED &&
           (!p->scheduled || p->interval_sum != p->sum[0] ||
            !pair_interval_fits(p, p->report_period_ns, p->flows, p->times, p->row.slot));
}

static enum tw_rc note_stray(struct inventory *inv, const struct pair *p, uint32_t row)
{
    uint32_t *v;

    if (!interval_is_stray(p))
        return TW_OK;
    v = reallocarray(inv->strays, inv->n_strays + 1, sizeof *v);
    if (!v)
        return TW_ENOMEM;
    inv->strays = v;
    v[inv->n_strays++] = row;
    return TW_OK;
}

static bool has_drained_end(const struct pair *p)
{
    const struct agent *source = pair_source(p), *target = name_of(p->row.target)->agent;

    return (source && agent_is_drained(source)) || (target && agent_is_drained(target));
}

/* Selections leave out who is drained: then its pairs are not wanted at all, but operators see why. */
static enum tw_rc note_drained(struct inventory *inv, struct pair *p, uint32_t row)
{
    uint32_t *v;

    p->drained = has_drained_end(p);
    if (!p->drained)
        return TW_OK;
    v = reallocarray(inv->drained, inv->n_drained + 1, sizeof *v);
    if (!v) {
        p->drained = false;
        return TW_ENOMEM;
    }
    inv->drained = v;
    v[inv->n_drained++] = row;
    return TW_OK;
}

static void forget_drained(struct inventory *inv)
{
    size_t n = 0;

    for (size_t i = 0; i < inv->n_drained; i++) {
        struct pair *p = pair_table_at(&inv->pairs, inv->drained[i]);

        if (p->scheduled || p->paused) /* wanted again, which says itself whether it is drained */
            continue;
        p->drained = has_drained_end(p);
        if (p->drained)
            inv->drained[n++] = inv->drained[i];
    }
    inv->n_drained = n;
}

static enum tw_rc remove_pair(struct adoption *d, const struct wanted_change *c)
{
    struct pair *p = pair_table_at(&d->inv->pairs, c->row);
    enum tw_rc rc, stray;

    unlist(p, c->row);
    p->scheduled = p->paused = false;
    d->forget(d->ctx, p);
    rc = note_drained(d->inv, p, c->row);
    stray = note_stray(d->inv, p, c->row);
    return rc == TW_OK ? stray : rc;
}

static void set_pair(struct adoption *d, struct pair *p, const struct wanted_pair *w,
                     const struct digest_sum *sum)
{
    if (p->scheduled && w->paused)
        d->forget(d->ctx, p);
    if (!p->scheduled && !w->paused)
        p->scheduled_since_ns = d->now_ns;
    p->scheduled = !w->paused;
    p->paused = w->paused;
    p->drained = w->drained;
    p->flows = w->class_->flows;
    p->report_period_ns = w->class_->report_period_ns;
    class_times_unref(p->times);
    p->times = class_times_ref(w->class_->times);
    memcpy(p->sum, sum->v, sizeof p->sum);
}

/* The pair does not come after all. */
static void give_up_slot(struct adoption *d, const struct wanted_pair *w, const struct wanted_change *c)
{
    struct spread_runs r = wanted_runs(w);

    if (c->slot)
        spread_remove(&d->w->spread, &r, c->slot);
}

/* Its row, which the change may not have known. PAIR_NEW: it is without an id. */
static uint32_t row_of(const struct inventory *inv, struct wanted *w, const struct wanted_change *c,
                       const struct wanted_pair *p)
{
    uint32_t *row = &w->meshes[c->mesh].rows[c->at];
    const struct store_pair names = {
        .mesh = p->mesh->name, .class_name = p->class_->name, .source = p->source, .target = p->target
    };

    if (*row == PAIR_NEW)
        *row = inventory_pair_row(inv, &names);
    return *row;
}

/* It may come back to an interval. */
static uint8_t slot_then(const struct pair *p, const struct wanted_change *c)
{
    return c->slot ? c->slot : p->row.slot;
}

/* It was not worked out; no pair has such a sum, since it would be a digest. */
static bool is_nothing(const struct digest_sum *s)
{
    return !(s->v[0] | s->v[1] | s->v[2] | s->v[3]);
}

static enum tw_rc sum_then(struct adoption *d, const struct wanted_change *c, const struct wanted_pair *w,
                           const struct pair *p, struct digest_sum *ret)
{
    size_t i = (size_t)(c - d->w->changes);

    if (i >= d->w->n_sums || is_nothing(&d->w->sums[i]))
        return summer_pair(&d->summer, w, p->row.id, p->row.slot, ret);
    *ret = d->w->sums[i];
    return TW_OK;
}

static enum tw_rc put_pair(struct adoption *d, const struct wanted_change *c)
{
    struct wanted_mesh *m = &d->w->meshes[c->mesh];
    struct digest_sum sum;
    struct wanted_pair w;
    struct pair *p;
    bool was_listed;

    wanted_change_pair(d->w, c, &w);
    if (row_of(d->inv, d->w, c, &w) == PAIR_NEW) {
        give_up_slot(d, &w, c);
        return TW_OK;
    }
    p = pair_table_at(&d->inv->pairs, m->rows[c->at]);
    p->row.slot = slot_then(p, c);
    if (sum_then(d, c, &w, p, &sum) != TW_OK) {
        unlist(p, m->rows[c->at]);
        give_up_slot(d, &w, c);
        p->scheduled = p->paused = false;
        m->rows[c->at] = PAIR_NEW; /* the next comparison finds it missing */
        return TW_ENOMEM;
    }
    was_listed = p->scheduled;
    unlist(p, m->rows[c->at]);
    set_pair(d, p, &w, &sum);
    list(p, m->rows[c->at], was_listed);
    return note_stray(d->inv, p, m->rows[c->at]);
}

/* ---- Ahead ---- */

static enum tw_rc sum_change(struct summer *s, struct inventory *inv, struct wanted *w,
                             const struct wanted_change *c, struct digest_sum *ret)
{
    struct wanted_pair wanted;
    const struct pair *p;
    uint32_t row;

    *ret = (struct digest_sum){ 0 };
    if (c->what == WANTED_REMOVED)
        return TW_OK;
    wanted_change_pair(w, c, &wanted);
    row = row_of(inv, w, c, &wanted);
    if (row == PAIR_NEW)
        return TW_OK; /* who is known meanwhile by ingest is summed up when it comes */
    p = pair_table_at(&inv->pairs, row);
    return summer_pair(s, &wanted, p->row.id, slot_then(p, c), ret);
}

bool wanted_sum(struct inventory *inv, struct wanted *w, size_t most)
{
    size_t end = w->n_changes - w->n_sums > most ? w->n_sums + most : w->n_changes;
    enum tw_rc rc = TW_OK;
    struct summer s;

    if (w->n_sums == w->n_changes)
        return false;
    if (!w->sums)
        w->sums = calloc(w->n_changes, sizeof *w->sums);
    if (!w->sums || summer_init(&s) != TW_OK)
        return false;
    while (rc == TW_OK && w->n_sums < end) {
        rc = sum_change(&s, inv, w, &w->changes[w->n_sums], &w->sums[w->n_sums]);
        w->n_sums += rc == TW_OK;
    }
    summer_free(&s);
    return rc == TW_OK && w->n_sums < w->n_changes;
}

/* ---- All of it ---- */

static void count_meshes(struct inventory *inv, const struct wanted *w)
{
    for (size_t i = 0; i < w->n_meshes; i++) {
        struct mesh_state *m = inventory_mesh(inv, w->meshes[i].mesh->name);

        if (!m)
            continue;
        m->pairs = w->meshes[i].pairs.n - w->meshes[i].unreachable;
        m->unresolved = w->meshes[i].unresolved;
    }
}

/* Agents without a pair get an empty list, so that they stop what they run. */
static void bring_digests_up_to_date(struct inventory *inv)
{
    for (struct agent *a = inv->agents; a; a = a->hh.next) {
        digest_sum_bytes(&a->sum, a->digest);
        a->listed = true;
        a->acked_current = a->acked_generation && !memcmp(a->acked_digest, a->digest, sizeof a->digest);
    }
}

static void take_wanted(struct inventory *inv, struct wanted *w, struct wanted *room)
{
    schedule_free(inv);
    inv->scheduled = room;
    spread_free(&inv->spread);
    inv->spread = w->spread;
    w->spread = (struct spread){ 0 };
    roster_free(w->roster);
    free(w->changes);
    free(w->sums);
    w->roster = NULL;
    w->changes = NULL;
    w->sums = NULL;
    w->n_changes = w->n_sums = 0;
    for (size_t i = 0; i < w->n_meshes; i++)
        w->meshes[i].pairs.agents = NULL;
    *inv->scheduled = *w;
    *w = (struct wanted){ 0 };
}

enum tw_rc schedule_adopt(struct inventory *inv, struct wanted *w, int64_t now_ns,
                          void (*forget)(void *ctx, struct pair *p), void *ctx)
{
    struct adoption d = { .inv = inv, .w = w, .now_ns = now_ns, .forget = forget, .ctx = ctx };
    struct wanted *room = malloc(sizeof *room);
    enum tw_rc rc = room ? summer_init(&d.summer) : TW_ENOMEM;

    if (rc != TW_OK) {
        free(room);
        return rc;
    }
    for (size_t i = 0; i < w->n_changes; i++) {
        const struct wanted_change *c = &w->changes[i];
        enum tw_rc one = c->what == WANTED_REMOVED ? remove_pair(&d, c) : put_pair(&d, c);

        rc = rc == TW_OK ? one : rc;
    }
    summer_free(&d.summer);
    forget_drained(inv);
    count_meshes(inv, w);
    take_wanted(inv, w, room);
    bring_digests_up_to_date(inv);
    return rc;
}

void schedule_free(struct inventory *inv)
{
    if (!inv->scheduled)
        return;
    wanted_free(inv->scheduled);
    free(inv->scheduled);
    inv->scheduled = NULL;
}

void schedule_set_interval(struct pair *p, enum pair_interval state)
{
    struct agent *a = p->scheduled ? pair_source(p) : NULL;

    if (a)
        a->unopened += (state != INTERVAL_OPEN) - (p->interval != INTERVAL_OPEN);
    p->interval = state;
}

bool schedule_settle_strays(struct inventory *inv)
{
    size_t n = 0;

    for (size_t i = 0; i < inv->n_strays; i++)
        if (interval_is_stray(pair_table_at(&inv->pairs, inv->strays[i])))
            inv->strays[n++] = inv->strays[i];
    inv->n_strays = n;
    return n > 0;
}
