#include "agent/xdp/xdp_reflect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "agent/xdp/xdp_abi.h"

enum { SWEEP = 256, LOCALS_MAX = 256 };

/* The program, as the build made it. */
__asm__(".section .rodata\n"
        ".balign 8\n"
        "tw_xdp_object:\n"
        ".incbin \"" TW_XDP_OBJECT "\"\n"
        "tw_xdp_object_end:\n"
        ".previous\n");
extern const char tw_xdp_object[], tw_xdp_object_end[];

struct xdp_reflect {
    struct bpf_object *object;
    int link_fd;
    int conf_fd, locals_fd, allow_fd, senders_fd, counters_fd;
    struct tw_addr *reflect;
    size_t n_reflect;
    struct xdp_conf conf;
    uint64_t gap_ns, burst_ns; /* as they are to be; conf: as the program has them */
    struct xdp_addr locals[LOCALS_MAX];
    size_t n_locals;
    struct acl *acl; /* that `allow` has; a hold */
    struct xdp_sender_key sweep_at;
    bool sweeping;
    uint64_t sessions, seen; /* counted by the sweep; seen: by the one that is on its way */
    struct xdp_counters *per_cpu;
};

static struct xdp_addr map_addr(const uint8_t ip[16], int family)
{
    struct xdp_addr a = { { 0 } };

    if (family == 6) {
        memcpy(a.ip, ip, 16);
        return a;
    }
    a.ip[10] = a.ip[11] = 0xff;
    memcpy(a.ip + 12, ip, 4);
    return a;
}

/* ---- What the program is told ---- */

static int64_t tai_to_utc_ns(void)
{
    struct timespec tai, utc;
    int64_t ns;

    clock_gettime(CLOCK_REALTIME, &utc);
    clock_gettime(CLOCK_TAI, &tai);
    ns = (utc.tv_sec - tai.tv_sec) * TW_NS_PER_S + utc.tv_nsec - tai.tv_nsec;
    return -((TW_NS_PER_S / 2 - ns) / TW_NS_PER_S) *
           TW_NS_PER_S; /* whole seconds: the two were read one after the other */
}

static void tell_conf(struct xdp_reflect *x, const struct tw_clock_state *c)
{
    struct xdp_conf now = x->conf;
    uint16_t e = tw_errest_encode(c->max_error_ns, c->synced, false);
    uint32_t zero = 0;

    now.gap_ns = x->gap_ns;
    now.burst_ns = x->burst_ns;
    now.tai_to_utc_ns = tai_to_utc_ns();
    now.err_est = (uint16_t)(e >> 8 | e << 8);
    if (memcmp(&now, &x->conf, sizeof now) != 0 && !bpf_map_update_elem(x->conf_fd, &zero, &now, BPF_ANY))
        x->conf = now;
}

static bool listens_at(const struct xdp_reflect *x, const struct tw_addr *a)
{
    static const uint8_t any[16];

    for (size_t i = 0; i < x->n_reflect; i++) {
        const struct tw_addr *r = &x->reflect[i];
        if (r->family == a->family && (!memcmp(r->ip, any, 16) || !memcmp(r->ip, a->ip, 16)))
            return true;
    }
    return false;
}

static size_t find_locals(const struct xdp_reflect *x, struct xdp_addr ret[LOCALS_MAX])
{
    struct ifaddrs *all;
    struct tw_addr a;
    size_t n = 0;

    if (getifaddrs(&all))
        return 0;
    for (struct ifaddrs *i = all; i && n < LOCALS_MAX; i = i->ifa_next)
        if (i->ifa_addr && !(i->ifa_flags & IFF_LOOPBACK) && !tw_addr_from_sockaddr(i->ifa_addr, &a) &&
            listens_at(x, &a))
            ret[n++] = map_addr(a.ip, a.family);
    freeifaddrs(all);
    return n;
}

static bool holds(const struct xdp_addr *list, size_t n, const struct xdp_addr *a)
{
    for (size_t i = 0; i < n; i++)
        if (!memcmp(&list[i], a, sizeof *a))
            return true;
    return false;
}

static void tell_locals(struct xdp_reflect *x)
{
    static struct xdp_addr now[LOCALS_MAX];
    size_t n = find_locals(x, now);
    uint8_t one = 1;

    for (size_t i = 0; i < x->n_locals; i++)
        if (!holds(now, n, &x->locals[i]))
            bpf_map_delete_elem(x->locals_fd, &x->locals[i]);
    for (size_t i = 0; i < n; i++)
        if (!holds(x->locals, x->n_locals, &now[i]))
            bpf_map_update_elem(x->locals_fd, &now[i], &one, BPF_ANY);
    memcpy(x->locals, now, n * sizeof *now);
    x->n_locals = n;
}

