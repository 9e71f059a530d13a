/* tests/support/relay/rules_priv.h - private to rules*.c */
#ifndef TW_RELAY_RULES_PRIV_H
#define TW_RELAY_RULES_PRIV_H

#include "tests/support/relay/rules.h"

#define RULES_MAX 64
#define ITEMS_MAX 16
#define ANY_PORT (-1)

enum chance_kind { CHANCE_RANDOM, CHANCE_NUMBERS, CHANCE_EACH };

struct chance {
    struct chance_item {
        enum chance_kind kind;
        double p;
        uint64_t a, b; /* NUMBERS: from a to b; EACH: multiples of a */
    } items[ITEMS_MAX];
    unsigned n;
};

enum jitter_kind { JITTER_NONE, JITTER_UNIFORM, JITTER_EXPONENTIAL };

struct rule {
    int from, to;               /* ports, or ANY_PORT */
    uint16_t udp, sport, dport; /* 0 = any */
    int64_t delay_ns, jitter_ns;
    enum jitter_kind jitter;
    bool ordered;
    struct chance loss, dup, reorder;
    int64_t dup_delay_ns, reorder_delay_ns;
    double burst_in, burst_out, burst_loss, calm_loss;
    struct {
        int64_t from_ns, to_ns;
    } down[ITEMS_MAX];
    unsigned down_n;

    /* State */
    uint64_t number, random;
    bool in_burst;
    int64_t first_ns, last_due_ns;
};

struct clock_rule {
    int host;
    int64_t offset_ns;
    uint16_t port;
};

struct rules {
    uint64_t seed;
    struct rule rules[RULES_MAX];
    unsigned n;
    struct clock_rule clocks[RULES_MAX];
    unsigned clocks_n;
};

#endif
