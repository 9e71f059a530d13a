/* Server-sent events against raw sockets: many listeners, slow ones, those that leave, and stopping among
 * them. The loop and all clients are in one thread, libmicrohttpd in its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/net/now.h"
#include "controller/events.h"

#define DEADLINE_S 20
#define MS TW_NS_PER_MS
#define ASK "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"

struct listener {
    int fd;
    char *text;
    size_t len;
    bool closed;
};
struct rig {
    struct loop *loop;
    struct httpd *httpd;
    struct events *events;
    struct loop_timer storm; /* notes something every turn while it runs */
    struct listener *v;
    size_t n;
};

static void events_fn(void *ctx, struct http_req *rq)
{
    events_join(((struct rig *)ctx)->events, rq, true);
}

static const struct http_route routes[] = { { .path = "/events", .help = "events", .fn = events_fn } };

static struct rig *rig_start(unsigned max_clients, int64_t interval_ns, int64_t silence_ns, int64_t stale_ns)
{
    struct rig *r = calloc(1, sizeof *r);
    struct httpd_conf h = { .address = "127.0.0.1:0",
                            .routes = routes,
                            .n_routes = 1,
                            .ctx = r,
                            .max_connections = 1000,
                            .max_per_address = 1000 };
    struct tw_err err = { 0 };

    assert_int_equal(loop_new(&r->loop), TW_OK);
    h.loop = r->loop;
    assert_int_equal(events_new(&(struct events_conf){ .loop = r->loop,
                                                       .max_clients = max_clients,
                                                       .interval_ns = interval_ns,
                                                       .silence_ns = silence_ns,
                                                       .stale_ns = stale_ns,
                                                       .name = "the \"lab\"",
                                                       .version = "1.2",
                                                       .started_ns = 0x1234 },
                                &r->events),
                     TW_OK);
    if (httpd_start(&h, &r->httpd, &err))
        fail_msg("%s", err.text);
    return r;
}

static void rig_stop(struct rig *r)
{
    httpd_stop(r->httpd);
    loop_timer_cancel(r->loop, &r->storm);
    events_free(r->events);
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i].fd >= 0)
            close(r->v[i].fd);
        free(r->v[i].text);
    }
    free(r->v);
    loop_free(r->loop);
    free(r);
}

