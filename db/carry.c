#include "db/carry.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/net/now.h"
#include "db/carry_sums.h"
#include "db/digest.h"
#include "db/grow.h"

#define CHUNK_ROWS 50000 /* of a commit */
#define PAUSE_NS TW_NS_PER_S
#define LOOK_NS (2 * TW_NS_PER_S)
#define ALL_OF_IT INT64_MAX

struct parts {
    struct history_part *v; /* in order of kind, level, time */
    size_t n, cap;
    uint64_t rows;
};
struct carry {
    const struct carry_conf *conf;
    struct history_reader *from, *back;
    struct history *to;
    struct parts parts;
    uint8_t start[STORE_ID_LEN]; /* what was to be carried when it began */
    enum carry_phase phase;
    uint64_t done;
    bool stopped;
    struct tw_err *err;
    /* The chunk under way. */
    const struct history_part *part;
    uint64_t n, last_at;
    int64_t stuck_ns; /* when something was last stored, by the monotonic clock */
    struct carry_days *days;
};

static enum tw_rc tell(struct carry *c)
{
    const struct carry_conf *conf = c->conf;

    if (!conf->progress || conf->progress(conf->ctx, c->phase, c->done, c->parts.rows))
        return TW_OK;
    c->stopped = true;
    return tw_err_set(c->err, TW_ECLOSED, "interrupted: the same command goes on where it was");
}

/* ---- Parts ---- */

static enum tw_rc take_part(void *ctx, const struct history_part *p)
{
    struct parts *to = ctx;

    if (!db_grow(&to->v, to->n, &to->cap, sizeof *to->v))
        return TW_ENOMEM;
    to->v[to->n++] = *p;
    to->rows += p->rows;
    return TW_OK;
}

static int in_order(const void *pa, const void *pb)
{
    const struct history_part *a = pa, *b = pb;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    return (a->from_ns > b->from_ns) - (a->from_ns < b->from_ns);
}

static enum tw_rc list_parts(struct history_reader *r, struct parts *ret, struct tw_err *err)
{
    enum tw_rc rc = r->ops->export_parts(r, take_part, ret, err);

    if (!rc && ret->n)
        qsort(ret->v, ret->n, sizeof *ret->v, in_order);
    return rc;
}

static uint64_t digest_parts(const struct parts *p)
{
    uint64_t h = p->n;

    for (size_t i = 0; i < p->n; i++) {
        const uint64_t v[] = { p->v[i].kind, p->v[i].level, (uint64_t)p->v[i].from_ns, p->v[i].rows };
        h = digest_of(h, v, sizeof v);
    }
    return h;
}

/* ---- How far it has come: cursors of nobody's ---- */

static void name_part(const struct history_part *p, uint8_t ret[STORE_ID_LEN])
{
    memset(ret, 0, STORE_ID_LEN);
    ret[0] = 'p';
    ret[1] = (uint8_t)p->kind;
    ret[2] = (uint8_t)p->level;
    memcpy(ret + 8, &p->from_ns, sizeof p->from_ns);
}

static enum tw_rc put_mark(struct carry *c, int64_t whose, const uint8_t name[STORE_ID_LEN], uint64_t through)
{
    struct history_row row = { .kind = HISTORY_CURSOR, .agent_id = whose, .cursor = { .through = through } };

    memcpy(row.spool_id, name, STORE_ID_LEN);
    return c->to->ops->import(c->to, &row, c->err);
}

static uint64_t mark_of(struct carry *c, int64_t whose, const uint8_t name[STORE_ID_LEN])
{
    struct store_cursor at;

    return c->to->ops->cursor(c->to, whose, name, &at, c->err) ? 0 : at.through;
}

static enum tw_rc mark_part(struct carry *c, uint64_t through)
{
    uint8_t name[STORE_ID_LEN];

    name_part(c->part, name);
    return put_mark(c, HISTORY_CARRYING, name, through);
}

struct found {
    bool carrying, carried, others;
    uint8_t start[STORE_ID_LEN];
};

static enum tw_rc look_at_cursor(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                 const struct store_cursor *at)
{
    struct found *f = ctx;

    (void)at;
    f->carrying |= agent_id == HISTORY_CARRYING;
    f->carried |= agent_id == HISTORY_CARRIED;
    f->others |= agent_id != HISTORY_CARRYING && agent_id != HISTORY_CARRIED;
    if (agent_id == HISTORY_CARRIED || (agent_id == HISTORY_CARRYING && spool_id[0] == 's'))
        memcpy(f->start, spool_id, STORE_ID_LEN);
    return TW_OK;
}

static enum tw_rc refuse(const struct carry *c, const char *what)
{
    return tw_err_set(c->err, TW_EEXIST, "%s: DROP DATABASE, or give another one", what);
}

/* Begins it, or goes on with it. */
static enum tw_rc begin(struct carry *c, bool *ret_done)
{
    const struct history_ops *ops = c->to->ops;
    struct found f = { .carrying = false };
    uint64_t digest = digest_parts(&c->parts);
    enum tw_rc rc = ops->each_cursor(c->to, look_at_cursor, &f, c->err);

