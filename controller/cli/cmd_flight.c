/* twampctl flight: single probes around a moment, out of the agents' flight recorders. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/words.h"
#include "controller/cli/filter.h"
#include "controller/cli/probe.h"
#include "controller/cli/pairs.h"

#define NAME_TEXT 64

/* ---- What is asked ---- */

/* A pair as words on the command line. */
struct pair_text {
    uint64_t id; /* 0: by names */
    char mesh[NAME_TEXT], class_name[NAME_TEXT], source[NAME_TEXT], target[NAME_TEXT];
};

/* Trims blanks; "*" is any, which is "". */
static bool copy_part(const char *text, size_t len, char ret[NAME_TEXT])
{
    while (len && *text == ' ')
        text++, len--;
    while (len && text[len - 1] == ' ')
        len--;
    if (!len || len >= NAME_TEXT || memchr(text, '/', len) || memchr(text, ' ', len))
        return false;
    if (len == 1 && *text == '*')
        len = 0;
    memcpy(ret, text, len);
    ret[len] = '\0';
    return true;
}

/* "MESH/CLASS" or "MESH", before the last '/'. */
static bool copy_where(const char *text, size_t len, struct pair_text *ret)
{
    const char *slash = memchr(text, '/', len);
    size_t mesh = slash ? (size_t)(slash - text) : len;

    return copy_part(text, mesh, ret->mesh) &&
           (!slash || copy_part(slash + 1, len - mesh - 1, ret->class_name));
}

static bool parse_pair(const char *text, struct pair_text *ret)
{
    const char *slash = strrchr(text, '/'), *ends = slash ? slash + 1 : text;
    size_t source = strcspn(ends, ":>");
    char *end;

    *ret = (struct pair_text){ 0 };
    if (*text && strspn(text, "0123456789") == strlen(text)) {
        ret->id = strtoull(text, &end, 10);
        return ret->id != 0 && ret->id != UINT64_MAX;
    }
    return ends[source] && (!slash || copy_where(text, (size_t)(slash - text), ret)) &&
           copy_part(ends, source, ret->source) &&
           copy_part(ends + source + 1, strlen(ends + source + 1), ret->target);
}

struct question {
    struct pair_text pair;
    Tw__PairFilter filter;
    Tw__PairFlightRequest rq;
};

static enum cli_exit read_pair(struct cli *c, struct question *q)
{
    const char *text = c->args.v[0];

    if (!parse_pair(text, &q->pair))
        return cli_fail(
            CLI_USAGE,
            "\"%.80s\" is no pair: expected SOURCE:TARGET, or MESH/CLASS/SOURCE:TARGET, where * is "
            "any, or a pair's id",
            text);
    q->filter = (Tw__PairFilter)TW__PAIR_FILTER__INIT;
    q->filter.mesh = q->pair.mesh;
    q->filter.class_name = q->pair.class_name;
    q->filter.source = q->pair.source;
    q->filter.target = q->pair.target;
    return CLI_OK;
}

/* Half of the span on either side of --at; without it, all of it until now. */
static enum cli_exit read_question(struct cli *c, struct question *q)
{
    enum cli_exit code = read_pair(c, q);
    int64_t now = c->wall_ns();

    if (code)
        return code;
    q->rq = (Tw__PairFlightRequest)TW__PAIR_FLIGHT_REQUEST__INIT;
    q->rq.pairs = &q->filter;
    q->rq.pair_id = q->pair.id;
    q->rq.at_ns = now;
    if (c->opt.at && filter_parse_time(c->opt.at, now, &q->rq.at_ns) != TW_OK)
        return cli_fail(
            CLI_USAGE,
            "--at: \"%.60s\" is no time: expected 2026-11-23T12:00:00Z, Unix seconds, now, or -15m "
            "(back from now)",
            c->opt.at);
    q->rq.before_ns = c->opt.at ? c->opt.span_ns / 2 : c->opt.span_ns;
    q->rq.after_ns = c->opt.span_ns - q->rq.before_ns;
    return CLI_OK;
}

/* ---- Words ---- */

static const char *cause_name(Tw__FlightCause cause)
{
    return words_of(&tw__flight_cause__descriptor, (int)cause);
}

/* ---- Probes ---- */

