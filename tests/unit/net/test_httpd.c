/* The HTTP shell against raw sockets: what clients do wrong, and stopping while they wait. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>
#include "common/net/http_text.h"
#include "common/net/httpd.h"
#include "common/net/now.h"

#define DEADLINE_S 60 /* on a machine that does much else */
#define MAX_HELD 256

struct rig {
    struct loop *loop;
    struct httpd *httpd;
    pthread_t thread;
    struct http_req *held[MAX_HELD];
    unsigned n_held;
    _Atomic unsigned seen; /* held so far, for other threads */
    _Atomic unsigned guarded, echoed;
    struct loop_task release, stop_httpd;
    _Atomic bool stopped;
    struct http_blob *big, *huge;
};

/* ---- Handlers ---- */

static void now_fn(void *ctx, struct http_req *rq)
{
    const char *a = http_query(rq, "a");
    char *text = NULL;
    int n = asprintf(
        &text, "a=%s n0=%s v0=%s host=%s", a ? a : "-", http_query_name(rq, 0) ? http_query_name(rq, 0) : "-",
        http_query_value(rq, 0) ? http_query_value(rq, 0) : "-", http_header(rq, "HOST") ? "yes" : "no");

    (void)ctx;
    http_answer(rq, 200, "text/plain", text, (size_t)n);
}

static void hold_fn(void *ctx, struct http_req *rq)
{
    struct rig *r = ctx;

    if (r->n_held == MAX_HELD) {
        http_answer_error(rq, 500, "too many held");
        return;
    }
    r->held[r->n_held++] = rq;
    atomic_fetch_add(&r->seen, 1);
}

static void fail_fn(void *ctx, struct http_req *rq)
{
    (void)ctx;
    http_answer_error(rq, 418, "say \"%s\"\n\xc3", "cheese");
}

static void big_fn(void *ctx, struct http_req *rq)
{
    http_answer_blob(rq, 200, ((struct rig *)ctx)->big);
}

static void huge_fn(void *ctx, struct http_req *rq)
{
    http_answer_blob(rq, 200, ((struct rig *)ctx)->huge);
}

static void echo_fn(void *ctx, struct http_req *rq)
{
    size_t len;
    const char *body = http_body(rq, &len);
    char *text = malloc(len + 128);

    atomic_fetch_add(&((struct rig *)ctx)->echoed, 1);
    snprintf(text, len + 128, "%s name=%s other=%s len=%zu %s", http_route_of(rq)->method, http_path(rq, "name"),
             http_path(rq, "other") ? "yes" : "no", len, body);
    http_answer(rq, 200, "text/plain", text, strlen(text));
}

/* Lets nobody in who says so; sees no content of anybody. */
static bool guard_fn(void *ctx, struct http_req *rq)
{
    struct rig *r = ctx;

    atomic_fetch_add(&r->guarded, 1);
    if (!http_header(rq, "X-Stranger"))
        return true;
    http_answer_error(rq, 401, "who are you?");
    return false;
}

static const struct http_route routes[] = {
    { .path = "/document",
      .help = "takes long content",
      .fn = echo_fn,
      .method = "POST",
      .body_max = 20u << 20 },
    { .path = "/health", .help = "always", .fn = now_fn, .vital = true },
    { .path = "/echo/{name}", .help = "says it again", .fn = echo_fn, .method = "POST", .body_max = 10 },
    { .path = "/echo/{name}", .help = "ends it", .fn = echo_fn, .method = "DELETE" },
    { .path = "/now", .help = "answers at once", .fn = now_fn },
    { .path = "/hold", .help = "answers when told", .fn = hold_fn },
    { .path = "/fail", .help = "an error", .fn = fail_fn },
    { .path = "/big", .help = "a large page", .fn = big_fn },
    { .path = "/huge", .help = "one that is never in memory as a whole", .fn = huge_fn },
};

static void release_all(struct loop_task *t)
{
    struct rig *r = t->ctx;

    for (unsigned i = 0; i < r->n_held; i++)
        http_answer(r->held[i], 200, "text/plain", strdup("held"), 4);
    r->n_held = 0;
}

static void stop_httpd(struct loop_task *t)
{
    struct rig *r = t->ctx;

    httpd_stop(r->httpd);
    r->httpd = NULL;
    atomic_store(&r->stopped, true);
}

/* ---- Rig ---- */

static void *run_loop(void *ctx)
{
    struct rig *r = ctx;

    loop_run(r->loop);
    return NULL;
}

