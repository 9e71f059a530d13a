#include <inttypes.h>
#include <stdlib.h>
#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"

static const struct out_column columns[] = {
    { "START", false, 0 },  { "MESH/CLASS", false, 0 }, { "PAIR", false, 0 },      { "FLOW", true, 5 },
    { "STATUS", false, 0 }, { "SENT", true, 6 },        { "LOST FWD", true, 0 },   { "BWD", true, 0 },
    { "UNKN", true, 0 },    { "RTT P50", true, 7 },     { "P95", true, 4 },        { "P99", true, 3 },
    { "FWD P50", true, 1 }, { "BWD P50", true, 1 },     { "JITTER RTT", true, 2 }, { "LATE P99", true, 1 },
};
#define COLUMN_FWD_P50 12

static void put_lost(struct out_table *t, uint64_t n, const char *mark)
{
    out_cell(t, n ? OUT_BAD : *mark ? OUT_DOUBT : OUT_PLAIN, "%" PRIu64 "%s", n, mark);
}

static bool put_row(struct out_table *t, const Tw__ResultRow *row, const struct stats_view *v)
{
    const struct stats_delay *rtt = &v->delay[TW_ROUNDTRIP];
    const char *mark = pairs_host_mark(v);
    char text[OUT_NUM];
    bool doubt;

    out_cell(t, OUT_PLAIN, "%s", out_time(v->start_ns, text));
    pairs_cell_names(t, row->pair);
    out_cell(t, OUT_PLAIN, "%u", row->summary->flow);
    pairs_cell_state(t, tw_status_name(v->status));
    out_cell(t, OUT_PLAIN, "%" PRIu64, v->sent);
    put_lost(t, v->lost_forward, mark);
    put_lost(t, v->lost_backward, mark);
    put_lost(t, v->lost_unknown, mark);
    pairs_cell_seconds(t, rtt->p50_s);
    pairs_cell_seconds(t, rtt->p95_s);
    pairs_cell_seconds(t, rtt->p99_s);
    doubt = pairs_cell_one_way(t, v, v->delay[TW_FORWARD].p50_s);
    doubt |= pairs_cell_one_way(t, v, v->delay[TW_BACKWARD].p50_s);
    pairs_cell_seconds(t, rtt->jitter_rfc3550_s);
    pairs_cell_seconds(t, v->send_lateness_p99_s);
    return doubt;
}

static void put_record(struct out_records *r, const Tw__PairInfo *pair, const Tw__Summary *s,
                       const struct stats_view *v)
{
    out_record(r);
    out_text(r, "mesh", pair->mesh);
    out_text(r, "class", pair->class_name);
    out_text(r, "source", pair->source);
    out_text(r, "target", pair->target);
    out_u64(r, "flow", s->flow);
    out_text(r, "status", tw_status_name(v->status));
    out_ns(r, "start_ns", v->start_ns);
    out_ns(r, "end_ns", v->end_ns);
    out_u64(r, "pair_id", pair->pair_id);
    out_u64(r, "generation", s->generation);
    out_u64(r, "seq_first", s->seq_first);
    out_view(r, v);
}

static enum cli_exit print_table(struct cli *c, const Tw__ResultsReply *reply, const struct stats_view *views)
{
    struct out_table t;
    bool doubt = false, trouble = false;
    enum cli_exit code;

    if (!reply->n_rows) {
        printf("No summaries in that span. \"twampctl report\" tells what is missing.\n");
        return CLI_OK;
    }
    out_table_init(&t, columns, TW_NELEM(columns));
    for (size_t i = 0; i < reply->n_rows; i++) {
        doubt |= put_row(&t, reply->rows[i], &views[i]);
        trouble |= *pairs_host_mark(&views[i]);
    }
    out_table_fit(&t, cli_terminal_width());
    doubt &= out_table_shows(&t, COLUMN_FWD_P50);
    code = cli_print_table(c, &t);
    if (doubt)
        fputs(pairs_one_way_note, stdout);
    if (trouble)
        fputs(pairs_host_note, stdout);
    return code;
}

static enum cli_exit print_records(struct cli *c, const Tw__ResultsReply *reply,
                                   const struct stats_view *views)
{
    static const Tw__PairInfo no_pair = TW__PAIR_INFO__INIT;
    static const Tw__Summary no_summary = TW__SUMMARY__INIT;
    static const struct stats_view no_view;
    struct out_records r = { .skip = reply->n_rows ? 0 : 1 };

    if (!reply->n_rows)
        put_record(&r, &no_pair, &no_summary, &no_view);
    for (size_t i = 0; i < reply->n_rows; i++)
        put_record(&r, reply->rows[i]->pair, reply->rows[i]->summary, &views[i]);
    return cli_print_records(c, "summaries", &r);
}

static enum tw_rc decode(const Tw__ResultsReply *reply, struct stats_view *views, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < reply->n_rows; i++) {
        if (!reply->rows[i]->pair || !reply->rows[i]->summary)
            return tw_err_set(err, TW_ECORRUPT, "row %zu lacks its pair or its summary", i);
        rc = pairs_view(reply->rows[i]->summary, &views[i], err);
    }
    return rc;
}

static enum cli_exit print_results(struct cli *c, const Tw__ResultsReply *reply)
{
    struct stats_view *views = calloc(reply->n_rows + 1, sizeof *views);
    struct tw_err err = { 0 };
    char text[512];
    enum cli_exit code;

    if (!views)
        return cli_no_memory();
    if (decode(reply, views, &err) != TW_OK)
        code = cli_fail(CLI_FAILED, "the controller's results contradict themselves: %s",
                        tw_err_format(&err, text, sizeof text));
    else
        code = c->opt.output == OUT_TABLE ? print_table(c, reply, views) : print_records(c, reply, views);
    if (!code && reply->truncated)
        cli_fail(CLI_OK,
                 "there are more than these %zu summaries: narrow the span or the pairs, or raise --limit",
                 reply->n_rows);
    free(views);
    return code;
}

enum cli_exit cmd_results(struct cli *c)
{
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    ProtobufCMessage *reply = NULL;
    enum cli_exit code = filter_fill(c, &rq);

    if (!code)
        code = cli_call(c, "Results", &rq.base, &reply);
    if (!code)
        code = print_results(c, (const Tw__ResultsReply *)reply);
    cli_free_reply(reply);
    return code;
}
