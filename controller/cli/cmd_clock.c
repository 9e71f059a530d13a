#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/cli.h"

#define NAMED_MAX 5 /* in words; the table has them all */
#define TAI_AHEAD_S 37

static const struct out_col columns[] = {
    { .title = "AGENT", .name = "name" },
    { .title = "SYNCED", .name = "synced" },
    { .title = "CLAIMED", .name = "claimed_error_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "OFFSET", .name = "offset_seconds", .as = OUT_AS_SECONDS },
    { .title = "+-", .name = "uncertainty_seconds", .as = OUT_AS_SECONDS },
    { .title = "VERDICT", .name = "verdict" },
    { .title = "PAIRS", .name = "pairs", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "COMPONENT", .name = "component", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "LIMIT", .name = "limit_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "CERTAIN", .name = "certain", .wide = true },
};

static const char *duration(bool known, int64_t ns, char buf[OUT_NUM])
{
    return out_seconds((struct tw_num){ known, out_ns_to_s(ns) }, buf);
}

static bool has_verdict(const Tw__ClockFinding *f, const char *verdict)
{
    return !strcmp(f->verdict, verdict);
}

static enum out_style verdict_style(const Tw__ClockFinding *f)
{
    if (has_verdict(f, "offset"))
        return OUT_BAD;
    return has_verdict(f, "ok") ? OUT_PLAIN : OUT_DOUBT;
}

/* ---- In words ---- */

static void name_wrong(const Tw__ClockFinding *f)
{
    char offset[OUT_NUM], uncertainty[OUT_NUM], claimed[OUT_NUM];

    out_safe(stdout, f->agent, false);
    printf(": its clock is %s %s the others (+- %s)", duration(true, llabs(f->offset_ns), offset),
           f->offset_ns > 0 ? "ahead of" : "behind", duration(true, f->uncertainty_ns, uncertainty));
    if (f->synced)
        printf(", although it claims to be right within %s", duration(true, f->claimed_error_ns, claimed));
    else if (f->claimed)
        printf("; it says itself that it is not synchronised");
    if (f->certain)
        printf("; no delays whatever explain that");
    if (fabs(out_ns_to_s(f->offset_ns) - TAI_AHEAD_S) < 0.5)
        printf("; %d s is what TAI is ahead of UTC", TAI_AHEAD_S);
    putchar('\n');
}

static size_t name_all_wrong(const Tw__ClockReply *reply)
{
    size_t n = 0;

    for (size_t i = 0; i < reply->n_agents; i++)
        if (has_verdict(reply->agents[i], "offset") && n++ < NAMED_MAX)
            name_wrong(reply->agents[i]);
    if (n > NAMED_MAX)
        printf("and %zu more whose clocks are wrong\n", n - NAMED_MAX);
    return n;
}

/* All of one component that has no majority, by its first agent. */
static void name_undecided(const Tw__ClockReply *reply, size_t first)
{
    const Tw__ClockFinding *f = reply->agents[first];
    int64_t low = f->offset_ns, high = f->offset_ns;
    char text[OUT_NUM];
    size_t named = 0;

    for (size_t i = first; i < reply->n_agents; i++) {
        const Tw__ClockFinding *g = reply->agents[i];
        if (g->component != f->component || !g->measured)
            continue;
        low = g->offset_ns < low ? g->offset_ns : low;
        high = g->offset_ns > high ? g->offset_ns : high;
        if (named++ < NAMED_MAX) {
            fputs(named > 1 ? ", " : "", stdout);
            out_safe(stdout, g->agent, false);
        }
    }
    printf("%s: their clocks differ by up to %s, and %s\n", named > NAMED_MAX ? ", ..." : "",
           duration(true, high - low, text),
           f->component_agents == 2 ? "two cannot tell who is wrong: link them with a third"
                                    : "no majority of them agrees");
}

static bool is_first_of_component(const Tw__ClockReply *reply, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (reply->agents[k]->measured && reply->agents[k]->component == reply->agents[i]->component)
            return false;
    return true;
}

static size_t name_all_undecided(const Tw__ClockReply *reply)
{
    size_t n = 0;

    for (size_t i = 0; i < reply->n_agents && n < NAMED_MAX; i++)
        if (has_verdict(reply->agents[i], "either") && is_first_of_component(reply, i)) {
            name_undecided(reply, i);
            n++;
        }
    return n;
}

static void name_crooked(const Tw__ClockReply *reply)
{
    char longer[OUT_NUM], rtt[OUT_NUM];

    for (size_t i = 0; i < reply->n_crooked && i < NAMED_MAX; i++) {
        const Tw__ClockCrooked *w = reply->crooked[i];
        bool forward = w->longer_ns > 0;
        out_safe(stdout, forward ? w->a : w->b, false);
        fputs(" to ", stdout);
        out_safe(stdout, forward ? w->b : w->a, false);
        printf(" takes %s longer than back (round trip %s): clocks do not explain that\n",
               duration(true, llabs(w->longer_ns), longer), duration(true, w->round_trip_ns, rtt));
    }
    if (reply->n_crooked > NAMED_MAX)
        printf("and %zu more ways that differ: see -o json\n", reply->n_crooked - NAMED_MAX);
}

static void print_words(const Tw__ClockReply *reply)
{
    size_t wrong, measured = 0;

    for (size_t i = 0; i < reply->n_agents; i++)
        measured += reply->agents[i]->measured;
    putchar('\n');
    wrong = name_all_wrong(reply);
    wrong += name_all_undecided(reply);
    if (!measured)
        printf("Nothing to tell by: no two agents have measured each other in the last minutes\n");
    else if (!wrong)
        printf("No clock is found wrong, by %" PRIu64 " pair%s of agents\n", reply->pairs,
               reply->pairs == 1 ? "" : "s");
    name_crooked(reply);
}

static void print_notes(struct cli *c, const void *ctx, const struct out_table *t)
{
    const Tw__ClockReply *reply = ctx;

    (void)c;
    if (!t)
        return;
    if (reply->truncated)
        printf("There are more agents, all of them with better clocks: GET /api/v1/clock has them\n");
    print_words(reply);
}

/* ---- Records ---- */

static void put_seconds(struct out_records *r, const char *name, bool known, int64_t ns)
{
    out_num(r, name, (struct tw_num){ known, out_ns_to_s(ns) });
}

static void show_finding(struct out_records *r, const Tw__ClockFinding *f)
{
    char text[OUT_NUM];

    out_style(r, "synced", f->synced ? OUT_PLAIN : OUT_DOUBT);
    out_show(r, "offset_seconds", verdict_style(f), "%s%s", f->measured && f->offset_ns > 0 ? "+" : "",
             duration(f->measured, f->offset_ns, text));
    out_style(r, "verdict", verdict_style(f));
    if (f->pairs_used < f->pairs)
        out_show(r, "pairs", OUT_PLAIN, "%u of %u", f->pairs_used, f->pairs);
    if (f->measured)
        out_show(r, "component", OUT_PLAIN, "%u", f->component + 1);
    else
        out_show(r, "component", OUT_PLAIN, "-");
}

static void put_finding(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__ClockFinding *f = row;

    (void)ctx;
    out_text(r, "name", f->agent);
    out_text(r, "verdict", f->verdict);
    if (f->claimed)
        out_bool(r, "synced", f->synced);
    else
        out_null(r, "synced");
    put_seconds(r, "claimed_error_seconds", f->synced, f->claimed_error_ns);
    put_seconds(r, "offset_seconds", f->measured, f->offset_ns);
    put_seconds(r, "uncertainty_seconds", f->measured, f->uncertainty_ns);
    put_seconds(r, "limit_seconds", f->measured, f->limit_ns);
    out_bool(r, "certain", f->certain);
    out_u64(r, "pairs", f->pairs);
    out_u64(r, "pairs_used", f->pairs_used);
    out_u64(r, "component", f->component);
    out_u64(r, "component_agents", f->component_agents);
    show_finding(r, f);
}

static const Tw__ClockFinding nobody = TW__CLOCK_FINDING__INIT;
static const struct out_listing findings = {
    .key = "agents",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_finding,
    .none = &nobody,
    .empty = "No agent is approved and measures: twampctl agent list",
};

static void put_crooked(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__ClockCrooked *w = row;

    (void)ctx;
    out_text(r, "from", w->a);
    out_text(r, "to", w->b);
    put_seconds(r, "longer_seconds", true, w->longer_ns);
    put_seconds(r, "round_trip_seconds", true, w->round_trip_ns);
}

static const Tw__ClockCrooked straight = TW__CLOCK_CROOKED__INIT;
static const struct out_listing crooked = { .key = "crooked", .put = put_crooked, .none = &straight };

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__ClockReply *reply = ctx;

    out_ns(r, "time_ns", reply->time_ns);
    out_u64(r, "pairs", reply->pairs);
    out_u64(r, "pairs_used", reply->pairs_used);
    out_u64(r, "components", reply->components);
}

static enum cli_exit print(struct cli *c, const Tw__ClockReply *reply)
{
    struct cli_answer a = { .main = { &findings, OUT_ROWS(reply->agents, reply->n_agents) },
                            .more = { { &crooked, OUT_ROWS(reply->crooked, reply->n_crooked) } },
                            .head = put_head,
                            .after = print_notes,
                            .ctx = reply };

    return cli_print_answer(c, &a);
}

enum cli_exit cmd_clock(struct cli *c)
{
    Tw__ClockRequest rq = TW__CLOCK_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    enum cli_exit code;

    if (c->opt.select)
        rq.select = c->opt.select;
    code = cli_call(c, "Clock", &rq.base, &reply);
    if (!code)
        code = print(c, (const Tw__ClockReply *)reply);
    cli_free_reply(reply);
    return code;
}
