/* controller/pair_lists.h - what filters select, kept for who asks for it page by page: the next page finds its place without selecting
 * and sorting all pairs again, and all pages are of the same pairs, whatever is scheduled meanwhile. Loop thread. */
#ifndef TW_CONTROLLER_PAIR_LISTS_H
#define TW_CONTROLLER_PAIR_LISTS_H

#include "controller/report.h"

#define PAIR_LISTS_MAX 4                  /* the one that was used least lately goes first */
#define PAIR_LISTS_NS (120 * TW_NS_PER_S) /* one that nobody has asked for goes, when another is asked for */

struct pair_list {
    struct report_filter f; /* its names and selectors say which */
    uint64_t *ids;          /* of pairs, sorted by names; NULL: free */
    size_t n;
    int64_t used_ns;
};
struct pair_lists {
    struct pair_list v[PAIR_LISTS_MAX];
};

/* What *f selects now; or, from the pair `from` on (not 0), what it did select when it was asked for first, if that is still there. *ret_at:
 * the place of that pair. Valid until the next call. TW_ENOENT: the pair is not in it. TW_ENOMEM, TW_EINVAL as report_select(). */
enum tw_rc pair_lists_get(struct pair_lists *l, const struct inventory *inv, const struct report_filter *f, uint64_t from,
                          struct tw_mono now, const struct pair_list **ret, size_t *ret_at);
/* The same for who counts: from number `skip` on of what the list has. */
enum tw_rc pair_lists_get_from(struct pair_lists *l, const struct inventory *inv,
                               const struct report_filter *f, size_t skip, struct tw_mono now,
                               const struct pair_list **ret);
void pair_lists_clear(struct pair_lists *l);

#endif
