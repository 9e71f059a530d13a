/* agent/check.c - gathers what core/selfcheck.h judges; see check.h. */
#include "agent/check.h"
#include "agent/credentials.h"
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent/core/selfcheck.h"
#include "agent/diagnose_io.h"
#include "agent/io/udpsock.h"
#include "agent/secrets.h"
#include "common/net/now.h"
#include "common/net/rpc.h"
#include "common/version.h"
#include "db/spool.h"

#define DEFAULT_PORT 8620
#define LOOKUP_NS (5 * TW_NS_PER_S)
#define HELLO_NS (3 * TW_NS_PER_S)
#define STAMP_MS 1000

struct checker {
    const struct agent_options *o;
    struct loop *loop;
    struct selfcheck_facts f;
    struct selfcheck_way *w; /* the one that is looked at */
    struct tw_addr to;       /* family 0: the controller's address is not known */
    bool settled;
    struct identity *identity;
    struct credentials *credentials; /* for TLS; NULL: they cannot be read */
    struct spool *spool;
};

static bool wait_for(struct checker *k, int64_t ns)
{
    return loop_run_until(k->loop, &k->settled, (struct tw_mono){ tw_mono_now().ns + ns }) == TW_OK;
}

/* ---- The way to the controller ---- */

static void on_name(struct diag_lookup *l)
{
    ((struct checker *)l->ctx)->settled = true;
}

static void look_up(struct checker *k, uint16_t port)
{
    struct diag_lookup *l;
    enum tw_rc rc = diag_lookup_start(k->loop, k->w->host, 0, on_name, k, &l);

    k->settled = false;
    if (rc) {
        snprintf(k->w->lookup_error, sizeof k->w->lookup_error, "cannot look it up: %s", tw_rc_name(rc));
        return;
    }
    if (!wait_for(k, LOOKUP_NS))
        snprintf(k->w->lookup_error, sizeof k->w->lookup_error, "no answer from the name servers");
    else
        snprintf(k->w->lookup_error, sizeof k->w->lookup_error, "%s", l->error);
    if (!*k->w->lookup_error) {
        k->to = l->addresses[0];
        k->to.port = port;
    }
    diag_lookup_free(l);
}

/* "tcp://host:port" */
static void find_controller(struct checker *k)
{
    const char *text = strstr(k->w->url, "://"), *colon;
    size_t len;

    if (!text || !strncmp(k->w->url, "ipc:", 4))
        return;
    text += 3;
    if (tw_addr_parse(text, DEFAULT_PORT, &k->to) == TW_OK)
        return;
    colon = strrchr(text, ':');
    len = colon ? (size_t)(colon - text) : strlen(text);
    if (len >= sizeof k->w->host)
        return;
    memcpy(k->w->host, text, len);
    look_up(k, (uint16_t)(colon ? strtoul(colon + 1, NULL, 10) : DEFAULT_PORT));
}

static void on_connected(void *ctx)
{
    ((struct checker *)ctx)->settled = true;
}

/* The server speaks first: a length, then a Frame whose kind, its first field, is HELLO (proto/rpc.proto). */
static bool is_controller(const struct diag_connect *c)
{
    return c->n_heard > 6 && !c->heard[0] && c->heard[4] == 0x08 &&
           c->heard[5] == TW__FRAME_KIND__FRAME_HELLO;
}

/* On TLS the client speaks first. */
static enum selfcheck_reach who_answers(struct checker *k, const struct diag_connect *c)
{
    bool tls = !strncmp(k->w->url, "tls+", 4), silent = c->state == DIAG_MUTE && !c->why[0];

    if (tls && is_controller(c))
        snprintf(k->w->reach_error, sizeof k->w->reach_error,
                 "it speaks plain text there: use tcp://, or let it listen on tls+tcp://");
    else if (!tls && silent)
        snprintf(k->w->reach_error, sizeof k->w->reach_error,
                 "it says nothing, as one that listens on tls+tcp:// does");
    return tls == silent && (tls || is_controller(c)) ? REACH_OK : REACH_STRANGE;
}

static void connect_to_controller(struct checker *k)
{
    struct diag_connect c = { .fd = -1, .done = on_connected, .ctx = k };
    char text[TW_ADDR_TEXT];

    if (!k->to.family)
        return;
    snprintf(k->w->address, sizeof k->w->address, "%s", tw_addr_format(&k->to, text));
    k->settled = false;
    if (diag_connect_start(&c, k->loop, &k->to) != TW_OK)
        return;
    wait_for(k, 2 * LOOKUP_NS);
    snprintf(k->w->reach_error, sizeof k->w->reach_error, "%s", c.why);
    switch (c.state) {
    case DIAG_SPOKEN:
    case DIAG_MUTE:
        k->w->reach = who_answers(k, &c);
        break;
    case DIAG_REFUSED:
        k->w->reach = REACH_REFUSED;
        break;
    case DIAG_UNREACHABLE:
        k->w->reach = REACH_UNREACHABLE;
        break;
    default:
        k->w->reach = REACH_TIMEOUT;
        break;
    }
    diag_connect_close(&c);
}