static enum out_style style_of(const Tw__FlightRecord *r)
{
    switch (r->fate) {
    case TW__FLIGHT_FATE__FLIGHT_FATE_LOST:
    case TW__FLIGHT_FATE__FLIGHT_FATE_SEND_ERROR:
        return OUT_BAD;
    case TW__FLIGHT_FATE__FLIGHT_FATE_LATE:
        return OUT_DOUBT;
    case TW__FLIGHT_FATE__FLIGHT_FATE_IN_FLIGHT:
        return OUT_DIM;
    default:
        return OUT_PLAIN;
    }
}

static const struct out_col probe_columns[] = {
    { .title = "SENT AT", .name = "sent_ns", .as = OUT_AS_EXACT },
    { .title = "SEQ", .name = "seq", .as = OUT_AS_COUNT },
    { .title = "FATE", .name = "fate" },
    { .title = "LOST ON", .name = "lost_on" },
    { .title = "RTT", .name = "rtt_seconds", .as = OUT_AS_SECONDS },
    { .title = "FWD", .name = "forward_seconds", .as = OUT_AS_SECONDS },
    { .title = "BWD", .name = "backward_seconds", .as = OUT_AS_SECONDS },
    { .title = "REFLECTOR", .name = "residence_seconds", .as = OUT_AS_SECONDS, .drop = 4 },
    { .title = "TTL FWD", .name = "ttl_forward", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "BWD", .name = "ttl_backward", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "TOS FWD", .name = "tos_forward", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "BWD", .name = "tos_backward", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "DUP", .name = "duplicates", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "TX BY", .name = "tx_source", .wide = true },
    { .title = "RX BY", .name = "rx_source", .wide = true },
};

/* A probe, and whose it is. */
struct probe_row {
    const Tw__PairInfo *pair;
    uint32_t flow;
    const Tw__FlightRecord *record;
};

static void show_tos(struct out_records *r, const char *name, uint32_t plus_one)
{
    probe_put_octet(r, name, plus_one, 1);
    if (plus_one)
        out_show(r, name, OUT_PLAIN, "0x%02x", plus_one - 1);
}

static void put_probe(struct out_records *r, const void *row, const void *ctx)
{
    const struct probe_row *p = row;
    const Tw__FlightRecord *m = p->record;
    char text[TW_TIME_TEXT];

    (void)ctx;
    out_text(r, "mesh", p->pair->mesh);
    out_text(r, "class", p->pair->class_name);
    out_text(r, "source", p->pair->source);
    out_text(r, "target", p->pair->target);
    probe_put(r, p->flow, m);
    out_show(r, "sent_ns", OUT_PLAIN, "%s", probe_time(m, text));
    out_style(r, "fate", style_of(m));
    out_style(r, "lost_on", style_of(m));
    show_tos(r, "tos_forward", m->tos_forward);
    show_tos(r, "tos_backward", m->tos_backward);
    out_u64(r, "duplicates", m->duplicates);
    if (m->duplicates)
        out_style(r, "duplicates", OUT_DOUBT);
    else
        out_show(r, "duplicates", OUT_PLAIN, "-");
    out_text(r, "tx_source", tw_ts_source_name((enum tw_ts_source)m->tx_source));
    out_text(r, "rx_source", tw_ts_source_name((enum tw_ts_source)m->rx_source));
}

static const Tw__PairInfo no_pair = TW__PAIR_INFO__INIT;
static const Tw__FlightRecord no_record = TW__FLIGHT_RECORD__INIT;
static const struct probe_row no_probe = { &no_pair, 0, &no_record };
static const struct out_listing probes = { .key = "probes",
                                           .columns = probe_columns,
                                           .n_columns = TW_NELEM(probe_columns),
                                           .put = put_probe,
                                           .none = &no_probe };

/* ---- Beside them: what there is of the pair ---- */

static void put_flow(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__FlightFlow *f = row;

    (void)ctx;
    out_u64(r, "flow", f->flow);
    out_bool(r, "running", f->running);
    out_u64(r, "kept", f->kept);
    out_ns(r, "kept_from_ns", f->kept_from_ns);
    out_ns(r, "kept_to_ns", f->kept_to_ns);
    out_u64(r, "total", f->total);
    out_u64(r, "shown", f->n_records);
}

static void put_frozen(struct out_records *r, const Tw__FlightFrozen *f, const char *cause)
{
    out_u64(r, "flow", f->flow);
    out_u64(r, "id", f->id);
    out_text(r, "cause", cause);
    out_text(r, "reason", f->reason);
    out_ns(r, "at_ns", f->at_ns);
    out_ns(r, "frozen_ns", f->frozen_ns);
    out_ns(r, "first_ns", f->first_ns);
    out_ns(r, "last_ns", f->last_ns);
    out_u64(r, "probes", f->probes);
    out_u64(r, "lost", f->lost);
}