static struct xdp_prefix prefix_of(const struct tw_prefix *p)
{
    return (struct xdp_prefix){ .prefix_len = p->len + (p->family == 4 ? 96U : 0), .addr = map_addr(p->ip, p->family) };
}

static int tell_prefix(struct xdp_reflect *x, const struct tw_prefix *p, bool allow)
{
    struct xdp_prefix key = prefix_of(p);
    uint8_t verdict = allow;

    return bpf_map_update_elem(x->allow_fd, &key, &verdict, BPF_ANY) ? -errno : 0;
}

/* First those that keep out, then those that let in: in between the sockets judge. The two for all others are there
 * always: of IPv4 none shall be judged by a range of IPv6 that contains the mapped addresses. */
static int tell_allowed(struct xdp_reflect *x, struct acl *acl)
{
    static const struct tw_prefix all[] = { { .family = 4 }, { .family = 6 } };
    const struct acl_rule *list, *old;
    bool others, ignored;
    size_t n = acl_list(acl, &list, &others), n_old = acl_list(x->acl, &old, &ignored);
    int e = 0;

    for (size_t i = 0; i < TW_NELEM(all) && !e; i++)
        if (!acl_names(acl, &all[i]))
            e = tell_prefix(x, &all[i], others);
    for (int allow = 0; allow < 2; allow++)
        for (size_t i = 0; i < n && !e; i++)
            if (list[i].allow == allow)
                e = tell_prefix(x, &list[i].prefix, allow);
    for (size_t i = 0; i < n_old && !e; i++) {
        struct xdp_prefix key = prefix_of(&old[i].prefix);
        if (old[i].prefix.len && !acl_names(acl, &old[i].prefix))
            bpf_map_delete_elem(x->allow_fd, &key);
    }
    return e;
}

void xdp_reflect_set_rate(struct xdp_reflect *x, int64_t per_second, int64_t burst)
{
    if (!x)
        return;
    x->gap_ns = per_second ? (uint64_t)(TW_NS_PER_S / per_second) : 0;
    x->burst_ns = (uint64_t)(burst ? burst : per_second) * x->gap_ns;
}

enum tw_rc xdp_reflect_set_acl(struct xdp_reflect *x, struct acl *acl)
{
    int e;

    if (!x)
        return TW_OK;
    e = tell_allowed(x, acl);
    acl_hold(acl);
    acl_free(x->acl);
    x->acl = acl;
    return e ? tw_rc_errno(-e) : TW_OK;
}

/* ---- Senders ---- */

/* A few at a time: the program itself restarts the count of one that was silent for too long, this is about
 * room. */
static bool is_silent(const struct xdp_reflect *x, const struct xdp_sender_key *k, uint64_t now_ns)
{
    struct xdp_sender s;

    return !bpf_map_lookup_elem(x->senders_fd, k, &s) && now_ns >= s.last_ns &&
           now_ns - s.last_ns >= x->conf.refwait_ns;
}

static void sweep(struct xdp_reflect *x, uint64_t now_ns)
{
    struct xdp_sender_key at = x->sweep_at, next;
    bool any = x->sweeping || !bpf_map_get_next_key(x->senders_fd, NULL, &at);

    for (int i = 0; any && i < SWEEP; i++) {
        any = !bpf_map_get_next_key(x->senders_fd, &at, &next); /* first: behind a key that is gone one begins anew */
        if (is_silent(x, &at, now_ns))
            bpf_map_delete_elem(x->senders_fd, &at);
        else
            x->seen++;
        at = next;
    }
    x->sweep_at = at;
    x->sweeping = any;
    if (any)
        return;
    x->sessions = x->seen;
    x->seen = 0;
}

void xdp_reflect_tick(struct xdp_reflect *x, const struct tw_clock_state *c)
{
    struct timespec ts;

    if (!x)
        return;
    tell_conf(x, c);
    tell_locals(x);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    sweep(x, (uint64_t)ts.tv_sec * TW_NS_PER_S + (uint64_t)ts.tv_nsec);
}

void xdp_reflect_counters(const struct xdp_reflect *x, struct xdp_reflect_counters *ret)
{
    uint32_t zero = 0;
    int cpus = libbpf_num_possible_cpus();

    *ret = (struct xdp_reflect_counters){ 0 };
    if (!x || cpus < 0 || bpf_map_lookup_elem(x->counters_fd, &zero, x->per_cpu))
        return;
    for (int i = 0; i < cpus; i++) {
        ret->reflected += x->per_cpu[i].reflected;
        ret->reflected_stamp += x->per_cpu[i].reflected_stamp;
        ret->rate_limited += x->per_cpu[i].rate_limited;
    }
    ret->sessions = x->sessions;
}

