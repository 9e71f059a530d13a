/* agent/tool/run.c - see run.h. */
#include "agent/tool/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include "agent/core/hoststate.h"
#include "agent/core/wake_margin.h"
#include "agent/io/schedstat.h"
#include "agent/io/stamp_wait.h"
#include "common/log.h"
#include "common/net/now.h"

enum { STAMP_BITS = 8, STAMPS_AT_A_TIME = 16, RX_BATCH = 32, PENDING_MAX = 4 };
#define GRACE_NS (1 * TW_NS_PER_S)
#define CLOCK_NS (1 * TW_NS_PER_S)

struct flow {
    struct run *run;
    unsigned number;
    struct session *session;
    struct tw_addr target;
    struct udpsock sock;
    struct stamp_waiter stamps;
    struct loop_watch watch;
    struct loop_timer due;
    uint64_t foreign; /* datagrams of others, or too long: not yet in a summary */
    int64_t upto;     /* no more summaries of this report period and those before */
    bool done;
};

/* A report period of which not all flows have told everything. */
struct pending {
    bool used;
    int64_t index;
    struct tw_summary *flows;
};

struct run {
    struct run_cfg cfg;
    struct flow *flows;
    size_t n_done;
    bool stopping, ended;
    struct pending pending[PENDING_MAX];
    struct tw_summary scratch, total;
    struct udp_rx *rx;
    struct udp_tx *tx;
    struct stamp_wait *stamps; /* sockets are named by the number of their flow */
    struct loop_timer clock, grace;
    struct wake_margin margin;
    struct hoststate *host;
    int schedstat_fd;
    struct log_limit send_errors;
    int last_error; /* errno of the last probe that could not be sent */
};

/* ---- Report periods ---- */

static int64_t period_of(const struct run *r, int64_t wall_ns)
{
    return wall_ns / r->cfg.session.report_period_ns; /* after 1970 */
}

static void deliver(struct run *r, struct pending *p)
{
    struct run_period period = { .flows = p->flows, .n_flows = r->cfg.n_flows, .total = &r->total };

    summary_reset(&r->total);
    for (size_t i = 0; i < r->cfg.n_flows; i++)
        if (p->flows[i].end_ns)
            summary_merge(&r->total, &p->flows[i]);
    p->used = false;
    if (r->total.end_ns && r->cfg.on_period)
        r->cfg.on_period(r->cfg.ctx, &period);
    for (size_t i = 0; i < r->cfg.n_flows; i++)
        summary_reset(&p->flows[i]);
}

static struct pending *oldest(struct run *r)
{
    struct pending *found = NULL;

    for (size_t i = 0; i < PENDING_MAX; i++)
        if (r->pending[i].used && (!found || r->pending[i].index < found->index))
            found = &r->pending[i];
    return found;
}

static void deliver_ready(struct run *r)
{
    struct pending *p;

    while ((p = oldest(r))) {
        for (size_t i = 0; i < r->cfg.n_flows; i++)
            if (r->flows[i].upto < p->index)
                return;
        deliver(r, p);
    }
}

static struct pending *pending_for(struct run *r, int64_t index)
{
    struct pending *empty = NULL;

    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (r->pending[i].used && r->pending[i].index == index)
            return &r->pending[i];
        if (!r->pending[i].used)
            empty = &r->pending[i];
    }
    if (!empty) { /* steps of the clock have made more than there can be */
        empty = oldest(r);
        deliver(r, empty);
    }
    empty->used = true;
    empty->index = index;
    return empty;
}

static void take_summary(struct flow *f, struct tw_summary *s)
{
    struct run *r = f->run;
    int64_t index = period_of(r, s->start_ns);
    bool whole = period_of(r, s->end_ns) > index;

    s->rejected += f->foreign;
    f->foreign = 0;
    s->tos_sent = r->cfg.tos;
    hoststate_fill(r->host, s);
    summary_merge(&pending_for(r, index)->flows[f->number], s);
    if (f->upto < index - !whole)
        f->upto = index - !whole;
}

/* ---- One flow ---- */

static void end_flow(struct flow *f)
{
    struct run *r = f->run;

    f->done = true;
    f->upto = INT64_MAX;
    loop_timer_cancel(r->cfg.loop, &f->due);
    r->n_done++;
}

/* With --precise a margin before the next probe is due. */
static struct tw_mono wake_time(const struct flow *f)
{
    struct tw_mono due = session_next_due(f->session);

