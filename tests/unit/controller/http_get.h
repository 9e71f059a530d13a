/* A GET from another thread while the test's loop runs. */
#ifndef TW_TESTS_HTTP_GET_H
#define TW_TESTS_HTTP_GET_H

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include "tests/unit/controller/api_fixture.h"

struct get {
    struct loop *loop;
    uint16_t port;
    const char *target, *headers; /* each header with its CRLF */
    pthread_t thread;
    struct loop_task finished;
    bool done;
    char *text; /* the whole answer */
    unsigned status;
};

__attribute__((unused)) static void get_finished(struct loop_task *t)
{
    ((struct get *)t->ctx)->done = true;
}

__attribute__((unused)) static void *get_main(void *ctx)
{
    struct get *g = ctx;
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_port = htons(g->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval tv = { .tv_sec = FX_DEADLINE_S };
    size_t cap = 8 << 20, len = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char request[1024];
    ssize_t n;

    g->text = calloc(1, cap);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: test.example:8080\r\n%s\r\n", g->target, g->headers);
    if (!connect(fd, (struct sockaddr *)&sin, sizeof sin) &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        while (len < cap - 1 && (n = recv(fd, g->text + len, cap - 1 - len, 0)) > 0)
            len += (size_t)n;
    close(fd);
    sscanf(g->text, "HTTP/1.%*c %u", &g->status);
    loop_post(g->loop, &g->finished);
    return NULL;
}

__attribute__((unused)) static void get_start_with(struct get *g, struct loop *loop, uint16_t port,
                                                   const char *target, const char *headers)
{
    *g = (struct get){ .loop = loop,
                       .port = port,
                       .target = target,
                       .headers = headers,
                       .finished = { .fn = get_finished, .ctx = g } };
    assert_int_equal(pthread_create(&g->thread, NULL, get_main, g), 0);
}

__attribute__((unused)) static void get_start(struct get *g, struct loop *loop, uint16_t port,
                                              const char *target)
{
    get_start_with(g, loop, port, target, "");
}

/* Runs the loop until the answer is there. The caller frees g->text. */
__attribute__((unused)) static void get_await(struct get *g, struct fx *f)
{
    fx_run_until(f, &g->done, g->target);
    pthread_join(g->thread, NULL);
}

__attribute__((unused)) static const char *get_body(const struct get *g)
{
    const char *body = strstr(g->text, "\r\n\r\n");

    return body ? body + 4 : "";
}

#endif
