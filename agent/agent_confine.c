/* agent/agent_confine.c - what the agent gives up of its rights, and what it goes on to need. */
#include "agent/agent.h"
#include <linux/capability.h>
#include "common/log.h"
#include "common/net/confine.h"

static bool any_low_port(const struct conf_strlist *list)
{
    bool found = false;

    for (size_t i = 0; i < list->n; i++)
        found |= confine_low_port(list->v[i]);
    return found;
}

/* What goes on to be needed when all ports are bound. */
uint64_t agent_capabilities(const struct agent_options *o)
{
    uint64_t caps = 0;

    if (o->xdp)
        caps |= CONFINE_CAP(CAP_BPF) | CONFINE_CAP(CAP_NET_ADMIN);
    if (o->hw_timestamps.n)
        caps |= CONFINE_CAP(CAP_NET_ADMIN);
    if ((o->test_ports.low && o->test_ports.low < 1024) || confine_low_port(o->http))
        caps |= CONFINE_CAP(CAP_NET_BIND_SERVICE);
    return caps;
}

enum tw_rc agent_begin_confined(const struct agent_options *o, struct tw_err *err)
{
    struct confine_begin c = { .user = o->confine.user,
                               .folders = { o->data_dir },
                               .capabilities = agent_capabilities(o),
                               .core_dumps = o->confine.core_dumps };

    if (any_low_port(&o->reflect) || any_low_port(&o->control))
        c.capabilities |= CONFINE_CAP(CAP_NET_BIND_SERVICE);
    return confine_begin(&c, err);
}

enum tw_rc agent_confine_calls(const struct agent_options *o, struct tw_err *err)
{
    struct tw_err why = { 0 };
    enum tw_rc rc = confine_syscalls((enum confine_mode)o->confine.seccomp, o->xdp ? CONFINE_BPF : 0, &why);

    if (rc == TW_EINVAL) {
        log_info("system calls are not filtered", LOG_S("reason", why.text));
        return TW_OK;
    }
    if (rc != TW_OK)
        *err = why;
    return rc;
}
