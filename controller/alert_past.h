/* controller/alert_past.h - what rules remember of pairs, read again from what is stored: after a start, and
 * for rules that are new. One job at a time on a reader thread, so reports do not wait for it. Loop thread.
 */
#ifndef TW_CONTROLLER_ALERT_PAST_H
#define TW_CONTROLLER_ALERT_PAST_H

#include "controller/core/alert.h"
#include "controller/reader.h"

struct alert_pasts;
struct alert_pasts_conf {
    struct reader_pool **readers; /* NULL behind it: nothing is read yet, or any more */
    /* Sorts v, which stays ours. */
    void (*learn)(void *ctx, const struct alert_want *w, struct alert_past *v, size_t n);
    uint32_t (*flows)(void *ctx, uint64_t pair_id); /* of a pair, at least 1 */
    void *ctx;
};
enum tw_rc alert_pasts_new(const struct alert_pasts_conf *c, struct alert_pasts **ret);
void alert_pasts_free(struct alert_pasts *a); /* after the readers have stopped; NULL is fine */
/* False: too many wait, or there is no memory. */
bool alert_pasts_want(struct alert_pasts *a, const struct alert_want *w);
/* Now and then: begins with what waits. */
void alert_pasts_go(struct alert_pasts *a);
/* That wait or are being read. */
size_t alert_pasts_waiting(const struct alert_pasts *a);

#endif
