/* agent/io/worker_reflect.c - the reflector sockets: a batch of probes in, their answers out. Those of agreed
 * sessions (worker_agreed.c) answer here as well. */
#include <stdlib.h>
#include <sys/random.h>
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

enum { MIRROR_RCVBUF = 4 << 20, STAMPS_AT_A_TIME = 64, PILED_UP = RX_BATCH / 4, BATCHES_MAX = 8 };
#define ANSWER_NS_MAX (5 * TW_NS_PER_US) /* more is a thread that had to wait */
#define ANSWER_NS_WEIGHT 256

static enum tw_rc open_socket(struct worker *w, const struct tw_addr *local, struct mirror *m,
                              struct tw_err *err)
{
    struct udp_conf conf = { .local = *local,
                             .reuse_port = true,
                             .want_to = true,
                             .rcvbuf_bytes = MIRROR_RCVBUF,
                             .hw_times = w->cfg.hw_times };
    /* Sharing the port is for the workers of this process. The kernel would also let in another process of
     * this user and split the senders between the two, so the first worker makes sure that there is none. */
    enum tw_rc rc = w->cfg.index == 0 && local->port ? udp_check_free(local, err) : TW_OK;

    if (rc)
        return rc;
    m->port.kind = PORT_REFLECTOR;
    return udp_open(&conf, &m->port.sock, err);
}

void mirror_free(struct mirror *m)
{
    reflector_free(m->state);
    free(m->awaited);
    udp_close(&m->port.sock);
    *m = (struct mirror){ .port.sock.fd = -1 };
}

static struct reflect_cfg reflect_cfg_of(const struct worker_cfg *c, uint16_t port)
{
    struct reflect_cfg rc = { .max_sessions =
                                  c->reflect_max_sessions ? c->reflect_max_sessions : REFLECT_SENDERS,
                              .refwait_ns = c->refwait_ns ? c->refwait_ns : REFLECT_REFWAIT_NS,
                              .restart_gap_ns = REFLECT_RESTART_GAP_NS,
                              .acl = c->acl,
                              .limit = c->limit,
                              .port = port,
                              .stateless = c->stateless,
                              .demand_auth = c->demand_auth,
                              .refuse_dscp = c->refuse_dscp,
                              .refuse_short = c->refuse_short };

    if (getrandom(&rc.hash_seed, sizeof rc.hash_seed, 0) != (ssize_t)sizeof rc.hash_seed)
        rc.hash_seed = (uint64_t)tw_wall_now().ns; /* better than none */
    return rc;
}

enum tw_rc mirror_open(struct worker *w, const struct tw_addr *local, struct tw_err *err)
{
    struct mirror *m = &w->mirrors[w->n_mirrors];
    struct reflect_cfg rc;
    enum tw_rc ret = open_socket(w, local, m, err);

    if (ret)
        return ret;
    rc = reflect_cfg_of(&w->cfg, m->port.sock.local.port);
    m->awaited = calloc(STAMPS_AWAITED, sizeof *m->awaited);
    ret = m->awaited ? reflector_new(&rc, &m->state) : TW_ENOMEM;
    if (!ret)
        ret = worker_watch(w, &m->port, 0);
    if (ret) {
        mirror_free(m);
        return tw_err_set(err, ret, "cannot set up a reflector for %u senders: %s", rc.max_sessions,
                          tw_rc_name(ret));
    }
    w->n_mirrors++;
    return TW_OK;
}

/* ---- Answers: the two kinds of reflectors ---- */

static enum tw_rc build(struct mirror *m, const struct reflect_rx *rx, const struct udp_in *in, uint8_t *ret,
                        struct reflect_tx *ret_tx)
{
    return m->session ? reflect_session_answer(m->session, rx, in->data, in->len, ret, DATAGRAM_CAP, ret_tx)
                      : reflect_answer(m->state, rx, in->data, in->len, ret, DATAGRAM_CAP, ret_tx);
}

/* The same while somebody looks for what is wrong: what a reflector did with a datagram, its counters tell. */
static enum tw_rc build_and_tally(struct worker *w, struct mirror *m, const struct reflect_rx *rx,
                                  const struct udp_in *in, uint8_t *ret, struct reflect_tx *ret_tx)
{
    struct reflect_counters before, after;
    enum tw_rc rc;

    reflector_counters(m->state, &before);
    rc = build(m, rx, in, ret, ret_tx);
    reflector_counters(m->state, &after);
    tally_datagram(w, in, rc, &before, &after);
    return rc;
}

static void stamp(struct mirror *m, const struct reflect_tx *tx, uint8_t *answer, struct tw_wall t3)
{
    if (m->session)
        reflect_session_stamp(m->session, tx, answer, t3);
    else
        reflect_stamp(m->state, tx, answer, t3);
}