static void put_part(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__FlightFrozen *f = row;

    (void)ctx;
    put_frozen(r, f, cause_name(f->cause));
}

static const Tw__FlightFlow no_flow = TW__FLIGHT_FLOW__INIT;
static const Tw__FlightFrozen no_part = TW__FLIGHT_FROZEN__INIT;
static const struct out_listing flows = { .key = "flows", .put = put_flow, .none = &no_flow };
static const struct out_listing parts = { .key = "frozen", .put = put_part, .none = &no_part };

static void put_flight_head(struct out_records *r, const void *ctx)
{
    const Tw__PairFlightReply *reply = ctx;

    out_text(r, "mesh", reply->pair->mesh);
    out_text(r, "class", reply->pair->class_name);
    out_text(r, "source", reply->pair->source);
    out_text(r, "target", reply->pair->target);
    out_u64(r, "pair_id", reply->pair->pair_id);
    out_ns(r, "from_ns", reply->from_ns);
    out_ns(r, "at_ns", reply->at_ns);
    out_ns(r, "to_ns", reply->to_ns);
    out_bool(r, "recording", reply->flight->recording);
}

/* ---- For people flow by flow, else all in one list ---- */

static void print_flow_heading(const Tw__PairInfo *p, const Tw__FlightFlow *f)
{
    size_t lost = 0, errors = 0;

    for (size_t i = 0; i < f->n_records; i++) {
        lost += probe_is_lost(f->records[i]);
        errors += f->records[i]->fate == TW__FLIGHT_FATE__FLIGHT_FATE_SEND_ERROR;
    }
    printf("%s/%s  %s > %s  flow %u: %zu probes, %zu lost", p->mesh, p->class_name, p->source, p->target,
           f->flow, f->n_records, lost);
    if (errors)
        printf(", %zu not sent", errors);
    if (f->total > f->n_records)
        printf(" (of %" PRIu64 " in the span: those around its middle)", f->total);
    putchar('\n');
}

static enum cli_exit print_flows(struct cli *c, const Tw__PairFlightReply *reply, const struct probe_row *rows)
{
    enum cli_exit code = CLI_OK;
    bool any = false;

    for (size_t i = 0; !code && i < reply->flight->n_flows; i++) {
        const Tw__FlightFlow *f = reply->flight->flows[i];

        if (!f->n_records)
            continue;
        if (any)
            putchar('\n');
        any = true;
        print_flow_heading(reply->pair, f);
        code = cli_print_list(c, &probes, OUT_ROW_ARRAY(rows, f->n_records), NULL);
        rows += f->n_records;
    }
    return code;
}

static enum cli_exit print_probes(struct cli *c, const Tw__PairFlightReply *reply, size_t n)
{
    struct probe_row *rows = calloc(n, sizeof *rows);
    const Tw__FlightReply *m = reply->flight;
    enum cli_exit code;
    size_t at = 0;

    if (!rows)
        return cli_no_memory();
    for (size_t i = 0; i < m->n_flows; i++)
        for (size_t k = 0; k < m->flows[i]->n_records; k++)
            rows[at++] = (struct probe_row){ reply->pair, m->flows[i]->flow, m->flows[i]->records[k] };
    if (cli_for_people(c))
        code = print_flows(c, reply, rows);
    else
        code = cli_print_answer(
            c, &(struct cli_answer){ .main = { &probes, OUT_ROW_ARRAY(rows, n) },
                                     .more = { { &flows, OUT_ROWS(m->flows, m->n_flows) },
                                               { &parts, OUT_ROWS(m->frozen, m->n_frozen) } },
                                     .head = put_flight_head,
                                     .ctx = reply });
    free(rows);
    return code;
}

/* ---- Nothing there ---- */

#define SHOWN 4

static void say_kept(const Tw__FlightReply *m, char *ret, size_t cap)
{
    char from[TW_TIME_TEXT], to[TW_TIME_TEXT];
    size_t len = 0, n = 0;

    for (size_t i = 0; i < m->n_flows && n < SHOWN && len < cap; i++) {
        const Tw__FlightFlow *f = m->flows[i];
        if (!f->kept)
            continue;
        len += (size_t)snprintf(ret + len, cap - len, "; flow %u keeps %.19sZ to %.19sZ", f->flow,
                                tw_wall_format((struct tw_wall){ f->kept_from_ns }, from),
                                tw_wall_format((struct tw_wall){ f->kept_to_ns }, to));
        n++;
    }
}

