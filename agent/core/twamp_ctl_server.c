/* agent/core/twamp_ctl_server.c - the Server of TWAMP-Control; see twamp_ctl.h.
 *
 * Octets and events only leave their mark; work is done by ctl_server_next() when nothing is waiting to go
 * out, one message at a time. So what waits is never more than one message's answer, whatever the client
 * sends. */
#include "agent/core/twamp_ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/twamp_ctl_crypt.h"
#include "agent/core/twamp_ctl_msg.h"
#include "agent/core/twamp_ctl_request.h"

enum { RX_BYTES_MIN = 2048 };

enum phase {
    SV_GREET,   /* nothing sent yet */
    SV_SET_UP,  /* waiting for Set-Up-Response */
    SV_COMMAND, /* waiting for a command */
    SV_OPENING, /* waiting for the shell's answer to CTL_OPEN */
    SV_OPENED,  /* it has come */
    SV_CLOSED,
};

enum sv_state { SV_FREE, SV_ACCEPTED, SV_RUNNING, SV_STOPPED };
struct sv_session {
    uint32_t id;
    enum sv_state state;
    uint8_t sid[CTL_SID];
};

struct action {
    enum ctl_server_do what;
    uint32_t id;
    enum ctl_accept accept;
};

struct ctl_server {
    struct ctl_server_cfg cfg;
    struct tw_now now;    /* of the last input */
    struct tw_mono since; /* handshake or SERVWAIT runs from here */
    enum phase phase;
    struct ctl_greeting greeting;
    uint32_t mode;
    char key_id[CTL_KEYID_MAX + 1];
    struct ctl_keys keys;
    struct ctl_rx rx;
    struct ctl_tx tx;
    bool ending, shutting_down;
    enum ctl_why why; /* of ending */

    struct ctl_session opening; /* SV_OPENING, SV_OPENED */
    uint32_t opening_id;
    enum ctl_accept opened;
    uint16_t opened_port;

    /* What waits to go out: one message's answer. */
    struct action *actions;
    size_t n_actions, at;
    uint8_t *send;
    size_t send_len;
    char note[160], text[160];

    uint32_t last_id;
    struct sv_session *sessions;
};

/* ---- Making and freeing ---- */

static bool is_power_of_2(uint32_t n)
{
    return n && !(n & (n - 1));
}

static enum tw_rc allocate(struct ctl_server *s)
{
    size_t n = s->cfg.max_sessions, largest = ctl_many_bytes(n);

    s->sessions = calloc(n ? n : 1, sizeof *s->sessions);
    s->actions = calloc(n + 4, sizeof *s->actions); /* one a session, a note, a message, the end */
    s->send =
        malloc(largest + ctl_many_bytes(0) + CTL_ACCEPT_BYTES); /* two acknowledgements share the SIDs */
    if (!s->sessions || !s->actions || !s->send)
        return TW_ENOMEM;
    return ctl_rx_init(&s->rx, 2 * largest > RX_BYTES_MIN ? 2 * largest : RX_BYTES_MIN);
}

enum tw_rc ctl_server_new(const struct ctl_server_cfg *cfg, struct tw_now now, struct ctl_server **ret)
{
    struct ctl_server *s;

    if (!is_power_of_2(cfg->count) || cfg->count < CTL_COUNT_MIN || cfg->count > CTL_COUNT_MAX ||
        cfg->servwait_ns <= 0 || cfg->handshake_ns <= 0 || cfg->max_timeout_ns <= 0)
        return TW_EINVAL;
    s = calloc(1, sizeof *s);
    if (!s)
        return TW_ENOMEM;
    s->cfg = *cfg;
    s->now = now;
    s->since = now.mono;
    if (!cfg->secret)
        s->cfg.modes &= ~(uint32_t)(TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED | TWAMP_MIXED);
    if (!(s->cfg.modes & TWAMP_SECURITY))
        s->cfg.modes = 0;
    if (allocate(s)) {
        ctl_server_free(s);
        return TW_ENOMEM;
    }
    *ret = s;
    return TW_OK;
}

