#include "db/etcd/mirror.h"

#include <cJSON.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/etcd/mirror_feed.h"
#include "db/etcd/mirror_rows.h"
#include "db/etcd/mirror_tables.h"

/* Below etcd's defaults of 128 operations and 1.5 MiB; head and writer are two of the operations. */
#define OPS_MAX 120
#define OCTETS_MAX 1400000
#define OP_OCTETS 80 /* around a key and value */
#define PAGE 256     /* keys read at once */
#define FOLLOW_NS (2 * TW_NS_PER_S)
#define PAUSE_NS (100 * TW_NS_PER_MS)
#define WRITER_NS (30 * 86400 * TW_NS_PER_S) /* a writer that did nothing for so long has gone */
#define MARK_MAX 128

struct mirror {
    struct control_shared shared; /* first */
    struct mirror_conf conf;
    struct sq *q;
    struct mirror_rows *rows;
    struct etcd *e;
    struct mirror_feed *feed;
    char prefix[96], head_key[128], writer_key[160], id[17];
    int64_t at;      /* revision of etcd that the file is at */
    int64_t head;    /* of `head` then; 0: there is none */
    int64_t writer;  /* of our key; 0: there is none */
    int64_t need;    /* revision that the file has to be at before there is a point in another transaction */
    bool stale;      /* the file is to be made anew */
    uint64_t number; /* of our last transaction */
    int64_t time_s;  /* when it was */
    /* The transaction that nobody knows the outcome of. */
    bool doubt;
    int64_t doubt_head;
    struct mirror_stats stats;
};

/* ---- Names ---- */

/* What a transaction leaves at head and at its writer's key. */
static void mark(const struct mirror *m, const char *what, char ret[MARK_MAX])
{
    snprintf(ret, MARK_MAX, "{\"writer\":\"%s\",\"%s\":%" PRIu64 ",\"time_s\":%" PRId64 "}", m->id, what,
             m->number, m->time_s);
}

static enum tw_rc make_names(struct mirror *m, struct tw_err *err)
{
    uint64_t id;

    if (RAND_bytes((unsigned char *)&id, sizeof id) != 1)
        return tw_err_set(err, TW_EIO, "no random numbers");
    snprintf(m->id, sizeof m->id, "%016" PRIx64, id);
    snprintf(m->prefix, sizeof m->prefix, "/twampmesh/%s/", m->conf.at->name);
    snprintf(m->head_key, sizeof m->head_key, "%shead", m->prefix);
    snprintf(m->writer_key, sizeof m->writer_key, "%swriter/%s", m->prefix, m->id);
    return TW_OK;
}

static const struct etcd_kv *find(const struct etcd_answer *a, const char *key)
{
    for (size_t i = 0; i < a->n; i++)
        if (!strcmp(a->kv[i].key, key))
            return &a->kv[i];
    return NULL;
}

static int64_t revision_of(const struct etcd_kv *kv)
{
    return kv ? kv->mod_revision : 0;
}

static void need(struct mirror *m, int64_t revision)
{
    m->need = revision > m->need ? revision : m->need;
}

/* ---- One transaction of etcd ---- */

/* Once it is known. */
struct outcome {
    bool done;
    int64_t revision; /* done: its own */
};

/* A compare did not hold: ours was done all the same, if this is a repetition of it; or others came first. */
static struct outcome judge(struct mirror *m, const struct etcd_answer *a)
{
    const struct etcd_kv *head = find(a, m->head_key), *writer = find(a, m->writer_key);
    char own[MARK_MAX];

    mark(m, "txn", own);
    m->writer = revision_of(writer);
    need(m, revision_of(head));
    if (writer && !strcmp(writer->value, own))
        return (struct outcome){ true, writer->mod_revision };
    return (struct outcome){ false, 0 };
}

/* If head and our key are as we know them. ret->done: it was so, or `then` was done by an earlier try. */
static enum tw_rc attempt(struct mirror *m, int64_t head, const struct etcd_op *then, size_t n,
                          bool *ret_held, struct outcome *ret, struct tw_err *err)
{
    const struct etcd_compare compare[] = { { m->head_key, head, false },
                                            { m->writer_key, m->writer, false } };
    const struct etcd_op otherwise[] = { { ETCD_GET, m->head_key, NULL, 0, 0 },
                                         { ETCD_GET, m->writer_key, NULL, 0, 0 } };
    struct etcd_answer a;
    enum tw_rc rc = etcd_txn(
        m->e, &(struct etcd_txn){ compare, TW_NELEM(compare), then, otherwise, n, TW_NELEM(otherwise) }, &a,
        err);

    if (rc)
        return rc;
    *ret_held = a.succeeded;
    *ret = a.succeeded ? (struct outcome){ true, a.revision } : judge(m, &a);
    etcd_answer_free(&a);
    return TW_OK;
}

