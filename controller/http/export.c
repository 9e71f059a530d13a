#include "controller/http/export.h"
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <utlist.h>
#include "common/log.h"
#include "common/net/httpd.h"
#include "controller/http/api.h"
#include "controller/http/report_text.h"

#define PIECE_OCTETS (256 << 10) /* or a few rows more */
#define PIECE_PAIRS 32           /* of a report; of summaries at most */
#define RETRY_NS (100 * TW_NS_PER_MS)

struct export
{
    struct reader_job job; /* first */
    struct export *prev, *next;
    struct controller *c;
    struct http_stream *stream; /* NULL: cut off */
    struct loop_task taken;
    struct loop_timer retry;
    enum export_kind kind;
    struct report_filter f;
    struct reader_client client;
    int64_t now_ns;
    uint64_t *ids; /* of the pairs, sorted by names */
    size_t n, at;
    int64_t next_ns; /* summaries of pair `at` from here on */
    uint64_t rows;
    bool begun, busy; /* busy: a piece is being made */
    /* The piece. */
    const struct pair *pairs[PIECE_PAIRS];
    struct store_pair names[PIECE_PAIRS];
    size_t places[PIECE_PAIRS + 1]; /* in ids; of the first behind them, too */
    size_t n_piece, done;
    int64_t last_ns;
    FILE *to;
    char *text;
    size_t len;
    enum tw_rc rc;
    struct tw_err err;
};

static void export_free(struct export *e)
{
    loop_timer_cancel(e->c->loop, &e->retry);
    free(e->text);
    free(e->ids);
    free(e);
}

/* complete false: the client is to see that something is missing. */
static void finish(struct export *e, bool complete)
{
    if (complete)
        http_stream_close(e->stream);
    else
        http_stream_abort(e->stream);
    DL_DELETE(e->c->exports, e);
    e->c->n_exports--;
    export_free(e);
}

/* ---- Summaries: on a reader ---- */

static bool is_limit(const struct export *e)
{
    return e->f.limit && e->rows >= e->f.limit;
}

/* TW_EAGAIN: that is enough. A piece ends between two starts, where the next one begins. */
static enum tw_rc add_row(void *ctx, const struct tw_summary *s)
{
    struct export *e = ctx;
    const struct store_pair *pair = &e->names[e->done];

    if (e->f.test_id && s->test_id != e->f.test_id)
        return TW_OK;
    if (is_limit(e) || (s->start_ns != e->last_ns && ftell(e->to) >= PIECE_OCTETS)) {
        e->next_ns = s->start_ns;
        return TW_EAGAIN;
    }
    e->last_ns = s->start_ns;
    e->rows++;
    if (e->f.format == REPORT_CSV)
        summary_csv_row(e->to, pair, s);
    else
        summary_ndjson_row(e->to, pair, s);
    return TW_OK;
}

static void write_summaries(struct export *e, struct store_reader *db)
{
    while (!e->rc && e->done < e->n_piece) {
        e->last_ns = INT64_MIN;
        e->rc =
            store_read_summaries(db, &e->names[e->done].id, 1, e->next_ns, e->f.to_ns, add_row, e, &e->err);
        if (e->rc)
            break;
        e->done++;
        e->next_ns = e->f.from_ns;
    }
    if (e->rc == TW_EAGAIN)
        e->rc = TW_OK;
}

static void begin_text(struct export *e)
{
    e->text = NULL;
    e->to = open_memstream(&e->text, &e->len);
    e->rc = e->to ? TW_OK : TW_ENOMEM;
    if (e->to)
        __fsetlocking(e->to, FSETLOCKING_BYCALLER); /* it is nobody else's */
}

static void end_text(struct export *e)
{
    bool bad = e->to && ferror(e->to);

    if (e->to && (fclose(e->to) || bad) && !e->rc)
        e->rc = TW_ENOMEM;
    e->to = NULL;
}

static void summaries_work(struct reader_job *job, struct store_reader *db)
{
    struct export *e = (struct export *)job;

    begin_text(e);
    if (!e->rc && !e->begun && e->f.format == REPORT_CSV)
        summary_csv_heading(e->to);
    if (!e->rc)
        write_summaries(e, db);
    end_text(e);
}

/* ---- Piece after piece ---- */

static void go_on(struct export *e);

static void fail(struct export *e)
{
    log_warn("export cut off", LOG_S("why", e->err.text[0] ? e->err.text : tw_rc_name(e->rc)));
    finish(e, false);
}

/* The piece is in text, or it failed. */
static void send_piece(struct export *e)
{
    char *text = e->text;
    enum tw_rc rc = TW_OK;
    bool over;

    e->busy = false;
    if (!e->stream) {
        export_free(e);
        return;
    }
    if (e->rc) {
        fail(e);
        return;
    }
    e->begun = true;
    e->at = e->places[e->done];
    over = e->at == e->n || is_limit(e);
    e->text = NULL;
    if (e->len)
        rc = http_stream_send(e->stream, text, e->len);
    free(text);
    if (rc || over)
        finish(e, !rc);
    else if (!e->len)
        go_on(e);
}

