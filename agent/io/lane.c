/* agent/io/lane.c - which socket a session uses, and whose an arriving answer is; rules in worker_priv.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/io/worker_priv.h"

enum { LANE_RCVBUF = 4 << 20 }; /* answers of 0.2 s at 50,000 a second */

static size_t bucket_of(const struct worker *w, const struct lane *l, const struct tw_addr *a)
{
    uint64_t part[3], h = (uint64_t)(uintptr_t)l;

    _Static_assert(sizeof part == sizeof *a, "all of the address is hashed");
    memcpy(part, a, sizeof part);
    for (size_t i = 0; i < TW_NELEM(part); i++) {
        h = (h ^ part[i]) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
        h ^= h >> 32;
    }
    return (size_t)h & (w->buckets - 1);
}

struct peer *peer_find(struct worker *w, const struct lane *l, const struct tw_addr *a)
{
    struct peer *p = w->peers[bucket_of(w, l, a)];

    while (p && (p->lane != l || memcmp(&p->addr, a, sizeof *a) != 0))
        p = p->bucket_next;
    return p;
}

static enum tw_rc peer_add(struct worker *w, struct lane *l, const struct tw_addr *a, struct peer **ret)
{
    size_t bucket = bucket_of(w, l, a);
    struct peer *p = calloc(1, sizeof *p);

    if (!p)
        return TW_ENOMEM;
    p->addr = *a;
    p->lane = l;
    p->bucket_next = w->peers[bucket];
    w->peers[bucket] = p;
    p->lane_next = l->peers;
    if (p->lane_next)
        p->lane_next->lane_prev = p;
    l->peers = p;
    *ret = p;
    return TW_OK;
}

static void peer_remove(struct worker *w, struct peer *p)
{
    struct peer **at = &w->peers[bucket_of(w, p->lane, &p->addr)];

    while (*at != p)
        at = &(*at)->bucket_next;
    *at = p->bucket_next;
    *(p->lane_prev ? &p->lane_prev->lane_next : &p->lane->peers) = p->lane_next;
    if (p->lane_next)
        p->lane_next->lane_prev = p->lane_prev;
    if (!p->flow)
        w->n_resting--;
    timerq_cancel(&w->timers, &p->rest.entry);
    free(p);
}

static void peer_rested(struct worker *w, struct wtimer *t)
{
    peer_remove(w, (struct peer *)t); /* its first member */
}

static bool wants_own_lane(const struct flow_start *f)
{
    return f->given.fd >= 0 || f->key.local.port;
}

static bool equal_keys(const struct lane_key *a, const struct lane_key *b)
{
    return a->df == b->df && memcmp(&a->local, &b->local, sizeof a->local) == 0 &&
           memcmp(a->interface, b->interface, sizeof a->interface) == 0;
}

static enum tw_rc lane_socket(const struct worker *w, struct lane *l, struct flow_start *f,
                              struct tw_err *err)
{
    struct udp_conf conf = {
        .local = f->key.local, .rcvbuf_bytes = LANE_RCVBUF, .df = f->key.df, .hw_times = w->cfg.hw_times
    };

    if (f->given.fd >= 0) {
        l->port.sock = f->given;
        f->given.fd = -1;
        return TW_OK;
    }
    memcpy(conf.interface, f->key.interface, sizeof conf.interface);
    return udp_open(&conf, &l->port.sock, err);
}

static void list_add(struct lane *l, struct lane **list)
{
    l->list = list;
    l->next = *list;
    if (l->next)
        l->next->prev = l;
    *list = l;
}

static void list_remove(struct lane *l)
{
    *(l->prev ? &l->prev->next : l->list) = l->next;
    if (l->next)
        l->next->prev = l->prev;
}

/* Short enough for struct worker_notice. */
static enum tw_rc refuse_lane(const struct flow_start *f, struct tw_err *err)
{
    char target[TW_ADDR_TEXT];

    if (wants_own_lane(f))
        return tw_err_set(err, TW_ENOSPC,
                          "it needs a socket of its own, and this worker has all the %d it can have: fewer "
                          "TWAMP sessions or fixed ports, or more workers",
                          LANES_MAX);
    return tw_err_set(err, TW_ENOSPC,
                      "%s is probed from all %d sockets of this worker, and each session to the same address "
                      "and port needs its own: fewer flows, or more workers",
                      tw_addr_format(&f->target, target), LANES_MAX);
}

static enum tw_rc lane_open(struct worker *w, struct flow_start *f, struct lane **ret, struct tw_err *err)
{
    struct lane *l;
    enum tw_rc rc;

    if (w->n_lanes == LANES_MAX)
        return refuse_lane(f, err);
    l = calloc(1, sizeof *l);
    if (!l)
        return TW_ENOMEM;
    l->port.kind = PORT_LANE;
    l->key = f->key;
    l->own = wants_own_lane(f);
    l->serial = ++w->last_lane;
    rc = lane_socket(w, l, f, err);
    if (rc)
        goto fail_free;
    rc = worker_watch(w, &l->port, 0);
    if (rc)
        goto fail_close;
    list_add(l, l->own ? &w->own_lanes : &w->lanes);
    w->n_lanes++;
    *ret = l;
    return TW_OK;

fail_close:
    udp_close(&l->port.sock);
fail_free:
    free(l);
    return rc;
}

static void lane_close(struct worker *w, struct lane *l)
{
    while (l->peers)
        peer_remove(w, l->peers);
    list_remove(l);
    w->n_lanes--;
    udp_close(&l->port.sock); /* leaves epoll with it */
    free(l);
}

static struct lane *free_lane(struct worker *w, const struct flow_start *f)
{
    struct lane *l = wants_own_lane(f) ? NULL : w->lanes;

    while (l && (!equal_keys(&l->key, &f->key) || peer_find(w, l, &f->target)))
        l = l->next;
    return l;
}

enum tw_rc lane_attach(struct worker *w, struct flow *f, struct tw_err *err)
{
    struct lane *l = free_lane(w, f->start);
    enum tw_rc rc = l ? TW_OK : lane_open(w, f->start, &l, err);

    if (rc)
        return rc;
    rc = peer_add(w, l, &f->start->target, &f->peer);
    if (rc) {
        if (!l->flows)
            lane_close(w, l);
        return rc;
    }
    f->peer->flow = f;
    l->flows++;
    free(f->start);
    f->start = NULL;
    return TW_OK;
}

void lane_detach(struct worker *w, struct flow *f)
{
    struct peer *p = f->peer;
    struct lane *l = p->lane;

    stamp_wait_forget(w->stamps, &f->stamps);
    f->peer = NULL;
    p->flow = NULL;
    w->n_resting++;
    if (--l->flows == 0) {
        lane_close(w, l); /* a new socket will have another port */
    } else if (w->n_resting > w->max_sessions) {
        peer_remove(w, p); /* bounded memory: then the reflector's own restart rule has to do */
    } else {
        p->rest.fn = peer_rested;
        worker_set_timer(w, &p->rest, (struct tw_mono){ w->now.mono.ns + PEER_REST_NS });
    }
}

void lanes_free(struct worker *w)
{
    while (w->lanes)
        lane_close(w, w->lanes);
    while (w->own_lanes)
        lane_close(w, w->own_lanes);
}