/* Changes head, so that our transaction cannot come any more; or finds that it did, or that others changed
 * head. */
static enum tw_rc bar(struct mirror *m, int64_t head, struct outcome *ret, struct tw_err *err)
{
    char text[MARK_MAX];
    struct etcd_op put = { ETCD_PUT, m->head_key, text, 0, 0 };
    struct outcome o;
    bool barred;
    enum tw_rc rc;

    mark(m, "barred", text);
    put.value_len = strlen(text);
    rc = attempt(m, head, &put, 1, &barred, &o, err);
    if (rc)
        return rc;
    need(m, o.revision);
    *ret = barred ? (struct outcome){ false, 0 } : o;
    return TW_OK;
}

static void rest(void)
{
    const struct timespec ts = { .tv_nsec = PAUSE_NS };

    nanosleep(&ts, NULL);
}

/* Until it is known, or time is up. */
static enum tw_rc settle(struct mirror *m, int64_t head, struct outcome *ret, struct tw_err *err)
{
    int64_t by_ns = tw_mono_now().ns + (m->conf.settle_ns ? m->conf.settle_ns : 10 * TW_NS_PER_S);
    struct tw_err why = { 0 };
    enum tw_rc rc;

    while ((rc = bar(m, head, ret, &why)) != TW_OK && rc != TW_ECLOSED && tw_mono_now().ns < by_ns)
        rest();
    m->doubt = rc != TW_OK;
    m->doubt_head = head;
    m->stats.settled += rc == TW_OK;
    return rc ? tw_err_set(err, rc, "it is not known whether a change is stored: %.180s", why.text) : TW_OK;
}

static enum tw_rc conflict(struct mirror *m, struct tw_err *err)
{
    m->stats.conflicts++;
    return tw_err_set(err, TW_EAGAIN, "another controller changed the control state first");
}

/* One of our own. `then` has room for two more. */
static enum tw_rc send_one(struct mirror *m, int64_t *head, struct etcd_op *then, size_t n,
                           struct tw_err *err)
{
    char own[MARK_MAX];
    struct outcome o = { false, 0 };
    enum tw_rc rc, failed;
    bool held;

    m->number++;
    m->time_s = tw_wall_now().ns / TW_NS_PER_S;
    mark(m, "txn", own);
    then[n++] = (struct etcd_op){ ETCD_PUT, m->head_key, own, strlen(own), 0 };
    then[n++] = (struct etcd_op){ ETCD_PUT, m->writer_key, own, strlen(own), 0 };
    failed = attempt(m, *head, then, n, &held, &o, err);
    if (failed && (rc = settle(m, *head, &o, err)) != TW_OK)
        return rc;
    if (o.done) {
        m->writer = *head = o.revision;
        m->stats.transactions++;
        return TW_OK;
    }
    if (failed)
        return failed; /* the text is of the first try */
    return conflict(m, err);
}

/* ---- A transaction of the store's ---- */

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
static enum tw_rc send_part(struct mirror *m, const struct mirror_changes *c, enum part part, int64_t *head,
                            struct tw_err *err)
{
    struct batch *b = malloc(sizeof *b);
    enum tw_rc rc = TW_OK;

    if (!b)
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    b->c = c;
    b->part = part;
    b->at = 0;
    while (!rc && fill(m, b))
        rc = send_one(m, head, b->op, b->n, err);
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
static enum tw_rc send_all(struct mirror *m, const struct mirror_changes *c, int64_t *head,
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
    int64_t head;
    enum tw_rc rc = etcd_get(m->e, m->head_key, &a, err);

    if (rc)
        return rc;
    head = revision_of(find(&a, m->head_key));
    etcd_answer_free(&a);
    need(m, head);
    return head == m->head ? TW_OK : conflict(m, err);
}

static enum tw_rc agree(struct control_shared *shared, struct tw_err *err)
{
    struct mirror *m = (struct mirror *)shared;
    struct mirror_changes c = { .n = 0 };
    int64_t head = m->head;
    enum tw_rc rc = mirror_rows_changes(m->rows, &c, err);

