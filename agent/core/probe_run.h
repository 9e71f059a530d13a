/* agent/core/probe_run.h - finds out what a reflector is: sends one packet of each kind (probe_classify.h),
 * those that stay unanswered again, and then ever more packets a second until some are lost. Pure: time and
 * datagrams are arguments, so tests drive it against scripted reflectors. Not thread-safe. */
#ifndef TW_AGENT_PROBE_RUN_H
#define TW_AGENT_PROBE_RUN_H

#include "agent/core/probe_classify.h"

#define PROBE_PPS_MAX 100000

struct probe_run_cfg {
    uint8_t dscp;       /* of PROBE_MARKED */
    uint8_t tries;      /* times that a packet is sent until it is answered; > 0 */
    int64_t spacing_ns; /* between packets, before the rates; > 0 */
    int64_t timeout_ns; /* after the last packet of a round; > 0 */
    uint32_t max_pps;   /* highest rate; 0 = no rates; PROBE_PPS_MAX at most */
    uint64_t seed;      /* of padding, SSID and Sequence Numbers */
};

struct probe_run;

/* TW_EINVAL, TW_ENOMEM, TW_EIO (libcrypto). */
enum tw_rc probe_run_new(const struct probe_run_cfg *cfg, struct tw_mono start, struct probe_run **ret);
void probe_run_free(struct probe_run *r);

/* Outputs: call next() until TW_EAGAIN, send each, then wait until next_due(). */
struct probe_run_out {
    size_t len;
    uint8_t tos;
};
/* buf: PROBE_LEN_MAX octets. The timestamp in it is now.wall. */
enum tw_rc probe_run_next(struct probe_run *r, struct tw_now now, uint8_t *buf, struct probe_run_out *ret);
/* TW_MONO_NEVER: done. */
struct tw_mono probe_run_next_due(const struct probe_run *r);
/* What is going on: steps, then rates. */
bool probe_run_in_rates(const struct probe_run *r);

/* Inputs. A datagram from the reflector. */
struct probe_run_in {
    struct tw_wall time;
    int16_t ttl, tos; /* -1 = not known */
};
void probe_run_on_answer(struct probe_run *r, struct tw_mono now, const struct probe_run_in *in,
                         const uint8_t *data, size_t len);
/* The packet that next() made last was refused by the system. */
void probe_run_on_send_error(struct probe_run *r);

/* At any time; at the end it is complete. */
void probe_run_findings(const struct probe_run *r, struct probe_findings *ret);
/* Datagrams that answered nothing of ours, or answered it again. */
struct probe_run_extra {
    uint64_t strange, duplicates, send_errors;
};
void probe_run_extra(const struct probe_run *r, struct probe_run_extra *ret);

#endif
