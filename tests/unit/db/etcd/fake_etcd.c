#include "tests/unit/db/etcd/fake_etcd.h"

#include <stdatomic.h>
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clk.h"
#include "common/splitmix.h"

enum { LATER = 16 };

struct key {
    char *key, *value;
    size_t len;
    int64_t created, modified, lease;
};

/* A change, or a transaction that is under way. */
struct event {
    char *key, *value; /* value NULL: deleted */
    size_t len;
    int64_t revision;
};
struct late {
    struct etcd_txn t;
    unsigned wait; /* transactions from now */
};

struct etcd {
    bool interrupted, watches;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct key *key;
    size_t n;
    struct event *event;
    size_t n_events;
    int64_t revision, compacted;
    struct late late[LATER];
    size_t n_late;
    unsigned one_in, transactions, breaks;
    int64_t first_lease, last_lease; /* those between are alive */
    bool down, cut;
    enum tw_rc refuse;
    atomic_bool silent;
    uint64_t seed;
    struct key *saved;
    size_t n_saved;
    int64_t saved_revision;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER, .revision = 1 };

static void *must(void *p)
{
    assert(p);
    return p;
}

static char *dup(const char *p, size_t len)
{
    char *to = must(malloc(len + 1));

    memcpy(to, p, len);
    to[len] = '\0';
    return to;
}

/* ---- Keys ---- */

static struct key *find(const char *key)
{
    for (size_t i = 0; i < server.n; i++)
        if (!strcmp(server.key[i].key, key))
            return &server.key[i];
    return NULL;
}

static void note(const char *key, const char *value, size_t len, int64_t revision)
{
    server.event = must(reallocarray(server.event, server.n_events + 1, sizeof *server.event));
    server.event[server.n_events++] =
        (struct event){ dup(key, strlen(key)), value ? dup(value, len) : NULL, len, revision };
}

static void put(const char *key, const char *value, size_t len, int64_t lease, int64_t revision)
{
    struct key *k = find(key);

    if (!k) {
        server.key = must(reallocarray(server.key, server.n + 1, sizeof *server.key));
        k = &server.key[server.n++];
        *k = (struct key){ .key = dup(key, strlen(key)), .created = revision };
    }
    free(k->value);
    k->value = dup(value, len);
    k->len = len;
    k->modified = revision;
    k->lease = lease;
    note(key, value, len, revision);
}

static bool delete (const char *key, int64_t revision)
{
    struct key *k = find(key);

    if (!k)
        return false;
    free(k->key);
    free(k->value);
    *k = server.key[--server.n];
    note(key, NULL, 0, revision);
    return true;
}

/* ---- Answers: one block, that etcd_answer_free() frees ---- */

static void fill(struct etcd_kv *to, char **text, const char *key, const char *value, size_t len)
{
    to->key = strcpy(*text, key);
    *text += strlen(key) + 1;
    to->value = memcpy(*text, value ? value : "", len);
    to->value_len = len;
    (*text)[len] = '\0';
    *text += len + 1;
}

static void answer_keys(struct etcd_answer *a, struct key **v, size_t n)
{
    size_t size = n * sizeof *a->kv + 1;
    char *text;

    for (size_t i = 0; i < n; i++)
        size += strlen(v[i]->key) + v[i]->len + 2;
    a->kv = must(calloc(1, size));
    text = (char *)(a->kv + n);
    a->n = n;
    for (size_t i = 0; i < n; i++) {
        fill(&a->kv[i], &text, v[i]->key, v[i]->value, v[i]->len);
        a->kv[i].create_revision = v[i]->created;
        a->kv[i].mod_revision = v[i]->modified;
    }
}

static void answer_events(struct etcd_answer *a, const struct event *v, size_t n)
{
    size_t size = n * sizeof *a->kv + 1;
    char *text;

    for (size_t i = 0; i < n; i++)
        size += strlen(v[i].key) + v[i].len + 2;
    a->kv = must(calloc(1, size));
    text = (char *)(a->kv + n);
    a->n = n;
    for (size_t i = 0; i < n; i++) {
        fill(&a->kv[i], &text, v[i].key, v[i].value, v[i].len);
        a->kv[i].mod_revision = v[i].revision;
        a->kv[i].deleted = !v[i].value;
    }
}

