/* agent/core/twamp_ctl_client.c - the Control-Client of TWAMP-Control; see twamp_ctl.h.
 *
 * As the server does, it works in ctl_client_next() when nothing waits to go out: it reads one answer, or
 * gives the next command of the queue when no answer is awaited. */
#include "agent/core/twamp_ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/twamp_ctl_crypt.h"
#include "agent/core/twamp_ctl_msg.h"

enum {
    RX_BYTES_MIN = 1024,
    SESSIONS_DEFAULT = 16,
    SESSIONS_MAX = 10000,
    QUEUE_MAX = 32768,
    COUNT_DEFAULT = 32768
};

enum phase {
    CL_GREETING,     /* waiting for Server-Greeting */
    CL_SERVER_START, /* for the part of Server-Start that is in clear */
    CL_START_TIME,   /* for its last block */
    CL_READY,        /* for a command from above */
    CL_ACCEPT,       /* for Accept-Session */
    CL_START_ACK,
    CL_START_N_ACK,
    CL_STOP_N_ACK,
    CL_CLOSED,
};

enum cl_state { CL_FREE, CL_ASKED, CL_ACCEPTED, CL_RUNNING };
struct cl_session {
    uint32_t id;
    enum cl_state state;
    bool awaited; /* named in the command that is to be acknowledged */
    uint8_t sid[CTL_SID];
};

/* A command from above that waits for its turn. */
struct command {
    struct command *next;
    enum ctl_command what; /* request, start, stop */
    uint32_t id;           /* of a request */
    struct ctl_session_spec spec;
    size_t n;
    uint32_t ids[]; /* none: all */
};

struct action {
    enum ctl_client_do what;
    uint32_t id;
    unsigned accept;
};

struct ctl_client {
    struct ctl_client_cfg cfg;
    char key_id[CTL_KEYID_MAX + 1];
    uint8_t passphrase[CTL_PASSPHRASE_MAX];

    enum phase phase;
    struct tw_now now;    /* of the last input */
    struct tw_mono since; /* when the answer that is awaited was asked for */
    struct ctl_greeting greeting;
    uint32_t mode;
    struct ctl_keys keys;
    uint8_t iv[16]; /* ours, until the stream begins */
    struct ctl_rx rx;
    struct ctl_tx tx;
    bool ending, any_stopped;

    struct command *queue, **queue_end, *current;
    size_t queue_len;
    struct cl_session *sessions;
    struct ctl_session accepted; /* CTLC_ACCEPTED */

    struct action *actions;
    size_t n_actions, at;
    uint8_t *send;
    size_t send_len;
    char text[240];
};

/* ---- Making and freeing ---- */

static bool is_cfg_good(const struct ctl_client_cfg *cfg)
{
    if (cfg->answer_ns <= 0 || cfg->modes & ~(uint32_t)TWAMP_SECURITY || cfg->max_sessions > SESSIONS_MAX ||
        (cfg->features | cfg->need) & ~(uint32_t)TWAMP_FEATURES)
        return false;
    if (!cfg->key_id)
        return true;
    return *cfg->key_id && strlen(cfg->key_id) <= CTL_KEYID_MAX && cfg->passphrase && cfg->passphrase_len &&
           cfg->passphrase_len <= CTL_PASSPHRASE_MAX;
}

static void copy_cfg(struct ctl_client *c, const struct ctl_client_cfg *cfg)
{
    c->cfg = *cfg;
    if (!cfg->max_sessions)
        c->cfg.max_sessions = SESSIONS_DEFAULT;
    if (!cfg->max_count)
        c->cfg.max_count = COUNT_DEFAULT;
    if (!cfg->modes)
        c->cfg.modes = TWAMP_SECURITY;
    c->cfg.features |= cfg->need;
    if (cfg->key_id) {
        memcpy(c->key_id, cfg->key_id, strlen(cfg->key_id));
        memcpy(c->passphrase, cfg->passphrase, cfg->passphrase_len);
    }
    c->cfg.key_id = NULL; /* the caller's, as is the passphrase */
    c->cfg.passphrase = NULL;
}

static enum tw_rc allocate(struct ctl_client *c)
{
    size_t n = c->cfg.max_sessions, largest = ctl_many_bytes(n);

