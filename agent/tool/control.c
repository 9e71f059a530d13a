/* agent/tool/control.c - see control.h. */
#include "agent/tool/control.h"

#include <stdio.h>
#include <string.h>

enum tw_rc control_check(const struct tool_options *o, struct tw_err *err)
{
    if (o->user && !o->secrets)
        return tw_err_set(err, TW_EINVAL, "--user needs a passphrase: give --secrets FILE");
    if (o->secrets && !o->user)
        return tw_err_set(err, TW_EINVAL, "--secrets: say who we are with --user NAME");
    if (o->modes && !(o->modes & TWAMP_OPEN) && !o->user)
        return tw_err_set(err, TW_EINVAL, "--mode: these modes need --user NAME and --secrets FILE");
    return TW_OK;
}

/* The first passphrase of the user is the present one. */
static enum tw_rc find_passphrase(const struct tool_options *o, const struct secrets *s,
                                  struct ctl_client_cfg *c, struct tw_err *err)
{
    struct form_key key;

    if (!secrets_find(s, o->user, strlen(o->user), &key, 1))
        return tw_err_set(err, TW_EINVAL, "--user: %.100s does not know \"%.80s\"", o->secrets, o->user);
    c->key_id = o->user;
    c->passphrase = key.octets;
    c->passphrase_len = key.len;
    return TW_OK;
}

enum tw_rc control_dial(const struct tool_options *o, uint32_t modes, struct ctl_dialer_cfg *cfg,
                        struct ctl_dialer **ret, struct tw_err *err)
{
    struct secrets *s = NULL;
    enum tw_rc rc = TW_OK;

    cfg->server.port = (uint16_t)o->control_port;
    cfg->bind.port = 0;
    cfg->client.modes = (o->modes ? o->modes : TWAMP_SECURITY) & modes;
    cfg->client.need = o->features;
    if (!cfg->client.modes)
        return tw_err_set(err, TW_EINVAL, "--mode: only open and mixed are of use here");
    cfg->client.max_sessions = (uint32_t)(o->flows ? o->flows : 1);
    if (o->secrets)
        rc = secrets_load(o->secrets, &s, err);
    if (rc == TW_OK && s)
        rc = find_passphrase(o, s, &cfg->client, err);
    if (rc == TW_OK)
        rc = ctl_dialer_start(cfg, ret, err); /* copies */
    secrets_free(s);
    return rc;
}

const char *control_refusal(const char *what, unsigned accept, char buf[160])
{
    snprintf(buf, 160, "the server refuses %s: %s (Accept %u)", what, ctl_accept_text(accept), accept);
    return buf;
}
