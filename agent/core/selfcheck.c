#include "agent/core/selfcheck.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DISK_LOW (UINT64_C(64) << 20)
#define RCVBUF_WANTED (UINT64_C(4) << 20)

static bool find(const struct selfcheck_facts *f, const struct selfcheck *c, struct findings *out,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static bool find(const struct selfcheck_facts *f, const struct selfcheck *c, struct findings *out,
                 const char *fmt, ...)
{
    struct finding *x = findings_add(out, c->id, "host", c->severity, f->name);
    va_list ap;

    if (!x)
        return true;
    va_start(ap, fmt);
    vsnprintf(x->observed, sizeof x->observed, fmt, ap);
    va_end(ap);
    snprintf(x->cause, sizeof x->cause, "%s", c->cause);
    snprintf(x->next, sizeof x->next, "%s", c->next);
    return true;
}

#define CHECK(name) \
    static bool name(const struct selfcheck_facts *f, const struct selfcheck *c, struct findings *out)

/* What went wrong says itself what. */
static bool tell(const struct selfcheck_facts *f, const struct selfcheck *c, struct findings *out,
                 const char *error)
{
    return *error && find(f, c, out, "%.300s", error);
}

/* A check of each way to a controller. */
#define CHECK_WAYS(name)                                                                  \
    static bool name##_of(const struct selfcheck_facts *f, const struct selfcheck_way *w, \
                          const struct selfcheck *c, struct findings *out);               \
    CHECK(name)                                                                           \
    {                                                                                     \
        bool found = false;                                                               \
                                                                                          \
        for (size_t i = 0; i < f->n_ways; i++)                                            \
            found |= name##_of(f, &f->ways[i], c, out);                                   \
        return found;                                                                     \
    }                                                                                     \
    static bool name##_of(const struct selfcheck_facts *f, const struct selfcheck_way *w, \
                          const struct selfcheck *c, struct findings *out)

CHECK_WAYS(check_name)
{
    return *w->lookup_error && find(f, c, out, "\"%.100s\": %s", w->host, w->lookup_error);
}

CHECK_WAYS(check_refused)
{
    return w->reach == REACH_REFUSED && find(f, c, out, "%s: %s", w->address, w->reach_error);
}

CHECK_WAYS(check_blocked)
{
    return w->reach == REACH_TIMEOUT &&
           find(f, c, out, "%s: no answer to a TCP connection within 2 s", w->address);
}

CHECK_WAYS(check_unreachable)
{
    return w->reach == REACH_UNREACHABLE && find(f, c, out, "%s: %s", w->address, w->reach_error);
}

CHECK_WAYS(check_strange)
{
    return w->reach == REACH_STRANGE && find(f, c, out, "%s: what answers there is no controller%s%s",
                                             w->address, *w->reach_error ? ": " : "", w->reach_error);
}

/* Which one, only if there are several. */
CHECK_WAYS(check_hello)
{
    return w->hello == HELLO_REFUSED && find(f, c, out, "%s%s%.300s", f->n_ways > 1 ? w->address : "",
                                             f->n_ways > 1 ? ": " : "", w->hello_error);
}

CHECK_WAYS(check_pending)
{
    return w->hello == HELLO_PENDING &&
           find(f, c, out, "the controller at %s knows the key and waits for an operator", w->address);
}

CHECK(check_data)
{
    return tell(f, c, out, f->data_error);
}

CHECK(check_key)
{
    return tell(f, c, out, f->key_error);
}

CHECK(check_spool)
{
    return tell(f, c, out, f->spool_error);
}

CHECK(check_new)
{
    return f->new_here && !*f->data_error && find(f, c, out, "%.200s has no agent.key", f->data_dir);
}

CHECK(check_disk)
{
    return f->disk_known && f->disk_free < DISK_LOW &&
           find(f, c, out, "%.1f MB free in %.200s", (double)f->disk_free / 1e6, f->data_dir);
}

CHECK(check_ports)
{
    bool found = false;

    for (size_t i = 0; i < f->n_ports; i++)
        found |= tell(f, c, out, f->ports[i].error);
    return found;
}

CHECK(check_secrets)
{
    return tell(f, c, out, f->secrets_error);
}

CHECK(check_times)
{
    return !f->kernel_times && find(f, c, out, "a packet over loopback came without a time of the kernel");
}