void ctl_server_free(struct ctl_server *s)
{
    if (!s)
        return;
    ctl_rx_free(&s->rx);
    ctl_tx_free(&s->tx);
    free(s->sessions);
    free(s->actions);
    free(s->send);
    crypto_wipe(s, sizeof *s);
    free(s);
}

uint32_t ctl_server_mode(const struct ctl_server *s)
{
    return s->mode;
}

const char *ctl_server_key_id(const struct ctl_server *s)
{
    return s->key_id;
}

bool ctl_server_is_handshaking(const struct ctl_server *s)
{
    return s->phase <= SV_SET_UP;
}

const char *ctl_why_name(enum ctl_why why)
{
    static const char *const names[CTL_WHYS] = {
        [CTL_WHY_PEER] = "peer",         [CTL_WHY_MODE] = "mode",       [CTL_WHY_LOGIN] = "login",
        [CTL_WHY_PROTOCOL] = "protocol", [CTL_WHY_TIMEOUT] = "timeout", [CTL_WHY_SHUT_DOWN] = "shut_down",
        [CTL_WHY_INTERNAL] = "internal",
    };

    return names[why];
}

/* ---- Sessions ---- */

static uint32_t count_in(const struct ctl_server *s, enum sv_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->cfg.max_sessions; i++)
        n += s->sessions[i].state == state;
    return n;
}

static struct sv_session *find_id(struct ctl_server *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->cfg.max_sessions; i++)
        if (s->sessions[i].state != SV_FREE && s->sessions[i].id == id)
            return &s->sessions[i];
    return NULL;
}

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

/* ---- What goes out ---- */

static void act(struct ctl_server *s, enum ctl_server_do what, uint32_t id)
{
    s->actions[s->n_actions++] = (struct action){ .what = what, .id = id };
}

static void note(struct ctl_server *s, enum ctl_accept accept, const char *text)
{
    snprintf(s->note, sizeof s->note, "%s", text);
    act(s, CTL_NOTE, 0);
    s->actions[s->n_actions - 1].accept = accept;
}

static void end(struct ctl_server *s, enum ctl_why why, const char *text)
{
    if (s->ending || s->phase == SV_CLOSED)
        return;
    s->ending = true;
    s->why = why;
    snprintf(s->text, sizeof s->text, "%s", text);
}

/* Appends the message that was written at the end of what is to be sent. */
static void send_sealed(struct ctl_server *s, size_t len)
{
    if (ctl_tx_seal(&s->tx, s->send + s->send_len, len)) {
        end(s, CTL_WHY_INTERNAL, "libcrypto cannot encrypt");
        return;
    }
    s->send_len += len;
    if (!s->n_actions || s->actions[s->n_actions - 1].what != CTL_SEND)
        act(s, CTL_SEND, 0);
}

static void send_accept(struct ctl_server *s, const struct ctl_accept_session *a)
{
    ctl_write_accept(a, s->send + s->send_len);
    send_sealed(s, CTL_ACCEPT_BYTES);
}

static void refuse(struct ctl_server *s, enum ctl_accept accept, const char *text)
{
    struct ctl_accept_session a = { .accept = (uint8_t)accept };

    note(s, accept, text);
    send_accept(s, &a);
}

static void drop_all(struct ctl_server *s)
{
    for (uint32_t i = 0; i < s->cfg.max_sessions; i++) {
        struct sv_session *v = &s->sessions[i];
        if (v->state == SV_ACCEPTED || v->state == SV_RUNNING)
            act(s, CTL_DROP, v->id);
        v->state = SV_FREE;
    }
}

/* ---- Handshake ---- */

static bool step_greet(struct ctl_server *s)
{
    struct ctl_greeting *g = &s->greeting;

    g->modes = s->cfg.modes;
    g->count = s->cfg.count;
    s->cfg.random(s->cfg.ctx, g->challenge, sizeof g->challenge);
    s->cfg.random(s->cfg.ctx, g->salt, sizeof g->salt);
    ctl_write_greeting(g, s->send);
    s->send_len = CTL_GREETING_BYTES;
    act(s, CTL_SEND, 0);
    s->phase = SV_SET_UP;
    return true;
}

