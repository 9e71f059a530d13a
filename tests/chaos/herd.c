/* tests/chaos/herd.c - agents by the thousand over mutual TLS, in one process, for a controller that runs:
 * each with a key, a certificate and a connection of its own by the client that real agents have
 * (common/net/rpc_client.c), so they dial again as those do. What each "closes" goes into its journal, as
 * shim.c writes it, and is sent until it is acknowledged.
 *
 * usage: herd URL CA-DIRECTORY DIRECTORY < commands       DIRECTORY/members has a line NAME PAIR-ID of each;
 * journals are in DIRECTORY/journal, and each one's key is for a moment in DIRECTORY/keys
 *
 * Writes of each member, for the controller's database, NAME PUBLIC-KEY SERIAL ISSUED NOT-AFTER CERTIFICATE
 * to DIRECTORY/known, and says "ready". Commands: go N     close N summaries each, connect if that has not
 * been done, and deliver; when all is acknowledged one line of JSON says how long it took from then on, and
 * how many connections were lost or refused since the last:
 * {"all_up_s":..,"median_up_s":..,"all_acked_s":..,"downs":..,"refused":..} Ends with its standard input. */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/hextext.h"
#include "common/net/identity.h"
#include "common/net/loop.h"
#include "common/net/pki.h"
#include "common/net/process.h"
#include "common/net/now.h"
#include "common/net/rpc.h"
#include "measure.pb-c.h"

#define LIFE_NS (24 * 3600 * TW_NS_PER_S)
#define PROBES 10
#define BATCH 64

struct member {
    char name[64];
    uint64_t pair_id;
    uint8_t boot[RPC_ID_LEN], spool[RPC_ID_LEN];
    struct identity *key;
    struct pki_octets certificate, certificate_key;
    struct rpc_client *client;
    struct rpc_peer *peer; /* NULL: not connected */
    uint64_t closed, acked;
    int64_t up_ns; /* since the last command; 0: not yet */
    struct loop_timer again;
};

static struct herd {
    const char *url, *dir;
    struct pki_octets ca_pem;
    struct pki_cert *ca;
    struct pki_key *ca_key;
    struct loop *loop;
    struct member *m;
    size_t n;
    int64_t base_ns, began_ns;
    uint64_t downs, refused;
} herd;

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "herd: %s: %s\n", what, why);
    exit(1);
}

static void must(enum tw_rc rc, const char *what, const char *why)
{
    if (rc)
        die(what, why && *why ? why : tw_rc_name(rc));
}

/* ---- Who they are ---- */

static struct pki_octets read_file(const char *dir, const char *name)
{
    char path[512];
    struct pki_octets o = { calloc(1, PKI_PEM_MAX + 1), 0 };
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "re");
    if (!f || !o.data)
        die(path, "cannot be read");
    o.len = fread(o.data, 1, PKI_PEM_MAX, f);
    fclose(f);
    return o;
}

static void load_authority(const char *dir)
{
    struct tw_err err = { 0 };
    struct pki_octets key = read_file(dir, "ca.key");

    herd.ca_pem = read_file(dir, "ca.pem");
    must(pki_cert_from_pem((char *)herd.ca_pem.data, herd.ca_pem.len, &herd.ca, &err), dir, err.text);
    must(pki_key_from_pem((char *)key.data, key.len, &herd.ca_key, &err), dir, err.text);
    pki_octets_free(&key);
}

static void issue(struct member *m, struct pki_info *ret_info, struct pki_octets *ret_der)
{
    struct pki_issue what = {
        .purpose = PKI_AGENT, .name = m->name, .now_ns = tw_wall_now().ns, .life_ns = LIFE_NS
    };
    struct pki_key *key = NULL;
    struct pki_csr *csr = NULL;
    struct pki_cert *cert = NULL;
    struct pki_octets der = { 0 };
    struct tw_err err = { 0 };

    must(pki_key_make(&key), m->name, NULL);
    must(pki_csr_make(key, m->name, &der), m->name, NULL);
    must(pki_csr_from_der(der.data, der.len, &csr, &err), m->name, err.text);
    must(pki_issue(herd.ca, herd.ca_key, csr, &what, &cert, &err), m->name, err.text);
    must(pki_cert_to_pem(cert, &m->certificate), m->name, NULL);
    must(pki_key_to_pem(key, &m->certificate_key), m->name, NULL);
    must(pki_cert_to_der(cert, ret_der), m->name, NULL);
    pki_cert_info(cert, ret_info);
    pki_octets_free(&der);
    pki_csr_free(csr);
    pki_cert_free(cert);
    pki_key_free(key);
}