/* The newest ones. */
static void say_frozen(const Tw__FlightReply *m, char *ret, size_t cap)
{
    char at[TW_TIME_TEXT];
    size_t len = 0;

    for (size_t i = 0; i < m->n_frozen && i < SHOWN && len < cap; i++) {
        const Tw__FlightFrozen *f = m->frozen[m->n_frozen - 1 - i];
        len += (size_t)snprintf(ret + len, cap - len, "%s%.19sZ (%s)", i ? ", " : "; frozen around ",
                                tw_wall_format((struct tw_wall){ f->at_ns }, at), cause_name(f->cause));
    }
    if (m->n_frozen > SHOWN && len < cap)
        snprintf(ret + len, cap - len, " and %zu more: twampctl flight list", m->n_frozen - SHOWN);
}

static enum cli_exit nothing_there(const Tw__PairFlightReply *reply)
{
    const Tw__PairInfo *p = reply->pair;
    const Tw__FlightReply *m = reply->flight;
    char kept[512] = "", frozen[512] = "", from[TW_TIME_TEXT], to[TW_TIME_TEXT];

    say_kept(m, kept, sizeof kept);
    say_frozen(m, frozen, sizeof frozen);
    if (!m->recording && !*frozen)
        return cli_fail(CLI_FAILED, "agent %s records nothing: it was started with --flight-probes 0",
                        p->source);
    if (!*kept && !*frozen)
        return cli_fail(CLI_FAILED, "agent %s has recorded nothing of %s/%s/%s:%s%s", p->source, p->mesh,
                        p->class_name, p->source, p->target,
                        p->scheduled ? " yet" : ", which is not scheduled");
    return cli_fail(CLI_FAILED, "nothing is recorded of %s/%s/%s:%s from %.23sZ to %.23sZ%s%s", p->mesh,
                    p->class_name, p->source, p->target,
                    tw_wall_format((struct tw_wall){ reply->from_ns }, from),
                    tw_wall_format((struct tw_wall){ reply->to_ns }, to), kept, frozen);
}

static bool is_whole(const Tw__PairFlightReply *reply)
{
    return reply->pair && reply->flight;
}

static size_t count_records(const Tw__FlightReply *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_flows; i++)
        n += m->flows[i]->n_records;
    return n;
}

enum cli_exit cmd_flight(struct cli *c)
{
    struct question q;
    ProtobufCMessage *m = NULL;
    const Tw__PairFlightReply *reply;
    enum cli_exit code = read_question(c, &q);

    if (code)
        return code;
    q.rq.one_flow = c->opt.flow >= 0;
    q.rq.flow = c->opt.flow >= 0 ? (uint32_t)c->opt.flow : 0;
    q.rq.limit = (uint32_t)c->opt.limit;
    code = cli_call(c, "Flight", &q.rq.base, &m);
    if (code)
        return code;
    reply = (const Tw__PairFlightReply *)m;
    if (!is_whole(reply))
        code = cli_fail(CLI_FAILED, "the controller's answer lacks its pair or its probes");
    else if (!count_records(reply->flight))
        code = nothing_there(reply);
    else
        code = print_probes(c, reply, count_records(reply->flight));
    cli_free_reply(m);
    return code;
}

/* ---- Frozen parts ---- */

static const struct out_col row_columns[] = {
    { .title = "AT", .name = "at_ns", .as = OUT_AS_TIME },
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "FLOW", .name = "flow", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "CAUSE", .name = "cause" },
    { .title = "PROBES", .name = "probes", .as = OUT_AS_COUNT },
    { .title = "LOST", .name = "lost", .as = OUT_AS_COUNT },
    { .title = "FROM", .name = "first_ns", .as = OUT_AS_TIME, .drop = 1 },
    { .title = "TO", .name = "last_ns", .as = OUT_AS_TIME, .drop = 1 },
    { .title = "FROZEN", .name = "frozen_ns", .as = OUT_AS_TIME, .drop = 2 },
    { .title = "REASON", .name = "reason" },
    { .title = "PAIR ID", .name = "pair_id", .as = OUT_AS_COUNT, .wide = true },
};

