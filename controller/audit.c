#include "controller/audit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "controller/controller.h"
#include "controller/shared_id.h"
#include "controller/writer.h"
#include "db/store_access.h"

#define PENDING_MAX 1024             /* rows on their way to the disk */
#define REFUSED_BURST 200            /* rows of refusals at once, */
#define REFUSED_EVERY_NS TW_NS_PER_S /* and one more after each of these */
#define BEGUN (-1)

struct audit {
    struct controller *c;
    uint64_t last_id;
    unsigned pending;
    bool stopped;       /* so has the writer */
    int64_t refused_ns; /* a bucket that leaks: when it is empty again */
    struct audit_counters n;
    struct log_limit lost_log;
};

struct audit_entry {
    struct audit *audit;
    struct actor who;
    uint64_t id;
    int64_t time_ns;
    char *method, *subject, *request, *before;
};

static uint64_t next_id(struct audit *a)
{
    return a->c->shared ? shared_id_next(loop_now(a->c->loop).wall, &a->last_id) : ++a->last_id;
}

/* ---- A row on its way to the disk ---- */

struct row {
    struct writer_job job; /* first */
    struct audit *audit;
    struct store_audit a;
    char texts[]; /* of it */
};

static enum tw_rc run_row(struct writer_job *j, struct store *s, struct tw_err *err)
{
    return store_put_audit(s, &((struct row *)j)->a, err);
}

/* What the database does not have is at least in the log. */
static void say_lost(struct audit *a, const struct store_audit *row, const char *why)
{
    unsigned held = 0;

    a->n.lost++;
    if (log_limit_ok(&a->lost_log, loop_now(a->c->loop).mono.ns, &held))
        log_error("an entry of the audit log cannot be kept", LOG_S("reason", why), LOG_S("who", row->who),
                  LOG_S("origin", row->origin), LOG_S("method", row->method), LOG_S("subject", row->subject),
                  LOG_I("status", row->status), LOG_U("not_logged", held));
}

static void row_done(struct writer_job *j)
{
    struct row *r = (struct row *)j;
    struct audit *a = r->audit;

    a->pending--;
    if (j->rc == TW_OK)
        a->n.written++;
    else
        say_lost(a, &r->a, j->rc == TW_ECLOSED ? "the controller stopped" : j->err.text);
    free(r);
}

static const char *keep(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);

    *at += size;
    return copy;
}

static struct row *row_new(struct audit *a, const struct store_audit *src)
{
    const char *const texts[] = { src->who,     src->role,   src->token_id, src->way,
                                  src->origin,  src->method, src->subject,  src->detail,
                                  src->request, src->before, src->after };
    size_t size = 0;
    struct row *r;
    char *at;

    for (size_t i = 0; i < TW_NELEM(texts); i++)
        size += strlen(texts[i]) + 1;
    r = calloc(1, sizeof *r + size);
    if (!r)
        return NULL;
    at = r->texts;
    r->audit = a;
    r->job = (struct writer_job){ .run = run_row, .done = row_done };
    r->a = (struct store_audit){ .id = src->id,
                                 .time_ns = src->time_ns,
                                 .who = keep(&at, src->who),
                                 .role = keep(&at, src->role),
                                 .token_id = keep(&at, src->token_id),
                                 .way = keep(&at, src->way),
                                 .origin = keep(&at, src->origin),
                                 .method = keep(&at, src->method),
                                 .subject = keep(&at, src->subject),
                                 .status = src->status,
                                 .detail = keep(&at, src->detail),
                                 .request = keep(&at, src->request),
                                 .before = keep(&at, src->before),
                                 .after = keep(&at, src->after) };
    return r;
}

/* The writer takes nothing any more, so its thread is gone, and the store is ours again. */
static bool write_now(struct audit *a, const struct store_audit *row)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = store_begin(a->c->store, &err);

    if (rc == TW_OK && (rc = store_put_audit(a->c->store, row, &err)) != TW_OK)
        store_rollback(a->c->store);
    if (rc == TW_OK)
        rc = store_commit(a->c->store, &err);
    a->n.written += rc == TW_OK;
    return rc == TW_OK;
}

static bool write_row(struct audit *a, const struct store_audit *src)
{
    struct row *r = a->stopped ? NULL : row_new(a, src);
    enum tw_rc rc = a->stopped ? TW_ECLOSED : r ? writer_submit(a->c->writer, &r->job) : TW_ENOMEM;

    if (rc == TW_OK) {
        a->pending++;
        return true;
    }
    free(r);
    return rc == TW_ECLOSED && write_now(a, src);
}