/* Lines that all differ; returns buf. */
#define HUGE_LINE 16
#define HUGE_LINES 600000u
static const char *huge_line(unsigned i, char buf[HUGE_LINE + 1])
{
    snprintf(buf, HUGE_LINE + 1, "%07u %07u\n", i, i * 7919u % 9999991u);
    return buf;
}

/* The first line of each is told last: while the page is small, across the moment at which it becomes large,
 * behind that, and of the end. */
static const struct {
    unsigned from, to;
} held[] = { { 10, 20 },         { 20, 21 },         { 1000, 400000 },
             { 400000, 400001 }, { 400010, 500000 }, { 599000, HUGE_LINES } };

static struct http_blob *make_huge(void)
{
    struct http_maker *m;
    struct http_blob *b = NULL;
    char line[HUGE_LINE + 1];
    size_t next = 0;

    assert_int_equal(http_maker_new("text/plain", &m), TW_OK);
    for (unsigned i = 0; i <= HUGE_LINES; i++) {
        bool begins;

        if (next < TW_NELEM(held) && i == held[next].to) {
            http_maker_release(m, huge_line(held[next].from, line), HUGE_LINE);
            next++;
        }
        begins = next < TW_NELEM(held) && i == held[next].from;
        if (begins)
            http_maker_hold(m);
        else if (i < HUGE_LINES)
            http_maker_put(m, huge_line(i, line), HUGE_LINE);
    }
    assert_int_equal(next, TW_NELEM(held));
    assert_int_equal(http_maker_end(m, &b), TW_OK);
    http_blob_header(b, "X-Test", "huge");
    return b;
}

static struct rig *rig_start_bounded(unsigned max_connections, unsigned max_per_address,
                                     unsigned max_requests)
{
    struct rig *r = calloc(1, sizeof *r);
    struct httpd_conf c = { .address = "127.0.0.1:0",
                            .routes = routes,
                            .n_routes = TW_NELEM(routes),
                            .ctx = r,
                            .guard = guard_fn,
                            .max_connections = max_connections,
                            .max_requests = max_requests };
    struct tw_err err = { 0 };
    char *data = malloc(300000);

    memset(data, 'x', 300000);
    assert_int_equal(http_blob_new(data, 300000, "text/plain", true, &r->big), TW_OK);
    assert_int_equal(loop_new(&r->loop), TW_OK);
    c.loop = r->loop;
    c.max_per_address = max_per_address;
    if (httpd_start(&c, &r->httpd, &err))
        fail_msg("start: %s", err.text);
    r->release = (struct loop_task){ .fn = release_all, .ctx = r };
    r->stop_httpd = (struct loop_task){ .fn = stop_httpd, .ctx = r };
    assert_int_equal(pthread_create(&r->thread, NULL, run_loop, r), 0);
    return r;
}

static struct rig *rig_start(unsigned max_per_address)
{
    return rig_start_bounded(0, max_per_address, 0);
}

static void rig_stop(struct rig *r)
{
    loop_stop(r->loop);
    pthread_join(r->thread, NULL);
    httpd_stop(r->httpd);
    release_all(&r->release); /* answers that come too late have no effect and leak nothing */
    loop_free(r->loop);
    http_blob_unref(r->big);
    http_blob_unref(r->huge);
    free(r);
}

static void pause_1ms(void)
{
    poll(NULL, 0, 1);
}

/* Waits until the counter reaches n. */
static void await(const _Atomic unsigned *v, unsigned n, const char *what)
{
    int64_t until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S;

    while (atomic_load(v) < n) {
        if (tw_mono_now().ns > until)
            fail_msg("%s: %u of %u", what, atomic_load(v), n);
        pause_1ms();
    }
}

static void await_open(struct rig *r, uint64_t n)
{
    int64_t until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S;
    struct httpd_counters c;

    for (httpd_counters(r->httpd, &c); c.open != n; httpd_counters(r->httpd, &c)) {
        if (tw_mono_now().ns > until)
            fail_msg("%llu connections open, expected %llu", (unsigned long long)c.open,
                     (unsigned long long)n);
        pause_1ms();
    }
}

