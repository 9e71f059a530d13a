/* agent/core/reflect.c - answers; what is remembered of their senders is in senders.c. */
#include "agent/core/reflect.h"

#include <stdlib.h>
#include <string.h>
#include "agent/core/senders.h"
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"

#define WELL_KNOWN_PORTS 1024 /* RFC 6335 section 6: of services, most of which answer whatever comes */
#define TURNAROUND_MAX (UINT64_C(100) * (1 << 22)) /* 100 ms of an NTP timestamp, nearly: a reflector that had to wait */
#define TOS_DSCP 0xfc /* the other two bits are ECN: what the path did to the probe is not for the answer */
#define TLV_HEAD 4
#define AUTH_SSID_AT 26

enum kind { KIND_LIGHT, KIND_STAMP, KIND_AUTH };

struct reflector {
    struct reflect_cfg cfg;
    struct reflect_counters n;
    struct tw_clock_state clock;
    uint16_t err_est;
    struct stamp_keys keys;
    struct senders *senders;
};

enum tw_rc reflector_new(const struct reflect_cfg *cfg, struct reflector **ret)
{
    const struct senders_cfg senders = { cfg->max_sessions, cfg->refwait_ns, cfg->hash_seed };
    struct reflector *r;
    enum tw_rc rc;

    if (cfg->restart_gap_ns < 0)
        return TW_EINVAL;
    r = calloc(1, sizeof *r);
    if (!r)
        return TW_ENOMEM;
    rc = senders_new(&senders, &r->senders);
    if (rc) {
        free(r);
        return rc;
    }
    r->cfg = *cfg;
    acl_hold(r->cfg.acl);
    r->err_est = tw_errest_encode(0, false, false);
    *ret = r;
    return TW_OK;
}

void reflector_free(struct reflector *r)
{
    if (!r)
        return;
    senders_free(r->senders);
    stamp_keys_clear(&r->keys);
    acl_free(r->cfg.acl);
    free(r);
}

void reflector_set_acl(struct reflector *r, struct acl *acl)
{
    acl_hold(acl);
    acl_free(r->cfg.acl);
    r->cfg.acl = acl;
}

void reflector_set_clock(struct reflector *r, const struct tw_clock_state *c)
{
    r->clock = *c;
    r->err_est = tw_errest_encode(c->max_error_ns, c->synced, false);
}

void reflector_set_keys(struct reflector *r, struct stamp_keys *keys)
{
    stamp_keys_clear(&r->keys);
    r->keys = *keys;
    *keys = (struct stamp_keys){ 0 };
}

void reflector_counters(const struct reflector *r, struct reflect_counters *ret)
{
    *ret = r->n;
    ret->sessions = senders_count(r->senders);
    ret->expired += senders_forgotten(r->senders);
    ret->evicted = senders_evicted(r->senders);
}

/* ---- Requests ---- */

struct request {
    const struct reflect_rx *rx;
    const uint8_t *data;
    size_t len;
    enum kind kind;
    unsigned key; /* KIND_AUTH: the one that verified */
    struct test_probe probe;
    struct sender *sender; /* NULL: not remembered */
};

static enum tw_rc refuse(uint64_t *counter, enum tw_rc rc)
{
    ++*counter;
    return rc;
}

/* RFC 4656 section 4.1.2: a multiplier of 0 marks the packet as corrupt. */
static bool is_error_estimate_ok(uint16_t err_est)
{
    return err_est & 0xff;
}

/* ---- Loops ---- */

static uint64_t ntp_at(const uint8_t *data, size_t at)
{
    struct wire_rd r = { .p = data + at, .end = data + at + 8 };

    return wire_get_u64(&r);
}

/* An answer looks like a TWAMP Light probe, or like one of authenticated STAMP, whose padding happens to be a time just
 * before its own: T2 and T3. A sender's padding is zeros or random. This way no two reflectors answer each other,
 * whatever ports they have. */
static bool is_answer(const struct request *q)
{
    bool auth = q->kind == KIND_AUTH;
    size_t t3 = auth ? 16 : 4, t2 = auth ? 32 : 16;

    if (q->kind == KIND_STAMP || q->len < (auth ? (size_t)STAMP_BASE_AUTH : TWAMP_REPLY_MIN))
        return false;
    if (!auth && (q->data[38] || q->data[39])) /* must be zero */
        return false;
    return ntp_at(q->data, t2) && ntp_at(q->data, t3) - ntp_at(q->data, t2) < TURNAROUND_MAX;
}

