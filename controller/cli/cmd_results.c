#include <stdlib.h>
#include "controller/cli/filter.h"
#include "controller/cli/paging.h"
#include "controller/cli/pairs.h"

static const struct out_col columns[] = {
    { .title = "START", .name = "start_ns", .as = OUT_AS_TIME },
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "FLOW", .name = "flow", .as = OUT_AS_COUNT, .drop = 5 },
    { .title = "STATUS", .name = "status" },
    { .title = "SENT", .name = "sent", .as = OUT_AS_COUNT, .drop = 6 },
    { .title = "LOST FWD", .name = "lost_forward", .as = OUT_AS_COUNT },
    { .title = "BWD", .name = "lost_backward", .as = OUT_AS_COUNT },
    { .title = "UNKN", .name = "lost_unknown", .as = OUT_AS_COUNT },
    { .title = "RTT P50", .name = "delay_roundtrip_p50_seconds", .as = OUT_AS_SECONDS, .drop = 7 },
    { .title = "P95", .name = "delay_roundtrip_p95_seconds", .as = OUT_AS_SECONDS, .drop = 4 },
    { .title = "P99", .name = "delay_roundtrip_p99_seconds", .as = OUT_AS_SECONDS, .drop = 3 },
    { .title = "FWD P50", .name = "delay_forward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "BWD P50", .name = "delay_backward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "JIT RTT", .name = "delay_roundtrip_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "LATE P99", .name = "send_lateness_p99_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "DUP", .name = "duplicates", .as = OUT_AS_COUNT, .wide = true },
    { .title = "REORD FWD", .name = "reordered_forward", .as = OUT_AS_COUNT, .wide = true },
    { .title = "BWD", .name = "reordered_backward", .as = OUT_AS_COUNT, .wide = true },
    { .title = "LONGEST LOSS", .name = "loss_run_longest_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "HOST TROUBLE", .name = "host_trouble", .wide = true },
    { .title = "GENERATION", .name = "generation", .as = OUT_AS_COUNT, .wide = true },
    { .title = "FIRST SEQ", .name = "seq_first", .as = OUT_AS_COUNT, .wide = true },
    { .title = "TEST", .name = "test_id", .as = OUT_AS_COUNT, .wide = true },
    { .title = "PAIR ID", .name = "pair_id", .as = OUT_AS_COUNT, .wide = true },
};

struct row {
    const Tw__PairInfo *pair;
    const Tw__Summary *summary;
    struct stats_view view;
};

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const struct row *w = row;

    (void)ctx;
    pairs_put_names(r, w->pair);
    out_u64(r, "flow", w->summary->flow);
    pairs_put_state(r, "status", tw_status_name(w->view.status));
    out_ns(r, "start_ns", w->view.start_ns);
    out_ns(r, "end_ns", w->view.end_ns);
    out_u64(r, "pair_id", w->pair->pair_id);
    out_u64(r, "generation", w->summary->generation);
    out_u64(r, "seq_first", w->summary->seq_first);
    out_u64(r, "test_id", w->summary->test_id);
    pairs_put_view(r, &w->view);
}

static const Tw__PairInfo no_pair = TW__PAIR_INFO__INIT;
static const Tw__Summary no_summary = TW__SUMMARY__INIT;
static const struct row none = { .pair = &no_pair, .summary = &no_summary };
static const struct out_listing listing = {
    .key = "summaries",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_row,
    .none = &none,
    .empty = "No summaries in that span. \"twampctl report\" tells what is missing.",
};

struct rows {
    struct row *v;
    size_t n;
};

static void print_notes(struct cli *c, const void *ctx, const struct out_table *t)
{
    const struct rows *rows = ctx;
    struct pairs_marks marks = { 0 };

    (void)c;
    for (size_t i = 0; i < rows->n; i++)
        pairs_note_marks(&marks, &rows->v[i].view);
    if (t)
        pairs_print_marks(&marks, &listing, t, stdout);
}

static enum tw_rc decode(const Tw__ResultsReply *reply, struct row *rows, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < reply->n_rows; i++) {
        rows[i].pair = reply->rows[i]->pair;
        rows[i].summary = reply->rows[i]->summary;
        if (!rows[i].pair || !rows[i].summary)
            return tw_err_set(err, TW_ECORRUPT, "row %zu lacks its pair or its summary", i);
        rc = pairs_view(rows[i].summary, &rows[i].view, err);
    }
    return rc;
}

