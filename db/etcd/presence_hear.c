/* What the others say: a thread. */
#include "db/etcd/presence_priv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clk.h"
#include "common/grow.h"
#include "common/log.h"
#include "db/etcd/mirror_key.h"

#define PAGE 200
#define PAUSE_NS (200 * TW_NS_PER_MS)
#define KINDS "controller" /* "/..." and "-known/..." */

/* ---- Entries; under the lock ---- */

struct place {
    char name[PRESENCE_NAME_MAX];
    int64_t lease;
    unsigned slot;
};

static bool parse_number(const char *text, int64_t max, int64_t *ret)
{
    char *end;

    if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 19)
        return false;
    *ret = strtoll(text, &end, 10);
    return *ret >= 0 && *ret <= max;
}

static bool parse_live(char *rest, struct place *ret)
{
    char *part[3];
    int64_t slot;

    if (!mirror_key_parse(rest, part, 3) || strlen(part[0]) >= sizeof ret->name ||
        !parse_number(part[1], INT64_MAX, &ret->lease) || !ret->lease ||
        !parse_number(part[2], PRESENCE_SLOTS - 1, &slot))
        return false;
    strcpy(ret->name, part[0]);
    ret->slot = (unsigned)slot;
    return true;
}

static bool parse_known(char *rest, struct place *ret)
{
    char *part[1];

    *ret = (struct place){ .lease = 0 };
    if (!mirror_key_parse(rest, part, 1) || strlen(part[0]) >= sizeof ret->name)
        return false;
    strcpy(ret->name, part[0]);
    return true;
}

/* False: it is no key of ours. */
static bool parse_key(const struct presence *p, const char *key, struct place *ret)
{
    static const char live[] = KINDS "/", known[] = KINDS "-known/";
    char copy[ETCD_KEY_MAX];
    const char *rest = key + strlen(p->prefix);

    if (strncmp(key, p->prefix, strlen(p->prefix)) != 0 || strlen(rest) >= sizeof copy)
        return false;
    strcpy(copy, rest);
    if (!strncmp(copy, live, strlen(live)))
        return parse_live(copy + strlen(live), ret);
    return !strncmp(copy, known, strlen(known)) && parse_known(copy + strlen(known), ret);
}

static struct presence_entry *find(struct presence *p, const struct place *at)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].lease == at->lease && p->v[i].slot == at->slot && !strcmp(p->v[i].name, at->name))
            return &p->v[i];
    return NULL;
}

static struct presence_entry *add(struct presence *p, const struct place *at)
{
    struct presence_entry *v;

    if (!TW_GROW(&p->v, p->n, &p->cap, 32))
        return NULL;
    v = &p->v[p->n++];
    *v = (struct presence_entry){ .lease = at->lease, .slot = at->slot };
    strcpy(v->name, at->name);
    return v;
}

static void drop(struct presence *p, struct presence_entry *e)
{
    free(e->text);
    *e = p->v[--p->n];
}

/* A key of ours that somebody took away is written again. */
static void check_own(struct presence *p, const struct place *at)
{
    if (!p->lease || at->lease != p->lease || at->slot >= p->slots || !p->own[at->slot].text)
        return;
    p->own[at->slot].due = true;
    pthread_cond_broadcast(&p->moved);
}

static enum tw_rc take_kv(struct presence *p, const struct etcd_kv *kv)
{
    struct place at;
    struct presence_entry *e;
    char *text;

    if (!parse_key(p, kv->key, &at))
        return TW_OK;
    e = find(p, &at);
    if (kv->deleted) {
        if (e)
            drop(p, e);
        check_own(p, &at);
        return TW_OK;
    }
    text = strdup(kv->value);
    if (text && !e)
        e = add(p, &at);
    if (!text || !e) {
        free(text);
        return tw_err_set(&p->err, TW_ENOMEM, "etcd: out of memory");
    }
    free(e->text);
    e->text = text;
    e->revision = kv->mod_revision;
    e->seen = true;
    return TW_OK;
}

