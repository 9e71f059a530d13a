#include <string.h>
#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"

static const struct out_col columns[] = {
    { .title = "START", .name = "start_ns", .as = OUT_AS_EXACT },
    { .title = "END", .name = "end_ns", .as = OUT_AS_EXACT, .drop = 2 },
    { .title = "DURATION", .name = "duration_seconds", .as = OUT_AS_SECONDS },
    { .title = "LOST", .name = "probes", .as = OUT_AS_COUNT },
    { .title = "DIRECTION", .name = "direction" },
    { .title = "MESH/CLASS", .drop = 3 },
    { .title = "PAIR" },
    { .title = "FLOW", .name = "flow", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "FIRST SEQ", .name = "seq_first", .as = OUT_AS_COUNT, .wide = true },
    { .title = "PAIR ID", .name = "pair_id", .as = OUT_AS_COUNT, .wide = true },
};

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    static const Tw__PairInfo no_pair = TW__PAIR_INFO__INIT;
    const Tw__Outage *o = row;
    struct tw_num length = { true, out_ns_to_s(o->length_ns) };
    char text[OUT_NUM];

    (void)ctx;
    pairs_put_names(r, o->pair ? o->pair : &no_pair);
    out_u64(r, "flow", o->flow);
    out_ns(r, "start_ns", o->start_ns);
    out_ns(r, "end_ns", out_ns_sum(o->start_ns, o->length_ns));
    if (o->ongoing)
        out_show(r, "end_ns", OUT_BAD, "ongoing");
    out_num(r, "duration_seconds", length);
    if (o->ongoing || !o->start_known)
        out_show(r, "duration_seconds", OUT_PLAIN, ">%s", out_seconds(length, text));
    out_u64(r, "probes", o->probes);
    out_style(r, "probes", OUT_BAD);
    out_text(r, "direction", o->direction);
    out_style(r, "direction", strcmp(o->direction, "unknown") ? OUT_PLAIN : OUT_DOUBT);
    out_bool(r, "ongoing", o->ongoing);
    out_bool(r, "start_known", o->start_known);
    out_u64(r, "seq_first", o->seq_first);
    out_u64(r, "pair_id", o->pair ? o->pair->pair_id : 0);
}

static const Tw__Outage none = TW__OUTAGE__INIT;
static const struct out_listing outages = {
    .key = "outages",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_row,
    .none = &none,
    .empty = "No outage in that span. \"twampctl report\" tells whether anything was measured.",
};

static enum cli_exit print_outages(struct cli *c, const Tw__OutagesReply *reply)
{
    int64_t oldest_ns = reply->n_outages ? reply->outages[reply->n_outages - 1]->start_ns : 0;
    enum cli_exit code;
    char text[TW_TIME_TEXT];

    for (size_t i = 0; i < reply->n_outages; i++)
        if (!reply->outages[i]->pair)
            return cli_fail(CLI_FAILED, "the controller's outage %zu lacks its pair", i);
    code = cli_print_list(c, &outages, OUT_ROWS(reply->outages, reply->n_outages), NULL);
    if (!code && reply->truncated && reply->n_outages)
        cli_fail(CLI_OK,
                 "there are older ones than these %zu: go on with --to %s, narrow it, or raise --limit",
                 reply->n_outages, tw_wall_format((struct tw_wall){ out_ns_sum(oldest_ns, TW_NS_PER_MS) }, text));
    return code;
}

static enum cli_exit read_direction(struct cli *c, Tw__PairFilter *rq)
{
    enum tw_direction d;

    if (!c->opt.direction)
        return CLI_OK;
    if (tw_direction_parse(c->opt.direction, &d) || d == TW_ROUNDTRIP)
        return cli_fail(CLI_USAGE,
                        "--direction: \"%.60s\" is none: expected forward, backward, mixed or unknown",
                        c->opt.direction);
    rq->direction = c->opt.direction;
    return CLI_OK;
}

enum cli_exit cmd_outages(struct cli *c)
{
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    ProtobufCMessage *reply = NULL;
    enum cli_exit code = filter_fill(c, &rq);

    rq.min_probes = (uint64_t)c->opt.min_probes;
    rq.min_duration_ns = c->opt.min_duration_ns;
    if (!code)
        code = read_direction(c, &rq);
    if (!code)
        code = cli_call(c, "Outages", &rq.base, &reply);
    if (!code)
        code = print_outages(c, (const Tw__OutagesReply *)reply);
    cli_free_reply(reply);
    return code;
}
