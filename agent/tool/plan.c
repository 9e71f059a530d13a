/* agent/tool/plan.c - see plan.h. */
#include "agent/tool/plan.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/core/twamp_ctl.h"
#include "agent/core/twamp_pkt.h"
#include "common/net/now.h"

enum { SAMPLES_MIN = 256, SENDER_RCVBUF = 1 << 20, REFLECT_MAX = 16 };

/* ---- Contradictions ---- */

static enum tw_rc refuse(struct tw_err *err, const char *option, const char *why)
{
    return tw_err_set(err, TW_EINVAL, "--%s %s", option, why);
}

static bool wants_stamp(const struct tool_options *o)
{
    return o->tlvs || o->ssid || o->reply_dscp >= 0;
}

static enum tw_rc check_security(const struct tool_options *o, struct tw_err *err)
{
    if (o->protocol != TOOL_STAMP && wants_stamp(o))
        return refuse(err,
                      o->tlvs   ? "tlv"
                      : o->ssid ? "ssid"
                                : "reply-dscp",
                      "is of STAMP: give --protocol stamp, too");
    if (o->protocol != TOOL_TWAMP && (o->modes || o->features))
        return refuse(err, o->modes ? "mode" : "features", "is of TWAMP: give --protocol twamp, too");
    if (o->protocol == TOOL_LIGHT && o->auth != TOOL_AUTH_OPEN)
        return refuse(err, "auth", "needs --protocol stamp or twamp: TWAMP Light has no authentication");
    if (o->protocol == TOOL_STAMP && o->auth > TOOL_AUTH_AUTHENTICATED)
        return refuse(err, "auth", "of STAMP is \"authenticated\" only");
    if ((o->auth != TOOL_AUTH_OPEN || o->tlvs & STAMP_TLV_BIT(STAMP_TLV_HMAC)) && !o->secrets)
        return refuse(err, o->auth != TOOL_AUTH_OPEN ? "auth" : "tlv hmac",
                      "needs keys: give --secrets FILE");
    return TW_OK;
}

enum tw_rc plan_check(const struct tool_options *o, struct tw_err *err)
{
    if (o->size && o->padding != TOOL_PADDING_DEFAULT)
        return refuse(err, "size", "and --padding say the same thing: give one of them");
    if (o->timeout_ns > o->report_period_ns && (o->forever || o->metrics.on))
        return refuse(err, "timeout", "may not be longer than --report-period");
    if (o->timeout_ns / o->interval_ns > 200000)
        return refuse(err, "timeout", "is too long for this --interval: 200000 probes may be in flight");
    return check_security(o, err);
}

enum tw_rc plan_read_hosts(const struct tool_options *o, const struct conf_strlist *args,
                           struct host_spec *ret_remote, struct host_spec *ret_local, struct tw_err *err)
{
    enum tw_rc rc = host_parse(args->n ? args->v[0] : "127.0.0.1", TOOL_REMOTE_PORT, ret_remote, err);

    if (rc == TW_OK && o->bind && args->n > 1)
        return tw_err_set(err, TW_EINVAL,
                          "--bind and the second argument \"%.80s\" say the same thing: give one",
                          args->v[1]);
    if (rc == TW_OK)
        rc = host_parse(o->bind ? o->bind : args->n > 1 ? args->v[1] : "", TOOL_LOCAL_PORT, ret_local, err);
    return rc;
}

/* ---- Forms ---- */

static uint16_t random_u16(void)
{
    uint16_t v = 0;

    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v)
        v = (uint16_t)tw_wall_now().ns;
    return v;
}

static bool has_key(const struct form_cfg *fc, const struct form_key *k)
{
    for (unsigned i = 0; i < fc->n_keys; i++)
        if (fc->keys[i].octets == k->octets)
            return true;
    return false;
}

/* Those of the key that was named first, of which the first signs, then all others: answers may be signed
 * with any. */
static enum tw_rc add_keys(const struct tool_options *o, const struct secrets *s, struct form_cfg *fc,
                           struct tw_err *err)
{
    const char *name = o->key_id ? o->key_id : o->user;
    size_t n = name ? secrets_find(s, name, strlen(name), fc->keys, STAMP_KEYS_MAX) : 0;

    if (name && !n)
        return tw_err_set(err, TW_EINVAL, "--key-id: %.100s has no key \"%.80s\"", o->secrets, name);
    fc->n_keys = n < STAMP_KEYS_MAX ? (unsigned)n : STAMP_KEYS_MAX;
    for (size_t i = 0; i < secrets_count(s) && fc->n_keys < STAMP_KEYS_MAX; i++) {
        struct form_key more = secrets_get(s, i);
        if (!has_key(fc, &more))
            fc->keys[fc->n_keys++] = more;
    }
    return TW_OK;
}