/* Is there a host at all? The kernel lets few of them in; forged ones would be sent to many. */
static bool is_of_one_host(const struct tw_addr *a)
{
    static const uint8_t any[16];

    if (a->family == 6)
        return a->ip[0] != 0xff && memcmp(a->ip, any, sizeof any) != 0;
    return a->ip[0] && a->ip[0] < 224; /* 0.0.0.0/8, multicast, reserved, broadcast */
}

/* Port 0 is nobody's: the kernel does not send there. */
static bool may_loop(const struct reflector *r, const struct tw_addr *from)
{
    return from->port == r->cfg.port || (from->port && from->port < WELL_KNOWN_PORTS) || !is_of_one_host(from);
}

static enum kind kind_of(const uint8_t *data, size_t len)
{
    if (stamp_looks_authenticated(data, len))
        return KIND_AUTH;
    return stamp_looks_like_stamp(data, len) ? KIND_STAMP : KIND_LIGHT;
}

/* The sender's last key is tried first: the others are of other senders, or of yesterday. Nothing is
 * remembered of a sender before it has proved itself. */
static enum tw_rc read_authenticated(struct reflector *r, struct request *q)
{
    struct wire_rd ssid = { .p = q->data + AUTH_SSID_AT, .end = q->data + STAMP_BASE_AUTH };
    struct sender_key k = sender_key(&q->rx->from, &q->rx->to, wire_get_u16(&ssid), true);
    const struct sender *s = senders_find(r->senders, &k);

    q->key = s ? s->auth_key : 0;
    return stamp_read_probe(&r->keys, q->data, q->len, &q->probe, &q->key);
}

static enum tw_rc read_request(struct reflector *r, struct request *q)
{
    q->kind = kind_of(q->data, q->len);
    if (r->cfg.demand_auth && q->kind != KIND_AUTH)
        return refuse(&r->n.auth_demanded, TW_EPERM);
    if (q->kind == KIND_AUTH && read_authenticated(r, q))
        return refuse(&r->n.auth_failed, TW_EPERM);
    if (q->kind == KIND_STAMP)
        stamp_read_probe(NULL, q->data, q->len, &q->probe, NULL);
    else if (q->kind == KIND_LIGHT)
        twamp_decode_probe(q->data, q->len, &q->probe);
    if (!is_error_estimate_ok(q->probe.err_est))
        return refuse(&r->n.bad_error_estimate, TW_EINVAL);
    return is_answer(q) ? refuse(&r->n.loops_refused, TW_EPERM) : TW_OK;
}

/* ---- Senders ---- */

/* Looks the sender up, or remembers it, and counts this probe of it. */
static void meet_sender(struct reflector *r, struct request *q)
{
    struct sender_key k = sender_key(&q->rx->from, &q->rx->to, q->probe.ssid, q->kind == KIND_AUTH);
    bool is_new;
    struct sender *s = senders_get(r->senders, &k, q->rx->mono, &is_new);

    q->sender = s;
    if (!s) {
        r->n.stateless++;
        return;
    }
    if (!is_new && senders_is_expired(r->senders, s, q->rx->mono)) {
        senders_restart(r->senders, s);
        r->n.expired++;
    } else if (!q->probe.seq && s->rx && q->rx->mono.ns - s->last.ns >= r->cfg.restart_gap_ns) {
        senders_restart(r->senders, s);
        r->n.restarted++;
    }
    s->last = q->rx->mono;
    s->rx++;
    s->tx++;
    if (q->kind == KIND_AUTH)
        s->auth_key = (uint8_t)q->key;
}

static void number_answer(const struct reflector *r, const struct request *q, struct reflect_tx *tx)
{
    struct sender *s = q->sender;

    tx->seq = q->probe.seq;
    if (!s)
        return;
    tx->session = senders_handle(r->senders, s);
    tx->session_id = s->id;
    if (!r->cfg.stateless)
        tx->seq = s->next_seq++;
}

/* ---- TLVs ---- */

static uint8_t ts_method(enum tw_ts_source source)
{
    return source == TW_TS_HARDWARE ? STAMP_TS_HARDWARE : STAMP_TS_SOFTWARE;
}

