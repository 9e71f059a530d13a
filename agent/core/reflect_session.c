/* agent/core/reflect_session.c - one controlled session: who may ask, when, and the answers' numbers. */
#include "agent/core/reflect_session.h"

#include <stdlib.h>
#include <string.h>

struct reflect_session {
    struct reflect_session_cfg cfg; /* without the keys: the form has them */
    struct twamp_form *form;
    struct reflect_counters n;
    uint16_t err_est;
    bool ptp; /* RFC 8186: the sender reads PTP timestamps, so it gets them */
    bool started, stopped;
    struct tw_mono last;    /* probe, or the start */
    struct tw_mono stop_at; /* with its timeout */
    uint32_t next_seq;
};

enum tw_rc reflect_session_new(const struct reflect_session_cfg *cfg, struct tw_mono now,
                               struct reflect_session **ret)
{
    struct reflect_session *s;
    enum tw_rc rc;

    if (cfg->refwait_ns <= 0 || cfg->timeout_ns < 0 || cfg->dscp > 63 ||
        (cfg->sender.family != 4 && cfg->sender.family != 6))
        return TW_EINVAL;
    s = calloc(1, sizeof *s);
    if (!s)
        return TW_ENOMEM;
    rc = twamp_form_new(&cfg->form, &s->form);
    if (rc) {
        free(s);
        return rc;
    }
    s->cfg = *cfg;
    crypto_wipe(&s->cfg.form.keys, sizeof s->cfg.form.keys);
    s->last = now;
    s->ptp = cfg->form.mode & TWAMP_PTP;
    s->err_est = tw_errest_encode(0, false, s->ptp);
    *ret = s;
    return TW_OK;
}

void reflect_session_free(struct reflect_session *s)
{
    if (!s)
        return;
    twamp_form_free(s->form);
    free(s);
}

void reflect_session_set_clock(struct reflect_session *s, const struct tw_clock_state *c)
{
    s->err_est = tw_errest_encode(c->max_error_ns, c->synced, s->ptp);
}

void reflect_session_counters(const struct reflect_session *s, struct reflect_counters *ret)
{
    *ret = s->n;
}

/* ---- Time ---- */

static struct tw_mono after(struct tw_mono t, int64_t ns)
{
    struct tw_mono sum;

    return __builtin_add_overflow(t.ns, ns, &sum.ns) ? TW_MONO_NEVER : sum;
}

void reflect_session_start(struct reflect_session *s, struct tw_mono now)
{
    if (s->started)
        return;
    s->started = true;
    s->last = now;
}

void reflect_session_stop(struct reflect_session *s, struct tw_mono now)
{
    if (s->stopped)
        return;
    s->stopped = true;
    s->stop_at = after(now, s->cfg.timeout_ns);
}

/* A session that waits for its start is in the care of the control connection, whose SERVWAIT runs. */
struct tw_mono reflect_session_ends(const struct reflect_session *s)
{
    struct tw_mono silent = s->started ? after(s->last, s->cfg.refwait_ns) : TW_MONO_NEVER;

    return s->stopped && s->stop_at.ns < silent.ns ? s->stop_at : silent;
}

/* ---- Answers ---- */

static enum tw_rc refuse(uint64_t *counter, enum tw_rc rc)
{
    ++*counter;
    return rc;
}

/* RFC 5357 section 4.2: from elsewhere it is not this session's. */
static bool is_sender(const struct reflect_session *s, const struct tw_addr *from)
{
    return !memcmp(from->ip, s->cfg.sender.ip, sizeof from->ip) && from->port == s->cfg.sender.port &&
           from->family == s->cfg.sender.family;
}

static enum tw_rc read_probe(struct reflect_session *s, const uint8_t *data, size_t len,
                             struct test_probe *ret)
{
    switch (twamp_form_read_probe(s->form, data, len, ret)) {
    case TW_OK:
        break;
    case TW_ETRUNC:
        return refuse(&s->n.too_short, TW_ETRUNC);
    default: /* a fault of libcrypto, too: what it has not found good is not answered */
        return refuse(&s->n.auth_failed, TW_EPERM);
    }
    if (!(ret->err_est & 0xff)) /* RFC 4656 section 4.1.2: corrupt */
        return refuse(&s->n.bad_error_estimate, TW_EINVAL);
    return TW_OK;
}

static uint64_t to_wire(const struct reflect_session *s, struct tw_wall t)
{
    return s->ptp ? tw_wall_to_ptp(t) : tw_wall_to_ntp(t);
}

enum tw_rc reflect_session_answer(struct reflect_session *s, const struct reflect_rx *rx, const uint8_t *data,
                                  size_t len, uint8_t *ret, size_t cap, struct reflect_tx *ret_tx)
{
    size_t need = twamp_form_reply_len(s->form, len);
    struct test_reply a;
    struct test_probe p;
    enum tw_rc rc;

    if (!is_sender(s, &rx->from))
        return refuse(&s->n.foreign, TW_EPERM);
    if (!source_limit_take(s->cfg.limit, &rx->from, rx->mono))
        return refuse(&s->n.rate_limited, TW_EPERM);
    if (!s->started || rx->mono.ns >= reflect_session_ends(s).ns)
        return refuse(&s->n.not_started, TW_EPERM);
    if (len > TEST_DATAGRAM_MAX || need > cap)
        return refuse(&s->n.too_long, TW_EINVAL);
    rc = read_probe(s, data, len, &p);
    if (rc)
        return rc;
    s->last = rx->mono;
    a = (struct test_reply){
        .seq = s->next_seq++,
        .t2 = to_wire(s, rx->t2),
        .sender_seq = p.seq,
        .sender_t1 = p.t1,
        .sender_err_est = p.err_est,
        .ttl_known = rx->ttl >= 0,
        .sender_ttl = (uint8_t)rx->ttl,
        .tos_known = rx->tos >= 0,
        .sender_tos = (uint8_t)rx->tos,
    };
    twamp_form_write_reply(s->form, &a, data, len, ret);
    *ret_tx = (struct reflect_tx){ .len = need, .tos = (uint8_t)(s->cfg.dscp << 2), .seq = a.seq };
    s->n.answered++;
    return TW_OK;
}

void reflect_session_stamp(struct reflect_session *s, const struct reflect_tx *tx, uint8_t *answer,
                           struct tw_wall t3)
{
    (void)tx;
    twamp_form_seal_reply(s->form, answer, to_wire(s, t3), s->err_est);
}

void reflect_session_unsent(struct reflect_session *s, const struct reflect_tx *tx)
{
    s->n.send_errors++;
    if (s->next_seq == tx->seq + 1)
        s->next_seq--;
}
