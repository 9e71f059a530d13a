#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/rpc_peer.h"

void rpc_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void rpc_uncount(_Atomic uint64_t *gauge)
{
    atomic_fetch_sub_explicit(gauge, 1, memory_order_relaxed);
}

void rpc_stats_read(const struct rpc_stats *s, struct rpc_counters *ret)
{
#define X(name) ret->name = atomic_load_explicit(&s->name, memory_order_relaxed);
    RPC_COUNTERS(X)
#undef X
}

static uint32_t or_default(uint32_t value, uint32_t dflt)
{
    return value ? value : dflt;
}

enum tw_rc side_init(struct rpc_side *s, struct loop *l, const struct rpc_hooks *hooks,
                     const struct rpc_service *services, size_t n_services, const struct rpc_times *times)
{
    s->loop = l;
    s->hooks = *hooks;
    s->max_calls = 1024;
    s->max_calls_all = 16384;
    s->load = calloc(1, sizeof *s->load);
    if (!s->load)
        return TW_ENOMEM;
    s->load->refs = 1;
    s->times.ping_ms = or_default(times->ping_ms, 15000);
    s->times.dead_ms = or_default(times->dead_ms, 45000);
    s->times.hello_timeout_ms = or_default(times->hello_timeout_ms, 10000);
    if (n_services == 0)
        return TW_OK;
    s->services = malloc(n_services * sizeof *services);
    if (!s->services)
        return TW_ENOMEM;
    memcpy(s->services, services, n_services * sizeof *services);
    s->n_services = n_services;
    return TW_OK;
}

void side_load_unref(struct rpc_load *l)
{
    if (l && --l->refs == 0)
        free(l);
}

static void down_all(struct rpc_peer **list)
{
    while (*list) { /* peer_down() moves it to the list of the dying */
        peer_reason(*list, TW__STATUS__STATUS_UNAVAILABLE, "stopped at this end");
        peer_down(*list);
    }
}

void side_stop(struct rpc_side *s)
{
    s->stopping = true;
    down_all(&s->up);
    down_all(&s->joiners);
    down_all(&s->handshakes);
    while (s->dying) {
        struct rpc_peer *p = s->dying;

        conn_free(p->conn);
        peer_free(p);
    }
    free(s->services);
    side_load_unref(s->load);
}

/* nng would find out only when it dials, again and again. */
static bool ends_with_port(const char *url)
{
    const char *colon = strrchr(url, ':');
    size_t n = colon ? strspn(colon + 1, "0123456789") : 0;

    return n >= 1 && n <= 5 && !colon[1 + n] && atoi(colon + 1) <= UINT16_MAX;
}

enum tw_rc side_check_url(const char *url, struct tw_err *err)
{
    static const struct {
        const char *scheme;
        bool port;
    } known[] = { { "tls+tcp://", true }, { "tcp://", true }, { "tcp4://", true }, { "tcp6://", true }, { "ipc:///", false } };

    for (size_t i = 0; i < TW_NELEM(known); i++)
        if (strncmp(url, known[i].scheme, strlen(known[i].scheme)) == 0 &&
            (!known[i].port || ends_with_port(url)))
            return TW_OK;
    return tw_err_set(err, TW_EINVAL, "%s: expected tls+tcp://HOST:PORT, tcp://HOST:PORT or ipc:///PATH", url);
}

enum tw_rc rpc_check_url(const char *url, struct tw_err *err)
{
    return side_check_url(url, err);
}

#define TLS_PREFIX "tls+"

bool side_is_tls(const char *url)
{
    return strncmp(url, TLS_PREFIX, strlen(TLS_PREFIX)) == 0;
}

const char *side_nng_url(const char *url)
{
    return side_is_tls(url) ? url + strlen(TLS_PREFIX) : url;
}