void presence_drop_all(struct presence *p)
{
    while (p->n)
        drop(p, &p->v[0]);
    free(p->v);
    p->v = NULL;
    p->cap = 0;
}

/* ---- The thread ---- */

static enum tw_rc load_kv(void *ctx, const struct etcd_kv *kv)
{
    struct presence *p = ctx;
    enum tw_rc rc;

    pthread_mutex_lock(&p->lock);
    rc = take_kv(p, kv);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static enum tw_rc load(struct presence *p, const char *prefix)
{
    int64_t revision;
    enum tw_rc rc;

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n; i++)
        p->v[i].seen = false;
    pthread_mutex_unlock(&p->lock);
    rc = etcd_each(p->hears_by, prefix, PAGE, load_kv, p, &revision, &p->err);
    if (rc)
        return rc;
    pthread_mutex_lock(&p->lock);
    for (size_t i = p->n; i--;)
        if (!p->v[i].seen)
            drop(p, &p->v[i]);
    p->heard = p->hears = true;
    pthread_mutex_unlock(&p->lock);
    p->next = revision + 1;
    p->changed(p->ctx);
    return TW_OK;
}

/* A member that is behind, or a snapshot that was restored, from where revisions go on: then nothing would be
 * heard until there are as many. */
static enum tw_rc check_revision(struct presence *p, const struct etcd_answer *a)
{
    if (!a->revision || a->revision >= p->next - 1)
        return TW_OK;
    return tw_err_set(&p->err, TW_EIO, "etcd: it is at revision %lld, and was at %lld",
                      (long long)a->revision, (long long)p->next - 1);
}

static enum tw_rc take(void *ctx, const struct etcd_answer *a)
{
    struct presence *p = ctx;
    enum tw_rc rc = check_revision(p, a);
    bool heard;

    if (rc)
        return rc;
    pthread_mutex_lock(&p->lock);
    heard = !p->hears || a->n;
    p->hears = true;
    for (size_t i = 0; i < a->n && !rc; i++) {
        rc = take_kv(p, &a->kv[i]);
        if (a->kv[i].mod_revision >= p->next)
            p->next = a->kv[i].mod_revision + 1;
    }
    pthread_mutex_unlock(&p->lock);
    if (heard)
        p->changed(p->ctx);
    return rc;
}

/* Under the lock: false, it is to end. */
static bool pause_if(struct presence *p, bool failed)
{
    struct timespec by;

    clock_gettime(CLOCK_MONOTONIC, &by);
    by.tv_nsec += PAUSE_NS;
    by.tv_sec += by.tv_nsec / TW_NS_PER_S;
    by.tv_nsec %= TW_NS_PER_S;
    while (failed && !p->stop && pthread_cond_timedwait(&p->moved, &p->lock, &by) == 0)
        ;
    return !p->stop;
}

static bool go_on(struct presence *p, enum tw_rc rc)
{
    bool failed = rc && rc != TW_ETIMEOUT && rc != TW_ECLOSED, told = false, more;

    pthread_mutex_lock(&p->lock);
    if (failed) {
        told = p->hears;
        p->hears = false;
    }
    more = pause_if(p, failed && rc != TW_ERANGE);
    pthread_mutex_unlock(&p->lock);
    if (told && more)
        log_warn("other controllers are not heard of", LOG_S("error", p->err.text));
    return more;
}

void *presence_hear(void *ctx)
{
    struct presence *p = ctx;
    char prefix[ETCD_KEY_MAX];
    enum tw_rc rc = TW_OK;

    strcpy(prefix, p->prefix);
    strcat(prefix, KINDS);
    while (go_on(p, rc)) {
        if (!p->next)
            rc = load(p, prefix);
        else
            rc = etcd_watch(p->hears_by, prefix, p->next, take, p, &p->err);
        if (rc && rc != TW_ETIMEOUT &&
            rc != TW_ECLOSED) /* when it answers again it may have an older state */
            p->next = 0;
    }
    return NULL;
}
