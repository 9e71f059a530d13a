#include "controller/alert_save.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "controller/alert_row.h"
#include "db/store_alert.h"

/* One change. */
struct op {
    struct op *next;
    enum { OP_ALERT, OP_ACK, OP_DROP, OP_BASELINE, OP_SILENCE, OP_NOTICE, OP_NOTICE_GONE, OP_DOCUMENT } kind;
    uint64_t id;
    bool open, shared;
    unsigned slot;
    int64_t time_ns;
    char *text;            /* the body */
    char *a, *b;           /* receiver and key; author and reason */
    struct notice *notice; /* to be sent once it is committed */
    void (*done)(void *ctx, enum tw_rc rc, const struct tw_err *err);
    void *ctx;
};
struct batch {
    struct writer_job job; /* first */
    struct alert_save *owner;
    struct op *first, **end;
    bool any_notice;
    uint64_t decided; /* of a document, which is alone */
};
struct alert_save {
    struct alert_save_conf conf;
    struct batch *batch; /* being collected; NULL: none */
    unsigned silences;   /* there, and with the writer */
    uint64_t lost;
};

enum tw_rc alert_save_new(const struct alert_save_conf *c, struct alert_save **ret)
{
    struct alert_save *s = calloc(1, sizeof *s);

    if (!s)
        return TW_ENOMEM;
    s->conf = *c;
    *ret = s;
    return TW_OK;
}

static void free_op(struct op *o)
{
    free(o->text);
    free(o->a);
    free(o->b);
    notice_free(o->notice);
    free(o);
}

static void free_batch(struct batch *b)
{
    for (struct op *o = b->first, *next; o; o = next) {
        next = o->next;
        free_op(o);
    }
    free(b);
}

void alert_save_free(struct alert_save *s)
{
    if (!s)
        return;
    if (s->batch)
        free_batch(s->batch);
    free(s);
}

bool alert_save_has_silence(const struct alert_save *s)
{
    return s->silences;
}

uint64_t alert_save_lost(const struct alert_save *s)
{
    return s->lost;
}

/* ---- The writer thread ---- */

struct stored {
    bool known, open;
    struct alert a;
};

static enum tw_rc take_stored(void *ctx, const struct store_alert *row)
{
    struct stored *st = ctx;

    st->known = alert_row_read(row->body, &st->a) == TW_OK;
    st->open = row->open;
    return TW_OK;
}

static enum tw_rc put_body(const struct op *o, bool open, const struct alert *a, struct store *s,
                           struct tw_err *err)
{
    char *text = alert_row_write(a);
    enum tw_rc rc =
        text ? store_put_alert(s, &(struct store_alert){ o->id, open, o->time_ns, text }, err) : TW_ENOMEM;

    free(text);
    return rc;
}

/* Who judges an alert, and who acknowledges it, may be two controllers that know it as it was a moment ago.
 */
static enum tw_rc put_shared(const struct op *o, struct store *s, struct tw_err *err)
{
    struct stored st = { 0 };
    enum tw_rc rc = store_find_alert(s, o->id, take_stored, &st, err);
    struct alert a;

    if (rc != TW_OK && rc != TW_ENOENT)
        return rc;
    if (!st.known || !st.a.acked_ns || alert_row_read(o->text, &a) != TW_OK || a.acked_ns >= st.a.acked_ns)
        return store_put_alert(s, &(struct store_alert){ o->id, o->open, o->time_ns, o->text }, err);
    a.acked_ns = st.a.acked_ns;
    snprintf(a.ack_author, sizeof a.ack_author, "%s", st.a.ack_author);
    snprintf(a.ack_reason, sizeof a.ack_reason, "%s", st.a.ack_reason);
    return put_body(o, o->open, &a, s, err);
}

static enum tw_rc put_ack(const struct op *o, struct store *s, struct tw_err *err)
{
    struct stored st = { 0 };
    enum tw_rc rc = store_find_alert(s, o->id, take_stored, &st, err);

    if (rc != TW_OK || !st.known)
        return rc == TW_ENOENT ? TW_OK : rc;
    st.a.acked_ns = o->time_ns;
    snprintf(st.a.ack_author, sizeof st.a.ack_author, "%s", o->a);
    snprintf(st.a.ack_reason, sizeof st.a.ack_reason, "%s", o->b);
    return put_body(o, st.open, &st.a, s, err);
}

static enum tw_rc take_version(void *ctx, const struct store_alert_document *d)
{
    *(uint64_t *)ctx = d->version;
    return TW_OK;
}

static enum tw_rc put_document(const struct op *o, struct store *s, struct tw_err *err)
{
    uint64_t last = 0;
    enum tw_rc rc = store_last_alert_document(s, take_version, &last, err);

    if (rc != TW_OK && rc != TW_ENOENT)
        return rc;
    if (last >= o->id)
        return tw_err_set(err, TW_EEXIST,
                          "another document was applied meanwhile, version %llu: look at it first",
                          (unsigned long long)last);
    return store_put_alert_document(
        s, &(struct store_alert_document){ o->id, o->time_ns, o->a, o->b, o->text }, err);
}

static enum tw_rc run_op(const struct op *o, struct store *s, struct tw_err *err)
{
    switch (o->kind) {
    case OP_ALERT:
        return o->shared
                   ? put_shared(o, s, err)
                   : store_put_alert(s, &(struct store_alert){ o->id, o->open, o->time_ns, o->text }, err);
    case OP_ACK:
        return put_ack(o, s, err);
    case OP_DROP:
        return store_remove_alert(s, o->id, err);
    case OP_BASELINE:
        return store_put_alert_baseline(s, &(struct store_alert_baseline){ o->id, o->slot, o->text }, err);
    case OP_SILENCE:
        return store_put_alert_silence(s, &(struct store_alert_silence){ o->id, o->time_ns, o->text }, err);
    case OP_NOTICE:
        return store_put_alert_notice(
            s, &(struct store_alert_notice){ o->id, o->time_ns, o->a, o->b, o->text }, err);
    case OP_NOTICE_GONE:
        return store_remove_alert_notice(s, o->id, err);
    default:
        return put_document(o, s, err);
    }
}

