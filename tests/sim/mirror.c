#include "tests/sim/mirror.h"

#include <stdlib.h>
#include <string.h>
#include "agent/core/reflect_session.h"

#define REFWAIT_NS (900 * TW_NS_PER_S)

struct mirror {
    enum mirror_kind kind;
    struct reflector *port;
    struct reflect_session *session;
    uint32_t next_seq; /* MIRROR_STAMP */
};

static void open_session(struct mirror *m, uint32_t mode, const struct form_spec *spec, unsigned key,
                         const struct tw_addr *sender, struct tw_mono now)
{
    struct reflect_session_cfg cfg = {
        .form = { .mode = mode, .keys = sim_twamp_keys(key), .server_octets = spec->server_octets },
        .sender = *sender,
        .dscp = 46,
        .refwait_ns = REFWAIT_NS
    };

    if (reflect_session_new(&cfg, now, &m->session))
        abort();
    reflect_session_start(m->session, now);
}

struct mirror *mirror_new(enum mirror_kind kind, const struct form_spec *spec, unsigned key,
                          uint32_t max_sessions, const struct tw_addr *sender, struct tw_mono now)
{
    struct reflect_cfg cfg = { .max_sessions = max_sessions,
                               .refwait_ns = REFWAIT_NS,
                               .restart_gap_ns = 3 * TW_NS_PER_S,
                               .port = 862,
                               .demand_auth = spec->authenticated };
    struct mirror *m = calloc(1, sizeof *m);

    if (!m)
        abort();
    m->kind = kind;
    if (kind == MIRROR_CONTROLLED)
        open_session(m, spec->mode, spec, key, sender, now);
    else if (kind == MIRROR_LIGHT)
        open_session(m, TWAMP_OPEN, spec, key, sender, now);
    else if (kind == MIRROR_PORT && reflector_new(&cfg, &m->port))
        abort();
    if (spec->kind == FORM_STAMP)
        mirror_set_keys(m, key, 1);
    return m;
}

void mirror_free(struct mirror *m)
{
    if (!m)
        return;
    reflector_free(m->port);
    reflect_session_free(m->session);
    free(m);
}

void mirror_set_keys(struct mirror *m, unsigned first, unsigned n)
{
    struct stamp_keys keys = { 0 };

    if (!m->port)
        return;
    for (unsigned i = 0; i < n; i++) {
        uint8_t key[32];
        sim_key(first + i, key);
        if (stamp_keys_add(&keys, key, sizeof key))
            abort();
    }
    reflector_set_keys(m->port, &keys);
}

/* A request shorter than the base packet gets a base packet, what is longer comes back. */
static enum tw_rc answer_as_stamp(struct mirror *m, const struct reflect_rx *rx, const uint8_t *data,
                                  size_t len, struct tw_wall t3, uint8_t *ret, size_t *ret_len)
{
    uint8_t base[STAMP_BASE] = { 0 };
    struct test_reply r = { .seq = m->next_seq++, .t2 = tw_wall_to_ntp(rx->t2), .ttl_known = true };
    struct test_probe p;

    memcpy(base, data, len < sizeof base ? len : sizeof base);
    stamp_read_probe(NULL, base, sizeof base, &p, NULL);
    r.sender_seq = p.seq;
    r.sender_t1 = p.t1;
    r.sender_err_est = p.err_est;
    r.ssid = p.ssid; /* a Light sender's padding */
    r.sender_ttl = (uint8_t)rx->ttl;
    stamp_write_reply(false, &r, ret, STAMP_BASE);
    stamp_seal_reply(NULL, 0, ret, tw_wall_to_ntp(t3), 1);
    *ret_len = len < STAMP_BASE ? STAMP_BASE : len;
    memcpy(ret + STAMP_BASE, data + STAMP_BASE, *ret_len - STAMP_BASE);
    return TW_OK;
}

static enum tw_rc answer_at_port(struct mirror *m, const struct reflect_rx *rx, const uint8_t *data,
                                 size_t len, struct tw_wall t3, struct tw_wall left, uint8_t *ret, size_t cap,
                                 struct reflect_tx *tx)
{
    enum tw_rc rc = reflect_answer(m->port, rx, data, len, ret, cap, tx);

    if (rc)
        return rc;
    reflect_stamp(m->port, tx, ret, t3);
    if (tx->want_txstamp && left.ns)
        reflect_on_txstamp(m->port, tx, left, TW_TS_KERNEL);
    return TW_OK;
}

enum tw_rc mirror_answer(struct mirror *m, const struct reflect_rx *rx, const uint8_t *data, size_t len,
                         struct tw_wall t3, struct tw_wall left, uint8_t *ret, size_t cap, size_t *ret_len,
                         uint32_t *ret_number)
{
    struct reflect_tx tx;
    enum tw_rc rc;

    *ret_number = m->next_seq;
    if (m->kind == MIRROR_STAMP)
        return answer_as_stamp(m, rx, data, len, t3, ret, ret_len);
    if (m->port)
        rc = answer_at_port(m, rx, data, len, t3, left, ret, cap, &tx);
    else
        rc = reflect_session_answer(m->session, rx, data, len, ret, cap, &tx);
    if (rc)
        return rc;
    if (m->session)
        reflect_session_stamp(m->session, &tx, ret, t3);
    *ret_len = tx.len;
    *ret_number = tx.seq;
    return TW_OK;
}

void mirror_counters(const struct mirror *m, struct reflect_counters *ret)
{
    if (m->port)
        reflector_counters(m->port, ret);
    else if (m->session)
        reflect_session_counters(m->session, ret);
    else
        *ret = (struct reflect_counters){ 0 };
}
