/* db/etcd/hold.h - who does what only one may do: whoever holds a key of etcd, as long as its lease lasts.
 * Decides only: time and answers are arguments, requests come out, so that the shell (holder.h) and the
 * simulation drive the same code. Not thread-safe.
 *
 * A lease lasts at least its time to live from when it was granted or kept; we count from when that was asked
 * for, and not all of it, so that whoever is paused, or waits for answers, gives up before another can have
 * the key. The number that comes with the key rises with each holder. It is compared by each transaction that
 * is the holder's (store_fence()), so that one which was under way meanwhile is refused.
 *
 * Times are ns of one clock that goes on while the machine sleeps (CLOCK_BOOTTIME); it may go wrong by 5 %.
 */
#ifndef TW_DB_HOLD_H
#define TW_DB_HOLD_H

#include <stdbool.h>
#include <stdint.h>

enum hold_what {
    HOLD_NOTHING,
    HOLD_GRANT, /* a lease of hold_conf.ttl_ns */
    HOLD_KEEP,  /* the lease */
    HOLD_TAKE,  /* the key with the lease, if nobody has it; else say whose lease it has */
    HOLD_REVOKE /* the lease, and the key with it */
};

struct hold_conf {
    int64_t ttl_ns;   /* whole seconds */
    int64_t retry_ns; /* after something failed, and between tries to take the key */
};

struct hold {
    struct hold_conf conf;
    enum hold_what asked;  /* what there is no answer to yet */
    int64_t asked_ns;      /* when that was */
    int64_t next_ns;       /* nothing is asked before */
    int64_t lease, ttl_ns; /* lease 0: we have none */
    int64_t kept_ns;       /* when what gave it its time was asked for */
    int64_t take_ns;       /* when to look at the key again */
    int64_t number;        /* 0: the key is not ours */
    bool resigned;
};

void hold_init(struct hold *h, const struct hold_conf *conf);
/* What to ask for now; one thing at a time. */
enum hold_what hold_next(struct hold *h, int64_t now_ns);
/* When hold_next() may have something, if nothing is asked for. */
int64_t hold_due(const struct hold *h);

/* Answers to what was asked for last. */
void hold_granted(struct hold *h, int64_t now_ns, int64_t lease, int64_t ttl_ns);
/* ttl_ns 0: the lease has ended. */
void hold_kept(struct hold *h, int64_t now_ns, int64_t ttl_ns);
/* The key is of this lease, since this number. */
void hold_taken(struct hold *h, int64_t now_ns, int64_t lease, int64_t number);
void hold_revoked(struct hold *h);
/* It failed, or nobody knows. */
void hold_failed(struct hold *h, int64_t now_ns);

/* The number; 0: we do not hold it, or cannot be sure any more. */
int64_t hold_number(const struct hold *h, int64_t now_ns);
/* Until when, if nothing more is heard. */
int64_t hold_until(const struct hold *h);
/* Gives it up, and takes it no more: hold_next() says how. */
void hold_resign(struct hold *h);

#endif
