#include "tests/bench/history_api.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/net/httpd.h"
#include "controller/controller.h"
#include "controller/http/api.h"

static const struct http_route routes[] = { { .path = "/api/v1/report", .fn = http_report },
                                            { .path = "/api/v1/summaries", .fn = http_summaries } };

struct history_api {
    struct controller c;
    struct loop_task stop;
    pthread_t thread;
    bool stopped;
};

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_history: %s: %s\n", what, why);
    exit(1);
}

static void on_stop(struct loop_task *t)
{
    ((struct history_api *)t->ctx)->stopped = true;
}

static void *run_loop(void *ctx)
{
    struct history_api *a = ctx;

    while (!a->stopped)
        loop_run_until(a->c.loop, &a->stopped, (struct tw_mono){ INT64_MAX });
    return NULL;
}

struct history_api *history_api_start(const char *path, const uint64_t *ids, unsigned pairs, int64_t period_ns)
{
    struct history_api *a = calloc(1, sizeof *a);
    struct httpd_conf hc = { .address = "127.0.0.1:0", .routes = routes, .n_routes = TW_NELEM(routes) };
    struct tw_err err = { 0 };

    if (!a || loop_new(&a->c.loop))
        die("api", "out of memory");
    for (unsigned i = 0; i < pairs; i++) {
        char source[16], target[16];
        struct store_pair row = {
            .id = ids[i], .mesh = "m", .class_name = "voice", .source = source, .target = target
        };
        struct pair *p;
        snprintf(source, sizeof source, "a%02u", i / 100);
        snprintf(target, sizeof target, "t%02u", i % 100);
        p = inventory_add_pair(&a->c.inv, &row);
        if (!p)
            die("api", "out of memory");
        p->flows = 1;
        p->report_period_ns = period_ns;
        p->scheduled = true;
    }
    hc.loop = a->c.loop;
    hc.ctx = &a->c;
    a->stop = (struct loop_task){ .fn = on_stop, .ctx = a };
    if (reader_pool_start(a->c.loop, &(struct store_where){ .control = path }, 2, 16, &a->c.readers, &err) ||
        httpd_start(&hc, &a->c.http, &err))
        die("api", err.text);
    if (pthread_create(&a->thread, NULL, run_loop, a))
        die("api", "cannot start a thread");
    return a;
}

static int dial(uint16_t port)
{
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof sin))
        die("api", "cannot be reached");
    return fd;
}

unsigned history_api_get(struct history_api *a, const char *target)
{
    static char text[1 << 20];
    static const char json[] = "\"sent\":600,", csv[] = "\nm,voice,";
    const char *mark = strstr(target, "format=csv") ? csv : json;
    const size_t mark_len = strlen(mark);
    size_t kept = 0;
    unsigned n = 0;
    int fd = dial(httpd_port(a->c.http));
    ssize_t got;

    snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", target);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        die("api", "does not listen");
    while ((got = recv(fd, text + kept, sizeof text - 1 - kept, 0)) > 0) {
        size_t len = kept + (size_t)got;
        text[len] = '\0';
        for (const char *at = text; (at = strstr(at, mark)); at++)
            n++;
        kept = len < mark_len - 1 ? len : mark_len - 1; /* the beginning of one, perhaps */
        memmove(text, text + len - kept, kept);
    }
    close(fd);
    return n;
}

void history_api_stop(struct history_api *a)
{
    loop_post(a->c.loop, &a->stop);
    pthread_join(a->thread, NULL);
    httpd_stop(a->c.http);
    reader_pool_stop(a->c.readers);
    pair_table_free(&a->c.inv.pairs);
    pair_groups_free(&a->c.inv.groups);
    names_free(&a->c.inv.names);
    loop_free(a->c.loop);
    free(a);
}
