/* agent/cards.h - the network cards whose time stamps are used: reads their clocks once a second and tells
 * the workers. Loop thread. */
#ifndef TW_AGENT_CARDS_H
#define TW_AGENT_CARDS_H

#include "agent/io/phc.h"
#include "agent/io/worker.h"
#include "common/conf.h"
#include "common/net/loop.h"

struct cards {
    struct phc at[WORKER_PHCS_MAX];
    bool failed[WORKER_PHCS_MAX]; /* the last reading, which was logged */
    size_t n;
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct loop_timer timer;
};

/* Zeroed before. TW_EINVAL, TW_EPERM: *err says what is wrong with which interface. */
enum tw_rc cards_open(struct cards *c, const struct conf_strlist *interfaces, struct tw_err *err);
/* No effect without cards. */
void cards_start(struct cards *c, struct loop *loop, struct worker **workers, size_t n_workers);
/* Also of one that was never opened. */
void cards_close(struct cards *c);

#endif
