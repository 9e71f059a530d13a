/* agent/core/probe_classify.c - see probe_classify.h. What the kinds do: protocol reference section 10. */
#include "agent/core/probe_classify.h"

#include <string.h>

#include "agent/core/stamp_pkt.h"
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"

enum {
    ERREST_MULTIPLIER_AT = 13,
    T3_AT = 4,
    PADDING_MIN = 8, /* so many octets are not equal by chance */
    NTP_PTP_EPOCHS_S = 2208988800u,
};
#define PLAUSIBLE_NS (24 * 3600 * TW_NS_PER_S) /* clocks differ by less */

/* ---- One answer ---- */

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* Who takes padding for TLVs, as STAMP allows, may change the flags of some. */
static bool is_kept(const uint8_t *request, const uint8_t *data, size_t len)
{
    size_t same = 0;

    for (size_t i = STAMP_BASE; i < len; i++)
        same += data[i] == request[i];
    return same * 8 >= (len - STAMP_BASE) * 7;
}

static enum probe_padding padding_of(const uint8_t *request, size_t request_len, const uint8_t *data,
                                     size_t len)
{
    size_t n = len < request_len ? len : request_len;

    if (n < STAMP_BASE + PADDING_MIN)
        return PROBE_PADDING_UNKNOWN;
    if (!memcmp(data + TWAMP_REPLY_MIN, request + TWAMP_PROBE_MIN, n - TWAMP_REPLY_MIN))
        return PROBE_PADDING_SHIFTED;
    if (is_kept(request, data, n))
        return PROBE_PADDING_KEPT;
    return is_zero(data + TWAMP_REPLY_MIN, len - TWAMP_REPLY_MIN) ? PROBE_PADDING_ZERO : PROBE_PADDING_OTHER;
}

static enum probe_tlv first_tlv(const uint8_t *request, size_t request_len, const uint8_t *data, size_t len)
{
    if (request_len <= STAMP_BASE + 1 || len <= STAMP_BASE + 1 ||
        data[STAMP_BASE + 1] != request[STAMP_BASE + 1])
        return PROBE_TLV_MISSING;
    if (data[STAMP_BASE] & STAMP_TLV_I)
        return PROBE_TLV_INTEGRITY;
    if (data[STAMP_BASE] & STAMP_TLV_M)
        return PROBE_TLV_IS_MALFORMED;
    return data[STAMP_BASE] & STAMP_TLV_U ? PROBE_TLV_UNRECOGNISED : PROBE_TLV_ANSWERED;
}

static void read_stamp(const uint8_t *request, size_t request_len, const uint8_t *data, size_t len,
                       struct probe_answer *a)
{
    struct wire_rd r = { .p = request, .end = request + request_len };

    wire_take(&r, 14);
    if (!a->reply.ssid || a->reply.ssid != wire_get_u16(&r)) {
        a->tlv = PROBE_TLV_NOT_READ;
        return;
    }
    if (request_len == STAMP_BASE)
        return;
    a->tlv = first_tlv(request, request_len, data, len);
    if (len > STAMP_BASE) /* without a key: whose answer it is does not matter here */
        stamp_tlv_read(data + STAMP_BASE, len - STAMP_BASE, a->reply.seq, NULL, &a->tlvs);
}

/* An answer with multiplier 0 is corrupt by RFC 4656, but what else it says is of interest here. */
static bool read_reply(bool stamp, const uint8_t *data, size_t len, struct probe_answer *a)
{
    uint8_t head[STAMP_BASE] = { 0 };
    size_t n = len < sizeof head ? len : sizeof head;
    unsigned key = 0;

    if (len <= ERREST_MULTIPLIER_AT)
        return false;
    memcpy(head, data, n);
    a->bad_err_est = !head[ERREST_MULTIPLIER_AT];
    if (a->bad_err_est)
        head[ERREST_MULTIPLIER_AT] = 1;
    return (stamp ? stamp_read_reply(NULL, head, n, &a->reply, &key)
                  : twamp_decode_reply(head, n, &a->reply)) == TW_OK;
}

void probe_answer_read(enum probe_step step, const uint8_t *request, size_t request_len, const uint8_t *data,
                       size_t len, struct probe_answer *a)
{
    a->answered = true;
    a->len = len;
    a->echoed = len == request_len && !memcmp(data, request, len);
    a->readable = read_reply(probe_step_is_stamp(step), data, len, a);
    if (!a->readable)
        return;
    if (probe_step_is_stamp(step))
        read_stamp(request, request_len, data, len, a);
    else
        a->padding = padding_of(request, request_len, data, len);
}

