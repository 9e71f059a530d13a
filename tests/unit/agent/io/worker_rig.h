/* tests/unit/agent/io/worker_rig.h - a worker under test, a loop that collects what it says, and raw sockets
 * to play reflector, sender or stranger. */
#ifndef TW_TESTS_WORKER_RIG_H
#define TW_TESTS_WORKER_RIG_H

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "agent/core/twamp_pkt.h"
#include "agent/io/udpsock.h"
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

#define RIG_DEADLINE_NS (20 * TW_NS_PER_S)
#define RIG_PAIRS 64

struct rig {
    struct loop *loop;
    struct worker *w;
    struct worker_cfg cfg;
    bool hold; /* do not take summaries */
    unsigned woken, summaries;
    struct tw_summary scratch, sum[RIG_PAIRS]; /* by pair id */
    unsigned ended;
    struct worker_notice last_end[RIG_PAIRS];
    unsigned reflect_ended;
    struct worker_reflect_end last_reflect_end[RIG_PAIRS]; /* by id */
    unsigned reflect_ends[RIG_PAIRS];
    struct udp_rx *rx;
    struct udp_tx *tx;
};

static inline struct tw_addr rig_addr(const char *text, uint16_t port)
{
    struct tw_addr a;

    if (tw_addr_parse(text, port, &a))
        fail_msg("bad address %s", text);
    return a;
}

static inline void rig_collect(struct rig *r)
{
    struct worker_reflect_end e;
    struct worker_notice n;

    /* Before the summaries: those of a session that has ended are there then. */
    while (worker_next_notice(r->w, &n) == TW_OK) {
        r->last_end[n.pair_id % RIG_PAIRS] = n;
        r->ended++;
    }
    while (!r->hold && worker_next_summary(r->w, &r->scratch) == TW_OK) {
        struct tw_err err = { 0 };
        if (summary_validate(&r->scratch, &err))
            fail_msg("summary of pair %llu: %s: %s", (unsigned long long)r->scratch.pair_id, err.field,
                     err.text);
        summary_merge(&r->sum[r->scratch.pair_id % RIG_PAIRS], &r->scratch);
        r->summaries++;
    }
    while (worker_next_reflect_end(r->w, &e) == TW_OK) {
        r->last_reflect_end[e.id % RIG_PAIRS] = e;
        r->reflect_ends[e.id % RIG_PAIRS]++;
        r->reflect_ended++;
    }
}

static inline void rig_on_results(void *ctx)
{
    struct rig *r = ctx;

    r->woken++;
    rig_collect(r);
}

static inline void rig_prepare(struct rig *r)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(loop_new(&r->loop), TW_OK);
    r->cfg =
        (struct worker_cfg){ .loop = r->loop, .on_results = rig_on_results, .ctx = r, .max_sessions = 32 };
    summary_init(&r->scratch);
    for (int i = 0; i < RIG_PAIRS; i++)
        summary_init(&r->sum[i]);
    assert_int_equal(udp_rx_new(1, TEST_DATAGRAM_MAX, &r->rx), TW_OK);
    assert_int_equal(udp_tx_new(1, TEST_DATAGRAM_MAX, &r->tx), TW_OK);
}

/* After rig_prepare() and changes of r->cfg. Reflectors on loopback, IPv4 (0) and IPv6 (1). */
static inline void rig_go(struct rig *r)
{
    struct tw_err err = { 0 };

    r->cfg.reflect[0] = rig_addr("127.0.0.1", 0);
    r->cfg.reflect[1] = rig_addr("::1", 0);
    if (worker_start(&r->cfg, &r->w, &err))
        fail_msg("%s", err.text);
}

static inline void rig_start(struct rig *r)
{
    rig_prepare(r);
    rig_go(r);
}

static inline void rig_end(struct rig *r)
{
    worker_free(r->w);
    loop_free(r->loop);
    summary_free(&r->scratch);
    for (int i = 0; i < RIG_PAIRS; i++)
        summary_free(&r->sum[i]);
    udp_rx_free(r->rx);
    udp_tx_free(r->tx);
}

