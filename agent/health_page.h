/* agent/health_page.h - can this agent do its work, and what should somebody see to? For /readyz of its
 * --http. Pure. */
#ifndef TW_AGENT_HEALTH_PAGE_H
#define TW_AGENT_HEALTH_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include "fleet.pb-c.h"

/* Lines: "ready" or "not ready: REASON", then "warning: ..." for each. up: it has its controller. *ret is the
 * caller's to free. False: not ready. *ret NULL: out of memory. */
bool health_page(const Tw__HealthReport *h, bool up, const char *reload_error, char **ret, size_t *ret_len);

#endif
