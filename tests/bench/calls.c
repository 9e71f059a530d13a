/* Control calls under overload: so many connections of operators ask at a rate of their own, whatever comes
 * of it, as a crowd of scripts does. A connection whose socket takes no more does not ask at that moment:
 * that is the controller's back pressure. One thread: what it costs is a small part of what a call costs the
 * controller.
 *
 * Usage: bench_calls SOCKET METHOD CONNECTIONS RATE SECONDS
 * RATE: calls a second of all together; below 0: each connection has so many unanswered all the while.
 * Printed, on one line: offered served refused held (calls a second; held: what sockets did not take), p50
 * p99 max of what was served, of what was refused (ms) */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "admin.pb-c.h"
#include "common/net/now.h"
#include "common/net/rpc.h"
#include "common/net/rpc_frame.h"

#define CONNECTIONS_MAX 64
#define ASKED 65536        /* ids whose times are known: more than may be under way */
#define BUFFER (256 << 10) /* of a connection, each way */
#define LATENCIES (1 << 20)
#define DEADLINE_MS 20000

struct latencies {
    int64_t v[LATENCIES]; /* beyond that they are counted only */
    size_t n;
};
struct conn {
    int fd;
    uint64_t id;          /* of the next call; odd numbers */
    int64_t asked[ASKED]; /* when, by (id / 2) % ASKED */
    uint8_t in[BUFFER], out[BUFFER];
    size_t n_in, n_out, sent;
    unsigned open;
    bool up;
};
static struct conn conns[CONNECTIONS_MAX];
static size_t n_conns;
static struct latencies served, refused;
static uint64_t offered, held;
static uint32_t method;

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_calls: %s: %s\n", what, why);
    exit(1);
}

static void note(struct latencies *l, int64_t ns)
{
    if (l->n < LATENCIES)
        l->v[l->n] = ns;
    l->n++;
}

/* ---- Frames ---- */

static bool put(struct conn *c, const Tw__Frame *f, const ProtobufCMessage *body)
{
    size_t len = rpc_frame_size(f, body);

    if (c->n_out + len > sizeof c->out)
        return false;
    rpc_frame_pack(f, body, c->out + c->n_out);
    c->n_out += len;
    return true;
}

static bool ask(struct conn *c, int64_t now_ns)
{
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = TW__FRAME_KIND__FRAME_REQUEST;
    f.id = c->id;
    f.method = method;
    f.deadline_ms = DEADLINE_MS;
    if (!put(c, &f, NULL))
        return false;
    c->asked[c->id / 2 % ASKED] = now_ns;
    c->id += 2;
    c->open++;
    return true;
}

static void answered(struct conn *c, const Tw__Frame *f, int64_t now_ns)
{
    int64_t took_ns = now_ns - c->asked[f->id / 2 % ASKED];
    bool busy = f->status == TW__STATUS__STATUS_RESOURCE_EXHAUSTED;

    c->open--;
    if (!busy && f->status != TW__STATUS__STATUS_OK)
        die("a call", f->detail);
    note(busy ? &refused : &served, took_ns);
}

static void take(struct conn *c, const uint8_t *data, size_t len, int64_t now_ns)
{
    Tw__Frame *f = tw__frame__unpack(NULL, len, data), pong = TW__FRAME__INIT;

    if (!f)
        die("a frame", "cannot be read");
    if (f->kind == TW__FRAME_KIND__FRAME_REPLY)
        answered(c, f, now_ns);
    if (f->kind == TW__FRAME_KIND__FRAME_GOAWAY)
        die("the controller", f->detail);
    c->up |= f->kind == TW__FRAME_KIND__FRAME_HELLO_OK;
    pong.kind = TW__FRAME_KIND__FRAME_PONG;
    if (f->kind == TW__FRAME_KIND__FRAME_PING)
        put(c, &pong, NULL);
    tw__frame__free_unpacked(f, NULL);
}

/* ---- Sockets ---- */

