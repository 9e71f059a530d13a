#include "controller/cli/probe.h"

#include <inttypes.h>
#include <string.h>
#include "common/net/words.h"

const char *probe_fate(const Tw__FlightRecord *r)
{
    return words_of(&tw__flight_fate__descriptor, (int)r->fate);
}

bool probe_is_lost(const Tw__FlightRecord *r)
{
    return r->fate == TW__FLIGHT_FATE__FLIGHT_FATE_LOST || r->fate == TW__FLIGHT_FATE__FLIGHT_FATE_LATE;
}

const char *probe_way(const Tw__FlightRecord *r)
{
    return probe_is_lost(r) ? words_of(&tw__flight_way__descriptor, (int)r->way) : "";
}

struct tw_num probe_seconds(const Tw__FlightRecord *r, int64_t ns)
{
    return (struct tw_num){ r->timed, out_ns_to_s(ns) };
}

const char *probe_time(const Tw__FlightRecord *r, char buf[TW_TIME_TEXT])
{
    char text[TW_TIME_TEXT];

    if (r->t1_ns <= 0)
        return strcpy(buf, "-");
    tw_wall_format((struct tw_wall){ r->t1_ns }, text);
    snprintf(buf, TW_TIME_TEXT, "%.19s.%06" PRId64 "Z", text, r->t1_ns % TW_NS_PER_S / TW_NS_PER_US);
    return buf;
}

void probe_put_octet(struct out_records *to, const char *name, uint32_t v, uint32_t less)
{
    if (v)
        out_u64(to, name, v - less);
    else
        out_null(to, name);
}

void probe_put(struct out_records *to, uint32_t flow, const Tw__FlightRecord *r)
{
    out_u64(to, "flow", flow);
    out_ns(to, "sent_ns", r->t1_ns);
    out_u64(to, "seq", r->seq);
    out_text(to, "fate", probe_fate(r));
    out_text(to, "lost_on", probe_way(r));
    out_num(to, "rtt_seconds", probe_seconds(r, out_ns_sum(r->forward_ns, r->backward_ns)));
    out_num(to, "forward_seconds", probe_seconds(r, r->forward_ns));
    out_num(to, "backward_seconds", probe_seconds(r, r->backward_ns));
    out_num(to, "residence_seconds", probe_seconds(r, r->residence_ns));
    probe_put_octet(to, "ttl_forward", r->ttl_forward, 0);
    probe_put_octet(to, "ttl_backward", r->ttl_backward, 0);
}
