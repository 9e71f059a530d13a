/* agent/tool/metrics.c - see metrics.h. */
#include "agent/tool/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "agent/tool/reflector_metrics.h"
#include "common/metrics_lines.h"

#define IN(member) offsetof(struct tool_metrics, member)
#define FRESH IN(fresh)
#define DIRECTION(d) ",direction=\"" d "\""
#define ROWS(v) v, TW_NELEM(v)
#define ONE(kind, member) (const struct metric_sample[]){ { "", kind, IN(member) } }, 1
#define EACH_WAY(kind, member)                                    \
    { DIRECTION("forward"), kind, IN(member[TW_FORWARD]) },       \
        { DIRECTION("backward"), kind, IN(member[TW_BACKWARD]) }, \
    {                                                             \
        DIRECTION("roundtrip"), kind, IN(member[TW_ROUNDTRIP])    \
    }
#define EACH_DELAY(member)                                                         \
    { DIRECTION("forward"), METRIC_NUM, IN(last.delay[TW_FORWARD].member) },       \
        { DIRECTION("backward"), METRIC_NUM, IN(last.delay[TW_BACKWARD].member) }, \
    {                                                                              \
        DIRECTION("roundtrip"), METRIC_NUM, IN(last.delay[TW_ROUNDTRIP].member)    \
    }
#define QUANTILES(direction, d)                                                             \
    { DIRECTION(direction) ",quantile=\"0.5\"", METRIC_NUM, IN(last.delay[d].p50_s) },      \
        { DIRECTION(direction) ",quantile=\"0.95\"", METRIC_NUM, IN(last.delay[d].p95_s) }, \
    {                                                                                       \
        DIRECTION(direction) ",quantile=\"0.99\"", METRIC_NUM, IN(last.delay[d].p99_s)      \
    }

/* ---- twamp_* ---- */

static const struct metric_sample lost[] = {
    { DIRECTION("forward"), METRIC_U64, IN(lost[TW_FORWARD]) },
    { DIRECTION("backward"), METRIC_U64, IN(lost[TW_BACKWARD]) },
    { DIRECTION("unknown"), METRIC_U64, IN(lost[TW_UNKNOWN]) },
};
static const struct metric_sample reordered[] = { EACH_WAY(METRIC_U64, reordered) };
static const struct metric_sample delays[] = { EACH_WAY(METRIC_HIST, delay) };
static const struct metric_sample quantiles[] = {
    QUANTILES("forward", TW_FORWARD),
    QUANTILES("backward", TW_BACKWARD),
    QUANTILES("roundtrip", TW_ROUNDTRIP),
};
static const struct metric_sample least[] = { EACH_DELAY(min_s) };
static const struct metric_sample jitter[] = { EACH_DELAY(jitter_rfc3550_s) };
static const struct metric_sample loss[] = {
    { DIRECTION("forward"), METRIC_NUM, IN(last.loss_forward_ratio) },
    { DIRECTION("backward"), METRIC_NUM, IN(last.loss_backward_ratio) },
    { DIRECTION("unknown"), METRIC_NUM, IN(last.loss_unknown_ratio) },
    { DIRECTION("roundtrip"), METRIC_NUM, IN(last.loss_ratio) },
};
static const struct metric_sample ttl[] = {
    { DIRECTION("forward"), METRIC_NUM, IN(last.ttl_forward_min) },
    { DIRECTION("backward"), METRIC_NUM, IN(last.ttl_backward_min) },
};

static const struct family families[] = {
    { "probes_sent_total", "counter", "", "Probes sent.", NO_GATE, ONE(METRIC_U64, sent) },
    { "probes_received_total", "counter", "", "Probes answered in time.", NO_GATE,
      ONE(METRIC_U64, received) },
    { "probes_lost_total", "counter", "", "Probes not answered in time, by where they were lost.", NO_GATE,
      ROWS(lost) },
    { "probes_late_total", "counter", "", "Answers after the timeout; the probe stays lost.", NO_GATE,
      ONE(METRIC_U64, late) },
    { "probes_duplicate_total", "counter", "", "Second answers to a probe.", NO_GATE,
      ONE(METRIC_U64, duplicates) },
    { "probes_reordered_total", "counter", "", "Probes and answers that were overtaken (RFC 4737).", NO_GATE,
      ROWS(reordered) },
    { "answers_rejected_total", "counter", "", "Datagrams that answer no probe of ours.", NO_GATE,
      ONE(METRIC_U64, rejected) },
    { "send_errors_total", "counter", "", "Probes that the operating system refused to send.", NO_GATE,
      ONE(METRIC_U64, send_errors) },
    { "delay_seconds", "histogram", "", "Delay of every answered probe.", NO_GATE, ROWS(delays) },
    { "delay_quantile_seconds", "summary", "", "Delay in the last closed report period.", FRESH,
      ROWS(quantiles) },
    { "delay_min_seconds", "gauge", "", "Least delay in the last closed report period.", FRESH, ROWS(least) },
    { "jitter_seconds", "gauge", "", "Interarrival jitter (RFC 3550) in the last closed report period.",
      FRESH, ROWS(jitter) },
    { "loss_ratio", "gauge", "",
      "Lost probes of those sent in the last closed report period; roundtrip is the sum of the others.",
      FRESH, ROWS(loss) },
    { "ttl", "gauge", "", "Lowest TTL or Hop Limit of arriving packets in the last closed report period.",
      FRESH, ROWS(ttl) },
    { "one_way_valid", "gauge", "",
      "1 if both clocks are good enough for the one-way delays of the last closed report period.", FRESH,
      ONE(METRIC_BOOL, last.one_way_valid) },
    { "last_result_timestamp_seconds", "gauge", "", "End of the last closed report period, Unix time.", FRESH,
      ONE(METRIC_TIME, last.end_ns) },
};
static const struct level level = { "twamp_", "class, source, target", families, TW_NELEM(families) };

