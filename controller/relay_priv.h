/* controller/relay_priv.h - what the parts of relay.h share. */
#ifndef TW_CONTROLLER_RELAY_PRIV_H
#define TW_CONTROLLER_RELAY_PRIV_H

#include "admin.pb-c.h"
#include "common/log.h"
#include "controller/registry_row.h"
#include "controller/relay.h"
#include "controller/relay_ours.h"
#include "controller/relay_theirs.h"

#define RELAY_AGENT_MS 5000u /* an agent has so long to answer */

struct relay {
    ProtobufCService stub;                             /* first */
    char to[REGISTRY_NAME_MAX], agent[STORE_NAME_MAX]; /* of the stub */
    struct controller *c;
    uint64_t self;
    struct relay_ours ours;
    struct relay_theirs theirs;
    struct relay_running tests[RELAY_TESTS_MAX]; /* ours, as they are said */
    size_t n_tests;
    enum relay_changed tests_changed; /* since then */
    struct loop_timer timer;          /* when something may be said */
    int64_t next_ns;
    struct relay_counts counts;
    struct log_limit unread_log;
};

/* relay.c: says what is different, now or as soon as it may. */
void relay_say(struct relay *r);

/* relay_serve.c: a call of another controller's, whose answer is in r->theirs then, or comes later. */
void relay_make(struct relay *r, const struct relay_in *c, uint64_t asker);

/* relay_tests.c */
void relay_tests_look(struct relay *r);
/* As they are said now; list points at v. How many there are. */
size_t relay_tests_fill(struct relay *r, Tw__RelayTest v[RELAY_TESTS_MAX],
                        Tw__RelayTest *list[RELAY_TESTS_MAX]);

#endif