/* ---- Transactions ---- */

static bool holds(const struct etcd_txn *t)
{
    for (size_t i = 0; i < t->n_compare; i++) {
        const struct key *k = find(t->compare[i].key);
        if ((k ? t->compare[i].created ? k->created : k->modified : 0) != t->compare[i].revision)
            return false;
    }
    return true;
}

static void run(const struct etcd_txn *t, struct etcd_answer *ret)
{
    bool held = holds(t), changed = false;
    const struct etcd_op *op = held ? t->then : t->otherwise;
    size_t n = held ? t->n_then : t->n_otherwise, n_got = 0;
    struct key *got[128];

    assert(n <= 128 && t->n_compare <= 128);
    server.transactions++;
    for (size_t i = 0; i < n; i++) {
        if (op[i].kind == ETCD_PUT)
            put(op[i].key, op[i].value, op[i].value_len, op[i].lease, server.revision + 1);
        changed |=
            op[i].kind == ETCD_PUT || (op[i].kind == ETCD_DELETE && delete (op[i].key, server.revision + 1));
        if (op[i].kind == ETCD_GET && find(op[i].key))
            got[n_got++] = find(op[i].key);
    }
    server.revision += changed;
    *ret = (struct etcd_answer){ .revision = server.revision, .succeeded = held, .token = "", .reason = "" };
    answer_keys(ret, got, n_got);
    pthread_cond_broadcast(&server.moved);
}

static void run_unheard(const struct etcd_txn *t)
{
    struct etcd_answer a;

    run(t, &a);
    etcd_answer_free(&a);
}

static void forget(struct late *l)
{
    for (size_t i = 0; i < l->t.n_compare; i++)
        free((char *)l->t.compare[i].key);
    for (size_t i = 0; i < l->t.n_then; i++) {
        free((char *)l->t.then[i].key);
        free((char *)l->t.then[i].value);
    }
    free((void *)l->t.compare);
    free((void *)l->t.then);
}

/* It comes later; of its answer nobody hears. */
static void keep(const struct etcd_txn *t, unsigned wait)
{
    struct etcd_compare *compare = must(calloc(t->n_compare + 1, sizeof *compare));
    struct etcd_op *then = must(calloc(t->n_then + 1, sizeof *then));

    if (server.n_late == LATER) {
        free(compare);
        free(then);
        return;
    }
    for (size_t i = 0; i < t->n_compare; i++) {
        compare[i] = t->compare[i];
        compare[i].key = dup(t->compare[i].key, strlen(t->compare[i].key));
    }
    for (size_t i = 0; i < t->n_then; i++) {
        then[i] = t->then[i];
        then[i].key = dup(then[i].key, strlen(then[i].key));
        then[i].value = dup(then[i].value ? then[i].value : "", then[i].value_len);
    }
    server.late[server.n_late++] = (struct late){ { compare, t->n_compare, then, NULL, t->n_then, 0 }, wait };
}

static void pass_time(void)
{
    for (size_t i = 0; i < server.n_late; i++)
        if (!server.late[i].wait--) {
            run_unheard(&server.late[i].t);
            forget(&server.late[i]);
            server.late[i--] = server.late[--server.n_late];
        }
}

static enum tw_rc silent(struct tw_err *err)
{
    return tw_err_set(err, TW_ETIMEOUT, "etcd fake: no answer");
}

/* Does its part of what goes wrong; true: nobody is answered. */
static bool goes_wrong(const struct etcd_txn *t)
{
    uint64_t how = server.one_in && tw_splitmix64(&server.seed) % server.one_in == 0
                       ? 1 + tw_splitmix64(&server.seed) % 4
                       : 0;

    if (server.down)
        how = 1 + tw_splitmix64(&server.seed) % 3;
    if (how == 2 || how == 4) /* 4: it comes again */
        run_unheard(t);
    if (how == 3)
        keep(t, (unsigned)(tw_splitmix64(&server.seed) % 4));
    return how && how != 4;
}

static bool puts_any(const struct etcd_txn *t)
{
    for (size_t i = 0; i < t->n_then; i++)
        if (t->then[i].kind == ETCD_PUT)
            return true;
    return false;
}

