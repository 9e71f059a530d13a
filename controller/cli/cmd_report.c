#include <inttypes.h>
#include "controller/cli/fetch.h"
#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"

static const struct out_column columns[] = {
    { "MESH/CLASS", false, 0 }, { "PAIR", false, 0 },    { "FLOW", true, 0 },     { "NOW", false, 0 },
    { "SENT", true, 5 },        { "LOSS", true, 0 },     { "FWD", true, 8 },      { "BWD", true, 8 },
    { "UNKN", true, 8 },        { "RTT P50", true, 0 },  { "P95", true, 6 },      { "P99", true, 4 },
    { "FWD P50", true, 2 },     { "BWD P50", true, 2 },  { "JIT FWD", true, 1 },  { "JIT BWD", true, 1 },
    { "JIT RTT", true, 3 },     { "COMPLETE", true, 7 }, { "LATE P99", true, 1 },
};
#define COLUMN_FLOW 2
#define COLUMN_FWD_P50 12

/* Without --flows there is no such column. Returns how many there are. */
static size_t pick_columns(struct out_column *ret, bool flows)
{
    size_t n = 0;

    for (size_t i = 0; i < TW_NELEM(columns); i++)
        if (flows || i != COLUMN_FLOW)
            ret[n++] = columns[i];
    return n;
}

/* True: marked as perhaps the host's own. */
static bool put_loss(struct out_table *t, const struct stats_view *v)
{
    bool trouble = pairs_cell_total_loss(t, v);

    pairs_cell_loss(t, v->loss_forward_ratio);
    pairs_cell_loss(t, v->loss_backward_ratio);
    pairs_cell_loss(t, v->loss_unknown_ratio);
    return trouble;
}

static void put_completeness(struct out_table *t, const Tw__PairReport *p)
{
    bool whole = p->periods_stored >= p->periods_expected;
    struct tw_num ratio = { p->periods_expected > 0, 1 };
    char text[OUT_NUM];

    if (!whole)
        ratio.value = (double)p->periods_stored / (double)p->periods_expected;
    out_cell(t, whole ? OUT_PLAIN : OUT_DOUBT, "%s", out_percent(ratio, text));
}

static bool put_row(struct out_table *t, const struct pair_row *row, bool flows, bool *trouble)
{
    const struct stats_view *v = &row->view;
    const struct stats_delay *rtt = &v->delay[TW_ROUNDTRIP];
    bool doubt;

    pairs_cell_names(t, row->report->pair);
    if (flows)
        out_cell(t, OUT_PLAIN, "%" PRIu32, row->report->flow);
    pairs_cell_state(t, row->report->state);
    out_cell(t, OUT_PLAIN, "%" PRIu64, v->sent);
    *trouble |= put_loss(t, v);
    pairs_cell_seconds(t, rtt->p50_s);
    pairs_cell_seconds(t, rtt->p95_s);
    pairs_cell_seconds(t, rtt->p99_s);
    doubt = pairs_cell_one_way(t, v, v->delay[TW_FORWARD].p50_s);
    doubt |= pairs_cell_one_way(t, v, v->delay[TW_BACKWARD].p50_s);
    for (int d = 0; d < 3; d++)
        pairs_cell_seconds(t, v->delay[d].jitter_rfc3550_s);
    put_completeness(t, row->report);
    pairs_cell_seconds(t, v->send_lateness_p99_s);
    return doubt;
}

static void print_span(const Tw__ReportReply *reply, size_t n)
{
    char from[OUT_NUM], to[OUT_NUM];

    printf("%zu %s%s, %s to %s\n", n, reply->flows ? "flow" : "pair", n == 1 ? "" : "s",
           out_time(reply->from_ns, from), out_time(reply->to_ns, to));
}

static enum cli_exit print_table(struct cli *c, const struct pairs *p)
{
    struct out_column shown[TW_NELEM(columns)];
    struct out_table t;
    bool doubt = false, trouble = false, flows = p->reply->flows;
    uint64_t dropped = 0;
    enum cli_exit code;

    if (!p->n) {
        printf("No pair matches. \"twampctl schedule list\" shows what is measured.\n");
        return CLI_OK;
    }
    out_table_init(&t, shown, pick_columns(shown, flows));
    for (size_t i = 0; i < p->n; i++) {
        doubt |= put_row(&t, &p->rows[i], flows, &trouble);
        if (p->rows[i].report->summaries_dropped > dropped)
            dropped = p->rows[i].report->summaries_dropped;
    }
    print_span(p->reply, p->n);
    out_table_fit(&t, cli_terminal_width());
    doubt &= out_table_shows(&t, COLUMN_FWD_P50 - !flows);
    code = cli_print_table(c, &t);
    if (doubt)
        fputs(pairs_one_way_note, stdout);
    if (trouble)
        fputs(pairs_host_note, stdout);
    if (dropped)
        printf("Up to %" PRIu64
               " summaries of one source were dropped by its full spool: those periods are gone\n",
               dropped);
    return code;
}

static enum cli_exit print_report(struct cli *c, const struct pairs *p)
{
    struct out_records r = { 0 };
    enum cli_exit code = CLI_OK;

    if (c->opt.output == OUT_TABLE)
        return print_table(c, p);
    pairs_records(p, &r);
    if (c->opt.output == OUT_CSV)
        return cli_print_records(c, "pairs", &r);
    code = cli_print_json(pairs_json(p, &r));
    out_records_free(&r);
    return code;
}

static enum cli_exit fetch(struct cli *c, const Tw__PairFilter *filter, Tw__ReportReply **ret)
{
    struct ctl_error err = { "" };
    enum cli_exit code;

    if (ctl_new(c->opt.controller, c->opt.timeout_ns, false, &c->ctl) != TW_OK)
        return cli_no_memory();
    code = fetch_report(c->ctl, filter, ret, &err);
    if (code)
        return cli_fail(code, "%s", err.text);
    if (!filter->flows || (*ret)->flows)
        return CLI_OK;
    tw__report_reply__free_unpacked(*ret, NULL);
    return cli_fail(CLI_FAILED, "this controller is too old for --flows: it only has pairs as a whole");
}

enum cli_exit cmd_report(struct cli *c)
{
    Tw__PairFilter filter = TW__PAIR_FILTER__INIT;
    Tw__ReportReply *reply = NULL;
    struct pairs p = { 0 };
    struct tw_err err = { 0 };
    char text[512];
    enum cli_exit code = filter_fill(c, &filter);

    if (!code)
        code = fetch(c, &filter, &reply);
    if (code)
        return code;
    if (pairs_decode(reply, &p, &err) != TW_OK)
        code = cli_fail(CLI_FAILED, "the controller's report contradicts itself: %s",
                        tw_err_format(&err, text, sizeof text));
    else
        code = print_report(c, &p);
    if (!code && reply->truncated)
        cli_fail(CLI_OK,
                 "there are more pairs than shown: narrow it with --mesh, --class, --source or --target");
    pairs_free(&p);
    tw__report_reply__free_unpacked(reply, NULL);
    return code;
}
