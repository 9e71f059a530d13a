/* agent/rules.h - the rules of a schedule that say when sessions run, by id. Loop thread only. */
#ifndef TW_AGENT_RULES_H
#define TW_AGENT_RULES_H

#include "common/times.h"
#include "fleet.pb-c.h"

struct rule {
    uint64_t id;
    struct times *times; /* NULL: it cannot be read, `why` */
    const char *why;
};
struct rules {
    struct rule *v; /* by id */
    size_t n;
};

/* Reads a request's rules into *ret, which is empty. Broken ones stand there, too: the sessions that refer to
 * them are refused with `why`. TW_ENOMEM: *ret stays empty. */
enum tw_rc rules_read(Tw__TimesRule *const *list, size_t n, struct rules *ret);
void rules_free(struct rules *r);
/* NULL and *ret_why: there is none, or it cannot be used. */
struct times *rules_find(const struct rules *r, uint64_t id, const char **ret_why);

#endif