enum tw_rc etcd_txn(struct etcd *e, const struct etcd_txn *t, struct etcd_answer *ret, struct tw_err *err)
{
    bool lost, ended = false;
    enum tw_rc refuse;

    (void)e;
    pthread_mutex_lock(&server.lock);
    pass_time();
    for (size_t i = 0; i < t->n_then; i++)
        ended |= t->then[i].lease && t->then[i].lease <= server.first_lease;
    refuse = puts_any(t) ? server.refuse : TW_OK;
    lost = !ended && !refuse && goes_wrong(t);
    if (!lost && !ended && !refuse)
        run(t, ret);
    pthread_mutex_unlock(&server.lock);
    if (refuse)
        return tw_err_set(err, refuse, "etcd fake: refused");
    if (ended)
        return tw_err_set(err, TW_ENOENT, "etcd fake: no such lease");
    return lost ? silent(err) : TW_OK;
}

/* ---- Leases: they end when the test says so ---- */

/* Under the lock: those from `first` to `last`. */
static void end_leases(int64_t first, int64_t last)
{
    bool changed = false;

    for (size_t i = 0; i < server.n; i++)
        if (server.key[i].lease && server.key[i].lease >= first && server.key[i].lease <= last) {
            char *key = dup(server.key[i].key, strlen(server.key[i].key));

            changed |= delete (key, server.revision + 1);
            free(key);
            i--; /* another one is in its place */
        }
    server.revision += changed;
    pthread_cond_broadcast(&server.moved);
}

enum tw_rc etcd_grant(struct etcd *e, int64_t ttl_s, int64_t *ret_id, int64_t *ret_ttl_s, struct tw_err *err)
{
    (void)e;
    if (server.silent)
        return silent(err);
    pthread_mutex_lock(&server.lock);
    *ret_id = ++server.last_lease;
    *ret_ttl_s = ttl_s;
    pthread_mutex_unlock(&server.lock);
    return TW_OK;
}

enum tw_rc etcd_keep(struct etcd *e, int64_t id, int64_t *ret_ttl_s, struct tw_err *err)
{
    bool alive;

    (void)e;
    if (server.silent)
        return silent(err);
    pthread_mutex_lock(&server.lock);
    alive = id > server.first_lease;
    pthread_mutex_unlock(&server.lock);
    *ret_ttl_s = 10;
    return alive ? TW_OK : tw_err_set(err, TW_ENOENT, "etcd fake: no such lease");
}

enum tw_rc etcd_revoke(struct etcd *e, int64_t id, struct tw_err *err)
{
    (void)e;
    (void)err;
    pthread_mutex_lock(&server.lock);
    end_leases(id, id);
    pthread_mutex_unlock(&server.lock);
    return TW_OK;
}

void fake_etcd_end_leases(void)
{
    pthread_mutex_lock(&server.lock);
    end_leases(1, server.last_lease);
    server.first_lease = server.last_lease;
    pthread_mutex_unlock(&server.lock);
}

