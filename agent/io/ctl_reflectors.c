/* agent/io/ctl_reflectors.c - the sessions of TWAMP-Control at the workers; see ctl_listener_priv.h. */
#include "agent/io/ctl_listener_priv.h"

#include <stdlib.h>
#include <string.h>

#include "agent/core/crypto.h"
#include "common/net/now.h"

enum { PORT_TRIES = 64, PORT_UNPRIVILEGED = 1024 };
#define RETRY_NS (5 * TW_NS_PER_MS)

/* ---- Opening ---- */

static bool has_range(const struct ctl_listener *l)
{
    return l->cfg.port_high;
}

/* May a client have just this one? Below 1024 only if we were told so. */
static bool may_have(const struct ctl_listener *l, uint16_t port)
{
    if (has_range(l))
        return port >= l->cfg.port_low && port <= l->cfg.port_high;
    return port >= PORT_UNPRIVILEGED;
}

static enum tw_rc open_at(struct ctl_conn *c, unsigned worker, const struct ctl_session *s, uint16_t port,
                          struct ctl_reflector *r, uint16_t *ret_port)
{
    struct reflect_session_cfg cfg = {
        .form = { .mode = s->mode, .keys = s->keys, .server_octets = s->server_octets },
        .sender = s->spec.sender,
        .dscp = s->spec.dscp,
        .refwait_ns = c->l->cfg.refwait_ns,
        .timeout_ns = s->spec.timeout_ns
    };
    struct tw_addr local = s->spec.receiver;
    struct tw_err err = { 0 };
    enum tw_rc rc;
    unsigned held;

    local.port = port;
    rc = worker_reflect_open(c->l->cfg.workers[worker], &local, &cfg, &r->worker_id, ret_port, &err);
    crypto_wipe(&cfg.form.keys, sizeof cfg.form.keys);
    if (rc && rc != TW_EINUSE && log_limit_ok(&c->l->sessions, tw_mono_now().ns, &held))
        log_warn("reflector cannot be opened", LOG_S("reason", err.text[0] ? err.text : tw_rc_name(rc)),
                 LOG_U("port", port), LOG_U("held_back", held));
    return rc;
}

/* The port that was asked for, else any of the range. Taken in random order, so that nobody learns from it
 * which ones are in use. */
static enum tw_rc open_somewhere(struct ctl_conn *c, unsigned worker, const struct ctl_session *s,
                                 struct ctl_reflector *r, uint16_t *ret_port)
{
    const struct ctl_listener *l = c->l;
    uint16_t asked = s->spec.receiver.port, start;
    unsigned n = (unsigned)(l->cfg.port_high - l->cfg.port_low + 1);
    enum tw_rc rc = TW_EINUSE;

    if (may_have(l, asked))
        rc = open_at(c, worker, s, asked, r, ret_port);
    if (!has_range(l))
        return rc == TW_EINUSE || rc == TW_EPERM ? open_at(c, worker, s, 0, r, ret_port) : rc;
    ctl_random(NULL, (uint8_t *)&start, sizeof start);
    for (unsigned i = 0; rc == TW_EINUSE && i < n && i < PORT_TRIES; i++)
        rc = open_at(c, worker, s, (uint16_t)(l->cfg.port_low + (start + i) % n), r, ret_port);
    return rc;
}

static enum ctl_accept accept_of(enum tw_rc rc)
{
    switch (rc) {
    case TW_OK:
        return CTL_OK;
    case TW_EINUSE:
    case TW_ENOSPC:
    case TW_EBUSY:
        return CTL_BUSY;
    case TW_ENOMEM:
        return CTL_NO_RESOURCES;
    default:
        return CTL_INTERNAL;
    }
}

static void log_opened(const struct ctl_conn *c, const struct ctl_session *s, uint16_t port)
{
    char peer[TW_ADDR_TEXT];
    unsigned held;

    if (log_limit_ok(&c->l->sessions, tw_mono_now().ns, &held))
        log_info("test session accepted", LOG_S("sender", tw_addr_format(&s->spec.sender, peer)),
                 LOG_U("port", port), LOG_S("mode", ctl_mode_text(s->mode)), LOG_U("dscp", s->spec.dscp),
                 LOG_U("held_back", held));
}

/* Those that go on after their connection has ended count, too: else one client could have them all. */
static bool has_too_many(const struct ctl_listener *l, const struct tw_addr *peer)
{
    uint32_t n = 0;

    for (const struct ctl_reflector *r = l->reflectors; r; r = r->next)
        n += ctl_is_same_host(&r->peer, peer);
    return n >= l->cfg.max_peer_sessions;
}

enum ctl_accept ctl_reflectors_open(struct ctl_conn *c, uint32_t id, const struct ctl_session *s,
                                    uint16_t *ret_port)
{
    struct ctl_listener *l = c->l;
    struct ctl_reflector *r;
    enum tw_rc rc;

    if (l->n.sessions >= l->cfg.max_sessions || has_too_many(l, &c->peer))
        return CTL_BUSY;
    r = calloc(1, sizeof *r);
    if (!r)
        return CTL_NO_RESOURCES;
    r->conn = c;
    r->peer = c->peer;
    r->id = id;
    r->worker = l->next_worker++ % (unsigned)l->cfg.n_workers;
    rc = open_somewhere(c, r->worker, s, r, ret_port);
    if (rc) {
        free(r);
        return accept_of(rc);
    }
    r->next = l->reflectors;
    l->reflectors = r;
    l->n.sessions++;
    l->n.opened++;
    log_opened(c, s, *ret_port);
    return CTL_OK;
}