    c->start[0] = 's';
    memcpy(c->start + 8, &digest, sizeof digest);
    *ret_done = f.carried && !f.carrying;
    if (rc)
        return rc;
    if ((f.carrying || f.carried) && memcmp(f.start, c->start, STORE_ID_LEN) != 0)
        return refuse(c, "another history is there, or this one was written to after it was carried there");
    if (!f.carrying && !f.carried && f.others)
        return refuse(c, "there is a history already");
    if (f.carrying || f.carried)
        return TW_OK;
    rc = ops->begin(c->to, c->err);
    if (!rc)
        rc = put_mark(c, HISTORY_CARRYING, c->start, 1);
    return rc ? rc : ops->commit(c->to, c->err);
}

/* From now on it is a history like any other. */
static enum tw_rc end(struct carry *c)
{
    const struct history_ops *ops = c->to->ops;
    enum tw_rc rc = ops->begin(c->to, c->err);

    if (!rc)
        rc = ops->forget_agent(c->to, HISTORY_CARRYING, c->err);
    if (!rc)
        rc = put_mark(c, HISTORY_CARRIED, c->start, 1);
    if (!rc)
        return ops->commit(c->to, c->err);
    ops->rollback(c->to);
    return rc;
}

/* ---- Copying ---- */

static enum tw_rc end_chunk(struct carry *c, uint64_t through)
{
    enum tw_rc rc = mark_part(c, through);

    if (!rc)
        rc = c->to->ops->commit(c->to, c->err);
    if (rc)
        return rc;
    c->stuck_ns = tw_mono_now().ns;
    c->done += c->n;
    c->n = 0;
    return tell(c);
}

static enum tw_rc copy_row(void *ctx, const struct history_row *row)
{
    struct carry *c = ctx;
    enum tw_rc rc = TW_OK;

    if (c->n >= CHUNK_ROWS && row->at != c->last_at) {
        rc = end_chunk(c, c->last_at);
        if (!rc)
            rc = c->to->ops->begin(c->to, c->err);
    }
    c->last_at = row->at;
    c->n++;
    return rc ? rc : c->to->ops->import(c->to, row, c->err);
}

/* Rows that are there by an earlier try are counted as if places were numbers of rows, which they mostly are.
 */
static enum tw_rc copy_rest(struct carry *c, uint64_t *ret_found)
{
    const struct history_part *p = c->part;
    uint8_t name[STORE_ID_LEN];
    uint64_t after;
    enum tw_rc rc = c->to->ops->begin(c->to, c->err);

    if (rc)
        return rc;
    name_part(p, name);
    after = mark_of(c, HISTORY_CARRYING, name);
    *ret_found = after < p->rows ? after : p->rows;
    c->n = c->last_at = 0;
    if (after < ALL_OF_IT)
        rc = c->from->ops->export_rows(c->from, p, after, copy_row, c, c->err);
    if (!rc && after < ALL_OF_IT)
        return end_chunk(c, ALL_OF_IT);
    c->to->ops->rollback(c->to);
    return rc;
}

static bool may_come_again(const struct carry *c, enum tw_rc rc)
{
    int64_t patience_ns = c->conf->patience_ns ? c->conf->patience_ns : 60 * TW_NS_PER_S;

    return !c->stopped && (rc == TW_EIO || rc == TW_ETIMEOUT || rc == TW_ECLOSED) &&
           tw_mono_now().ns - c->stuck_ns < patience_ns;
}

static enum tw_rc copy_part(struct carry *c, const struct history_part *p, uint64_t *add_found)
{
    const struct timespec pause = { .tv_sec = PAUSE_NS / TW_NS_PER_S };
    uint64_t before = c->done, found = 0;
    bool first = true;
    enum tw_rc rc;

    c->part = p;
    c->stuck_ns = tw_mono_now().ns;
    while ((rc = copy_rest(c, &found)) != TW_OK && may_come_again(c, rc)) {
        *add_found += first ? found : 0;
        first = false;
        rc = tell(c);
        if (rc)
            return rc;
        nanosleep(&pause, NULL);
    }
    *add_found += first ? found : 0;
    c->done = before + p->rows;
    return rc ? rc : tell(c);
}

static enum tw_rc copy(struct carry *c, struct carry_report *ret)
{
    enum tw_rc rc = TW_OK;

    c->phase = CARRY_COPY;
    c->done = 0;
    for (size_t i = 0; i < c->parts.n && !rc; i++)
        rc = copy_part(c, &c->parts.v[i], &ret->found_there);
    return rc;
}

/* ---- Comparing ---- */

#define TELL_ROWS 4096
static enum tw_rc add_row(void *ctx, const struct history_row *row)
{
    struct carry *c = ctx;

    return ++c->done % TELL_ROWS == 0 && tell(c) ? TW_ECLOSED : carry_days_add(c->days, row, c->err);
}

