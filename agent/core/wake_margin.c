#include "agent/core/wake_margin.h"

/* Of MARGIN_SAMPLES values one may lie above their 99th percentile: it is the second largest. */
static int64_t second_largest(const int64_t *v, uint32_t n)
{
    int64_t first = 0, second = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (v[i] > first) {
            second = first;
            first = v[i];
        } else if (v[i] > second) {
            second = v[i];
        }
    }
    return second;
}

static int64_t bounded(int64_t ns)
{
    return ns < MARGIN_MIN_NS ? MARGIN_MIN_NS : ns > MARGIN_MAX_NS ? MARGIN_MAX_NS : ns;
}

void wake_margin_add(struct wake_margin *m, int64_t late_ns)
{
    m->late_ns[m->at++ % MARGIN_SAMPLES] = late_ns > 0 ? late_ns : 0;
    if (m->n < MARGIN_SAMPLES)
        m->n++;
    if (m->at % MARGIN_EVERY == 0) /* looking through all of them is not for every wake-up */
        m->ns = bounded(second_largest(m->late_ns, m->n));
}

int64_t wake_margin_ns(const struct wake_margin *m)
{
    return m->ns ? m->ns : MARGIN_MAX_NS;
}