static void unsent(struct mirror *m, const struct reflect_tx *tx)
{
    if (m->session)
        reflect_session_unsent(m->session, tx);
    else
        reflect_unsent(m->state, tx);
}

/* ---- When an answer left ---- */

static void await_stamps(struct worker *w, struct mirror *m, unsigned n)
{
    uint32_t id;

    for (unsigned i = 0; i < n; i++) {
        if (!udp_tx_stamp_id(w->tx_answers, i, &id))
            continue;
        m->awaited[id % STAMPS_AWAITED] =
            (struct awaited){ .used = true, .id = id, .began = w->answers_began, .tx = w->answers[i] };
    }
    w->answers_awaited = false;
    m->asked = true;
}

static void take_stamp(const struct worker *w, struct mirror *m, const struct udp_txstamp *t)
{
    struct tw_wall left = t->time;
    struct awaited *a = &m->awaited[t->id % STAMPS_AWAITED];

    if (!a->used || a->id != t->id)
        return;
    a->used = m->port.sock.hw_times && !t->hardware; /* the card's may come, too */
    if (t->hardware &&
        !worker_hw_time(w, t->time.ns, 0, a->began.ns, a->began.ns + SESSION_LEFT_MAX_NS, &left))
        return;
    if (left.ns >= a->began.ns) /* else the clock was set back in between */
        reflect_on_txstamp(m->state, &a->tx, left, t->hardware ? TW_TS_HARDWARE : TW_TS_KERNEL);
}

void mirror_take_errors(struct worker *w, struct mirror *m)
{
    struct udp_txstamp t[STAMPS_AT_A_TIME];
    unsigned n = udp_take_errors(&m->port.sock, t, STAMPS_AT_A_TIME);

    for (unsigned i = 0; m->awaited && i < n; i++)
        take_stamp(w, m, &t[i]);
}

/* ---- Receiving and sending ---- */

/* T3 of each. Plain answers cost next to nothing to stamp: those behind the first are told when their turn in
 * the system call will come. The others are few (see is_full()), and each one's time is read when it is
 * signed. */
static void stamp_answers(struct worker *w, struct mirror *m, unsigned n)
{
    w->answers_began = tw_wall_now();
    for (unsigned i = 0; i < n; i++) {
        struct tw_wall t3 = { w->answers_began.ns + i * w->answer_ns };
        if (w->answers_signed)
            t3 = tw_wall_now();
        stamp(m, &w->answers[i], udp_tx_buf(w->tx_answers, i), t3);
    }
}

/* What the kernel takes for one answer of many: near the least lately seen, so that T3 is not after the fact.
 */
static void learn_cost(struct worker *w, unsigned n)
{
    int64_t ns = (tw_wall_now().ns - w->answers_began.ns) / n;

    if (ns < 0 || ns > ANSWER_NS_MAX)
        return;
    w->answer_ns = ns < w->answer_ns ? ns : w->answer_ns + (ns - w->answer_ns) / ANSWER_NS_WEIGHT;
}

static void send_answers(struct worker *w, struct mirror *m)
{
    struct udp_tx *tx = w->tx_answers;
    unsigned n = udp_tx_len(tx);

    if (!n)
        return;
    stamp_answers(w, m, n);
    if (udp_tx_send(tx, &m->port.sock)) {
        for (unsigned i = 0; i < n; i++) {
            if (!udp_tx_error(tx, i))
                continue;
            unsent(m, &w->answers[i]);
            tally_unsent(w, udp_tx_buf(tx, i), w->answers[i].len);
        }
    }
    if (n >= ANSWERS_SIGNED && !w->answers_signed)
        learn_cost(w, n);
    w->answers_signed = false;
    if (w->answers_awaited)
        await_stamps(w, m, n);
    udp_tx_clear(tx);
}

/* Signing is slow, and the earlier ones of a batch wait for the later ones with their time already in them.
 */
static bool is_full(const struct worker *w)
{
    return udp_tx_full(w->tx_answers) || (w->answers_signed && udp_tx_len(w->tx_answers) >= ANSWERS_SIGNED);
}