/* ---- All answers together ---- */

struct view {
    const struct probe_answer *a;
    struct probe_findings *f;
};

static bool is_readable(const struct probe_answer *a)
{
    return a->answered && a->readable;
}

/* What we sent as T1 stands where T3 belongs. */
static bool is_swapped(const struct probe_answer *a)
{
    return is_readable(a) && a->reply.t3 == a->sent_t1 && a->reply.sender_t1 != a->sent_t1;
}

/* The numbers that we send have gaps, so a count of its own shows at the second answer at the latest. */
static void find_counting(struct view *v)
{
    unsigned same = 0, other = 0;

    for (unsigned i = 0; i < PROBE_STEPS; i++) {
        if (!is_readable(&v->a[i]))
            continue;
        if (v->a[i].reply.seq == v->a[i].sent_seq)
            same++;
        else
            other++;
    }
    if (other && same <= 1)
        v->f->counting = PROBE_STATEFUL;
    else if (same > 1 && !other)
        v->f->counting = PROBE_STATELESS;
}

static void find_sizing(struct view *v)
{
    bool as_request = true, fixed = true;
    size_t first = 0, shortest = SIZE_MAX, n = 0;

    for (unsigned i = PROBE_14; i < PROBE_STEPS; i++) {
        if (!v->a[i].answered)
            continue;
        if (v->a[i].len < shortest)
            shortest = v->a[i].len;
        fixed = fixed && (!n || v->a[i].len == first);
        first = n ? first : v->a[i].len;
        n++;
    }
    if (!n)
        return;
    v->f->reply_min = shortest;
    for (unsigned i = PROBE_14; i < PROBE_STEPS; i++) {
        size_t base = probe_step_is_stamp(i) || shortest >= STAMP_BASE ? STAMP_BASE : shortest;
        size_t want = v->a[i].sent_len > base ? v->a[i].sent_len : base;
        as_request = as_request && (!v->a[i].answered || v->a[i].len == want);
    }
    if (n > 1)
        v->f->sizing = as_request ? PROBE_AS_REQUEST : fixed ? PROBE_FIXED : PROBE_SIZING_OTHER;
}

/* ---- Times ---- */

static struct tw_wall wall_of(uint64_t t, bool ptp, struct tw_wall near)
{
    struct tw_wall w = { 0 };

    if (!ptp)
        return tw_wall_from_ntp(t, near);
    tw_wall_from_ptp(t, near, &w); /* stays 0 if it is none */
    return w;
}

static bool is_near(struct tw_wall a, struct tw_wall b)
{
    return a.ns - b.ns < PLAUSIBLE_NS && b.ns - a.ns < PLAUSIBLE_NS;
}

static enum probe_format format_of(const struct probe_answer *a)
{
    uint64_t t2 = a->reply.t2;

    if (!(a->reply.err_est & 0x4000))
        return PROBE_NTP;
    if (!is_near(wall_of(t2, true, a->t4), a->t4) &&
        is_near(wall_of(t2 - ((uint64_t)NTP_PTP_EPOCHS_S << 32), true, a->t4), a->t4))
        return PROBE_PTP_1900;
    return PROBE_PTP_FORMAT;
}

static struct tw_wall reflector_time(const struct probe_answer *a, uint64_t t)
{
    enum probe_format format = format_of(a);

    if (format == PROBE_PTP_1900)
        t -= (uint64_t)NTP_PTP_EPOCHS_S << 32;
    return wall_of(t, format != PROBE_NTP, a->t4);
}

static void add_times(struct view *v, const struct probe_answer *a, bool first)
{
    struct tw_wall t2 = reflector_time(a, a->reply.t2);
    struct tw_wall t3 = reflector_time(a, v->f->swapped ? a->reply.sender_t1 : a->reply.t3);
    int64_t residence = t3.ns - t2.ns, round_trip = a->t4.ns - a->t1.ns - residence;

    if (residence)
        v->f->times_distinct = true;
    if (first || residence < v->f->residence_min_ns)
        v->f->residence_min_ns = residence;
    if (first || residence > v->f->residence_max_ns)
        v->f->residence_max_ns = residence;
    if (first || round_trip < v->f->round_trip_min_ns) {
        v->f->round_trip_min_ns = round_trip;
        v->f->clock_offset_ns = (t2.ns - a->t1.ns) / 2 + (t3.ns - a->t4.ns) / 2;
    }
}