/* ---- twampy_* ---- */

static void put_sample(struct mbuf *b, const char *name, const char *label, const char *value, double v)
{
    mbuf_text(b, name);
    mbuf_text(b, "{");
    mbuf_text(b, label);
    mbuf_text(b, "=\"");
    mbuf_label(b, value);
    mbuf_text(b, "\"} ");
    mbuf_double(b, v);
    mbuf_text(b, "\n");
}

enum gauge { GAUGE_MIN, GAUGE_AVG, GAUGE_MAX, GAUGE_JITTER };

static double gauge_of(const struct compat_row *r, enum gauge g)
{
    return g == GAUGE_MIN   ? r->min_ms
           : g == GAUGE_AVG ? r->avg_ms
           : g == GAUGE_MAX ? r->max_ms
                            : r->jitter_ms;
}

static void put_gauge(struct mbuf *b, const struct compat_view *c, enum gauge g)
{
    static const struct {
        const char *name, *help;
    } text[] = {
        [GAUGE_MIN] = { "latency_min", "Least delay of the last run, in milliseconds." },
        [GAUGE_AVG] = { "latency_avg", "Mean delay of the last run, in milliseconds." },
        [GAUGE_MAX] = { "latency_max", "Greatest delay of the last run, in milliseconds." },
        [GAUGE_JITTER] = { "jitter", "Jitter (RFC 3550) of the last run, in milliseconds." },
    };
    char name[40];

    snprintf(name, sizeof name, "twampy_%s", text[g].name);
    if (!c->row[TW_ROUNDTRIP].known)
        return;
    metrics_put_head(b, "", name, text[g].help, "gauge");
    for (int d = 0; d < 3; d++)
        put_sample(b, name, "direction", c->row[d].name, gauge_of(&c->row[d], g));
}

static void put_hist(struct mbuf *b, const char *name, const char *help, const struct compat_hist h[3])
{
    static const char *const directions[] = { "outbound", "inbound", "roundtrip" };
    char series[160];

    metrics_put_head(b, "", name, help, "histogram");
    for (int d = 0; d < 3; d++) {
        uint64_t sum = 0;

        for (size_t i = 0; i < COMPAT_LE_N; i++) {
            sum += h[d].bucket[i];
            snprintf(series, sizeof series, "%s_bucket{direction=\"%s\",le=\"%s\"} ", name, directions[d],
                     compat_le_text[i]);
            mbuf_text(b, series);
            mbuf_u64(b, sum);
            mbuf_text(b, "\n");
        }
        snprintf(series, sizeof series, "%s_bucket{direction=\"%s\",le=\"+Inf\"} ", name, directions[d]);
        mbuf_text(b, series);
        mbuf_u64(b, h[d].count);
        mbuf_text(b, "\n");
        snprintf(series, sizeof series, "%s_sum", name);
        put_sample(b, series, "direction", directions[d], h[d].sum_ms);
        snprintf(series, sizeof series, "%s_count", name);
        put_sample(b, series, "direction", directions[d], (double)h[d].count);
    }
}

static void put_loss(struct mbuf *b, const struct compat_view *c)
{
    if (!c->loss_known)
        return;
    metrics_put_head(b, "", "twampy_loss",
                     "Lost probes in percent of those sent, last run; 100 each when all are lost.", "gauge");
    for (int d = 0; d < 3; d++)
        put_sample(b, "twampy_loss", "direction", c->row[d].name, c->row[d].loss_percent);
    put_sample(b, "twampy_loss", "direction", "unknown", c->unknown_percent);
}

static void put_results(struct mbuf *b, const struct tool_metrics *m)
{
    metrics_put_head(b, "", "twampy_result_total", "Runs: report periods with and without an answer.",
                     "counter");
    put_sample(b, "twampy_result_total", "result", "ok", (double)m->runs_ok);
    put_sample(b, "twampy_result_total", "result", "err", (double)m->runs_err);
}

static void put_label(struct mbuf *b, const char *name, const char *value)
{
    mbuf_text(b, name);
    mbuf_text(b, "=\"");
    mbuf_label(b, value);
    mbuf_text(b, "\"");
}

