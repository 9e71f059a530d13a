/* An agent with several controllers, played by this file: it is at the best one that answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/roam.h"
#include "common/log.h"
#include "common/net/now.h"

#define N 3
#define PATIENCE_NS (30 * TW_NS_PER_S)

struct fx;
struct ctl {
    struct fx *f;
    char url[64];
    struct rpc_server *server;
    struct rpc_peer *peer;
    bool pending;
    bool others; /* as the last HELLO said */
    Tw__Status verdict;
    uint32_t retry_ms;
    bool elsewhere;
    unsigned hellos;
    char left[64]; /* why the agent went */
};

struct fx {
    char dir[64];
    struct loop *loop;
    struct identity *key;
    struct ctl ctl[N]; /* in the agent's rank once it has started */
    struct roam *roam;
    unsigned ups, downs, refusals;
    bool up;         /* between on_up() and on_down() */
    uint64_t acked;  /* by whom is in use */
    unsigned strays; /* acknowledgements of others */
};

#define WAIT(f, condition)                                                                          \
    do {                                                                                            \
        static const bool never = false;                                                            \
        int64_t wait_end_ns = tw_mono_now().ns + PATIENCE_NS;                                       \
        while (!(condition)) {                                                                      \
            if (tw_mono_now().ns > wait_end_ns)                                                     \
                fail_msg("never happened: %s (at %s)", #condition, roam_url((f)->roam));            \
            loop_run_until((f)->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS }); \
        }                                                                                           \
    } while (0)

/* ---- Controllers ---- */

static void on_hello(void *ctx, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    struct ctl *c = ctx;

    c->hellos++;
    c->others = h->others;
    *ret = (struct rpc_welcome){ .status = c->verdict,
                                 .detail = c->verdict ? "by the test" : "",
                                 .approved = !c->pending,
                                 .elsewhere = c->elsewhere,
                                 .retry_ms = c->retry_ms };
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    ((struct ctl *)ctx)->peer = p;
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct ctl *c = ctx;

    (void)status;
    if (c->peer == p)
        c->peer = NULL;
    snprintf(c->left, sizeof c->left, "%s", detail);
}

static void start(struct ctl *c)
{
    struct tw_err err = { 0 };
    struct rpc_server_conf conf = {
        .loop = c->f->loop,
        .url = c->url,
        .name = "ctl",
        .agents = true,
        .hooks = { .ctx = c, .on_hello = on_hello, .on_up = on_up, .on_down = on_down }
    };

    if (rpc_server_start(&conf, &c->server, &err))
        fail_msg("%s", err.text);
    snprintf(c->url, sizeof c->url, "tcp://127.0.0.1:%u", rpc_server_port(c->server));
}

static void stop(struct ctl *c)
{
    rpc_server_stop(c->server);
    c->server = NULL;
}

/* ---- The agent ---- */

static void agent_up(void *ctx, struct rpc_peer *p)
{
    struct fx *f = ctx;

    (void)p;
    assert_false(f->up);
    f->up = true;
    f->ups++;
    f->acked = 0;
    assert_non_null(roam_url(f->roam));
}

static void agent_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct fx *f = ctx;

    (void)p;
    (void)status;
    (void)detail;
    assert_true(f->up);
    f->up = false;
    f->downs++;
}

static void agent_refused(void *ctx, Tw__Status status, const char *detail)
{
    (void)status;
    (void)detail;
    ((struct fx *)ctx)->refusals++;
}

/* Each controller acknowledges its own number. */
static void agent_ack(void *ctx, struct rpc_peer *p, uint64_t through, const struct rpc_ahead *ahead,
                      uint32_t window, Tw__Status status, const char *detail)
{
    struct fx *f = ctx;

    (void)p;
    (void)ahead;
    (void)window;
    (void)status;
    (void)detail;
    f->acked = through;
    f->strays += !f->up || strcmp(f->ctl[through].url, roam_url(f->roam)) != 0;
}

