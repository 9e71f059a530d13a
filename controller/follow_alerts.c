/* Alerts: the document with the rules, silences, and what other controllers judge. */
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/grow.h"
#include "controller/alert_row.h"
#include "controller/alerts.h"
#include "controller/follow_priv.h"
#include "db/store_alert.h"

/* ---- The document ---- */

struct document_row {
    struct store_alert_document d;
    char *author, *reason, *text;
};

static void free_document(void *data)
{
    struct document_row *r = data;

    free(r->author);
    free(r->reason);
    free(r->text);
    free(r);
}

static enum tw_rc copy_document(void *ctx, const struct store_alert_document *d)
{
    struct document_row *r = ctx;

    r->author = strdup(d->author);
    r->reason = strdup(d->reason);
    r->text = strdup(d->text);
    r->d = (struct store_alert_document){ d->version, d->time_ns, r->author, r->reason, r->text };
    return r->author && r->reason && r->text ? TW_OK : TW_ENOMEM;
}

static enum tw_rc read_document(const struct follow_keys *keys, struct store *s, void **ret,
                                struct tw_err *err)
{
    struct document_row *r = *ret = calloc(1, sizeof *r);
    enum tw_rc rc = r ? store_last_alert_document(s, copy_document, r, err) : TW_ENOMEM;

    (void)keys;
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc take_document(struct controller *c, struct follow_keys *keys, void *data)
{
    const struct document_row *r = data;
    struct tw_err err = { 0 };
    enum tw_rc rc =
        r->text ? alerts_follow_document(c->alerts, &r->d, &err) : alerts_follow_no_document(c->alerts);

    (void)keys;
    if (rc != TW_EINVAL)
        return rc;
    log_error("the alert rules that another controller applied are not in force here: they cannot be read",
              LOG_U("version", r->d.version), LOG_S("error", err.text));
    return TW_OK;
}

const struct follow_part follow_alert_rules = { "alert rules", false, read_document, take_document,
                                                free_document };

/* ---- Rows with a number and a body ---- */

struct body_row {
    uint64_t id;
    char *body;
};
struct body_rows {
    const struct follow_keys *keys;
    struct body_row *v; /* by id */
    size_t n, cap;
};

static void free_bodies(void *data)
{
    struct body_rows *r = data;

    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].body);
    free(r->v);
    free(r);
}

static enum tw_rc add_body(struct body_rows *r, uint64_t id, const char *body)
{
    if (!follow_keys_have_number(r->keys, (int64_t)id))
        return TW_OK;
    if (!TW_GROW(&r->v, r->n, &r->cap, 8))
        return TW_ENOMEM;
    r->v[r->n] = (struct body_row){ id, strdup(body) };
    return r->v[r->n].body ? r->n++, TW_OK : TW_ENOMEM;
}

static struct body_rows *bodies_new(const struct follow_keys *keys, void **ret)
{
    struct body_rows *r = *ret = calloc(1, sizeof *r);

    if (r)
        r->keys = keys;
    return r;
}

/* ---- Silences ---- */

static enum tw_rc add_silence(void *ctx, const struct store_alert_silence *row)
{
    return add_body(ctx, row->id, row->body);
}

static enum tw_rc read_silences(const struct follow_keys *keys, struct store *s, void **ret,
                                struct tw_err *err)
{
    struct body_rows *r = bodies_new(keys, ret);

    return r ? store_each_alert_silence(s, 0, add_silence, r, err) : TW_ENOMEM;
}

static enum tw_rc take_silence(struct controller *c, const struct body_row *row)
{
    struct alert_silence s;
    enum tw_rc rc = alert_silence_read(row->body, &s);

    if (rc == TW_OK)
        rc = alerts_follow_silence(c->alerts, &s);
    if (rc != TW_OK && rc != TW_ENOMEM) {
        log_warn("a silence of another controller is left out", LOG_U("id", row->id),
                 LOG_S("error", tw_rc_name(rc)));
        return TW_OK;
    }
    return rc;
}

/* It was told of, and is not there. There are few. */
static bool is_silence_gone(const void *ctx, const struct alert_silence *s)
{
    const struct body_rows *r = ctx;

    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].id == s->id)
            return false;
    return follow_keys_have_number(r->keys, (int64_t)s->id);
}

static enum tw_rc take_silences(struct controller *c, struct follow_keys *keys, void *data)
{
    const struct body_rows *r = data;
    enum tw_rc rc = TW_OK;

