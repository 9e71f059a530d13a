/* agent/core/probe_run.c - see probe_run.h. Rounds of steps first, each step until it is answered; then
 * stages of rates. Sequence Numbers have gaps while steps are sent, so that a reflector's own count shows. */
#include "agent/core/probe_run.h"

#include <stdlib.h>
#include <string.h>

#include "agent/core/crypto.h"
#include "agent/core/stamp_pkt.h"
#include "agent/core/twamp_pkt.h"
#include "common/dscp.h"
#include "common/splitmix.h"
#include "common/wire.h"

enum {
    SEQ_START = 1000, /* not 0, where some reflectors begin to count again */
    SEQ_GAP = 3,
    TRIES_MAX = 8,
    SENT_MAX = PROBE_STEPS * TRIES_MAX,
    TLV_PADDING = 16,
    TLV_HEAD = 4,
    UNKNOWN_TYPE = 200, /* first come, first served: nobody has it */
    TOO_LONG = 400,
    STAGE_MIN = 20, /* packets */
    NUMBER_AT = 24, /* in an answer: the number of its request */
    ERR_EST = 1,    /* not synchronised, says nothing */
    ERR_EST_PTP = 0x4001,
};
#define STAGE_NS (300 * TW_NS_PER_MS)
#define TOGETHER                                                                                        \
    (STAMP_TLV_BIT(STAMP_TLV_LOCATION) | STAMP_TLV_BIT(STAMP_TLV_TIMESTAMP_INFO) |                      \
     STAMP_TLV_BIT(STAMP_TLV_COS) | STAMP_TLV_BIT(STAMP_TLV_DIRECT) | STAMP_TLV_BIT(STAMP_TLV_ACCESS) | \
     STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP))

enum phase { STEPS, STEPS_WAIT, RATE, RATE_WAIT, DONE };

/* One packet of a step that has been sent. */
struct sent {
    uint32_t seq;
    enum probe_step step;
    uint64_t t1;
    struct tw_wall wall;
};

struct probe_run {
    struct probe_run_cfg cfg;
    enum phase phase;
    struct tw_mono due; /* of the next packet, or of the end of waiting */
    unsigned round, at; /* steps: this one next */
    uint32_t next_seq;
    uint16_t ssid;
    uint64_t rng;
    uint8_t padding[PROBE_LEN_MAX];
    struct crypto_hmac *hmac;
    struct sent sent[SENT_MAX];
    unsigned n_sent;
    uint8_t request[PROBE_STEPS][PROBE_LEN_MAX]; /* as last sent */
    struct probe_answer answers[PROBE_STEPS];
    struct probe_run_extra extra;

    /* Rates. */
    struct probe_rate rates[PROBE_RATES_MAX];
    size_t n_rates; /* begun */
    enum probe_step rate_step;
    uint32_t stage_size, stage_seq; /* first number of the stage */
    struct tw_mono stage_start, stage_last;
    uint8_t *stage_seen; /* a bit for each packet */
};

/* ---- What the packets look like ---- */

static const struct {
    size_t len; /* Light only */
    bool marked, ptp;
} steps[PROBE_STEPS] = {
    [PROBE_13] = { 13, false, false },   [PROBE_14] = { 14, false, false },
    [PROBE_41] = { 41, false, false },   [PROBE_100] = { 100, false, false },
    [PROBE_300] = { 300, false, false }, [PROBE_MARKED] = { 100, true, false },
    [PROBE_PTP] = { 100, false, true },
};

static void write_light(const struct probe_run *r, const struct test_probe *p, uint8_t *buf, size_t len)
{
    uint8_t head[TWAMP_PROBE_MIN];

    memcpy(buf, r->padding, len);
    twamp_encode_probe(p, head, sizeof head);
    memcpy(buf, head, len < sizeof head ? len : sizeof head);
}

/* A TLV of a type, or a length, that stamp_tlv_write() would not write. */
static size_t write_odd_tlv(uint8_t *buf, uint8_t type, uint16_t len)
{
    struct wire_wr w = { .p = buf, .end = buf + TLV_HEAD + 4 };

    wire_put_u8(&w, STAMP_TLV_U);
    wire_put_u8(&w, type);
    wire_put_u16(&w, len);
    wire_put_u32(&w, 0xdeadbeef);
    return TLV_HEAD + 4;
}

