/* agent/tool/reflector_metrics.c - see reflector_metrics.h. */
#include "agent/tool/reflector_metrics.h"

#include "common/metrics_lines.h"
#include "common/version.h"

#define ONE(member) \
    (const struct metric_sample[]){ { "", METRIC_U64, offsetof(struct worker_counters, member) } }, 1

static const struct family families[] = {
    { "reflected_total", "counter", "", "Probes answered.", NO_GATE, ONE(reflected) },
    { "reflected_stamp_total", "counter", "", "Probes answered that were STAMP.", NO_GATE,
      ONE(reflected_stamp) },
    { "reflected_authenticated_total", "counter", "", "Probes answered that were authenticated.", NO_GATE,
      ONE(reflected_auth) },
    { "reflected_wrong_hmac_tlv_total", "counter", "",
      "STAMP probes answered with their TLVs flagged, because the HMAC TLV was wrong.", NO_GATE,
      ONE(reflector_tlv_auth_failed) },
    { "reflector_wrong_hmac_total", "counter", "", "Packets whose HMAC was wrong.", NO_GATE,
      ONE(reflector_auth_failed) },
    { "reflector_not_authenticated_total", "counter", "",
      "Probes not answered because only authenticated ones are.", NO_GATE, ONE(reflector_auth_demanded) },
    { "reflector_rejected_total", "counter", "", "Datagrams that were no probe, or not to be answered.",
      NO_GATE, ONE(reflector_rejected) },
    { "reflector_send_errors_total", "counter", "", "Answers that the operating system refused to send.",
      NO_GATE, ONE(reflector_send_errors) },
    { "reflector_stateless_total", "counter", "",
      "Probes answered with the sender's number, because no more senders are remembered.", NO_GATE,
      ONE(reflector_stateless) },
    { "reflector_host_drops_total", "counter", "", "Datagrams that this host's full socket buffer dropped.",
      NO_GATE, ONE(rxq_drops) },
    { "reflector_senders", "gauge", "", "Senders remembered now.", NO_GATE, ONE(reflector_sessions) },
};
static const struct level level = { "twamp_", "address", families, TW_NELEM(families) };

void tool_build_info(struct mbuf *b)
{
    metrics_put_head(b, "twamp_", "build_info", "1; the version of this program.", "gauge");
    mbuf_text(b, "twamp_build_info{version=\"" TW_VERSION "\"} 1\n");
}

void reflector_metrics(struct mbuf *b, const char *address, const struct worker_counters *c)
{
    const char *labels[] = { "address", address, NULL };
    struct objects o;

    tool_build_info(b);
    if (objects_init(&o, &metrics_text, 1)) {
        b->bad = true;
        return;
    }
    objects_add(&o, c, labels);
    objects_put_text(b, &level, &o);
    objects_free(&o);
}