static struct stamp_tlv_facts facts_for(const struct reflector *r, const struct request *q,
                                        const struct reflect_tx *tx)
{
    const struct sender *s = q->sender;
    struct stamp_tlv_facts f = {
        .from = q->rx->from,
        .to = q->rx->to,
        .tos = q->rx->tos,
        .sync_source = r->clock.synced ? STAMP_SYNC_NTP : STAMP_SYNC_LOCAL,
        .method_in = ts_method(q->rx->source),
        .method_out = STAMP_TS_SOFTWARE,
        .refuse_dscp = r->cfg.refuse_dscp,
        .seq = q->probe.seq,
        .reply_seq = tx->seq,
        .demand_hmac = q->kind == KIND_AUTH,
    };

    if (!s)
        return f;
    f.rx_count = s->rx;
    f.tx_count = s->tx;
    f.follow_up = s->follow_up && !r->cfg.stateless; /* RFC 8972 section 4.7 */
    f.follow_up_seq = s->follow_up_seq;
    f.follow_up_time = s->follow_up_time;
    f.follow_up_method = s->follow_up_method;
    return f;
}

/* In unauthenticated mode the HMAC TLV alone tells the key: any of them may be it. */
static void answer_by_any_key(struct reflector *r, const struct request *q, struct stamp_tlv_facts *f,
                              const uint8_t *in, size_t len, uint8_t *out, struct stamp_tlv_outcome *ret)
{
    unsigned first = q->sender && q->sender->auth_key < r->keys.n ? q->sender->auth_key : 0;

    f->hmac = r->keys.key[first]; /* NULL: there are none, and nothing is checked */
    stamp_tlv_answer(in, len, f, out, ret);
    for (unsigned i = 0; ret->integrity_failed && i < r->keys.n; i++) {
        if (i == first)
            continue;
        f->hmac = r->keys.key[i];
        stamp_tlv_answer(in, len, f, out, ret);
        if (!ret->integrity_failed && q->sender)
            q->sender->auth_key = (uint8_t)i;
    }
}

static void answer_tlvs(struct reflector *r, const struct request *q, uint8_t *answer, struct reflect_tx *tx)
{
    size_t base = stamp_base(q->kind == KIND_AUTH);
    struct stamp_tlv_facts f = facts_for(r, q, tx);
    struct stamp_tlv_outcome o = { .reply_dscp = -1 };

    if (q->kind == KIND_AUTH) {
        f.hmac = r->keys.key[q->key];
        stamp_tlv_answer(q->data + base, q->len - base, &f, answer + base, &o);
    } else {
        answer_by_any_key(r, q, &f, q->data + base, q->len - base, answer + base, &o);
    }
    if (o.reply_dscp >= 0)
        tx->tos = (uint8_t)(o.reply_dscp << 2);
    tx->want_txstamp = o.want_follow_up && q->sender && !r->cfg.stateless;
    r->n.tlv_auth_failed += o.integrity_failed;
}

/* ---- Answers ---- */

static struct test_reply reply_to(const struct request *q, const struct reflect_tx *tx)
{
    return (struct test_reply){
        .seq = tx->seq,
        .t2 = tw_wall_to_ntp(q->rx->t2),
        .sender_seq = q->probe.seq,
        .sender_t1 = q->probe.t1,
        .sender_err_est = q->probe.err_est,
        .ssid = q->probe.ssid,
        .ttl_known = q->rx->ttl >= 0,
        .sender_ttl = (uint8_t)q->rx->ttl,
    };
}

/* RFC 5357 section 4.2.1: the sender's padding, cut at its end. */
static void write_light(const struct request *q, uint8_t *ret, const struct reflect_tx *tx)
{
    struct test_reply a = reply_to(q, tx);

    twamp_encode_reply(&a, ret, tx->len);
    memcpy(ret + TWAMP_REPLY_MIN, q->data + TWAMP_PROBE_MIN, tx->len - TWAMP_REPLY_MIN);
}

/* A TLV begins with the flags, U set, and its type, of which 0 is reserved: what begins with two zeros is the
 * padding of a sender that knows RFC 8762 alone, or of TWAMP Light. */
static bool has_tlvs(const uint8_t *p, size_t len)
{
    return len >= TLV_HEAD && (p[0] || p[1]);
}

