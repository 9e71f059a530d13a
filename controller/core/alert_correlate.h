/* controller/core/alert_correlate.h - which ends of bad pairs are to blame: a site or an agent to, or from,
 * which nearly nothing is well explains the pairs that touch it. Pure.
 *
 * A node is blamed when at least `share` of the pairs to it, or of those from it, are bad, these are with at
 * least `min_peers` different peers, and one of them fires. The one with the most bad pairs comes first; what
 * touches it is explained, and counts for nobody else any more. One that is blamed already stays so until
 * less than half of `share` is bad. */
#ifndef TW_CONTROLLER_CORE_ALERT_CORRELATE_H
#define TW_CONTROLLER_CORE_ALERT_CORRELATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define ALERT_BLAMED_MAX 256 /* in one go; what is left stays alerts of pairs */

struct alert_link {
    int32_t source, target; /* nodes; -1: it has none, and counts for the other end only */
    bool bad, firing;       /* firing implies bad */
    int32_t
        cause; /* result: the node that explains it; -1: none, or not bad. Set before: it counts no more */
};
struct alert_node {
    bool blamed;         /* before: it is already; after: it is now */
    uint32_t bad, total; /* of a blamed one: pairs that touch it */
};
/* Links with the same node at both ends say nothing. TW_ENOMEM. */
enum tw_rc alert_correlate(struct alert_link *links, size_t n, struct alert_node *nodes, size_t n_nodes,
                           double share, uint32_t min_peers);

/* The same in pieces: each link is looked at a few times, however many nodes are blamed. What was given is
 * the correlator's until it is over. */
struct alert_correlator;
enum tw_rc alert_correlator_new(struct alert_link *links, size_t n, struct alert_node *nodes, size_t n_nodes,
                                double share, uint32_t min_peers, struct alert_correlator **ret);
/* Goes on for about *looks looks at a link or node, which it takes off. True: it is over. */
bool alert_correlator_go(struct alert_correlator *c, size_t *looks);
void alert_correlator_free(struct alert_correlator *c);

#endif
