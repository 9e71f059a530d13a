#include "controller/planner.h"

#include <stdlib.h>
#include "common/clk.h"
#include "db/etcd/holder.h"
#include "db/where.h"

#define LEASE_NS (10 * TW_NS_PER_S) /* after so long another one does it */

struct planner {
    struct holder *holder; /* NULL: alone */
};

enum tw_rc planner_start(const char *shared, const char *name, struct planner **ret, struct tw_err *err)
{
    struct planner *p = calloc(1, sizeof *p);
    enum tw_rc rc;

    if (!p)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = shared ? store_where_hold(shared, PLANNER_ROLE, name, LEASE_NS, &p->holder, err) : TW_OK;
    if (rc) {
        free(p);
        return rc;
    }
    *ret = p;
    return TW_OK;
}

void planner_stop(struct planner *p)
{
    if (!p)
        return;
    holder_stop(p->holder);
    free(p);
}

bool planner_is(const struct planner *p)
{
    return !p || !p->holder || holder_number(p->holder);
}

bool planner_take(const struct planner *p, int64_t *ret_fence)
{
    *ret_fence = p && p->holder ? holder_number(p->holder) : 0;
    return !p || !p->holder || *ret_fence;
}

int64_t planner_number(void *planner)
{
    const struct planner *p = planner;

    return p->holder ? holder_number(p->holder) : 1;
}