CHECK(check_clock)
{
    return f->clock_known && !f->clock.state.synced &&
           find(f, c, out, "the kernel says that it is not synchronised; an error of up to %.3f s",
                (double)f->clock.state.max_error_ns / (double)TW_NS_PER_S);
}

CHECK(check_rmem)
{
    return f->rmem_max && f->rmem_max < RCVBUF_WANTED && !f->net_admin &&
           find(f, c, out, "net.core.rmem_max is %" PRIu64 ", a reflector asks for %" PRIu64, f->rmem_max,
                RCVBUF_WANTED);
}

const struct selfcheck selfchecks[] = {
    { "controller-name", "the controller's name has an address", TW_PROBLEM, check_name,
      "the name in --controller is wrong, or the resolver of this host does not work",
      "getent ahosts NAME; /etc/resolv.conf; an address in --controller helps until then" },
    { "controller-refused", "a controller listens there", TW_PROBLEM, check_refused,
      "no controller runs there, it listens on another address or port, or a firewall rejects the connection",
      "compare --controller with the --listen of the controller" },
    { "controller-blocked", "the way to the controller is open", TW_PROBLEM, check_blocked,
      "a firewall drops TCP to that port, or the host is down",
      "allow TCP from this host to the controller's port 8620" },
    { "controller-unreachable", "there is a route to the controller", TW_PROBLEM, check_unreachable,
      "no route, or a router that says so", "ip route get ADDRESS" },
    { "controller-strange", "it is a controller that answers", TW_PROBLEM, check_strange,
      "another service has that port, or something stands in between",
      "compare --controller with the --listen of the controller" },
    { "hello-refused", "the controller lets this agent in", TW_PROBLEM, check_hello,
      "another key is enrolled under this name, there is no room for new agents, or one of the two certificates of TLS is not believed",
      "do what the controller says; a --name of its own, if another host has this one" },
    { "hello-pending", "this agent is approved", TW_WARNING, check_pending, "nobody has let it in yet",
      "twampctl agent list, then: twampctl agent approve NAME" },
    { "data-dir", "the data directory can be used", TW_PROBLEM, check_data,
      "it is not there, or belongs to another user",
      "make it, owned by the user of the agent with mode 0750, or name another --data-dir" },
    { "key-unreadable", "the key can be read", TW_PROBLEM, check_key,
      "the file belongs to another user, is open to others, or is damaged",
      "chown and chmod 600; a new key is made if there is none, and must be approved" },
    { "spool-unusable", "the spool can be opened", TW_PROBLEM, check_spool,
      "a damaged or newer file, or the rights of it",
      "restore it or move it away: what was not delivered is lost then" },
    { "never-ran", "it has run here before", TW_NOTE, check_new,
      "this is a new agent, or --data-dir is not the one that it is started with",
      "start it, then: twampctl agent approve NAME" },
    { "disk-full", "there is room for the spool", TW_PROBLEM, check_disk, "something fills the disk",
      "make room: results are lost when it is full" },
    { "port-unusable", "its ports are free, or its own", TW_PROBLEM, check_ports,
      "another program has the port, or ports below 1024 are not allowed to this user",
      "ss -lunp; setcap cap_net_bind_service+ep, or another --reflect" },
    { "secrets-unusable", "the file of secrets can be used", TW_PROBLEM, check_secrets,
      "a mistake in it, or its owner or mode", "correct the line; chown and chmod 600" },
    { "no-kernel-times", "the kernel tells when packets came", TW_WARNING, check_times,
      "a kernel or a container without software time stamps",
      "delays include the way through this host; look for SO_TIMESTAMPING" },
    { "clock-unsynced", "the clock is synchronised", TW_WARNING, check_clock,
      "no time daemon runs, or it has lost its servers: one-way delays are not valid then",
      "chronyc tracking, or timedatectl timesync-status" },
    { "rmem-small", "sockets may have the memory that they want", TW_NOTE, check_rmem,
      "bursts of probes overflow a small receive buffer, and that is no loss of the network",
      "sysctl -w net.core.rmem_max=4194304, or give the agent CAP_NET_ADMIN" },
};
const size_t selfchecks_n = TW_NELEM(selfchecks);

void selfcheck_examine(const struct selfcheck_facts *f, struct findings *ret)
{
    for (size_t i = 0; i < selfchecks_n; i++)
        selfchecks[i].fn(f, &selfchecks[i], ret);
    findings_sort(ret);
}