    if (!rc && c.n)
        rc = send_all(m, &c, &head, err);
    else if (!rc && m->q->touched)
        rc = check_head(m, err);
    if (!rc && mirror_rows_settle(m->rows, &c, err)) /* it is done all the same */
        m->stale = true;
    mirror_changes_free(&c);
    if (rc) {
        need(m, head > m->head ? head : 0);
        return rc;
    }
    m->head = head;
    m->at = head > m->at ? head : m->at;
    return TW_OK;
}

static void done(struct control_shared *shared, bool committed)
{
    struct mirror *m = (struct mirror *)shared;

    m->stale |= !committed;
}

/* ---- What others did ---- */

static enum tw_rc exec(struct mirror *m, const char *sql, struct tw_err *err)
{
    return sq_exec(m->q, sql, err);
}

static void tell(struct mirror *m, const char *key)
{
    if (m->conf.changed)
        m->conf.changed(m->conf.ctx, key);
}

/* {"version":N,"floor":N}: the newest program that was at work, and what one must know at least. */
static enum tw_rc check_schema(const struct mirror *m, const char *value, int64_t *ret_version,
                               struct tw_err *err)
{
    cJSON *o = cJSON_Parse(value);
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(o, "version"),
                *floor = cJSON_GetObjectItemCaseSensitive(o, "floor");
    enum tw_rc rc = TW_OK;

    if (!cJSON_IsNumber(version) || !cJSON_IsNumber(floor))
        rc = tw_err_set(err, TW_ECORRUPT,
                        "etcd: %sschema is no version: this is no control state of twampmesh", m->prefix);
    else if (floor->valuedouble > (double)*store_spec.n_migrations)
        rc = tw_err_set(
            err, TW_EVERSION,
            "etcd: %sschema: a newer release was at work (schema %d, this one knows %zu): use that one",
            m->prefix, floor->valueint, *store_spec.n_migrations);
    else
        *ret_version = version->valueint;
    cJSON_Delete(o);
    return rc;
}

struct loading {
    struct mirror *m;
    struct mirror_changes c;
    struct tw_err *err;
    int64_t head, schema, schema_version, writer;
    char *old[16]; /* writers that have gone */
    int64_t old_revision[16];
    size_t n_old;
};

static enum tw_rc flush(struct loading *l)
{
    enum tw_rc rc = mirror_rows_apply(l->m->rows, l->c.v, l->c.n, l->err);

    mirror_changes_free(&l->c);
    return rc;
}

static enum tw_rc add_row(struct loading *l, unsigned table, const char *key, const struct etcd_kv *kv)
{
    struct mirror_change ch = { .table = table, .len = kv->value_len };

    if (strlen(kv->value) != kv->value_len)
        return tw_err_set(l->err, TW_ECORRUPT, "etcd: %.100s is no text", kv->key);
    if (!l->c.v)
        l->c.v = calloc(PAGE, sizeof *l->c.v);
    ch.key = strdup(key);
    ch.value = strdup(kv->value);
    if (!l->c.v || !ch.key || !ch.value) {
        free(ch.key);
        free(ch.value);
        return tw_err_set(l->err, TW_ENOMEM, "etcd: out of memory");
    }
    l->c.v[l->c.n++] = ch;
    return l->c.n == PAGE ? flush(l) : TW_OK;
}

static void note_writer(struct loading *l, const struct etcd_kv *kv)
{
    cJSON *o = cJSON_Parse(kv->value);
    const cJSON *time = cJSON_GetObjectItemCaseSensitive(o, "time_s");
    bool old = cJSON_IsNumber(time) && time->valuedouble * 1e9 < (double)(tw_wall_now().ns - WRITER_NS);

    cJSON_Delete(o);
    if (!strcmp(kv->key, l->m->writer_key))
        l->writer = kv->mod_revision;
    else if (old && l->n_old < TW_NELEM(l->old) && (l->old[l->n_old] = strdup(kv->key)))
        l->old_revision[l->n_old++] = kv->mod_revision;
}

static enum tw_rc load_key(void *ctx, const struct etcd_kv *kv)
{
    struct loading *l = ctx;
    const char *key = kv->key + strlen(l->m->prefix);
    unsigned table = mirror_rows_table(key);

