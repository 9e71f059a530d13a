/* controller/registry_row.h - what a controller says of itself to others, as texts. Pure but for cJSON; any
 * thread. */
#ifndef TW_CONTROLLER_REGISTRY_ROW_H
#define TW_CONTROLLER_REGISTRY_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define REGISTRY_NAME_MAX 256
#define REGISTRY_ADDRESS_MAX 320

struct registry_facts {
    char name[REGISTRY_NAME_MAX], version[64], host[256];
    /* Where it is reached from elsewhere: SCHEME://HOST:PORT; "": it is not. */
    char agents_at[REGISTRY_ADDRESS_MAX], admin_at[REGISTRY_ADDRESS_MAX], http_at[REGISTRY_ADDRESS_MAX];
    char problem[200]; /* the first that makes it not ready */
    int64_t owner;     /* of its data directory */
    int64_t started_ns, time_ns /* when this was written */, ended_ns /* 0: not */;
    uint32_t agents; /* connected */
    bool planner, ready;
    bool takes_calls; /* for its agents, from other controllers: relay.h */
};
/* From malloc(). NULL: no memory. */
char *registry_row_write(const struct registry_facts *f);
/* What another release does not say is 0. TW_ECORRUPT: it is nothing of the kind. */
enum tw_rc registry_row_read(const char *text, struct registry_facts *ret);
/* Do they say the same, but for when? */
bool registry_row_same(const struct registry_facts *a, const struct registry_facts *b);

/* Where somebody elsewhere reaches what listens at `listen` ([SCHEME://]HOST:PORT, ipc://...): with `host` in
 * place of its host, or, where that is NULL and it listens at all addresses, with own_host. "": nowhere. */
void registry_address(const char *listen, const char *scheme, const char *host, const char *own_host,
                      char ret[REGISTRY_ADDRESS_MAX]);

#endif
