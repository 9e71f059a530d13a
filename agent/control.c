/* agent/control.c - see control.h. */
#include "agent/control.h"

#include <stdlib.h>
#include <string.h>
#include "agent/core/twamp_ctl.h"

/* Each pair of an agent of ours takes a connection: so many classes may it have to us. */
#define CONNECTIONS_PER_PEER 256
#define CONNECTS_BURST (2 * CONNECTIONS_PER_PEER) /* all of them, and again after a restart */

struct control {
    struct ctl_listener *listener;
    struct keyring *keys;
    uint16_t port;
};

static size_t find_secret(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    return keyring_secret(((struct control *)ctx)->keys, key_id, which, ret, cap);
}

static enum tw_rc parse_addresses(const struct agent_options *o, struct tw_addr ret[CTL_LISTEN_MAX],
                                  size_t *ret_n, struct tw_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < o->control.n; i++) {
        const char *text = o->control.v[i];

        if (!strcmp(text, "none"))
            continue;
        if (n == CTL_LISTEN_MAX)
            return tw_err_set(err, TW_EINVAL, "--control: at most %d addresses", CTL_LISTEN_MAX);
        if (tw_addr_parse(text, CTL_PORT, &ret[n]) != TW_OK)
            return tw_err_set(
                err, TW_EINVAL,
                "--control: \"%.64s\" is no address; expected 192.0.2.1:862 or [2001:db8::1]:862", text);
        if (n && ret[n].port != ret[0].port)
            return tw_err_set(err, TW_EINVAL, "--control: all addresses must have the same port");
        n++;
    }
    *ret_n = n;
    return TW_OK;
}

static enum tw_rc listen_at(struct control *c, const struct ctl_listener_cfg *cfg, struct tw_err *err)
{
    struct tw_addr first;
    enum tw_rc rc = ctl_listener_start(cfg, &c->listener, err);

    if (rc == TW_OK && ctl_listener_addr(c->listener, 0, &first) == TW_OK)
        c->port = first.port;
    return rc;
}

enum tw_rc control_start(const struct agent_options *o, struct loop *loop, struct worker **workers,
                         size_t n_workers, struct keyring *keys, struct acl *acl, struct control **ret,
                         struct tw_err *err)
{
    struct ctl_listener_cfg cfg = { .loop = loop,
                                    .workers = workers,
                                    .n_workers = n_workers,
                                    .modes = o->control_modes | TWAMP_FEATURES,
                                    .max_per_peer = CONNECTIONS_PER_PEER,
                                    .acl = acl,
                                    .connects_per_second = (uint32_t)o->control_rate,
                                    .connects_burst = CONNECTS_BURST,
                                    .port_low = o->test_ports.low,
                                    .port_high = o->test_ports.high };
    struct control *c;
    size_t n = 0;
    enum tw_rc rc = parse_addresses(o, cfg.listen, &n, err);

    if (rc != TW_OK || !n)
        return rc;
    c = calloc(1, sizeof *c);
    if (!c)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    c->keys = keys;
    cfg.secret_ctx = c;
    if (keys)
        cfg.secret = find_secret;
    else
        cfg.modes &= TWAMP_OPEN | TWAMP_FEATURES;
    rc = listen_at(c, &cfg, err);
    if (rc != TW_OK) {
        free(c);
        return rc;
    }
    *ret = c;
    return TW_OK;
}

void control_stop(struct control *c)
{
    if (!c)
        return;
    ctl_listener_stop(c->listener);
    free(c);
}

uint16_t control_port(const struct control *c)
{
    return c ? c->port : 0;
}

void control_set_acl(struct control *c, struct acl *acl)
{
    if (c)
        ctl_listener_set_acl(c->listener, acl);
}

void control_set_rate(struct control *c, int64_t connects_per_second)
{
    if (c)
        ctl_listener_set_rate(c->listener, (uint32_t)connects_per_second);
}

void control_on_results(struct control *c)
{
    if (c)
        ctl_listener_on_results(c->listener);
}

void control_fill_health(const struct control *c, Tw__HealthReport *h)
{
    struct ctl_listener_counters n;

    if (!c)
        return;
    ctl_listener_counters(c->listener, &n);
    h->control_connections = n.connections;
    h->control_logins_failed = n.closed[CTL_WHY_LOGIN];
    h->control_not_allowed = n.refused_acl;
    h->control_rate_limited = n.refused_rate;
    h->control_refused = n.refused_connections + n.refused_peer + n.refused_handshakes;
    for (unsigned i = CTL_OK + 1; i < CTL_ACCEPTS; i++)
        h->control_refused += n.requests_refused[i];
}
