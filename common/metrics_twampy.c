/* Pairs under the names of the Python tool twampy: milliseconds, percent of the probes sent, outbound and
 * inbound. Its faults stay behind: no value outlives its report period, loss has one base everywhere, and of
 * the node graph's edge mainstat is the latency and secondarystat the loss, as its dashboard says. */
#include "common/metrics_families.h"

#include <stdio.h>
#include <string.h>

#define IN(member) offsetof(struct twampy, member)
#define ROWS(name) name, TW_NELEM(name)
#define WAYS "direction (outbound, inbound, roundtrip)"
#define EACH_WAY(kind, member)                                       \
    { ",direction=\"outbound\"", kind, IN(member[TW_FORWARD]) },     \
        { ",direction=\"inbound\"", kind, IN(member[TW_BACKWARD]) }, \
    {                                                                \
        ",direction=\"roundtrip\"", kind, IN(member[TW_ROUNDTRIP])   \
    }

static const struct metric_sample least[] = { EACH_WAY(METRIC_MS, min_s) };
static const struct metric_sample mean[] = { EACH_WAY(METRIC_MS, avg_s) };
static const struct metric_sample greatest[] = { EACH_WAY(METRIC_MS, max_s) };
static const struct metric_sample jitter[] = { EACH_WAY(METRIC_MS, jitter_s) };
static const struct metric_sample loss[] = {
    EACH_WAY(METRIC_PERCENT, loss_ratio),
    { ",direction=\"unknown\"", METRIC_PERCENT, IN(loss_unknown_ratio) },
};
static const struct metric_sample results[] = {
    { ",result=\"ok\"", METRIC_U64, IN(runs_ok) },
    { ",result=\"err\"", METRIC_U64, IN(runs_err) },
};
static const struct metric_sample edge[] = { { "", METRIC_BOOL, IN(ok) } };

static const struct family families[] = {
    { "latency_min", "gauge", WAYS, "Least delay in the last closed report period, in milliseconds.",
      IN(fresh), ROWS(least) },
    { "latency_avg", "gauge", WAYS, "Mean delay in the last closed report period, in milliseconds.",
      IN(fresh), ROWS(mean) },
    { "latency_max", "gauge", WAYS, "Greatest delay in the last closed report period, in milliseconds.",
      IN(fresh), ROWS(greatest) },
    { "jitter", "gauge", WAYS, "Jitter (RFC 3550) in the last closed report period, in milliseconds.",
      IN(fresh), ROWS(jitter) },
    { "loss", "gauge", "direction (outbound, inbound, roundtrip, unknown)",
      "Lost probes in percent of those sent, last closed report period; 100 each when all are lost.",
      IN(fresh), ROWS(loss) },
    { "result_total", "counter", "result (ok, err)", "Report periods with and without an answer.", NO_GATE,
      ROWS(results) },
};
static const struct family edge_families[] = {
    { "edge", "gauge", "",
      "1 if the last closed report period had answers; mainstat is its mean round trip in milliseconds, "
      "secondarystat its loss in percent.",
      IN(fresh), ROWS(edge) },
};
const struct level level_twampy = { "twampy_", "mesh, class, source, target", ROWS(families) };
const struct level level_edges = { "twampy_", "id, mesh, class, source, target, mainstat, secondarystat",
                                   ROWS(edge_families) };

static void set_stats(struct twampy *t, const struct stats_view *v)
{
    struct tw_num delay = v->delay[TW_ROUNDTRIP].mean_s;

    snprintf(t->mainstat, sizeof t->mainstat, "NaN");
    snprintf(t->secondarystat, sizeof t->secondarystat, "NaN");
    if (delay.known)
        snprintf(t->mainstat, sizeof t->mainstat, "%.3f", delay.value * 1e3);
    if (v->loss_ratio.known)
        snprintf(t->secondarystat, sizeof t->secondarystat, "%.2f", v->loss_ratio.value * 100);
}

void metrics_twampy(const struct metrics_pair *p, struct twampy *ret)
{
    const struct stats_view *v = &p->last;
    const struct tw_num by_way[] = { v->loss_forward_ratio, v->loss_backward_ratio, v->loss_ratio };
    bool all_lost = v->sent && !v->received;

    *ret = (struct twampy){ .pair = p, .fresh = p->fresh, .ok = v->received > 0 };
    for (int d = 0; d < 3; d++) {
        ret->min_s[d] = v->delay[d].min_s;
        ret->avg_s[d] = v->delay[d].mean_s;
        ret->max_s[d] = v->delay[d].max_s;
        ret->jitter_s[d] = v->delay[d].jitter_rfc3550_s;
        ret->loss_ratio[d] = all_lost ? (struct tw_num){ true, 1 } : by_way[d];
    }
    ret->loss_unknown_ratio = v->loss_unknown_ratio;
    ret->runs_ok = p->periods_answered;
    ret->runs_err = p->periods_unanswered;
    set_stats(ret, v);
    snprintf(ret->id, sizeof ret->id, "%s/%s/%s-%s", p->mesh, p->class_name, p->source, p->target);
}