    if (f->run->cfg.precise && due.ns == session_next_probe_due(f->session).ns)
        due.ns -= wake_margin_ns(&f->run->margin);
    return due;
}

/* Takes what the session has for us, and sets the timer. */
static void settle(struct flow *f)
{
    struct run *r = f->run;
    struct session_sample sample;
    struct tw_now now = tw_now();

    while (session_next_sample(f->session, &sample) == TW_OK)
        if (r->cfg.on_sample)
            r->cfg.on_sample(r->cfg.ctx, f->number, &sample);
    while (session_next_summary(f->session, now, &r->scratch) == TW_OK)
        take_summary(f, &r->scratch);
    if (session_done(f->session) && !f->done)
        end_flow(f);
    deliver_ready(r);
    if (!f->done)
        loop_timer_set(r->cfg.loop, &f->due, wake_time(f));
    if (r->n_done < r->cfg.n_flows || r->ended)
        return;
    r->ended = true;
    loop_timer_cancel(r->cfg.loop, &r->grace);
    loop_timer_cancel(r->cfg.loop, &r->clock);
    if (r->cfg.on_end)
        r->cfg.on_end(r->cfg.ctx);
}

static void log_send_error(struct run *r, int error, size_t len)
{
    unsigned held;

    r->last_error = error;
    if (log_limit_ok(&r->send_errors, tw_mono_now().ns, &held))
        log_warn("a probe cannot be sent", LOG_S("reason", strerror(error)), LOG_U("octets", len),
                 LOG_U("held_back", held));
}

/* ---- When packets left ---- */

static void take_stamps(struct flow *f)
{
    struct udp_txstamp t[STAMPS_AT_A_TIME];
    uint32_t seq;
    unsigned n;

    do {
        n = udp_take_errors(&f->sock, t, STAMPS_AT_A_TIME);
        for (unsigned i = 0; i < n; i++)
            if (stamp_wait_take(f->run->stamps, f->number, t[i].id, &seq))
                session_on_txstamp(f->session, seq, t[i].time, TW_TS_KERNEL);
    } while (n == STAMPS_AT_A_TIME);
}

/* Mostly the kernel has told before the system call returns. */
static void await_stamp(struct flow *f)
{
    uint32_t id;

    if (!udp_tx_stamp_id(f->run->tx, 0, &id))
        return;
    stamp_wait_add(f->run->stamps, f->number, id, &f->stamps,
                   session_await_txstamp(f->session, TW_TS_KERNEL));
    take_stamps(f);
}

/* ---- Packets ---- */

/* One at a time, each with a time of its own: T1 is the last thing before the kernel. */
static bool send_one(struct flow *f)
{
    struct run *r = f->run;
    struct udp_dest to = { .to = f->target, .tos = r->cfg.tos, .ttl = r->cfg.ttl };
    size_t len;

    if (session_next_probe(f->session, tw_now(), udp_tx_buf(r->tx, 0), TEST_DATAGRAM_MAX, &len) != TW_OK)
        return false;
    to.want_txstamp = !r->cfg.user_tx_times && udp_txstamp_ready(&f->sock, tw_mono_now());
    udp_tx_add(r->tx, len, &to);
    if (udp_tx_send(r->tx, &f->sock)) {
        log_send_error(r, udp_tx_error(r->tx, 0), len);
        session_on_send_error(f->session);
    }
    await_stamp(f);
    udp_tx_clear(r->tx);
    return true;
}

/* If the wake-up was not much too early, because the margin has shrunk since: then the timer is set again. */
static void spin(struct flow *f)
{
    struct wake_margin *m = &f->run->margin;
    struct tw_mono due = session_next_probe_due(f->session), now = tw_mono_now();

    wake_margin_add(m, now.ns - f->due.entry.due.ns);
    if (now.ns < due.ns && due.ns - now.ns <= wake_margin_ns(m))
        tw_spin_until(due);
}

static void on_due(struct loop_timer *t)
{
    struct flow *f = t->ctx;
    struct tw_now now = tw_now();

    hoststate_on_late(f->run->host, now, now.mono.ns - t->entry.due.ns);
    if (f->run->cfg.precise)
        spin(f);
    while (send_one(f))
        ;
    settle(f);
}

