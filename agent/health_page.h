/* agent/health_page.h - can this agent do its work, and what should somebody see to? For /readyz of its
 * --http. Pure. */
#ifndef TW_AGENT_HEALTH_PAGE_H
#define TW_AGENT_HEALTH_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include "agent/roam.h"
#include "fleet.pb-c.h"

struct health_page_facts {
    const Tw__HealthReport *health;
    bool up;                      /* it has its controller */
    const char *reload_error;     /* NULL or "": the last one was right */
    const struct roam_view *ways; /* to its controllers */
    size_t n_ways;
};

/* Lines: "ready" or "not ready: REASON", then "warning: ..." for each, then "controller URL: ..." for each.
 * *ret is the caller's to free. False: not ready. *ret NULL: out of memory. */
bool health_page(const struct health_page_facts *f, char **ret, size_t *ret_len);

#endif
