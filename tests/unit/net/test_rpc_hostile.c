/* A listener of tls+tcp:// under fire: closed and reset at random octets of a handshake, fed with garbage,
 * left hanging. It goes on, serves those who are right meanwhile, and is afterwards as it was before: no
 * descriptor, no memory is lost. TW_TEST_LONG: 20,000 bad connections instead of 400. */
#include <dirent.h>
#include <malloc.h>
#include "tests/unit/common/rng.h"
#include "tests/unit/net/tls_fixture.h"

#define WINDOW 50 /* bad connections at once */

enum kind {
    CLOSED,
    RESET,
    GARBAGE,
    CUT,
    CUT_RESET,
    BROKEN_RECORD,
    PLAIN,
    SILENT,
    HALF_HELLO,
    STRANGER,
    KINDS
};

struct bad {
    enum kind kind;
    int fd; /* -1: over */
    struct rpc_tls_session *tls;
    size_t budget;        /* octets that are still sent */
    struct tw_mono until; /* when it is dropped by us whatever happens; the server is faster */
};

struct storm {
    struct tls_fixture *t;
    struct rpc_tls_end *end; /* of those who speak TLS: they have no certificate */
    uint64_t rng;
    unsigned started, wanted, live, calls;
    struct bad bad[WINDOW];
};
static struct storm *storm;