/* One series, made anew on every page. mainstat is the latency and secondarystat the loss, as the dashboard
 * names them. */
static void put_edge(struct mbuf *b, const struct tool_metrics *m, const struct compat_view *c)
{
    char latency[32] = "NaN", percent[32] = "NaN", id[sizeof m->source + sizeof m->target];
    bool known = c->row[TW_ROUNDTRIP].known;

    if (known)
        snprintf(latency, sizeof latency, "%.3f", c->row[TW_ROUNDTRIP].avg_ms);
    if (c->loss_known)
        snprintf(percent, sizeof percent, "%.2f", c->row[TW_ROUNDTRIP].loss_percent);
    snprintf(id, sizeof id, "%s-%s", m->source, m->target);
    metrics_put_head(
        b, "", "twampy_edge",
        "1 if the last run had answers; mainstat is its mean round trip in milliseconds, secondarystat "
        "its loss in percent.",
        "gauge");
    mbuf_text(b, "twampy_edge{");
    put_label(b, "id", id);
    put_label(b, ",source", m->source);
    put_label(b, ",target", m->target);
    put_label(b, ",mainstat", latency);
    put_label(b, ",secondarystat", percent);
    mbuf_text(b, c->ok ? "} 1\n" : "} 0\n");
}

static void render_compat(const struct tool_metrics *m, struct mbuf *b)
{
    struct compat_view c;

    put_results(b, m);
    if (m->histogram) {
        put_hist(b, "twampy_latency", "Delay of every answered probe, in milliseconds.", m->compat_delay);
        put_hist(b, "twampy_jitter", "Jitter (RFC 3550) after every answered probe, in milliseconds.",
                 m->compat_jitter);
    }
    if (!m->fresh)
        return;
    compat_view(&m->last, &c);
    put_gauge(b, &c, GAUGE_MIN);
    put_gauge(b, &c, GAUGE_AVG);
    put_gauge(b, &c, GAUGE_MAX);
    if (!m->histogram) /* one name cannot be both */
        put_gauge(b, &c, GAUGE_JITTER);
    put_loss(b, &c);
    if (m->nodegraph)
        put_edge(b, m, &c);
}

/* ---- Input ---- */

void tool_metrics_init(struct tool_metrics *m, const struct tool_metrics_opt *o, bool nodegraph,
                       const char *source, const char *target, const char *class_name)
{
    *m = (struct tool_metrics){ .histogram = o->histogram, .nodegraph = nodegraph };
    snprintf(m->source, sizeof m->source, "%s", source);
    snprintf(m->target, sizeof m->target, "%s", target);
    snprintf(m->class_name, sizeof m->class_name, "%s", class_name);
}

void tool_metrics_sample(struct tool_metrics *m, unsigned flow, const struct session_sample *s)
{
    const int64_t d[3] = { s->forward_ns, s->backward_ns, s->forward_ns + s->backward_ns };
    struct metrics_jitter *j = &m->jitter[flow];

    if (s->kind != SAMPLE_RECEIVED || !s->timed)
        return;
    for (int i = 0; i < 3; i++) {
        compat_observe(&m->compat_delay[i], (double)d[i] / 1e6);
        if (j->ready) {
            j->j_ns[i] += (fabs((double)(d[i] - j->last_ns[i])) - j->j_ns[i]) / 16;
            compat_observe(&m->compat_jitter[i], j->j_ns[i] / 1e6);
        }
        j->last_ns[i] = d[i];
    }
    j->ready = true;
}

void tool_metrics_period(struct tool_metrics *m, const struct tw_summary *s)
{
    stats_view(s, &m->last);
    m->fresh = true;
    m->sent += s->sent;
    m->received += s->received;
    m->late += s->late;
    m->duplicates += m->last.duplicates;
    m->rejected += s->rejected;
    m->send_errors += s->send_errors;
    m->lost[TW_FORWARD] += s->lost_forward;
    m->lost[TW_BACKWARD] += s->lost_backward;
    m->lost[TW_UNKNOWN] += s->lost_unknown;
    m->reordered[TW_FORWARD] += s->reordered_forward;
    m->reordered[TW_BACKWARD] += s->reordered_backward;
    m->reordered[TW_ROUNDTRIP] += s->reordered_roundtrip;
    for (int d = 0; d < 3; d++)
        metrics_hist_add(&m->delay[d], &s->delay[d]);
    if (s->received)
        m->runs_ok++;
    else
        m->runs_err++;
}

void tool_metrics_render(const struct tool_metrics *m, struct mbuf *b)
{
    const char *labels[] = { "class", m->class_name, "source", m->source, "target", m->target, NULL };
    struct objects o;

    tool_build_info(b);
    if (objects_init(&o, &metrics_text, 1)) {
        b->bad = true;
        return;
    }
    objects_add(&o, m, labels);
    objects_put_text(b, &level, &o);
    objects_free(&o);
    render_compat(m, b);
}