static void start_agent(struct fx *f)
{
    static const uint8_t id[RPC_ID_LEN] = { 1 };
    const char *urls[N];
    size_t order[HOMING_MAX];
    struct ctl sorted[N];
    struct tw_err err = { 0 };
    struct roam_conf c = { .urls = urls,
                           .n_urls = N,
                           .client = { .loop = f->loop,
                                       .role = TW__ROLE__ROLE_AGENT,
                                       .name = "ams-1",
                                       .software = "test 1",
                                       .boot_id = id,
                                       .spool_id = id,
                                       .identity = f->key,
                                       .hooks = { .ctx = f,
                                                  .on_up = agent_up,
                                                  .on_down = agent_down,
                                                  .on_refused = agent_refused,
                                                  .on_ack = agent_ack } } };

    /* Their ports are known now, and with them the rank: stopped, put in its order, and started again. */
    for (size_t i = 0; i < N; i++) {
        urls[i] = f->ctl[i].url;
        stop(&f->ctl[i]);
    }
    homing_rank("ams-1", urls, N, order);
    for (size_t i = 0; i < N; i++)
        sorted[i] = f->ctl[order[i]];
    memcpy(f->ctl, sorted, sizeof sorted);
    for (size_t i = 0; i < N; i++) {
        start(&f->ctl[i]);
        urls[i] = f->ctl[i].url;
    }
    if (roam_start(&c, &f->roam, &err))
        fail_msg("%s", err.text);
}

static bool is_at(struct fx *f, size_t i)
{
    return f->up && f->ctl[i].peer && !strcmp(roam_url(f->roam), f->ctl[i].url);
}

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    struct tw_err err = { 0 };
    char path[96];

    log_init("test", LOG_ERROR_, LOG_TEXT);
    snprintf(f->dir, sizeof f->dir, "/tmp/twtest-roam-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/key", f->dir);
    assert_int_equal(identity_load(path, &f->key, &err), TW_OK);
    assert_int_equal(loop_new(&f->loop), TW_OK);
    for (size_t i = 0; i < N; i++) {
        f->ctl[i].f = f;
        snprintf(f->ctl[i].url, sizeof f->ctl[i].url, "tcp://127.0.0.1:0");
        start(&f->ctl[i]);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    char cmd[96];

    roam_stop(f->roam);
    for (size_t i = 0; i < N; i++)
        stop(&f->ctl[i]);
    identity_free(f->key);
    loop_free(f->loop);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", f->dir);
    free(f);
    return system(cmd);
}

/* ---- Tests ---- */

static void it_is_at_the_best_that_answers(void **state)
{
    struct fx *f = *state;

    start_agent(f);
    stop(&f->ctl[0]);
    WAIT(f, is_at(f, 1));
    assert_true(f->ctl[1].others);
    stop(&f->ctl[1]);
    WAIT(f, is_at(f, 2));
    start(&f->ctl[1]);
    roam_hurry(f->roam);
    WAIT(f, is_at(f, 1) && !f->ctl[2].peer);
    assert_string_equal(f->ctl[2].left, "moved to a controller that this agent prefers");
    start(&f->ctl[0]);
    roam_hurry(f->roam);
    WAIT(f, is_at(f, 0) && !f->ctl[1].peer);
    assert_int_equal(roam_moves(f->roam), 3);
    assert_int_equal(f->ups, 4);
    assert_int_equal(f->downs, 3);
}

/* The last one is told that there is nobody else. */
static void who_is_sent_away_goes_at_once(void **state)
{
    struct fx *f = *state;
    int64_t began_ns;

    start_agent(f);
    WAIT(f, is_at(f, 0));
    began_ns = tw_mono_now().ns;
    rpc_server_send_away(f->ctl[0].server, "it ends");
    WAIT(f, is_at(f, 1));
    f->ctl[2].verdict = TW__STATUS__STATUS_UNAVAILABLE;
    f->ctl[2].elsewhere = true;
    rpc_server_send_away(f->ctl[1].server, "it ends");
    WAIT(f, f->ctl[2].hellos == 1);
    assert_in_range(tw_mono_now().ns - began_ns, 0, 2 * TW_NS_PER_S);
    WAIT(f, f->ctl[2].hellos > 1); /* another round */
    f->ctl[2].verdict = TW__STATUS__STATUS_OK;
    WAIT(f, is_at(f, 2));
    assert_false(f->ctl[2].others); /* the others have refused by then: it was the last of its round */
}

/* It takes the connection and says nothing, like a process that is stopped. */
static void who_says_nothing_is_given_up(void **state)
{
    struct fx *f = *state;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct roam_view v[HOMING_MAX];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    start_agent(f);
    stop(&f->ctl[0]);
    a.sin_port = htons((uint16_t)atoi(strrchr(f->ctl[0].url, ':') + 1));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 10), 0);
    WAIT(f, is_at(f, 1));
    assert_int_equal(roam_view(f->roam, v), N);
    assert_string_equal(v[0].url, f->ctl[0].url);
    assert_false(v[0].connected);
    assert_string_equal(v[0].why, "no answer in time, so others are tried");
    assert_true(v[1].connected && v[1].since_ns && !v[1].why[0]);
    assert_true(!v[2].connected && !v[2].since_ns && !v[2].why[0]);
    close(fd);
}