/* rcvbuf 0: the usual one. Returns its number. */
static size_t join_by(struct rig *r, const char *request, int rcvbuf)
{
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_port = htons(httpd_port(r->httpd)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (rcvbuf)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (connect(fd, (struct sockaddr *)&sin, sizeof sin) < 0 ||
        send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        fail_msg("connect: %s", strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    r->v = realloc(r->v, (r->n + 1) * sizeof *r->v);
    r->v[r->n] = (struct listener){ .fd = fd, .text = calloc(1, 1) };
    return r->n++;
}

static size_t join(struct rig *r)
{
    return join_by(r, ASK, 0);
}

static void hear(struct listener *l)
{
    char buf[4096];
    ssize_t n = -1;

    while (l->fd >= 0 && (n = recv(l->fd, buf, sizeof buf, 0)) > 0) {
        l->text = realloc(l->text, l->len + (size_t)n + 1);
        memcpy(l->text + l->len, buf, (size_t)n);
        l->len += (size_t)n;
        l->text[l->len] = '\0';
    }
    if (l->fd >= 0 && (n == 0 || errno != EAGAIN))
        l->closed = true;
}

static void leave(struct rig *r, size_t i)
{
    close(r->v[i].fd);
    r->v[i].fd = -1;
}

static void run_loop(struct rig *r, int64_t ns)
{
    bool never = false;

    loop_run_until(r->loop, &never, (struct tw_mono){ tw_mono_now().ns + ns });
}

static bool heard(const struct rig *r, size_t i, const char *text)
{
    return strstr(r->v[i].text, text);
}

static uint64_t clients(const struct rig *r)
{
    struct events_counters n;

    events_counters(r->events, &n);
    return n.clients;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* Turns the loop, and reads whatever came for those from `first` on, until it is so. */
#define UNTIL_FROM(r, first, cond)                                                              \
    do {                                                                                        \
        int64_t until_ = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S;                           \
        for (;;) {                                                                              \
            run_loop(r, MS);                                                                    \
            for (size_t i_ = (first); i_ < (r)->n; i_++)                                        \
                hear(&(r)->v[i_]);                                                              \
            if (cond)                                                                           \
                break;                                                                          \
            if (tw_mono_now().ns > until_)                                                      \
                fail_msg("waited in vain for %s; first heard:\n%.800s", #cond, (r)->v[0].text); \
        }                                                                                       \
    } while (0)
#define UNTIL(r, cond) UNTIL_FROM(r, 0, cond)

/* ---- Tests ---- */

static void says_hello_and_what_is_new(void **state)
{
    struct rig *r = rig_start(10, 50 * MS, 60 * TW_NS_PER_S, 60 * TW_NS_PER_S);

    (void)state;
    events_note(NULL, EVENT_ALERTS); /* nobody can listen */
    events_note(r->events, EVENT_AGENTS);
    join(r);
    UNTIL(r, heard(r, 0, "\n\n"));
    assert_true(heard(r, 0, "HTTP/1.1 200 OK\r\n"));
    assert_true(heard(r, 0, "\r\nContent-Type: text/event-stream\r\n"));
    assert_true(heard(r, 0, "\r\nCache-Control: no-store\r\n"));
    assert_true(heard(r, 0,
                      "event: hello\ndata: {\"controller\":\"the "
                      "\\\"lab\\\"\",\"version\":\"1.2\",\"boot_id\":\"0000000000001234\","
                      "\"http_write\":true,\"time\":\""));
    assert_true(heard(
        r, 0, "\"versions\":{\"published\":0,\"alerts\":0,\"schedule\":0,\"agents\":1,\"tests\":0}}\n\n"));
    for (int i = 0; i < 5; i++)
        events_note(r->events, EVENT_PUBLISHED); /* one event tells of them all */
    events_note(r->events, EVENT_TESTS);
    UNTIL(r, heard(r, 0, "event: tests\ndata: {\"version\":1,\"at\":\"2"));
    assert_true(heard(r, 0, "event: published\ndata: {\"version\":5,"));
    assert_int_equal(count(r->v[0].text, "event: "), 3);
    events_note(r->events, EVENT_SCHEDULE);
    UNTIL(r, heard(r, 0, "event: schedule\ndata: {\"version\":1,"));
    assert_int_equal(count(r->v[0].text, "event: "), 4);
    rig_stop(r);
}

/* Without news a comment shows that both sides are there; and states that change by time alone are news. */
static void breaks_the_silence(void **state)
{
    struct rig *r = rig_start(10, 5 * MS, 20 * MS, 60 * TW_NS_PER_S);

    (void)state;
    join(r);
    UNTIL(r, count(r->v[0].text, "\n: the \"lab\"\n\n") >= 2);
    assert_int_equal(count(r->v[0].text, "event: "), 1);
    rig_stop(r);
    r = rig_start(10, 5 * MS, 60 * TW_NS_PER_S, 20 * MS);
    join(r);
    UNTIL(r, heard(r, 0, "event: published\ndata: {\"version\":2,"));
    rig_stop(r);
}

static bool all_heard(const struct rig *r, const char *text)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].fd >= 0 && !heard(r, i, text))
            return false;
    return true;
}

static void hundreds(void **state)
{
    enum { N = 300 };
    struct rig *r = rig_start(N, 10 * MS, 60 * TW_NS_PER_S, 60 * TW_NS_PER_S);
    struct events_counters n;
    char text[64];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        join(r);
        run_loop(r, MS / 10);
    }
    UNTIL(r, all_heard(r, "event: hello"));
    assert_int_equal(clients(r), N);
    for (unsigned k = 1; k <= 10; k++) {
        events_note(r->events, EVENT_PUBLISHED);
        snprintf(text, sizeof text, "event: published\ndata: {\"version\":%u,", k);
        UNTIL(r, all_heard(r, text));
    }
    events_counters(r->events, &n);
    assert_int_equal(n.sent, 10 * N);
    assert_int_equal(n.dropped, 0);
    for (size_t i = 0; i < N; i += 2)
        leave(r, i);
    UNTIL(r, clients(r) == N / 2); /* seen without anything having been sent */
    events_note(r->events, EVENT_ALERTS);
    UNTIL(r, all_heard(r, "event: alerts"));
    for (size_t i = 1; i < N; i += 2)
        leave(r, i);
    UNTIL(r, clients(r) == 0);
    rig_stop(r);
}

static void storm(struct loop_timer *t)
{
    struct rig *r = t->ctx;

    for (enum event_kind k = 0; k < EVENT_KINDS; k++)
        events_note(r->events, k);
    loop_timer_set(r->loop, t, (struct tw_mono){ tw_mono_now().ns + MS });
}

static void begin_storm(struct rig *r)
{
    r->storm = (struct loop_timer){ .fn = storm, .ctx = r };
    storm(&r->storm);
}

static uint64_t dropped(const struct rig *r)
{
    struct events_counters n;

    events_counters(r->events, &n);
    return n.dropped;
}

/* Who does not read keeps nobody waiting, costs a bounded amount of memory, and gets the newest state in the
 * end. */
static void a_slow_one(void **state)
{
    struct rig *r = rig_start(10, MS, 60 * TW_NS_PER_S, 60 * TW_NS_PER_S);
    char last[64];

    (void)state;
    join_by(r, ASK, 2048);
    join(r);
    begin_storm(r);
    UNTIL_FROM(r, 1, dropped(r) > 100);
    loop_timer_cancel(r->loop, &r->storm);
    snprintf(last, sizeof last, "event: tests\ndata: {\"version\":%llu,",
             (unsigned long long)events_version(r->events, EVENT_TESTS));
    UNTIL_FROM(r, 1, heard(r, 1, last)); /* the other one is up to date */
    assert_false(heard(r, 0, last));
    UNTIL(r, heard(r, 0, last));
    assert_true(count(r->v[0].text, "event: tests") < events_version(r->events, EVENT_TESTS));
    assert_int_equal(clients(r), 2);
    rig_stop(r);
}

static void too_many(void **state)
{
    struct rig *r =
        rig_start(2, 60 * TW_NS_PER_S, 60 * TW_NS_PER_S, 60 * TW_NS_PER_S); /* no tick sees who is gone */
    struct events_counters n;

    (void)state;
    join(r);
    join(r);
    UNTIL(r, all_heard(r, "event: hello"));
    join(r);
    UNTIL(r, heard(r, 2, "HTTP/1.1 503 "));
    UNTIL(r, heard(r, 2, "2 listen to events already"));
    assert_true(heard(r, 2, "\r\nRetry-After: 5\r\n"));
    leave(r, 0);
    run_loop(r, 50 * MS);
    join(r);
    UNTIL(r, heard(r, 3, "event: hello"));
    events_counters(r->events, &n);
    assert_int_equal(n.refused, 1);
    assert_int_equal(n.clients, 2);
    rig_stop(r);
    r = rig_start(0, 0, 0, 0);
    join(r);
    UNTIL(r, heard(r, 0, "HTTP/1.1 503 "));
    rig_stop(r);
}

static void other_requests(void **state)
{
    struct rig *r = rig_start(10, 5 * MS, 10 * MS, 60 * TW_NS_PER_S);

    (void)state;
    join_by(r, "HEAD /events HTTP/1.1\r\nHost: x\r\n\r\n", 0);
    join_by(r, "GET /events HTTP/1.0\r\n\r\n", 0); /* ends with the connection */
    join_by(r, ASK ASK, 0);                        /* the second one never comes to be */
    UNTIL(r, heard(r, 0, "\r\n\r\n") && heard(r, 1, "event: hello") && heard(r, 2, "event: hello"));
    assert_false(heard(r, 0, "event:"));
    events_note(r->events, EVENT_AGENTS);
    UNTIL(r, heard(r, 1, "event: agents") && heard(r, 2, "event: agents"));
    UNTIL(r, clients(r) == 2);
    assert_int_equal(count(r->v[2].text, "HTTP/1.1"), 1);
    rig_stop(r);
}

/* Listeners of every kind, news on their way, and it is over at once. */
static void stops_among_listeners(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct rig *r = rig_start(200, MS, 60 * TW_NS_PER_S, 60 * TW_NS_PER_S);
        int64_t before;

        for (size_t i = 0; i < 100; i++)
            join_by(r, ASK, i % 4 ? 0 : 2048);
        begin_storm(r);
        UNTIL_FROM(r, 50, round % 2 || clients(r) == 100); /* also while they come */
        for (size_t i = 0; i < 10; i++)
            leave(r, i * 7);
        before = tw_mono_now().ns;
        httpd_stop(r->httpd);
        if (tw_mono_now().ns - before > 2 * TW_NS_PER_S)
            fail_msg("stopping took %lld ms", (long long)((tw_mono_now().ns - before) / MS));
        r->httpd = NULL;
        run_loop(r, 20 * MS); /* news go on; nobody is there */
        assert_int_equal(clients(r), 0);
        for (size_t i = 50; i < r->n; i++) {
            fcntl(r->v[i].fd, F_SETFL, 0);
            hear(&r->v[i]);
            assert_true(r->v[i].fd < 0 || r->v[i].closed);
        }
        rig_stop(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_hello_and_what_is_new),
        cmocka_unit_test(breaks_the_silence),
        cmocka_unit_test(hundreds),
        cmocka_unit_test(a_slow_one),
        cmocka_unit_test(too_many),
        cmocka_unit_test(other_requests),
        cmocka_unit_test(stops_among_listeners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