static void finish(struct bad *b, bool reset)
{
    static const struct linger now = { 1, 0 };

    if (reset)
        setsockopt(b->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(b->fd);
    rpc_tls_session_free(b->tls);
    b->tls = NULL;
    b->fd = -1;
    storm->live--;
}

static void throw_junk(struct bad *b)
{
    uint8_t junk[600];
    size_t n = 1 + rng_below(&storm->rng, sizeof junk);

    for (size_t i = 0; i < n; i++)
        junk[i] = (uint8_t)rng_below(&storm->rng, 256);
    if (rng_below(&storm->rng, 2))
        junk[0] = 0x16; /* gets as far as OpenSSL */
    (void)!send(b->fd, junk, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void begin(struct bad *b)
{
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    enum kind kind = (enum kind)rng_below(&storm->rng, KINDS);

    if ((kind == SILENT || kind == HALF_HELLO) && rng_below(&storm->rng, 4))
        kind = CUT_RESET; /* those take the time of a whole handshake */
    *b = (struct bad){ .kind = kind, .fd = raw_connect(&storm->t->f) };
    b->until = (struct tw_mono){ tw_mono_now().ns + PATIENCE_NS };
    b->budget = b->kind == BROKEN_RECORD || b->kind == STRANGER ? SIZE_MAX : 1 + rng_below(&storm->rng, 700);
    storm->started++;
    storm->live++;
    if (b->kind == CLOSED || b->kind == RESET)
        finish(b, b->kind == RESET);
    else if (b->kind == GARBAGE)
        throw_junk(b);
    else if (b->kind == PLAIN)
        (void)!send(b->fd, get, sizeof get - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (b->kind != SILENT)
        MUST(rpc_tls_session_new(storm->end, "127.0.0.1", &b->tls));
}

/* Sends what TLS wants sent, as far as it may. False: it may no more. */
static bool send_within(struct bad *b)
{
    uint8_t out[8192];
    size_t n = rpc_tls_pending(b->tls);

    assert_in_range(n, 0, sizeof out);
    rpc_tls_take(b->tls, out, n);
    if (b->kind == HALF_HELLO && n > 3)
        n = 3; /* and never the rest */
    if (n > b->budget)
        n = b->budget;
    if (b->budget != SIZE_MAX)
        b->budget -= n;
    (void)!send(b->fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    return b->budget > 0;
}

/* True: the server has ended it. */
static bool hear(struct bad *b)
{
    uint8_t in[8192];
    ssize_t n;

    while ((n = recv(b->fd, in, sizeof in, MSG_DONTWAIT)) > 0)
        if (b->tls)
            MUST(rpc_tls_feed(b->tls, in, (size_t)n));
    return n == 0 || errno != EAGAIN;
}

static void step(struct bad *b)
{
    uint8_t clear[4096];
    size_t n;

    if (hear(b) || tw_mono_now().ns > b->until.ns) {
        finish(b, false);
        return;
    }
    if (!b->tls)
        return;
    while (rpc_tls_read(b->tls, clear, sizeof clear, &n) == TW_OK)
        ;
    if (rpc_tls_ready(b->tls) && b->kind == BROKEN_RECORD) {
        static const uint8_t record[] = { 0x17, 3,  3,  0,  40, 1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                          11,   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                                          26,   27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40 };

        send_within(b);
        (void)!send(b->fd, record, sizeof record, MSG_NOSIGNAL | MSG_DONTWAIT);
        b->kind = SILENT; /* the server ends it */
        return;
    }
    if (rpc_tls_ready(b->tls) && b->kind == STRANGER) { /* a frame that is larger than may be */
        static const uint8_t frame[] = { 0x7f, 0xff, 0xff, 0xff, 0 };

        MUST(rpc_tls_write(b->tls, frame, sizeof frame));
        send_within(b);
        b->kind = SILENT;
        return;
    }
    if (!send_within(b))
        finish(b, b->kind == CUT_RESET);
}

static bool storm_over(struct fixture *f, uint64_t arg)
{
    (void)f;
    (void)arg;
    for (size_t i = 0; i < WINDOW; i++) {
        struct bad *b = &storm->bad[i];

        if (b->fd >= 0)
            step(b);
        else if (storm->started < storm->wanted)
            begin(b);
    }
    return storm->started == storm->wanted && storm->live == 0;
}

/* A call follows the other as long as the storm goes on. */
static void good_done(const Tw__EnrolReply *m, void *ctx)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;

    (void)ctx;
    if (!m || !the->cli.peer)
        return;
    storm->calls++;
    if (storm->live || storm->started < storm->wanted)
        tw__fleet_controller__enrol(
            rpc_peer_service(the->cli.peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 20000),
            &rq, good_done, NULL);
}

/* Every connection has come to an end that is counted. */
static bool all_counted(struct fixture *f, uint64_t arg)
{
    struct rpc_counters c = counters(f);

    return c.accepted == arg &&
           c.handshakes_failed + c.handshakes_timed_out + c.handshakes_evicted + f->srv.ups == arg;
}

/* The end of a connection is counted a little before its descriptor goes. */
static unsigned open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static bool descriptors_are(struct fixture *f, uint64_t n)
{
    (void)f;
    return open_descriptors() == n;
}

static void blow(unsigned n)
{
    static const Tw__EnrolReply go = TW__ENROL_REPLY__INIT;
    uint64_t before = counters(the).accepted;

    storm->started = 0;
    storm->wanted = n;
    good_done(&go, NULL);
    WAIT(storm_over, 0);
    WAIT(all_counted, before + n);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_KNOWN false
#else
#define HEAP_KNOWN true
#endif

static void a_listener_outlives_bad_handshakes(void **state)
{
    struct tls_fixture *t = *state;
    unsigned rounds = getenv("TW_TEST_LONG") ? 100 : 2, fds, calls;
    struct rpc_server_conf s = tls_server_conf(t);
    struct storm here = { .t = t, .rng = 20261127 };
    struct rpc_tls no_certificate = tls_of(&t->ca, NULL);
    size_t heap;

    storm = &here;
    for (size_t i = 0; i < WINDOW; i++)
        here.bad[i].fd = -1;
    MUST(rpc_tls_end_new(&no_certificate, false, &here.end, NULL));
    s.times.hello_timeout_ms = 500; /* of the silent ones */
    tls_serve(t, s);
    dial_in(&t->f, tls_client_conf(t));
    WAIT(both_up, 0);
    fds = open_descriptors();
    blow(100); /* what is made once is made */
    WAIT(descriptors_are, fds);
    heap = mallinfo2().uordblks;
    calls = here.calls;
    for (unsigned i = 0; i < rounds; i++)
        blow(200);
    assert_true(here.calls > calls);
    WAIT(descriptors_are, fds);
    if (HEAP_KNOWN && mallinfo2().uordblks > heap + (256u << 10))
        fail_msg("%u bad connections left %zu octets behind", rounds * 200, mallinfo2().uordblks - heap);
    assert_int_equal(t->f.cli.downs, 0);
    print_message("%u bad connections, %u calls of a good client meanwhile, heap %+zd octets\n",
                  100 + rounds * 200, here.calls, (ssize_t)(mallinfo2().uordblks - heap));
    rpc_client_stop(t->f.client); /* one who comes after */
    dial_in(&t->f, tls_client_conf(t));
    WAIT(both_up, 0);
    rpc_tls_end_free(here.end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_listener_outlives_bad_handshakes, tls_setup, tls_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