/* Waiting for approval is an answer; but who is approved does not go where it is not. */
static void an_approved_agent_stays_approved(void **state)
{
    struct fx *f = *state;
    struct roam_view v[HOMING_MAX];

    start_agent(f);
    f->ctl[0].pending = true;
    WAIT(f, is_at(f, 0));
    assert_false(roam_welcome(f->roam).approved);
    stop(&f->ctl[0]);
    WAIT(f, is_at(f, 1));
    start(&f->ctl[0]);
    roam_hurry(f->roam);
    WAIT(f, f->ctl[0].hellos == 2);
    WAIT(f, !f->ctl[0].peer); /* it said good-bye */
    assert_true(is_at(f, 1));
    roam_view(f->roam, v);
    WAIT(f,
         roam_view(f->roam, v) && !strcmp(v[0].why, "this agent is not approved here, and it is elsewhere"));
    f->ctl[0].pending = false;
    roam_hurry(f->roam);
    WAIT(f, is_at(f, 0));
    assert_int_equal(f->refusals, 0);
}

/* Revoked: nobody else is asked for another answer. But a better controller's refusal does not end the
 * connection that there is. */
static void an_answer_is_an_answer(void **state)
{
    struct fx *f = *state;

    start_agent(f);
    f->ctl[0].verdict = TW__STATUS__STATUS_PERMISSION_DENIED;
    WAIT(f, f->refusals == 3);
    assert_int_equal(f->ctl[0].hellos, 3);
    assert_int_equal(f->ctl[1].hellos + f->ctl[2].hellos, 0);
    stop(&f->ctl[0]);
    WAIT(f, is_at(f, 1));
    start(&f->ctl[0]);
    roam_hurry(f->roam);
    WAIT(f, f->ctl[0].hellos == 4);
    loop_run_until(f->loop, &(const bool){ false }, (struct tw_mono){ tw_mono_now().ns + 50 * TW_NS_PER_MS });
    assert_true(is_at(f, 1));
    assert_int_equal(f->refusals, 3);
}

/* Whatever the old controller still says. */
static void a_late_acknowledgement_is_not_heard(void **state)
{
    struct fx *f = *state;

    start_agent(f);
    stop(&f->ctl[0]);
    WAIT(f, is_at(f, 1));
    start(&f->ctl[0]);
    roam_hurry(f->roam);
    WAIT(f, (!f->ctl[1].peer ||
             rpc_peer_send_ack(f->ctl[1].peer, 1, NULL, 100, TW__STATUS__STATUS_OK, "") >= 0) &&
                is_at(f, 0));
    for (int i = 0; i < 200; i++) {
        if (f->ctl[1].peer)
            (void)rpc_peer_send_ack(f->ctl[1].peer, 1, NULL, 100, TW__STATUS__STATUS_OK, "");
        loop_run_until(f->loop, &(const bool){ false }, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
    }
    assert_int_equal(f->strays, 0);
    assert_int_equal(f->acked, 0);
    rpc_peer_send_ack(f->ctl[0].peer, 0, NULL, 100, TW__STATUS__STATUS_OK, "");
    WAIT(f, f->acked == 0 && f->up);
}

/* Controllers come and go at any moment. */
static void it_always_finds_one(void **state)
{
    struct fx *f = *state;

    srand(11);
    start_agent(f);
    for (int i = 0; i < 150; i++) {
        struct ctl *c = &f->ctl[rand() % N];

        if (c->server)
            stop(c);
        else
            start(c);
        if (rand() % 2)
            roam_hurry(f->roam);
        loop_run_until(f->loop, &(const bool){ false },
                       (struct tw_mono){ tw_mono_now().ns + rand() % 20 * TW_NS_PER_MS });
    }
    for (size_t i = 0; i < N; i++)
        if (!f->ctl[i].server)
            start(&f->ctl[i]);
    roam_hurry(f->roam);
    WAIT(f, is_at(f, 0) && !f->ctl[1].peer && !f->ctl[2].peer);
    assert_int_equal(f->ups, f->downs + 1);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(it_is_at_the_best_that_answers),
        ROW(who_is_sent_away_goes_at_once),
        ROW(who_says_nothing_is_given_up),
        ROW(an_approved_agent_stays_approved),
        ROW(an_answer_is_an_answer),
        ROW(a_late_acknowledgement_is_not_heard),
        ROW(it_always_finds_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
