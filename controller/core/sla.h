/* controller/core/sla.h - was what was promised kept? Objectives, what of a span counts, and the verdict on a
 * merged summary. Pure: no clock, so the same span gives the same octets whenever it is asked for. */
#ifndef TW_CONTROLLER_CORE_SLA_H
#define TW_CONTROLLER_CORE_SLA_H

#include "common/stats.h"

/* In the order of reports. */
enum sla_kind { SLA_AVAILABILITY, SLA_LOSS, SLA_P95, SLA_P99, SLA_KINDS };
const char *
sla_kind_name(enum sla_kind k); /* key of documents, name in reports: "availability", "loss", "p95", "p99" */
const char *sla_budget_unit(enum sla_kind k); /* "windows" or "probes" */

/* Ratios of availability and loss, 0..1; seconds of round trip. */
struct sla_goals {
    bool set[SLA_KINDS];
    double limit[SLA_KINDS];
};
#define SLA_CLASS_MAX 64
struct sla_class {
    char name[SLA_CLASS_MAX];
    struct sla_goals goals; /* what is set takes the place of the common one */
};
struct sla_objectives {
    struct sla_goals common;
    struct sla_class *classes;
    size_t n_classes;
};
void sla_objectives_free(struct sla_objectives *o);
struct sla_goals sla_goals_of(const struct sla_objectives *o, const char *class_name);

enum sla_verdict { SLA_MET, SLA_MISSED, SLA_UNKNOWN };
const char *sla_verdict_name(enum sla_verdict v); /* "met", ... */
/* The error budget is what may fail: of availability judged windows, of loss sent probes, of a percentile the
 * share of answers that may be slower. left < 0: overdrawn. */
struct sla_result {
    enum sla_kind kind;
    enum sla_verdict verdict;
    double limit;
    struct tw_num achieved;
    double budget, used, left;
};
/* The objectives that are set, judged; returns how many. */
size_t sla_judge(const struct sla_goals *g, const struct tw_summary *s, const struct stats_view *v,
                 struct sla_result ret[SLA_KINDS]);
/* Of them all: missed if one is, unknown without any, or if one is. */
enum sla_verdict sla_overall(const struct sla_result *r, size_t n);

/* ---- Spans, ascending, without overlap ---- */

struct sla_span {
    int64_t from_ns, to_ns; /* [from, to) */
};
struct sla_spans {
    struct sla_span *v;
    size_t n, cap;
};
#define SLA_SPANS_MAX 4096
void sla_spans_free(struct sla_spans *s);
/* Adds what of [from, to) lies in `in`, joined with what it touches. TW_ENOMEM; TW_ENOSPC: too many. */
enum tw_rc sla_spans_add(struct sla_spans *s, const struct sla_span *in, int64_t from_ns, int64_t to_ns);
/* *ret (empty): what of `whole` is in none of them. */
enum tw_rc sla_spans_rest(const struct sla_spans *s, const struct sla_span *whole, struct sla_spans *ret);
/* Nanoseconds in them. */
int64_t sla_spans_length(const struct sla_spans *s);

/* ---- Outages ---- */

/* Sorts unavailable windows by start and joins those of one flow that touch; returns how many are left. */
size_t sla_join_outages(struct tw_unavail_run *v, size_t n);

#endif