/* ---- A raw client ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval tv = { .tv_sec = DEADLINE_S };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if (connect(fd, (struct sockaddr *)&sin, sizeof sin) < 0)
        fail_msg("connect: %s", strerror(errno));
    return fd;
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);

    if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        fail_msg("send: %s", strerror(errno));
}

/* Everything until the other side closes; terminated. */
static char *hear(int fd, size_t *ret_len)
{
    size_t cap = 1 << 24, len = 0;
    char *buf = malloc(cap);
    ssize_t n;

    while (len < cap - 1 && (n = recv(fd, buf + len, cap - 1 - len, 0)) > 0)
        len += (size_t)n;
    buf[len] = '\0';
    if (ret_len)
        *ret_len = len;
    close(fd);
    return buf;
}

static void contains(const char *name, const char *answer, const char *what)
{
    if (!strstr(answer, what))
        fail_msg("%s: no \"%s\" in:\n%.600s", name, what, answer);
}

/* ---- Tests ---- */

static void answers(void **state)
{
    static const struct {
        const char *name, *request, *expect[4];
    } cases[] = {
        { "query",
          "GET /now?a=b%20c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
          { "HTTP/1.1 200 OK", "a=b c n0=a v0=b c host=yes", "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store" } },
        { "bare key",
          "GET /now?a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
          { "200 OK", "a= n0=a v0= " } },
        { "empty value", "GET /now?b=&a=1&a=2 HTTP/1.0\r\n\r\n", { "200 OK", "a=1 n0=b v0= host=no" } },
        { "NUL in value", "GET /now?a=x%00y HTTP/1.0\r\n\r\n", { "400", "{\"error\":\"" } },
        { "HEAD",
          "HEAD /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
          { "200 OK", "Content-Length: 22" } },
        { "POST",
          "POST /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
          { "405", "Allow: GET, HEAD", "{\"error\":\"only GET" } },
        { "content to a name",
          "POST /echo/a%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
          { "200", "POST name=a b other=no len=3 abc" } },
        { "content in pieces",
          "POST /echo/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nabc\r\n7\r\ndefghij\r\n0\r\n\r\n",
          { "200", "len=10 abcdefghij" } },
        { "pieces that are too long",
          "POST /echo/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nabc\r\n8\r\ndefghijk\r\n0\r\n\r\n",
          { "413", "{\"error\":\"the content is longer" } },
        { "too much content",
          "POST /echo/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\nabcdefghijk",
          { "413", "{\"error\":\"the content is longer" } },
        { "no content",
          "POST /echo/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
          { "200", "len=0" } },
        { "another method", "DELETE /echo/a HTTP/1.0\r\n\r\n", { "200", "DELETE name=a" } },
        { "content where none is taken",
          "DELETE /echo/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
          { "400", "must not have content" } },
        { "no such method there", "GET /echo/a HTTP/1.0\r\n\r\n", { "405", "Allow: POST, DELETE" } },
        { "no name", "GET /echo/ HTTP/1.0\r\n\r\n", { "404" } },
        { "DELETE of nothing", "DELETE /nothing HTTP/1.0\r\n\r\n", { "405", "Allow: GET, HEAD" } },
        { "unknown path",
          "GET /nothing HTTP/1.0\r\n\r\n",
          { "404", "{\"error\":\"no such path; / lists", "application/json" } },
        { "path below", "GET /now/ HTTP/1.0\r\n\r\n", { "404" } },
        { "content",
          "GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
          { "400" } },
        { "chunked content",
          "GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          { "400" } },
        { "escaped error", "GET /fail HTTP/1.0\r\n\r\n", { "418", "{\"error\":\"say \\\"cheese\\\"??\"}" } },
        { "index", "GET / HTTP/1.0\r\n\r\n", { "200 OK", "/hold ", "answers when told", "nosniff" } },
        { "not HTTP", "HELO there\r\n\r\n", { "HTTP/1." } },
    };
    struct rig *r = rig_start(0);
    struct httpd_counters c;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        int fd = dial(httpd_port(r->httpd));
        say(fd, cases[i].request);
        char *answer = hear(fd, NULL);
        for (size_t k = 0; k < 4 && cases[i].expect[k]; k++)
            contains(cases[i].name, answer, cases[i].expect[k]);
        if (!strcmp(cases[i].name, "HEAD") && strstr(answer, "n0="))
            fail_msg("HEAD has content");
        free(answer);
    }
    httpd_counters(r->httpd, &c);
    assert_true(c.requests >= 13 && c.errors_4xx >= 7 && c.errors_5xx == 0 && c.refused >= 6);
    rig_stop(r);
}