static inline struct tw_addr rig_reflector(const struct rig *r, size_t i)
{
    struct tw_addr a = { 0 };

    assert_int_equal(worker_reflector_addr(r->w, i, &a), TW_OK);
    return a;
}

/* Runs the loop for a moment. */
static inline void rig_turn(struct rig *r)
{
    static const bool never = false;

    loop_run_until(r->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
}

#define RIG_WAIT(r, condition)                                   \
    do {                                                         \
        int64_t rig_end_ns = tw_mono_now().ns + RIG_DEADLINE_NS; \
        while (!(condition)) {                                   \
            if (tw_mono_now().ns > rig_end_ns)                   \
                fail_msg("never happened: %s", #condition);      \
            rig_turn(r);                                         \
        }                                                        \
    } while (0)

static inline struct session_cfg rig_session(uint64_t pair, uint64_t count)
{
    return (struct session_cfg){ .pair_id = pair,
                                 .generation = 1,
                                 .spacing_ns = 2 * TW_NS_PER_MS,
                                 .size_bytes = 100,
                                 .timeout_ns = 2 * TW_NS_PER_S,
                                 .report_period_ns = 10 * TW_NS_PER_S,
                                 .seed = pair,
                                 .count = count };
}

static inline enum tw_rc rig_add(struct rig *r, const struct session_cfg *cfg, const struct tw_addr *to,
                                 uint8_t ttl)
{
    struct worker_session ws = { .cfg = *cfg, .target = *to, .ttl = ttl };

    return worker_add(r->w, &ws);
}

/* Until the worker has carried out every command. */
#define RIG_SETTLE(r) RIG_WAIT(r, atomic_load(&(r)->w->cmds_done) == (r)->w->cmds_sent)

static inline void rig_keys(struct stamp_keys *ret, const char *first, const char *second)
{
    *ret = (struct stamp_keys){ .n = 0 };
    assert_int_equal(stamp_keys_add(ret, (const uint8_t *)first, strlen(first)), TW_OK);
    if (second)
        assert_int_equal(stamp_keys_add(ret, (const uint8_t *)second, strlen(second)), TW_OK);
}

static inline void rig_set_keys(struct rig *r, const char *first, const char *second)
{
    struct stamp_keys keys;

    rig_keys(&keys, first, second);
    assert_int_equal(worker_set_stamp_keys(r->w, &keys), TW_OK);
    assert_int_equal(keys.n, 0); /* taken over */
    RIG_SETTLE(r);
}

static inline struct worker_counters rig_counters(const struct rig *r)
{
    struct worker_counters c;

    worker_counters(r->w, &c);
    return c;
}

/* A raw socket that reports everything. */
static inline struct udpsock rig_socket(const char *text)
{
    struct udp_conf c = { .local = rig_addr(text, 0), .want_to = true, .rcvbuf_bytes = 4 << 20 };
    struct udpsock s = { .fd = -1 };
    struct tw_err err = { 0 };

    if (udp_open(&c, &s, &err))
        fail_msg("%s", err.text);
    return s;
}

/* One datagram; its data is valid until the next call. */
static inline struct udp_in rig_recv(struct rig *r, struct udpsock *s)
{
    struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
    struct udp_in in;

    if (poll(&pfd, 1, (int)(RIG_DEADLINE_NS / TW_NS_PER_MS)) != 1 || udp_rx_recv(r->rx, s) != 1)
        fail_msg("nothing came to port %u", s->local.port);
    udp_rx_get(r->rx, 0, &in);
    return in;
}

static inline void rig_send(struct rig *r, struct udpsock *s, const struct tw_addr *to, uint8_t tos,
                            const uint8_t *data, size_t len)
{
    memcpy(udp_tx_buf(r->tx, 0), data, len);
    udp_tx_add(r->tx, len, &(struct udp_dest){ .to = *to, .tos = tos });
    assert_int_equal(udp_tx_send(r->tx, s), 0);
    udp_tx_clear(r->tx);
}

#endif
