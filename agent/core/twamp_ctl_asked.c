/* agent/core/twamp_ctl_asked.c - the commands that the Control-Client gives, and their answers; see
 * twamp_ctl_client_priv.h. */
#include "agent/core/twamp_ctl_client_priv.h"

#include <stdlib.h>
#include <string.h>

static struct cl_session *find_awaited(struct ctl_client *c, const uint8_t *sid)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].awaited && !memcmp(c->sessions[i].sid, sid, CTL_SID))
            return &c->sessions[i];
    return NULL;
}

static uint32_t count_awaited(const struct ctl_client *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        n += c->sessions[i].awaited;
    return n;
}

/* ---- Answers ---- */

/* The message of n octets, NULL: not there yet, or its HMAC is wrong, which ends the connection. */
static const uint8_t *take_answer(struct ctl_client *c, size_t n)
{
    const uint8_t *msg = ctl_rx_peek(&c->rx, n);

    if (msg && !ctl_rx_verify(&c->rx, n)) {
        cl_end(c, "the HMAC of the server's answer is wrong");
        return NULL;
    }
    return msg;
}

/* What the test packets need to know. */
static enum tw_rc complete_session(struct ctl_client *c, const struct ctl_accept_session *a)
{
    struct ctl_session *s = &c->accepted;
    const struct tw_addr *local = &c->cfg.local, *peer = &c->cfg.peer;
    uint16_t sender_port = c->current->spec.sender.port;

    *s = (struct ctl_session){ .mode = c->mode, .spec = c->current->spec };
    memcpy(s->sid, a->sid, sizeof s->sid);
    if (!s->spec.sender.family)
        s->spec.sender = *local;
    s->spec.sender.port = sender_port;
    if (!s->spec.receiver.family)
        s->spec.receiver = *peer;
    s->spec.receiver.port = a->port;
    if (c->mode & TWAMP_REFLECT)
        s->server_octets = a->server_octets;
    return c->mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED) ? ctl_test_keys(&c->keys, a->sid, &s->keys)
                                                             : TW_OK;
}

static void on_accept(struct ctl_client *c, const struct ctl_accept_session *a)
{
    struct cl_session *v = cl_find(c, c->current->id);

    c->phase = CL_READY;
    if (a->accept) {
        v->state = CL_FREE;
        cl_act(c, CTLC_REFUSED, v->id)->accept = a->accept;
    } else if (!a->port) {
        cl_end(c, "the server accepts a session without saying at which port");
    } else if (complete_session(c, a)) {
        cl_end(c, "libcrypto cannot make the keys");
    } else {
        v->state = CL_ACCEPTED;
        memcpy(v->sid, a->sid, sizeof v->sid);
        cl_act(c, CTLC_ACCEPTED, v->id);
    }
}

bool cl_step_accept(struct ctl_client *c)
{
    const uint8_t *msg = take_answer(c, CTL_ACCEPT_BYTES);
    struct ctl_accept_session a;

    if (!msg)
        return c->ending;
    ctl_read_accept(msg, &a);
    ctl_rx_drop(&c->rx, CTL_ACCEPT_BYTES);
    on_accept(c, &a);
    return true;
}

bool cl_step_start_ack(struct ctl_client *c)
{
    const uint8_t *msg = take_answer(c, CTL_SIMPLE_BYTES);
    unsigned accept;

    if (!msg)
        return c->ending;
    accept = ctl_read_start_ack(msg);
    ctl_rx_drop(&c->rx, CTL_SIMPLE_BYTES);
    c->phase = CL_READY;
    if (accept) {
        cl_act(c, CTLC_REFUSED, CTL_ALL)->accept = accept;
    } else {
        cl_move_all(c, CL_ACCEPTED, CL_RUNNING);
        cl_act(c, CTLC_STARTED, CTL_ALL);
    }
    return true;
}

/* One session of an acknowledgement. What cannot be stopped does not run. */
static void acknowledged(struct ctl_client *c, struct cl_session *v, const struct ctl_many *m)
{
    v->awaited = false;
    if (m->command == CTL_CMD_STOP_N_ACK) {
        v->state = CL_FREE;
        c->any_stopped = true;
        cl_act(c, CTLC_STOPPED, v->id);
    } else if (m->accept) {
        cl_act(c, CTLC_REFUSED, v->id)->accept = m->accept;
    } else {
        v->state = CL_RUNNING;
        cl_act(c, CTLC_STARTED, v->id);
    }
}

static void on_many_ack(struct ctl_client *c, const struct ctl_many *m, const uint8_t *sids)
{
    for (uint32_t i = 0; i < m->n; i++) {
        struct cl_session *v = find_awaited(c, sids + CTL_SID * i);
        if (!v) {
            cl_end(c, "the server's %s names a session that was not asked about",
                   ctl_command_name(m->command));
            return;
        }
        acknowledged(c, v, m);
    }
    c->since = c->now.mono;
    if (!count_awaited(c))
        c->phase = CL_READY;
}

