#include "agent/target_rules.h"

#include <string.h>

/* Copies of one probe to many hosts, or to nobody in particular. */
static bool is_one_host(const struct tw_addr *a)
{
    static const uint8_t none[sizeof a->ip];

    if (a->family == 4)
        return a->ip[0] != 0 && a->ip[0] < 224; /* multicast, reserved, broadcast */
    return a->family == 6 && a->ip[0] != 0xff && memcmp(a->ip, none, sizeof none) != 0;
}

const char *target_rules_forbid(const struct target_rules *r, const struct tw_addr *a)
{
    if (!is_one_host(a))
        return "the target is no address of a single host";
    for (size_t i = 0; i < r->n_allow; i++)
        if (tw_prefix_contains(&r->allow[i], a))
            return NULL;
    return r->n_allow ? "the target is outside of this agent's --probe-allow" : NULL;
}