/* ---- HELLO, as the agent says it; not while it runs: the controller would cut that one off ---- */

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct checker *k = ctx;

    (void)p;
    if (k->w->hello == HELLO_NOT_TRIED)
        k->w->hello = HELLO_APPROVED; /* or pending: see the welcome */
    k->settled = true;
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct checker *k = ctx;

    (void)p;
    if (!k->settled && status != TW__STATUS__STATUS_UNAVAILABLE) {
        k->w->hello = HELLO_REFUSED;
        snprintf(k->w->hello_error, sizeof k->w->hello_error, "%s",
                 detail ? detail : rpc_status_name(status));
    }
    k->settled = true;
}

static enum tw_rc tell_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    struct checker *k = ctx;
    const char *ca = k->credentials ? credentials_ca_pem(k->credentials) : NULL;
    const char *own = k->credentials ? credentials_pem(k->credentials) : NULL;

    if (!ca || !own)
        return tw_err_set(err, TW_ENOENT, "%.150s has no certificate: start the agent with --join-token-file once", k->o->data_dir);
    *ret = (struct rpc_tls){ .ca = ca, .certificate = own, .key = own };
    return TW_OK;
}

static void say_hello(struct checker *k)
{
    uint8_t boot_id[RPC_ID_LEN] = { 0 };
    struct rpc_client_conf c = { .loop = k->loop,
                                 .url = k->w->url,
                                 .role = TW__ROLE__ROLE_AGENT,
                                 .name = k->o->name,
                                 .software = tw_software_agent,
                                 .boot_id = boot_id,
                                 .identity = k->identity,
                                 .tls = tell_tls,
                                 .tls_ctx = k,
                                 .hooks = { .ctx = k, .on_up = on_up, .on_down = on_down },
                                 .once = true };
    struct rpc_client *client;
    struct tw_err err = { 0 };

    if (!k->identity || !k->spool || k->w->reach != REACH_OK)
        return;
    c.spool_id = spool_id(k->spool);
    k->settled = false;
    if (identity_random(boot_id, sizeof boot_id) || rpc_client_start(&c, &client, &err))
        return;
    wait_for(k, HELLO_NS);
    if (k->w->hello == HELLO_APPROVED && !rpc_client_welcome(client).approved)
        k->w->hello = HELLO_PENDING;
    rpc_client_stop(client);
}

/* ---- Files ---- */

static bool exists(const char *dir, const char *name, char path[512])
{
    snprintf(path, 512, "%.400s/%s", dir, name);
    return !access(path, F_OK);
}

static void look_at_files(struct checker *k)
{
    struct selfcheck_facts *f = &k->f;
    char path[512];
    struct spool_cfg cfg = { .path = path };
    struct statvfs fs;
    struct tw_err err = { 0 };
    enum tw_rc rc;

    if (access(k->o->data_dir, R_OK | W_OK | X_OK))
        snprintf(f->data_error, sizeof f->data_error, "%.200s: %s", k->o->data_dir, strerror(errno));
    f->disk_known = !statvfs(k->o->data_dir, &fs);
    if (f->disk_known)
        f->disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    f->new_here = !exists(k->o->data_dir, "agent.key", path);
    if (!f->new_here && identity_load(path, &k->identity, &err))
        snprintf(f->key_error, sizeof f->key_error, "%s", err.text);
    if (credentials_open(k->o->data_dir, &k->credentials, &err))
        snprintf(f->key_error, sizeof f->key_error, "%s", err.text);
    if (!exists(k->o->data_dir, "spool.db", path))
        return;
    rc = spool_open(&cfg, &k->spool, &err);
    f->runs = rc == TW_EINUSE;
    if (rc && !f->runs)
        snprintf(f->spool_error, sizeof f->spool_error, "%s", err.text);
}

static void look_at_secrets(struct checker *k)
{
    struct secrets *s = NULL;
    struct tw_err err = { 0 };
    char text[512];

    if (!k->o->secrets)
        return;
    if (secrets_load(k->o->secrets, &s, &err))
        snprintf(k->f.secrets_error, sizeof k->f.secrets_error, "%.290s",
                 tw_err_format(&err, text, sizeof text));
    else
        secrets_free(s);
}

/* ---- Ports ---- */

static void look_at_port(struct checker *k, const char *text)
{
    struct selfcheck_facts *f = &k->f;
    struct tw_addr a;
    struct tw_err err = { 0 };
    enum tw_rc rc;
    size_t i = f->n_ports;

    if (!strcmp(text, "none") || i == SELFCHECK_PORTS)
        return;
    f->n_ports++;
    snprintf(f->ports[i].text, sizeof f->ports[i].text, "%s", text);
    if (tw_addr_parse(text, 862, &a) != TW_OK) {
        snprintf(f->ports[i].error, sizeof f->ports[i].error, "--reflect: \"%.64s\" is no address", text);
        return;
    }
    rc = udp_check_free(&a, &err);
    if (rc && !(rc == TW_EINUSE && f->runs)) /* it is the running agent's own */
        snprintf(f->ports[i].error, sizeof f->ports[i].error, "%s", err.text);
}

