#include "tests/unit/db/clickhouse/fake_http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 8

struct client {
    int fd;
    size_t len;
    char buf[FAKE_REQUEST_MAX];
};

/* The length of a whole request, 0: not yet. */
static size_t whole(const struct client *c)
{
    const char *end = memmem(c->buf, c->len, "\r\n\r\n", 4), *length;
    size_t head, body;

    if (!end)
        return 0;
    head = (size_t)(end - c->buf) + 4;
    length = memmem(c->buf, head, "Content-Length: ", 16);
    body = length ? strtoul(length + 16, NULL, 10) : 0;
    return c->len >= head + body ? head + body : 0;
}

static void close_client(struct client *c)
{
    close(c->fd);
    c->fd = -1;
    c->len = 0;
}

static void serve(struct fake_http *f, struct client *c)
{
    ssize_t n = read(c->fd, c->buf + c->len, sizeof c->buf - c->len);
    const char *answer;
    size_t len;

    if (n <= 0) {
        close_client(c);
        return;
    }
    c->len += (size_t)n;
    if (!(len = whole(c)))
        return;
    pthread_mutex_lock(&f->lock);
    f->requests++;
    memcpy(f->request, c->buf, len);
    f->request_len = len;
    c->len = 0;
    answer = f->question && memmem(c->buf, len, f->question, strlen(f->question)) ? f->its_answer : f->answer;
    if (answer && write(c->fd, answer, strlen(answer)) < 0)
        close_client(c);
    else if (f->cut)
        close_client(c);
    pthread_mutex_unlock(&f->lock);
}

static void admit(struct fake_http *f, struct client *clients)
{
    int fd = accept(f->listener, NULL, NULL);

    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].fd < 0) {
            clients[i].fd = fd;
            pthread_mutex_lock(&f->lock);
            f->connections++;
            pthread_mutex_unlock(&f->lock);
            return;
        }
    close(fd);
}

static void *main_loop(void *ctx)
{
    struct fake_http *f = ctx;
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    struct pollfd p[CLIENTS + 2];

    assert(clients);
    for (int i = 0; i < CLIENTS; i++)
        clients[i].fd = -1;
    for (;;) {
        p[0] = (struct pollfd){ .fd = f->stop_pipe[0], .events = POLLIN };
        p[1] = (struct pollfd){ .fd = f->listener, .events = POLLIN };
        for (int i = 0; i < CLIENTS; i++)
            p[i + 2] = (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
        poll(p, CLIENTS + 2, -1);
        if (p[0].revents)
            break;
        if (p[1].revents)
            admit(f, clients);
        for (int i = 0; i < CLIENTS; i++)
            if (p[i + 2].revents && clients[i].fd == p[i + 2].fd)
                serve(f, &clients[i]);
    }
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].fd >= 0)
            close(clients[i].fd);
    free(clients);
    return NULL;
}

void fake_http_start(struct fake_http *f)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int rc;

    memset(f, 0, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rc = bind(f->listener, (struct sockaddr *)&a, sizeof a) | listen(f->listener, 8) |
         getsockname(f->listener, (struct sockaddr *)&a, &len) | pipe(f->stop_pipe);
    assert(!rc);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u", ntohs(a.sin_port));
    rc = pthread_create(&f->thread, NULL, main_loop, f);
    assert(!rc);
    (void)rc;
}

void fake_http_stop(struct fake_http *f)
{
    ssize_t n = write(f->stop_pipe[1], "", 1);

    (void)n;
    pthread_join(f->thread, NULL);
    close(f->listener);
    close(f->stop_pipe[0]);
    close(f->stop_pipe[1]);
    pthread_mutex_destroy(&f->lock);
}

void fake_http_say_to(struct fake_http *f, const char *question, const char *answer)
{
    pthread_mutex_lock(&f->lock);
    f->question = question;
    f->its_answer = answer;
    pthread_mutex_unlock(&f->lock);
}

void fake_http_say(struct fake_http *f, const char *answer, bool cut)
{
    pthread_mutex_lock(&f->lock);
    f->answer = answer;
    f->cut = cut;
    f->requests = 0;
    pthread_mutex_unlock(&f->lock);
}

unsigned fake_http_requests(struct fake_http *f)
{
    unsigned n;

    pthread_mutex_lock(&f->lock);
    n = f->requests;
    pthread_mutex_unlock(&f->lock);
    return n;
}

bool fake_http_has(struct fake_http *f, const char *text)
{
    bool has;

    pthread_mutex_lock(&f->lock);
    has = memmem(f->request, f->request_len, text, strlen(text)) != NULL;
    pthread_mutex_unlock(&f->lock);
    return has;
}
