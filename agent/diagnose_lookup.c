/* agent/diagnose_lookup.c - names, by a thread, since the resolver of libc blocks; see diagnose_io.h. */
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/diagnose_io.h"
#include "common/net/now.h"

/* The state of the resolver belongs to the thread that sets it: others go on as /etc/resolv.conf says. */
static void be_quick(void)
{
    if (res_init())
        return; /* its defaults then: it takes longer */
    _res.retrans = 1;
    _res.retry = 1;
}

static void take(struct diag_lookup *l, const struct addrinfo *list)
{
    for (const struct addrinfo *a = list; a && l->n < DIAG_ADDRESSES; a = a->ai_next)
        if (tw_addr_from_sockaddr(a->ai_addr, &l->addresses[l->n]) == TW_OK)
            l->n++;
    if (!l->n)
        snprintf(l->error, sizeof l->error, "it has no IPv4 or IPv6 address");
}

static void *look_up(void *arg)
{
    struct diag_lookup *l = arg;
    struct addrinfo hints = { .ai_family = l->family == 4   ? AF_INET
                                           : l->family == 6 ? AF_INET6
                                                            : AF_UNSPEC,
                              .ai_socktype = SOCK_DGRAM };
    struct addrinfo *list = NULL;
    int64_t began = tw_mono_now().ns;
    int e;

    be_quick();
    e = getaddrinfo(l->host, NULL, &hints, &list);
    l->took_ns = tw_mono_now().ns - began;
    if (e)
        snprintf(l->error, sizeof l->error, "%s", e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
    else
        take(l, list);
    if (list)
        freeaddrinfo(list);
    loop_post(l->loop, &l->task);
    return NULL;
}

static void on_done(struct loop_task *t)
{
    struct diag_lookup *l = (struct diag_lookup *)t;

    l->finished = true;
    l->done(l);
}

enum tw_rc diag_lookup_start(struct loop *loop, const char *host, uint8_t family,
                             void (*done)(struct diag_lookup *l), void *ctx, struct diag_lookup **ret)
{
    struct diag_lookup *l = calloc(1, sizeof *l);

    if (!l)
        return TW_ENOMEM;
    if (strlen(host) >= sizeof l->host) {
        free(l);
        return TW_EINVAL;
    }
    strcpy(l->host, host);
    l->family = family;
    l->loop = loop;
    l->done = done;
    l->ctx = ctx;
    l->task.fn = on_done;
    if (pthread_create(&l->thread, NULL, look_up, l)) {
        free(l);
        return TW_ENOMEM;
    }
    l->started = true;
    *ret = l;
    return TW_OK;
}

void diag_lookup_free(struct diag_lookup *l)
{
    if (!l)
        return;
    if (l->started)
        pthread_join(l->thread, NULL);
    loop_unpost(l->loop, &l->task);
    free(l);
}
