/* agent/core/twamp_ctl.h - both ends of a TWAMP-Control connection as state machines: octets, time and
 * answers of the shell go in, octets to send and things to do come out. Pure: the shell has the sockets, the
 * clock and the random numbers. Not thread-safe. RFC 5357 section 3, 4656 section 3, 5618, 5938, 6038, 7750,
 * 8186.
 *
 * Rules for the shell: feed what arrives with *_on_bytes(), at most *_room() octets at once (0: read no more
 * until something has been answered), call *_on_time() when *_next_due() has come, and after each call take
 * outputs with *_next() until TW_EAGAIN. After CTL_CLOSE there is no more output; what was sent before it is
 * to be written before the connection is closed. Each CTL_SEND is one message, or several that belong
 * together, to be written in one go: some peers take one recv() for one message. */
#ifndef TW_AGENT_TWAMP_CTL_H
#define TW_AGENT_TWAMP_CTL_H

#include "agent/core/twamp_form.h"
#include "common/addr.h"
#include "common/clk.h"

#define CTL_SID 16
#define CTL_KEYID_MAX 80
#define CTL_PASSPHRASE_MAX 256
#define CTL_PORT 862

/* Accept values, RFC 4656 section 3.3. Others are treated as CTL_FAILED. */
enum ctl_accept { CTL_OK, CTL_FAILED, CTL_INTERNAL, CTL_UNSUPPORTED, CTL_NO_RESOURCES, CTL_BUSY };
const char *ctl_accept_text(unsigned accept); /* for people */
const char *ctl_mode_text(uint32_t mode);     /* of one security mode: "open", "authenticated", ... */

/* What one test session is: asked for by a client, understood by a server. */
struct ctl_session_spec {
    struct tw_addr sender,
        receiver;           /* with ports; family 0 address = that of the TCP connection (zero on the wire) */
    uint8_t ipvn;           /* 4 or 6 */
    uint32_t padding_bytes; /* Padding Length */
    uint64_t start_ntp;     /* Start Time; 0 = now */
    int64_t timeout_ns;     /* of packets in flight after Stop */
    uint8_t dscp;           /* Type-P */
    uint16_t reflect_octets; /* TWAMP_REFLECT: "Octets to be reflected", any value */
    uint16_t
        reflect_bytes; /* TWAMP_REFLECT: how much of the padding must come back; 0 = not for this session */
};

/* An accepted session, ready for test packets. */
struct ctl_session {
    uint8_t sid[CTL_SID];
    uint32_t mode;                /* security mode and features in force */
    struct twamp_test_keys keys;  /* authenticated and encrypted mode */
    struct ctl_session_spec spec; /* with the addresses filled in and the port that was agreed */
    uint16_t server_octets;       /* TWAMP_REFLECT */
};

/* Random octets, from the shell. */
typedef void (*ctl_random_fn)(void *ctx, uint8_t *buf, size_t n);

/* ---- Server ---- */

struct ctl_server;

/* Passphrases of one user that are taken: the present one and the one before, so that it can be changed. */
#define CTL_PASSPHRASES 2
/* Looks a KeyID up: copies at most cap octets of its passphrase number `which` (0, 1) to ret and returns how
 * many there are, 0 = unknown. Called for each `which`, whatever it returns. */
typedef size_t (*ctl_secret_fn)(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap);

struct ctl_server_cfg {
    uint32_t modes;          /* offered; 0 = refuse to talk */
    uint32_t count;          /* PBKDF2 rounds: a power of 2, 1024 to 65536 */
    uint64_t start_time_ntp; /* of this server instance */
    int64_t servwait_ns;     /* 900 s by RFC 5357 section 3.1 */
    int64_t handshake_ns;    /* until Server-Start has been sent; 10 s */
    int64_t max_timeout_ns;  /* the client's Timeout is cut to it; not 0 */
    uint32_t max_sessions;   /* of this connection, those that go on for their timeout included */
    uint32_t max_padding_bytes;
    struct tw_addr local, peer; /* of the TCP connection */
    ctl_secret_fn secret;       /* NULL: no password modes, whatever `modes` says */
    ctl_random_fn random;
    void *ctx; /* of both */
};

/* Sends the greeting first. TW_EINVAL: count, or a time is not positive. TW_ENOMEM. */
enum tw_rc ctl_server_new(const struct ctl_server_cfg *cfg, struct tw_now now, struct ctl_server **ret);
/* Wipes the keys. Sessions that still run are the shell's to end. */
void ctl_server_free(struct ctl_server *s);

size_t ctl_server_room(const struct ctl_server *s);
void ctl_server_on_bytes(struct ctl_server *s, struct tw_now now, const uint8_t *data, size_t len);
void ctl_server_on_time(struct ctl_server *s, struct tw_now now);
struct tw_mono ctl_server_next_due(const struct ctl_server *s);
/* Answer to CTL_OPEN: the port that the reflector listens on, or why not. Commands that have come meanwhile
 * wait. false: nobody waits for it any more, end the reflector. */
bool ctl_server_opened(struct ctl_server *s, struct tw_now now, uint32_t id, enum ctl_accept accept,
                       uint16_t port);
/* A session has ended: by itself (REFWAIT), or some time after CTL_STOP. When none runs, SERVWAIT does. */
void ctl_server_ended(struct ctl_server *s, struct tw_now now, uint32_t id);
/* No new sessions are wanted: says so to requests, closes as soon as no session runs. */
void ctl_server_shut_down(struct ctl_server *s, struct tw_now now);
/* The connection has gone: every session that was not stopped gets CTL_DROP. */
void ctl_server_on_close(struct ctl_server *s, struct tw_now now);