/* ---- Reading ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp((*(struct key *const *)a)->key, (*(struct key *const *)b)->key);
}

static void snapshot(const char *prefix, struct etcd_answer *ret)
{
    struct key **v;
    size_t n = 0;

    pthread_mutex_lock(&server.lock);
    v = must(calloc(server.n + 1, sizeof *v));
    for (size_t i = 0; i < server.n; i++)
        if (!strncmp(server.key[i].key, prefix, strlen(prefix)))
            v[n++] = &server.key[i];
    qsort(v, n, sizeof *v, by_key);
    *ret = (struct etcd_answer){ .revision = server.revision, .token = "", .reason = "" };
    answer_keys(ret, v, n);
    free(v);
    pthread_mutex_unlock(&server.lock);
}

static bool is_cut(const struct etcd *e)
{
    bool cut;

    pthread_mutex_lock(&server.lock);
    cut = server.cut && e && e->watches;
    pthread_mutex_unlock(&server.lock);
    return cut;
}

enum tw_rc etcd_get(struct etcd *e, const char *key, struct etcd_answer *ret, struct tw_err *err)
{
    if (server.silent || is_cut(e))
        return tw_err_set(err, TW_EIO, "etcd: nobody answers");
    snapshot(key, ret);
    ret->n = ret->n && !strcmp(ret->kv[0].key, key);
    return TW_OK;
}

static atomic_uint compact_reads;

enum tw_rc etcd_each(struct etcd *e, const char *prefix, int64_t page,
                     enum tw_rc (*fn)(void *ctx, const struct etcd_kv *kv), void *ctx, int64_t *ret_revision,
                     struct tw_err *err)
{
    struct etcd_answer a;
    enum tw_rc rc = TW_OK;

    (void)e;
    (void)page;
    snapshot(prefix, &a);
    for (size_t i = 0; i < a.n && !rc; i++)
        rc = fn(ctx, &a.kv[i]);
    if (!rc && compact_reads && compact_reads--)
        rc = tw_err_set(err, TW_ERANGE, "etcd fake: required revision has been compacted");
    *ret_revision = a.revision;
    etcd_answer_free(&a);
    return rc;
}

/* The events of one revision, from *at on; *at is behind them then. */
static bool next_moment(const char *prefix, int64_t from, size_t *at, struct etcd_answer *ret)
{
    struct event *v = must(calloc(server.n_events + 1, sizeof *v));
    size_t n = 0;

    for (; *at < server.n_events && (!n || server.event[*at].revision == v[0].revision); ++*at)
        if (server.event[*at].revision >= from && !strncmp(server.event[*at].key, prefix, strlen(prefix)))
            v[n++] = server.event[*at];
    *ret = (struct etcd_answer){ .revision = server.revision, .token = "", .reason = "" };
    if (n)
        answer_events(ret, v, n);
    free(v);
    return n > 0;
}

enum tw_rc etcd_watch(struct etcd *e, const char *prefix, int64_t revision,
                      enum tw_rc (*fn)(void *ctx, const struct etcd_answer *a), void *ctx, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;
    unsigned breaks;
    size_t at = 0;

    pthread_mutex_lock(&server.lock);
    breaks = server.breaks;
    e->watches = true;
    if (server.cut)
        rc = tw_err_set(err, TW_EIO, "etcd fake: nobody answers who watches");
    else if (revision <= server.compacted)
        rc = tw_err_set(err, TW_ERANGE, "etcd fake: compacted");
    while (!rc) {
        struct etcd_answer a;
        if (e->interrupted)
            rc = TW_ECLOSED;
        else if (breaks != server.breaks)
            rc = tw_err_set(err, TW_EIO, "etcd fake: the watch was ended");
        else if (next_moment(prefix, revision, &at, &a)) {
            pthread_mutex_unlock(&server.lock);
            rc = fn(ctx, &a);
            etcd_answer_free(&a);
            pthread_mutex_lock(&server.lock);
        } else {
            pthread_cond_wait(&server.moved, &server.lock);
        }
    }
    pthread_mutex_unlock(&server.lock);
    return rc;
}

/* ---- Clients ---- */

enum tw_rc etcd_new(const struct http_location *l, int64_t stall_ns, struct etcd **ret, struct tw_err *err)
{
    (void)l;
    (void)stall_ns;
    (void)err;
    *ret = must(calloc(1, sizeof **ret));
    return TW_OK;
}

void etcd_free(struct etcd *e)
{
    free(e);
}

void etcd_interrupt(struct etcd *e)
{
    pthread_mutex_lock(&server.lock);
    e->interrupted = true;
    pthread_cond_broadcast(&server.moved);
    pthread_mutex_unlock(&server.lock);
}

struct http_client_stats etcd_stats(const struct etcd *e)
{
    (void)e;
    return (struct http_client_stats){ .moves =
                                           server.down }; /* an answer got lost, and another member says no */
}

void etcd_hurry(struct etcd *e, int64_t by_mono_ns)
{
    (void)e;
    (void)by_mono_ns;
}

/* ---- The test's ---- */

static void free_keys(struct key *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(v[i].key);
        free(v[i].value);
    }
    free(v);
}

static struct key *copy_keys(const struct key *v, size_t n)
{
    struct key *to = must(calloc(n + 1, sizeof *to));

    for (size_t i = 0; i < n; i++) {
        to[i] = v[i];
        to[i].key = dup(v[i].key, strlen(v[i].key));
        to[i].value = dup(v[i].value, v[i].len);
    }
    return to;
}

