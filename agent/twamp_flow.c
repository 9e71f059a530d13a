/* agent/twamp_flow.c - one flow of a TWAMP pair: its socket, its request, its session; see twamp_run_priv.h.
 */
#include <string.h>
#include <sys/socket.h>
#include "agent/twamp_run_priv.h"

#define RCVBUF (256 * 1024)
/* Asked for; servers may choose others. Those of other implementations by default, to please firewalls. */
#define PORT_FIRST 18760
#define PORTS 1200

uint32_t twamp_flow_mode(const struct session_spec *s)
{
    static const uint32_t modes[] = { [TW__AUTH__AUTH_NONE] = TWAMP_OPEN,
                                      [TW__AUTH__AUTH_AUTHENTICATED] = TWAMP_AUTHENTICATED,
                                      [TW__AUTH__AUTH_ENCRYPTED] = TWAMP_ENCRYPTED,
                                      [TW__AUTH__AUTH_MIXED] = TWAMP_MIXED };

    return modes[s->auth]; /* session_spec_read() has checked it */
}

/* ---- Socket ---- */

/* The address that packets to the server leave with by this socket's interface. */
static enum tw_rc find_source(const struct udp_conf *conf, const struct tw_addr *to, struct tw_addr *ret,
                              struct tw_err *err)
{
    struct sockaddr_storage sa;
    socklen_t len = tw_addr_to_sockaddr(to, &sa);
    struct udpsock s;
    enum tw_rc rc = udp_open(conf, &s, err);

    if (rc)
        return rc;
    if (connect(s.fd, (struct sockaddr *)&sa, len))
        rc = tw_err_set(err, TW_EIO, "the server cannot be reached by interface %s", conf->interface);
    len = sizeof sa;
    if (!rc && !getsockname(s.fd, (struct sockaddr *)&sa, &len))
        rc = tw_addr_from_sockaddr((struct sockaddr *)&sa, ret);
    udp_close(&s);
    return rc;
}

enum tw_rc twamp_flow_open(struct twamp_flow *f, struct tw_err *err)
{
    struct udp_conf conf = { .local = f->spec.bind, .rcvbuf_bytes = RCVBUF, .df = f->spec.df };

    memcpy(conf.interface, f->spec.interface, sizeof conf.interface);
    if (!conf.local.family)
        conf.local = (struct tw_addr){ .family = f->spec.target.family };
    if (conf.interface[0]) {
        enum tw_rc rc = find_source(&conf, &f->spec.target, &conf.local, err);

        if (rc)
            return rc;
        conf.local.port = 0;
    }
    return udp_open(&conf, &f->sock, err);
}

/* ---- Agreeing ---- */

static uint16_t largest(const struct session_cfg *c)
{
    uint16_t n = c->size_bytes;

    if (!c->imix_bytes[0])
        return n;
    for (size_t i = 0; i < TW_NELEM(c->imix_bytes); i++)
        n = i && c->imix_bytes[i] < n ? n : c->imix_bytes[i];
    return n;
}

void twamp_flow_request(const struct twamp_flow *f, struct ctl_session_spec *ret)
{
    const struct session_cfg *c = &f->spec.cfg;
    bool is_signed = twamp_flow_mode(&f->spec) & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED);
    uint16_t header = is_signed ? 48 : 14;

    *ret = (struct ctl_session_spec){ .ipvn = f->spec.target.family,
                                      .padding_bytes = (uint32_t)(largest(c) - header),
                                      .timeout_ns = c->timeout_ns,
                                      .dscp = c->dscp };
    /* No address: that of the control connection, as a translator between us sees it. Where the probes may
     * have another one it must be said. */
    if (!f->sock.any)
        ret->sender = f->sock.local;
    ret->sender.port = f->sock.local.port;
    ret->receiver.port = (uint16_t)(PORT_FIRST + (c->pair_id * 31 + c->flow) % PORTS);
}

enum tw_rc twamp_flow_accept(struct twamp_flow *f, const struct ctl_session *s)
{
    struct form_cfg c = { .kind = FORM_TWAMP,
                          .twamp = { .mode = s->mode, .keys = s->keys, .server_octets = s->server_octets } };
    enum tw_rc rc = form_new(&c, &f->form);

    crypto_wipe(&c.twamp.keys, sizeof c.twamp.keys);
    if (rc)
        return rc;
    f->target = f->spec.target;
    f->target.port = s->spec.receiver.port;
    f->state = FLOW_ACCEPTED;
    return TW_OK;
}

/* ---- Running ---- */

enum tw_rc twamp_flow_hand_over(struct twamp_flow *f, struct worker *w)
{
    struct worker_session ws = {
        .cfg = f->spec.cfg, .form = f->form, .target = f->target, .ttl = f->spec.ttl, .sock = &f->sock
    };
    enum tw_rc rc = worker_add(w, &ws);

    if (rc)
        return rc;
    f->form = NULL;
    f->state = FLOW_RUNNING;
    return TW_OK;
}

void twamp_flow_reset(struct twamp_flow *f)
{
    form_free(f->form);
    f->form = NULL;
    if (f->sock.fd >= 0)
        udp_close(&f->sock);
    f->sock.fd = -1;
    f->state = FLOW_IDLE;
}
