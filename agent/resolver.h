/* agent/resolver.h - targets by DNS name: threads of its own look them up, again and again, so that nothing
 * that is timed ever waits for a name server. All functions belong to the loop thread.
 *
 * Who wants a name has a use of it; one name is looked up once, however many use it. The address in use stays
 * as long as it is among the answers, also in another order, and also while there are no answers at all (it
 * is stale then). A name is looked up again every `every_ns`, after a failure sooner (2 s, doubling up to
 * every_ns), and at once when somebody new wants it and it has no address; each time a little early or late,
 * so that thousands of agents do not ask in step. */
#ifndef TW_AGENT_RESOLVER_H
#define TW_AGENT_RESOLVER_H

#include "agent/target_rules.h"
#include "common/addr.h"
#include "common/hostname.h"
#include "common/net/loop.h"
#include "common/work.h"

#define RESOLVER_NAMES_MAX 4096
#define RESOLVER_EVERY_NS (60 * TW_NS_PER_S)
#define RESOLVER_WHY 96

struct resolver;
struct resolver_entry;
struct resolver_conf {
    struct loop *loop;
    int64_t every_ns; /* 0 = RESOLVER_EVERY_NS */
    int64_t retry_ns; /* after the first failure; 0 = 2 s */
    struct target_rules targets; /* answers where no probes may go are none */
    /* Called by any of the threads, also after resolver_free() has returned; blocks. Writes up to cap
     * addresses, the best first, of the family (0: any), without port; not TW_OK: why there are none. NULL:
     * the system's way, /etc/hosts and DNS. */
    enum tw_rc (*lookup)(const char *name, uint8_t family, struct tw_addr *ret, size_t cap, size_t *ret_n,
                         char why[RESOLVER_WHY]);
};

/* Without names there are no threads. */
enum tw_rc resolver_new(const struct resolver_conf *c, struct resolver **ret);
/* All uses have ended. Does not wait for lookups under way: nobody hears of them. */
void resolver_free(struct resolver *r);

/* Memory of the caller, zeroed before. on_news: the name has an address that it had not before, or a lookup
 * has failed and there is none yet; it may end this use, not those of others. */
struct resolver_use {
    void (*on_news)(struct resolver_use *u);
    void *ctx;
    struct resolver_entry *entry; /* NULL: not in use */
    struct resolver_use *prev, *next;
};
/* family: 4, 6, or 0 for whichever comes first. TW_ENOSPC: RESOLVER_NAMES_MAX others are in use; TW_EINVAL:
 * no name of a host; TW_ENOMEM. on_news() comes later, or never if it has an address already. */
enum tw_rc resolver_begin(struct resolver *r, const char *name, uint8_t family, struct resolver_use *u);
void resolver_end(struct resolver_use *u); /* no effect if it is not in use */
/* NULL: it has none yet. Port 0. */
const struct tw_addr *resolver_address(const struct resolver_use *u);
/* Why the last lookup gave none; "" = it did, or there was none. */
const char *resolver_why(const struct resolver_use *u);
bool resolver_is(const struct resolver_use *u, const char *name, uint8_t family);
const char *resolver_name(const struct resolver_use *u);

struct resolver_counters {
    uint64_t names, unresolved,
        stale;                  /* now; stale: in use by an address that the last lookup could not confirm */
    uint64_t lookups, failures; /* since the start */
};
/* From the next lookup of each name on. */
void resolver_set_every(struct resolver *r, int64_t every_ns);
void resolver_counters(const struct resolver *r, struct resolver_counters *ret);
/* How its threads are doing, of those that have begun; what waits for them. */
#define RESOLVER_THREADS 4 /* one name server that does not answer must not hold up all names */
struct resolver_load {
    struct work_stats work[RESOLVER_THREADS];
    size_t threads, queued;
};
void resolver_load(const struct resolver *r, struct resolver_load *ret);

#endif
