#include "common/net/http_listener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/now.h"

#define PAUSE_MS 100 /* while there is nothing to take a connection with */

struct http_listener {
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int fd, end; /* end: readable when it is time to stop */
    _Atomic uint64_t waits;
    uint64_t given; /* its thread's, until that has ended */
    struct log_limit limit;
};

/* False: it is to stop. */
static bool wait_for(const struct http_listener *l, bool more, int ms)
{
    struct pollfd p[] = { { .fd = l->end, .events = POLLIN }, { .fd = more ? l->fd : -1, .events = POLLIN } };

    while (poll(p, 2, ms) < 0 && errno == EINTR)
        ;
    return !p[0].revents;
}

/* What else may go wrong with accept() is of that one connection: it is gone. */
static bool is_short(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void note_shortage(struct http_listener *l, int error)
{
    unsigned held;

    atomic_fetch_add(&l->waits, 1);
    if (log_limit_ok(&l->limit, tw_mono_now().ns, &held))
        log_warn("http connections wait: none can be taken", LOG_S("reason", strerror(error)),
                 LOG_U("held_back", held));
}

static void *listener_main(void *arg)
{
    struct http_listener *l = arg;

    while (wait_for(l, true, -1)) {
        struct sockaddr_storage from = { 0 };
        socklen_t len = sizeof from;
        int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC), error = errno;

        if (fd >= 0) {
            /* It closes fd if it cannot. */
            l->given += MHD_add_connection(l->daemon, fd, (struct sockaddr *)&from, len) == MHD_YES;
            continue;
        }
        if (!is_short(error))
            continue;
        note_shortage(l, error);
        if (!wait_for(l, false, PAUSE_MS))
            break;
    }
    return NULL;
}

enum tw_rc http_listener_start(int fd, struct MHD_Daemon *daemon, struct http_listener **ret)
{
    struct http_listener *l = calloc(1, sizeof *l);

    if (!l)
        return TW_ENOMEM;
    l->daemon = daemon;
    l->fd = fd;
    l->limit.burst = 2;
    l->end = eventfd(0, EFD_CLOEXEC);
    if (l->end >= 0 && pthread_create(&l->thread, NULL, listener_main, l) == 0) {
        *ret = l;
        return TW_OK;
    }
    if (l->end >= 0)
        close(l->end);
    free(l);
    return TW_EIO;
}

uint64_t http_listener_stop(struct http_listener *l)
{
    uint64_t one = 1, given;

    if (!l)
        return 0;
    while (write(l->end, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(l->thread, NULL);
    close(l->end);
    close(l->fd);
    given = l->given;
    free(l);
    return given;
}

uint64_t http_listener_waits(const struct http_listener *l)
{
    return l ? atomic_load(&l->waits) : 0;
}
