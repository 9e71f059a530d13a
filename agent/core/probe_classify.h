/* agent/core/probe_classify.h - what kind of Session-Reflector is it? Told by how it answers one packet of
 * each kind that there is, and how many packets a second. Pure: probe_run.h makes the packets and takes the
 * answers.
 *
 * Each finding is something seen; what was not answered, or cannot be told apart, is "unknown", never a
 * guess. Only the kind is a guess. */
#ifndef TW_AGENT_PROBE_CLASSIFY_H
#define TW_AGENT_PROBE_CLASSIFY_H

#include "agent/core/stamp_tlv.h"
#include "agent/core/test_pkt.h"
#include "common/clk.h"

enum {
    PROBE_LEN_MAX = 300,    /* octets of the longest packet */
    PROBE_TLV_TYPES = 9,    /* index: type 1..8 */
    PROBE_RATES_MAX = 16,   /* stages */
    PROBE_WISHED_DSCP = 10, /* of the answer to a Class of Service TLV */
};

/* One kind of packet. Light packets have pseudo-random padding, so that nobody takes them for STAMP. */
enum probe_step {
    PROBE_13,                                        /* one octet short of a test packet */
    PROBE_14,                                        /* the smallest */
    PROBE_41,                                        /* as long as the smallest answer */
    PROBE_100,                                       /* the ordinary one */
    PROBE_300,                                       /* a longer one */
    PROBE_MARKED,                                    /* 100 octets with a DSCP */
    PROBE_PTP,                                       /* 100 octets, timestamp in PTP format */
    PROBE_STAMP,                                     /* 44 octets with SSID */
    PROBE_TLV,                                       /* STAMP with the TLV of type 1 alone, and so on */
    PROBE_TLV_ALL = PROBE_TLV + PROBE_TLV_TYPES - 1, /* types 2 to 7 and padding */
    PROBE_TLV_UNKNOWN,                               /* a type that there is not */
    PROBE_TLV_MALFORMED,                             /* one that is longer than the packet */
    PROBE_STEPS
};

enum probe_padding {
    PROBE_PADDING_UNKNOWN, /* no answer that has any */
    PROBE_PADDING_SHIFTED, /* the sender's from its start, RFC 5357 section 4.2.1 */
    PROBE_PADDING_KEPT,    /* at the same offset as in the request, as in STAMP */
    PROBE_PADDING_ZERO,
    PROBE_PADDING_OTHER
};

/* What came of a TLV. */
enum probe_tlv {
    PROBE_TLV_NO_ANSWER,
    PROBE_TLV_NOT_READ,     /* the SSID did not come back: the reflector knows no TLVs */
    PROBE_TLV_ANSWERED,     /* filled in: U, M and I are 0 */
    PROBE_TLV_UNRECOGNISED, /* U */
    PROBE_TLV_IS_MALFORMED, /* M */
    PROBE_TLV_INTEGRITY,    /* I: it has another key than we */
    PROBE_TLV_MISSING       /* not in the answer, or not in its place */
};

/* A step and its answer. The first part is filled in by who sends, the rest by probe_answer_read(). */
struct probe_answer {
    unsigned sent; /* times */
    size_t sent_len;
    uint8_t sent_tos;
    uint32_t sent_seq; /* of the one that was answered */
    uint64_t sent_t1;
    struct tw_wall t1, t4; /* t4: when the answer came */
    int16_t ttl, tos;      /* of the answer; -1 = not known */

    bool answered;
    size_t len;
    bool readable;           /* long enough, so `reply` tells */
    bool bad_err_est;        /* multiplier 0; the rest has been read all the same */
    bool echoed;             /* the request itself came back */
    struct test_reply reply; /* ssid: STAMP steps only */
    enum probe_padding padding;
    enum probe_tlv tlv;         /* of the first TLV */
    struct stamp_tlv_seen tlvs; /* where the SSID came back */
};
/* Reads the answer to a request of this step. The request's Sequence Number need not be that of the answer.
 */
void probe_answer_read(enum probe_step step, const uint8_t *request, size_t request_len, const uint8_t *data,
                       size_t len, struct probe_answer *a);