/* ---- Life ---- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

static int find_maps(struct xdp_reflect *x)
{
    const struct {
        const char *name;
        int *fd;
    } rows[] = {
        { "conf", &x->conf_fd },       { "locals", &x->locals_fd },     { "allow", &x->allow_fd },
        { "senders", &x->senders_fd }, { "counters", &x->counters_fd },
    };

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        *rows[i].fd = bpf_object__find_map_fd_by_name(x->object, rows[i].name);
        if (*rows[i].fd < 0)
            return *rows[i].fd;
    }
    return 0;
}

static int load(struct xdp_reflect *x, uint32_t max_senders)
{
    struct bpf_map *senders;
    int e;

    libbpf_set_print(quiet);
    x->object = bpf_object__open_mem(tw_xdp_object, (size_t)(tw_xdp_object_end - tw_xdp_object), NULL);
    if (!x->object)
        return -errno;
    senders = bpf_object__find_map_by_name(x->object, "senders");
    e = senders ? bpf_map__set_max_entries(senders, max_senders) : -ENOENT;
    if (!e)
        e = bpf_object__load(x->object);
    return e ? e : find_maps(x);
}

/* By a link that goes with this process, however it ends; only in the driver: elsewhere it would gain
 * nothing. */
static int attach(struct xdp_reflect *x, unsigned ifindex)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
    struct bpf_program *p = bpf_object__find_program_by_name(x->object, "tw_reflect");

    if (!p)
        return -ENOENT;
    x->link_fd = bpf_link_create(bpf_program__fd(p), (int)ifindex, BPF_XDP, &opts);
    return x->link_fd < 0 ? x->link_fd : 0;
}

static int begin(struct xdp_reflect *x, const struct xdp_reflect_cfg *cfg, unsigned ifindex)
{
    const struct tw_clock_state unknown = { 0 };
    int cpus = libbpf_num_possible_cpus(), e;

    if (cpus < 0)
        return cpus;
    x->per_cpu = calloc((size_t)cpus, sizeof *x->per_cpu);
    x->reflect = calloc(cfg->n_reflect + 1, sizeof *x->reflect);
    if (!x->per_cpu || !x->reflect)
        return -ENOMEM;
    memcpy(x->reflect, cfg->reflect, cfg->n_reflect * sizeof *x->reflect);
    x->n_reflect = cfg->n_reflect;
    x->conf = (struct xdp_conf){ .refwait_ns = (uint64_t)cfg->rules.refwait_ns,
                                 .restart_gap_ns = (uint64_t)cfg->rules.restart_gap_ns,
                                 .port = htons(cfg->rules.port),
                                 .stateless = cfg->rules.stateless };
    xdp_reflect_set_rate(x, cfg->per_second, cfg->burst);
    e = load(x, cfg->rules.max_sessions);
    if (e)
        return e;
    xdp_reflect_tick(x, &unknown);
    e = tell_allowed(x, cfg->rules.acl);
    x->acl = acl_hold(cfg->rules.acl);
    return e ? e : attach(x, ifindex);
}

static const char *advice(int e)
{
    switch (e) {
    case EPERM:
    case EACCES:
        return "; needs CAP_BPF and CAP_NET_ADMIN, or root";
    case EBUSY:
        return "; another XDP program is there";
    case EOPNOTSUPP:
        return "; its driver has no native XDP";
    default:
        return "; needs Linux 6.1 or newer and a driver with native XDP";
    }
}

enum tw_rc xdp_reflect_open(const struct xdp_reflect_cfg *cfg, struct xdp_reflect **ret, struct tw_err *err)
{
    unsigned ifindex = if_nametoindex(cfg->interface);
    struct xdp_reflect *x;
    int e;

    if (!ifindex)
        return tw_err_set(err, TW_EINVAL, "--xdp: there is no interface \"%.16s\"", cfg->interface);
    x = calloc(1, sizeof *x);
    if (!x)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    x->link_fd = -1;
    e = begin(x, cfg, ifindex);
    if (e) {
        xdp_reflect_close(x);
        return tw_err_set(err, tw_rc_errno(-e), "--xdp %.16s: %s%s", cfg->interface, strerror(-e),
                          advice(-e));
    }
    *ret = x;
    return TW_OK;
}

void xdp_reflect_close(struct xdp_reflect *x)
{
    if (!x)
        return;
    if (x->link_fd >= 0)
        close(x->link_fd);
    bpf_object__close(x->object);
    acl_free(x->acl);
    free(x->per_cpu);
    free(x->reflect);
    free(x);
}