static size_t write_tlvs(const struct probe_run *r, enum probe_step step, uint32_t seq, uint8_t *buf)
{
    struct stamp_tlv_want want = {
        .cos_dscp = PROBE_WISHED_DSCP, .tx_count = 1, .access_id = 2, .access_code = 1
    };
    size_t len;

    if (step == PROBE_STAMP)
        return 0;
    if (step == PROBE_TLV_UNKNOWN)
        return write_odd_tlv(buf, UNKNOWN_TYPE, 4);
    if (step == PROBE_TLV_MALFORMED)
        return write_odd_tlv(buf, STAMP_TLV_COS, TOO_LONG);
    want.types = step == PROBE_TLV_ALL ? TOGETHER : STAMP_TLV_BIT(step - PROBE_TLV + 1);
    want.types &= ~(uint32_t)STAMP_TLV_BIT(STAMP_TLV_PADDING); /* comes by the size */
    len = stamp_tlv_size(&want);
    if (step == PROBE_TLV_ALL || !want.types)
        len += TLV_HEAD + TLV_PADDING;
    memcpy(buf, r->padding, len);
    stamp_tlv_write(&want, seq, want.types & STAMP_TLV_BIT(STAMP_TLV_HMAC) ? r->hmac : NULL, buf, len);
    return len;
}

/* Returns the length. */
static size_t write_step(const struct probe_run *r, enum probe_step step, struct sent *s, uint8_t *buf)
{
    struct test_probe p = { .seq = s->seq,
                            .err_est = steps[step].ptp ? ERR_EST_PTP : ERR_EST,
                            .ssid = r->ssid };

    s->t1 = p.t1 = steps[step].ptp ? tw_wall_to_ptp(s->wall) : tw_wall_to_ntp(s->wall);
    if (!probe_step_is_stamp(step)) {
        write_light(r, &p, buf, steps[step].len);
        return steps[step].len;
    }
    stamp_write_probe(NULL, 0, &p, buf, STAMP_BASE);
    return STAMP_BASE + write_tlvs(r, step, s->seq, buf + STAMP_BASE);
}

/* ---- Making one ---- */

enum tw_rc probe_run_new(const struct probe_run_cfg *cfg, struct tw_mono start, struct probe_run **ret)
{
    uint8_t key[16];
    struct probe_run *r;
    enum tw_rc rc = TW_ENOMEM;

    if (cfg->dscp > 63 || !cfg->tries || cfg->tries > TRIES_MAX || cfg->spacing_ns <= 0 ||
        cfg->timeout_ns <= 0 || cfg->max_pps > PROBE_PPS_MAX)
        return TW_EINVAL;
    r = calloc(1, sizeof *r);
    if (!r)
        return TW_ENOMEM;
    r->cfg = *cfg;
    r->due = start;
    r->next_seq = SEQ_START;
    r->rng = cfg->seed;
    for (size_t i = 0; i < sizeof r->padding; i++)
        r->padding[i] =
            (uint8_t)(tw_splitmix64(&r->rng) | 1); /* no zeros: a reflector's own are to be seen */
    r->ssid = (uint16_t)(tw_splitmix64(&r->rng) | 1);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)tw_splitmix64(&r->rng);
    r->stage_seen = calloc(1, (size_t)cfg->max_pps * STAGE_NS / TW_NS_PER_S / 8 + STAGE_MIN);
    if (r->stage_seen)
        rc = crypto_hmac_new(CRYPTO_SHA256, key, sizeof key, &r->hmac);
    if (rc) {
        probe_run_free(r);
        return rc;
    }
    *ret = r;
    return TW_OK;
}

void probe_run_free(struct probe_run *r)
{
    if (!r)
        return;
    crypto_hmac_free(r->hmac);
    free(r->stage_seen);
    free(r);
}

struct tw_mono probe_run_next_due(const struct probe_run *r)
{
    return r->phase == DONE ? TW_MONO_NEVER : r->due;
}

bool probe_run_in_rates(const struct probe_run *r)
{
    return r->phase == RATE || r->phase == RATE_WAIT;
}

/* ---- Rates ---- */

/* 100, 200, 500, 1000, ... and the highest itself. */
static uint32_t next_pps(uint32_t pps, uint32_t max)
{
    static const uint32_t ladder[] = { 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, PROBE_PPS_MAX };

    for (size_t i = 0; i < TW_NELEM(ladder); i++)
        if (ladder[i] > pps)
            return ladder[i] < max ? ladder[i] : max;
    return max;
}