    if (table != UINT_MAX)
        return add_row(l, table, key, kv);
    if (!strcmp(key, "head"))
        l->head = kv->mod_revision;
    else if (!strncmp(key, "writer/", 7))
        note_writer(l, kv);
    else if (!strcmp(key, "schema")) {
        l->schema = kv->mod_revision;
        return check_schema(l->m, kv->value, &l->schema_version, l->err);
    }
    return TW_OK;
}

static enum tw_rc load_into(struct loading *l, int64_t *ret_revision)
{
    struct mirror *m = l->m;
    enum tw_rc rc = exec(m, "BEGIN IMMEDIATE", l->err);

    if (!rc)
        rc = mirror_rows_wipe(m->rows, l->err);
    if (!rc)
        rc = etcd_each(m->e, m->prefix, PAGE, load_key, l, ret_revision, l->err);
    if (!rc)
        rc = flush(l);
    if (!rc)
        rc = mirror_rows_end(m->rows, l->err);
    if (!rc)
        rc = exec(m, "COMMIT", l->err);
    if (rc)
        sq_rollback(m->q);
    mirror_changes_free(&l->c);
    return rc;
}

static enum tw_rc load(struct mirror *m, struct loading *l, struct tw_err *err)
{
    int64_t revision = 0;
    enum tw_rc rc;

    *l = (struct loading){ .m = m, .err = err };
    rc = load_into(l, &revision);
    if (rc)
        return rc;
    m->at = revision;
    m->head = l->head;
    m->writer = l->writer;
    m->stale = false;
    m->stats.loads++;
    tell(m, "");
    return TW_OK;
}

static void free_loading(struct loading *l)
{
    while (l->n_old)
        free(l->old[--l->n_old]);
}

static enum tw_rc load_again(struct mirror *m, struct tw_err *err)
{
    struct loading l;
    enum tw_rc rc = load(m, &l, err);

    free_loading(&l);
    return rc;
}

/* What is at one revision. */
struct moment {
    struct mirror_changes c;
    int64_t head;
    enum tw_rc rc;
};

/* Takes the event. */
static void add_event(struct mirror *m, struct mirror_event *e, struct moment *to, struct tw_err *err)
{
    struct mirror_change ch = { mirror_rows_table(e->key), e->key, e->value, e->len }, *more;
    int64_t version;

    if (!strcmp(e->key, "head"))
        to->head = e->value ? e->revision : 0;
    if (!strcmp(e->key, "schema") && e->value && !to->rc)
        to->rc = check_schema(m, e->value, &version, err);
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
            tell(m, now.c.v[i].key);
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
    enum tw_rc rc = list ? exec(m, "BEGIN IMMEDIATE", err) : TW_OK;
    bool began = list && !rc;

    while (list && !rc)
        rc = apply_one(m, &list, err);
    if (began && !rc)
        rc = mirror_rows_end(m->rows, err);
    if (began && !rc)
        rc = exec(m, "COMMIT", err);
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
    enum tw_rc rc = lost || m->stale ? load_again(m, err) : TW_OK;

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
    rc = load_again(m, err);
    return rc ? rc : tw_err_set(err, TW_EINVAL, "control state was changed outside of a transaction: undone");
}

static enum tw_rc follow(struct control_shared *shared, struct tw_err *err)
{
    struct mirror *m = (struct mirror *)shared;
    struct outcome ignored; /* if it was done, it comes as what others do */
    enum tw_rc rc = m->doubt ? settle(m, m->doubt_head, &ignored, err) : check_untold(m, err);

