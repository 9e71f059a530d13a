/* agent/io/ctl_dialer.h - the Control-Client of TWAMP on an event loop: connects, feeds a ctl_client, and
 * calls back. Loop thread only. No callback may free the dialer. */
#ifndef TW_AGENT_CTL_DIALER_H
#define TW_AGENT_CTL_DIALER_H

#include "agent/core/twamp_ctl.h"
#include "common/net/loop.h"

struct ctl_dialer_cfg {
    struct loop *loop;
    struct tw_addr server;        /* with the port */
    struct tw_addr bind;          /* family 0: by routing; port 0: the kernel chooses */
    uint8_t tos;                  /* of the control traffic: the server follows it */
    int64_t connect_ns;           /* 0 = 10 s */
    struct ctl_client_cfg client; /* local, peer, random and ctx are the dialer's; answer_ns 0 = 10 s. What it
                                   * points to is copied, and wiped when no longer needed */
    /* Any may be NULL. */
    void (*on_ready)(void *ctx); /* logged in: sessions may be requested */
    void (*on_accepted)(void *ctx, uint32_t id, const struct ctl_session *s); /* s: during the call */
    void (*on_refused)(void *ctx, uint32_t id, unsigned accept); /* id CTL_ALL: nothing was started */
    void (*on_started)(void *ctx, uint32_t id);
    void (*on_stopped)(void *ctx, uint32_t id);
    void (*on_closed)(void *ctx, const char *text); /* nothing comes after it; "" = all was stopped before */
    void *ctx;
};

struct ctl_dialer;

/* TW_OK: on_ready() or on_closed() will be called. TW_EINVAL: the client's configuration. TW_EIO, TW_EINUSE,
 * TW_EPERM: no socket, or it cannot be bound. */
enum tw_rc ctl_dialer_start(const struct ctl_dialer_cfg *cfg, struct ctl_dialer **ret, struct tw_err *err);
/* Closes the connection without a word: stop sessions before. */
void ctl_dialer_free(struct ctl_dialer *d);

/* As ctl_client_request() and its companions. TW_ECLOSED: there is no connection. */
enum tw_rc ctl_dialer_request(struct ctl_dialer *d, uint32_t id, const struct ctl_session_spec *spec);
enum tw_rc ctl_dialer_start_sessions(struct ctl_dialer *d, const uint32_t *ids, size_t n);
enum tw_rc ctl_dialer_stop_sessions(struct ctl_dialer *d, const uint32_t *ids, size_t n);

uint32_t ctl_dialer_mode(const struct ctl_dialer *d);    /* in force; 0 before */
uint32_t ctl_dialer_offered(const struct ctl_dialer *d); /* by the server's greeting; 0 before */
/* Both ends of the TCP connection; TW_EAGAIN before there is one. */
enum tw_rc ctl_dialer_addrs(const struct ctl_dialer *d, struct tw_addr *ret_local, struct tw_addr *ret_peer);

#endif