static enum tw_rc add_up(struct carry *c, enum carry_phase phase, struct history_reader *r,
                         struct carry_days *ret)
{
    struct parts parts = { .n = 0 };
    enum tw_rc rc = list_parts(r, &parts, c->err);

    c->phase = phase;
    c->done = 0;
    c->days = ret;
    for (size_t i = 0; i < parts.n && !rc; i++)
        rc = r->ops->export_rows(r, &parts.v[i], 0, add_row, c, c->err);
    free(parts.v);
    return rc;
}

static enum tw_rc compare(struct carry *c, struct carry_report *ret)
{
    struct carry_days from = { .n = 0 }, to = { .n = 0 };
    enum tw_rc rc = add_up(c, CARRY_READ_FROM, c->from, &from);

    if (!rc)
        rc = add_up(c, CARRY_READ_TO, c->back, &to);
    if (!rc)
        rc = carry_days_compare(&from, &to, c->err);
    carry_days_report(&from, ret);
    carry_days_free(&from);
    carry_days_free(&to);
    return rc;
}

/* ---- All ---- */

static void close_all(struct carry *c)
{
    if (c->back)
        c->back->ops->reader_close(c->back);
    if (c->to)
        c->to->ops->close(c->to);
    if (c->from)
        c->from->ops->reader_close(c->from);
    free(c->parts.v);
}

static enum tw_rc open_from(struct carry *c)
{
    const struct carry_conf *conf = c->conf;
    const struct history_conf from = { .location = conf->from };
    enum tw_rc rc;

    if (!conf->from_ops->export_rows)
        return tw_err_set(c->err, TW_EINVAL, "histories are not carried out of %s", conf->from_ops->scheme);
    rc = conf->from_ops->reader_open(&from, &c->from, c->err);
    return rc ? rc : list_parts(c->from, &c->parts, c->err);
}

static enum tw_rc open_to(struct carry *c)
{
    const struct carry_conf *conf = c->conf;
    const struct history_conf to = { .location = conf->to, .owner = conf->owner, .carrying = true };
    enum tw_rc rc;

    if (!conf->to_ops->import)
        return tw_err_set(c->err, TW_EINVAL, "histories are not carried into %s", conf->to_ops->scheme);
    rc = conf->to_ops->open(&to, &c->to, c->err);
    return rc ? rc : conf->to_ops->reader_open(&to, &c->back, c->err);
}

enum tw_rc carry_history(const struct carry_conf *conf, struct carry_report *ret, struct tw_err *err)
{
    struct carry c = { .conf = conf, .err = err };
    bool done = false;
    enum tw_rc rc = open_from(&c);

    *ret = (struct carry_report){ .n = 0 };
    if (!rc)
        rc = open_to(&c);
    if (!rc)
        rc = begin(&c, &done);
    if (!rc && !done)
        rc = copy(&c, ret);
    if (!rc)
        rc = compare(&c, ret);
    if (!rc && !done)
        rc = end(&c);
    ret->was_there = done;
    close_all(&c);
    return rc;
}

/* ---- Looking ---- */

struct look {
    struct carry_days days;
    uint64_t rows;
    int64_t until_ns;
    struct tw_err *err;
};

static enum tw_rc look_at_row(void *ctx, const struct history_row *row)
{
    struct look *l = ctx;

    if (++l->rows % 64 == 0 && tw_mono_now().ns > l->until_ns)
        return TW_EAGAIN; /* it was long enough */
    return carry_days_add(&l->days, row, l->err);
}

static enum tw_rc measure(struct carry *c, double *ret_rate)
{
    int64_t begin_ns = tw_mono_now().ns, took_ns;
    struct look l = { .until_ns = begin_ns + LOOK_NS, .err = c->err };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < c->parts.n && !rc; i++)
        rc = c->from->ops->export_rows(c->from, &c->parts.v[i], 0, look_at_row, &l, c->err);
    took_ns = tw_mono_now().ns - begin_ns;
    *ret_rate = took_ns > 0 ? (double)l.rows / ((double)took_ns / 1e9) : 0;
    carry_days_free(&l.days);
    return rc == TW_EAGAIN ? TW_OK : rc;
}

enum tw_rc carry_look(const struct carry_conf *conf, struct carry_report *ret, double *ret_rate,
                      struct tw_err *err)
{
    struct carry c = { .conf = conf, .err = err };
    struct carry_sum *to = NULL;
    enum tw_rc rc = open_from(&c);

    *ret = (struct carry_report){ .rows = c.parts.rows };
    for (size_t i = 0; i < c.parts.n && !rc; i++) {
        const struct history_part *p = &c.parts.v[i];
        if (!to || to->kind != p->kind || to->level != p->level) {
            to = &ret->v[ret->n++];
            *to = (struct carry_sum){ .kind = p->kind, .level = p->level };
        }
        to->rows += p->rows;
    }
    if (!rc)
        rc = measure(&c, ret_rate);
    close_all(&c);
    return rc;
}