static void take_datagram(struct flow *f, const struct udp_in *in, struct tw_now now)
{
    struct session_rx rx = { .time = in->time, .source = in->source, .ttl = in->ttl, .tos = in->tos };
    char from[TW_ADDR_TEXT];

    if (in->truncated || memcmp(&in->from, &f->target, sizeof in->from) != 0) {
        f->foreign++;
        log_debug("datagram rejected", LOG_S("from", tw_addr_format(&in->from, from)),
                  LOG_U("octets", in->len));
        return;
    }
    if (session_on_reply(f->session, now, &rx, in->data, in->len) != TW_OK)
        log_debug("answer rejected", LOG_S("from", tw_addr_format(&in->from, from)),
                  LOG_U("octets", in->len));
}

static void on_readable(struct loop_watch *w, uint32_t events)
{
    struct flow *f = w->ctx;
    struct run *r = f->run;
    struct tw_now now;
    uint64_t drops;
    struct udp_in in;
    unsigned n;

    if (events & EPOLLERR)
        take_stamps(f);
    n = udp_rx_recv(r->rx, &f->sock);
    now = tw_now();
    if (f->done)
        return;
    for (unsigned i = 0; i < n; i++) {
        udp_rx_get(r->rx, i, &in);
        if (i == 0 && in.source == TW_TS_KERNEL)
            hoststate_on_late(r->host, now, now.wall.ns - in.time.ns);
        take_datagram(f, &in, now);
    }
    drops = udp_take_drops(&f->sock);
    if (drops)
        session_on_host_drops(f->session, drops);
    settle(f);
}

/* ---- Timers of the run ---- */

static void tell_clock(struct run *r)
{
    struct clkstate c;

    tw_clock_read(&c); /* steps: a session finds them itself */
    for (size_t i = 0; i < r->cfg.n_flows; i++)
        session_set_clock(r->flows[i].session, &c.state);
}

static void on_clock(struct loop_timer *t)
{
    struct run *r = t->ctx;
    uint64_t wait_ns;

    tell_clock(r);
    if (schedstat_wait_ns(r->schedstat_fd, &wait_ns))
        hoststate_on_cpu_wait(r->host, tw_now(), wait_ns);
    loop_timer_set(r->cfg.loop, t, (struct tw_mono){ tw_mono_now().ns + CLOCK_NS });
}

static void flush(struct run *r)
{
    struct tw_now now = tw_now();

    for (size_t i = 0; i < r->cfg.n_flows && !r->ended; i++) {
        if (r->flows[i].done)
            continue;
        session_flush(r->flows[i].session, now);
        settle(&r->flows[i]);
    }
}

static void on_grace(struct loop_timer *t)
{
    flush(t->ctx);
}

/* ---- Life ---- */

void run_stop(struct run *r)
{
    struct tw_now now = tw_now();

    if (r->ended)
        return;
    if (r->stopping) {
        flush(r);
        return;
    }
    r->stopping = true;
    loop_timer_set(r->cfg.loop, &r->grace, (struct tw_mono){ now.mono.ns + GRACE_NS });
    for (size_t i = 0; i < r->cfg.n_flows && !r->ended; i++) {
        if (r->flows[i].done)
            continue;
        session_stop(r->flows[i].session, now);
        settle(&r->flows[i]);
    }
}

void run_totals(const struct run *r, struct session_totals *ret)
{
    struct session_totals sum = { 0 }, one;

    for (size_t i = 0; i < r->cfg.n_flows; i++) {
        session_totals(r->flows[i].session, &one);
        sum.sent += one.sent;
        sum.received += one.received;
        sum.lost += one.lost;
        sum.in_flight += one.in_flight;
        sum.late += one.late;
        sum.duplicates += one.duplicates;
        sum.rejected += one.rejected;
        sum.send_errors += one.send_errors;
        sum.skipped += one.skipped;
        sum.auth_failed += one.auth_failed;
    }
    *ret = sum;
}

uint64_t run_samples_lost(const struct run *r)
{
    uint64_t n = 0;

    for (size_t i = 0; i < r->cfg.n_flows; i++)
        n += session_samples_lost(r->flows[i].session);
    return n;
}

int run_last_error(const struct run *r)
{
    return r->last_error;
}

static void free_summaries(struct run *r)
{
    for (size_t k = 0; k < PENDING_MAX; k++) {
        for (size_t i = 0; r->pending[k].flows && i < r->cfg.n_flows; i++)
            summary_free(&r->pending[k].flows[i]);
        free(r->pending[k].flows);
    }
    summary_free(&r->scratch);
    summary_free(&r->total);
}

