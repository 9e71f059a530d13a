/* agent/core/twamp_ctl_server.c - the Server of TWAMP-Control; see twamp_ctl.h.
 *
 * Octets and events only leave their mark; work is done by ctl_server_next() when nothing is waiting to go
 * out, one message at a time. So what waits is never more than one message's answer, whatever the client
 * sends. */
#include "agent/core/twamp_ctl_server_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RX_BYTES_MIN = 2048 };

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

uint32_t sv_count(const struct ctl_server *s, enum sv_state state)
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

/* ---- What goes out ---- */

void sv_act(struct ctl_server *s, enum ctl_server_do what, uint32_t id)
{
    s->actions[s->n_actions++] = (struct action){ .what = what, .id = id };
}

void sv_note(struct ctl_server *s, enum ctl_accept accept, const char *text)
{
    snprintf(s->note, sizeof s->note, "%s", text);
    sv_act(s, CTL_NOTE, 0);
    s->actions[s->n_actions - 1].accept = accept;
}

void sv_end(struct ctl_server *s, enum ctl_why why, const char *text)
{
    if (s->ending || s->phase == SV_CLOSED)
        return;
    s->ending = true;
    s->why = why;
    snprintf(s->text, sizeof s->text, "%s", text);
}

void sv_send_sealed(struct ctl_server *s, size_t len)
{
    if (ctl_tx_seal(&s->tx, s->send + s->send_len, len)) {
        sv_end(s, CTL_WHY_INTERNAL, "libcrypto cannot encrypt");
        return;
    }
    s->send_len += len;
    if (!s->n_actions || s->actions[s->n_actions - 1].what != CTL_SEND)
        sv_act(s, CTL_SEND, 0);
}

static void drop_all(struct ctl_server *s)
{
    for (uint32_t i = 0; i < s->cfg.max_sessions; i++) {
        struct sv_session *v = &s->sessions[i];
        if (v->state == SV_ACCEPTED || v->state == SV_RUNNING)
            sv_act(s, CTL_DROP, v->id);
        v->state = SV_FREE;
    }
}

/* ---- Phases ---- */

/* step: does one thing; false = waits for more octets. What may be waited for is limited by `limit`. */
static const struct {
    bool (*step)(struct ctl_server *s);
    const char *timeout;
} phases[] = {
    [SV_GREET] = { sv_step_greet, "no Set-Up-Response within the time for the handshake" },
    [SV_SET_UP] = { sv_step_set_up, "no Set-Up-Response within the time for the handshake" },
    [SV_COMMAND] = { sv_step_command, "no command for the time SERVWAIT" },
    [SV_OPENING] = { NULL, NULL }, /* we wait for ourselves */
    [SV_OPENED] = { sv_step_opened, NULL },
    [SV_CLOSED] = { NULL, NULL },
};

static void finish(struct ctl_server *s)
{
    drop_all(s);
    sv_act(s, CTL_CLOSE, 0);
    s->ending = false;
    s->phase = SV_CLOSED;
}

static bool is_idle_shut_down(const struct ctl_server *s)
{
    return s->shutting_down && s->phase <= SV_COMMAND && !sv_count(s, SV_RUNNING);
}

/* Goes on until there is something to give out or to wait for. */
static void pump(struct ctl_server *s)
{
    while (!s->n_actions && s->phase != SV_CLOSED) {
        if (is_idle_shut_down(s))
            sv_end(s, CTL_WHY_SHUT_DOWN, "shutting down");
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

    if (!phases[s->phase].timeout || s->ending || sv_count(s, SV_RUNNING))
        return TW_MONO_NEVER;
    return (struct tw_mono){ s->since.ns + limit };
}

void ctl_server_on_time(struct ctl_server *s, struct tw_now now)
{
    s->now = now;
    if (now.mono.ns >= ctl_server_next_due(s).ns)
        sv_end(s, CTL_WHY_TIMEOUT, phases[s->phase].timeout);
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
    if (v->state == SV_RUNNING && sv_count(s, SV_RUNNING) == 1)
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
    sv_end(s, CTL_WHY_PEER, "closed by the client");
}