static void flush(struct conn *c)
{
    while (c->sent < c->n_out) {
        ssize_t n = send(c->fd, c->out + c->sent, c->n_out - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            die("send", strerror(errno));
        if (n < 0)
            return;
        c->sent += (size_t)n;
    }
    c->sent = c->n_out = 0;
}

static void drain(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->n_in, sizeof c->in - c->n_in, MSG_DONTWAIT);
    int64_t now_ns = tw_mono_now().ns;
    size_t at = 0, len;

    if (n == 0)
        die("the connection", "was closed");
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("recv", strerror(errno));
    c->n_in += n > 0 ? (size_t)n : 0;
    while (rpc_frame_cut(c->in + at, c->n_in - at, sizeof c->in, &len) == TW_OK) {
        take(c, c->in + at + RPC_FRAME_HEADER, len - RPC_FRAME_HEADER, now_ns);
        at += len;
    }
    memmove(c->in, c->in + at, c->n_in - at);
    c->n_in -= at;
}

static void say_hello(struct conn *c)
{
    Tw__ClientHello hello = TW__CLIENT_HELLO__INIT;
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = TW__FRAME_KIND__FRAME_HELLO;
    hello.version = 1;
    hello.role = TW__ROLE__ROLE_OPERATOR;
    hello.name = (char *)"bench";
    hello.software = (char *)"bench_calls";
    put(c, &f, &hello.base);
}

static void dial(const char *path)
{
    struct conn *c = &conns[n_conns++];
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0)
        die(path, strerror(errno));
    c->id = 1;
    say_hello(c);
    flush(c);
}

/* ---- The load ---- */

static void keep_up(size_t n, double rate, int64_t begin_ns, int64_t now_ns)
{
    static uint64_t due;
    static size_t turn;
    uint64_t by_now = rate > 0 ? (uint64_t)(rate * (double)(now_ns - begin_ns) / 1e9) : 0;

    for (size_t i = 0; rate < 0 && i < n; i++)
        while (conns[i].open < (unsigned)-rate && ask(&conns[i], now_ns))
            offered++;
    for (; due < by_now; due++) {
        struct conn *c = &conns[turn++ % n];

        offered++;
        held += c->open >= ASKED || c->n_out > BUFFER / 2 || !ask(c, now_ns);
    }
}

static void turn_around(int ms)
{
    struct pollfd p[CONNECTIONS_MAX];

    for (size_t i = 0; i < n_conns; i++) {
        flush(&conns[i]);
        p[i] =
            (struct pollfd){ .fd = conns[i].fd, .events = (short)(POLLIN | (conns[i].n_out ? POLLOUT : 0)) };
    }
    if (poll(p, n_conns, ms) < 0 && errno != EINTR)
        die("poll", strerror(errno));
    for (size_t i = 0; i < n_conns; i++)
        if (p[i].revents)
            drain(&conns[i]);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print(struct latencies *l)
{
    size_t n = l->n < LATENCIES ? l->n : LATENCIES;

    qsort(l->v, n, sizeof l->v[0], compare);
    printf(" %.3f %.3f %.3f", n ? (double)l->v[n / 2] / 1e6 : 0, n ? (double)l->v[n * 99 / 100] / 1e6 : 0,
           n ? (double)l->v[n - 1] / 1e6 : 0);
}

static uint32_t find_method(const char *name)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;

    for (unsigned i = 0; i < d->n_methods; i++)
        if (!strcmp(d->methods[i].name, name))
            return RPC_ADMIN << 8 | i;
    die(name, "is no method of Admin");
}

int main(int argc, char **argv)
{
    size_t n = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;
    double rate = argc == 6 ? strtod(argv[4], NULL) : 0, seconds = argc == 6 ? strtod(argv[5], NULL) : 0;
    struct tw_mono begin, now;

    if (!n || n > CONNECTIONS_MAX || seconds <= 0)
        die("usage", "bench_calls SOCKET METHOD CONNECTIONS RATE SECONDS");
    method = find_method(argv[2]);
    for (size_t i = 0; i < n; i++)
        dial(argv[1]);
    for (size_t i = 0; i < n; i += conns[i].up)
        turn_around(10);
    for (begin = now = tw_mono_now(); now.ns < begin.ns + (int64_t)(seconds * 1e9); now = tw_mono_now()) {
        keep_up(n, rate, begin.ns, now.ns);
        turn_around(1);
    }
    printf("%.0f %.0f %.0f %.0f", (double)offered / seconds, (double)served.n / seconds,
           (double)refused.n / seconds, (double)held / seconds);
    print(&served);
    print(&refused);
    putchar('\n');
    return 0;
}
