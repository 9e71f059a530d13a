#include <inttypes.h>
#include <string.h>
#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"

static const struct out_column columns[] = {
    { "START", false, 0 },     { "END", false, 3 },        { "DURATION", true, 0 }, { "LOST", true, 0 },
    { "DIRECTION", false, 0 }, { "MESH/CLASS", false, 2 }, { "PAIR", false, 0 },    { "FLOW", true, 1 },
};

/* With milliseconds: most outages are shorter than a second. */
static void put_time(struct out_table *t, int64_t ns)
{
    char text[TW_TIME_TEXT];

    out_cell(t, OUT_PLAIN, "%s", tw_wall_format((struct tw_wall){ ns }, text));
}

static void put_row(struct out_table *t, const Tw__Outage *o)
{
    char text[OUT_NUM];

    put_time(t, o->start_ns);
    if (o->ongoing)
        out_cell(t, OUT_BAD, "ongoing");
    else
        put_time(t, o->start_ns + o->length_ns);
    out_cell(t, OUT_PLAIN, "%s%s", o->start_known && !o->ongoing ? "" : ">",
             out_seconds((struct tw_num){ true, out_ns_to_s(o->length_ns) }, text));
    out_cell(t, OUT_BAD, "%" PRIu64, o->probes);
    out_cell(t, strcmp(o->direction, "unknown") ? OUT_PLAIN : OUT_DOUBT, "%s", o->direction);
    pairs_cell_names(t, o->pair);
    out_cell(t, OUT_PLAIN, "%u", o->flow);
}

static void put_record(struct out_records *r, const Tw__Outage *o)
{
    static const Tw__PairInfo no_pair = TW__PAIR_INFO__INIT;
    const Tw__PairInfo *pair = o->pair ? o->pair : &no_pair;

    out_record(r);
    out_text(r, "mesh", pair->mesh);
    out_text(r, "class", pair->class_name);
    out_text(r, "source", pair->source);
    out_text(r, "target", pair->target);
    out_u64(r, "flow", o->flow);
    out_ns(r, "start_ns", o->start_ns);
    out_ns(r, "end_ns", o->start_ns + o->length_ns);
    out_real(r, "duration_seconds", out_ns_to_s(o->length_ns));
    out_u64(r, "probes", o->probes);
    out_text(r, "direction", o->direction);
    out_bool(r, "ongoing", o->ongoing);
    out_bool(r, "start_known", o->start_known);
    out_u64(r, "seq_first", o->seq_first);
    out_u64(r, "pair_id", pair->pair_id);
}

static enum cli_exit print_table(struct cli *c, const Tw__OutagesReply *reply)
{
    struct out_table t;

    if (!reply->n_outages) {
        printf("No such outage in that span. \"twampctl report\" tells whether anything was measured.\n");
        return CLI_OK;
    }
    out_table_init(&t, columns, TW_NELEM(columns));
    for (size_t i = 0; i < reply->n_outages; i++)
        put_row(&t, reply->outages[i]);
    out_table_fit(&t, cli_terminal_width());
    return cli_print_table(c, &t);
}

static enum cli_exit print_records(struct cli *c, const Tw__OutagesReply *reply)
{
    static const Tw__Outage none = TW__OUTAGE__INIT;
    struct out_records r = { .skip = reply->n_outages ? 0 : 1 };

    if (!reply->n_outages)
        put_record(&r, &none);
    for (size_t i = 0; i < reply->n_outages; i++)
        put_record(&r, reply->outages[i]);
    return cli_print_records(c, "outages", &r);
}

static enum cli_exit print_outages(struct cli *c, const Tw__OutagesReply *reply)
{
    int64_t oldest_ns = reply->n_outages ? reply->outages[reply->n_outages - 1]->start_ns : 0;
    enum cli_exit code;
    char text[TW_TIME_TEXT];

    for (size_t i = 0; i < reply->n_outages; i++)
        if (!reply->outages[i]->pair)
            return cli_fail(CLI_FAILED, "the controller's outage %zu lacks its pair", i);
    code = c->opt.output == OUT_TABLE ? print_table(c, reply) : print_records(c, reply);
    if (!code && reply->truncated && reply->n_outages)
        cli_fail(CLI_OK,
                 "there are older ones than these %zu: go on with --to %s, narrow it, or raise --limit",
                 reply->n_outages, tw_wall_format((struct tw_wall){ oldest_ns + TW_NS_PER_MS }, text));
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