static void make_member(struct member *m, FILE *known)
{
    char path[512], public_text[2 * IDENTITY_KEY_LEN + 1], der_text[2 * PKI_DER_MAX + 1];
    uint8_t public[IDENTITY_KEY_LEN];
    struct pki_octets der = { 0 };
    struct pki_info info;
    struct tw_err err = { 0 };

    snprintf(path, sizeof path, "%s/keys/member", herd.dir);
    must(identity_load(path, &m->key, &err), path, err.text);
    unlink(path); /* the next one makes its own */
    must(identity_random(m->boot, sizeof m->boot), m->name, NULL);
    must(identity_random(m->spool, sizeof m->spool), m->name, NULL);
    issue(m, &info, &der);
    identity_public(m->key, public);
    *hextext_format(public, sizeof public, public_text) = '\0';
    *hextext_format(der.data, der.len, der_text) = '\0';
    fprintf(known, "%s %s %s %" PRId64 " %" PRId64 " %s\n", m->name, public_text, info.serial,
            info.not_before_ns, info.not_after_ns, der_text);
    pki_octets_free(&der);
}

static void make_members(void)
{
    char path[512];
    FILE *known;

    snprintf(path, sizeof path, "%s/known", herd.dir);
    known = fopen(path, "we");
    if (!known)
        die(path, "cannot be written");
    for (size_t i = 0; i < herd.n; i++)
        make_member(&herd.m[i], known);
    if (fclose(known))
        die(path, "cannot be written");
}

static void read_members(void)
{
    char path[512];
    struct member m = { 0 };
    FILE *f;

    snprintf(path, sizeof path, "%s/members", herd.dir);
    f = fopen(path, "re");
    if (!f)
        die(path, "cannot be read");
    while (fscanf(f, "%63s %" SCNu64, m.name, &m.pair_id) == 2) {
        herd.m = realloc(herd.m, (herd.n + 1) * sizeof m);
        if (!herd.m)
            die("memory", "none");
        herd.m[herd.n++] = m;
    }
    fclose(f);
}

/* ---- What they have to say ---- */

static void fill(const struct member *m, uint64_t i, Tw__Summary *ret)
{
    static char mesh[] = "herd", class_name[] = "c", target[] = "a2";

    tw__summary__init(ret);
    ret->pair_id = m->pair_id;
    ret->generation = 1;
    ret->start_ns = herd.base_ns + (int64_t)i * TW_NS_PER_S;
    ret->end_ns = ret->start_ns + TW_NS_PER_S;
    ret->seq_first = (uint32_t)i * PROBES;
    ret->status = 2;
    ret->sent = ret->lost_unknown = PROBES;
    ret->mesh = mesh;
    ret->class_name = class_name;
    ret->target = target;
}

static void put(int fd, uint32_t kind, const void *data, size_t len)
{
    struct {
        uint32_t kind, len;
        int64_t mono_ns;
    } head = { kind, (uint32_t)len, tw_mono_now().ns };

    if (write(fd, &head, sizeof head) != sizeof head || write(fd, data, len) != (ssize_t)len)
        die("journal", "cannot be written");
}

/* All of it is durable: it is sent until it is acknowledged. */
static void close_some(struct member *m, uint64_t n)
{
    char path[512];
    uint8_t packed[512];
    Tw__Summary s;
    int fd;

    snprintf(path, sizeof path, "%s/journal/%s.0000", herd.dir, m->name);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        die(path, "cannot be written");
    for (uint64_t i = 0; i < n; i++) {
        fill(m, m->closed + i, &s);
        if (tw__summary__get_packed_size(&s) > sizeof packed)
            die("summary", "too long");
        put(fd, 'S', packed, tw__summary__pack(&s, packed));
    }
    put(fd, 'K', &n, sizeof n);
    close(fd);
    m->closed += n;
}

static void deliver(struct member *m)
{
    Tw__SummaryBatch b = TW__SUMMARY_BATCH__INIT;
    Tw__Summary s[BATCH], *list[BATCH];

    if (!m->peer || m->acked == m->closed)
        return;
    b.spool_id = (ProtobufCBinaryData){ sizeof m->spool, m->spool };
    b.first_seq = m->acked + 1;
    b.summaries = list;
    for (uint64_t i = m->acked; i < m->closed && b.n_summaries < BATCH; i++) {
        fill(m, i, &s[b.n_summaries]);
        list[b.n_summaries] = &s[b.n_summaries];
        b.n_summaries++;
    }
    must(rpc_peer_send_data(m->peer, &b.base), m->name, "its batch does not fit");
}

/* ---- Their connections ---- */

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct member *m = ctx;

    m->peer = p;
    m->up_ns = tw_mono_now().ns;
    m->acked = rpc_client_welcome(m->client).through_seq;
    deliver(m);
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct member *m = ctx;

    (void)p;
    (void)status;
    (void)detail;
    herd.downs += m->peer != NULL;
    m->peer = NULL;
}