/* Everything but the sockets. */
static void release(struct run *r)
{
    for (size_t i = 0; r->flows && i < r->cfg.n_flows; i++) {
        if (r->flows[i].watch.fn)
            loop_unwatch(r->cfg.loop, &r->flows[i].watch);
        loop_timer_cancel(r->cfg.loop, &r->flows[i].due);
        session_free(r->flows[i].session);
    }
    loop_timer_cancel(r->cfg.loop, &r->clock);
    loop_timer_cancel(r->cfg.loop, &r->grace);
    udp_rx_free(r->rx);
    udp_tx_free(r->tx);
    stamp_wait_free(r->stamps);
    hoststate_free(r->host);
    schedstat_close(r->schedstat_fd);
    free_summaries(r);
    free(r->flows);
    free(r);
}

void run_free(struct run *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->cfg.n_flows; i++)
        udp_close(&r->flows[i].sock);
    release(r);
}

static enum tw_rc make_summaries(struct run *r)
{
    summary_init(&r->scratch);
    summary_init(&r->total);
    for (size_t k = 0; k < PENDING_MAX; k++) {
        r->pending[k].flows = calloc(r->cfg.n_flows, sizeof *r->pending[k].flows);
        if (!r->pending[k].flows)
            return TW_ENOMEM;
        for (size_t i = 0; i < r->cfg.n_flows; i++)
            summary_init(&r->pending[k].flows[i]);
    }
    return TW_OK;
}

static enum tw_rc make_flow(struct run *r, unsigned number, struct form *form, struct tw_now now)
{
    struct flow *f = &r->flows[number];
    struct session_cfg sc = r->cfg.session;

    sc.flow = number;
    /* Spread over the spacing, so that flows do not send at the same instant. */
    sc.phase_ns = (now.wall.ns + (int64_t)number * sc.spacing_ns / (int64_t)r->cfg.n_flows) % sc.spacing_ns;
    f->run = r;
    f->number = number;
    f->upto = INT64_MIN;
    f->due = (struct loop_timer){ .fn = on_due, .ctx = f };
    return session_new(&sc, form, now, &f->session);
}

static enum tw_rc make_flows(struct run *r, struct tw_err *err)
{
    struct tw_now now = tw_now();

    for (unsigned i = 0; i < r->cfg.n_flows; i++) {
        enum tw_rc rc = make_flow(r, i, r->cfg.flows[i].form, now);
        if (rc)
            return tw_err_set(err, rc,
                              rc == TW_EINVAL
                                  ? "too many probes would be in flight, or they cannot have this size: "
                                    "choose a longer interval, a shorter timeout or another size"
                                  : "out of memory");
        r->cfg.flows[i].form = NULL; /* the session's now */
    }
    return TW_OK;
}

static enum tw_rc start_flows(struct run *r)
{
    for (size_t i = 0; i < r->cfg.n_flows; i++) {
        struct flow *f = &r->flows[i];
        f->target = r->cfg.flows[i].target;
        f->sock = r->cfg.flows[i].sock;
        f->watch = (struct loop_watch){ .fn = on_readable, .ctx = f, .fd = f->sock.fd };
        if (loop_watch(r->cfg.loop, &f->watch, EPOLLIN) ||
            loop_timer_set(r->cfg.loop, &f->due, session_next_due(f->session)))
            return TW_ENOMEM;
    }
    return TW_OK;
}

enum tw_rc run_start(const struct run_cfg *cfg, struct run **ret, struct tw_err *err)
{
    struct run *r = calloc(1, sizeof *r);
    enum tw_rc rc = TW_ENOMEM;

    if (!r)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    r->cfg = *cfg;
    r->send_errors.burst = 3;
    r->schedstat_fd = schedstat_open();
    r->clock = (struct loop_timer){ .fn = on_clock, .ctx = r };
    r->grace = (struct loop_timer){ .fn = on_grace, .ctx = r };
    r->flows = calloc(cfg->n_flows, sizeof *r->flows);
    if (r->flows && !make_summaries(r) && !udp_rx_new(RX_BATCH, TEST_DATAGRAM_MAX, &r->rx) &&
        !udp_tx_new(1, TEST_DATAGRAM_MAX, &r->tx) && !stamp_wait_new(STAMP_BITS, &r->stamps) &&
        !hoststate_new(&r->host))
        rc = make_flows(r, err);
    else
        tw_err_set(err, rc, "out of memory");
    if (!rc) {
        on_clock(&r->clock);
        rc = start_flows(r);
    }
    if (rc) {
        release(r);
        return rc;
    }
    for (size_t i = 0; i < cfg->n_flows; i++)
        cfg->flows[i].sock.fd = -1;
    *ret = r;
    return TW_OK;
}
