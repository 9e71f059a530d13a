/* agent/core/twamp_ctl_msg.h - the messages of TWAMP-Control as values, in clear: what is encrypted and
 * signed is twamp_ctl_crypt.h's. Pure. RFC 4656 section 3, 5357 section 3, 5938, 6038 section 4.
 *
 * Writers leave the HMAC field zero and every MBZ, too; readers ignore MBZ. Buffers have the size that the
 * table of messages says, so nothing here fails for length. */
#ifndef TW_AGENT_TWAMP_CTL_MSG_H
#define TW_AGENT_TWAMP_CTL_MSG_H

#include "agent/core/twamp_ctl.h"

#define CTL_GREETING_BYTES 64
#define CTL_SET_UP_BYTES 164
#define CTL_SERVER_START_BYTES 48
#define CTL_REQUEST_BYTES 112
#define CTL_ACCEPT_BYTES 48
#define CTL_SIMPLE_BYTES 32 /* Start-Sessions, Start-Ack, Stop-Sessions */
#define CTL_HMAC 16
#define CTL_HEAD 16 /* tells how long a command is */
#define CTL_COUNT_MIN 1024
#define CTL_COUNT_MAX 65536 /* that we offer as a server */

/* First octet of what a client sends, and of the acknowledgements of RFC 5938. */
enum ctl_command {
    CTL_CMD_START = 2,
    CTL_CMD_STOP = 3,
    CTL_CMD_REQUEST = 5,
    CTL_CMD_START_N = 7,
    CTL_CMD_START_N_ACK = 8,
    CTL_CMD_STOP_N = 9,
    CTL_CMD_STOP_N_ACK = 10,
};

/* Length of the message that begins so, at most max_n sessions in it. 0: not a command, or N is 0 or more. */
size_t ctl_command_bytes(const uint8_t head[CTL_HEAD], uint32_t max_n);
size_t ctl_many_bytes(size_t n);                /* of commands 7..10 */
const char *ctl_command_name(unsigned command); /* "Start-Sessions"; "unknown command" */

struct ctl_greeting {
    uint32_t modes;
    uint8_t challenge[16], salt[16];
    uint32_t count;
};
void ctl_write_greeting(const struct ctl_greeting *g, uint8_t ret[CTL_GREETING_BYTES]);
void ctl_read_greeting(const uint8_t data[CTL_GREETING_BYTES], struct ctl_greeting *ret);

struct ctl_set_up {
    uint32_t mode;
    char key_id[CTL_KEYID_MAX + 1];
    uint8_t token[64], iv[16];
};
void ctl_write_set_up(const struct ctl_set_up *u, uint8_t ret[CTL_SET_UP_BYTES]);
void ctl_read_set_up(const uint8_t data[CTL_SET_UP_BYTES], struct ctl_set_up *ret);

/* The first 32 octets are never encrypted, the rest is by itself in twamp_ctl_crypt.h. */
struct ctl_server_start {
    uint8_t accept, iv[16];
    uint64_t start_time;
};
void ctl_write_server_start(const struct ctl_server_start *s, uint8_t ret[CTL_SERVER_START_BYTES]);
void ctl_read_server_start(const uint8_t data[CTL_SERVER_START_BYTES], struct ctl_server_start *ret);

struct ctl_request {
    uint8_t ipvn, conf_sender, conf_receiver;
    uint32_t slots, packets;
    uint16_t sender_port, receiver_port;
    uint8_t sender[16], receiver[16], sid[CTL_SID];
    uint32_t padding_bytes;
    uint64_t start_ntp, timeout; /* timeout: 32.32 fixed point seconds */
    uint32_t type_p;
    uint16_t reflect_octets, reflect_bytes;
};
void ctl_write_request(const struct ctl_request *r, uint8_t ret[CTL_REQUEST_BYTES]);
void ctl_read_request(const uint8_t data[CTL_REQUEST_BYTES], struct ctl_request *ret);

struct ctl_accept_session {
    uint8_t accept;
    uint16_t port;
    uint8_t sid[CTL_SID];
    uint16_t reflect_octets, server_octets;
};
void ctl_write_accept(const struct ctl_accept_session *a, uint8_t ret[CTL_ACCEPT_BYTES]);
void ctl_read_accept(const uint8_t data[CTL_ACCEPT_BYTES], struct ctl_accept_session *ret);

/* Start-Sessions and Start-Ack have one octet each, Stop-Sessions three fields. */
void ctl_write_start(uint8_t ret[CTL_SIMPLE_BYTES]);
void ctl_write_start_ack(unsigned accept, uint8_t ret[CTL_SIMPLE_BYTES]);
unsigned ctl_read_start_ack(const uint8_t data[CTL_SIMPLE_BYTES]);
struct ctl_stop {
    uint8_t accept;
    uint32_t sessions;
};
void ctl_write_stop(const struct ctl_stop *s, uint8_t ret[CTL_SIMPLE_BYTES]);
void ctl_read_stop(const uint8_t data[CTL_SIMPLE_BYTES], struct ctl_stop *ret);

/* Commands 7..10: the SIDs stand one after the other from octet 16 on and are the caller's to copy. */
struct ctl_many {
    uint8_t command, accept;
    uint32_t n;
};
void ctl_write_many(const struct ctl_many *m, uint8_t ret[CTL_HEAD]);
void ctl_read_many(const uint8_t data[CTL_HEAD], struct ctl_many *ret);

/* Intervals on the wire; negative ones are sent as 0. */
uint64_t ctl_interval_to_wire(int64_t ns);
int64_t ctl_interval_from_wire(uint64_t wire);

#endif