static struct store_audit row_of(const struct actor *who)
{
    return (struct store_audit){ .who = who->who.name,
                                 .role = access_role_name(who->who.role),
                                 .token_id = who->who.id,
                                 .way = who->way,
                                 .origin = who->origin,
                                 .status = BEGUN,
                                 .detail = "",
                                 .request = "",
                                 .before = "",
                                 .after = "" };
}

/* ---- Changes ---- */

static void entry_free(struct audit_entry *e)
{
    free(e->method);
    free(e->subject);
    free(e->request);
    free(e->before);
    free(e);
}

static struct store_audit row_of_entry(const struct audit_entry *e)
{
    struct store_audit row = row_of(&e->who);

    row.id = e->id;
    row.time_ns = e->time_ns;
    row.method = e->method;
    row.subject = e->subject;
    row.request = e->request;
    row.before = e->before;
    return row;
}

static struct audit_entry *entry_new(struct audit *a, const struct actor *who, const char *method,
                                     const char *subject, const char *request, const char *before)
{
    struct audit_entry *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->audit = a;
    e->who = *who;
    e->time_ns = loop_now(a->c->loop).wall.ns;
    e->method = strdup(method);
    e->subject = strdup(subject);
    e->request = strdup(request);
    e->before = strdup(before);
    if (e->method && e->subject && e->request && e->before)
        return e;
    entry_free(e);
    return NULL;
}

struct audit_entry *audit_begin(struct audit *a, const struct actor *who, const char *method,
                                const char *subject, const char *request, const char *before)
{
    struct audit_entry *e =
        a->pending < PENDING_MAX ? entry_new(a, who, method, subject, request, before) : NULL;
    struct store_audit row;

    if (e) {
        e->id = next_id(a);
        row = row_of_entry(e);
        if (write_row(a, &row))
            return e;
        entry_free(e);
    }
    a->n.blocked++;
    return NULL;
}

const char *audit_before(const struct audit_entry *e)
{
    return e->before;
}

void audit_end(struct audit_entry *e, Tw__Status status, const char *detail, const char *before,
               const char *after)
{
    struct store_audit row = row_of_entry(e);

    row.status = (int32_t)status;
    row.detail = detail;
    row.before = before;
    row.after = after;
    if (!write_row(e->audit, &row))
        say_lost(e->audit, &row, "out of memory, or the controller stops");
    entry_free(e);
}

/* ---- Refusals ---- */

static bool may_store(struct audit *a)
{
    int64_t now = loop_now(a->c->loop).mono.ns, from = a->refused_ns > now ? a->refused_ns : now;

    if (from + REFUSED_EVERY_NS > now + REFUSED_BURST * REFUSED_EVERY_NS || a->pending >= PENDING_MAX)
        return false;
    a->refused_ns = from + REFUSED_EVERY_NS;
    return true;
}

void audit_refused(struct audit *a, const struct actor *who, const char *method, const char *subject,
                   Tw__Status status, const char *detail)
{
    struct store_audit row = row_of(who);

    if (!may_store(a)) {
        a->n.held_back++;
        return;
    }
    row.id = next_id(a);
    row.time_ns = loop_now(a->c->loop).wall.ns;
    row.method = method;
    row.subject = subject;
    row.status = (int32_t)status;
    row.detail = detail;
    if (!write_row(a, &row))
        say_lost(a, &row, "out of memory, or the controller stops");
}

/* ---- Life ---- */

enum tw_rc audit_new(struct controller *c, struct audit **ret, struct tw_err *err)
{
    struct audit *a = calloc(1, sizeof *a);
    enum tw_rc rc;

    if (!a)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    a->c = c;
    a->lost_log.burst = 10;
    rc = store_last_audit(c->store, &a->last_id, err);
    if (rc != TW_OK) {
        free(a);
        return rc;
    }
    *ret = a;
    return TW_OK;
}

void audit_stop(struct audit *a)
{
    if (a)
        a->stopped = true;
}

void audit_free(struct audit *a)
{
    free(a);
}

bool audit_is_behind(const struct audit *a)
{
    return a->pending > 0;
}

void audit_counters(const struct audit *a, struct audit_counters *ret)
{
    *ret = a->n;
}