    c->sessions = calloc(n, sizeof *c->sessions);
    c->actions = calloc(n + 4, sizeof *c->actions); /* one a session, a message, a note, the end */
    c->send = malloc(largest > CTL_SET_UP_BYTES ? largest : CTL_SET_UP_BYTES);
    if (!c->sessions || !c->actions || !c->send)
        return TW_ENOMEM;
    return ctl_rx_init(&c->rx, 2 * largest > RX_BYTES_MIN ? 2 * largest : RX_BYTES_MIN);
}

enum tw_rc ctl_client_new(const struct ctl_client_cfg *cfg, struct tw_now now, struct ctl_client **ret)
{
    struct ctl_client *c;

    if (!is_cfg_good(cfg))
        return TW_EINVAL;
    c = calloc(1, sizeof *c);
    if (!c)
        return TW_ENOMEM;
    c->queue_end = &c->queue;
    c->now = now;
    c->since = now.mono;
    copy_cfg(c, cfg);
    if (allocate(c)) {
        ctl_client_free(c);
        return TW_ENOMEM;
    }
    *ret = c;
    return TW_OK;
}

static struct command *take_command(struct ctl_client *c)
{
    struct command *m = c->queue;

    if (!m)
        return NULL;
    c->queue = m->next;
    if (!c->queue)
        c->queue_end = &c->queue;
    c->queue_len--;
    return m;
}

void ctl_client_free(struct ctl_client *c)
{
    struct command *m;

    if (!c)
        return;
    while ((m = take_command(c)))
        free(m);
    free(c->current);
    ctl_rx_free(&c->rx);
    ctl_tx_free(&c->tx);
    free(c->sessions);
    free(c->actions);
    free(c->send);
    crypto_wipe(c, sizeof *c);
    free(c);
}

uint32_t ctl_client_mode(const struct ctl_client *c)
{
    return c->mode;
}

uint32_t ctl_client_offered(const struct ctl_client *c)
{
    return c->greeting.modes;
}

/* ---- Sessions ---- */

static struct cl_session *find_id(struct ctl_client *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].state != CL_FREE && c->sessions[i].id == id)
            return &c->sessions[i];
    return NULL;
}

static struct cl_session *find_free(struct ctl_client *c)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].state == CL_FREE)
            return &c->sessions[i];
    return NULL;
}

static struct cl_session *find_awaited(struct ctl_client *c, const uint8_t *sid)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].awaited && !memcmp(c->sessions[i].sid, sid, CTL_SID))
            return &c->sessions[i];
    return NULL;
}

static uint32_t count_in(const struct ctl_client *c, enum cl_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        n += c->sessions[i].state == state;
    return n;
}

static uint32_t count_awaited(const struct ctl_client *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        n += c->sessions[i].awaited;
    return n;
}

/* Every session in `from` goes to `to`. */
static void move_all(struct ctl_client *c, enum cl_state from, enum cl_state to)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].state == from)
            c->sessions[i].state = to;
}

/* ---- What goes out ---- */

static struct action *act(struct ctl_client *c, enum ctl_client_do what, uint32_t id)
{
    struct action *a = &c->actions[c->n_actions++];

    *a = (struct action){ .what = what, .id = id };
    return a;
}

