/* agent/io/worker_recv.c - answers coming in on the lanes. */
#include "agent/io/worker_priv.h"

/* Several batches per round: the timers that run afterwards declare probes lost, and an answer that is
 * already in the socket buffer should have been seen by then. */
enum { BATCHES_PER_ROUND = 4 };

static void count_drops(struct worker *w, struct lane *l)
{
    uint64_t n = udp_take_drops(&l->port.sock);

    if (!n)
        return;
    w->count.rxq_drops += n;
    for (struct peer *p = l->peers; p; p = p->lane_next) {
        if (p->flow)
            session_on_host_drops(p->flow->session, n);
    }
}

static void take_answer(struct worker *w, struct lane *l, const struct udp_in *in)
{
    struct session_rx rx = { .time = in->time, .source = in->source, .ttl = in->ttl, .tos = in->tos };
    struct peer *p = peer_find(w, l, &in->from);

    if (in->source != TW_TS_KERNEL)
        w->count.rx_user_time++;
    if (!p || !p->flow || in->truncated) {
        w->count.unmatched++;
        return;
    }
    session_on_reply(p->flow->session, w->now, &rx, in->data, in->len);
    flow_count(w, p->flow);
    flow_rearm(w, p->flow);
}

void lane_receive(struct worker *w, struct lane *l)
{
    struct udp_in in;

    for (int round = 0; round < BATCHES_PER_ROUND; round++) {
        unsigned n = udp_rx_recv(w->rx, &l->port.sock);

        for (unsigned i = 0; i < n; i++) {
            udp_rx_get(w->rx, i, &in);
            take_answer(w, l, &in);
        }
        if (n < RX_BATCH)
            break;
    }
    count_drops(w, l);
}