static void send_server_start(struct ctl_server *s, const struct ctl_server_start *start)
{
    ctl_write_server_start(start, s->send);
    if (start->accept == CTL_OK && ctl_tx_carry(&s->tx, s->send + CTL_SERVER_START_BYTES - CRYPTO_BLOCK)) {
        end(s, CTL_WHY_INTERNAL, "libcrypto cannot encrypt");
        return;
    }
    s->send_len = CTL_SERVER_START_BYTES;
    act(s, CTL_SEND, 0);
}

static void refuse_set_up(struct ctl_server *s, enum ctl_accept accept, enum ctl_why why, const char *text)
{
    struct ctl_server_start start = { .accept = (uint8_t)accept };

    send_server_start(s, &start);
    end(s, why, text);
}

/* Exactly one security mode, and nothing that was not offered. */
static bool is_mode_offered(const struct ctl_server *s, uint32_t mode)
{
    return is_power_of_2(mode & TWAMP_SECURITY) && !(mode & ~s->cfg.modes);
}

/* A passphrase that is not there is replaced by one that nobody has, and its token is opened all the same. */
static enum tw_rc try_passphrase(struct ctl_server *s, const struct ctl_set_up *u, unsigned which)
{
    uint8_t passphrase[CTL_PASSPHRASE_MAX];
    struct ctl_proof p = { passphrase, 0, s->greeting.salt, s->greeting.challenge, s->greeting.count };
    bool known;
    enum tw_rc rc;

    p.len = s->cfg.secret(s->cfg.ctx, u->key_id, which, passphrase, sizeof passphrase);
    known = p.len > 0 && p.len <= sizeof passphrase;
    if (!known) {
        p.len = sizeof s->greeting.challenge;
        memcpy(passphrase, s->greeting.challenge, p.len);
    }
    rc = ctl_token_open(&p, u->token, &s->keys);
    crypto_wipe(passphrase, sizeof passphrase);
    return rc || known ? rc : TW_EPERM;
}

/* Always the same work: an unknown user gets the same answer after the same time as a wrong passphrase. */
static enum tw_rc check_token(struct ctl_server *s, const struct ctl_set_up *u)
{
    enum tw_rc ret = TW_EPERM;

    for (unsigned which = 0; which < CTL_PASSPHRASES; which++) {
        enum tw_rc rc = try_passphrase(s, u, which);
        if (rc != TW_EPERM && ret == TW_EPERM)
            ret = rc;
    }
    return ret;
}

static enum tw_rc begin_encryption(struct ctl_server *s, const struct ctl_set_up *u,
                                   struct ctl_server_start *start)
{
    enum tw_rc rc;

    s->cfg.random(s->cfg.ctx, start->iv, sizeof start->iv);
    rc = ctl_rx_set_keys(&s->rx, &s->keys, u->iv);
    return rc ? rc : ctl_tx_set_keys(&s->tx, &s->keys, start->iv);
}

static void on_set_up(struct ctl_server *s, const struct ctl_set_up *u)
{
    struct ctl_server_start start = { .accept = CTL_OK, .start_time = s->cfg.start_time_ntp };
    enum tw_rc rc = TW_OK;

    if (!u->mode) {
        end(s, CTL_WHY_MODE, "the client wants none of the modes offered");
        return;
    }
    if (!is_mode_offered(s, u->mode)) {
        refuse_set_up(s, CTL_UNSUPPORTED, CTL_WHY_MODE, "the client asks for a mode that is not offered");
        return;
    }
    memcpy(s->key_id, u->key_id, sizeof s->key_id);
    if (!(u->mode & TWAMP_OPEN)) {
        rc = check_token(s, u);
        if (rc == TW_OK)
            rc = begin_encryption(s, u, &start);
    }
    if (rc == TW_EPERM) {
        refuse_set_up(s, CTL_FAILED, CTL_WHY_LOGIN, "unknown user or wrong passphrase");
    } else if (rc) {
        refuse_set_up(s, CTL_INTERNAL, CTL_WHY_INTERNAL, "libcrypto cannot make the keys");
    } else {
        s->mode = u->mode;
        s->phase = SV_COMMAND;
        s->since = s->now.mono;
        send_server_start(s, &start);
    }
}

