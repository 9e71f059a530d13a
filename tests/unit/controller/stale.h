/* tests/unit/controller/stale.h - a controller whose memory is not what the store has, as if others had
 * changed something, for as long as a number of decisions failed by that. */
#ifndef TW_TESTS_CONTROLLER_STALE_H
#define TW_TESTS_CONTROLLER_STALE_H

#include "controller/decide.h"
#include "controller/writer.h"
#include "tests/unit/controller/fixture.h"

struct stale {
    struct loop_timer timer; /* first */
    struct controller *c;
    uint64_t until;
};

static inline uint64_t stale_decided(const struct controller *c)
{
    struct writer_stats s;

    writer_stats(c->writer, &s);
    return s.decided;
}

static inline void stale_look(struct loop_timer *t)
{
    struct stale *s = (struct stale *)t;

    if (stale_decided(s->c) >= s->until)
        s->c->news = 0;
    else
        assert_int_equal(loop_timer_set(s->c->loop, t, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS }),
                         TW_OK);
}

static inline void stale_begin(struct stale *s, struct controller *c, unsigned decisions)
{
    *s = (struct stale){ .timer = { .fn = stale_look }, .c = c, .until = stale_decided(c) + decisions };
    c->news = WRITER_MEMORY_START + 1;
    stale_look(&s->timer);
}

static inline void stale_end(struct stale *s)
{
    loop_timer_cancel(s->c->loop, &s->timer);
    s->c->news = 0;
}

#endif