static void begin_stage(struct probe_run *r, struct tw_mono now)
{
    uint32_t last = r->n_rates ? r->rates[r->n_rates - 1].pps : 0;
    struct probe_rate *rate = &r->rates[r->n_rates++];

    *rate = (struct probe_rate){ .pps = next_pps(last, r->cfg.max_pps) };
    r->stage_size = (uint32_t)((int64_t)rate->pps * STAGE_NS / TW_NS_PER_S);
    if (r->stage_size < STAGE_MIN)
        r->stage_size = STAGE_MIN;
    memset(r->stage_seen, 0, (r->stage_size + 7) / 8);
    r->stage_seq = r->next_seq;
    r->stage_start = r->due = now;
    r->phase = RATE;
}

/* The packet that stands for all: the ordinary one, else what is answered. */
static bool find_rate_step(struct probe_run *r)
{
    static const enum probe_step preferred[] = { PROBE_100, PROBE_STAMP, PROBE_300, PROBE_41, PROBE_14 };

    for (size_t i = 0; i < TW_NELEM(preferred); i++)
        if (r->answers[preferred[i]].answered) {
            r->rate_step = preferred[i];
            return true;
        }
    for (unsigned i = PROBE_14; i < PROBE_STEPS; i++)
        if (r->answers[i].answered) {
            r->rate_step = (enum probe_step)i;
            return true;
        }
    return false;
}

static void end_stage(struct probe_run *r, struct tw_mono now)
{
    struct probe_rate *rate = &r->rates[r->n_rates - 1];
    int64_t took = r->stage_last.ns - r->stage_start.ns;

    rate->sent_pps = took > 0 ? (uint32_t)((rate->sent - 1) * TW_NS_PER_S / took) : rate->pps;
    if (!rate->sent || probe_rate_lossy(rate) || rate->pps >= r->cfg.max_pps || r->n_rates == PROBE_RATES_MAX)
        r->phase = DONE;
    else
        begin_stage(r, now);
}

/* ---- Going on ---- */

static bool is_open(const struct probe_run *r, enum probe_step step)
{
    return !r->answers[step].answered;
}

/* The next step from `at` on that is not answered; PROBE_STEPS: none. */
static unsigned next_open(const struct probe_run *r, unsigned at)
{
    while (at < PROBE_STEPS && !is_open(r, at))
        at++;
    return at;
}

static void end_round(struct probe_run *r, struct tw_mono now)
{
    r->at = next_open(r, 0);
    if (++r->round < r->cfg.tries && r->at < PROBE_STEPS) {
        r->phase = STEPS;
        r->due = now;
    } else if (r->cfg.max_pps && find_rate_step(r)) {
        begin_stage(r, now);
    } else {
        r->phase = DONE;
    }
}

/* Waiting ends early when there is nothing to wait for. */
static bool is_all_answered(const struct probe_run *r)
{
    if (r->phase == STEPS_WAIT)
        return next_open(r, 0) == PROBE_STEPS;
    return r->rates[r->n_rates - 1].answered == r->rates[r->n_rates - 1].sent;
}

static void go_on(struct probe_run *r, struct tw_mono now)
{
    if (r->phase == STEPS_WAIT && (now.ns >= r->due.ns || is_all_answered(r)))
        end_round(r, now);
    else if (r->phase == RATE_WAIT && (now.ns >= r->due.ns || is_all_answered(r)))
        end_stage(r, now);
}

/* ---- Outputs ---- */

static size_t make_step(struct probe_run *r, struct tw_now now, uint8_t *buf)
{
    struct sent *s = &r->sent[r->n_sent++];
    struct probe_answer *a = &r->answers[r->at];

    *s = (struct sent){ .seq = r->next_seq, .step = (enum probe_step)r->at, .wall = now.wall };
    r->next_seq += SEQ_GAP;
    a->sent++;
    a->sent_len = write_step(r, s->step, s, buf);
    a->sent_tos = steps[s->step].marked ? dscp_to_tos(r->cfg.dscp, 0) : 0;
    memcpy(r->request[s->step], buf, a->sent_len);
    r->at = next_open(r, r->at + 1);
    r->due.ns = now.mono.ns + r->cfg.spacing_ns;
    if (r->at == PROBE_STEPS) {
        r->phase = STEPS_WAIT;
        r->due.ns = now.mono.ns + r->cfg.timeout_ns;
    }
    return a->sent_len;
}

