/* A transaction of the store's: one of etcd, or several of which one counts. */
#include <stdio.h>
#include <stdlib.h>

#include "db/etcd/mirror_priv.h"
#include "db/etcd/mirror_tables.h"

/* Below etcd's defaults of 128 operations and 1.5 MiB; head and writer are two of the operations. */
#define OPS_MAX 120
#define OCTETS_MAX 1400000
#define OP_OCTETS 80 /* around a key and value */

/* Which of the changes are together. */
enum part { EARLY, MIDDLE, LATE, ALL };

static enum part part_of(const struct mirror_change *c)
{
    const struct mirror_table *t = &mirror_tables[c->table];

    return c->value && t->early ? EARLY : !c->value && t->late ? LATE : MIDDLE;
}

static size_t octets(const struct mirror_change *c)
{
    return strlen(c->key) + c->len + OP_OCTETS;
}

static void measure(const struct mirror_changes *c, enum part part, size_t *ret_n, size_t *ret_octets)
{
    *ret_n = *ret_octets = 0;
    for (size_t i = 0; i < c->n; i++)
        if (part == ALL || part_of(&c->v[i]) == part) {
            ++*ret_n;
            *ret_octets += octets(&c->v[i]);
        }
}

static bool fits(const struct mirror_changes *c, enum part part)
{
    size_t n, size;

    measure(c, part, &n, &size);
    return n <= OPS_MAX && size <= OCTETS_MAX;
}

/* As many of a part as fit, from *at on, backwards if they are to be deleted: what refers to others goes
 * first. False: there are none. */
struct batch {
    const struct mirror_changes *c;
    enum part part;
    size_t at; /* how many were looked at */
    struct etcd_op op[OPS_MAX + 2];
    char key[OPS_MAX][1200];
    size_t n;
};

static bool fill(struct mirror *m, struct batch *b)
{
    size_t size = 0;

    b->n = 0;
    for (; b->at < b->c->n && b->n < OPS_MAX; b->at++) {
        const struct mirror_change *c = &b->c->v[b->part == LATE ? b->c->n - 1 - b->at : b->at];
        if (b->part != ALL && part_of(c) != b->part)
            continue;
        if (b->n && size + octets(c) > OCTETS_MAX)
            break;
        size += octets(c);
        snprintf(b->key[b->n], sizeof b->key[0], "%s%s", m->prefix, c->key);
        b->op[b->n] =
            (struct etcd_op){ c->value ? ETCD_PUT : ETCD_DELETE, b->key[b->n], c->value, c->len, 0 };
        b->n++;
    }
    return b->n > 0;
}

/* In as many transactions as it takes. */
static enum tw_rc send_part(struct mirror *m, const struct mirror_changes *c, enum part part,
                            struct mirror_head *head, struct tw_err *err)
{
    struct batch *b = malloc(sizeof *b);
    enum tw_rc rc = TW_OK;

    if (!b)
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    b->c = c;
    b->part = part;
    b->at = 0;
    while (!rc && fill(m, b))
        rc = mirror_send(m, head, b->op, b->n, err);
    free(b);
    return rc;
}

static enum tw_rc too_large(const struct mirror_changes *c, struct tw_err *err)
{
    size_t n, size;

    measure(c, MIDDLE, &n, &size);
    return tw_err_set(err, TW_ERANGE,
                      "a change of %zu keys and %zu octets is more than etcd takes at once (%d and %d)", n,
                      size, OPS_MAX, OCTETS_MAX);
}

/* What is late is deleted when it is too late to say no: rows that stay come back into the file, and go
 * another time. */
static enum tw_rc send_all(struct mirror *m, const struct mirror_changes *c, struct mirror_head *head,
                           struct tw_err *err)
{
    struct tw_err ignored;
    enum tw_rc rc;

    if (fits(c, ALL))
        return send_part(m, c, ALL, head, err);
    if (!fits(c, MIDDLE))
        return too_large(c, err);
    rc = send_part(m, c, EARLY, head, err);
    if (!rc)
        rc = send_part(m, c, MIDDLE, head, err);
    if (!rc && send_part(m, c, LATE, head, &ignored))
        m->stale = true;
    return rc;
}

/* Nothing is to be changed: was that decided by what is true? */
static enum tw_rc check_head(struct mirror *m, struct tw_err *err)
{
    struct etcd_answer a;
    const struct etcd_kv *head;
    enum tw_rc rc = etcd_get(m->e, m->head_key, &a, err);

    if (rc)
        return rc;
    head = mirror_find(&a, m->head_key);
    if (mirror_revision_of(head) != m->head.revision)
        rc = mirror_conflict(m, err);
    mirror_note_head(m, &m->head, head);
    etcd_answer_free(&a);
    return rc;
}

/* Is there a point in asking etcd? */
static enum tw_rc check_there(const struct mirror *m, struct tw_err *err)
{
    if (!m->blind.rc)
        return m->look ? mirror_look_last(m->look, err) : TW_OK;
    *err = m->blind;
    return m->blind.rc;
}

enum tw_rc mirror_agree(struct control_shared *shared, struct tw_err *err)
{
    struct mirror *m = (struct mirror *)shared;
    struct mirror_changes c = { .n = 0 };
    struct mirror_head head = m->head;
    enum tw_rc rc = mirror_rows_changes(m->rows, &c, err);

    if (!rc && (c.n || m->q->touched))
        rc = check_there(m, err);
    if (!rc && c.n)
        rc = send_all(m, &c, &head, err);
    else if (!rc && m->q->touched)
        rc = check_head(m, err);
    if (!rc && mirror_rows_settle(m->rows, &c, err)) /* it is done all the same */
        m->stale = true;
    mirror_changes_free(&c);
    if (rc) {
        mirror_need(m, head.revision > m->head.revision ? head.revision : 0);
        return rc;
    }
    m->head = head;
    m->at = head.revision > m->at ? head.revision : m->at;
    return TW_OK;
}

void mirror_done(struct control_shared *shared, bool committed)
{
    struct mirror *m = (struct mirror *)shared;

    m->stale |= !committed;
}
