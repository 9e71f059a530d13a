/* twampctl debug: what the threads of the controller, or of an agent, do. */
#include <inttypes.h>
#include <stdio.h>
#include "controller/cli/cli.h"

static const struct out_col columns[] = {
    { .title = "THREAD", .name = "name" },
    { .title = "DOES", .name = "working" },
    { .title = "FOR", .name = "quiet_seconds", .as = OUT_AS_SECONDS },
    { .title = "BUSY", .name = "busy_ratio" },
    { .title = "LONGEST", .name = "longest_seconds", .as = OUT_AS_SECONDS },
    { .title = "ROUNDS", .name = "rounds", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "QUEUED", .name = "queued", .as = OUT_AS_COUNT },
    { .title = "OF", .name = "queue_max", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "DROPPED", .name = "dropped", .as = OUT_AS_COUNT },
    { .title = "TIMERS", .name = "timers", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "BUSY IN ALL", .name = "busy_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "THREADS", .name = "threads", .as = OUT_AS_COUNT, .wide = true },
};

static struct tw_num measured(const Tw__ThreadState *t, double v)
{
    return (struct tw_num){ t->measured, v };
}

/* What waits is known where there is a bound. */
static struct tw_num bounded(const Tw__ThreadState *t, uint64_t v)
{
    return (struct tw_num){ t->queue_max > 0, (double)v };
}

static void put_thread(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__ThreadState *t = row;
    char text[OUT_NUM];

    (void)ctx;
    out_text(r, "name", t->name);
    out_u64(r, "threads", t->threads);
    out_bool(r, "measured", t->measured);
    out_bool(r, "working", t->working);
    out_num(r, "quiet_seconds", measured(t, out_ns_to_s(t->quiet_ns)));
    out_num(r, "busy_ratio", measured(t, t->busy_ratio));
    out_num(r, "busy_seconds", measured(t, out_ns_to_s(t->busy_ns)));
    out_num(r, "longest_seconds", measured(t, out_ns_to_s(t->longest_ns)));
    out_num(r, "rounds", measured(t, (double)t->rounds));
    out_u64(r, "timers", t->timers);
    out_num(r, "queued", bounded(t, t->queued));
    out_num(r, "queue_max", bounded(t, t->queue_max));
    out_u64(r, "dropped", t->dropped);
    if (!r->for_people)
        return;
    out_show(r, "working", OUT_PLAIN, "%s", !t->measured ? "-" : t->working ? "works" : "waits");
    out_show(r, "busy_ratio", t->busy_ratio > 0.8 ? OUT_BAD : OUT_PLAIN, "%s",
             out_percent(measured(t, t->busy_ratio), text));
    if (t->dropped)
        out_style(r, "dropped", OUT_DOUBT);
}

static const Tw__ThreadState none = TW__THREAD_STATE__INIT;
static const struct out_listing threads = { .key = "threads",
                                            .columns = columns,
                                            .n_columns = TW_NELEM(columns),
                                            .put = put_thread,
                                            .none = &none,
                                            .empty = "Nothing is said of its threads." };

enum cli_exit cmd_debug_threads(struct cli *c)
{
    Tw__DebugThreadsRequest rq = TW__DEBUG_THREADS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    if (c->opt.agent)
        rq.agent = c->opt.agent;
    code = cli_call(c, "DebugThreads", &rq.base, &m);

    if (!code) {
        const Tw__DebugThreadsReply *reply = (const Tw__DebugThreadsReply *)m;
        code = cli_print_list(c, &threads, OUT_ROWS(reply->threads, reply->n_threads), NULL);
    }
    cli_free_reply(m);
    return code;
}
