#include <inttypes.h>
#include "controller/cli/fetch.h"
#include "controller/cli/filter.h"
#include "controller/cli/group_rows.h"
#include "controller/cli/paging.h"
#include "controller/cli/pairs.h"

static const struct out_col columns[] = {
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "FLOW", .name = "flow", .as = OUT_AS_COUNT, .optional = true },
    { .title = "NOW", .name = "state" },
    { .title = "MAINT", .name = "maintenance", .wide = true },
    { .title = "SENT", .name = "sent", .as = OUT_AS_COUNT, .drop = 5 },
    { .title = "LOSS", .name = "loss_ratio", .as = OUT_AS_RATIO },
    { .title = "FWD", .name = "loss_forward_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "BWD", .name = "loss_backward_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "UNKN", .name = "loss_unknown_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "RTT P50", .name = "delay_roundtrip_p50_seconds", .as = OUT_AS_SECONDS },
    { .title = "P95", .name = "delay_roundtrip_p95_seconds", .as = OUT_AS_SECONDS, .drop = 6 },
    { .title = "P99", .name = "delay_roundtrip_p99_seconds", .as = OUT_AS_SECONDS, .drop = 4 },
    { .title = "FWD P50", .name = "delay_forward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "BWD P50", .name = "delay_backward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "JIT FWD", .name = "delay_forward_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "JIT BWD", .name = "delay_backward_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "JIT RTT", .name = "delay_roundtrip_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 3 },
    { .title = "COMPLETE", .name = "completeness_ratio", .as = OUT_AS_RATIO, .drop = 7 },
    { .title = "AVAIL", .name = "availability_ratio", .as = OUT_AS_RATIO, .drop = 7 },
    { .title = "LATE P99", .name = "send_lateness_p99_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "DUP", .name = "duplicates", .as = OUT_AS_COUNT, .wide = true },
    { .title = "REORD FWD", .name = "reordered_forward", .as = OUT_AS_COUNT, .wide = true },
    { .title = "BWD", .name = "reordered_backward", .as = OUT_AS_COUNT, .wide = true },
    { .title = "LONGEST LOSS", .name = "loss_run_longest_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "RTT MIN", .name = "delay_roundtrip_min_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "MAX", .name = "delay_roundtrip_max_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "ONE-WAY ERROR", .name = "one_way_error_bound_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "TTL", .name = "ttl_forward_min", .as = OUT_AS_COUNT, .wide = true },
    { .title = "HOST TROUBLE", .name = "host_trouble", .wide = true },
    { .title = "PAIR ID", .name = "pair_id", .as = OUT_AS_COUNT, .wide = true },
};

static const struct out_listing listing = {
    .key = "pairs",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = pairs_put_row,
    .none = &pairs_no_row,
    .empty = "No pair matches. \"twampctl schedule list\" shows what is measured.",
};

static void print_span(struct cli *c, const void *ctx)
{
    const struct pairs *p = ctx;
    char from[OUT_NUM], to[OUT_NUM];

    (void)c;
    if (p->n)
        printf("%zu %s%s, %s to %s\n", p->n, p->reply->flows ? "flow" : "pair", p->n == 1 ? "" : "s",
               out_time(p->reply->from_ns, from), out_time(p->reply->to_ns, to));
}

static void print_notes(struct cli *c, const void *ctx, const struct out_table *t)
{
    const struct pairs *p = ctx;
    struct pairs_marks marks = { 0 };
    uint64_t dropped = 0;

    for (size_t i = 0; i < p->n; i++) {
        pairs_note_marks(&marks, &p->rows[i].view);
        pairs_note_maintenance(&marks, p->rows[i].report);
        if (p->rows[i].report->summaries_dropped > dropped)
            dropped = p->rows[i].report->summaries_dropped;
    }
    if (t)
        pairs_print_marks(&marks, &listing, t, stdout);
    if (!c->opt.latest)
        pairs_print_covers(p);
    if (dropped)
        printf("Up to %" PRIu64
               " summaries of one source were dropped by its full spool: those periods are gone\n",
               dropped);
}

static enum cli_exit print_report(struct cli *c, const struct pairs *p)
{
    struct cli_answer a = { .main = { &listing, OUT_ROW_ARRAY(p->rows, p->n) },
                            .head = pairs_put_head,
                            .before = print_span,
                            .after = print_notes,
                            .ctx = p };

    return cli_print_answer(c, &a);
}

static enum cli_exit fetch(struct cli *c, const Tw__PairFilter *filter, Tw__ReportReply **ret)
{
    struct ctl_error err = { "" };
    enum cli_exit code = cli_connect(c);

    if (code)
        return code;
    code = fetch_report(c->ctl, filter, cli_progress(c), ret, &err);
    if (code)
        return cli_fail(code, "%s", err.text);
    if (!filter->flows || (*ret)->flows)
        return CLI_OK;
    tw__report_reply__free_unpacked(*ret, NULL);
    return cli_fail(CLI_FAILED, "this controller is too old for --flows: it only has pairs as a whole");
}

static enum cli_exit decode_and_print(struct cli *c, const Tw__ReportReply *reply)
{
    struct pairs p = { 0 };
    struct tw_err err = { 0 };
    char text[512];
    enum cli_exit code;

    if (pairs_decode(reply, &p, &err) != TW_OK)
        return cli_fail(CLI_FAILED, "the controller's report contradicts itself: %s",
                        tw_err_format(&err, text, sizeof text));
    code = print_report(c, &p);
    pairs_free(&p);
    return code;
}

static enum cli_exit print_whole(struct cli *c, Tw__ReportReply *reply)
{
    enum cli_exit code = *reply->group_by ? group_rows_print(c, reply) : decode_and_print(c, reply);

    if (!code && reply->truncated && !*reply->group_by)
        cli_fail(CLI_OK,
                 "there are more pairs than shown: narrow it with --mesh, --class, --source or --target");
    tw__report_reply__free_unpacked(reply, NULL);
    return code;
}

/* ---- Page by page ---- */

#define PAGE_PAIRS 500

struct pages {
    struct paging p; /* first */
    uint32_t first;  /* pair of this page */
    bool old;        /* the controller is from before there were pages, and nothing has been printed */
};

/* The same span for all pages. */
static void turn(struct paging *paging, const ProtobufCMessage *m)
{
    struct pages *p = (struct pages *)paging;
    const Tw__ReportReply *reply = (const Tw__ReportReply *)m;

    p->first = p->p.rq.skip;
    p->old = reply->truncated && !reply->next;
    p->p.more = reply->truncated && reply->next > p->first;
    p->p.rq.skip = reply->next;
    if (p->p.rq.latest)
        return;
    p->p.rq.from_ns = reply->from_ns;
    p->p.rq.to_ns = reply->to_ns;
}

static enum cli_exit print_page(struct paging *paging, const ProtobufCMessage *m)
{
    struct pages *p = (struct pages *)paging;
    const Tw__ReportReply *reply = (const Tw__ReportReply *)m;
    enum cli_exit code;

    if (p->old)
        return CLI_OK;
    if (reply->truncated && !p->p.more)
        return cli_fail(CLI_FAILED, "pair number %u has more flows than an answer holds", p->first);
    if (p->p.rq.flows && !reply->flows)
        return cli_fail(CLI_FAILED, "this controller is too old for --flows: it only has pairs as a whole");
    code = decode_and_print(p->p.c, reply);
    if (p->p.more)
        progress_say(&p->p.progress, p->p.rq.skip, 0, "%u pairs", p->p.rq.skip);
    return code;
}

static enum cli_exit by_pages(struct cli *c, const Tw__PairFilter *filter, bool *ret_old)
{
    struct pages p = { .p = { .c = c,
                              .method = "Report",
                              .work = "report",
                              .rq = *filter,
                              .turn = turn,
                              .print = print_page } };
    enum cli_exit code;

    p.p.rq.limit = PAGE_PAIRS;
    code = paging_run(&p.p);
    *ret_old = p.old;
    return code;
}

enum cli_exit cmd_report(struct cli *c)
{
    Tw__PairFilter filter = TW__PAIR_FILTER__INIT;
    Tw__ReportReply *reply = NULL;
    enum cli_exit code = filter_fill(c, &filter);
    bool whole = *filter.group_by || *filter.sort_by || filter.limit || !cli_by_pages(c);

    if (!code && !whole)
        code = by_pages(c, &filter, &whole);
    if (code || !whole)
        return code;
    code = *filter.group_by || *filter.sort_by ? report_call(c, &filter, &reply) : fetch(c, &filter, &reply);
    return code ? code : print_whole(c, reply);
}

/* The options make it one: --sort and --top. */
enum cli_exit cmd_report_top(struct cli *c)
{
    return cmd_report(c);
}
