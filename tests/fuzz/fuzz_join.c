/* An agent that wants to join, before a hostile controller: it shows its token to nobody but the CA of the
 * token, trusts no other CA, takes no certificate but one of that CA for its own name and key, and in the end
 * it has joined, has given up, or still tries.
 *
 * Input: u8 flags (1: it has no token), then records of { u8 what, u8 which } and octets where they are
 * wanted. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/credentials.h"
#include "agent/join.h"
#include "common/log.h"
#include "common/net/authority.h"
#include "common/net/join_token.h"
#include "common/net/now.h"
#include "common/net/rpc_frame.h"
#include "common/net/rpc_hello.h"
#include "join.pb-c.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_loop.h"
#include "tests/fuzz/fake_net.h"
#include "tests/fuzz/pb_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 40, CSR_MAX = 4096, OURS = 0, FOREIGN = 1 };
enum { ASK_CA, ASK_JOIN, ASK_POLL };
#define DAY_NS (86400 * TW_NS_PER_S)

static struct play {
    struct loop *loop;
    struct credentials *credentials;
    struct join *join;
    struct pb_make in;
    uint64_t asked; /* id of the call that waits; 0: none */
    unsigned method;
    uint8_t csr[CSR_MAX];
    size_t csr_len;
    bool issued; /* a good certificate was sent */
    unsigned over;
} w;

static char dir[64];
static struct authority *ca[2];
static struct identity *identity;
static char token[JOIN_TOKEN_TEXT];
static uint8_t ca_hash[2][PKI_HASH_LEN];

/* ---- The agent's side ---- */

static void on_joined(void *ctx)
{
    (void)ctx;
    CHECK(w.issued && credentials_usable(w.credentials, tw_wall_now().ns) && !w.over++);
    join_stop(w.join);
    w.join = NULL;
}

static void on_failed(void *ctx, const char *why)
{
    (void)ctx;
    CHECK(why[0] && !w.over++);
    join_stop(w.join);
    w.join = NULL;
}

static void check_trust(void)
{
    uint8_t hash[PKI_HASH_LEN];
    struct pki_info info;

    if (credentials_ca_hash(w.credentials, hash))
        CHECK(!memcmp(hash, ca_hash[OURS], sizeof hash));
    if (credentials_info(w.credentials, &info))
        CHECK(w.issued && !strcmp(info.name, "ams"));
}

static void take_request(const Tw__Frame *f)
{
    Tw__JoinRequest *rq;

    CHECK(f->method >> 8 == RPC_JOIN && (f->method & 0xff) <= ASK_POLL);
    w.asked = f->id;
    w.method = f->method & 0xff;
    if (w.method == ASK_CA)
        return;
    rq = tw__join_request__unpack(NULL, f->body.len, f->body.data);
    CHECK(rq && !strcmp(rq->name, "ams") && rq->csr.len <= CSR_MAX);
    CHECK(!rq->token[0] || credentials_ca_pem(w.credentials)); /* it knows to whom it shows it */
    CHECK(!!rq->token[0] == (w.method == ASK_JOIN));
    w.csr_len = rq->csr.len;
    memcpy(w.csr, rq->csr.data, rq->csr.len);
    tw__join_request__free_unpacked(rq, NULL);
}

static void on_out(struct conn *c, size_t number, const uint8_t *data, size_t len)
{
    struct tw_err err = { 0 };
    struct arena *a;
    size_t n;

    (void)c;
    (void)number;
    CHECK(arena_new(2 * RPC_MAX_FRAME, &a) == TW_OK);
    for (; len; data += n, len -= n) {
        Tw__Frame *f = NULL;

        CHECK(rpc_frame_cut(data, len, RPC_MAX_FRAME, &n) == TW_OK);
        CHECK(rpc_frame_unpack(data + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER, a, &f, &err) == TW_OK);
        if (f->kind == TW__FRAME_KIND__FRAME_REQUEST)
            take_request(f);
        arena_reset(a);
    }
    arena_free(a);
}

/* ---- The controller's ---- */

static struct conn *connection(void)
{
    for (size_t i = 0; i < FAKE_CONNS; i++)
        if (fake_net_conn(i))
            return fake_net_conn(i);
    return NULL;
}

static void feed(const Tw__Frame *f, const ProtobufCMessage *body)
{
    size_t n = rpc_frame_size(f, body);
    struct conn *c = connection();
    uint8_t *buf = malloc(n);

    CHECK(buf);
    rpc_frame_pack(f, body, buf);
    if (c)
        fake_net_feed(c, buf, n);
    free(buf);
    fake_loop_run(w.loop);
}