static void write_stamp(struct reflector *r, const struct request *q, uint8_t *ret, struct reflect_tx *tx)
{
    bool auth = q->kind == KIND_AUTH;
    size_t base = stamp_base(auth);
    struct test_reply a = reply_to(q, tx);

    stamp_write_reply(auth, &a, ret, base);
    if (has_tlvs(q->data + base, q->len - base))
        answer_tlvs(r, q, ret, tx);
    else /* RFC 8762 section 4.3: as it came */
        memcpy(ret + base, q->data + base, q->len - base);
    r->n.answered_stamp++;
    r->n.answered_auth += auth;
}

/* Before anything is read: what must not be answered shall cost little. */
static enum tw_rc admit(struct reflector *r, const struct reflect_rx *rx, size_t len, size_t cap)
{
    if (may_loop(r, &rx->from))
        return refuse(&r->n.loops_refused, TW_EPERM);
    if (!acl_allows(r->cfg.acl, &rx->from))
        return refuse(&r->n.not_allowed, TW_EPERM);
    if (!source_limit_take(r->cfg.limit, &rx->from, rx->mono))
        return refuse(&r->n.rate_limited, TW_EPERM);
    if (len < TWAMP_PROBE_MIN)
        return refuse(&r->n.too_short, TW_ETRUNC);
    if (len < TWAMP_REPLY_MIN && r->cfg.refuse_short)
        return refuse(&r->n.longer, TW_EPERM);
    if (len > TEST_DATAGRAM_MAX || (len < TWAMP_REPLY_MIN ? TWAMP_REPLY_MIN : len) > cap)
        return refuse(&r->n.too_long, TW_EINVAL);
    return TW_OK;
}

enum tw_rc reflect_answer(struct reflector *r, const struct reflect_rx *rx, const uint8_t *data, size_t len,
                          uint8_t *ret, size_t cap, struct reflect_tx *ret_tx)
{
    size_t need = len < TWAMP_REPLY_MIN ? TWAMP_REPLY_MIN : len;
    struct request q = { .rx = rx, .data = data, .len = len };
    struct reflect_tx tx = { .len = need, .tos = rx->tos < 0 ? 0 : (uint8_t)(rx->tos & TOS_DSCP) };
    enum tw_rc rc = admit(r, rx, len, cap);

    if (rc)
        return rc;
    rc = read_request(r, &q);
    if (rc)
        return rc;
    senders_sweep(r->senders, rx->mono);
    meet_sender(r, &q);
    number_answer(r, &q, &tx);
    tx.kind = (uint8_t)q.kind;
    tx.key = (uint8_t)q.key;
    tx.is_signed = q.kind == KIND_AUTH;
    if (q.kind == KIND_LIGHT)
        write_light(&q, ret, &tx);
    else
        write_stamp(r, &q, ret, &tx);
    *ret_tx = tx;
    r->n.answered++;
    return TW_OK;
}

void reflect_stamp(struct reflector *r, const struct reflect_tx *tx, uint8_t *answer, struct tw_wall t3)
{
    struct wire_wr w = { .p = answer + 4, .end = answer + TWAMP_PROBE_MIN };

    if (tx->kind == KIND_AUTH) {
        if (tx->key < r->keys.n) /* else it was taken away meanwhile, and the answer stays unsigned */
            stamp_seal_reply(&r->keys, tx->key, answer, tw_wall_to_ntp(t3), r->err_est);
        return;
    }
    wire_put_u64(&w, tw_wall_to_ntp(t3)); /* the same place in the other two */
    wire_put_u16(&w, r->err_est);
}

void reflect_unsent(struct reflector *r, const struct reflect_tx *tx)
{
    struct sender *s = senders_by_handle(r->senders, tx->session, tx->session_id);

    r->n.send_errors++;
    if (!s)
        return;
    s->tx--;
    if (!r->cfg.stateless && s->next_seq == tx->seq + 1)
        s->next_seq--;
}

void reflect_on_txstamp(struct reflector *r, const struct reflect_tx *tx, struct tw_wall t,
                        enum tw_ts_source source)
{
    struct sender *s = senders_by_handle(r->senders, tx->session, tx->session_id);

    if (!s || (s->follow_up && (int32_t)(tx->seq - s->follow_up_seq) < 0)) /* the older one came later */
        return;
    s->follow_up = true;
    s->follow_up_seq = tx->seq;
    s->follow_up_time = tw_wall_to_ntp(t);
    s->follow_up_method = ts_method(source);
}
