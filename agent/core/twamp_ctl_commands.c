/* agent/core/twamp_ctl_commands.c - what the Server of TWAMP-Control does with commands; see
 * twamp_ctl_server_priv.h. */
#include "agent/core/twamp_ctl_server_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/twamp_ctl_request.h"

/* ---- Refusing ---- */

static void send_accept(struct ctl_server *s, const struct ctl_accept_session *a)
{
    ctl_write_accept(a, s->send + s->send_len);
    sv_send_sealed(s, CTL_ACCEPT_BYTES);
}

static void refuse(struct ctl_server *s, enum ctl_accept accept, const char *text)
{
    struct ctl_accept_session a = { .accept = (uint8_t)accept };

    sv_note(s, accept, text);
    send_accept(s, &a);
}

/* ---- Sessions ---- */

static struct sv_session *find_sid(struct ctl_server *s, const uint8_t *sid)
{
    for (uint32_t i = 0; i < s->cfg.max_sessions; i++)
        if (s->sessions[i].state != SV_FREE && !memcmp(s->sessions[i].sid, sid, CTL_SID))
            return &s->sessions[i];
    return NULL;
}

static struct sv_session *find_free(struct ctl_server *s)
{
    for (uint32_t i = 0; i < s->cfg.max_sessions; i++)
        if (s->sessions[i].state == SV_FREE)
            return &s->sessions[i];
    return NULL;
}

/* ---- Request-TW-Session ---- */

static bool is_individual(const struct ctl_server *s)
{
    return s->mode & TWAMP_INDIVIDUAL;
}

/* Octets of our own, which the sender is to put into its padding: RFC 6038 section 4.2. */
static uint16_t make_server_octets(struct ctl_server *s)
{
    uint8_t b[2];

    s->cfg.random(s->cfg.ctx, b, sizeof b);
    return (uint16_t)(b[0] << 8 | b[1]);
}

static void open_session(struct ctl_server *s, const struct ctl_session_spec *spec)
{
    struct ctl_session *o = &s->opening;

    *o = (struct ctl_session){ .mode = s->mode, .spec = *spec };
    s->cfg.random(s->cfg.ctx, o->sid, sizeof o->sid);
    if (s->mode & TWAMP_REFLECT && spec->reflect_bytes >= 2)
        o->server_octets = make_server_octets(s);
    if (s->mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED) && ctl_test_keys(&s->keys, o->sid, &o->keys)) {
        refuse(s, CTL_INTERNAL, "libcrypto cannot make the keys");
        return;
    }
    s->opening_id = ++s->last_id;
    s->phase = SV_OPENING;
    sv_act(s, CTL_OPEN, s->opening_id);
}

static void on_request(struct ctl_server *s, const uint8_t *msg, size_t len)
{
    struct ctl_request_limits l = { .mode = s->mode,
                                    .max_padding_bytes = s->cfg.max_padding_bytes,
                                    .max_timeout_ns = s->cfg.max_timeout_ns,
                                    .local = s->cfg.local,
                                    .peer = s->cfg.peer };
    struct ctl_session_spec spec;
    struct ctl_request r;
    enum ctl_accept accept;
    const char *text = "";

    (void)len;
    ctl_read_request(msg, &r);
    accept = ctl_request_check(&r, &l, &spec, &text);
    if (accept)
        refuse(s, accept, text);
    else if (sv_count(s, SV_RUNNING) && !is_individual(s))
        refuse(s, CTL_UNSUPPORTED, "sessions are requested before the others run");
    else if (s->shutting_down)
        refuse(s, CTL_BUSY, "shutting down");
    else if (!find_free(s))
        refuse(s, CTL_BUSY, "too many sessions on this connection");
    else
        open_session(s, &spec);
}

