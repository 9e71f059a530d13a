/* agent/tool/ctl_metrics.c - see ctl_metrics.h. */
#include "agent/tool/ctl_metrics.h"

#include "common/metrics_lines.h"

#define AT(member) offsetof(struct ctl_listener_counters, member)
#define ONE(member) (const struct metric_sample[]){ { "", METRIC_U64, AT(member) } }, 1
#define ROWS(name) name, TW_NELEM(name)

static const struct metric_sample refused[] = {
    { ",limit=\"connections\"", METRIC_U64, AT(refused_connections) },
    { ",limit=\"peer\"", METRIC_U64, AT(refused_peer) },
    { ",limit=\"handshakes\"", METRIC_U64, AT(refused_handshakes) },
};
static const struct metric_sample closed[] = {
    { ",why=\"peer\"", METRIC_U64, AT(closed[CTL_WHY_PEER]) },
    { ",why=\"mode\"", METRIC_U64, AT(closed[CTL_WHY_MODE]) },
    { ",why=\"login\"", METRIC_U64, AT(closed[CTL_WHY_LOGIN]) },
    { ",why=\"protocol\"", METRIC_U64, AT(closed[CTL_WHY_PROTOCOL]) },
    { ",why=\"timeout\"", METRIC_U64, AT(closed[CTL_WHY_TIMEOUT]) },
    { ",why=\"shut_down\"", METRIC_U64, AT(closed[CTL_WHY_SHUT_DOWN]) },
    { ",why=\"internal\"", METRIC_U64, AT(closed[CTL_WHY_INTERNAL]) },
};
static const struct metric_sample requests[] = {
    { ",accept=\"1\"", METRIC_U64, AT(requests_refused[CTL_FAILED]) },
    { ",accept=\"2\"", METRIC_U64, AT(requests_refused[CTL_INTERNAL]) },
    { ",accept=\"3\"", METRIC_U64, AT(requests_refused[CTL_UNSUPPORTED]) },
    { ",accept=\"4\"", METRIC_U64, AT(requests_refused[CTL_NO_RESOURCES]) },
    { ",accept=\"5\"", METRIC_U64, AT(requests_refused[CTL_BUSY]) },
};
static const struct metric_sample dropped[] = {
    { ",why=\"too_short\"", METRIC_U64, AT(reflected.too_short) },
    { ",why=\"too_long\"", METRIC_U64, AT(reflected.too_long) },
    { ",why=\"error_estimate\"", METRIC_U64, AT(reflected.bad_error_estimate) },
    { ",why=\"hmac\"", METRIC_U64, AT(reflected.auth_failed) },
    { ",why=\"foreign\"", METRIC_U64, AT(reflected.foreign) },
    { ",why=\"not_started\"", METRIC_U64, AT(reflected.not_started) },
};

static const struct family families[] = {
    { "control_connections", "gauge", "", "TWAMP-Control connections open now.", NO_GATE, ONE(connections) },
    { "control_handshakes", "gauge", "", "Of them, those that have not logged in.", NO_GATE,
      ONE(handshakes) },
    { "control_sessions", "gauge", "", "Test sessions open now.", NO_GATE, ONE(sessions) },
    { "control_connections_total", "counter", "", "Connections taken.", NO_GATE, ONE(accepted) },
    { "control_connections_refused_total", "counter", "limit",
      "Connections refused, by the limit they broke.", NO_GATE, ROWS(refused) },
    { "control_connections_ended_total", "counter", "why", "Connections ended, by the reason.", NO_GATE,
      ROWS(closed) },
    { "control_requests_refused_total", "counter", "accept", "Commands refused, by the Accept value.",
      NO_GATE, ROWS(requests) },
    { "control_sessions_total", "counter", "", "Test sessions accepted.", NO_GATE, ONE(opened) },
    { "control_sessions_started_total", "counter", "", "Test sessions started.", NO_GATE, ONE(started) },
    { "control_sessions_ended_total", "counter", "", "Test sessions ended.", NO_GATE, ONE(ended) },
    { "control_reflected_total", "counter", "", "Probes answered in the test sessions that have ended.",
      NO_GATE, ONE(reflected.answered) },
    { "control_probes_dropped_total", "counter", "why",
      "Datagrams not answered in the test sessions that have ended.", NO_GATE, ROWS(dropped) },
};
static const struct level level = { "twamp_", "address", families, TW_NELEM(families) };

void ctl_metrics(struct mbuf *b, const char *address, const struct ctl_listener_counters *c)
{
    const char *labels[] = { "address", address, NULL };
    struct objects o;

    if (objects_init(&o, &metrics_text, 1)) {
        b->bad = true;
        return;
    }
    objects_add(&o, c, labels);
    objects_put_text(b, &level, &o);
    objects_free(&o);
}
