#include "agent/core/phc_map.h"

#include <math.h>
#include <stdlib.h>

/* No clock that can be used is off by more; so much can a line of one reading be wrong per second. */
#define RATE_MAX 500e-6
/* What the rate of a line of several readings may change by meanwhile. */
#define RATE_WANDER 1e-6
/* Further from the line than this, beyond what readings and rates can do, is a step. */
#define STEP_MIN_NS (5 * TW_NS_PER_US)

static const struct phc_reading *nth(const struct phc_map *m, unsigned i)
{
    return &m->at[(m->first + i) % PHC_MAP_READINGS];
}

/* Least squares of the offsets over the PHC's time. */
static void fit(struct phc_map *m)
{
    const struct phc_reading *last = nth(m, m->n - 1);
    double t = 0, d = 0, tt = 0, td = 0, n = m->n, spread;

    for (unsigned i = 0; i < m->n; i++) {
        double x = (double)(nth(m, i)->phc_ns - last->phc_ns);
        double y = (double)(nth(m, i)->offset_ns - last->offset_ns);
        t += x;
        d += y;
        tt += x * x;
        td += x * y;
    }
    spread = n * tt - t * t;
    m->rate = m->n > 1 && spread > 0 ? (n * td - t * d) / spread : 0;
    m->origin_ns = last->phc_ns;
    m->offset_ns = last->offset_ns + llrint((d - m->rate * t) / n);
    m->error_ns = 0;
    for (unsigned i = 0; i < m->n; i++) {
        const struct phc_reading *r = nth(m, i);
        int64_t on_line = m->offset_ns + llrint(m->rate * (double)(r->phc_ns - m->origin_ns));
        int64_t e = llabs(r->offset_ns - on_line) + r->error_ns;
        if (e > m->error_ns)
            m->error_ns = e;
    }
}

static double may_wander(const struct phc_map *m)
{
    return m->n > 1 ? RATE_WANDER : RATE_MAX;
}

/* Is the reading where the line says, within what it can be wrong by? */
static bool is_step(const struct phc_map *m, const struct phc_reading *r)
{
    double apart = (double)(r->phc_ns - m->origin_ns);
    double off = (double)(r->offset_ns - m->offset_ns) - m->rate * apart;
    double allowed = (double)(m->error_ns + r->error_ns + STEP_MIN_NS) + fabs(apart) * 10 * may_wander(m);

    return apart <= 0 || fabs(off) > allowed;
}

void phc_map_add(struct phc_map *m, struct tw_wall before, int64_t phc_ns, struct tw_wall after)
{
    int64_t took = after.ns - before.ns;
    struct phc_reading r = { .phc_ns = phc_ns, .error_ns = took / 2 };

    if (took < 0) /* the system clock was set back during the reading */
        return;
    r.offset_ns = before.ns + took / 2 - phc_ns;
    if (m->n && is_step(m, &r)) {
        m->steps++;
        m->n = 0;
    }
    if (m->n == PHC_MAP_READINGS) {
        m->first = (m->first + 1) % PHC_MAP_READINGS;
        m->n--;
    }
    m->at[(m->first + m->n++) % PHC_MAP_READINGS] = r;
    fit(m);
}

enum tw_rc phc_map_convert(const struct phc_map *m, int64_t phc_ns, struct tw_wall *ret,
                           int64_t *ret_error_ns)
{
    int64_t apart;

    if (!m->n || __builtin_sub_overflow(phc_ns, m->origin_ns, &apart) || apart > PHC_MAP_AGE_NS ||
        apart < -PHC_MAP_AGE_NS)
        return TW_EAGAIN;
    ret->ns = phc_ns + m->offset_ns + llrint(m->rate * (double)apart);
    *ret_error_ns = m->error_ns + llrint(fabs((double)apart) * may_wander(m));
    return TW_OK;
}