static void find_times(struct view *v)
{
    const struct probe_answer *ptp = &v->a[PROBE_PTP];
    struct probe_findings *f = v->f;
    bool first = true;

    f->t1_returned = true;
    for (unsigned i = 0; i < PROBE_STEPS; i++)
        f->swapped = f->swapped || is_swapped(&v->a[i]);
    for (unsigned i = 0; i < PROBE_STEPS; i++) {
        const struct probe_answer *a = &v->a[i];
        if (!is_readable(a))
            continue;
        if (a->reply.sender_t1 != a->sent_t1)
            f->t1_returned = false;
        if (i == PROBE_PTP) /* its timestamp is of another kind */
            continue;
        add_times(v, a, first);
        f->format = format_of(a);
        f->err_est_ok = !a->bad_err_est && tw_errest_decode(a->reply.err_est, &f->clock_error_ns, &f->synced,
                                                            &(bool){ false }) == TW_OK;
        first = false;
    }
    f->readable = !first;
    f->t1_returned = f->t1_returned && f->readable;
    f->format_follows = f->format == PROBE_NTP && is_readable(ptp) && ptp->reply.err_est & 0x4000;
}

/* ---- What the IP header tells ---- */

static void find_header(struct view *v)
{
    const struct probe_answer *plain = &v->a[PROBE_100], *marked = &v->a[PROBE_MARKED];
    struct probe_findings *f = v->f;

    f->reply_ttl = f->dscp_plain = f->dscp_marked = -1;
    for (unsigned i = 0; i < PROBE_STEPS; i++) {
        const struct probe_answer *a = &v->a[i];
        if (!a->answered)
            continue;
        if (a->ttl >= 0)
            f->reply_ttl = a->ttl;
        if (a->readable && a->reply.ttl_known) {
            f->ttl_returned = true;
            f->ttl_seen = a->reply.sender_ttl;
        }
        if (!plain->answered && !v->a[i].sent_tos && i != PROBE_TLV_ALL && i != PROBE_TLV + STAMP_TLV_COS - 1)
            plain = a;
    }
    if (plain->answered && plain->tos >= 0)
        f->dscp_plain = (int16_t)(plain->tos >> 2);
    if (marked->answered && marked->tos >= 0)
        f->dscp_marked = (int16_t)(marked->tos >> 2);
    if (f->dscp_plain < 0 || f->dscp_marked < 0)
        return;
    if (f->dscp_marked == f->dscp_plain)
        f->marking = PROBE_MARK_FIXED;
    else
        f->marking = f->dscp_plain == plain->sent_tos >> 2 && f->dscp_marked == marked->sent_tos >> 2
                         ? PROBE_MARK_COPIED
                         : PROBE_MARK_OTHER;
}

/* ---- STAMP ---- */

/* A Light reflector answers at least 41 octets, a STAMP one 44, or nothing to what is shorter than that. */
static bool has_stamp_size(const struct view *v)
{
    const struct probe_answer *least = &v->a[PROBE_14], *mid = &v->a[PROBE_41];

    if (v->f->sizing == PROBE_FIXED || !v->a[PROBE_STAMP].answered || v->a[PROBE_STAMP].len < STAMP_BASE)
        return false;
    if (least->answered)
        return least->len == STAMP_BASE;
    return mid->answered ? mid->len == STAMP_BASE : true;
}

static void find_stamp(struct view *v)
{
    struct probe_findings *f = v->f;
    const struct probe_answer *all = &v->a[PROBE_TLV_ALL], *cos = &v->a[PROBE_TLV + STAMP_TLV_COS - 1];

    for (unsigned i = PROBE_STAMP; i < PROBE_STEPS; i++)
        if (is_readable(&v->a[i]) && v->a[i].tlv != PROBE_TLV_NOT_READ)
            f->ssid_returned = true;
    f->stamp = f->ssid_returned || has_stamp_size(v);
    for (unsigned type = 1; type < PROBE_TLV_TYPES; type++)
        f->tlv[type] = v->a[PROBE_TLV + type - 1].tlv;
    f->tlv_unknown = v->a[PROBE_TLV_UNKNOWN].tlv;
    f->tlv_malformed = v->a[PROBE_TLV_MALFORMED].tlv;
    f->reply_dscp_honoured = cos->tlv == PROBE_TLV_ANSWERED && cos->tos >> 2 == PROBE_WISHED_DSCP;
    f->tlvs_together = all->tlvs.answered;
    f->seen = all->tlvs;
}

/* ---- How many a second ---- */

bool probe_rate_lossy(const struct probe_rate *r)
{
    return (uint64_t)(r->sent - r->answered) * 100 > r->sent;
}

