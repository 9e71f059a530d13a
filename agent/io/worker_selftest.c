/* agent/io/worker_selftest.c - the loopback self-test: while the worker has sessions it also measures the way
 * to a reflector of its own, over the loopback device, by the same code and in the same thread: lane,
 * session, kernel times, mirror. What that adds in delay every other result has in it, too. It is no pair: it
 * has no summaries, and no counter but its own knows of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "agent/io/worker_priv.h"
#include "common/log.h"

#define SPACING_NS (100 * TW_NS_PER_MS)
#define TIMEOUT_NS TW_NS_PER_S
#define PERIOD_NS (10 * TW_NS_PER_S)
#define REST_NS (60 * TW_NS_PER_S) /* before it tries again, when it cannot run */

enum { OUTCOMES = 64, RCVBUF = 1 << 18 };

static const struct tw_addr loopbacks[] = {
    { .family = 4, .ip = { 127, 0, 0, 1 } },
    { .family = 6, .ip = { [15] = 1 } },
};

/* ---- The reflector ---- */

static enum tw_rc open_mirror(struct worker *w, const struct tw_addr *local, struct tw_err *err)
{
    struct udp_conf conf = { .local = *local, .want_to = true, .rcvbuf_bytes = RCVBUF };
    struct reflect_cfg rc = { .max_sessions = 16, .refwait_ns = REST_NS, .restart_gap_ns = TIMEOUT_NS };
    struct mirror *m = &w->self.mirror;
    enum tw_rc ret = udp_open(&conf, &m->port.sock, err);

    if (ret)
        return ret;
    m->port.kind = PORT_REFLECTOR;
    rc.port = m->port.sock.local.port;
    ret = reflector_new(&rc, &m->state);
    if (!ret)
        ret = worker_watch(w, &m->port, 0);
    if (ret)
        mirror_free(m);
    return ret;
}

/* Nobody else on this host is to be answered. */
static enum tw_rc answer_only(struct mirror *m, const struct tw_addr *peer)
{
    struct sockaddr_storage to;
    socklen_t len = tw_addr_to_sockaddr(peer, &to);

    return connect(m->port.sock.fd, (const struct sockaddr *)&to, len) ? tw_rc_errno(errno) : TW_OK;
}

/* ---- The sender ---- */

static void on_due(struct worker *w, struct wtimer *t)
{
    if (w->count.sessions)
        flow_on_due(w, t);
    else
        selftest_end(w); /* here, where no batch holds its probe and no event names its sockets */
}

static void free_flow(struct flow *f)
{
    if (f->start)
        udp_close(&f->start->given);
    free(f->start);
    session_free(f->session);
    free(f);
}

static struct flow *new_flow(const struct worker *w, const struct tw_addr *local)
{
    struct flow *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->start = calloc(1, sizeof *f->start);
    if (!f->start) {
        free(f);
        return NULL;
    }
    f->self = true;
    f->due.fn = on_due;
    f->start->target = w->self.mirror.port.sock.local;
    f->start->key.local = *local;
    f->start->given.fd = -1;
    return f;
}

static enum tw_rc make_flow(struct worker *w, const struct tw_addr *local, struct flow **ret,
                            struct tw_err *err)
{
    struct session_cfg cfg = { .spacing_ns = SPACING_NS,
                               .spacing_kind = SESSION_EXPONENTIAL, /* in step with nothing else */
                               .timeout_ns = TIMEOUT_NS,
                               .report_period_ns = PERIOD_NS,
                               .seed = (uint64_t)w->now.wall.ns + w->cfg.index,
                               .reflector_stateful = true,
                               .samples = OUTCOMES };
    struct udp_conf conf = { .local = *local, .rcvbuf_bytes = RCVBUF };
    struct flow *f = new_flow(w, local);
    enum tw_rc rc = f ? session_new(&cfg, NULL, w->now, &f->session) : TW_ENOMEM;

    if (!rc)
        rc = udp_open(&conf, &f->start->given, err); /* a socket of its own makes a lane of its own */
    if (rc) {
        if (f)
            free_flow(f);
        return rc;
    }
    *ret = f;
    return TW_OK;
}

static enum tw_rc start_at(struct worker *w, const struct tw_addr *local, struct tw_err *err)
{
    enum tw_rc rc = open_mirror(w, local, err);
    struct flow *f;

    if (rc)
        return rc;
    rc = make_flow(w, local, &f, err);
    if (rc)
        goto fail_mirror;
    rc = lane_attach(w, f, err);
    if (rc)
        goto fail_flow;
    rc = answer_only(&w->self.mirror, &f->peer->lane->port.sock.local);
    if (rc)
        goto fail_lane;
    w->self.flow = f;
    flow_rearm(w, f);
    return TW_OK;

fail_lane:
    lane_detach(w, f);
fail_flow:
    free_flow(f);
fail_mirror:
    mirror_free(&w->self.mirror);
    return rc;
}

/* ---- Life ---- */

void selftest_start(struct worker *w)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = TW_EINVAL;

    if (!w->cfg.self_test || w->self.flow || w->now.mono.ns < w->self.rests_until.ns)
        return;
    for (size_t i = 0; rc && i < TW_NELEM(loopbacks); i++)
        rc = start_at(w, &loopbacks[i], &err);
    if (!rc)
        return;
    w->self.rests_until.ns = w->now.mono.ns + REST_NS;
    log_warn("the loopback self-test cannot run: results will not tell the noise floor of this host",
             LOG_S("reason", err.text[0] ? err.text : tw_rc_name(rc)));
}

void selftest_end(struct worker *w)
{
    struct flow *f = w->self.flow;

    if (!f)
        return;
    timerq_cancel(&w->timers, &f->due.entry);
    lane_detach(w, f); /* closes the lane */
    free_flow(f);
    mirror_free(&w->self.mirror);
    w->self.flow = NULL;
}

/* ---- Results ---- */

static void take_outcomes(struct worker *w, struct session *s)
{
    struct session_sample o;

    while (session_next_sample(s, &o) == TW_OK) {
        if (o.kind == SAMPLE_RECEIVED && o.timed)
            hoststate_on_probe(w->host, w->now, o.forward_ns + o.backward_ns);
        else if (o.kind == SAMPLE_LOST || o.kind == SAMPLE_SEND_ERROR)
            hoststate_on_lost_probe(w->host, w->now);
    }
}

void selftest_settle(struct worker *w, struct flow *f)
{
    while (session_next_summary(f->session, w->now, &w->self.unused) == TW_OK)
        ;
    take_outcomes(w, f->session);
    flow_rearm(w, f);
}