static void fill_tlvs(const struct tool_options *o, struct form_cfg *fc)
{
    fc->tlvs.types = o->tlvs;
    if (o->reply_dscp >= 0) {
        fc->tlvs.types |= STAMP_TLV_BIT(STAMP_TLV_COS);
        fc->tlvs.cos_dscp = (uint8_t)o->reply_dscp;
    }
    if (fc->tlvs.types & STAMP_TLV_BIT(STAMP_TLV_ACCESS)) { /* a wired host: not 3GPP, available */
        fc->tlvs.access_id = 2;
        fc->tlvs.access_code = 1;
    }
}

static enum tw_rc make_forms(const struct tool_options *o, const struct secrets *s, struct plan *p,
                             struct tw_err *err)
{
    struct form_cfg fc = { .kind = o->protocol == TOOL_STAMP ? FORM_STAMP : FORM_TWAMP };
    enum tw_rc rc = TW_OK;

    fc.authenticated = o->auth == TOOL_AUTH_AUTHENTICATED;
    fill_tlvs(o, &fc);
    p->tlvs = fc.tlvs.types;
    if (s)
        rc = add_keys(o, s, &fc, err);
    for (size_t i = 0; rc == TW_OK && i < p->run.n_flows; i++) {
        fc.ssid = p->ssid;
        rc = form_new(fc.kind == FORM_STAMP ? &fc : NULL, &p->flows[i].form);
        if (rc)
            tw_err_set(err, rc, "these options do not go together: %s", tw_rc_name(rc));
    }
    return rc;
}

/* ---- Sizes ---- */

/* So that the answer is as long as the request: no answer is shorter than TWAMP_REPLY_MIN. */
static size_t symmetrical_min(const struct form *f)
{
    size_t min = form_probe_min(f);

    return form_kind(f) == FORM_TWAMP && min < TWAMP_REPLY_MIN ? TWAMP_REPLY_MIN : min;
}

/* Octets of IP packets that the mix is known by, less IP and UDP headers. */
static void set_imix(struct plan *p, size_t smallest)
{
    uint16_t headers = p->remote.family == 6 ? 48 : 28;

    p->imix_bytes[0] = (uint16_t)smallest;
    p->imix_bytes[1] = (uint16_t)(576 - headers);
    p->imix_bytes[2] = (uint16_t)(1500 - headers);
    memcpy(p->run.session.imix_bytes, p->imix_bytes, sizeof p->imix_bytes);
}

/* equal: the smallest size whose answer is as long. */
static enum tw_rc set_size(const struct tool_options *o, struct plan *p, const struct form *f, size_t equal,
                           struct tw_err *err)
{
    size_t min = form_probe_min(f), size = equal;

    if (o->padding == TOOL_PADDING_IMIX) {
        set_imix(p, equal);
        return TW_OK;
    }
    if (o->size)
        size = (size_t)o->size;
    else if (o->padding >= 0)
        size = min + (size_t)o->padding;
    if (size < min)
        return tw_err_set(err, TW_EINVAL, "--size: these packets need at least %zu octets, not %zu", min,
                          size);
    if (size > TEST_DATAGRAM_MAX)
        return tw_err_set(err, TW_EINVAL, "--padding: with the header that is %zu octets, more than %d", size,
                          TEST_DATAGRAM_MAX);
    if (!form_size_ok(f, size))
        return tw_err_set(
            err, TW_EINVAL,
            "%s: STAMP pads with a TLV of 4 octets or more: expected %zu octets, or at least %zu",
            o->size ? "--size" : "--padding", o->size ? min : 0, o->size ? min + 4 : 4);
    p->size_bytes = p->run.session.size_bytes = (uint16_t)size;
    return TW_OK;
}

/* ---- TWAMP-Control ---- */

/* How much of the padding is to come back: what the answer has room for, RFC 6038 section 4.2. */
static void ask_reflection(size_t padding, size_t cut_off, struct plan_request *ret)
{
    size_t room = padding > cut_off ? padding - cut_off : 0;

    if (room && !cut_off)
        room--; /* less than the whole */
    ret->reflect_bytes = (uint16_t)(room < REFLECT_MAX ? room : REFLECT_MAX);
    ret->reflect_octets = random_u16();
}