uint32_t probe_rate_lost_forward(const struct probe_rate *r)
{
    uint32_t reflected = r->answered ? r->number_last - r->number_first + 1 : 0;

    return reflected < r->sent ? r->sent - reflected : 0;
}

static void find_rate(struct view *v, const struct probe_rate *rates, size_t n)
{
    for (size_t i = 0; i < n && i < PROBE_RATES_MAX; i++) {
        v->f->rates[i] = rates[i];
        v->f->n_rates = i + 1;
        if (rates[i].sent && rates[i].answered == rates[i].sent)
            v->f->pps_without_loss = rates[i].pps;
    }
}

/* ---- The guess ---- */

static bool is_echo(const struct view *v)
{
    unsigned n = 0;

    for (unsigned i = 0; i < PROBE_STEPS; i++) {
        if (!v->a[i].answered)
            continue;
        if (!v->a[i].echoed)
            return false;
        n++;
    }
    return n > 0;
}

static bool is_light(const struct view *v)
{
    return v->f->padding == PROBE_PADDING_SHIFTED ||
           (v->a[PROBE_14].answered && v->a[PROBE_14].len == TWAMP_REPLY_MIN) ||
           (v->a[PROBE_41].answered && v->a[PROBE_41].len == TWAMP_REPLY_MIN);
}

static enum probe_kind guess(const struct view *v)
{
    const struct probe_findings *f = v->f;

    if (!f->steps_answered)
        return PROBE_NOTHING;
    if (is_echo(v))
        return PROBE_ECHO;
    if (f->swapped)
        return PROBE_DOMOSLABS;
    if (!f->readable)
        return PROBE_UNKNOWN;
    if (f->sizing == PROBE_FIXED && !f->times_distinct && !f->ttl_returned)
        return PROBE_TWAMPY;
    if (f->ssid_returned)
        return is_light(v) ? PROBE_TWAMPMESH : PROBE_STAMP_8972;
    if (f->stamp)
        return PROBE_STAMP_8762;
    if (f->sizing != PROBE_AS_REQUEST || !f->t1_returned)
        return PROBE_UNKNOWN;
    return f->counting == PROBE_STATELESS  ? PROBE_LIGHT_STATELESS
           : f->counting == PROBE_STATEFUL ? PROBE_RFC5357
                                           : PROBE_UNKNOWN;
}

void probe_classify(const struct probe_answer answers[PROBE_STEPS], const struct probe_rate *rates,
                    size_t n_rates, struct probe_findings *ret)
{
    struct view v = { answers, ret };

    memset(ret, 0, sizeof *ret);
    for (unsigned i = 0; i < PROBE_STEPS; i++) {
        ret->steps_sent += answers[i].sent > 0;
        ret->steps_answered += answers[i].answered;
        if (answers[i].padding != PROBE_PADDING_UNKNOWN && ret->padding == PROBE_PADDING_UNKNOWN)
            ret->padding = answers[i].padding;
    }
    ret->answers_short = answers[PROBE_13].answered;
    find_counting(&v);
    find_sizing(&v);
    find_times(&v);
    find_header(&v);
    find_stamp(&v);
    find_rate(&v, rates, n_rates);
    ret->kind = guess(&v);
}

/* ---- Names ---- */

static const struct {
    const char *name, *text;
} kinds[PROBE_KINDS] = {
    [PROBE_NOTHING] = { "nothing", "no answer: nothing reflects there, or a filter is in between" },
    [PROBE_UNKNOWN] = { "unknown", "reflector of an unknown kind" },
    [PROBE_ECHO] = { "echo", "UDP echo service, not a reflector: it tells no times" },
    [PROBE_TWAMPY] = { "twampy", "twampy responder" },
    [PROBE_DOMOSLABS] = { "domoslabs", "domoslabs twamp-light" },
    [PROBE_RFC5357] = { "rfc5357", "TWAMP reflector that keeps to RFC 5357, such as perfSONAR's" },
    [PROBE_LIGHT_STATELESS] = { "light-stateless", "TWAMP Light reflector without state" },
    [PROBE_STAMP_8762] = { "stamp-rfc8762", "STAMP reflector of RFC 8762" },
    [PROBE_STAMP_8972] = { "stamp-rfc8972", "STAMP reflector of RFC 8972" },
    [PROBE_TWAMPMESH] = { "twampmesh",
                          "twampmesh, or another that serves TWAMP Light and STAMP at one port" },
};

const char *probe_kind_name(enum probe_kind kind)
{
    return kinds[kind].name;
}

const char *probe_kind_text(enum probe_kind kind)
{
    return kinds[kind].text;
}