static void welcome(void)
{
    Tw__Frame f = TW__FRAME__INIT;
    Tw__ServerHello h = TW__SERVER_HELLO__INIT;
    Tw__HelloOk ok = TW__HELLO_OK__INIT;
    uint8_t nonce[HELLO_NONCE_LEN] = { 0 };
    char name[] = "controller";

    if (!connection())
        fake_net_connect(0, 0);
    fake_loop_run(w.loop);
    w.asked = 0;
    f.kind = TW__FRAME_KIND__FRAME_HELLO;
    h.version_min = h.version_max = 1;
    h.nonce = (ProtobufCBinaryData){ sizeof nonce, nonce };
    h.controller = name;
    feed(&f, &h.base);
    f.kind = TW__FRAME_KIND__FRAME_HELLO_OK;
    ok.version = 1;
    feed(&f, &ok.base);
}

static void reply(const ProtobufCMessage *m)
{
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = TW__FRAME_KIND__FRAME_REPLY;
    f.id = w.asked;
    w.asked = 0;
    feed(&f, m);
}

static void refuse(uint8_t which)
{
    Tw__Frame f = TW__FRAME__INIT;
    char detail[] = "said by the controller";

    f.kind = TW__FRAME_KIND__FRAME_REPLY;
    f.id = w.asked;
    f.status = (Tw__Status)(1 + which % 16);
    f.detail = detail;
    w.asked = 0;
    feed(&f, NULL);
}

/* Octets of the input in place of some of a good one, or it is whole. */
static void spoil(uint8_t *data, size_t len, uint8_t how)
{
    for (unsigned n = how & 3; n && len; n--) {
        size_t at = (size_t)(pb_make_octet(&w.in) << 8 | pb_make_octet(&w.in)) % len;

        data[at] ^= pb_make_octet(&w.in);
    }
}

static void send_ca(uint8_t how)
{
    Tw__JoinCaReply m = TW__JOIN_CA_REPLY__INIT;
    struct pki_octets der = { 0 };

    CHECK(pki_cert_to_der(authority_ca(ca[how & 4 ? FOREIGN : OURS]), &der) == TW_OK);
    spoil(der.data, der.len, how);
    m.certificate = (ProtobufCBinaryData){ how & 8 ? der.len / 2 : der.len, der.data };
    reply(&m.base);
    pki_octets_free(&der);
}

static void send_certificate(uint8_t how)
{
    Tw__JoinReply m = TW__JOIN_REPLY__INIT;
    struct pki_cert *cert = NULL;
    struct pki_octets der = { 0 };
    struct tw_err err = { 0 };
    char issued[] = "issued";

    if (authority_issue(ca[how & 4 ? FOREIGN : OURS], w.csr, w.csr_len, how & 8 ? "fra" : "ams",
                        tw_wall_now().ns, 90 * DAY_NS, &cert, &err) != TW_OK)
        return;
    CHECK(pki_cert_to_der(cert, &der) == TW_OK);
    spoil(der.data, der.len, how);
    w.issued = w.issued || !(how & 12);
    m.state = issued;
    m.certificate = (ProtobufCBinaryData){ der.len, der.data };
    reply(&m.base);
    pki_octets_free(&der);
    pki_cert_free(cert);
}

static void send_wait(uint8_t how)
{
    Tw__JoinReply m = TW__JOIN_REPLY__INIT;
    char pending[] = "pending", nothing[] = "";

    m.state = how & 1 ? pending : nothing;
    m.poll_s = how & 2 ? UINT32_MAX : how;
    reply(&m.base);
}

static void send_any(void)
{
    uint8_t out[2048];
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = TW__FRAME_KIND__FRAME_REPLY;
    f.id = w.asked;
    f.body.len = pb_make(&w.in, tw__join__descriptor.methods[w.method].output, out, sizeof out);
    f.body.data = out;
    w.asked = 0;
    feed(&f, NULL);
}

static void step(void)
{
    uint8_t what = pb_make_octet(&w.in), which = pb_make_octet(&w.in);

    if (what % 8 == 0)
        welcome();
    else if (what % 8 == 1)
        fake_loop_advance(w.loop, which * TW_NS_PER_S / 4);
    else if (what % 8 == 2 && connection())
        fake_net_fail(connection(), TW_EIO);
    else if (what % 8 == 3)
        fake_net_connect(0, 1);
    else if (!w.asked)
        welcome();
    else if (what % 8 == 4)
        refuse(which);
    else if (what % 8 == 5)
        send_any();
    else if (w.method == ASK_CA)
        send_ca(which);
    else if (what % 8 == 6)
        send_certificate(which);
    else
        send_wait(which);
    fake_loop_run(w.loop);
    check_trust();
}