static void on_refused(void *ctx, Tw__Status status, const char *detail)
{
    if (status != TW__STATUS__STATUS_RESOURCE_EXHAUSTED && status != TW__STATUS__STATUS_UNAVAILABLE)
        die(((struct member *)ctx)->name, detail);
    herd.refused++;
}

static void again(struct loop_timer *t)
{
    deliver(t->ctx);
}

static void on_ack(void *ctx, struct rpc_peer *p, uint64_t through, const struct rpc_ahead *ahead,
                   uint32_t window, Tw__Status status, const char *detail)
{
    struct member *m = ctx;

    (void)p;
    (void)ahead;
    (void)window;
    m->acked = through;
    if (status && status != TW__STATUS__STATUS_RESOURCE_EXHAUSTED)
        die(m->name, detail);
    if (status) {
        herd.refused++;
        must(loop_timer_set(herd.loop, &m->again, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_S }),
             "timer", NULL);
    } else if (m->acked < m->closed) {
        deliver(m);
    }
}

static enum tw_rc give_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    const struct member *m = ctx;

    (void)err;
    *ret = (struct rpc_tls){ .ca = (char *)herd.ca_pem.data,
                             .certificate = (char *)m->certificate.data,
                             .key = (char *)m->certificate_key.data };
    return TW_OK;
}

static void connect_member(struct member *m)
{
    struct tw_err err = { 0 };
    struct rpc_client_conf c = {
        .loop = herd.loop,
        .url = herd.url,
        .role = TW__ROLE__ROLE_AGENT,
        .name = m->name,
        .software = "herd",
        .boot_id = m->boot,
        .spool_id = m->spool,
        .identity = m->key,
        .tls = give_tls,
        .tls_ctx = m,
        .hooks = { .ctx = m, .on_up = on_up, .on_down = on_down, .on_refused = on_refused, .on_ack = on_ack }
    };

    m->again = (struct loop_timer){ .fn = again, .ctx = m };
    must(rpc_client_start(&c, &m->client, &err), m->name, err.text);
}

/* ---- Commands ---- */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool all_acked(void)
{
    for (size_t i = 0; i < herd.n; i++)
        if (!herd.m[i].peer || herd.m[i].acked < herd.m[i].closed)
            return false;
    return true;
}

static void tell(void)
{
    int64_t *up = calloc(herd.n, sizeof *up), now = tw_mono_now().ns;

    if (!up)
        die("memory", "none");
    for (size_t i = 0; i < herd.n; i++)
        up[i] = herd.m[i].up_ns - herd.began_ns;
    qsort(up, herd.n, sizeof *up, by_time);
    printf("{\"all_up_s\":%.3f,\"median_up_s\":%.3f,\"all_acked_s\":%.3f,\"downs\":%" PRIu64
           ",\"refused\":%" PRIu64 "}\n",
           (double)up[herd.n - 1] / 1e9, (double)up[herd.n / 2] / 1e9, (double)(now - herd.began_ns) / 1e9,
           herd.downs, herd.refused);
    fflush(stdout);
    free(up);
    herd.downs = herd.refused = 0;
}

static void go(uint64_t n)
{
    static const bool never = false;

    for (size_t i = 0; i < herd.n; i++)
        close_some(&herd.m[i], n);
    herd.began_ns = tw_mono_now().ns;
    for (size_t i = 0; i < herd.n; i++)
        if (herd.m[i].client)
            deliver(&herd.m[i]);
        else
            connect_member(&herd.m[i]);
    while (!all_acked())
        loop_run_until(herd.loop, &never, (struct tw_mono){ tw_mono_now().ns + 20 * TW_NS_PER_MS });
    tell();
}

int main(int argc, char **argv)
{
    static const bool never = false;
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    char line[64];
    uint64_t n;

    if (argc != 4)
        die("usage", "herd URL CA-DIRECTORY DIRECTORY");
    herd.url = argv[1];
    herd.dir = argv[3];
    herd.base_ns = tw_wall_now().ns / TW_NS_PER_S * TW_NS_PER_S - 1000 * TW_NS_PER_S;
    process_raise_files();
    load_authority(argv[2]);
    read_members();
    must(loop_new(&herd.loop), "loop", NULL);
    make_members();
    printf("ready\n");
    fflush(stdout);
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        while (poll(&in, 1, 0) == 0)
            loop_run_until(herd.loop, &never, (struct tw_mono){ tw_mono_now().ns + 20 * TW_NS_PER_MS });
        if (!fgets(line, sizeof line, stdin))
            return 0;
        if (sscanf(line, "go %" SCNu64, &n) != 1)
            die(line, "is no command");
        go(n);
    }
}