static bool step_set_up(struct ctl_server *s)
{
    const uint8_t *data = ctl_rx_peek(&s->rx, CTL_SET_UP_BYTES);
    struct ctl_set_up u;

    if (!s->cfg.modes) {
        end(s, CTL_WHY_MODE, "no mode is offered");
        return true;
    }
    if (!data)
        return false;
    ctl_read_set_up(data, &u);
    ctl_rx_drop(&s->rx, CTL_SET_UP_BYTES);
    on_set_up(s, &u);
    crypto_wipe(&u, sizeof u);
    return true;
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
    act(s, CTL_OPEN, s->opening_id);
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
    else if (count_in(s, SV_RUNNING) && !is_individual(s))
        refuse(s, CTL_UNSUPPORTED, "sessions are requested before the others run");
    else if (s->shutting_down)
        refuse(s, CTL_BUSY, "shutting down");
    else if (!find_free(s))
        refuse(s, CTL_BUSY, "too many sessions on this connection");
    else
        open_session(s, &spec);
}

static bool step_opened(struct ctl_server *s)
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
    act(s, CTL_START, v->id);
}

static void stop(struct ctl_server *s, struct sv_session *v)
{
    if (v->state == SV_RUNNING) {
        v->state = SV_STOPPED;
        act(s, CTL_STOP, v->id);
    } else if (v->state == SV_ACCEPTED) {
        v->state = SV_FREE;
        act(s, CTL_DROP, v->id);
    }
}

/* The reflectors start before the client reads that it may send. */
static void on_start(struct ctl_server *s, const uint8_t *msg, size_t len)
{
    unsigned accept = CTL_OK;

    (void)msg;
    (void)len;
    if (count_in(s, SV_RUNNING)) {
        accept = CTL_UNSUPPORTED;
        note(s, CTL_UNSUPPORTED, "Start-Sessions while sessions run");
    } else if (!count_in(s, SV_ACCEPTED)) {
        accept = CTL_FAILED;
        note(s, CTL_FAILED, "Start-Sessions without a session");
    }
    for (uint32_t i = 0; !accept && i < s->cfg.max_sessions; i++)
        if (s->sessions[i].state == SV_ACCEPTED)
            start(s, &s->sessions[i]);
    ctl_write_start_ack(accept, s->send);
    send_sealed(s, CTL_SIMPLE_BYTES);
}

/* Peers say 0 or 65536 and mean all, so every number does. */
static void on_stop(struct ctl_server *s, const uint8_t *msg, size_t len)
{
    uint32_t running = count_in(s, SV_RUNNING);
    struct ctl_stop m;
    char text[96];

    (void)len;
    ctl_read_stop(msg, &m);
    if (m.sessions != running) {
        snprintf(text, sizeof text, "Stop-Sessions for %u sessions stops all %u", m.sessions, running);
        note(s, CTL_OK, text);
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
    send_sealed(s, ctl_many_bytes(m.n));
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
        end(s, CTL_WHY_INTERNAL, "out of memory");
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
    end(s, CTL_WHY_PROTOCOL, text);
}

static bool step_command(struct ctl_server *s)
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
        end(s, CTL_WHY_PROTOCOL, "the HMAC of a command is wrong");
        return true;
    }
    s->since = s->now.mono;
    commands[i].run(s, msg, len);
    ctl_rx_drop(&s->rx, len);
    return true;
}

/* ---- Phases ---- */

/* step: does one thing; false = waits for more octets. What may be waited for is limited by `limit`. */
static const struct {
    bool (*step)(struct ctl_server *s);
    const char *timeout;
} phases[] = {
    [SV_GREET] = { step_greet, "no Set-Up-Response within the time for the handshake" },
    [SV_SET_UP] = { step_set_up, "no Set-Up-Response within the time for the handshake" },
    [SV_COMMAND] = { step_command, "no command for the time SERVWAIT" },
    [SV_OPENING] = { NULL, NULL }, /* we wait for ourselves */
    [SV_OPENED] = { step_opened, NULL },
    [SV_CLOSED] = { NULL, NULL },
};

