/* agent/io/worker_stamp.c - when probes left: asking the kernel, and handing what it tells to the sessions.
 *
 * The kernel puts a time into the socket's error queue as soon as the device has the datagram, mostly before
 * sendmmsg() returns. So the queue is read once after each batch; else epoll would wake the thread for it. */
#include "agent/io/worker_priv.h"

enum { TABLE_BITS = 12, AT_A_TIME = 16, HW_MISSED_MAX = 32 };

enum tw_rc stamps_init(struct worker *w)
{
    return stamp_wait_new(TABLE_BITS, &w->stamps);
}

static struct flow *flow_of(struct stamp_waiter *s)
{
    return (struct flow *)(void *)((char *)s - offsetof(struct flow, stamps));
}

bool stamps_wanted(struct worker *w, struct lane *l)
{
    return !w->cfg.user_tx_times && udp_txstamp_ready(&l->port.sock, w->now.mono);
}

static void count(struct worker *w, enum tw_rc rc)
{
    if (rc == TW_OK)
        w->count.tx_stamps++;
    else if (rc == TW_ENOENT)
        w->count.tx_stamps_late++;
    else
        w->count.tx_stamps_refused++;
}

/* The cards of some interfaces tell, others do not, and routing decides which is used: where none has told
 * lately no answer waits for it, until one tells again. */
static bool awaits_card(const struct lane *l)
{
    return l->port.sock.hw_times && l->hw_missed < HW_MISSED_MAX;
}

static void take(struct worker *w, struct lane *l, const struct udp_txstamp *t)
{
    struct tw_wall left = t->time;
    struct stamp_waiter *s;
    struct flow *f;
    uint32_t seq;
    enum tw_rc rc;

    s = awaits_card(l) && !t->hardware ? stamp_wait_look(w->stamps, l->serial, t->id, &seq)
                                       : stamp_wait_take(w->stamps, l->serial, t->id, &seq);
    if (t->hardware)
        l->hw_missed = 0;
    if (!s)
        return;
    f = flow_of(s);
    if (t->hardware && !worker_hw_time(w, t->time.ns, 0, w->now.wall.ns - SESSION_LEFT_MAX_NS,
                                       w->now.wall.ns + SESSION_LEFT_MAX_NS, &left))
        left.ns = INT64_MIN; /* told, and not credible */
    rc = session_on_txstamp(f->session, seq, left, t->hardware ? TW_TS_HARDWARE : TW_TS_KERNEL);
    if (!f->self)
        count(w, rc);
    if (session_next_due(f->session).ns <= w->now.mono.ns) /* an answer had waited for it */
        flow_rearm(w, f);
}

void lane_take_stamps(struct worker *w, struct lane *l)
{
    struct udp_txstamp t[AT_A_TIME];
    unsigned n;

    do {
        n = udp_take_errors(&l->port.sock, t, AT_A_TIME);
        for (unsigned i = 0; i < n; i++)
            take(w, l, &t[i]);
    } while (n == AT_A_TIME);
}

void stamps_await(struct worker *w, struct lane *l, unsigned n)
{
    bool any = false;
    uint32_t id;

    for (unsigned i = 0; i < n; i++) {
        struct flow *f = w->tx_flow[i];
        if (!udp_tx_stamp_id(w->tx_probes, i, &id))
            continue;
        stamp_wait_add(w->stamps, l->serial, id, &f->stamps,
                       session_await_txstamp(f->session, awaits_card(l) ? TW_TS_HARDWARE : TW_TS_KERNEL));
        if (awaits_card(l))
            l->hw_missed++;
        any = true;
    }
    if (any)
        lane_take_stamps(w, l);
}

void stamps_count(const struct worker *w, struct worker_counters *ret)
{
    ret->tx_stamps_missing = stamp_wait_missing(w->stamps);
}
