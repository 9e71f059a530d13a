/* agent/core/twamp_ctl_greeted.c - the Control-Client up to Server-Start; see twamp_ctl_client_priv.h. */
#include "agent/core/twamp_ctl_client_priv.h"

#include <string.h>

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
        cl_end(c, "the server does not want to talk to us (its greeting offers no mode)");
    else if (!security && !*c->key_id && !(g->modes & c->cfg.modes & TWAMP_OPEN))
        cl_end(c, "the server offers modes 0x%x, of which we may use none without a user and passphrase",
               g->modes);
    else if (!security)
        cl_end(c, "the server offers modes 0x%x, of which we may use none (ours are 0x%x)", g->modes,
               c->cfg.modes);
    else if (lacks)
        cl_end(c, "the server offers modes 0x%x, without the features 0x%x that are needed", g->modes, lacks);
    else if (security != TWAMP_OPEN && (g->count < CTL_COUNT_MIN || g->count & (g->count - 1)))
        cl_end(c, "the server's count of PBKDF2 rounds is %u, expected a power of 2 from %d on", g->count,
               CTL_COUNT_MIN);
    else if (security != TWAMP_OPEN && g->count > c->cfg.max_count)
        cl_end(c, "the server asks for %u PBKDF2 rounds, we do at most %u", g->count, c->cfg.max_count);
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

bool cl_step_greeting(struct ctl_client *c)
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
        cl_end(c, "libcrypto cannot make the token");
        return true;
    }
    crypto_wipe(c->passphrase, sizeof c->passphrase);
    ctl_write_set_up(&u, c->send);
    cl_send(c, CTL_SET_UP_BYTES, CL_SERVER_START);
    return true;
}

static void refused_set_up(struct ctl_client *c, unsigned accept)
{
    if (accept == CTL_FAILED && !(c->mode & TWAMP_OPEN))
        cl_end(c, "the server refuses the login: unknown user or wrong passphrase");
    else
        cl_end(c, "the server refuses mode 0x%x (%s): %s (Accept %u)", c->mode, ctl_mode_text(c->mode),
               ctl_accept_text(accept), accept);
}

bool cl_step_server_start(struct ctl_client *c)
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
        cl_end(c, "libcrypto cannot make the keys");
    return true;
}

/* Its HMAC is that of the first message after it. */
bool cl_step_start_time(struct ctl_client *c)
{
    if (!ctl_rx_peek(&c->rx, CRYPTO_BLOCK))
        return false;
    ctl_rx_carry(&c->rx);
    c->phase = CL_READY;
    cl_act(c, CTLC_READY, 0);
    return true;
}