static void put_row(struct out_records *r, const void *line, const void *ctx)
{
    static const Tw__FlightFrozen nothing = TW__FLIGHT_FROZEN__INIT;
    static const Tw__PairInfo unknown_pair = TW__PAIR_INFO__INIT;
    const Tw__FlightRow *row = line;
    const Tw__FlightFrozen *f = row->frozen ? row->frozen : &nothing;

    (void)ctx;
    out_text(r, "agent", row->agent);
    out_text(r, "error", row->error);
    pairs_put_names(r, row->pair ? row->pair : &unknown_pair);
    if (!row->pair) {
        out_show(r, "MESH/CLASS", OUT_DIM, "-");
        out_show(r, "PAIR", OUT_DIM, "%s > pair %" PRIu64, row->agent, f->pair_id);
    }
    out_u64(r, "pair_id", f->pair_id);
    put_frozen(r, f, row->frozen ? cause_name(f->cause) : NULL);
    out_style(r, "lost", f->lost ? OUT_BAD : OUT_PLAIN);
}

static const Tw__FlightRow no_row = TW__FLIGHT_ROW__INIT;
static const struct out_listing frozen_parts = {
    .key = "frozen",
    .columns = row_columns,
    .n_columns = TW_NELEM(row_columns),
    .put = put_row,
    .none = &no_row,
};

static size_t count_frozen(const Tw__FlightRowsReply *reply)
{
    size_t n = 0;

    for (size_t i = 0; i < reply->n_rows; i++)
        n += reply->rows[i]->frozen != NULL;
    return n;
}

/* What agents could not say, or do: a line each, behind what the others did. */
static void say_errors(const Tw__FlightRowsReply *reply)
{
    for (size_t i = 0; i < reply->n_rows; i++)
        if (!reply->rows[i]->frozen)
            cli_fail(CLI_OK, "%s", reply->rows[i]->error);
    if (reply->truncated)
        cli_fail(CLI_OK, "there are more frozen parts than these: name a mesh, a source or a target");
}

/* Moves rows with a frozen part before those with an error, each kind in its order; returns how many those
 * are. */
static size_t sort_rows(Tw__FlightRow **rows, size_t n)
{
    size_t frozen = 0;

    for (size_t i = 0; i < n; i++) {
        Tw__FlightRow *row = rows[i];
        if (!row->frozen)
            continue;
        memmove(rows + frozen + 1, rows + frozen, (i - frozen) * sizeof *rows);
        rows[frozen++] = row;
    }
    return frozen;
}

/* A table has no rows for errors: say_errors() tells of them. */
static enum cli_exit print_rows(struct cli *c, const Tw__FlightRowsReply *reply, const char *none)
{
    struct out_listing l = frozen_parts;
    size_t n = reply->n_rows;
    enum cli_exit code;

    l.empty = none;
    if (cli_for_people(c))
        n = sort_rows(reply->rows, n);
    code = cli_print_list(c, &l, OUT_ROWS(reply->rows, n), NULL);
    say_errors(reply);
    return code;
}

enum cli_exit cmd_flight_list(struct cli *c)
{
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    ProtobufCMessage *reply = NULL;
    enum cli_exit code = filter_fill(c, &rq);

    if (!code)
        code = cli_call(c, "FlightList", &rq.base, &reply);
    if (!code)
        code = print_rows(c, (const Tw__FlightRowsReply *)reply,
                          "No frozen parts: twampctl flight freeze PAIR keeps one.");
    cli_free_reply(reply);
    return code;
}

enum cli_exit cmd_flight_freeze(struct cli *c)
{
    char user[64], reason[128];
    struct question q;
    ProtobufCMessage *reply = NULL;
    enum cli_exit code = read_question(c, &q);

    if (code)
        return code;
    /* Without a time all that is there, and the middle of it is now. */
    if (!c->opt.at)
        q.rq.after_ns = q.rq.before_ns;
    snprintf(reason, sizeof reason, "by %s", ctl_user_name(user));
    q.rq.reason = c->opt.reason ? c->opt.reason : reason;
    q.rq.cause = TW__FLIGHT_CAUSE__FLIGHT_CAUSE_COMMAND;
    code = cli_call(c, "FlightFreeze", &q.rq.base, &reply);
    if (!code)
        code = print_rows(c, (const Tw__FlightRowsReply *)reply, "Nothing was frozen.");
    if (!code && !count_frozen((const Tw__FlightRowsReply *)reply))
        code = CLI_FAILED;
    cli_free_reply(reply);
    return code;
}