    (void)keys;
    for (size_t i = 0; rc == TW_OK && i < r->n; i++)
        rc = take_silence(c, &r->v[i]);
    if (rc == TW_OK)
        alerts_follow_silences(c->alerts, is_silence_gone, r);
    return rc;
}

const struct follow_part follow_silences = { "silences", false, read_silences, take_silences, free_bodies };

/* ---- Alerts ---- */

static enum tw_rc add_alert(void *ctx, const struct store_alert *row)
{
    return add_body(ctx, row->id, row->body);
}

static enum tw_rc read_alerts(const struct follow_keys *keys, struct store *s, void **ret, struct tw_err *err)
{
    struct body_rows *r = bodies_new(keys, ret);

    return r ? store_each_alert(s, ALERT_DONE_MAX, add_alert, r, err) : TW_ENOMEM;
}

static enum tw_rc take_alert(struct controller *c, const struct body_row *row)
{
    struct alert a;

    if (alert_row_read(row->body, &a) == TW_OK && a.id == row->id)
        return alerts_follow(c->alerts, &a);
    log_warn("an alert of another controller cannot be read, and is left out", LOG_U("id", row->id));
    return TW_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct body_row *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

struct going {
    const struct follow_keys *keys;
    const struct body_rows *r;
    uint64_t v[256];
    size_t n;
};

/* As many as there is room for; the rest in the next round. */
static enum tw_rc note_gone(void *ctx, const struct alert *a)
{
    struct going *g = ctx;
    struct body_row key = { a->id, NULL };

    if (a->elsewhere && g->n < TW_NELEM(g->v) && follow_keys_have_number(g->keys, (int64_t)a->id) &&
        !(g->r->n && bsearch(&key, g->r->v, g->r->n, sizeof key, by_id)))
        g->v[g->n++] = a->id;
    return TW_OK;
}

static void hide_gone(struct controller *c, const struct follow_keys *keys, const struct body_rows *r)
{
    struct going g = { keys, r, { 0 }, 0 };

    do {
        g.n = 0;
        alert_engine_each(alerts_engine(c->alerts), note_gone, &g);
        for (size_t i = 0; i < g.n; i++)
            alerts_follow_gone(c->alerts, g.v[i]);
    } while (g.n == TW_NELEM(g.v));
}

static enum tw_rc take_alerts(struct controller *c, struct follow_keys *keys, void *data)
{
    const struct body_rows *r = data;
    enum tw_rc rc = TW_OK;

    hide_gone(c, keys, r);
    for (size_t i = 0; rc == TW_OK && i < r->n; i++)
        rc = take_alert(c, &r->v[i]);
    return rc;
}

const struct follow_part follow_alert_rows = { "alerts", false, read_alerts, take_alerts, free_bodies };

/* ---- Notices that are on their way: some of ours another one may have brought ---- */

struct numbers {
    const struct follow_keys *keys;
    uint64_t *v; /* in order */
    size_t n, cap;
};

static enum tw_rc add_number(void *ctx, const struct store_alert_notice *row)
{
    struct numbers *r = ctx;

    if (!follow_keys_have_number(r->keys, (int64_t)row->id))
        return TW_OK;
    if (!TW_GROW(&r->v, r->n, &r->cap, 64))
        return TW_ENOMEM;
    r->v[r->n++] = row->id;
    return TW_OK;
}

static void free_numbers(void *data)
{
    struct numbers *r = data;

    free(r->v);
    free(r);
}

static enum tw_rc read_notices(const struct follow_keys *keys, struct store *s, void **ret,
                               struct tw_err *err)
{
    struct numbers *r = *ret = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    r->keys = keys;
    return store_each_alert_notice(s, add_number, r, err);
}

static int in_order(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static bool is_brought(void *ctx, uint64_t id)
{
    const struct numbers *r = ctx;

    return follow_keys_have_number(r->keys, (int64_t)id) &&
           !(r->n && bsearch(&id, r->v, r->n, sizeof id, in_order));
}

static enum tw_rc take_notices(struct controller *c, struct follow_keys *keys, void *data)
{
    (void)keys;
    notify_forget(alerts_notify(c->alerts), is_brought, data);
    return TW_OK;
}

const struct follow_part follow_notices = { "notices", false, read_notices, take_notices, free_numbers };
