/* agent/core/twamp_ctl_login.c - the Server of TWAMP-Control up to Server-Start; see twamp_ctl_server_priv.h.
 */
#include "agent/core/twamp_ctl_server_priv.h"

#include <stdio.h>
#include <string.h>

bool sv_step_greet(struct ctl_server *s)
{
    struct ctl_greeting *g = &s->greeting;

    g->modes = s->cfg.modes;
    g->count = s->cfg.count;
    s->cfg.random(s->cfg.ctx, g->challenge, sizeof g->challenge);
    s->cfg.random(s->cfg.ctx, g->salt, sizeof g->salt);
    ctl_write_greeting(g, s->send);
    s->send_len = CTL_GREETING_BYTES;
    sv_act(s, CTL_SEND, 0);
    s->phase = SV_SET_UP;
    return true;
}

static void send_server_start(struct ctl_server *s, const struct ctl_server_start *start)
{
    ctl_write_server_start(start, s->send);
    if (start->accept == CTL_OK && ctl_tx_carry(&s->tx, s->send + CTL_SERVER_START_BYTES - CRYPTO_BLOCK)) {
        sv_end(s, CTL_WHY_INTERNAL, "libcrypto cannot encrypt");
        return;
    }
    s->send_len = CTL_SERVER_START_BYTES;
    sv_act(s, CTL_SEND, 0);
}

static void refuse_set_up(struct ctl_server *s, enum ctl_accept accept, enum ctl_why why, const char *text)
{
    struct ctl_server_start start = { .accept = (uint8_t)accept };

    send_server_start(s, &start);
    sv_end(s, why, text);
}

/* Exactly one security mode, and nothing that was not offered. */
static bool is_mode_offered(const struct ctl_server *s, uint32_t mode)
{
    uint32_t security = mode & TWAMP_SECURITY;

    return security && !(security & (security - 1)) && !(mode & ~s->cfg.modes);
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
        sv_end(s, CTL_WHY_MODE, "the client wants none of the modes offered");
        return;
    }
    if (!is_mode_offered(s, u->mode)) {
        char text[96];
        snprintf(text, sizeof text,
                 "the client asks for mode 0x%x, expected one of 0x%x and features of 0x%x", u->mode,
                 s->cfg.modes & TWAMP_SECURITY, s->cfg.modes & TWAMP_FEATURES);
        refuse_set_up(s, CTL_UNSUPPORTED, CTL_WHY_MODE, text);
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

bool sv_step_set_up(struct ctl_server *s)
{
    const uint8_t *data = ctl_rx_peek(&s->rx, CTL_SET_UP_BYTES);
    struct ctl_set_up u;

    if (!s->cfg.modes) {
        sv_end(s, CTL_WHY_MODE, "no mode is offered");
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
