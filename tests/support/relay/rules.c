/* tests/support/relay/rules.c - deciding; see rules.h */
#include "tests/support/relay/rules_priv.h"

#include <math.h>
#include <stdlib.h>
#include "common/splitmix.h"

const char *fate_name(enum fate f)
{
    static const char *const names[FATE_COUNT] = {
        [FATE_SENT] = "sent", [FATE_LOSS] = "loss", [FATE_BURST] = "burst",   [FATE_DOWN] = "down",
        [FATE_COPY] = "copy", [FATE_HELD] = "held", [FATE_FAILED] = "failed",
    };

    return names[f];
}

void rules_free(struct rules *r)
{
    free(r);
}

/* [0, 1) */
static double draw(struct rule *r)
{
    return (double)(tw_splitmix64(&r->random) >> 11) * 0x1p-53;
}

/* Draws for each random item, whatever comes of it: what happens to a packet depends on its number and the
 * seed only. */
static bool chance(struct rule *r, const struct chance *c)
{
    bool hit = false;

    for (unsigned i = 0; i < c->n; i++) {
        const struct chance_item *it = &c->items[i];
        switch (it->kind) {
        case CHANCE_RANDOM:
            hit |= draw(r) < it->p;
            break;
        case CHANCE_NUMBERS:
            hit |= r->number >= it->a && r->number <= it->b;
            break;
        case CHANCE_EACH:
            hit |= r->number % it->a == 0;
            break;
        }
    }
    return hit;
}

static bool burst(struct rule *r)
{
    bool turns = draw(r) < (r->in_burst ? r->burst_out : r->burst_in);

    r->in_burst ^= turns;
    return draw(r) < (r->in_burst ? r->burst_loss : r->calm_loss);
}

static bool down(struct rule *r, struct tw_wall arrival)
{
    int64_t since;

    if (r->number == 1)
        r->first_ns = arrival.ns;
    since = arrival.ns - r->first_ns;
    for (unsigned i = 0; i < r->down_n; i++)
        if (since >= r->down[i].from_ns && since < r->down[i].to_ns)
            return true;
    return false;
}

static int64_t jitter(struct rule *r)
{
    double u = draw(r);

    switch (r->jitter) {
    case JITTER_UNIFORM:
        return (int64_t)(u * (double)r->jitter_ns);
    case JITTER_EXPONENTIAL:
        return (int64_t)(-log1p(-u) * (double)r->jitter_ns);
    case JITTER_NONE:
        break;
    }
    return 0;
}

static int64_t delay(struct rule *r, struct tw_wall arrival, bool held)
{
    int64_t ns = r->delay_ns + jitter(r);

    if (r->ordered && arrival.ns + ns < r->last_due_ns)
        ns = r->last_due_ns - arrival.ns;
    r->last_due_ns = arrival.ns + ns;
    return ns + (held ? r->reorder_delay_ns : 0);
}

static bool matches(const struct rule *r, unsigned from, unsigned to, const struct frame *f)
{
    return (r->from == ANY_PORT || r->from == (int)from) && (r->to == ANY_PORT || r->to == (int)to) &&
           (!r->udp || r->udp == f->sport || r->udp == f->dport) && (!r->sport || r->sport == f->sport) &&
           (!r->dport || r->dport == f->dport);
}

void rules_decide(struct rules *rs, unsigned from, unsigned to, const struct frame *f, struct tw_wall arrival,
                  struct verdict *ret)
{
    struct rule *r = rs->rules;
    bool lost, in_burst, is_down, held;

    *ret = (struct verdict){ 0 };
    while (r < rs->rules + rs->n && !matches(r, from, to, f))
        r++;
    if (!f->udp || r == rs->rules + rs->n)
        return;
    ret->rule = (unsigned)(r - rs->rules) + 1;
    ret->number = ++r->number;
    lost = chance(r, &r->loss);
    in_burst = burst(r);
    is_down = down(r, arrival);
    ret->copy = chance(r, &r->dup);
    held = chance(r, &r->reorder);
    ret->delay_ns = delay(r, arrival, held);
    ret->copy_delay_ns = ret->delay_ns + r->dup_delay_ns;
    ret->fate = is_down ? FATE_DOWN : in_burst ? FATE_BURST : lost ? FATE_LOSS : FATE_SENT;
    if (ret->fate != FATE_SENT)
        ret->copy = false;
}

int64_t rules_clock_shift(const struct rules *rs, unsigned from, unsigned to, const struct frame *f)
{
    int64_t ns = 0;

    for (unsigned i = 0; f->udp && i < rs->clocks_n; i++) {
        const struct clock_rule *c = &rs->clocks[i];
        if (f->sport != c->port || from == to)
            continue;
        if (c->host == (int)from)
            ns += c->offset_ns;
        else if (c->host == (int)to)
            ns -= c->offset_ns;
    }
    return ns;
}
