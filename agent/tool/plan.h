/* agent/tool/plan.h - from options and addresses to what a run needs: sizes, packet forms, open sockets; and
 * what is to be said about it in outputs. The shell's part (sockets) is plan_open(). */
#ifndef TW_AGENT_TOOL_PLAN_H
#define TW_AGENT_TOOL_PLAN_H

#include "agent/secrets.h"
#include "agent/tool/hosts.h"
#include "agent/tool/options.h"
#include "agent/tool/run.h"

#define TOOL_DEFAULT_TOS 0x88 /* AF41, as the Python tool */

struct plan {
    struct run_cfg run; /* without callbacks; flows point to the array below */
    struct run_flow flows[RUN_FLOWS_MAX];
    /* For outputs. */
    const char *protocol; /* "light", "stamp", "twamp" */
    const char *auth;     /* "none", "authenticated", ... */
    char target[300];     /* as it was typed, with the port */
    struct tw_addr remote;
    struct tw_addr source[RUN_FLOWS_MAX]; /* with the address that routing chooses */
    bool df, forever;
    uint16_t size_bytes; /* 0 with imix */
    uint16_t imix_bytes[3];
    uint16_t ssid;
    uint32_t tlvs;
};

/* The two positional arguments of a sender, and --bind, which may stand for the second. TW_EINVAL. */
enum tw_rc plan_read_hosts(const struct tool_options *o, const struct conf_strlist *args,
                           struct host_spec *ret_remote, struct host_spec *ret_local, struct tw_err *err);
/* Session configuration, sizes and forms for options->flows flows; opens nothing. On failure nothing is to be
 * freed. *p may be large: not for small stacks. */
enum tw_rc plan_make(const struct tool_options *o, const struct host_pair *hosts, struct plan *p,
                     struct tw_err *err);
/* TWAMP-Control: the mode that was agreed. Sets sizes so, and says what a session is to be requested with.
 * TW_EINVAL: the size that was asked for does not fit the mode. */
struct plan_request {
    uint32_t padding_bytes;
    uint16_t reflect_octets, reflect_bytes; /* TWAMP_REFLECT */
};
enum tw_rc plan_set_mode(const struct tool_options *o, uint32_t mode, struct plan *p,
                         struct plan_request *ret, struct tw_err *err);

/* Opens the sockets: flows at the local port and those after it, but not at the reflector's own. Without
 * --bind or a port of the user's an occupied port is no error: the kernel chooses another. */
enum tw_rc plan_open(const struct tool_options *o, const struct host_pair *hosts, bool port_given,
                     struct plan *p, struct tw_err *err);
/* What run_start() has not taken; opened: plan_open() was called. */
void plan_close(struct plan *p);

/* Contradictions among the options of a sender. TW_EINVAL. */
enum tw_rc plan_check(const struct tool_options *o, struct tw_err *err);

/* The address that packets to `remote` leave from, by routing where the socket is bound to none. */
struct tw_addr plan_source_of(const struct udpsock *s, const struct tw_addr *remote);

#endif
