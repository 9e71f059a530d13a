/* agent/tool/compat.c - see compat.h. */
#include "agent/tool/compat.h"

const double compat_le_ms[COMPAT_LE_N] = { 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,  0.25, 0.5,
                                           0.75,  1,    2.5,   5,    7.5,   10,   25,   50,
                                           75,    100,  250,   500,  750,   1000, 2500, 5000 };
const char *const compat_le_text[COMPAT_LE_N] = { "0.005", "0.01",  "0.025", "0.05",   "0.075",  "0.1",
                                                  "0.25",  "0.5",   "0.75",  "1.0",    "2.5",    "5.0",
                                                  "7.5",   "10.0",  "25.0",  "50.0",   "75.0",   "100.0",
                                                  "250.0", "500.0", "750.0", "1000.0", "2500.0", "5000.0" };

static double ms(struct tw_num seconds)
{
    return seconds.known ? seconds.value * 1e3 : 0;
}

static void fill_row(struct compat_row *r, const struct stats_delay *d)
{
    r->known = d->count > 0;
    r->min_ms = ms(d->min_s);
    r->max_ms = ms(d->max_s);
    r->avg_ms = ms(d->mean_s);
    r->jitter_ms = ms(d->jitter_rfc3550_s);
}

void compat_view(const struct stats_view *v, struct compat_view *ret)
{
    static const char *const names[] = { "outbound", "inbound", "roundtrip" };
    const struct tw_num loss[] = { v->loss_forward_ratio, v->loss_backward_ratio, v->loss_ratio };
    struct compat_view c = { .ok = v->received > 0, .loss_known = v->sent > 0 };

    for (int d = 0; d < 3; d++) {
        c.row[d].name = names[d];
        fill_row(&c.row[d], &v->delay[d]);
        c.row[d].loss_percent = c.loss_known && !c.ok ? 100 : loss[d].value * 100;
    }
    c.unknown_percent = v->loss_unknown_ratio.value * 100;
    *ret = c;
}

void compat_observe(struct compat_hist *h, double value_ms)
{
    for (size_t i = 0; i < COMPAT_LE_N; i++)
        if (value_ms <= compat_le_ms[i]) {
            h->bucket[i]++;
            break;
        }
    h->count++;
    h->sum_ms += value_ms;
}