    if (!rc && m->need > m->at)
        mirror_feed_wait(m->feed, m->need, FOLLOW_NS);
    if (!rc)
        rc = take_events(m, err);
    if (!rc && m->need > m->at)
        rc = load_again(m, err);
    return rc;
}

/* ---- Opening and closing ---- */

static void hurry(struct control_shared *shared, int64_t by_mono_ns)
{
    etcd_hurry(((struct mirror *)shared)->e, by_mono_ns);
}

/* Our key is no use to anybody, unless the last transaction is in doubt. */
static void leave(struct mirror *m)
{
    const struct etcd_compare compare = { m->writer_key, m->writer, false };
    const struct etcd_op then = { ETCD_DELETE, m->writer_key, NULL, 0, 0 };
    struct etcd_answer a;
    struct tw_err ignored;

    if (m->writer && !m->doubt &&
        !etcd_txn(m->e, &(struct etcd_txn){ &compare, 1, &then, NULL, 1, 0 }, &a, &ignored))
        etcd_answer_free(&a);
}

static void close_mirror(struct control_shared *shared)
{
    struct mirror *m = (struct mirror *)shared;

    mirror_feed_stop(m->feed);
    if (m->e)
        leave(m);
    etcd_free(m->e);
    mirror_rows_free(m->rows);
    free(m);
}

static void remove_old_writers(struct mirror *m, const struct loading *l)
{
    for (size_t i = 0; i < l->n_old; i++) {
        const struct etcd_compare compare = { l->old[i], l->old_revision[i], false };
        const struct etcd_op then = { ETCD_DELETE, l->old[i], NULL, 0, 0 };
        struct etcd_answer a;
        struct tw_err ignored;
        if (!etcd_txn(m->e, &(struct etcd_txn){ &compare, 1, &then, NULL, 1, 0 }, &a, &ignored))
            etcd_answer_free(&a);
    }
}

/* Says that this release is at work, if it is the newest; TW_EAGAIN: somebody else said something. */
static enum tw_rc say_schema(struct mirror *m, const struct loading *l, struct tw_err *err)
{
    char key[128], value[64];
    const struct etcd_compare compare = { key, l->schema, false };
    struct etcd_op then = { ETCD_PUT, key, value, 0, 0 };
    size_t version = *store_spec.n_migrations;
    struct etcd_answer a;
    enum tw_rc rc;

    if (l->schema_version >= (int64_t)version)
        return TW_OK;
    snprintf(key, sizeof key, "%sschema", m->prefix);
    then.value_len = (size_t)snprintf(value, sizeof value, "{\"version\":%zu,\"floor\":%zu}", version,
                                      sq_floor(&store_spec, version));
    rc = etcd_txn(m->e, &(struct etcd_txn){ &compare, 1, &then, NULL, 1, 0 }, &a, err);
    if (rc)
        return rc;
    rc = a.succeeded
             ? TW_OK
             : tw_err_set(err, TW_EAGAIN, "another controller began to work on the control state at once");
    etcd_answer_free(&a);
    return rc;
}

static enum tw_rc first_load(struct mirror *m, struct tw_err *err)
{
    enum tw_rc rc = TW_EAGAIN;

    for (int tries = 0; rc == TW_EAGAIN && tries < 5; tries++) {
        struct loading l;
        rc = load(m, &l, err);
        if (!rc)
            rc = say_schema(m, &l, err);
        if (!rc)
            remove_old_writers(m, &l);
        free_loading(&l);
    }
    return rc;
}

static enum tw_rc start(struct mirror *m, struct tw_err *err)
{
    struct etcd *watcher = NULL;
    enum tw_rc rc = make_names(m, err);

    if (!rc)
        rc = etcd_new(m->conf.at, m->conf.stall_ns, &m->e, err);
    if (!rc)
        rc = mirror_rows_new(m->q, &m->rows, err);
    if (!rc)
        rc = first_load(m, err);
    if (!rc)
        rc = etcd_new(m->conf.at, m->conf.watch_ns ? m->conf.watch_ns : 60 * TW_NS_PER_S, &watcher, err);
    return rc ? rc : mirror_feed_start(watcher, m->prefix, m->at + 1, &m->feed, err);
}

enum tw_rc mirror_open(const struct mirror_conf *conf, struct history *history, struct store **ret,
                       struct tw_err *err)
{
    struct store *s;
    struct mirror *m;
    enum tw_rc rc = store_open_with(conf->file, history, &s, err);

    if (rc)
        return rc;
    m = calloc(1, sizeof *m);
    if (!m) {
        store_close(s);
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    }
    m->shared = (struct control_shared){ follow, agree, done, hurry, close_mirror };
    m->conf = *conf;
    m->q = s->q;
    s->shared = &m->shared;
    rc = start(m, err);
    m->conf.at = NULL; /* the caller's */
    m->conf.file = NULL;
    if (rc) {
        store_close(s);
        return rc;
    }
    *ret = s;
    return TW_OK;
}

enum tw_rc mirror_follow(struct store *s, struct tw_err *err)
{
    return follow(s->shared, err);
}

struct mirror_stats mirror_stats(const struct store *s)
{
    struct mirror *m = (struct mirror *)s->shared;
    struct mirror_stats stats = m->stats;

    stats.revision = m->at;
    return stats;
}