static enum tw_rc set_sizes_of_mode(const struct tool_options *o, uint32_t mode, const struct twamp_form *t,
                                    const struct form *f, struct plan *p, struct plan_request *ret,
                                    struct tw_err *err)
{
    size_t min = twamp_form_probe_min(t), equal = twamp_form_reply_min(t), cut_off = equal - min, largest;
    enum tw_rc rc;

    if (mode & TWAMP_REFLECT)
        equal += REFLECT_MAX + 1;
    rc = set_size(o, p, f, equal, err);
    if (rc)
        return rc;
    largest = p->imix_bytes[2] ? p->imix_bytes[2] : p->size_bytes;
    ret->padding_bytes = (uint32_t)(largest - min);
    if (mode & TWAMP_REFLECT) /* every probe of a mix must have room for it */
        ask_reflection((p->imix_bytes[0] ? p->imix_bytes[0] : largest) - min, cut_off, ret);
    return TW_OK;
}

enum tw_rc plan_set_mode(const struct tool_options *o, uint32_t mode, struct plan *p,
                         struct plan_request *ret, struct tw_err *err)
{
    struct form_cfg fc = { .kind = FORM_TWAMP, .twamp = { .mode = mode } };
    struct twamp_form *t = NULL;
    struct form *f = NULL;
    enum tw_rc rc = twamp_form_new(&fc.twamp, &t);

    if (rc == TW_OK)
        rc = form_new(&fc, &f);
    if (rc) {
        tw_err_set(err, rc, "mode 0x%x: %s", mode, tw_rc_name(rc));
    } else {
        *ret = (struct plan_request){ 0 };
        rc = set_sizes_of_mode(o, mode, t, f, p, ret, err);
    }
    p->auth = mode & TWAMP_OPEN ? "none" : ctl_mode_text(mode);
    twamp_form_free(t);
    form_free(f);
    return rc;
}

/* ---- All together ---- */

static uint64_t random_seed(void)
{
    uint64_t v;

    return getrandom(&v, sizeof v, 0) == (ssize_t)sizeof v ? v : (uint64_t)tw_wall_now().ns;
}

/* All that may be in flight, of which the fate can become known at once. */
static uint32_t samples_for(const struct tool_options *o)
{
    return (uint32_t)(o->timeout_ns / o->interval_ns) + SAMPLES_MIN;
}

static void fill_session(const struct tool_options *o, struct plan *p)
{
    struct session_cfg *s = &p->run.session;

    s->spacing_ns = o->interval_ns;
    s->spacing_kind = o->exponential || o->spacing_kind ? SESSION_EXPONENTIAL : SESSION_FIXED;
    s->zero_padding = o->zero_padding;
    s->dscp = p->run.tos >> 2;
    s->timeout_ns = o->timeout_ns;
    /* A run that ends is one piece, unless somebody watches its metrics. */
    s->report_period_ns = o->forever || o->metrics.on ? o->report_period_ns : RUN_ONE_PERIOD_NS;
    s->seed = random_seed();
    s->count = o->forever ? 0 : (uint64_t)o->count;
    s->samples = samples_for(o);
}

static void describe(const struct tool_options *o, const struct host_pair *hosts, struct plan *p)
{
    static const char *const protocols[] = { "light", "stamp", "twamp" };
    static const char *const auths[] = { "none", "authenticated", "encrypted", "mixed" };

    p->protocol = protocols[o->protocol];
    p->auth = auths[o->auth];
    memcpy(p->target, hosts->target, sizeof p->target);
    p->remote = hosts->remote;
    p->df = o->do_not_fragment;
    p->forever = o->forever;
    p->ssid = (uint16_t)o->ssid;
    if (o->protocol == TOOL_STAMP && !p->ssid)
        while (!p->ssid)
            p->ssid = random_u16();
}

enum tw_rc plan_make(const struct tool_options *o, const struct host_pair *hosts, struct plan *p,
                     struct tw_err *err)
{
    struct secrets *s = NULL;
    enum tw_rc rc;

    *p = (struct plan){ .run = { .n_flows = (size_t)o->flows,
                                 .ttl = (uint8_t)o->ttl,
                                 .precise = o->precise,
                                 .user_tx_times = o->tx_timestamps == 1 } };
    p->run.flows = p->flows;
    for (size_t i = 0; i < RUN_FLOWS_MAX; i++)
        p->flows[i] = (struct run_flow){ .target = hosts->remote, .sock = { .fd = -1 } };
    describe(o, hosts, p);
    rc = tool_options_tos(o, TOOL_DEFAULT_TOS, &p->run.tos, err);
    if (rc == TW_OK)
        rc = plan_check(o, err);
    if (rc == TW_OK && o->secrets && o->protocol != TOOL_TWAMP)
        rc = secrets_load(o->secrets, &s, err);
    if (rc == TW_OK)
        rc = make_forms(o, s, p, err);
    secrets_free(s);
    if (rc == TW_OK && o->protocol != TOOL_TWAMP) /* there a mode has to be agreed first */
        rc = set_size(o, p, p->flows[0].form, symmetrical_min(p->flows[0].form), err);
    if (rc == TW_OK)
        fill_session(o, p);
    else
        plan_close(p);
    return rc;
}

