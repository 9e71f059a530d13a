/* What others did, as the watch tells it. */
#include <limits.h>
#include <stdlib.h>

#include "common/clk.h"
#include "db/etcd/mirror_priv.h"

#define FOLLOW_NS (2 * TW_NS_PER_S)

/* What is at one revision. */
struct moment {
    struct mirror_changes c;
    struct mirror_head head;
    enum tw_rc rc;
};

/* Takes the event. */
static void add_event(struct mirror *m, struct mirror_event *e, struct moment *to, struct tw_err *err)
{
    struct mirror_change ch = { mirror_rows_table(e->key), e->key, e->value, e->len }, *more;
    int64_t version;

    if (!strcmp(e->key, "head") && e->value)
        to->head = mirror_head_of(e->revision, e->value, e->len);
    else if (!strcmp(e->key, "head") && !to->rc)
        to->rc = mirror_gone(m, err);
    if (!strcmp(e->key, "schema") && e->value && !to->rc)
        to->rc = mirror_check_schema(m, e->value, &version, err);
    more = ch.table != UINT_MAX ? reallocarray(to->c.v, to->c.n + 1, sizeof *more) : NULL;
    if (!more) {
        if (ch.table != UINT_MAX && !to->rc)
            to->rc = tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
        mirror_event_free(e);
        return;
    }
    to->c.v = more;
    to->c.v[to->c.n++] = ch;
    free(e);
}

/* Those of one revision, which are gone from the list then; what the file has already is passed over. */
static enum tw_rc apply_one(struct mirror *m, struct mirror_event **list, struct tw_err *err)
{
    int64_t revision = (*list)->revision;
    struct moment now = { .head = m->head };

    while (*list && (*list)->revision == revision) {
        struct mirror_event *e = *list;
        *list = e->next;
        add_event(m, e, &now, err);
    }
    if (!now.rc && revision > m->at) {
        now.rc = mirror_rows_apply(m->rows, now.c.v, now.c.n, err);
        for (size_t i = 0; !now.rc && i < now.c.n; i++)
            mirror_tell(m, now.c.v[i].key);
        m->head = now.head;
        m->at = revision;
    }
    mirror_changes_free(&now.c);
    return now.rc;
}

static void free_events(struct mirror_event *list)
{
    while (list) {
        struct mirror_event *next = list->next;
        mirror_event_free(list);
        list = next;
    }
}

/* All of it in one transaction of the file. */
static enum tw_rc apply(struct mirror *m, struct mirror_event *list, struct tw_err *err)
{
    enum tw_rc rc = list ? mirror_exec(m, "BEGIN IMMEDIATE", err) : TW_OK;
    bool began = list && !rc;

    while (list && !rc)
        rc = apply_one(m, &list, err);
    if (began && !rc)
        rc = mirror_rows_end(m->rows, err);
    if (began && !rc)
        rc = mirror_exec(m, "COMMIT", err);
    if (rc) {
        sq_rollback(m->q);
        m->stale = true; /* events are gone */
    }
    free_events(list);
    return rc;
}

static enum tw_rc take_events(struct mirror *m, struct tw_err *err)
{
    bool lost;
    struct mirror_event *list = mirror_feed_take(m->feed, &lost);
    enum tw_rc rc = lost || m->stale ? mirror_load_again(m, err) : TW_OK;

    if (!rc)
        return apply(m, list, err);
    m->stale = true;
    free_events(list);
    return rc;
}

static enum tw_rc check_untold(struct mirror *m, struct tw_err *err)
{
    bool untold = false;
    enum tw_rc rc = m->stale ? TW_OK : mirror_rows_untold(m->rows, &untold, err);

    if (rc || !untold)
        return rc;
    rc = mirror_load_again(m, err);
    return rc ? rc : tw_err_set(err, TW_EINVAL, "control state was changed outside of a transaction: undone");
}

static enum tw_rc take_in(struct mirror *m, struct tw_err *err)
{
    struct mirror_outcome ignored; /* if it was done, it comes as what others do */
    enum tw_rc rc = m->doubt ? mirror_settle(m, &m->doubt_head, &ignored, err) : check_untold(m, err);

    if (!rc && m->need > m->at)
        mirror_feed_wait(m->feed, m->need, FOLLOW_NS);
    if (!rc)
        rc = take_events(m, err);
    if (!rc && m->need > m->at)
        rc = mirror_load_again(m, err);
    return rc;
}

static bool is_behind(const struct mirror *m)
{
    return m->doubt || m->stale || m->need > m->at;
}

enum tw_rc mirror_take_in(struct control_shared *shared, struct tw_err *err)
{
    struct mirror *m = (struct mirror *)shared;
    enum tw_rc rc = TW_OK;

    if (m->look && is_behind(m))
        rc = mirror_look_last(m->look, err);
    if (!rc)
        rc = take_in(m, err);
    m->blind = (struct tw_err){ .rc = TW_OK };
    if (!rc || !m->look)
        return rc;
    m->blind = *err;
    m->blind.rc = rc;
    return TW_OK;
}
