/* One transaction of etcd, of which it is known whether it was done. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/etcd/mirror_priv.h"

#define PAUSE_NS (100 * TW_NS_PER_MS)
#define MARK_MAX 160

/* What a transaction on *head leaves there and at its writer's key. */
static void mark(const struct mirror *m, const struct mirror_head *head, const char *what, char ret[MARK_MAX])
{
    snprintf(ret, MARK_MAX,
             "{\"writer\":\"%s\",\"%s\":%" PRIu64 ",\"time_s\":%" PRId64 ",\"after\":\"%016" PRIx64 "\"}",
             m->id, what, m->number, m->time_s, (uint64_t)head->digest);
}

void mirror_note_head(struct mirror *m, const struct mirror_head *head, const struct etcd_kv *now)
{
    const struct mirror_head got =
        now ? mirror_head_of(now->mod_revision, now->value, now->value_len) : (struct mirror_head){ 0 };

    mirror_need(m, got.revision);
    if (mirror_head_is_of_another(head, head->revision > m->at ? head->revision : m->at, &got))
        m->stale = true;
}

/* A compare did not hold: ours was done all the same, if this is a repetition of it; or others came first. */
static struct mirror_outcome judge(struct mirror *m, const struct mirror_head *sent_on,
                                   const struct etcd_answer *a)
{
    const struct etcd_kv *head = mirror_find(a, m->head_key), *writer = mirror_find(a, m->writer_key),
                         *holder = mirror_find(a, m->fence_key);
    char own[MARK_MAX];

    mark(m, sent_on, "txn", own);
    m->writer = mirror_revision_of(writer);
    mirror_note_head(m, sent_on, head);
    if (writer && !strcmp(writer->value, own))
        return (struct mirror_outcome){ .done = true, .revision = writer->mod_revision };
    return (struct mirror_outcome){ .fenced = m->fence && (!holder || holder->create_revision != m->fence) };
}

/* If head and our key are as we know them, and the fence holds, if it counts. ret->done: it was so, or `then`
 * was done by an earlier try. */
static enum tw_rc attempt(struct mirror *m, const struct mirror_head *head, const struct etcd_op *then,
                          size_t n, bool fenced, bool *ret_held, struct mirror_outcome *ret,
                          struct tw_err *err)
{
    const struct etcd_compare compare[] = { { m->head_key, head->revision, false },
                                            { m->writer_key, m->writer, false },
                                            { m->fence_key, m->fence, true } };
    const struct etcd_op otherwise[] = { { ETCD_GET, m->head_key, NULL, 0, 0 },
                                         { ETCD_GET, m->writer_key, NULL, 0, 0 },
                                         { ETCD_GET, m->fence_key, NULL, 0, 0 } };
    size_t keys = m->fence ? 3 : 2;
    struct etcd_answer a;
    enum tw_rc rc =
        etcd_txn(m->e, &(struct etcd_txn){ compare, fenced ? keys : 2, then, otherwise, n, keys }, &a, err);

    if (rc)
        return rc;
    *ret_held = a.succeeded;
    *ret = a.succeeded ? (struct mirror_outcome){ .done = true, .revision = a.revision } : judge(m, head, &a);
    etcd_answer_free(&a);
    return TW_OK;
}

/* Changes head, so that our transaction cannot come any more; or finds that it did, or that others changed
 * head. */
static enum tw_rc bar(struct mirror *m, const struct mirror_head *head, struct mirror_outcome *ret,
                      struct tw_err *err)
{
    char text[MARK_MAX];
    struct etcd_op put = { ETCD_PUT, m->head_key, text, 0, 0 };
    struct mirror_outcome o;
    bool barred;
    enum tw_rc rc;

    mark(m, head, "barred", text);
    put.value_len = strlen(text);
    rc = attempt(m, head, &put, 1, false, &barred, &o, err);
    if (rc)
        return rc;
    mirror_need(m, o.revision);
    *ret = barred ? (struct mirror_outcome){ .done = false } : o;
    return TW_OK;
}

static void rest(void)
{
    const struct timespec ts = { .tv_nsec = PAUSE_NS };

    nanosleep(&ts, NULL);
}

/* Somebody has to do something about it (its quota is used up, a user may not any more): nothing comes of
 * asking again. */
static bool is_refusal(enum tw_rc rc)
{
    return rc == TW_ENOSPC || rc == TW_EPERM || rc == TW_EINVAL;
}

/* Until it is known, or time is up. */
enum tw_rc mirror_settle(struct mirror *m, const struct mirror_head *head, struct mirror_outcome *ret,
                         struct tw_err *err)
{
    int64_t by_ns = tw_mono_now().ns + (m->conf.settle_ns ? m->conf.settle_ns : 10 * TW_NS_PER_S);
    struct tw_err why = { 0 };
    enum tw_rc rc;

    while ((rc = bar(m, head, ret, &why)) != TW_OK && rc != TW_ECLOSED && !is_refusal(rc) &&
           tw_mono_now().ns < by_ns)
        rest();
    m->doubt = rc != TW_OK;
    m->doubt_head = *head;
    m->stats.settled += rc == TW_OK;
    return rc ? tw_err_set(err, rc, "it is not known whether a change is stored: %.180s", why.text) : TW_OK;
}

enum tw_rc mirror_conflict(struct mirror *m, struct tw_err *err)
{
    m->stats.conflicts++;
    return tw_err_set(err, TW_EAGAIN, "another controller changed the control state first");
}

/* It was not done, then. But where an answer was lost before, another member's says nothing of what that one
 * did. */
static bool is_refused(const struct mirror *m, enum tw_rc failed, uint64_t moves)
{
    return is_refusal(failed) && etcd_stats(m->e).moves == moves;
}

/* One of our own. `then` has room for two more. */
enum tw_rc mirror_send(struct mirror *m, struct mirror_head *head, struct etcd_op *then, size_t n,
                       struct tw_err *err)
{
    uint64_t moves = etcd_stats(m->e).moves;
    char own[MARK_MAX];
    struct mirror_outcome o = { .done = false };
    enum tw_rc rc, failed;
    bool held;

    m->number++;
    m->time_s = tw_wall_now().ns / TW_NS_PER_S;
    mark(m, head, "txn", own);
    then[n++] = (struct etcd_op){ ETCD_PUT, m->head_key, own, strlen(own), 0 };
    then[n++] = (struct etcd_op){ ETCD_PUT, m->writer_key, own, strlen(own), 0 };
    failed = attempt(m, head, then, n, true, &held, &o, err);
    if (is_refused(m, failed, moves))
        return failed;
    if (failed && (rc = mirror_settle(m, head, &o, err)) != TW_OK)
        return rc;
    if (o.done) {
        *head = mirror_head_of(o.revision, own, strlen(own));
        m->writer = o.revision;
        m->stats.transactions++;
        return TW_OK;
    }
    if (failed)
        return failed; /* the text is of the first try */
    if (o.fenced)
        return tw_err_set(err, TW_EPERM, "this controller does not hold %.100s any more", m->fence_key);
    return mirror_conflict(m, err);
}