void fake_etcd_save(void)
{
    pthread_mutex_lock(&server.lock);
    free_keys(server.saved, server.n_saved);
    server.saved = copy_keys(server.key, server.n);
    server.n_saved = server.n;
    server.saved_revision = server.revision;
    pthread_mutex_unlock(&server.lock);
}

void fake_etcd_restore(void)
{
    pthread_mutex_lock(&server.lock);
    free_keys(server.key, server.n);
    server.key = copy_keys(server.saved, server.n_saved);
    server.n = server.n_saved;
    server.revision = server.saved_revision;
    while (server.n_events && server.event[server.n_events - 1].revision > server.revision) {
        free(server.event[--server.n_events].key);
        free(server.event[server.n_events].value);
    }
    pthread_mutex_unlock(&server.lock);
    fake_etcd_break();
}

void fake_etcd_cut_watchers(bool cut)
{
    pthread_mutex_lock(&server.lock);
    server.cut = cut;
    pthread_mutex_unlock(&server.lock);
    fake_etcd_break();
}

void fake_etcd_refuse(enum tw_rc rc)
{
    pthread_mutex_lock(&server.lock);
    server.refuse = rc;
    pthread_mutex_unlock(&server.lock);
}

void fake_etcd_reset(void)
{
    fake_etcd_flush(false);
    free_keys(server.saved, server.n_saved);
    free_keys(server.key, server.n);
    server.saved = NULL;
    server.n_saved = 0;
    for (size_t i = 0; i < server.n_events; i++) {
        free(server.event[i].key);
        free(server.event[i].value);
    }
    free(server.event);
    server.key = NULL;
    server.event = NULL;
    server.n = server.n_events = 0;
    server.revision = 1;
    server.compacted = 0;
    server.one_in = server.transactions = 0;
    server.down = server.cut = false;
    server.refuse = TW_OK;
    server.silent = false;
}

void fake_etcd_faults(unsigned one_in, uint64_t seed)
{
    pthread_mutex_lock(&server.lock);
    server.one_in = one_in;
    server.seed = seed;
    pthread_mutex_unlock(&server.lock);
}

void fake_etcd_silent(bool silent)
{
    server.silent = silent;
}

void fake_etcd_down(bool down)
{
    pthread_mutex_lock(&server.lock);
    server.down = down;
    pthread_mutex_unlock(&server.lock);
}

void fake_etcd_flush(bool come)
{
    pthread_mutex_lock(&server.lock);
    while (server.n_late) {
        if (come)
            run_unheard(&server.late[0].t);
        forget(&server.late[0]);
        server.late[0] = server.late[--server.n_late];
    }
    pthread_mutex_unlock(&server.lock);
}

void fake_etcd_break(void)
{
    pthread_mutex_lock(&server.lock);
    server.breaks++;
    pthread_cond_broadcast(&server.moved);
    pthread_mutex_unlock(&server.lock);
}

void fake_etcd_compact_in_reads(unsigned n)
{
    compact_reads = n;
}

void fake_etcd_compact(void)
{
    pthread_mutex_lock(&server.lock);
    server.compacted = server.revision;
    pthread_mutex_unlock(&server.lock);
    fake_etcd_break();
}

const char *fake_etcd_value(const char *key)
{
    const struct key *k;

    pthread_mutex_lock(&server.lock);
    k = find(key);
    pthread_mutex_unlock(&server.lock);
    return k ? k->value : "";
}

void fake_etcd_put(const char *key, const char *value)
{
    const struct etcd_op op = { value ? ETCD_PUT : ETCD_DELETE, key, value, value ? strlen(value) : 0, 0 };

    pthread_mutex_lock(&server.lock);
    run_unheard(&(struct etcd_txn){ .then = &op, .n_then = 1 });
    pthread_mutex_unlock(&server.lock);
}

unsigned fake_etcd_transactions(void)
{
    unsigned n;

    pthread_mutex_lock(&server.lock);
    n = server.transactions;
    pthread_mutex_unlock(&server.lock);
    return n;
}

unsigned fake_etcd_keys(const char *prefix)
{
    struct etcd_answer a;
    unsigned n;

    snapshot(prefix, &a);
    n = (unsigned)a.n;
    etcd_answer_free(&a);
    return n;
}
