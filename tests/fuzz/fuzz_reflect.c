/* Datagrams from many senders into a small reflector: it never answers more than it was sent (or 41 octets),
 * never to a reflector's port, and its counters add up. Input: records of { u8 sender, u8 seconds, u8 length,
 * octets }. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/reflect.h"
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                    \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

static bool step(struct reflector *r, struct reflect_rx *rx, const uint8_t *data, size_t len)
{
    uint8_t answer[300];
    struct reflect_tx tx = { 0 };

    if (reflect_answer(r, rx, data, len, answer, sizeof answer, &tx))
        return false;
    CHECK(rx->from.port != 862 && rx->from.port != 8620);
    CHECK(tx.len == (len < TWAMP_REPLY_MIN ? TWAMP_REPLY_MIN : len));
    CHECK(!memcmp(answer + 24, data, 14)); /* the sender's number, time and error estimate */
    reflect_stamp(r, &tx, answer, rx->t2);
    if (data[0] & 1)
        reflect_unsent(r, &tx);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reflect_cfg cfg = {
        .max_sessions = 5, .refwait_ns = 60 * TW_NS_PER_S, .restart_gap_ns = 3 * TW_NS_PER_S, .port = 8620
    };
    struct wire_rd in = { .p = data, .end = data + size };
    struct reflect_rx rx = { .from = { .family = 4 }, .t2 = { INT64_C(1795424480) * TW_NS_PER_S } };
    struct reflect_counters n;
    uint64_t answered = 0, fed = 0;
    struct reflector *r;

    CHECK(reflector_new(&cfg, &r) == TW_OK);
    while (in.p < in.end) {
        uint8_t sender = wire_get_u8(&in);
        int64_t seconds = wire_get_u8(&in);
        size_t len = wire_get_u8(&in);
        const uint8_t *packet = wire_take(&in, len);
        if (!packet)
            break;
        rx.from.ip[3] = sender & 15;
        rx.from.port = sender & 64 ? 862 : sender & 32 ? 8620 : 5000;
        rx.mono.ns += seconds * TW_NS_PER_S;
        rx.ttl = (int16_t)(sender & 16 ? -1 : 64);
        answered += step(r, &rx, packet, len);
        fed++;
    }
    reflector_counters(r, &n);
    CHECK(n.answered == answered && n.sessions <= cfg.max_sessions);
    CHECK(fed == answered + n.too_short + n.too_long + n.bad_error_estimate + n.loops_refused);
    reflector_free(r);
    return 0;
}