static void end(struct ctl_client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void end(struct ctl_client *c, const char *fmt, ...)
{
    va_list ap;

    if (c->ending || c->phase == CL_CLOSED)
        return;
    c->ending = true;
    va_start(ap, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, ap);
    va_end(ap);
}

static void send_octets(struct ctl_client *c, size_t len, enum phase next)
{
    c->send_len = len;
    act(c, CTLC_SEND, 0);
    c->phase = next;
    c->since = c->now.mono;
}

static void send_sealed(struct ctl_client *c, size_t len, enum phase next)
{
    if (ctl_tx_seal(&c->tx, c->send, len))
        end(c, "libcrypto cannot encrypt");
    else
        send_octets(c, len, next);
}

/* ---- Handshake ---- */

const char *ctl_mode_text(uint32_t mode)
{
    switch (mode & TWAMP_SECURITY) {
    case TWAMP_OPEN:
        return "open";
    case TWAMP_AUTHENTICATED:
        return "authenticated";
    case TWAMP_ENCRYPTED:
        return "encrypted";
    case TWAMP_MIXED:
        return "mixed";
    default:
        return "no mode";
    }
}

/* The best that both sides can do; 0: none. */
static uint32_t choose_security(const struct ctl_client *c)
{
    static const uint32_t best_first[] = { TWAMP_ENCRYPTED, TWAMP_AUTHENTICATED, TWAMP_MIXED, TWAMP_OPEN };

    for (size_t i = 0; i < TW_NELEM(best_first); i++)
        if (best_first[i] & c->cfg.modes & c->greeting.modes && (best_first[i] == TWAMP_OPEN || *c->key_id))
            return best_first[i];
    return 0;
}

/* What cannot go on is said here; true: it can. */
static bool is_greeting_good(struct ctl_client *c, uint32_t security)
{
    const struct ctl_greeting *g = &c->greeting;
    uint32_t lacks = c->cfg.need & ~g->modes;

    if (!(g->modes & TWAMP_SECURITY))
        end(c, "the server does not want to talk to us (its greeting offers no mode)");
    else if (!security && !*c->key_id && !(g->modes & c->cfg.modes & TWAMP_OPEN))
        end(c, "the server offers modes 0x%x, of which we may use none without a user and passphrase",
            g->modes);
    else if (!security)
        end(c, "the server offers modes 0x%x, of which we may use none (ours are 0x%x)", g->modes,
            c->cfg.modes);
    else if (lacks)
        end(c, "the server offers modes 0x%x, without the features 0x%x that are needed", g->modes, lacks);
    else if (security != TWAMP_OPEN && (g->count < CTL_COUNT_MIN || g->count & (g->count - 1)))
        end(c, "the server's count of PBKDF2 rounds is %u, expected a power of 2 from %d on", g->count,
            CTL_COUNT_MIN);
    else if (security != TWAMP_OPEN && g->count > c->cfg.max_count)
        end(c, "the server asks for %u PBKDF2 rounds, we do at most %u", g->count, c->cfg.max_count);
    return !c->ending;
}

static enum tw_rc make_token(struct ctl_client *c, struct ctl_set_up *u)
{
    struct ctl_proof p = { c->passphrase, c->cfg.passphrase_len, c->greeting.salt, c->greeting.challenge,
                           c->greeting.count };

    c->cfg.random(c->cfg.ctx, c->keys.aes, sizeof c->keys.aes);
    c->cfg.random(c->cfg.ctx, c->keys.hmac, sizeof c->keys.hmac);
    c->cfg.random(c->cfg.ctx, c->iv, sizeof c->iv);
    memcpy(u->key_id, c->key_id, sizeof u->key_id);
    memcpy(u->iv, c->iv, sizeof u->iv);
    return ctl_token_make(&p, &c->keys, u->token);
}

static bool step_greeting(struct ctl_client *c)
{
    const uint8_t *data = ctl_rx_peek(&c->rx, CTL_GREETING_BYTES);
    struct ctl_set_up u = { 0 };
    uint32_t security;

    if (!data)
        return false;
    ctl_read_greeting(data, &c->greeting);
    ctl_rx_drop(&c->rx, CTL_GREETING_BYTES);
    security = choose_security(c);
    if (!is_greeting_good(c, security))
        return true;
    c->mode = u.mode = security | (c->cfg.features & c->greeting.modes);
    if (security != TWAMP_OPEN && make_token(c, &u)) {
        end(c, "libcrypto cannot make the token");
        return true;
    }
    crypto_wipe(c->passphrase, sizeof c->passphrase);
    ctl_write_set_up(&u, c->send);
    send_octets(c, CTL_SET_UP_BYTES, CL_SERVER_START);
    return true;
}

static void refused_set_up(struct ctl_client *c, unsigned accept)
{
    if (accept == CTL_FAILED && !(c->mode & TWAMP_OPEN))
        end(c, "the server refuses the login: unknown user or wrong passphrase");
    else
        end(c, "the server refuses mode 0x%x (%s): %s (Accept %u)", c->mode, ctl_mode_text(c->mode),
            ctl_accept_text(accept), accept);
}

static bool step_server_start(struct ctl_client *c)
{
    const uint8_t *data = ctl_rx_peek(&c->rx, CTL_SERVER_START_BYTES - CRYPTO_BLOCK);
    uint8_t whole[CTL_SERVER_START_BYTES] = { 0 };
    struct ctl_server_start s;

    if (!data)
        return false;
    memcpy(whole, data, CTL_SERVER_START_BYTES - CRYPTO_BLOCK);
    ctl_read_server_start(whole, &s);
    if (s.accept) {
        refused_set_up(c, s.accept);
        return true;
    }
    ctl_rx_drop(&c->rx, CTL_SERVER_START_BYTES - CRYPTO_BLOCK);
    c->phase = CL_START_TIME;
    if (!(c->mode & TWAMP_OPEN) &&
        (ctl_rx_set_keys(&c->rx, &c->keys, s.iv) || ctl_tx_set_keys(&c->tx, &c->keys, c->iv)))
        end(c, "libcrypto cannot make the keys");
    return true;
}

/* Its HMAC is that of the first message after it. */
static bool step_start_time(struct ctl_client *c)
{
    if (!ctl_rx_peek(&c->rx, CRYPTO_BLOCK))
        return false;
    ctl_rx_carry(&c->rx);
    c->phase = CL_READY;
    act(c, CTLC_READY, 0);
    return true;
}

/* ---- Answers ---- */

/* The message of n octets, NULL: not there yet, or its HMAC is wrong, which ends the connection. */
static const uint8_t *take_answer(struct ctl_client *c, size_t n)
{
    const uint8_t *msg = ctl_rx_peek(&c->rx, n);

    if (msg && !ctl_rx_verify(&c->rx, n)) {
        end(c, "the HMAC of the server's answer is wrong");
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
    struct cl_session *v = find_id(c, c->current->id);

    c->phase = CL_READY;
    if (a->accept) {
        v->state = CL_FREE;
        act(c, CTLC_REFUSED, v->id)->accept = a->accept;
    } else if (!a->port) {
        end(c, "the server accepts a session without saying at which port");
    } else if (complete_session(c, a)) {
        end(c, "libcrypto cannot make the keys");
    } else {
        v->state = CL_ACCEPTED;
        memcpy(v->sid, a->sid, sizeof v->sid);
        act(c, CTLC_ACCEPTED, v->id);
    }
}

static bool step_accept(struct ctl_client *c)
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

static bool step_start_ack(struct ctl_client *c)
{
    const uint8_t *msg = take_answer(c, CTL_SIMPLE_BYTES);
    unsigned accept;

    if (!msg)
        return c->ending;
    accept = ctl_read_start_ack(msg);
    ctl_rx_drop(&c->rx, CTL_SIMPLE_BYTES);
    c->phase = CL_READY;
    if (accept) {
        act(c, CTLC_REFUSED, CTL_ALL)->accept = accept;
    } else {
        move_all(c, CL_ACCEPTED, CL_RUNNING);
        act(c, CTLC_STARTED, CTL_ALL);
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
        act(c, CTLC_STOPPED, v->id);
    } else if (m->accept) {
        act(c, CTLC_REFUSED, v->id)->accept = m->accept;
    } else {
        v->state = CL_RUNNING;
        act(c, CTLC_STARTED, v->id);
    }
}

static void on_many_ack(struct ctl_client *c, const struct ctl_many *m, const uint8_t *sids)
{
    for (uint32_t i = 0; i < m->n; i++) {
        struct cl_session *v = find_awaited(c, sids + CTL_SID * i);
        if (!v) {
            end(c, "the server's %s names a session that was not asked about", ctl_command_name(m->command));
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
        end(c, "expected %s, the server sends something else (does it know RFC 5938?)",
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

static bool step_start_n_ack(struct ctl_client *c)
{
    return step_many_ack(c, CTL_CMD_START_N_ACK);
}

static bool step_stop_n_ack(struct ctl_client *c)
{
    return step_many_ack(c, CTL_CMD_STOP_N_ACK);
}

/* ---- Giving commands ---- */

static bool is_individual(const struct ctl_client *c)
{
    return c->mode & TWAMP_INDIVIDUAL;
}

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
    send_sealed(c, CTL_REQUEST_BYTES, CL_ACCEPT);
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
    send_sealed(c, ctl_many_bytes(m.n), next);
    return true;
}

static void give_start(struct ctl_client *c)
{
    if (is_individual(c)) {
        if (give_many(c, CTL_CMD_START_N, CL_ACCEPTED, CL_START_N_ACK))
            return;
    } else if (count_in(c, CL_ACCEPTED)) {
        ctl_write_start(c->send);
        send_sealed(c, CTL_SIMPLE_BYTES, CL_START_ACK);
        return;
    }
    act(c, CTLC_REFUSED, CTL_ALL)->accept = CTL_FAILED; /* the server has accepted none */
}

static void give_stop(struct ctl_client *c)
{
    struct ctl_stop m = { .sessions = count_in(c, CL_RUNNING) };

    if (is_individual(c) && give_many(c, CTL_CMD_STOP_N, CL_RUNNING, CL_STOP_N_ACK))
        return;
    if (!is_individual(c) && m.sessions) {
        ctl_write_stop(&m, c->send);
        send_sealed(c, CTL_SIMPLE_BYTES, CL_READY);
        move_all(c, CL_RUNNING, CL_FREE);
        c->any_stopped = true;
    }
    act(c, CTLC_STOPPED, CTL_ALL);
}

static bool step_ready(struct ctl_client *c)
{
    free(c->current);
    c->current = take_command(c);
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

/* ---- Phases ---- */

/* step: does one thing; false = waits. awaited: the answer, which has cfg.answer_ns to come. */
static const struct {
    bool (*step)(struct ctl_client *c);
    const char *awaited;
} phases[] = {
    [CL_GREETING] = { step_greeting, "Server-Greeting" },
    [CL_SERVER_START] = { step_server_start, "Server-Start" },
    [CL_START_TIME] = { step_start_time, "the rest of Server-Start" },
    [CL_READY] = { step_ready, NULL },
    [CL_ACCEPT] = { step_accept, "Accept-Session" },
    [CL_START_ACK] = { step_start_ack, "Start-Ack" },
    [CL_START_N_ACK] = { step_start_n_ack, "Start-N-Ack" },
    [CL_STOP_N_ACK] = { step_stop_n_ack, "Stop-N-Ack" },
    [CL_CLOSED] = { NULL, NULL },
};

enum tw_rc ctl_client_next(struct ctl_client *c, struct ctl_client_out *ret)
{
    const struct action *a;

    if (c->at == c->n_actions) {
        c->at = c->n_actions = c->send_len = 0;
        while (!c->n_actions && c->phase != CL_CLOSED) {
            if (c->ending) {
                act(c, CTLC_CLOSE, 0);
                c->ending = false;
                c->phase = CL_CLOSED;
            } else if (!phases[c->phase].step(c)) {
                break;
            }
        }
        if (!c->n_actions)
            return TW_EAGAIN;
    }
    a = &c->actions[c->at++];
    *ret = (struct ctl_client_out){ .what = a->what, .id = a->id, .accept = a->accept, .text = "" };
    if (a->what == CTLC_SEND) {
        ret->data = c->send;
        ret->len = c->send_len;
    } else if (a->what == CTLC_ACCEPTED) {
        ret->session = &c->accepted;
    } else if (a->what == CTLC_CLOSE) {
        ret->text = c->text;
    }
    return TW_OK;
}

/* ---- Inputs ---- */

size_t ctl_client_room(const struct ctl_client *c)
{
    return c->phase == CL_CLOSED ? 0 : ctl_rx_room(&c->rx);
}

void ctl_client_on_bytes(struct ctl_client *c, struct tw_now now, const uint8_t *data, size_t len)
{
    c->now = now;
    if (c->phase == CL_CLOSED)
        return;
    if (c->phase == CL_READY && len)
        end(c, "the server sends something that was not asked for");
    else
        ctl_rx_put(&c->rx, data, len);
}

struct tw_mono ctl_client_next_due(const struct ctl_client *c)
{
    if (!phases[c->phase].awaited || c->ending)
        return TW_MONO_NEVER;
    return (struct tw_mono){ c->since.ns + c->cfg.answer_ns };
}

void ctl_client_on_time(struct ctl_client *c, struct tw_now now)
{
    c->now = now;
    if (now.mono.ns >= ctl_client_next_due(c).ns)
        end(c, "%s did not come within %lld ms", phases[c->phase].awaited,
            (long long)(c->cfg.answer_ns / TW_NS_PER_MS));
}

void ctl_client_on_close(struct ctl_client *c, struct tw_now now)
{
    c->now = now;
    if (c->phase == CL_READY && c->any_stopped && !c->queue && !count_in(c, CL_RUNNING))
        end(c, "%s", "");
    else if (c->phase == CL_READY && count_in(c, CL_RUNNING))
        end(c, "the server closed the connection while sessions run");
    else if (phases[c->phase].awaited)
        end(c, "the server closed the connection where %s was due", phases[c->phase].awaited);
    else
        end(c, "the server closed the connection");
}

/* ---- Commands ---- */

static bool is_open(const struct ctl_client *c)
{
    return c->phase >= CL_READY && c->phase != CL_CLOSED && !c->ending;
}

/* Will sessions run when all that is queued is done? */
static bool will_run(const struct ctl_client *c)
{
    bool run = count_in(c, CL_RUNNING) || c->phase == CL_START_ACK;

    for (const struct command *m = c->queue; m; m = m->next)
        if (m->what != CTL_CMD_REQUEST)
            run = m->what == CTL_CMD_START;
    return run;
}

static enum tw_rc enqueue(struct ctl_client *c, enum ctl_command what, const uint32_t *ids, size_t n,
                          struct command **ret)
{
    struct command *m;

    if (c->queue_len >= QUEUE_MAX)
        return TW_EBUSY;
    m = calloc(1, sizeof *m + n * sizeof *ids);
    if (!m)
        return TW_ENOMEM;
    m->what = what;
    m->n = n;
    if (n)
        memcpy(m->ids, ids, n * sizeof *ids);
    *c->queue_end = m;
    c->queue_end = &m->next;
    c->queue_len++;
    *ret = m;
    return TW_OK;
}

static bool is_spec_good(const struct ctl_client *c, const struct ctl_session_spec *s)
{
    if (s->dscp > 63 || !s->sender.port || (s->ipvn && s->ipvn != 4 && s->ipvn != 6) || s->timeout_ns < 0)
        return false;
    return c->mode & TWAMP_REFLECT || !(s->reflect_octets | s->reflect_bytes);
}

enum tw_rc ctl_client_request(struct ctl_client *c, struct tw_now now, uint32_t id,
                              const struct ctl_session_spec *spec)
{
    struct cl_session *v;
    struct command *m;
    enum tw_rc rc;

    c->now = now;
    if (!is_open(c) || id == CTL_ALL || !is_spec_good(c, spec) || (!is_individual(c) && will_run(c)))
        return TW_EINVAL;
    if (find_id(c, id))
        return TW_EEXIST;
    v = find_free(c);
    if (!v)
        return TW_ENOSPC;
    rc = enqueue(c, CTL_CMD_REQUEST, NULL, 0, &m);
    if (rc)
        return rc;
    m->id = id;
    m->spec = *spec;
    *v = (struct cl_session){ .id = id, .state = CL_ASKED };
    return TW_OK;
}

enum tw_rc ctl_client_start(struct ctl_client *c, struct tw_now now, const uint32_t *ids, size_t n)
{
    struct command *m;

    c->now = now;
    if (!is_open(c) || (is_individual(c) ? n > c->cfg.max_sessions : n || will_run(c)))
        return TW_EINVAL;
    return enqueue(c, CTL_CMD_START, ids, n, &m);
}

enum tw_rc ctl_client_stop(struct ctl_client *c, struct tw_now now, const uint32_t *ids, size_t n)
{
    struct command *m;

    c->now = now;
    if (!is_open(c) || (is_individual(c) ? n > c->cfg.max_sessions : n > 0))
        return TW_EINVAL;
    return enqueue(c, CTL_CMD_STOP, ids, n, &m);
}
