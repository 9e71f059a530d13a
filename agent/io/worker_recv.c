/* agent/io/worker_recv.c - answers coming in on the lanes. */
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

/* More than a socket buffer holds. */
enum { BATCHES_MAX = 64 };

static void count_drops(struct worker *w, struct lane *l)
{
    uint64_t n = udp_take_drops(&l->port.sock);

    if (!n)
        return;
    w->count.sender_rxq_drops += n;
    for (struct peer *p = l->peers; p; p = p->lane_next) {
        if (p->flow)
            session_on_host_drops(p->flow->session, n);
    }
}

static void take_answer(struct worker *w, struct lane *l, const struct udp_in *in)
{
    struct session_rx rx = { .ttl = in->ttl, .tos = in->tos };
    struct peer *p = peer_find(w, l, &in->from);

    worker_rx_time(w, in, &rx.time, &rx.source);
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

/* Everything that had arrived when this began: the timers that run afterwards declare probes lost, and an
 * answer that is in the socket buffer must have been seen by then, however long the host was held up. What
 * keeps coming waits for the next round. */
void lane_receive(struct worker *w, struct lane *l)
{
    struct tw_wall began = tw_wall_now();
    struct udp_in in;

    for (int i = 0; i < BATCHES_MAX; i++) {
        unsigned n = udp_rx_recv(w->rx, &l->port.sock);

        w->now = tw_now(); /* not before what has just been received */
        for (unsigned k = 0; k < n; k++) {
            udp_rx_get(w->rx, k, &in);
            if (k == 0)
                host_on_datagram(w, &in);
            take_answer(w, l, &in);
        }
        if (n < RX_BATCH || in.time.ns > began.ns)
            break;
    }
    count_drops(w, l);
}