/* The first n rows. */
static enum cli_exit print_rows(struct cli *c, const Tw__ResultsReply *reply, size_t n)
{
    struct rows rows = { calloc(reply->n_rows + 1, sizeof *rows.v), n };
    struct cli_answer a = { .main = { &listing, OUT_ROW_ARRAY(rows.v, rows.n) },
                            .after = print_notes,
                            .ctx = &rows };
    struct tw_err err = { 0 };
    char text[512];
    enum cli_exit code;

    if (!rows.v)
        return cli_no_memory();
    if (decode(reply, rows.v, &err) != TW_OK)
        code = cli_fail(CLI_FAILED, "the controller's results contradict themselves: %s",
                        tw_err_format(&err, text, sizeof text));
    else
        code = cli_print_answer(c, &a);
    free(rows.v);
    return code;
}

static void say_more(uint64_t n)
{
    cli_fail(CLI_OK,
             "there are more than these %llu summaries: narrow the span or the pairs, or raise --limit",
             (unsigned long long)n);
}

/* ---- Page by page ---- */

struct pages {
    struct paging p;   /* first */
    uint64_t n, limit; /* rows; 0: all */
    size_t print_rows; /* of this page */
    bool cut;          /* there are more that will not come */
};

static const Tw__PairInfo *last_pair(const Tw__ResultsReply *reply)
{
    return reply->n_rows ? reply->rows[reply->n_rows - 1]->pair : reply->page_last;
}

static void say_progress(struct pages *p, const Tw__ResultsReply *reply)
{
    const Tw__PairInfo *pair = last_pair(reply);
    char at[OUT_NUM];

    if (p->p.more && pair)
        progress_say(&p->p.progress, p->n, p->limit, "%llu summaries, at %s > %s, %s",
                     (unsigned long long)p->n, pair->source, pair->target, out_time(reply->next_ns, at));
}

/* A controller from before there were pages has more without saying where. */
static void turn(struct paging *paging, const ProtobufCMessage *m)
{
    struct pages *p = (struct pages *)paging;
    const Tw__ResultsReply *reply = (const Tw__ResultsReply *)m;
    uint64_t room = p->limit - p->n;
    bool more;

    p->print_rows = p->limit && reply->n_rows > room ? (size_t)room : reply->n_rows;
    p->n += p->print_rows + reply->page_rows;
    more = reply->truncated || p->print_rows < reply->n_rows;
    p->cut = more && (!reply->next_pair || (p->limit && p->n == p->limit));
    p->p.more = more && !p->cut;
    p->p.rq.page_pair = reply->next_pair;
    p->p.rq.page_ns = reply->next_ns;
}

/* As rows, or as text that is lines already: then only the heading is ours. */
static enum cli_exit print_page(struct paging *paging, const ProtobufCMessage *m)
{
    struct pages *p = (struct pages *)paging;
    const Tw__ResultsReply *reply = (const Tw__ResultsReply *)m;
    enum cli_exit code = print_rows(p->p.c, reply, p->print_rows);

    if (!code && reply->page_text.len)
        fwrite(reply->page_text.data, 1, reply->page_text.len, stdout);
    if (p->cut)
        say_more(p->n);
    say_progress(p, reply);
    return code;
}

/* The same span for all of them. */
static enum cli_exit by_pages(struct cli *c, const Tw__PairFilter *filter)
{
    struct pages p = { .p = { .c = c,
                              .method = "Results",
                              .work = "results",
                              .rq = *filter,
                              .turn = turn,
                              .print = print_page },
                       .limit = filter->limit };

    p.p.rq.paged = true;
    p.p.rq.limit = 0;
    if (!p.limit) /* else the last page is cut between rows */
        p.p.rq.page_form = (char *)(c->opt.output == FORMAT_CSV ? "csv" : "ndjson");
    if (!p.p.rq.to_ns)
        p.p.rq.to_ns = c->wall_ns();
    return paging_run(&p.p);
}

static enum cli_exit at_once(struct cli *c, const Tw__PairFilter *filter)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = cli_call(c, "Results", &filter->base, &m);
    const Tw__ResultsReply *reply = (const Tw__ResultsReply *)m;

    if (!code)
        code = print_rows(c, reply, reply->n_rows);
    if (!code && reply->truncated)
        say_more(reply->n_rows);
    cli_free_reply(m);
    return code;
}

enum cli_exit cmd_results(struct cli *c)
{
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    enum cli_exit code = filter_fill(c, &rq);

    if (code)
        return code;
    return cli_by_pages(c) ? by_pages(c, &rq) : at_once(c, &rq);
}