static enum tw_rc run_batch(struct writer_job *j, struct store *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (const struct op *o = ((struct batch *)j)->first; o && rc == TW_OK; o = o->next)
        rc = run_op(o, s, err);
    return rc;
}

/* ---- Loop thread ---- */

static void batch_done(struct writer_job *j)
{
    struct batch *b = (struct batch *)j;
    struct alert_save *s = b->owner;

    if (j->rc != TW_OK && j->rc != TW_ECLOSED && j->rc != TW_EAGAIN)
        log_error("alerts cannot be stored", LOG_S("error", j->err.text));
    for (struct op *o = b->first; o; o = o->next) {
        s->silences -= o->kind == OP_SILENCE;
        if (o->notice && j->rc == TW_OK) {
            s->conf.send(s->conf.ctx, o->a, o->notice);
            o->notice = NULL;
        }
        if (o->done)
            o->done(o->ctx, j->rc, &j->err);
    }
    free_batch(b);
}

void alert_save_flush(struct alert_save *s)
{
    struct batch *b = s->batch;

    if (!b || !*s->conf.writer)
        return;
    s->batch = NULL;
    b->job = (struct writer_job){
        .run = run_batch, .done = batch_done, .urgent = b->any_notice, .decided = b->decided
    };
    if (writer_submit(*s->conf.writer, &b->job) == TW_OK)
        return;
    b->job.rc = TW_ECLOSED; /* stopping: nothing else refuses it */
    batch_done(&b->job);
}

static struct batch *batch_of(struct alert_save *s)
{
    if (s->batch)
        return s->batch;
    s->batch = calloc(1, sizeof *s->batch);
    if (s->batch) {
        s->batch->owner = s;
        s->batch->end = &s->batch->first;
    }
    return s->batch;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* Takes text. */
static struct op *add(struct alert_save *s, unsigned kind, uint64_t id, char *text, const char *a,
                      const char *b)
{
    struct batch *batch = batch_of(s);
    struct op *o = batch ? calloc(1, sizeof *o) : NULL;

    if (!o) {
        s->lost++;
        free(text);
        return NULL;
    }
    o->kind = kind;
    o->id = id;
    o->text = text;
    o->a = copy(a);
    o->b = copy(b);
    if ((a && !o->a) || (b && !o->b)) {
        s->lost++;
        free_op(o);
        return NULL;
    }
    *batch->end = o;
    batch->end = &o->next;
    return o;
}

void alert_save_alert(struct alert_save *s, const struct alert *a, int64_t now_ns)
{
    char *text = alert_row_write(a);
    struct op *o = text ? add(s, OP_ALERT, a->id, text, NULL, NULL) : NULL;

    s->lost += !text;
    if (!o)
        return;
    o->open = a->state != ALERT_RESOLVED;
    o->shared = s->conf.shared;
    o->time_ns = now_ns;
}

void alert_save_ack(struct alert_save *s, const struct alert *a)
{
    struct op *o = add(s, OP_ACK, a->id, NULL, a->ack_author, a->ack_reason);

    if (o)
        o->time_ns = a->acked_ns;
}

void alert_save_drop(struct alert_save *s, uint64_t id)
{
    add(s, OP_DROP, id, NULL, NULL, NULL);
}

void alert_save_baseline(struct alert_save *s, uint64_t pair_id, unsigned slot, const char *text)
{
    char *own = strdup(text);
    struct op *o = own ? add(s, OP_BASELINE, pair_id, own, NULL, NULL) : NULL;

    s->lost += !own;
    if (o)
        o->slot = slot;
}

void alert_save_silence(struct alert_save *s, const struct alert_silence *i)
{
    char *text = alert_silence_write(i);
    struct op *o = text ? add(s, OP_SILENCE, i->id, text, NULL, NULL) : NULL;

    s->silences += o != NULL;
    s->lost += !text;
    if (o)
        o->time_ns = i->end_ns;
}

void alert_save_notice(struct alert_save *s, uint64_t id, const char *receiver, const char *key,
                       const char *body, int64_t now_ns)
{
    char *own = strdup(body);
    struct op *o = own ? add(s, OP_NOTICE, id, own, receiver, key) : NULL;

    s->lost += !own;
    if (!o)
        return;
    o->time_ns = now_ns;
    o->notice = notice_new(id, key, body);
    s->lost += !o->notice;
    s->batch->any_notice = true;
}

void alert_save_notice_gone(struct alert_save *s, uint64_t id)
{
    add(s, OP_NOTICE_GONE, id, NULL, NULL, NULL);
}

void alert_save_document(struct alert_save *s, uint64_t version, const char *text, const char *author,
                         const char *reason, int64_t now_ns, uint64_t decided,
                         void (*done)(void *ctx, enum tw_rc rc, const struct tw_err *err), void *ctx)
{
    char *own = strdup(text);
    struct tw_err err = { 0 };
    struct op *o;

    alert_save_flush(s); /* it may be refused, and is so alone */
    o = own ? add(s, OP_DOCUMENT, version, own, author, reason) : NULL;

    if (!o) {
        done(ctx, tw_err_set(&err, TW_ENOMEM, "out of memory"), &err);
        return;
    }
    o->time_ns = now_ns;
    o->done = done;
    o->ctx = ctx;
    s->batch->any_notice = true; /* somebody waits */
    s->batch->decided = decided;
    alert_save_flush(s);
}