/* ---- Starting and ending ---- */

static struct ctl_reflector *find(const struct ctl_conn *c, uint32_t id)
{
    struct ctl_reflector *r = c->l->reflectors;

    while (r && (r->conn != c || r->id != id))
        r = r->next;
    return r;
}

/* Does what is to be done; false: the worker is busy, once more later. */
static bool do_it(struct ctl_listener *l, struct ctl_reflector *r)
{
    struct worker *w = l->cfg.workers[r->worker];
    enum tw_rc rc = TW_OK;

    if (r->to_start_first || r->todo == CTL_TO_START)
        rc = worker_reflect_start(w, r->worker_id);
    if (rc == TW_EBUSY)
        return false;
    r->to_start_first = false;
    if (r->todo == CTL_TO_STOP)
        rc = worker_reflect_stop(w, r->worker_id);
    else if (r->todo == CTL_TO_DROP)
        rc = worker_reflect_drop(w, r->worker_id);
    if (rc == TW_EBUSY)
        return false;
    r->todo = CTL_NOTHING; /* TW_ENOENT: it has ended, and the end is on its way to us */
    return true;
}

void ctl_reflectors_retry(struct loop_timer *t)
{
    struct ctl_listener *l = t->ctx;
    bool all = true;

    for (struct ctl_reflector *r = l->reflectors; r; r = r->next)
        all &= do_it(l, r);
    if (!all)
        loop_timer_set(l->cfg.loop, &l->retry, (struct tw_mono){ tw_mono_now().ns + RETRY_NS });
}

static void want(struct ctl_listener *l, struct ctl_reflector *r, unsigned todo)
{
    r->to_start_first |= r->todo == CTL_TO_START;
    r->todo = todo;
    if (!do_it(l, r))
        loop_timer_set(l->cfg.loop, &l->retry, (struct tw_mono){ tw_mono_now().ns + RETRY_NS });
}

void ctl_reflectors_start(struct ctl_conn *c, uint32_t id)
{
    struct ctl_reflector *r = find(c, id);

    if (!r)
        return; /* ended by REFWAIT before */
    c->l->n.started++;
    want(c->l, r, CTL_TO_START);
}

void ctl_reflectors_stop(struct ctl_conn *c, uint32_t id)
{
    struct ctl_reflector *r = find(c, id);

    if (r)
        want(c->l, r, CTL_TO_STOP);
}

void ctl_reflectors_drop(struct ctl_conn *c, uint32_t id)
{
    struct ctl_reflector *r = find(c, id);

    if (r)
        want(c->l, r, CTL_TO_DROP);
}

void ctl_reflectors_leave(struct ctl_conn *c)
{
    for (struct ctl_reflector *r = c->l->reflectors; r; r = r->next)
        if (r->conn == c)
            r->conn = NULL;
}

/* ---- Ends ---- */

static void add_counters(struct reflect_counters *sum, const struct reflect_counters *c)
{
    sum->answered += c->answered;
    sum->too_short += c->too_short;
    sum->too_long += c->too_long;
    sum->bad_error_estimate += c->bad_error_estimate;
    sum->auth_failed += c->auth_failed;
    sum->foreign += c->foreign;
    sum->not_started += c->not_started;
    sum->send_errors += c->send_errors;
}

static struct ctl_reflector *take_out(struct ctl_listener *l, unsigned worker, uint64_t worker_id)
{
    for (struct ctl_reflector **p = &l->reflectors; *p; p = &(*p)->next)
        if ((*p)->worker == worker && (*p)->worker_id == worker_id) {
            struct ctl_reflector *r = *p;
            *p = r->next;
            return r;
        }
    return NULL;
}

static void on_end(struct ctl_listener *l, unsigned worker, const struct worker_reflect_end *e)
{
    struct ctl_reflector *r = take_out(l, worker, e->id);
    unsigned held;

    if (!r)
        return;
    l->n.sessions--;
    l->n.ended++;
    add_counters(&l->n.reflected, &e->counters);
    if (log_limit_ok(&l->ends, tw_mono_now().ns, &held))
        log_info("test session ended", LOG_U("answered", e->counters.answered),
                 LOG_U("auth_failed", e->counters.auth_failed), LOG_U("foreign", e->counters.foreign),
                 LOG_U("held_back", held));
    if (r->conn)
        ctl_conn_session_ended(r->conn, r->id);
    free(r);
}

void ctl_reflectors_take_ends(struct ctl_listener *l)
{
    struct worker_reflect_end e;

    for (unsigned i = 0; i < l->cfg.n_workers; i++)
        while (worker_next_reflect_end(l->cfg.workers[i], &e) == TW_OK)
            on_end(l, i, &e);
}

void ctl_reflectors_free(struct ctl_listener *l)
{
    struct ctl_reflector *r;

    while ((r = l->reflectors)) {
        l->reflectors = r->next;
        worker_reflect_drop(l->cfg.workers[r->worker], r->worker_id); /* busy: it ends with its worker */
        free(r);
    }
}