bool sv_step_opened(struct ctl_server *s)
{
    struct ctl_session *o = &s->opening;
    struct ctl_accept_session a = { .accept = (uint8_t)s->opened };
    struct sv_session *v = find_free(s); /* there is one: open_session() is called only then */

    s->phase = SV_COMMAND;
    if (s->opened != CTL_OK) {
        refuse(s, s->opened, "the reflector cannot be opened");
    } else {
        *v = (struct sv_session){ .id = s->opening_id, .state = SV_ACCEPTED };
        memcpy(v->sid, o->sid, sizeof v->sid);
        memcpy(a.sid, o->sid, sizeof a.sid);
        a.port = s->opened_port;
        a.reflect_octets = o->spec.reflect_octets;
        a.server_octets = o->server_octets;
        send_accept(s, &a);
    }
    crypto_wipe(o, sizeof *o);
    return true;
}

/* ---- Starting and stopping all ---- */

static void start(struct ctl_server *s, struct sv_session *v)
{
    v->state = SV_RUNNING;
    sv_act(s, CTL_START, v->id);
}

static void stop(struct ctl_server *s, struct sv_session *v)
{
    if (v->state == SV_RUNNING) {
        v->state = SV_STOPPED;
        sv_act(s, CTL_STOP, v->id);
    } else if (v->state == SV_ACCEPTED) {
        v->state = SV_FREE;
        sv_act(s, CTL_DROP, v->id);
    }
}

/* The reflectors start before the client reads that it may send. */
static void on_start(struct ctl_server *s, const uint8_t *msg, size_t len)
{
    unsigned accept = CTL_OK;

    (void)msg;
    (void)len;
    if (sv_count(s, SV_RUNNING)) {
        accept = CTL_UNSUPPORTED;
        sv_note(s, CTL_UNSUPPORTED, "Start-Sessions while sessions run");
    } else if (!sv_count(s, SV_ACCEPTED)) {
        accept = CTL_FAILED;
        sv_note(s, CTL_FAILED, "Start-Sessions without a session");
    }
    for (uint32_t i = 0; !accept && i < s->cfg.max_sessions; i++)
        if (s->sessions[i].state == SV_ACCEPTED)
            start(s, &s->sessions[i]);
    ctl_write_start_ack(accept, s->send);
    sv_send_sealed(s, CTL_SIMPLE_BYTES);
}

/* Peers say 0 or 65536 and mean all, so every number does. */
static void on_stop(struct ctl_server *s, const uint8_t *msg, size_t len)
{
    uint32_t running = sv_count(s, SV_RUNNING);
    struct ctl_stop m;
    char text[96];

    (void)len;
    ctl_read_stop(msg, &m);
    if (m.sessions != running) {
        snprintf(text, sizeof text, "Stop-Sessions for %u sessions stops all %u", m.sessions, running);
        sv_note(s, CTL_OK, text);
    }
    for (uint32_t i = 0; i < s->cfg.max_sessions; i++)
        stop(s, &s->sessions[i]);
}

/* ---- Starting and stopping one by one, RFC 5938 ---- */

static bool try_start(struct ctl_server *s, struct sv_session *v)
{
    if (!v || v->state != SV_ACCEPTED)
        return false;
    start(s, v);
    return true;
}

static bool try_stop(struct ctl_server *s, struct sv_session *v)
{
    if (!v || v->state == SV_STOPPED)
        return false;
    stop(s, v);
    return true;
}

/* For those SIDs whose mark in done[] is `which`; none: nothing to say. */
static void send_ack(struct ctl_server *s, struct ctl_many m, const struct ctl_many *command,
                     const uint8_t *sids, const uint8_t *done, bool which)
{
    uint8_t *out = s->send + s->send_len, *to = out + CTL_HEAD;

    for (uint32_t i = 0; i < command->n; i++)
        if (done[i] == which)
            memcpy(to + CTL_SID * m.n++, sids + CTL_SID * i, CTL_SID);
    if (!m.n)
        return;
    memset(to + CTL_SID * m.n, 0, CTL_HMAC);
    ctl_write_many(&m, out);
    sv_send_sealed(s, ctl_many_bytes(m.n));
}