/* ---- Beginning and end ---- */

static void forget_files(void)
{
    static const char *const names[] = { "ca.pem", "tls.pem", "tls.key.new" };
    char path[128];

    for (size_t i = 0; i < TW_NELEM(names); i++) {
        snprintf(path, sizeof path, "%s/agent/%s", dir, names[i]);
        unlink(path);
    }
}

static void at_end(void)
{
    static const char *const names[] = { "ca.key", "ca.pem", "server.pem" };
    char path[128];

    forget_files();
    for (unsigned k = 0; k < 2; k++) {
        for (size_t i = 0; i < TW_NELEM(names); i++) {
            snprintf(path, sizeof path, "%s/ca%u/%s", dir, k, names[i]);
            unlink(path);
        }
        snprintf(path, sizeof path, "%s/ca%u", dir, k);
        rmdir(path);
        authority_free(ca[k]);
    }
    snprintf(path, sizeof path, "%s/agent", dir);
    rmdir(path);
    snprintf(path, sizeof path, "%s/key", dir);
    unlink(path);
    rmdir(dir);
    identity_free(identity);
}

static void make_ca(unsigned k)
{
    static const char *const hosts[] = { "localhost" };
    struct tw_err err = { 0 };
    struct pki_info info;
    char path[128];

    snprintf(path, sizeof path, "%s/ca%u", dir, k);
    CHECK(authority_make(&(struct authority_make){ .dir = path,
                                                   .hosts = hosts,
                                                   .n_hosts = 1,
                                                   .now_ns = FAKE_LOOP_START_NS,
                                                   .ca_life_ns = 3650 * DAY_NS,
                                                   .server_life_ns = 365 * DAY_NS },
                         &err) == TW_OK);
    CHECK(authority_open(path, &ca[k], &err) == TW_OK);
    pki_cert_info(authority_ca(ca[k]), &info);
    memcpy(ca_hash[k], info.key_hash, sizeof ca_hash[k]);
}

static void prepare(void)
{
    uint8_t random[JOIN_RANDOM_OCTETS] = { 1, 2, 3 };
    struct join_token t = { .uses = 1 };
    struct tw_err err = { 0 };
    char path[128];

    log_init("fuzz", LOG_INFO_, LOG_TEXT);
    if (!getenv("TW_FUZZ_LOG"))
        log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
    snprintf(dir, sizeof dir, "%s/tw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(dir));
    atexit(at_end);
    make_ca(OURS);
    make_ca(FOREIGN);
    snprintf(path, sizeof path, "%s/agent", dir);
    CHECK(mkdir(path, 0700) == 0);
    snprintf(path, sizeof path, "%s/key", dir);
    CHECK(identity_load(path, &identity, &err) == TW_OK);
    join_token_make(random, ca_hash[OURS], &t, token);
    fake_net_out = on_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const url = "ipc:///fuzz";
    struct tw_err err = { 0 };
    char path[128];
    uint8_t flags;

    if (!identity)
        prepare();
    fake_loop_reset_clock();
    forget_files();
    memset(&w, 0, sizeof w);
    w.in = (struct pb_make){ .p = data, .end = data + size, .now_ns = tw_wall_now().ns };
    flags = pb_make_octet(&w.in);
    CHECK(loop_new(&w.loop) == TW_OK);
    snprintf(path, sizeof path, "%s/agent", dir);
    CHECK(credentials_open(path, &w.credentials, &err) == TW_OK);
    CHECK(join_start(&(struct join_conf){ .loop = w.loop,
                                          .urls = &url,
                                          .n_urls = 1,
                                          .name = "ams",
                                          .token = flags & 1 ? NULL : token,
                                          .identity = identity,
                                          .credentials = w.credentials,
                                          .on_joined = on_joined,
                                          .on_failed = on_failed },
                     &w.join, &err) == TW_OK);
    fake_loop_run(w.loop);
    for (unsigned n = 0; n < STEPS_MAX && w.join && w.in.p < w.in.end; n++)
        step();
    join_stop(w.join);
    credentials_free(w.credentials);
    CHECK(fake_net_clean() && fake_loop_timers(w.loop) == 0);
    loop_free(w.loop);
    return 0;
}