static bool step_many_ack(struct ctl_client *c, enum ctl_command wanted)
{
    const uint8_t *msg = ctl_rx_peek(&c->rx, CTL_HEAD);
    struct ctl_many m;
    size_t len;

    if (!msg)
        return false;
    len = ctl_command_bytes(msg, count_awaited(c));
    if (msg[0] != wanted || !len) {
        cl_end(c, "expected %s, the server sends something else (does it know RFC 5938?)",
               ctl_command_name(wanted));
        return true;
    }
    msg = take_answer(c, len);
    if (!msg)
        return c->ending;
    ctl_read_many(msg, &m);
    on_many_ack(c, &m, msg + CTL_HEAD);
    ctl_rx_drop(&c->rx, len);
    return true;
}

bool cl_step_start_n_ack(struct ctl_client *c)
{
    return step_many_ack(c, CTL_CMD_START_N_ACK);
}

bool cl_step_stop_n_ack(struct ctl_client *c)
{
    return step_many_ack(c, CTL_CMD_STOP_N_ACK);
}

/* ---- Giving commands ---- */

static void give_request(struct ctl_client *c)
{
    const struct ctl_session_spec *s = &c->current->spec;
    struct ctl_request r = {
        .ipvn = s->ipvn ? s->ipvn : c->cfg.peer.family,
        .sender_port = s->sender.port,
        .receiver_port = s->receiver.port,
        .padding_bytes = s->padding_bytes,
        .start_ntp = s->start_ntp,
        .timeout = ctl_interval_to_wire(s->timeout_ns),
        .type_p = (uint32_t)s->dscp << 24,
        .reflect_octets = s->reflect_octets,
        .reflect_bytes = s->reflect_bytes,
    };

    if (s->sender.family)
        memcpy(r.sender, s->sender.ip, sizeof r.sender);
    if (s->receiver.family)
        memcpy(r.receiver, s->receiver.ip, sizeof r.receiver);
    ctl_write_request(&r, c->send);
    cl_send_sealed(c, CTL_REQUEST_BYTES, CL_ACCEPT);
}

static bool is_named(const struct command *m, uint32_t id)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->ids[i] == id)
            return true;
    return !m->n;
}

/* Start-N-Sessions or Stop-N-Sessions for those named that are in `state`; false: there are none. */
static bool give_many(struct ctl_client *c, enum ctl_command command, enum cl_state state, enum phase next)
{
    struct ctl_many m = { .command = (uint8_t)command };

    for (uint32_t i = 0; i < c->cfg.max_sessions; i++) {
        struct cl_session *v = &c->sessions[i];
        v->awaited = v->state == state && is_named(c->current, v->id);
        if (v->awaited)
            memcpy(c->send + CTL_HEAD + CTL_SID * m.n++, v->sid, CTL_SID);
    }
    if (!m.n)
        return false;
    memset(c->send + CTL_HEAD + CTL_SID * m.n, 0, CTL_HMAC);
    ctl_write_many(&m, c->send);
    cl_send_sealed(c, ctl_many_bytes(m.n), next);
    return true;
}

static void give_start(struct ctl_client *c)
{
    if (cl_is_individual(c)) {
        if (give_many(c, CTL_CMD_START_N, CL_ACCEPTED, CL_START_N_ACK))
            return;
    } else if (cl_count(c, CL_ACCEPTED)) {
        ctl_write_start(c->send);
        cl_send_sealed(c, CTL_SIMPLE_BYTES, CL_START_ACK);
        return;
    }
    cl_act(c, CTLC_REFUSED, CTL_ALL)->accept = CTL_FAILED; /* the server has accepted none */
}

/* None of those named runs, and so there is nothing to say to the server; others may run on. Whoever asked
 * waits for this. */
static void told_stopped(struct ctl_client *c)
{
    if (!c->current->n)
        cl_act(c, CTLC_STOPPED, CTL_ALL);
    for (size_t i = 0; i < c->current->n; i++)
        cl_act(c, CTLC_STOPPED, c->current->ids[i]);
}

static void give_stop(struct ctl_client *c)
{
    struct ctl_stop m = { .sessions = cl_count(c, CL_RUNNING) };

    if (cl_is_individual(c) && give_many(c, CTL_CMD_STOP_N, CL_RUNNING, CL_STOP_N_ACK))
        return;
    if (!cl_is_individual(c) && m.sessions) {
        ctl_write_stop(&m, c->send);
        cl_send_sealed(c, CTL_SIMPLE_BYTES, CL_READY);
        cl_move_all(c, CL_RUNNING, CL_FREE);
        c->any_stopped = true;
    }
    told_stopped(c);
}

bool cl_step_ready(struct ctl_client *c)
{
    free(c->current);
    c->current = cl_take_command(c);
    if (!c->current)
        return false;
    if (c->current->what == CTL_CMD_REQUEST)
        give_request(c);
    else if (c->current->what == CTL_CMD_START)
        give_start(c);
    else
        give_stop(c);
    return true;
}