void plan_close(struct plan *p)
{
    for (size_t i = 0; i < RUN_FLOWS_MAX; i++) {
        form_free(p->flows[i].form);
        p->flows[i].form = NULL;
        udp_close(&p->flows[i].sock);
    }
}

/* ---- Sockets ---- */

/* What a connected socket says. */
struct tw_addr plan_source_of(const struct udpsock *s, const struct tw_addr *remote)
{
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(remote, &ss);
    struct tw_addr a = s->local;
    int fd = s->any ? socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

    if (fd >= 0 && !connect(fd, (struct sockaddr *)&ss, len)) {
        len = sizeof ss;
        if (!getsockname(fd, (struct sockaddr *)&ss, &len))
            tw_addr_from_sockaddr((struct sockaddr *)&ss, &a);
    }
    if (fd >= 0)
        close(fd);
    a.port = s->local.port;
    return a;
}

/* Reflectors drop what comes from their own port, or from that of TWAMP-Control, lest two of them answer each
 * other. The first flow is what was asked for, the others go around. */
static bool skips(const struct plan *p, uint32_t port)
{
    return port == p->remote.port || port == 862;
}

/* The port of flow i, counting up from `first`; 0: there is none. */
static uint16_t port_of(const struct plan *p, uint16_t first, size_t i)
{
    uint32_t port = first;

    while (i > 0 && port < 65536) {
        port++;
        i -= !skips(p, port);
    }
    return port < 65536 ? (uint16_t)port : 0;
}

/* At a port that the kernel chooses. It may choose one to leave out: then another one, while that is held. */
static enum tw_rc open_anywhere(const struct plan *p, const struct udp_conf *conf, struct udpsock *ret,
                                struct tw_err *err)
{
    struct udp_conf c = *conf;
    struct udpsock held = { .fd = -1 };
    enum tw_rc rc;

    c.local.port = 0;
    rc = udp_open(&c, ret, err);
    if (rc == TW_OK && skips(p, ret->local.port)) {
        held = *ret;
        ret->fd = -1;
        rc = udp_open(&c, ret, err);
    }
    udp_close(&held);
    return rc;
}

static enum tw_rc open_flow(const struct tool_options *o, const struct udp_conf *conf, bool port_given,
                            size_t i, struct plan *p, struct tw_err *err)
{
    struct udp_conf c = *conf;
    char text[TW_ADDR_TEXT];
    enum tw_rc rc;

    if (conf->local.port && !(c.local.port = port_of(p, conf->local.port, i)))
        return tw_err_set(err, TW_EINVAL, "--flows: there are no %d source ports from %u on", (int)o->flows,
                          conf->local.port);
    rc = c.local.port ? udp_open(&c, &p->flows[i].sock, err) : TW_EINUSE;
    if (rc == TW_EINUSE && (!port_given || !c.local.port))
        rc = open_anywhere(p, &c, &p->flows[i].sock, err);
    if (rc == TW_EINUSE)
        tw_err_set(err, rc, "UDP %s is in use, by another sender? Choose another local port, or 0 for any",
                   tw_addr_format(&c.local, text));
    if (rc == TW_OK)
        p->source[i] = plan_source_of(&p->flows[i].sock, &p->remote);
    return rc;
}

enum tw_rc plan_open(const struct tool_options *o, const struct host_pair *hosts, bool port_given,
                     struct plan *p, struct tw_err *err)
{
    struct udp_conf conf = { .local = hosts->local, .rcvbuf_bytes = SENDER_RCVBUF, .df = o->do_not_fragment };
    enum tw_rc rc = TW_OK;

    if (o->interface && strlen(o->interface) >= sizeof conf.interface)
        return tw_err_set(err, TW_EINVAL, "--interface: \"%.40s\" is longer than an interface name can be",
                          o->interface);
    if (o->interface)
        strcpy(conf.interface, o->interface);
    for (size_t i = 0; rc == TW_OK && i < p->run.n_flows; i++)
        rc = open_flow(o, &conf, port_given, i, p, err);
    return rc;
}