static void compresses_when_asked(void **state)
{
    struct rig *r = rig_start(0);
    int fd = dial(httpd_port(r->httpd));
    static unsigned char plain[300001];
    z_stream z = { .next_out = plain, .avail_out = sizeof plain };
    size_t len;
    char *answer, *body;

    (void)state;
    say(fd, "GET /big HTTP/1.0\r\nAccept-Encoding: br, gzip\r\n\r\n");
    answer = hear(fd, &len);
    contains("gzip", answer, "Content-Encoding: gzip");
    contains("gzip", answer, "Vary: Accept-Encoding");
    body = strstr(answer, "\r\n\r\n") + 4;
    z.next_in = (unsigned char *)body;
    z.avail_in = (unsigned)(answer + len - body);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, 300000);
    inflateEnd(&z);
    free(answer);
    fd = dial(httpd_port(r->httpd));
    say(fd, "GET /big HTTP/1.0\r\nAccept-Encoding: gzip;q=0\r\n\r\n");
    answer = hear(fd, &len);
    assert_null(strstr(answer, "Content-Encoding"));
    contains("plain", answer, "Content-Length: 300000");
    assert_int_equal(len, strstr(answer, "\r\n\r\n") + 4 - answer + 300000);
    free(answer);
    rig_stop(r);
}

static void expect_huge(const char *name, const char *body, size_t len)
{
    char line[HUGE_LINE + 1];

    if (len != (size_t)HUGE_LINES * HUGE_LINE)
        fail_msg("%s: %zu octets", name, len);
    for (unsigned i = 0; i < HUGE_LINES; i++)
        if (memcmp(body + (size_t)i * HUGE_LINE, huge_line(i, line), HUGE_LINE))
            fail_msg("%s: line %u is %.16s", name, i, body + (size_t)i * HUGE_LINE);
}