/* Packets that are overdue go out one after the other: the stage is to have its rate. */
static size_t make_rate(struct probe_run *r, struct tw_now now, uint8_t *buf)
{
    struct probe_rate *rate = &r->rates[r->n_rates - 1];
    struct sent s = { .seq = r->next_seq++, .wall = now.wall };
    size_t len = write_step(r, r->rate_step, &s, buf);

    rate->sent++;
    r->stage_last = now.mono;
    r->due.ns = r->stage_start.ns + (int64_t)rate->sent * TW_NS_PER_S / rate->pps;
    if (rate->sent == r->stage_size) {
        r->phase = RATE_WAIT;
        r->due.ns = now.mono.ns + r->cfg.timeout_ns;
    }
    return len;
}

enum tw_rc probe_run_next(struct probe_run *r, struct tw_now now, uint8_t *buf, struct probe_run_out *ret)
{
    go_on(r, now.mono);
    if ((r->phase != STEPS && r->phase != RATE) || now.mono.ns < r->due.ns)
        return TW_EAGAIN;
    if (r->phase == STEPS) {
        unsigned step = r->at;
        ret->len = make_step(r, now, buf);
        ret->tos = r->answers[step].sent_tos;
    } else {
        ret->len = make_rate(r, now, buf);
        ret->tos = 0;
    }
    return TW_OK;
}

void probe_run_on_send_error(struct probe_run *r)
{
    r->extra.send_errors++;
}

/* ---- Inputs ---- */

/* The packet that this answers. The number returned stands at 24; what is too short for that, or not an
 * answer at all, begins with it perhaps. */
static const struct sent *find_sent(const struct probe_run *r, const uint8_t *data, size_t len)
{
    static const size_t places[] = { NUMBER_AT, 0 };

    for (size_t i = 0; i < TW_NELEM(places); i++) {
        struct wire_rd rd = { .p = data, .end = data + len };
        uint32_t seq;
        wire_take(&rd, places[i]);
        seq = wire_get_u32(&rd);
        for (unsigned k = r->n_sent; !rd.bad && k-- > 0;)
            if (r->sent[k].seq == seq)
                return &r->sent[k];
    }
    return NULL;
}

static void note_number(struct probe_rate *rate, uint32_t number)
{
    if (!rate->answered++)
        rate->number_first = rate->number_last = number;
    if ((int32_t)(number - rate->number_first) < 0)
        rate->number_first = number;
    if ((int32_t)(number - rate->number_last) > 0)
        rate->number_last = number;
}

/* false: not of the stage that is going on. */
static bool take_rate_answer(struct probe_run *r, const uint8_t *data, size_t len)
{
    struct wire_rd rd = { .p = data, .end = data + len };
    struct probe_rate *rate;
    uint32_t number, i;

    if (!probe_run_in_rates(r))
        return false;
    rate = &r->rates[r->n_rates - 1];
    number = i = wire_get_u32(&rd);
    if (!r->answers[r->rate_step].echoed) {
        wire_take(&rd, NUMBER_AT - 4);
        i = wire_get_u32(&rd);
    }
    i -= r->stage_seq;
    if (rd.bad || i >= rate->sent)
        return false;
    if (r->stage_seen[i / 8] & 1u << i % 8) {
        r->extra.duplicates++;
        return true;
    }
    r->stage_seen[i / 8] |= (uint8_t)(1u << i % 8);
    note_number(rate, number);
    return true;
}

void probe_run_on_answer(struct probe_run *r, struct tw_mono now, const struct probe_run_in *in,
                         const uint8_t *data, size_t len)
{
    const struct sent *s;
    struct probe_answer *a;

    if (take_rate_answer(r, data, len)) {
        go_on(r, now);
        return;
    }
    s = find_sent(r, data, len);
    if (!s) {
        r->extra.strange++;
        return;
    }
    a = &r->answers[s->step];
    if (a->answered) {
        r->extra.duplicates++;
        return;
    }
    a->sent_seq = s->seq;
    a->sent_t1 = s->t1;
    a->t1 = s->wall;
    a->t4 = in->time;
    a->ttl = in->ttl;
    a->tos = in->tos;
    probe_answer_read(s->step, r->request[s->step], a->sent_len, data, len, a);
    if (r->phase == STEPS && r->at == (unsigned)s->step) /* a late answer to an earlier try */
        r->at = next_open(r, r->at);
    if (r->phase == STEPS && r->at == PROBE_STEPS) {
        r->phase = STEPS_WAIT;
        r->due = now;
    }
    go_on(r, now);
}

void probe_run_findings(const struct probe_run *r, struct probe_findings *ret)
{
    probe_classify(r->answers, r->rates, r->n_rates, ret);
}

void probe_run_extra(const struct probe_run *r, struct probe_run_extra *ret)
{
    *ret = r->extra;
}