static void finish(struct ctl_server *s)
{
    drop_all(s);
    act(s, CTL_CLOSE, 0);
    s->ending = false;
    s->phase = SV_CLOSED;
}

static bool is_idle_shut_down(const struct ctl_server *s)
{
    return s->shutting_down && s->phase <= SV_COMMAND && !count_in(s, SV_RUNNING);
}

/* Goes on until there is something to give out or to wait for. */
static void pump(struct ctl_server *s)
{
    while (!s->n_actions && s->phase != SV_CLOSED) {
        if (is_idle_shut_down(s))
            end(s, CTL_WHY_SHUT_DOWN, "shutting down");
        if (s->ending)
            finish(s);
        else if (!phases[s->phase].step || !phases[s->phase].step(s))
            break;
    }
}

enum tw_rc ctl_server_next(struct ctl_server *s, struct ctl_server_out *ret)
{
    const struct action *a;

    if (s->at == s->n_actions) {
        s->at = s->n_actions = s->send_len = 0;
        pump(s);
        if (!s->n_actions)
            return TW_EAGAIN;
    }
    a = &s->actions[s->at++];
    *ret = (struct ctl_server_out){ .what = a->what, .id = a->id, .accept = a->accept, .text = "" };
    if (a->what == CTL_SEND) {
        ret->data = s->send;
        ret->len = s->send_len;
    } else if (a->what == CTL_OPEN) {
        ret->session = &s->opening;
    } else if (a->what == CTL_NOTE) {
        ret->text = s->note;
    } else if (a->what == CTL_CLOSE) {
        ret->text = s->text;
        ret->why = s->why;
    }
    return TW_OK;
}

/* ---- Inputs ---- */

size_t ctl_server_room(const struct ctl_server *s)
{
    return s->phase == SV_CLOSED ? 0 : ctl_rx_room(&s->rx);
}

void ctl_server_on_bytes(struct ctl_server *s, struct tw_now now, const uint8_t *data, size_t len)
{
    s->now = now;
    if (s->phase != SV_CLOSED)
        ctl_rx_put(&s->rx, data, len);
}

struct tw_mono ctl_server_next_due(const struct ctl_server *s)
{
    int64_t limit = ctl_server_is_handshaking(s) ? s->cfg.handshake_ns : s->cfg.servwait_ns;

    if (!phases[s->phase].timeout || s->ending || count_in(s, SV_RUNNING))
        return TW_MONO_NEVER;
    return (struct tw_mono){ s->since.ns + limit };
}

void ctl_server_on_time(struct ctl_server *s, struct tw_now now)
{
    s->now = now;
    if (now.mono.ns >= ctl_server_next_due(s).ns)
        end(s, CTL_WHY_TIMEOUT, phases[s->phase].timeout);
}

bool ctl_server_opened(struct ctl_server *s, struct tw_now now, uint32_t id, enum ctl_accept accept,
                       uint16_t port)
{
    s->now = now;
    if (s->phase != SV_OPENING || s->opening_id != id || s->ending)
        return false;
    s->opened = accept;
    s->opened_port = port;
    s->phase = SV_OPENED;
    s->since = now.mono;
    return true;
}

void ctl_server_ended(struct ctl_server *s, struct tw_now now, uint32_t id)
{
    struct sv_session *v = find_id(s, id);

    s->now = now;
    if (!v)
        return;
    if (v->state == SV_RUNNING && count_in(s, SV_RUNNING) == 1)
        s->since = now.mono; /* SERVWAIT runs again, RFC 5357 section 3.1 */
    v->state = SV_FREE;
}

void ctl_server_shut_down(struct ctl_server *s, struct tw_now now)
{
    s->now = now;
    s->shutting_down = true;
}

void ctl_server_on_close(struct ctl_server *s, struct tw_now now)
{
    s->now = now;
    end(s, CTL_WHY_PEER, "closed by the client");
}
