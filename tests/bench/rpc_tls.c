/* What TLS costs the RPC layer: the same over tls+tcp:// and tcp:// in turn, server and clients in two
 * processes. Results streamed on one connection, calls one after the other, and agents that all come back at
 * once. Usage: bench_rpc_tls [AGENTS [SECONDS]] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/net/pki.h"
#include "common/net/process.h"
#include "common/net/rpc.h"
#include "fleet.pb-c.h"
#include "tests/bench/cpu.h"

#define LIFE_NS (3600 * TW_NS_PER_S)
#define ROUNDS 3
#define FILLER 460 /* with the numbers a message of about 500 octets */

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_rpc_tls: %s: %s\n", what, why);
    exit(1);
}

#define MUST(x)                \
    do {                       \
        if ((x) != TW_OK)      \
            die(#x, "failed"); \
    } while (0)

/* ---- Certificates ---- */

static struct pki_key *ca_key;
static struct pki_cert *ca_cert;
static struct pki_octets ca_pem;

static struct rpc_tls issue(enum pki_purpose purpose, const char *name, const char *host)
{
    struct pki_issue what = { .purpose = purpose,
                              .name = name,
                              .hosts = &host,
                              .n_hosts = host ? 1 : 0,
                              .now_ns = tw_wall_now().ns,
                              .life_ns = LIFE_NS };
    struct pki_octets der = { 0 }, cert_pem = { 0 }, key_pem = { 0 };
    struct pki_key *key = NULL;
    struct pki_csr *csr = NULL;
    struct pki_cert *cert = NULL;
    struct tw_err err;

    MUST(pki_key_make(&key));
    MUST(pki_csr_make(key, name, &der));
    MUST(pki_csr_from_der(der.data, der.len, &csr, &err));
    MUST(pki_issue(ca_cert, ca_key, csr, &what, &cert, &err));
    MUST(pki_cert_to_pem(cert, &cert_pem));
    MUST(pki_key_to_pem(key, &key_pem));
    pki_octets_free(&der);
    pki_csr_free(csr);
    pki_cert_free(cert);
    pki_key_free(key);
    return (struct rpc_tls){ .ca = (const char *)ca_pem.data,
                             .certificate = (const char *)cert_pem.data,
                             .key = (const char *)key_pem.data };
}

/* ---- The server: a process of its own, which tells about itself when it is asked by a pipe ---- */

struct facts {
    double cpu_s;
    uint64_t datas, calls, ups;
    uint16_t ports[2]; /* plain, TLS */
};

struct server {
    struct loop *loop;
    struct loop_watch ask;
    int answer_fd;
    struct facts facts;
};
static struct server *here;

static void serve_enrol(Tw__FleetController_Service *s, const Tw__EnrolRequest *rq,
                        Tw__EnrolReply_Closure done, void *data)
{
    static const Tw__EnrolReply reply = TW__ENROL_REPLY__INIT;

    (void)s;
    (void)rq;
    here->facts.calls++;
    done(&reply, data);
}
static void serve_ack(Tw__FleetController_Service *s, const Tw__AckRequest *rq, Tw__AckReply_Closure done,
                      void *data)
{
    (void)s;
    (void)rq;
    (void)done;
    rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
}
static void serve_report(Tw__FleetController_Service *s, const Tw__HealthReport *rq,
                         Tw__HealthReply_Closure done, void *data)
{
    (void)s;
    (void)rq;
    (void)done;
    rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
}
static Tw__FleetController_Service service = {
    .base = TW__FLEET_CONTROLLER__BASE_INIT, .enrol = serve_enrol, .ack = serve_ack, .report = serve_report
};

static void *decode(void *ctx, const uint8_t *body, size_t len, struct tw_err *err)
{
    (void)ctx;
    (void)err;
    return tw__live_session__unpack(NULL, len, body);
}
static void drop(void *ctx, void *object)
{
    (void)ctx;
    tw__live_session__free_unpacked(object, NULL);
}
static void on_data(void *ctx, struct rpc_peer *p, void *object)
{
    (void)ctx;
    (void)p;
    here->facts.datas++;
    tw__live_session__free_unpacked(object, NULL);
}
static void on_up(void *ctx, struct rpc_peer *p)
{
    (void)ctx;
    (void)p;
    here->facts.ups++;
}

static void on_ask(struct loop_watch *w, uint32_t events)
{
    char c;

    (void)events;
    if (read(w->fd, &c, 1) != 1)
        _exit(0);
    here->facts.cpu_s = bench_cpu_seconds(RUSAGE_SELF);
    if (write(here->answer_fd, &here->facts, sizeof here->facts) != (ssize_t)sizeof here->facts)
        _exit(1);
}

static uint16_t listen_on(const char *url, const struct rpc_tls *tls)
{
    struct rpc_service offered = { RPC_FLEET_CONTROLLER, &service.base };
    struct rpc_server_conf c = { .loop = here->loop,
                                 .url = url,
                                 .tls = tls,
                                 .name = "bench",
                                 .agents = true,
                                 .services = &offered,
                                 .n_services = 1,
                                 .max_handshakes = 20000,
                                 .hooks = {
                                     .on_up = on_up, .decode = decode, .drop = drop, .on_data = on_data } };
    struct rpc_server *s;
    struct tw_err err = { 0 };

    if (rpc_server_start(&c, &s, &err))
        die(url, err.text);
    return rpc_server_port(s);
}

__attribute__((noreturn)) static void serve(const struct rpc_tls *tls, int ask_fd, int answer_fd)
{
    struct server s = { .answer_fd = answer_fd };

    here = &s;
    MUST(loop_new(&s.loop));
    s.facts.ports[0] = listen_on("tcp://127.0.0.1:0", NULL);
    s.facts.ports[1] = listen_on("tls+tcp://127.0.0.1:0", tls);
    s.ask = (struct loop_watch){ .fn = on_ask, .fd = ask_fd };
    MUST(loop_watch(s.loop, &s.ask, EPOLLIN));
    loop_run(s.loop);
    _exit(0);
}

static int ask_fds[2], answer_fds[2];

static struct facts ask(void)
{
    struct facts f;

    if (write(ask_fds[1], "?", 1) != 1 || read(answer_fds[0], &f, sizeof f) != (ssize_t)sizeof f)
        die("the server", "has ended");
    return f;
}

/* ---- Clients ---- */

static struct loop *loop;
static struct identity *key;
static struct rpc_tls shown;
static struct rpc_peer *peer; /* the last that came up */
static unsigned ups, wanted_ups;
static bool all_up;

static void client_up(void *ctx, struct rpc_peer *p)
{
    (void)ctx;
    peer = p;
    ups++;
    all_up = ups >= wanted_ups;
}

static enum tw_rc tell_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    (void)ctx;
    (void)err;
    *ret = shown;
    return TW_OK;
}

