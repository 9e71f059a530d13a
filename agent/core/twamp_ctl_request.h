/* agent/core/twamp_ctl_request.h - is this Request-TW-Session one that we can serve? Part of the server.
 * Pure. RFC 5357 section 3.5, 6038 section 4.2. */
#ifndef TW_AGENT_TWAMP_CTL_REQUEST_H
#define TW_AGENT_TWAMP_CTL_REQUEST_H

#include "agent/core/twamp_ctl_msg.h"

struct ctl_request_limits {
    uint32_t mode; /* in force */
    uint32_t max_padding_bytes;
    int64_t max_timeout_ns;
    struct tw_addr local, peer; /* of the TCP connection */
};

/* CTL_OK: *ret is the session with its addresses filled in. Else CTL_UNSUPPORTED, and *ret_text says why. */
enum ctl_accept ctl_request_check(const struct ctl_request *r, const struct ctl_request_limits *l,
                                  struct ctl_session_spec *ret, const char **ret_text);

#endif