/* ---- The kernel ---- */

/* The kernel begins to stamp a moment after the first socket asks. */
static bool has_kernel_times(void)
{
    struct udp_conf conf = { .local = { .ip = { 127, 0, 0, 1 }, .family = 4 } };
    struct udpsock s;
    struct udp_rx *rx = NULL;
    struct udp_in in;
    struct tw_err err;
    bool found = false;
    struct sockaddr_storage ss;

    if (udp_open(&conf, &s, &err))
        return false;
    for (int i = 0; i < 20 && !found && (rx || !udp_rx_new(1, 64, &rx)); i++) {
        struct pollfd p = { .fd = s.fd, .events = POLLIN };
        socklen_t len = tw_addr_to_sockaddr(&s.local, &ss);
        if (sendto(s.fd, "x", 1, 0, (struct sockaddr *)&ss, len) != 1 || poll(&p, 1, STAMP_MS) != 1)
            break;
        if (udp_rx_recv(rx, &s) == 1) {
            udp_rx_get(rx, 0, &in);
            found = in.source == TW_TS_KERNEL;
        }
        if (!found)
            poll(NULL, 0, 10);
    }
    udp_rx_free(rx);
    udp_close(&s);
    return found;
}

static bool may_administer_net(void)
{
    struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct d[2];

    return !syscall(SYS_capget, &h, d) && (d[0].effective & (1u << CAP_NET_ADMIN));
}

static void look_at_kernel(struct checker *k)
{
    struct selfcheck_facts *f = &k->f;
    FILE *file = fopen("/proc/sys/net/core/rmem_max", "re");
    unsigned long long n;

    if (file) {
        if (fscanf(file, "%llu", &n) == 1)
            f->rmem_max = n;
        fclose(file);
    }
    f->kernel_times = has_kernel_times();
    f->net_admin = may_administer_net();
    tw_clock_read(&f->clock);
    f->clock_known = true;
}

/* ---- Telling ---- */

static void print(const struct checker *k, const struct findings *f, double seconds, FILE *to)
{
    size_t problems = findings_count(f, TW_PROBLEM), warnings = findings_count(f, TW_WARNING);

    if (!problems && !warnings)
        fprintf(to, "Nothing wrong");
    else
        fprintf(to, "%zu problem%s, %zu warning%s", problems, problems == 1 ? "" : "s", warnings,
                warnings == 1 ? "" : "s");
    fprintf(to, " on the host of agent %s (%s): %zu checks in %.1f s\n", k->o->name,
            k->f.runs ? "it runs" : "it does not run", selfchecks_n, seconds);
    for (size_t i = 0; i < f->n; i++)
        fprintf(to, "\n%s  %s  (%s)\n  seen   %s\n  cause  %s\n  do     %s\n",
                f->v[i].severity == TW_PROBLEM   ? "PROBLEM"
                : f->v[i].severity == TW_WARNING ? "WARNING"
                                                 : "note",
                f->v[i].subject, f->v[i].id, f->v[i].observed, f->v[i].cause, f->v[i].next);
}

static void gather(struct checker *k)
{
    for (k->w = k->f.ways; k->w < k->f.ways + k->f.n_ways; k->w++) {
        k->to = (struct tw_addr){ 0 };
        find_controller(k);
        connect_to_controller(k);
    }
    look_at_files(k);
    look_at_secrets(k);
    for (size_t i = 0; i < k->o->reflect.n; i++)
        look_at_port(k, k->o->reflect.v[i]);
    look_at_kernel(k);
    for (k->w = k->f.ways; k->w < k->f.ways + k->f.n_ways; k->w++)
        say_hello(k);
}

int check_run(const struct agent_options *o, FILE *to)
{
    struct checker k = { .o = o, .f = { .name = o->name, .data_dir = o->data_dir } };
    struct findings found = { 0 };
    int64_t began = tw_mono_now().ns;
    int code;

    if (loop_new(&k.loop) != TW_OK)
        return 1;
    for (; k.f.n_ways < o->controllers.n; k.f.n_ways++)
        k.f.ways[k.f.n_ways].url = o->controllers.v[k.f.n_ways];
    gather(&k);
    selfcheck_examine(&k.f, &found);
    print(&k, &found, (double)(tw_mono_now().ns - began) / (double)TW_NS_PER_S, to);
    code = findings_count(&found, TW_PROBLEM) > 0;
    findings_free(&found);
    if (k.spool)
        spool_close(k.spool);
    if (k.identity)
        identity_free(k.identity);
    credentials_free(k.credentials);
    loop_free(k.loop);
    return code;
}