static void answer(struct worker *w, struct mirror *m, const struct udp_in *in)
{
    struct udp_tx *tx = w->tx_answers;
    unsigned i = udp_tx_len(tx);
    struct reflect_tx *a = &w->answers[i];
    struct udp_dest d = { .to = in->from };
    struct reflect_rx rx = {
        .from = in->from, .to = in->to, .mono = w->now.mono, .ttl = in->ttl, .tos = in->tos
    };
    enum tw_rc rc;

    worker_rx_time(w, in, &rx.t2, &rx.source);
    rx.to.port = m->port.sock.local.port;
    if (tally_wanted(w) && m->state)
        rc = build_and_tally(w, m, &rx, in, udp_tx_buf(tx, i), a);
    else
        rc = build(m, &rx, in, udp_tx_buf(tx, i), a);
    if (rc != TW_OK)
        return;
    d.tos = a->tos;
    d.want_txstamp = a->want_txstamp && m->awaited && udp_txstamp_ready(&m->port.sock, w->now.mono);
    d.want_hw_time = m->port.sock.hw_times;
    w->answers_awaited |= d.want_txstamp;
    if (m->port.sock.any) /* else routing alone would choose the source address */
        d.from = in->to;
    w->answers_signed |= m->session || a->is_signed;
    udp_tx_add(tx, a->len, &d);
    if (is_full(w))
        send_answers(w, m);
}

static unsigned receive_batch(struct worker *w, struct mirror *m)
{
    unsigned n = udp_rx_recv(w->rx, &m->port.sock);
    struct udp_in in;

    for (unsigned i = 0; i < n; i++) {
        udp_rx_get(w->rx, i, &in);
        if (i == 0)
            host_on_datagram(w, &in);
        if (in.source != TW_TS_KERNEL)
            w->count.rx_user_time++;
        if (in.truncated)
            in.len = DATAGRAM_CAP + 1; /* at least: it is refused for its length before it is read */
        answer(w, m, &in);
    }
    send_answers(w, m);
    return n;
}

/* Where many have piled up it is not worth asking epoll whether there are more, as long as no timer is kept
 * waiting, and nobody else for long. */
void mirror_receive(struct worker *w, struct mirror *m)
{
    if (m->session)
        agreed_catch_up(w, (struct agreed *)m); /* its first member */
    m->asked = false;
    for (int i = 0; i < BATCHES_MAX && receive_batch(w, m) >= PILED_UP && !m->asked; i++) {
        w->now = tw_now();
        if (timerq_next_due(&w->timers).ns <= w->now.mono.ns)
            break;
    }
    w->reflecting = true;
    w->count.rxq_drops += udp_take_drops(&m->port.sock);
    if (m->session)
        agreed_count(w, (struct agreed *)m);
}

/* ---- All of them ---- */

void mirrors_free(struct worker *w)
{
    for (size_t i = 0; i < w->n_mirrors; i++)
        mirror_free(&w->mirrors[i]);
}

void mirrors_set_keys(struct worker *w, struct stamp_keys *keys)
{
    for (size_t i = 0; i < w->n_mirrors; i++)
        reflector_set_keys(w->mirrors[i].state, &keys[i]);
}

void mirrors_set_acl(struct worker *w, struct acl *acl)
{
    for (size_t i = 0; i < w->n_mirrors; i++)
        reflector_set_acl(w->mirrors[i].state, acl);
}

void mirrors_set_clock(struct worker *w)
{
    for (size_t i = 0; i < w->n_mirrors; i++)
        reflector_set_clock(w->mirrors[i].state, &w->clock);
}

static uint64_t rejected(const struct reflect_counters *c)
{
    return c->too_short + c->too_long + c->bad_error_estimate + c->loops_refused + c->foreign +
           c->not_started + c->not_allowed + c->rate_limited + c->longer + c->auth_demanded + c->auth_failed;
}

void mirror_add_counters(struct worker_counters *to, const struct reflect_counters *c,
                         const struct reflect_counters *before)
{
    to->reflected += c->answered - before->answered;
    to->reflector_rejected += rejected(c) - rejected(before);
    to->reflector_send_errors += c->send_errors - before->send_errors;
    to->reflector_stateless += c->stateless - before->stateless;
    to->reflector_sessions += c->sessions - before->sessions;
    to->reflector_auth_failed += c->auth_failed - before->auth_failed;
    to->reflector_tlv_auth_failed += c->tlv_auth_failed - before->tlv_auth_failed;
    to->reflector_not_allowed += c->not_allowed - before->not_allowed;
    to->reflector_rate_limited += c->rate_limited - before->rate_limited;
    to->reflector_loops += c->loops_refused - before->loops_refused;
    to->reflector_longer += c->longer - before->longer;
    to->reflector_evicted += c->evicted - before->evicted;
    to->reflector_auth_demanded += c->auth_demanded - before->auth_demanded;
    to->reflected_stamp += c->answered_stamp - before->answered_stamp;
    to->reflected_auth += c->answered_auth - before->answered_auth;
}

void mirrors_count(struct worker *w, struct worker_counters *ret)
{
    static const struct reflect_counters zero;
    struct reflect_counters c;

    for (size_t i = 0; i < w->n_mirrors; i++) {
        reflector_counters(w->mirrors[i].state, &c);
        mirror_add_counters(ret, &c, &zero);
    }
}
