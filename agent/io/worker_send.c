/* agent/io/worker_send.c - the timer queue, and probes on their way out. */
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

/* Then sockets get their turn: what comes in meanwhile fits any buffer. */
#define ROUND_NS (200 * TW_NS_PER_US)

static void flush(struct worker *w)
{
    unsigned n = udp_tx_len(w->tx_probes);

    if (!n)
        return;
    udp_tx_send(w->tx_probes, &w->tx_lane->port.sock);
    for (unsigned i = 0; i < n; i++) {
        if (udp_tx_error(w->tx_probes, i))
            session_on_send_error(w->tx_flow[i]->session);
    }
    stamps_await(w, w->tx_lane, n);
    udp_tx_clear(w->tx_probes);
    /* Only now: a flow that is not armed cannot come twice into a batch, and ending one may close the lane.
     */
    for (unsigned i = 0; i < n; i++)
        flow_settle(w, w->tx_flow[i]);
}

void flow_on_due(struct worker *w, struct wtimer *t)
{
    struct flow *f = (struct flow *)t; /* its first member */
    struct udp_dest d = { .to = f->peer->addr, .tos = f->tos, .ttl = f->ttl };
    unsigned i;
    size_t len;

    if (w->tx_lane != f->peer->lane || udp_tx_full(w->tx_probes)) {
        flush(w);
        w->now = tw_now();
    }
    w->tx_lane = f->peer->lane;
    if (f->clock_number != w->clock_number)
        flow_set_clock(w, f);
    i = udp_tx_len(w->tx_probes);
    if (session_next_probe(f->session, w->now, udp_tx_buf(w->tx_probes, i), DATAGRAM_CAP, &len) != TW_OK) {
        flow_settle(w, f);
        return;
    }
    d.want_txstamp = stamps_wanted(w, w->tx_lane);
    d.want_hw_time = w->tx_lane->port.sock.hw_times;
    udp_tx_add(w->tx_probes, len, &d);
    w->tx_flow[i] = f;
}

struct tw_mono worker_next_due(const struct worker *w, bool *ret_probe)
{
    struct tw_mono due = timerq_next_due(&w->timers);
    const struct wtimer *t = w->timers.len ? (struct wtimer *)timerq_first(&w->timers) : NULL;

    *ret_probe =
        t && t->fn == flow_on_due && session_next_probe_due(((const struct flow *)t)->session).ns == due.ns;
    return due;
}

void worker_send_due(struct worker *w)
{
    struct tw_mono end = { w->now.mono.ns + ROUND_NS };

    while (w->now.mono.ns < end.ns) {
        struct wtimer *t = (struct wtimer *)timerq_pop(&w->timers, w->now.mono); /* its first member */

        if (!t)
            break;
        t->fn(w, t);
        w->now = tw_now(); /* becomes T1 of the next probe */
    }
    flush(w);
}
