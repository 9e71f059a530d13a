/* agent/xdp/xdp_none.c - instead of xdp_reflect.c where it was not built. */
#include "agent/xdp/xdp_reflect.h"

enum tw_rc xdp_reflect_open(const struct xdp_reflect_cfg *cfg, struct xdp_reflect **ret, struct tw_err *err)
{
    (void)ret;
    return tw_err_set(
        err, TW_EINVAL,
        "--xdp %.16s: this program was built without XDP; expected one that was configured with -DTW_XDP=ON",
        cfg->interface);
}

void xdp_reflect_close(struct xdp_reflect *x)
{
    (void)x;
}

void xdp_reflect_tick(struct xdp_reflect *x, const struct tw_clock_state *c)
{
    (void)x;
    (void)c;
}

void xdp_reflect_set_rate(struct xdp_reflect *x, int64_t per_second, int64_t burst)
{
    (void)x;
    (void)per_second;
    (void)burst;
}

enum tw_rc xdp_reflect_set_acl(struct xdp_reflect *x, struct acl *acl)
{
    (void)x;
    (void)acl;
    return TW_OK;
}

void xdp_reflect_counters(const struct xdp_reflect *x, struct xdp_reflect_counters *ret)
{
    (void)x;
    *ret = (struct xdp_reflect_counters){ 0 };
}
