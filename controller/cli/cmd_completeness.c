#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"

static const struct out_col columns[] = {
    { .title = "HOUR", .name = "start_ns", .as = OUT_AS_TIME },
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "EXPECTED", .name = "expected", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "STORED", .name = "stored", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "COMPLETE", .name = "completeness_ratio", .as = OUT_AS_RATIO },
    { .title = "REFUSED", .name = "missing_refused", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "DROPPED", .name = "missing_dropped", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "AGENT DOWN", .name = "missing_agent_down", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "AWAITED", .name = "missing_awaited", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "UNKNOWN", .name = "missing_unknown", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "PAIR ID", .name = "pair_id", .as = OUT_AS_COUNT, .wide = true },
};

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    static const Tw__PairInfo no_pair = TW__PAIR_INFO__INIT;
    const Tw__CompletenessHour *h = row;
    double ratio = h->expected ? (double)h->stored / (double)h->expected : 0;

    (void)ctx;
    pairs_put_names(r, h->pair ? h->pair : &no_pair);
    out_ns(r, "start_ns", h->start_ns);
    out_u64(r, "expected", h->expected);
    out_u64(r, "stored", h->stored);
    out_num(r, "completeness_ratio", (struct tw_num){ h->expected != 0, ratio < 1 ? ratio : 1 });
    out_style(r, "completeness_ratio", h->stored < h->expected ? OUT_BAD : OUT_PLAIN);
    pairs_put_missing(r, h->missing);
    out_u64(r, "pair_id", h->pair ? h->pair->pair_id : 0);
}

static const Tw__CompletenessHour none = TW__COMPLETENESS_HOUR__INIT;
static const struct out_listing hours = {
    .key = "hours",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_row,
    .none = &none,
    .empty = "Nothing was due in that span yet. \"twampctl schedule list\" shows what is measured.",
};

enum cli_exit cmd_completeness(struct cli *c)
{
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    ProtobufCMessage *got = NULL;
    struct out_listing l = hours;
    enum cli_exit code = filter_fill(c, &rq);

    rq.incomplete = c->opt.incomplete;
    if (rq.incomplete)
        l.empty = "Nothing is missing in that span.";
    if (!code)
        code = cli_call(c, "Completeness", &rq.base, &got);
    if (!code) {
        const Tw__CompletenessReply *reply = (const Tw__CompletenessReply *)got;

        code = cli_print_list(c, &l, OUT_ROWS(reply->hours, reply->n_hours), NULL);
        if (!code && reply->truncated)
            cli_fail(CLI_OK, "there are more hours than these %zu: narrow it, or raise --limit",
                     reply->n_hours);
    }
    cli_free_reply(got);
    return code;
}
