/* tests/sim/net.h - a simulated path: loss (single or in bursts), delay, duplication, reordering. Everything
 * from one seeded generator. */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t x = r->state ? r->state : 1;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    r->state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}
static inline double rng_unit(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}
static inline bool rng_chance(struct rng *r, double p)
{
    return p > 0 && rng_unit(r) < p;
}
static inline int64_t rng_below(struct rng *r, int64_t n)
{
    return n > 0 ? (int64_t)(rng_unit(r) * (double)n) : 0;
}

/* One direction. Gilbert-Elliott: in the bad state every packet is lost; burst_in, burst_out are the chances
 * of changing state per packet. */
struct path_cfg {
    double loss, burst_in, burst_out, duplicate, far; /* far: chance of `far_ns` more delay */
    double corrupt;                                   /* an octet is changed that authentication covers */
    int64_t delay_ns, spread_ns, far_ns;
};

struct path {
    const struct path_cfg *cfg;
    bool bad;
};

static inline bool path_loses(struct path *p, struct rng *r)
{
    if (rng_chance(r, p->bad ? p->cfg->burst_out : p->cfg->burst_in))
        p->bad = !p->bad;
    return p->bad || rng_chance(r, p->cfg->loss);
}
static inline int64_t path_delay(struct path *p, struct rng *r)
{
    return p->cfg->delay_ns + rng_below(r, p->cfg->spread_ns) +
           (rng_chance(r, p->cfg->far) ? p->cfg->far_ns : 0);
}

#endif