/* Also when one client hangs up in the middle, and several read at the same time. */
static void packed_pages_are_for_everybody(void **state)
{
    struct rig *r = rig_start(0);
    char *plain = malloc((size_t)HUGE_LINES * HUGE_LINE + 1), *answer, *body, some[4096];
    z_stream z = { .next_out = (unsigned char *)plain, .avail_out = HUGE_LINES * HUGE_LINE + 1 };
    size_t len;
    int fds[3], fd = dial(httpd_port(r->httpd));

    (void)state;
    r->huge = make_huge();
    assert_int_equal(http_blob_len(r->huge), (size_t)HUGE_LINES * HUGE_LINE);
    say(fd, "GET /huge HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    answer = hear(fd, &len);
    contains("gzip", answer, "Content-Encoding: gzip");
    body = strstr(answer, "\r\n\r\n") + 4;
    z.next_in = (unsigned char *)body;
    z.avail_in = (unsigned)(answer + len - body);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    expect_huge("gzip", plain, z.total_out);
    free(answer);
    free(plain);
    for (size_t i = 0; i < TW_NELEM(fds); i++) {
        fds[i] = dial(httpd_port(r->httpd));
        say(fds[i], "GET /huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    assert_true(recv(fds[0], some, sizeof some, 0) > 0);
    close(fds[0]);
    for (size_t i = 1; i < TW_NELEM(fds); i++) {
        answer = hear(fds[i], &len);
        contains("plain", answer, "Content-Length: 9600000");
        contains("plain", answer, "Content-Type: text/plain");
        contains("plain", answer, "X-Test: huge");
        body = strstr(answer, "\r\n\r\n") + 4;
        *strstr(answer, "\r\n\r\n") = '\0';
        assert_null(strstr(answer, "Content-Encoding"));
        expect_huge("plain", body, (size_t)(answer + len - body));
        free(answer);
    }
    fd = dial(httpd_port(r->httpd));
    say(fd, "HEAD /huge HTTP/1.0\r\n\r\n");
    answer = hear(fd, &len);
    contains("HEAD", answer, "Content-Length: 9600000");
    free(answer);
    rig_stop(r);
}

static void accept_encoding(void **state)
{
    static const struct {
        const char *value;
        bool gzip;
    } cases[] = {
        { NULL, false },          { "", false },
        { "gzip", true },         { "GZIP", true },
        { "x-gzip", true },       { "deflate, gzip;q=1.0, *;q=0.5", true },
        { "gzip;q=0", false },    { "gzip; q=0.000", false },
        { "gzip;q=0.001", true }, { "*", true },
        { "*;q=0", false },       { "identity", false },
        { "gzipped", false },     { "*, gzip;q=0", false },
        { "gzip;q=0, *", false }, { ",,gzip", true },
        { "br;q=0,gzip", true },  { "gzip;level=3;q=0", false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        if (http_accept_gzip(cases[i].value) != cases[i].gzip)
            fail_msg("\"%s\": expected %d", cases[i].value ? cases[i].value : "(none)", cases[i].gzip);
}

static void entity_tags(void **state)
{
    static const struct {
        const char *value;
        bool has;
    } cases[] = {
        { NULL, false },
        { "", false },
        { "*", true },
        { "\"abc\"", true },
        { "W/\"abc\"", true },
        { "abc", false },
        { "\"abc", false },
        { "\"abcd\"", false },
        { "\"ab\"", false },
        { "\"\", \"abc\"", true },
        { " \"x\" ,\tW/\"abc\"", true },
        { "\"x\",,\"abc\",", true },
        { "\"x, abc\"", false },
        { "x, \"abc\"", false },
        { "w/\"abc\"", false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        if (http_has_tag(cases[i].value, "abc") != cases[i].has)
            fail_msg("'%s': expected %d", cases[i].value ? cases[i].value : "(none)", cases[i].has);
}

static void oversized_head(void **state)
{
    struct rig *r = rig_start(0);
    int fd = dial(httpd_port(r->httpd));
    char *head = malloc(70000), *answer;

    (void)state;
    memset(head, 'h', 70000);
    memcpy(head, "GET /now HTTP/1.1\r\nX: ", 22);
    memcpy(head + 69995, "\r\n\r\n", 5);
    (void)!send(fd, head, 69999, MSG_NOSIGNAL); /* the server may close before it has read all */
    answer = hear(fd, NULL);
    if (*answer) /* a reset may overtake the answer */
        contains("oversized", answer, " 431 ");
    free(answer);
    fd = dial(httpd_port(r->httpd));
    say(fd, "GET /now HTTP/1.0\r\n\r\n");
    answer = hear(fd, NULL);
    contains("next client", answer, "200 OK");
    free(answer);
    free(head);
    rig_stop(r);
}

static void slow_client(void **state)
{
    static const char request[] = "GET /now?a=slow HTTP/1.0\r\nHost: x\r\n\r\n";
    struct rig *r = rig_start(0);
    int slow = dial(httpd_port(r->httpd));
    char *answer;

    (void)state;
    for (size_t i = 0; i < sizeof request - 1; i++) {
        assert_int_equal(send(slow, request + i, 1, MSG_NOSIGNAL), 1);
        if (i % 8 == 0) { /* others are served meanwhile */
            int fd = dial(httpd_port(r->httpd));
            say(fd, "GET /now HTTP/1.0\r\n\r\n");
            answer = hear(fd, NULL);
            contains("beside a slow one", answer, "200 OK");
            free(answer);
        }
    }
    answer = hear(slow, NULL);
    contains("slow", answer, "a=slow");
    free(answer);
    rig_stop(r);
}

static void pipelined(void **state)
{
    struct rig *r = rig_start(0);
    int fd = dial(httpd_port(r->httpd));
    char *answer, *at;

    (void)state;
    say(fd, "GET /now?a=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /now?a=4 HTTP/1.1\r\nHost: x\r\nConnection: "
            "close\r\n\r\n");
    await(&r->seen, 1, "held");
    loop_post(r->loop, &r->release);
    answer = hear(fd, NULL);
    at = answer;
    for (size_t i = 0; i < 4; i++) {
        static const char *const order[] = { "a=1 ", "held", "no such path", "a=4 " };
        at = strstr(at, order[i]);
        if (!at)
            fail_msg("answer %zu (%s) missing or out of order:\n%s", i, order[i], answer);
    }
    free(answer);
    rig_stop(r);
}

static void disconnect_while_waiting(void **state)
{
    struct rig *r = rig_start(0);
    int fd[40];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(fd); i++) {
        fd[i] = dial(httpd_port(r->httpd));
        say(fd[i], "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    await(&r->seen, TW_NELEM(fd), "held");
    for (size_t i = 0; i < TW_NELEM(fd); i++) {
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        if (i % 2)
            setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd[i]);
    }
    loop_post(r->loop, &r->release);
    await_open(r, 0);
    rig_stop(r);
}

static void *one_client(void *ctx)
{
    struct rig *r = ctx;
    int fd = dial(httpd_port(r->httpd));

    say(fd, "GET /hold HTTP/1.0\r\n\r\n");
    return hear(fd, NULL);
}

static void many_in_parallel(void **state)
{
    enum { N = 200 };
    struct rig *r = rig_start(N + 10);
    pthread_t thread[N];
    unsigned good = 0;

    (void)state;
    for (size_t i = 0; i < N; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, one_client, r), 0);
    await(&r->seen, N, "held at once");
    loop_post(r->loop, &r->release);
    for (size_t i = 0; i < N; i++) {
        void *answer;
        pthread_join(thread[i], &answer);
        good += strstr(answer, "200 OK") && strstr(answer, "held");
        free(answer);
    }
    if (good != N)
        fail_msg("%u of %u answered", good, N);
    rig_stop(r);
}

static char *ask(struct rig *r, const char *request)
{
    int fd = dial(httpd_port(r->httpd));

    say(fd, request);
    return hear(fd, NULL);
}

static void expect(struct rig *r, const char *name, const char *request, const char *what)
{
    char *answer = ask(r, request);

    contains(name, answer, what);
    free(answer);
}

/* The one that has done nothing for longest makes room. */
static void limit_per_address(void **state)
{
    struct rig *r = rig_start(4);
    struct httpd_counters n;
    int fd[4];
    char *answer;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        fd[i] = dial(httpd_port(r->httpd));
        await_open(r, i + 1);
    }
    expect(r, "one more", "GET /now HTTP/1.0\r\n\r\n", "200 OK");
    answer = hear(fd[0], NULL); /* closed without a word */
    assert_string_equal(answer, "");
    free(answer);
    say(fd[1], "GET /now HTTP/1.0\r\n\r\n");
    answer = hear(fd[1], NULL);
    contains("another one", answer, "200 OK");
    free(answer);
    httpd_counters(r->httpd, &n);
    assert_int_equal(n.cut_off, 1);
    close(fd[2]);
    close(fd[3]);
    await_open(r, 0);
    rig_stop(r);
}

/* Where nobody is idle it is said, and what is vital goes on. */
static void full_of_requests(void **state)
{
    struct rig *r = rig_start_bounded(0, 0, 6);
    struct httpd_counters n;
    int fd[6];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(fd); i++) {
        fd[i] = dial(httpd_port(r->httpd));
        say(fd[i], "GET /hold HTTP/1.0\r\n\r\n");
    }
    await(&r->seen, TW_NELEM(fd), "held");
    expect(r, "full", "GET /now HTTP/1.0\r\n\r\n", " 503 ");
    expect(r, "full", "GET /now HTTP/1.0\r\n\r\n", "Retry-After: 1\r\n");
    expect(r, "full", "GET /now HTTP/1.0\r\n\r\n", "{\"error\":\"too many requests at once");
    expect(r, "keeps its connection",
           "GET /now HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
           "200 OK");
    httpd_counters(r->httpd, &n);
    assert_int_equal(n.under_way, 6);
    assert_int_equal(n.busy_requests, 4);
    loop_post(r->loop, &r->release);
    for (size_t i = 0; i < TW_NELEM(fd); i++) {
        char *answer = hear(fd[i], NULL);
        contains("held", answer, "200 OK");
        free(answer);
    }
    await_open(r, 0);
    expect(r, "afterwards", "GET /now HTTP/1.0\r\n\r\n", "200 OK");
    rig_stop(r);
}

static void full_of_connections(void **state)
{
    struct rig *r = rig_start_bounded(4, 5, 100);
    struct httpd_counters n;
    int fd[4];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(fd); i++) {
        fd[i] = dial(httpd_port(r->httpd));
        say(fd[i], "GET /hold HTTP/1.0\r\n\r\n");
    }
    await(&r->seen, TW_NELEM(fd), "held");
    expect(r, "full", "GET /now HTTP/1.0\r\n\r\n", "too many connections at once: try");
    expect(r, "vital", "GET /health HTTP/1.0\r\n\r\n", "200 OK");
    httpd_counters(r->httpd, &n);
    assert_int_equal(n.busy_connections, 1);
    assert_int_equal(n.cut_off, 0);
    loop_post(r->loop, &r->release);
    for (size_t i = 0; i < TW_NELEM(fd); i++)
        free(hear(fd[i], NULL));
    rig_stop(r);
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Who comes then waits, without anybody spinning, until there is one again. */
static void no_descriptor_left(void **state)
{
    struct rig *r = rig_start(0);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(httpd_port(r->httpd)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), next = dup(fd);
    struct httpd_counters n = { 0 };
    struct rlimit before, none;
    char *answer;
    double busy;

    (void)state;
    close(next); /* the lowest that is free */
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){ (rlim_t)next, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    busy = cpu_seconds();
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    for (int i = 0; i < 20000 && n.waits < 5; i++) {
        pause_1ms();
        httpd_counters(r->httpd, &n);
    }
    busy = cpu_seconds() - busy;
    setrlimit(RLIMIT_NOFILE, &before);
    assert_in_range(n.waits, 5, 20); /* in half a second, and more on a busy machine */
    assert_true(busy < 0.2);
    say(fd, "GET /now HTTP/1.0\r\n\r\n");
    answer = hear(fd, NULL);
    contains("when there is one again", answer, " 200 OK");
    free(answer);
    rig_stop(r);
}

/* Nothing of it is taken from somebody who may not send it. */
static void content_waits_for_the_guard(void **state)
{
    struct rig *r = rig_start(0);
    int fd = dial(httpd_port(r->httpd));
    char *answer;

    (void)state;
    say(fd, "POST /document HTTP/1.1\r\nHost: x\r\nX-Stranger: yes\r\nContent-Length: 20000000\r\n\r\n");
    answer = hear(fd, NULL); /* at once, though nothing was sent */
    contains("stranger", answer, " 401 ");
    free(answer);
    fd = dial(httpd_port(r->httpd));
    say(fd, "POST /document HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n");
    answer = hear(fd, NULL);
    contains("too long", answer, " 413 ");
    free(answer);
    fd = dial(httpd_port(r->httpd));
    say(fd, "POST /document HTTP/1.1\r\nHost: x\r\nX-Stranger: yes\r\nContent-Length: 3\r\n\r\nabc"
            "GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    answer = hear(fd, NULL);
    contains("stranger with little", answer, " 401 ");
    contains("goes on", answer, " 200 ");
    free(answer);
    assert_int_equal(r->echoed, 0);
    assert_int_equal(r->guarded, 3);
    fd = dial(httpd_port(r->httpd));
    say(fd, "POST /document HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: "
            "close\r\nContent-Length: 3\r\n\r\n");
    await(&r->guarded, 4, "asked before content");
    say(fd, "abc");
    answer = hear(fd, NULL);
    contains("expects", answer, "100 Continue");
    contains("expects", answer, "len=3 abc");
    free(answer);
    assert_int_equal(r->guarded, 5); /* once more before the handler */
    rig_stop(r);
}

/* 32 MiB of all together. */
static void content_is_bounded_in_all(void **state)
{
    static const char head[] =
        "POST /document HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n";
    struct rig *r = rig_start(0);
    struct httpd_counters n;

    (void)state;
    for (unsigned round = 0; round < 2; round++) { /* what was taken comes back */
        int fd = dial(httpd_port(r->httpd));
        char go[64] = "";

        say(fd, head);
        assert_true(recv(fd, go, sizeof go - 1, 0) > 0);
        contains("first", go, "100 Continue"); /* it has its room */
        expect(r, "no room", head, " 503 ");
        expect(r, "no room", head, "Retry-After: 1\r\n");
        expect(r, "no room", head, "too much content at once");
        close(fd);
        await_open(r, 0);
    }
    httpd_counters(r->httpd, &n);
    assert_int_equal(n.busy_content, 6);
    rig_stop(r);
}

static void stop_while_waiting(void **state)
{
    struct rig *r = rig_start(0);
    int fd[20];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(fd); i++) {
        fd[i] = dial(httpd_port(r->httpd));
        say(fd[i], "GET /hold HTTP/1.0\r\n\r\n");
    }
    await(&r->seen, TW_NELEM(fd), "held");
    loop_post(r->loop, &r->stop_httpd);
    for (size_t i = 0; i < TW_NELEM(fd); i++)
        free(hear(fd[i], NULL)); /* ends, with 503 or without */
    rig_stop(r);
}

/* Requests that no handler has seen yet: the loop does not run. */
static void stop_before_the_loop_sees_them(void **state)
{
    struct rig r = { 0 };
    struct httpd_conf c = {
        .address = "127.0.0.1:0", .routes = routes, .n_routes = TW_NELEM(routes), .ctx = &r
    };
    struct tw_err err = { 0 };
    struct httpd_counters n = { 0 };
    int fd[8];

    (void)state;
    assert_int_equal(loop_new(&r.loop), TW_OK);
    c.loop = r.loop;
    assert_int_equal(httpd_start(&c, &r.httpd, &err), TW_OK);
    for (size_t i = 0; i < TW_NELEM(fd); i++) {
        fd[i] = dial(httpd_port(r.httpd));
        say(fd[i], "GET /now HTTP/1.0\r\n\r\n");
    }
    for (int64_t until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S; n.requests < TW_NELEM(fd);) {
        httpd_counters(r.httpd, &n);
        assert_true(tw_mono_now().ns < until);
        pause_1ms();
    }
    httpd_stop(r.httpd);
    for (size_t i = 0; i < TW_NELEM(fd); i++)
        free(hear(fd[i], NULL));
    loop_free(r.loop);
}

struct storm {
    struct rig *r;
    uint16_t port;
    _Atomic bool end;
};

static void *storm_client(void *ctx)
{
    struct storm *s = ctx;

    while (!atomic_load(&s->end)) {
        struct sockaddr_in sin = { .sin_family = AF_INET,
                                   .sin_port = htons(s->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        char buf[256];
        if (connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
            send(fd, "GET /now HTTP/1.0\r\n\r\n", 21, MSG_NOSIGNAL) > 0)
            while (recv(fd, buf, sizeof buf, 0) > 0)
                ;
        close(fd);
    }
    return NULL;
}

/* Suspending and stopping at the same time: the daemon must never be stopped over a suspended connection. */
static void stop_under_fire(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct rig *r = rig_start(0);
        struct storm s = { .r = r, .port = httpd_port(r->httpd) };
        struct httpd_counters n = { 0 };
        pthread_t t[4];
        for (size_t i = 0; i < TW_NELEM(t); i++)
            assert_int_equal(pthread_create(&t[i], NULL, storm_client, &s), 0);
        for (int64_t until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S; n.requests < 50; pause_1ms()) {
            httpd_counters(r->httpd, &n);
            assert_true(tw_mono_now().ns < until);
        }
        loop_post(r->loop, &r->stop_httpd);
        for (int64_t until = tw_mono_now().ns + DEADLINE_S * TW_NS_PER_S; !atomic_load(&r->stopped);
             pause_1ms())
            assert_true(tw_mono_now().ns < until);
        atomic_store(&s.end, true);
        for (size_t i = 0; i < TW_NELEM(t); i++)
            pthread_join(t[i], NULL);
        rig_stop(r);
    }
}

static void bad_addresses(void **state)
{
    struct rig *r = rig_start(0);
    char taken[32];
    const struct {
        const char *address;
        enum tw_rc rc;
        const char *text;
    } cases[] = {
        { taken, TW_EINUSE, "in use" },
        { "localhost:80", TW_EINVAL, "expected e.g. 127.0.0.1:8080" },
        { "192.0.2.7:8080", TW_EIO, "192.0.2.7:8080" },
    };
    struct loop *idle; /* the rig's is another thread's */

    (void)state;
    assert_int_equal(loop_new(&idle), TW_OK);
    snprintf(taken, sizeof taken, "127.0.0.1:%u", httpd_port(r->httpd));
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct httpd_conf c = { .loop = idle, .address = cases[i].address, .routes = routes, .n_routes = 1 };
        struct httpd *h = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc = httpd_start(&c, &h, &err);
        if (rc == TW_OK || (cases[i].rc != TW_EIO && rc != cases[i].rc) || h ||
            !strstr(err.text, cases[i].text) || strchr(err.text, '\n'))
            fail_msg("%s: %s: \"%s\"", cases[i].address, tw_rc_name(rc), err.text);
    }
    loop_free(idle);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(compresses_when_asked),
        cmocka_unit_test(packed_pages_are_for_everybody),
        cmocka_unit_test(accept_encoding),
        cmocka_unit_test(entity_tags),
        cmocka_unit_test(oversized_head),
        cmocka_unit_test(slow_client),
        cmocka_unit_test(pipelined),
        cmocka_unit_test(disconnect_while_waiting),
        cmocka_unit_test(many_in_parallel),
        cmocka_unit_test(limit_per_address),
        cmocka_unit_test(full_of_requests),
        cmocka_unit_test(full_of_connections),
        cmocka_unit_test(no_descriptor_left),
        cmocka_unit_test(content_waits_for_the_guard),
        cmocka_unit_test(content_is_bounded_in_all),
        cmocka_unit_test(stop_while_waiting),
        cmocka_unit_test(stop_before_the_loop_sees_them),
        cmocka_unit_test(stop_under_fire),
        cmocka_unit_test(bad_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
