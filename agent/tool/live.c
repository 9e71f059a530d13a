/* agent/tool/live.c - see live.h. */
#include "agent/tool/live.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include "common/net/now.h"

#define EVERY_NS (250 * TW_NS_PER_MS)

static void show(struct live *l)
{
    struct session_totals t;
    char of[32] = "";

    run_totals(l->run, &t);
    if (l->count)
        snprintf(of, sizeof of, "/%" PRIu64, l->count);
    fprintf(stderr, "\r\033[Ksent %" PRIu64 "%s  received %" PRIu64 "  lost %" PRIu64, t.sent, of, t.received,
            t.lost);
    if (t.late || t.duplicates || t.rejected)
        fprintf(stderr, "  late %" PRIu64 "  duplicates %" PRIu64 "  rejected %" PRIu64, t.late, t.duplicates,
                t.rejected);
    if (l->timed)
        fprintf(stderr, "  last round trip %.3f ms", (double)l->last_ns / 1e6);
    fflush(stderr);
    l->shown = true;
}

static void on_timer(struct loop_timer *t)
{
    struct live *l = t->ctx;

    show(l);
    loop_timer_set(l->loop, t, (struct tw_mono){ tw_mono_now().ns + EVERY_NS });
}

void live_start(struct live *l, struct loop *loop, const struct run *run, uint64_t count, bool on)
{
    *l = (struct live){ .on = on && isatty(STDERR_FILENO),
                        .loop = loop,
                        .run = run,
                        .count = count,
                        .timer = { .fn = on_timer, .ctx = l } };
    if (l->on)
        loop_timer_set(loop, &l->timer, (struct tw_mono){ tw_mono_now().ns + EVERY_NS });
}

void live_sample(struct live *l, const struct session_sample *s)
{
    if (!s->timed)
        return;
    l->timed = true;
    l->last_ns = s->forward_ns + s->backward_ns;
}

void live_clear(struct live *l)
{
    if (!l->shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    l->shown = false;
}

void live_stop(struct live *l)
{
    if (!l->on)
        return;
    loop_timer_cancel(l->loop, &l->timer);
    live_clear(l);
    l->on = false;
}