static struct rpc_client *start(bool tls, const struct facts *f)
{
    static const uint8_t id[RPC_ID_LEN] = { 1 };
    char url[64];
    struct rpc_client_conf c = { .loop = loop,
                                 .url = url,
                                 .role = TW__ROLE__ROLE_AGENT,
                                 .name = "bench-1",
                                 .software = "bench",
                                 .boot_id = id,
                                 .spool_id = id,
                                 .identity = key,
                                 .tls = tell_tls,
                                 .hooks = { .on_up = client_up } };
    struct rpc_client *client;
    struct tw_err err = { 0 };

    snprintf(url, sizeof url, "%stcp://127.0.0.1:%u", tls ? "tls+" : "", f->ports[tls]);
    if (rpc_client_start(&c, &client, &err))
        die(url, err.text);
    return client;
}

static void wait_for(const bool *flag)
{
    if (loop_run_until(loop, flag, (struct tw_mono){ tw_mono_now().ns + 120 * TW_NS_PER_S }) != TW_OK)
        die("waiting", "for two minutes in vain");
}

static double seconds_since(struct tw_mono t)
{
    return (double)(tw_mono_now().ns - t.ns) / 1e9;
}

static struct rpc_client *connect_one(bool tls)
{
    struct facts f = ask();
    struct rpc_client *c;

    ups = 0;
    wanted_ups = 1;
    all_up = false;
    c = start(tls, &f);
    wait_for(&all_up);
    return c;
}

/* ---- Measurements ---- */

struct outcome {
    double rate, server_us; /* of messages or calls a second; CPU of the server for each */
};

static struct outcome stream(bool tls, double seconds)
{
    static uint8_t filler[2 + FILLER] = { 0x80 | (FILLER & 0x7f), FILLER >> 7 };
    ProtobufCMessageUnknownField unknown = {
        .tag = 100, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .data = filler, .len = sizeof filler
    };
    Tw__LiveSession m = TW__LIVE_SESSION__INIT;
    struct rpc_client *c = connect_one(tls);
    struct facts before = ask(), after;
    struct tw_mono began = tw_mono_now();
    const bool never = false;
    uint64_t sent = 0;