static void summaries_done(struct reader_job *job)
{
    send_piece((struct export *)job);
}

static void on_report(void *ctx, struct report *rep, const struct tw_err *err)
{
    struct export *e = ctx;

    e->done = e->n_piece;
    if (!rep) {
        e->rc = err->rc ? err->rc : TW_EIO;
        e->err = *err;
        send_piece(e);
        return;
    }
    begin_text(e);
    if (!e->rc && !e->begun && e->f.format == REPORT_CSV)
        report_csv_heading(e->to, rep, e->f.flows);
    if (!e->rc && e->f.format == REPORT_CSV)
        report_csv_rows(e->to, rep, e->f.flows);
    else if (!e->rc)
        report_ndjson_rows(e->to, rep, e->f.flows);
    end_text(e);
    report_free(rep);
    send_piece(e);
}

/* Those of the next piece, as far as they are still known. */
static void take_pairs(struct export *e)
{
    size_t i = e->at;

    for (e->n_piece = e->done = 0; e->n_piece < PIECE_PAIRS && i < e->n; i++) {
        const struct pair *p = inventory_pair(&e->c->inv, e->ids[i]);

        if (!p)
            continue;
        e->pairs[e->n_piece] = p;
        e->names[e->n_piece] = p->row;
        e->places[e->n_piece++] = i;
    }
    e->places[e->n_piece] = i;
}

static enum tw_rc submit(struct export *e)
{
    if (e->kind == EXPORT_REPORT)
        return report_run_some(&e->c->inv, e->c->readers, &e->f, e->pairs, e->n_piece, e->now_ns, on_report,
                               e);
    e->job = (struct reader_job){ .run = summaries_work, .done = summaries_done };
    return reader_submit(e->c->readers, &e->job);
}

static void go_on(struct export *e)
{
    struct reader_client before;
    enum tw_rc rc;

    if (http_stream_is_gone(e->stream)) {
        finish(e, false);
        return;
    }
    take_pairs(e);
    before = reader_on_behalf(e->c->readers, e->client);
    rc = submit(e);
    reader_on_behalf(e->c->readers, before);
    e->busy = !rc;
    if (rc == TW_EBUSY) {
        loop_timer_set(e->c->loop, &e->retry, (struct tw_mono){ loop_now(e->c->loop).mono.ns + RETRY_NS });
    } else if (rc) {
        e->rc = rc;
        fail(e);
    }
}

static void on_taken(struct loop_task *t)
{
    struct export *e = t->ctx;

    if (!e->busy) /* else the client has gone: sending will tell */
        go_on(e);
}

static void on_retry(struct loop_timer *t)
{
    go_on(t->ctx);
}

static enum tw_rc take_ids(struct export *e)
{
    const struct pair **v;
    enum tw_rc rc = report_select(&e->c->inv, &e->f, &v, &e->n);

    if (rc)
        return rc;
    if (e->kind == EXPORT_REPORT && e->f.limit && e->n > e->f.limit)
        e->n = e->f.limit;
    e->ids = malloc((e->n + 1) * sizeof *e->ids);
    for (size_t i = 0; e->ids && i < e->n; i++)
        e->ids[i] = v[i]->row.id;
    free(v);
    return e->ids ? TW_OK : TW_ENOMEM;
}

void export_start(struct controller *c, struct http_req *rq, enum export_kind kind,
                  const struct report_filter *f)
{
    struct export *e = c->n_exports < EXPORTS_MAX ? calloc(1, sizeof *e) : NULL;
    const char *type = f->format == REPORT_CSV ? "text/csv; charset=utf-8" : "application/x-ndjson";

    if (c->n_exports >= EXPORTS_MAX) {
        http_answer_later(rq, 5, "%u exports are under way: try again later", c->n_exports);
        return;
    }
    if (!e) {
        api_refuse(rq, TW_ENOMEM, NULL);
        return;
    }
    e->c = c;
    e->kind = kind;
    e->f = *f;
    e->client = (struct reader_client){ .key = reader_asks(c->readers).key, .bulk = true };
    e->next_ns = f->from_ns;
    e->now_ns = loop_now(c->loop).wall.ns;
    e->taken = (struct loop_task){ .fn = on_taken, .ctx = e };
    e->retry = (struct loop_timer){ .fn = on_retry, .ctx = e };
    if (take_ids(e)) {
        api_refuse(rq, TW_ENOMEM, NULL);
        export_free(e);
    } else if (http_answer_pieces(rq, type, "", 0, &e->taken, &e->stream)) {
        export_free(e);
    } else {
        DL_APPEND(c->exports, e);
        c->n_exports++;
    }
}

void exports_stop(struct controller *c)
{
    struct export *e, *next;

    DL_FOREACH_SAFE(c->exports, e, next)
    {
        if (e->busy) { /* its piece comes, and finds that nobody wants it */
            http_stream_abort(e->stream);
            e->stream = NULL;
            DL_DELETE(c->exports, e);
            c->n_exports--;
        } else {
            finish(e, false);
        }
    }
}
