#include "db/etcd/mirror.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clk.h"
#include "db/etcd/mirror_priv.h"

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

/* The first member stands for all. */
static void make_address(struct mirror *m)
{
    const char *mark = strstr(m->conf.at->endpoints[0], "://");

    snprintf(m->address, sizeof m->address, "%.90s/%s", mark ? mark + 3 : m->conf.at->endpoints[0],
             m->conf.at->name);
}

static void listen(struct control_shared *shared, void (*fn)(void *ctx, const char *key), void *ctx)
{
    struct mirror *m = (struct mirror *)shared;

    m->conf.changed = fn;
    m->conf.ctx = ctx;
}

static void info(struct control_shared *shared, struct store_shared_info *ret)
{
    const struct mirror *m = (const struct mirror *)shared;
    struct tw_err why = m->blind;

    if (!why.rc && m->look)
        why.rc = mirror_look_last(m->look, &why);
    ret->away = why.rc != TW_OK;
    snprintf(ret->why, sizeof ret->why, "%s", ret->away ? why.text : "");
    snprintf(ret->address, sizeof ret->address, "%s", m->address);
    ret->revision = m->at;
    ret->transactions = m->stats.transactions;
    ret->conflicts = m->stats.conflicts;
    ret->loads = m->stats.loads;
    ret->settled = m->stats.settled;
}

static void fence(struct control_shared *shared, const char *role, int64_t number)
{
    struct mirror *m = (struct mirror *)shared;

    snprintf(m->fence_key, sizeof m->fence_key, "%sholder/%s", m->prefix, role);
    m->fence = number;
}

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

    mirror_look_stop(m->look);
    mirror_feed_stop(m->feed);
    if (m->e)
        leave(m);
    etcd_free(m->e);
    mirror_rows_free(m->rows);
    free(m);
}

static void remove_old_writers(struct mirror *m, const struct mirror_loading *l)
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
static enum tw_rc say_schema(struct mirror *m, const struct mirror_loading *l, struct tw_err *err)
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
        struct mirror_loading l;
        rc = mirror_load(m, &l, err);
        if (!rc)
            rc = say_schema(m, &l, err);
        if (!rc)
            remove_old_writers(m, &l);
        mirror_free_loading(&l);
    }
    return rc;
}

static enum tw_rc start_look(struct mirror *m, struct tw_err *err)
{
    struct etcd *e;
    enum tw_rc rc = etcd_new(m->conf.at, m->conf.stall_ns, &e, err);

    return rc ? rc : mirror_look_start(e, m->head_key, m->conf.look_ns, &m->look, err);
}

static enum tw_rc start(struct mirror *m, struct tw_err *err)
{
    struct etcd *watcher = NULL;
    enum tw_rc rc = make_names(m, err);

    make_address(m);

    if (!rc)
        rc = etcd_new(m->conf.at, m->conf.stall_ns, &m->e, err);
    if (!rc)
        rc = mirror_rows_new(m->q, &m->rows, err);
    if (!rc)
        rc = first_load(m, err);
    if (!rc)
        rc = etcd_new(m->conf.at, m->conf.watch_ns ? m->conf.watch_ns : 60 * TW_NS_PER_S, &watcher, err);
    if (!rc)
        rc = mirror_feed_start(watcher, m->prefix, m->at + 1, &m->head, &m->feed, err);
    return rc || !m->conf.look_ns ? rc : start_look(m, err);
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
    m->shared = (struct control_shared){ .follow = mirror_take_in,
                                         .agree = mirror_agree,
                                         .done = mirror_done,
                                         .hurry = hurry,
                                         .listen = listen,
                                         .info = info,
                                         .fence = fence,
                                         .close = close_mirror };
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

struct mirror_stats mirror_stats(const struct store *s)
{
    struct mirror *m = (struct mirror *)s->shared;
    struct mirror_stats stats = m->stats;

    stats.revision = m->at;
    return stats;
}