    m.base.n_unknown_fields = 1;
    m.base.unknown_fields = &unknown;
    while (seconds_since(began) < seconds) {
        for (unsigned i = 0; i < 1000 && rpc_peer_send_data(peer, &m.base) == TW_OK; i++)
            sent++;
        loop_run_until(loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS / 2 });
    }
    for (after = ask(); after.datas - before.datas < sent; after = ask())
        loop_run_until(loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
    rpc_client_stop(c);
    return (struct outcome){ (double)sent / seconds_since(began),
                             (after.cpu_s - before.cpu_s) * 1e6 / (double)sent };
}

static unsigned calls;
static bool calls_over;
static struct tw_mono calls_until;

static void call(void);

static void called(const Tw__EnrolReply *m, void *ctx)
{
    (void)ctx;
    if (!m)
        die("a call", rpc_result().detail);
    calls++;
    calls_over = tw_mono_now().ns > calls_until.ns;
    if (!calls_over)
        call();
}

static void call(void)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;

    tw__fleet_controller__enrol(
        rpc_peer_service(peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 60000), &rq, called,
        NULL);
}

static struct outcome one_by_one(bool tls, double seconds)
{
    struct rpc_client *c = connect_one(tls);
    struct facts before = ask(), after;
    struct tw_mono began = tw_mono_now();

    calls = 0;
    calls_over = false;
    calls_until = (struct tw_mono){ began.ns + (int64_t)(seconds * 1e9) };
    call();
    wait_for(&calls_over);
    after = ask();
    rpc_client_stop(c);
    return (struct outcome){ calls / seconds_since(began), (after.cpu_s - before.cpu_s) * 1e6 / calls };
}

static void compare(const char *what, struct outcome (*measure)(bool tls, double seconds), double seconds)
{
    struct outcome best[2] = { { 0 } };

    for (int i = 0; i < 2 * ROUNDS; i++) {
        struct outcome o = measure(i % 2, seconds);

        if (o.rate > best[i % 2].rate)
            best[i % 2] = o;
    }
    printf("%-28s tcp %9.0f/s %6.2f us   tls %9.0f/s %6.2f us   ratio %.2f\n", what, best[0].rate,
           best[0].server_us, best[1].rate, best[1].server_us, best[1].rate / best[0].rate);
}

static void come_back(bool tls, unsigned n)
{
    struct rpc_client **all = calloc(n, sizeof *all);
    struct facts before = ask(), after;
    struct tw_mono began = tw_mono_now();
    double cpu = bench_cpu_seconds(RUSAGE_SELF), took;

    ups = 0;
    wanted_ups = n;
    all_up = false;
    for (unsigned i = 0; i < n; i++)
        all[i] = start(tls, &before);
    wait_for(&all_up);
    took = seconds_since(began);
    after = ask();
    printf("%u agents at once by %s: up in %.2f s, CPU for each: controller %.2f ms, agent %.2f ms\n", n,
           tls ? "tls" : "tcp", took, (after.cpu_s - before.cpu_s) * 1e3 / n,
           (bench_cpu_seconds(RUSAGE_SELF) - cpu) * 1e3 / n);
    for (unsigned i = 0; i < n; i++)
        rpc_client_stop(all[i]);
    free(all);
}

int main(int argc, char **argv)
{
    unsigned agents = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    char path[] = "/tmp/bench_rpc_tls.XXXXXX", file[64];
    struct rpc_tls server;
    struct tw_err err = { 0 };
    pid_t child;

    process_raise_files();
    signal(SIGPIPE, SIG_IGN);
    log_init("bench_rpc_tls", LOG_ERROR_, LOG_TEXT);
    MUST(pki_ca_make("bench", tw_wall_now().ns, LIFE_NS, &ca_key, &ca_cert));
    MUST(pki_cert_to_pem(ca_cert, &ca_pem));
    server = issue(PKI_SERVER, "bench", "127.0.0.1");
    shown = issue(PKI_AGENT, "bench-1", NULL);
    if (pipe(ask_fds) || pipe(answer_fds) || !mkdtemp(path))
        die("a pipe, a folder", "cannot be made");
    child = fork();
    if (child == 0) {
        close(ask_fds[1]);
        serve(&server, ask_fds[0], answer_fds[1]);
    }
    close(ask_fds[0]);
    snprintf(file, sizeof file, "%s/key", path);
    if (identity_load(file, &key, &err))
        die(file, err.text);
    MUST(loop_new(&loop));
    compare("results of 500 octets", stream, seconds);
    compare("calls, one after the other", one_by_one, seconds);
    for (int i = 0; i < 2 * ROUNDS; i++)
        come_back(i % 2, agents);
    unlink(file);
    rmdir(path);
    close(ask_fds[1]);
    waitpid(child, NULL, 0);
    loop_free(loop);
    identity_free(key);
    return 0;
}
