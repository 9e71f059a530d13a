/* controller/decide.h - what is decided by memory, while other controllers change what it is about. Loop
 * thread.
 *
 * A job of the writer that was decided by memory says what memory that was (writer_job.decided); if others
 * have changed something since, it ends alone with TW_EAGAIN. A change of the schedule is then made anew from
 * its request (change.c); a call is run again from its beginning, here, when memory has followed. Whatever
 * else is noted is a fact. */
#ifndef TW_CONTROLLER_DECIDE_H
#define TW_CONTROLLER_DECIDE_H

#include "controller/controller.h"

/* For writer_job.decided: before memory is looked at. */
uint64_t decide_memory(struct controller *c);
/* writer_conf.news */
void decide_news(void *ctx, const char *const *keys, size_t n, uint64_t number);

#define DECIDE_TRIES 10
struct decide_call {
    struct loop_timer timer; /* first */
    struct decide_call *prev, *next;
    struct controller *c;
    ProtobufCService *service;
    unsigned method, tries;
    const ProtobufCMessage *rq;
    ProtobufCClosure closure;
    void *closure_data;
    struct reader_client client;
    int64_t wait_until_ns; /* for memory; ours */
};
/* The call is run again, at most DECIDE_TRIES times, when it fails with ABORTED, as long as somebody waits
 * for its answer; *d has to last as long as it does, and all from `c` on is filled in. */
void decide_watch(struct decide_call *d);
/* Calls that wait for memory fail, and none is run again any more. */
void decide_stop(struct controller *c);

#endif