enum ctl_server_do {
    CTL_SEND,  /* data, len: valid until the next call */
    CTL_OPEN,  /* open a reflector for session id: answer with ctl_server_opened(). session.sid and keys are
                * set then, and must be kept from here: with the port of the answer it is complete */
    CTL_START, /* session id may answer from now on */
    CTL_STOP,  /* session id: go on for spec.timeout_ns, then end it and say ctl_server_ended() */
    CTL_DROP,  /* session id: end it at once (connection lost, never started, protocol error) */
    CTL_NOTE,  /* for the log; accept: why a request was refused, CTL_OK = only odd */
    CTL_CLOSE, /* close the connection; why and text say so, for the log */
};
/* Why a connection ended, to be counted. */
enum ctl_why {
    CTL_WHY_PEER,     /* the client closed it */
    CTL_WHY_MODE,     /* asked for a mode that is not offered, or for none */
    CTL_WHY_LOGIN,    /* unknown user or wrong passphrase */
    CTL_WHY_PROTOCOL, /* bad HMAC, unknown command */
    CTL_WHY_TIMEOUT,  /* handshake or SERVWAIT */
    CTL_WHY_SHUT_DOWN,
    CTL_WHY_INTERNAL,
    CTL_WHYS,
};
const char *ctl_why_name(enum ctl_why why); /* "peer", "mode", ...: for metrics */

struct ctl_server_out {
    enum ctl_server_do what;
    const uint8_t *data;
    size_t len;
    uint32_t id;
    const struct ctl_session *session; /* CTL_OPEN; valid until the next call */
    enum ctl_accept accept;
    enum ctl_why why;
    const char *text;
};
enum tw_rc ctl_server_next(struct ctl_server *s, struct ctl_server_out *ret);
/* The mode chosen by the client (0 before) and its KeyID ("" in open mode), for logs and metrics. */
uint32_t ctl_server_mode(const struct ctl_server *s);
const char *ctl_server_key_id(const struct ctl_server *s);
/* Server-Start has not been sent yet: such connections are to be bounded. */
bool ctl_server_is_handshaking(const struct ctl_server *s);

/* ---- Client ---- */

struct ctl_client;

struct ctl_client_cfg {
    uint32_t modes;     /* security modes that may be used, 0 = all; the best offered is taken: 4, 2, 8, 1 */
    uint32_t features;  /* wanted; those not offered are left out */
    uint32_t need;      /* features that must be offered, else the connection fails */
    const char *key_id; /* NULL: only the open mode */
    const uint8_t *passphrase;
    size_t passphrase_len;      /* copied, wiped when no longer needed */
    uint32_t max_count;         /* of PBKDF2 rounds that we do for a server; 0 = 32768 */
    int64_t answer_ns;          /* how long to wait for each answer; 10 s */
    uint32_t max_sessions;      /* at the same time on this connection; 0 = 16 */
    struct tw_addr local, peer; /* of the TCP connection */
    ctl_random_fn random;
    void *ctx;
};

/* TW_EINVAL: unknown modes or features, a user without a passphrase, one of them too long. TW_ENOMEM. */
enum tw_rc ctl_client_new(const struct ctl_client_cfg *cfg, struct tw_now now, struct ctl_client **ret);
void ctl_client_free(struct ctl_client *c);

size_t ctl_client_room(const struct ctl_client *c);
void ctl_client_on_bytes(struct ctl_client *c, struct tw_now now, const uint8_t *data, size_t len);
void ctl_client_on_time(struct ctl_client *c, struct tw_now now);
void ctl_client_on_close(struct ctl_client *c, struct tw_now now); /* by the server */
struct tw_mono ctl_client_next_due(const struct ctl_client *c);

/* Commands; after CTLC_READY. They are queued and sent one at a time, each after the answer to the one
 * before. Start and stop are for all accepted sessions; with TWAMP_INDIVIDUAL in force ids choose. n 0 = all.
 * TW_EINVAL: not now, or not a session that the protocol can ask for. TW_EEXIST: the id is taken. TW_ENOSPC:
 * max_sessions. TW_EBUSY: too many commands wait. */
enum tw_rc ctl_client_request(struct ctl_client *c, struct tw_now now, uint32_t id,
                              const struct ctl_session_spec *spec);
enum tw_rc ctl_client_start(struct ctl_client *c, struct tw_now now, const uint32_t *ids, size_t n);
enum tw_rc ctl_client_stop(struct ctl_client *c, struct tw_now now, const uint32_t *ids, size_t n);

enum ctl_client_do {
    CTLC_SEND,     /* data, len */
    CTLC_READY,    /* Server-Start accepted: commands may be given */
    CTLC_ACCEPTED, /* session id; session, valid until the next call: with the port to send to, and keys */
    CTLC_REFUSED,  /* session id, accept; or nothing was started: id = CTL_ALL */
    CTLC_STARTED,  /* sessions run: test packets may be sent. id, or CTL_ALL */
    CTLC_STOPPED,  /* Stop-Sessions is on its way (or Stop-N-Ack has come), or it did not run; id as above */
    CTLC_CLOSE,    /* close the connection; text says why, "" = everything was stopped before */
};
#define CTL_ALL UINT32_MAX
struct ctl_client_out {
    enum ctl_client_do what;
    const uint8_t *data;
    size_t len;
    uint32_t id;
    unsigned accept;
    const struct ctl_session *session;
    const char *text;
};
enum tw_rc ctl_client_next(struct ctl_client *c, struct ctl_client_out *ret);
uint32_t ctl_client_mode(const struct ctl_client *c);    /* chosen; 0 before */
uint32_t ctl_client_offered(const struct ctl_client *c); /* Modes of the greeting */

#endif
