/* agent/io/worker_reflect.c - the reflector sockets: a batch of probes in, their answers out. */
#include <stdlib.h>
#include <sys/random.h>
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

enum { MIRROR_RCVBUF = 4 << 20, DEFAULT_SENDERS = 65536 };
#define DEFAULT_REFWAIT_NS (900 * TW_NS_PER_S) /* RFC 5357 section 3.6 */
#define RESTART_GAP_NS (3 * TW_NS_PER_S)

static enum tw_rc open_socket(struct worker *w, const struct tw_addr *local, struct mirror *m,
                              struct tw_err *err)
{
    struct udp_conf conf = {
        .local = *local, .reuse_port = true, .want_to = true, .rcvbuf_bytes = MIRROR_RCVBUF
    };
    /* Sharing the port is for the workers of this process. The kernel would also let in another process of
     * this user and split the senders between the two, so the first worker makes sure that there is none. */
    enum tw_rc rc = w->cfg.index == 0 && local->port ? udp_check_free(local, err) : TW_OK;

    if (rc)
        return rc;
    m->port.kind = PORT_REFLECTOR;
    return udp_open(&conf, &m->port.sock, err);
}

enum tw_rc mirror_open(struct worker *w, const struct tw_addr *local, struct tw_err *err)
{
    struct mirror *m = &w->mirrors[w->n_mirrors];
    struct reflect_cfg rc = { .max_sessions =
                                  w->cfg.reflect_max_sessions ? w->cfg.reflect_max_sessions : DEFAULT_SENDERS,
                              .refwait_ns = w->cfg.refwait_ns ? w->cfg.refwait_ns : DEFAULT_REFWAIT_NS,
                              .restart_gap_ns = RESTART_GAP_NS };
    enum tw_rc ret = open_socket(w, local, m, err);

    if (ret)
        return ret;
    rc.port = m->port.sock.local.port;
    if (getrandom(&rc.hash_seed, sizeof rc.hash_seed, 0) != (ssize_t)sizeof rc.hash_seed)
        rc.hash_seed = (uint64_t)tw_wall_now().ns; /* better than none */
    ret = reflector_new(&rc, &m->state);
    if (!ret)
        ret = worker_watch(w, &m->port, 0);
    if (ret) {
        reflector_free(m->state);
        m->state = NULL;
        udp_close(&m->port.sock);
        return tw_err_set(err, ret, "cannot set up a reflector for %u senders: %s", rc.max_sessions,
                          tw_rc_name(ret));
    }
    w->n_mirrors++;
    return TW_OK;
}

static void send_answers(struct worker *w, struct mirror *m)
{
    struct udp_tx *tx = w->tx_answers;
    unsigned n = udp_tx_len(tx);

    if (!n)
        return;
    for (unsigned i = 0; i < n; i++)
        reflect_stamp(m->state, &w->answers[i], udp_tx_buf(tx, i), tw_wall_now());
    if (udp_tx_send(tx, &m->port.sock)) {
        for (unsigned i = 0; i < n; i++) {
            if (udp_tx_error(tx, i))
                reflect_unsent(m->state, &w->answers[i]);
        }
    }
    udp_tx_clear(tx);
}

static void answer(struct worker *w, struct mirror *m, const struct udp_in *in)
{
    struct udp_tx *tx = w->tx_answers;
    unsigned i = udp_tx_len(tx);
    struct reflect_tx *a = &w->answers[i];
    struct udp_dest d = { .to = in->from };
    struct reflect_rx rx = { .from = in->from,
                             .to = in->to,
                             .t2 = in->time,
                             .source = in->source,
                             .mono = w->now.mono,
                             .ttl = in->ttl,
                             .tos = in->tos };

    rx.to.port = m->port.sock.local.port;
    if (reflect_answer(m->state, &rx, in->data, in->len, udp_tx_buf(tx, i), DATAGRAM_CAP, a) != TW_OK)
        return;
    d.tos = a->tos;
    if (m->port.sock.any) /* else routing alone would choose the source address */
        d.from = in->to;
    udp_tx_add(tx, a->len, &d);
    if (udp_tx_full(tx))
        send_answers(w, m);
}

void mirror_receive(struct worker *w, struct mirror *m)
{
    unsigned n = udp_rx_recv(w->rx, &m->port.sock);
    struct udp_in in;

    for (unsigned i = 0; i < n; i++) {
        udp_rx_get(w->rx, i, &in);
        if (in.source != TW_TS_KERNEL)
            w->count.rx_user_time++;
        if (in.truncated)
            w->count.reflector_rejected++;
        else
            answer(w, m, &in);
    }
    send_answers(w, m);
    w->count.rxq_drops += udp_take_drops(&m->port.sock);
}

void mirrors_set_clock(struct worker *w)
{
    for (size_t i = 0; i < w->n_mirrors; i++)
        reflector_set_clock(w->mirrors[i].state, &w->clock);
}

void mirrors_count(struct worker *w, struct worker_counters *ret)
{
    struct reflect_counters c;

    for (size_t i = 0; i < w->n_mirrors; i++) {
        reflector_counters(w->mirrors[i].state, &c);
        ret->reflected += c.answered;
        ret->reflector_rejected += c.too_short + c.too_long + c.bad_error_estimate + c.loops_refused;
        ret->reflector_send_errors += c.send_errors;
        ret->reflector_stateless += c.stateless;
        ret->reflector_sessions += c.sessions;
    }
}
