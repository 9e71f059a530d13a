/* agent/tool/out_raw.c - a line per packet, for people and for awk: columns separated by white space, "-"
 * where nothing is known. */
#include <inttypes.h>
#include "agent/tool/out.h"

static void begin(FILE *to, const struct plan *p, uint16_t metrics_port)
{
    (void)p;
    (void)metrics_port;
    fputs("# kind flow seq reflector_seq t1_ns t2_ns t3_ns t4_ns forward_us backward_us roundtrip_us size "
          "reply_size "
          "ttl_fwd ttl_bwd tos_fwd tos_bwd tlvs tx_source t1_used_ns t3_used_ns\n",
          to);
}

static void print_time(FILE *to, int64_t ns)
{
    if (ns)
        fprintf(to, " %" PRId64, ns);
    else
        fputs(" -", to);
}

static void print_us(FILE *to, bool known, int64_t ns)
{
    if (known)
        fprintf(to, " %.3f", (double)ns / 1e3);
    else
        fputs(" -", to);
}

static void print_octet(FILE *to, int v)
{
    if (v >= 0)
        fprintf(to, " %d", v);
    else
        fputs(" -", to);
}

/* "location,cos", those not recognised with "!"; "malformed" or "integrity" where it was said so. */
static void print_tlvs(FILE *to, const struct stamp_tlv_seen *t)
{
    const char *before = " ";

    for (unsigned type = 1; type < 32; type++) {
        uint32_t bit = STAMP_TLV_BIT(type);
        if (!((t->answered | t->unrecognised) & bit))
            continue;
        fprintf(to, "%s%s%s", before, t->unrecognised & bit ? "!" : "",
                tool_tlv_name((enum stamp_tlv_type)type));
        before = ",";
    }
    if (t->malformed || t->integrity) {
        fprintf(to, "%s%s", before, t->malformed ? "malformed" : "integrity");
        before = ",";
    }
    if (*before == ' ')
        fputs(" -", to);
}

static void print_sample(FILE *to, const struct plan *p, unsigned flow, const struct session_sample *s)
{
    bool answered = s->t4.ns != 0;

    (void)p;
    fprintf(to, "%s %u %" PRIu32, out_sample_kind(s->kind), flow, s->seq);
    if (answered)
        fprintf(to, " %" PRIu32, s->reflector_seq);
    else
        fputs(" -", to);
    print_time(to, s->t1.ns);
    print_time(to, s->t2.ns);
    print_time(to, s->t3.ns);
    print_time(to, s->t4.ns);
    print_us(to, s->timed, s->forward_ns);
    print_us(to, s->timed, s->backward_ns);
    print_us(to, s->timed, s->forward_ns + s->backward_ns);
    fprintf(to, " %u", s->size_bytes);
    print_octet(to, answered ? s->reply_bytes : -1);
    print_octet(to, answered ? s->ttl_forward : -1);
    print_octet(to, answered ? s->ttl_backward : -1);
    print_octet(to, answered ? s->tos_forward : -1);
    print_octet(to, answered ? s->tos_backward : -1);
    print_tlvs(to, &s->tlvs);
    fprintf(to, " %s", s->tx_source ? tw_ts_source_name(s->tx_source) : "-");
    print_time(to, s->t1_used.ns);
    print_time(to, s->t3_used.ns);
    putc('\n', to);
}

const struct out_writer out_raw = { .name = "raw", .begin = begin, .sample = print_sample };