/* What went well is acknowledged first, then what did not, in one segment. */
static void run_many(struct ctl_server *s, const uint8_t *msg, uint8_t ack,
                     bool (*try)(struct ctl_server *, struct sv_session *))
{
    const uint8_t *sids = msg + CTL_HEAD;
    struct ctl_many m;
    uint8_t *done;

    ctl_read_many(msg, &m);
    done = malloc(m.n); /* at most max_sessions */
    if (!done) {
        sv_end(s, CTL_WHY_INTERNAL, "out of memory");
        return;
    }
    for (uint32_t i = 0; i < m.n; i++)
        done[i] = try(s, find_sid(s, sids + CTL_SID * i));
    send_ack(s, (struct ctl_many){ ack, CTL_OK, 0 }, &m, sids, done, true);
    send_ack(s, (struct ctl_many){ ack, CTL_FAILED, 0 }, &m, sids, done, false);
    free(done);
}

static void on_start_n(struct ctl_server *s, const uint8_t *msg, size_t len)
{
    (void)len;
    run_many(s, msg, CTL_CMD_START_N_ACK, try_start);
}

static void on_stop_n(struct ctl_server *s, const uint8_t *msg, size_t len)
{
    (void)len;
    run_many(s, msg, CTL_CMD_STOP_N_ACK, try_stop);
}

/* ---- Commands ---- */

enum when { ALWAYS, TOGETHER, ONE_BY_ONE }; /* RFC 5938 replaces the commands for all */
static const struct {
    enum ctl_command number;
    enum when when;
    void (*run)(struct ctl_server *s, const uint8_t *msg, size_t len);
} commands[] = {
    { CTL_CMD_REQUEST, ALWAYS, on_request },   { CTL_CMD_START, TOGETHER, on_start },
    { CTL_CMD_STOP, TOGETHER, on_stop },       { CTL_CMD_START_N, ONE_BY_ONE, on_start_n },
    { CTL_CMD_STOP_N, ONE_BY_ONE, on_stop_n },
};

/* Its place in the table, TW_NELEM(commands) if it is not for now. */
static size_t find_command(const struct ctl_server *s, unsigned number)
{
    size_t i = 0;

    while (i < TW_NELEM(commands) && commands[i].number != number)
        i++;
    if (i < TW_NELEM(commands) && commands[i].when == (is_individual(s) ? TOGETHER : ONE_BY_ONE))
        return TW_NELEM(commands);
    return i;
}

/* Nobody knows how long it is, so the connection cannot go on. */
static void refuse_command(struct ctl_server *s, const uint8_t head[CTL_HEAD])
{
    char text[96];
    struct ctl_many m;

    ctl_read_many(head, &m);
    if (find_command(s, m.command) == TW_NELEM(commands))
        snprintf(text, sizeof text, "command %u (%s) is not for this connection", m.command,
                 ctl_command_name(m.command));
    else
        snprintf(text, sizeof text, "%s of %u sessions, expected 1 to %u", ctl_command_name(m.command), m.n,
                 s->cfg.max_sessions);
    refuse(s, CTL_UNSUPPORTED, text);
    sv_end(s, CTL_WHY_PROTOCOL, text);
}

bool sv_step_command(struct ctl_server *s)
{
    const uint8_t *msg = ctl_rx_peek(&s->rx, CTL_HEAD);
    size_t i, len;

    if (!msg)
        return false;
    i = find_command(s, msg[0]);
    len = i < TW_NELEM(commands) ? ctl_command_bytes(msg, s->cfg.max_sessions) : 0;
    if (!len) {
        refuse_command(s, msg);
        return true;
    }
    msg = ctl_rx_peek(&s->rx, len);
    if (!msg)
        return false;
    if (!ctl_rx_verify(&s->rx, len)) {
        sv_end(s, CTL_WHY_PROTOCOL, "the HMAC of a command is wrong");
        return true;
    }
    s->since = s->now.mono;
    commands[i].run(s, msg, len);
    ctl_rx_drop(&s->rx, len);
    return true;
}