static inline bool probe_step_is_stamp(enum probe_step step)
{
    return step >= PROBE_STAMP;
}

struct probe_rate {
    uint32_t pps;      /* wanted */
    uint32_t sent_pps; /* reached */
    uint32_t sent, answered;
    uint32_t number_first, number_last; /* lowest and highest number of the answers */
};

enum probe_kind {
    PROBE_NOTHING, /* no answer at all */
    PROBE_UNKNOWN,
    PROBE_ECHO,
    PROBE_TWAMPY,
    PROBE_DOMOSLABS,
    PROBE_RFC5357,
    PROBE_LIGHT_STATELESS,
    PROBE_STAMP_8762,
    PROBE_STAMP_8972,
    PROBE_TWAMPMESH,
    PROBE_KINDS
};
enum probe_counting { PROBE_COUNTING_UNKNOWN, PROBE_STATEFUL, PROBE_STATELESS };
enum probe_sizing {
    PROBE_SIZING_UNKNOWN,
    PROBE_AS_REQUEST, /* as long as the request, but at least reply_min */
    PROBE_FIXED,      /* always reply_min */
    PROBE_SIZING_OTHER
};
enum probe_format {
    PROBE_FORMAT_UNKNOWN,
    PROBE_NTP,
    PROBE_PTP_FORMAT,
    PROBE_PTP_1900, /* says PTP, but counts the seconds as NTP does */
};
enum probe_marking {
    PROBE_MARKING_UNKNOWN,
    PROBE_MARK_COPIED, /* answers have the DSCP of the request */
    PROBE_MARK_FIXED,  /* answers have dscp_plain, whatever the request has */
    PROBE_MARK_OTHER
};

struct probe_findings {
    enum probe_kind kind;
    unsigned steps_sent, steps_answered;
    bool answers_short; /* answers what is no test packet */

    enum probe_counting counting;
    enum probe_sizing sizing;
    size_t reply_min; /* the shortest answer */
    enum probe_padding padding;

    bool readable;       /* the following are known */
    bool swapped;        /* T1 and T3 have changed places: one-way delays are wrong elsewhere */
    bool t1_returned;    /* in every answer as it was sent */
    bool times_distinct; /* T2 and T3 are not the same */
    int64_t residence_min_ns, residence_max_ns, round_trip_min_ns;
    enum probe_format format;
    bool format_follows;     /* answers a PTP timestamp in PTP format, others in NTP */
    int64_t clock_offset_ns; /* its clock minus ours, at the least round trip */
    bool err_est_ok, synced;
    int64_t clock_error_ns; /* as it says */
    bool ttl_returned;
    uint8_t ttl_seen; /* of our packets when they came there */

    int16_t reply_ttl; /* of its packets when they come here; -1 = not known */
    enum probe_marking marking;
    int16_t dscp_plain, dscp_marked; /* of the answers to packets without and with DSCP; -1 = not known */

    bool stamp; /* answers as STAMP: 44 octets at least, or with the SSID */
    bool ssid_returned;
    enum probe_tlv tlv[PROBE_TLV_TYPES]; /* each alone; index: type */
    enum probe_tlv tlv_unknown, tlv_malformed;
    bool reply_dscp_honoured;   /* the answer came in the DSCP that a Class of Service TLV wished for */
    uint32_t tlvs_together;     /* STAMP_TLV_BIT() of those answered in one packet */
    struct stamp_tlv_seen seen; /* what they said, together; else alone */

    struct probe_rate rates[PROBE_RATES_MAX];
    size_t n_rates;
    uint32_t pps_without_loss; /* the highest stage without; 0 = none */
};

void probe_classify(const struct probe_answer answers[PROBE_STEPS], const struct probe_rate *rates,
                    size_t n_rates, struct probe_findings *ret);

/* Loss above this ends a stage as lossy: 1 in 100. */
bool probe_rate_lossy(const struct probe_rate *r);
/* Packets of the stage that were lost before the reflector counted them; only for a stateful one. */
uint32_t probe_rate_lost_forward(const struct probe_rate *r);

const char *probe_kind_name(enum probe_kind kind); /* a stable word: "twampy" */
const char *probe_kind_text(enum probe_kind kind); /* for people */

#endif
