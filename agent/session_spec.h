/* agent/session_spec.h - a session as the controller asks for it (fleet.proto), checked, and as what a worker
 * takes: all but the keys, which come from the file of secrets when it starts. */
#ifndef TW_AGENT_SESSION_SPEC_H
#define TW_AGENT_SESSION_SPEC_H

#include "agent/core/form.h"
#include "agent/io/worker.h"
#include "fleet.pb-c.h"

#define SPEC_KEY_ID 81 /* octets of a KeyID, with the NUL */

struct session_spec {
    struct session_cfg cfg;
    struct tw_addr target; /* PROTOCOL_TWAMP: of the control connection */
    bool by_name;          /* target: at first only the port, and the family if only one will do; the rest comes of the
                            * message's `host` (agent/resolver.h) */
    uint8_t ttl;
    bool df;
    struct tw_addr bind; /* family 0: by routing */
    char interface[UDP_INTERFACE];
    Tw__Protocol protocol;
    Tw__Auth auth;
    char key_id[SPEC_KEY_ID]; /* "" = none */
    uint32_t tlvs;            /* STAMP_TLV_BIT() */
    uint8_t reply_dscp;
    uint16_t ssid; /* STAMP: from pair and flow, never 0 */
    uint64_t times_id; /* when it runs: of the schedule's rules; 0 = always */
    int64_t times_phase_ns;
};

/* NULL: fine, and *ret is filled. Else why this cannot run, for the operator. */
const char *session_spec_read(const Tw__SessionSpec *p, uint64_t generation, struct session_spec *ret);
/* Is there nothing to restart for? The generation does not count. */
bool session_spec_same(const struct session_spec *a, const struct session_spec *b);
/* The form of its packets; not for PROTOCOL_TWAMP, whose keys come from the control connection. The first key
 * signs. TW_EINVAL: it needs keys and there are none. */
enum tw_rc session_spec_form(const struct session_spec *s, const struct form_key *keys, size_t n,
                             struct form **ret);
struct keyring;
/* The same with the keys as the file of secrets has them now; k NULL: there is none. */
enum tw_rc session_spec_keyed_form(const struct session_spec *s, const struct keyring *k, struct form **ret);
/* Hands it to a worker, with that form; not for PROTOCOL_TWAMP. As worker_add(). */
enum tw_rc session_spec_start(const struct session_spec *s, const struct keyring *k, struct worker *w);
/* Which worker runs it. */
static inline struct worker *session_worker(struct worker **workers, size_t n, uint64_t pair_id,
                                            uint32_t flow)
{
    return workers[(pair_id * 31 + flow) % n];
}
/* Does a file of secrets have a part in it? */
static inline bool session_spec_keyed(const struct session_spec *s)
{
    return s->key_id[0];
}

#endif
