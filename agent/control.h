/* agent/control.h - the agent's TWAMP-Control server, as the options want it. Loop thread only. */
#ifndef TW_AGENT_CONTROL_H
#define TW_AGENT_CONTROL_H

#include "agent/io/ctl_listener.h"
#include "agent/keyring.h"
#include "agent/options.h"
#include "fleet.pb-c.h"

struct control;

/* *ret stays NULL when the options want none. keys NULL: only the open mode. acl: see struct ctl_listener_cfg. */
enum tw_rc control_start(const struct agent_options *o, struct loop *loop, struct worker **workers,
                         size_t n_workers, struct keyring *keys, struct acl *acl, struct control **ret,
                         struct tw_err *err);
/* The following take NULL, too: there is none. */
void control_stop(struct control *c);
uint16_t control_port(const struct control *c); /* 0: there is none */
void control_set_acl(struct control *c, struct acl *acl);
void control_set_rate(struct control *c, int64_t connects_per_second);
void control_on_results(struct control *c);     /* of any worker */
void control_fill_health(const struct control *c, Tw__HealthReport *h);

#endif
