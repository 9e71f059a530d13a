/* agent/core/senders.h - the table of senders that a reflector remembers, and what it knows of each. Pure;
 * not thread-safe; private to the reflector.
 *
 * A sender is (source, destination) address and port, and the SSID where there is one; one that proves itself
 * is not the same as one that does not, so that nobody disturbs its count in its name. Everything is
 * allocated when the table is made: a packet never allocates. Silent senders are forgotten a few at a time,
 * so that no packet waits for a sweep of the whole table. In a full table those of whom only one probe has come, a second
 * ago or more, make room for new ones: so are spoofed sources, which cannot displace a sender that goes on. */
#ifndef TW_AGENT_SENDERS_H
#define TW_AGENT_SENDERS_H

#include "common/addr.h"
#include "common/clk.h"

/* What else belongs to it is in octets of the addresses that are always zero, and in a bit of the family: one
 * piece without padding, which compares and hashes fast. */
struct sender_key {
    struct tw_addr from, to;
};

/* What finding it, counting and forgetting need is in the first cache line. */
struct sender {
    struct sender_key key;
    uint32_t hash;
    bool used, follow_up;
    uint8_t auth_key; /* index of the one that verified last */
    uint8_t follow_up_method;
    struct tw_mono last;
    _Alignas(
        64) uint64_t id; /* of this count: another one when it starts again, or the entry has a new owner */
    union {
        uint32_t next_seq; /* number of the next answer */
        uint32_t next_free;
    };
    uint32_t rx, tx; /* Direct Measurement: received from it, answered to it */
    uint32_t follow_up_seq;
    uint64_t follow_up_time; /* NTP: when answer follow_up_seq left */
};

struct senders_cfg {
    uint32_t max;       /* <= UINT32_MAX / 4 */
    int64_t refwait_ns; /* forgotten after so long silence */
    uint64_t hash_seed;
};

struct senders;

enum tw_rc senders_new(const struct senders_cfg *cfg, struct senders **ret);
void senders_free(struct senders *t);

struct sender_key sender_key(const struct tw_addr *from, const struct tw_addr *to, uint16_t ssid,
                             bool authenticated);
/* NULL: not known. */
struct sender *senders_find(struct senders *t, const struct sender_key *k);
/* The one that is known by this key, silent for too long or not, else a new one (*ret_new); NULL: no room. */
struct sender *senders_get(struct senders *t, const struct sender_key *k, struct tw_mono now, bool *ret_new);
/* 1 + which entry it is, never 0; and back: NULL if the entry is not used, or counts anew. */
uint32_t senders_handle(const struct senders *t, const struct sender *s);
struct sender *senders_by_handle(struct senders *t, uint32_t handle, uint64_t id);
/* Begins its count again. */
void senders_restart(struct senders *t, struct sender *s);
bool senders_is_expired(const struct senders *t, const struct sender *s, struct tw_mono now);
/* Looks at a few entries: to be called once per answer. */
void senders_sweep(struct senders *t, struct tw_mono now);

uint32_t senders_count(const struct senders *t);
uint64_t senders_forgotten(const struct senders *t); /* for their silence, by sweeping */
uint64_t senders_evicted(const struct senders *t);   /* to make room */

#endif
