/* agent/roam.h - the agent's connection to the best of its controllers that answers. core/homing decides
 * which that is and when it is tried; this dials, tells silence from life, and moves: the new connection is
 * up before the old one is closed, and what comes from the old one after that is not listened to. Loop
 * thread. */
#ifndef TW_AGENT_ROAM_H
#define TW_AGENT_ROAM_H

#include "agent/core/homing.h"
#include "common/net/rpc.h"

struct roam;
struct roam_conf {
    const char *const *urls; /* borrowed, HOMING_MAX at most, no two the same */
    size_t n_urls;
    /* Who we are: all but url, once, others and times. Its hooks are called for the connection that is in
     * use, and no other: on_up() and on_down() in turn, on_down() before the on_up() of the next.
     * on_refused() only while there is no connection. */
    struct rpc_client_conf client;
};
/* TW_EINVAL: a URL is none, and which. */
enum tw_rc roam_start(const struct roam_conf *c, struct roam **ret, struct tw_err *err);
/* As rpc_client_stop(): on_down() is not called. */
void roam_stop(struct roam *r);
/* What kept the agent from coming in has changed. */
void roam_hurry(struct roam *r);
/* Of the connection in use, in and after on_up(). */
struct rpc_welcome roam_welcome(const struct roam *r);
const char *roam_url(const struct roam *r); /* NULL: not connected */

/* For people: each controller, the best first. */
struct roam_view {
    const char *url;
    bool connected;
    int64_t since_ns; /* connected, or `why` is so, since 1970; 0: not tried yet */
    char why[160];    /* why it is not used; "": connected, or not tried */
};
size_t roam_view(const struct roam *r, struct roam_view ret[HOMING_MAX]);
uint64_t roam_moves(const struct roam *r);

#endif
