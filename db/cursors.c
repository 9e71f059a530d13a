#include "db/cursors.h"
#include "common/grow.h"

#include <stdlib.h>
#include <string.h>

void cursors_free(struct cursors *c)
{
    free(c->e);
    *c = (struct cursors){ 0 };
}

static int compare(const struct cursor *e, int64_t agent_id, const uint8_t *spool_id)
{
    if (e->agent_id != agent_id)
        return e->agent_id < agent_id ? -1 : 1;
    return memcmp(e->spool_id, spool_id, STORE_ID_LEN);
}

/* The first entry that is not below. */
static size_t lower_bound(const struct cursors *c, int64_t agent_id, const uint8_t *spool_id)
{
    size_t lo = 0, hi = c->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare(&c->e[mid], agent_id, spool_id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct cursor *cursors_find(const struct cursors *c, int64_t agent_id, const uint8_t *spool_id)
{
    size_t i = lower_bound(c, agent_id, spool_id);

    return i < c->n && compare(&c->e[i], agent_id, spool_id) == 0 && c->e[i].now.through ? &c->e[i] : NULL;
}

enum tw_rc cursors_set(struct cursors *c, int64_t agent_id, const uint8_t *spool_id,
                       const struct store_cursor *at)
{
    size_t i = lower_bound(c, agent_id, spool_id);

    if (i < c->n && compare(&c->e[i], agent_id, spool_id) == 0) {
        c->e[i].now = *at;
        return TW_OK;
    }
    if (!TW_GROW(&c->e, c->n, &c->cap, 64))
        return TW_ENOMEM;
    memmove(&c->e[i + 1], &c->e[i], (c->n - i) * sizeof *c->e);
    c->n++;
    c->e[i] = (struct cursor){ .agent_id = agent_id, .now = *at };
    memcpy(c->e[i].spool_id, spool_id, STORE_ID_LEN);
    return TW_OK;
}

static void join_stretch(struct store_cursor *to, const struct seq_span *s)
{
    if (s->last <= to->through)
        return;
    if (s->first <= to->through + 1)
        to->through = seqset_absorb(&to->ahead, s->last);
    else
        (void)seqset_add(&to->ahead, s->first, s->last); /* no room: its rows are stored once more */
}

static void join(struct store_cursor *to, const struct store_cursor *more)
{
    join_stretch(to, &(struct seq_span){ 1, more->through });
    for (size_t i = 0; i < more->ahead.n; i++)
        join_stretch(to, &more->ahead.v[i]);
}

enum tw_rc cursors_learn(struct cursors *c, int64_t agent_id, const uint8_t *spool_id,
                         const struct store_cursor *at)
{
    size_t i = lower_bound(c, agent_id, spool_id);
    enum tw_rc rc = TW_OK;

    if (i == c->n || compare(&c->e[i], agent_id, spool_id) != 0)
        rc = cursors_set(c, agent_id, spool_id, &(struct store_cursor){ 0 });
    if (rc)
        return rc;
    join(&c->e[i].now, at);
    join(&c->e[i].durable, at);
    return TW_OK;
}

void cursors_drop_agent(struct cursors *c, int64_t agent_id)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->e[i].agent_id == agent_id)
            c->e[i].now = (struct store_cursor){ 0 };
}

bool cursors_same(const struct store_cursor *a, const struct store_cursor *b)
{
    return a->through == b->through && seqset_equal(&a->ahead, &b->ahead);
}

bool cursors_any_ahead(const struct cursors *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->e[i].now.ahead.n)
            return true;
    return false;
}

static void drop_empty(struct cursors *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n; i++)
        if (c->e[i].now.through)
            c->e[kept++] = c->e[i];
    c->n = kept;
}

void cursors_commit(struct cursors *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->e[i].durable = c->e[i].now;
    drop_empty(c);
}

void cursors_rollback(struct cursors *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->e[i].now = c->e[i].durable;
    drop_empty(c);
}
