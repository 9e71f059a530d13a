/* controller/ondemand.h - tests on demand: starts runs on agents, few at a time, keeps them alive while
 * somebody asks for their progress, and remembers what became of them. One set of functions behind the Admin
 * service and the HTTP API. Loop thread.
 *
 * Numbers: whoever started a test asks for its progress several times a second. Each time the agents are
 * asked in turn, which gives each run a lease of ONDEMAND_LEASE_NS on its agent. When nobody has asked for
 * ONDEMAND_CLIENT_NS the test is abandoned: what runs is stopped, what waits does not start. When the
 * controller itself is gone the leases run out. An agent that is connected to another controller is asked
 * through that one (relay.h), also when it moves while a run goes on. What was measured comes in any case, as
 * summaries of the mesh "on-demand" with the number of the test. */
#ifndef TW_CONTROLLER_ONDEMAND_H
#define TW_CONTROLLER_ONDEMAND_H

#include "controller/controller.h"
#include "controller/core/test_queue.h"

#define ONDEMAND_TESTS_MAX 32u /* that run at once */
#define ONDEMAND_TOTAL 64u     /* runs at once of one test */
#define ONDEMAND_RELAYED_MAX 256u /* runs at once, of all tests, whose agents are at other controllers */
#define ONDEMAND_LEASE_NS (10 * TW_NS_PER_S)
#define ONDEMAND_CLIENT_NS (5 * TW_NS_PER_S)
#define ONDEMAND_POLL_NS (200 * TW_NS_PER_MS)
#define ONDEMAND_KEPT_NS \
    (60 * TW_NS_PER_S) /* an ended test stays in memory, with its totals, so long after it was asked for */

struct ondemand;
enum tw_rc ondemand_new(struct controller *c, uint64_t last_id, struct ondemand **ret);
/* After the servers, before the writer has stopped: runs go on until their leases are over. */
void ondemand_free(struct ondemand *o);

/* The answer to any call: status not OK, then text is a line for the operator. Valid during done() only. */
struct ondemand_result {
    Tw__Status status;
    const char *text;
    uint64_t test_id;
};
typedef void (*ondemand_done)(void *ctx, const struct ondemand_result *r);
/* done() comes when the test is stored, maybe before this returns. */
void ondemand_start(struct ondemand *o, const Tw__TestStartRequest *rq, ondemand_done done, void *ctx);
/* False: no such test. One that has ended stays as it is. */
bool ondemand_stop(struct ondemand *o, uint64_t test_id);

/* Renews the lease and asks the agents, if they were not asked a moment ago. False: no such test, or one that
 * ended long ago. */
bool ondemand_touch(struct ondemand *o, uint64_t test_id);
/* The test in numbers; the texts are the test's. */
bool ondemand_info(const struct ondemand *o, uint64_t test_id, Tw__TestInfo *ret);
/* The tests that it knows, those that run first. */
size_t ondemand_tests(const struct ondemand *o, Tw__TestInfo *ret, size_t cap);
/* Run i of it; total is the last that its agent told, the caller must not change it. False: there are not so
 * many. */
bool ondemand_run(const struct ondemand *o, uint64_t test_id, size_t i, Tw__TestRun *ret);
/* Single probes of a test with one pair, from its agent: done() gets the flows, or NULL with the reason in r.
 */
void ondemand_packets(struct ondemand *o, uint64_t test_id, int64_t from_ns,
                      void (*done)(void *ctx, const struct ondemand_result *r, const Tw__TestRunProgress *p),
                      void *ctx);

struct ondemand_counters {
    uint64_t running, started, refused, abandoned, runs, runs_failed;
};
void ondemand_counters(const struct ondemand *o, struct ondemand_counters *ret);

#endif
