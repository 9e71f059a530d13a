/* common/net/rpc_peer.h - the inside of the RPC layer: one connection, and what the connections of a server
 * or a client share. Only rpc_*.c include this; users have rpc.h.
 *
 * A peer goes HELLO -> UP -> (LINGER) -> DOWN, or skips some; whoever wants to end it from inside a hook only
 * dooms it, so that peer_down() always runs from a timer, a task or a stop, never below a hook of the same
 * peer. */
#ifndef TW_NET_RPC_PEER_H
#define TW_NET_RPC_PEER_H

#include "common/net/arena.h"
#include "common/net/rpc.h"
#include "common/net/rpc_conn.h"
#include "common/net/rpc_frame.h"
#include "common/net/rpc_hello.h"

#define RPC_COUNTERS(X)     \
    X(accepted)             \
    X(handshakes_failed)    \
    X(handshakes_timed_out) \
    X(handshakes_evicted)   \
    X(peers)                \
    X(frames_in)            \
    X(frames_out)           \
    X(bytes_in)             \
    X(bytes_out)            \
    X(calls_in)             \
    X(calls_out)            \
    X(calls_refused)        \
    X(calls_now)            \
    X(bad_frames)           \
    X(dead_peers)           \
    X(late_replies)

struct rpc_stats {
#define X(name) _Atomic uint64_t name;
    RPC_COUNTERS(X)
#undef X
};
void rpc_count(_Atomic uint64_t *counter, uint64_t n);
void rpc_uncount(_Atomic uint64_t *gauge); /* one less */
void rpc_stats_read(const struct rpc_stats *s, struct rpc_counters *ret);

/* A frame on its way from nng's thread to the loop. */
struct rpc_in_frame {
    struct rpc_in_frame *next;
    Tw__FrameKind kind;
    uint64_t id, through_seq;
    uint32_t deadline_ms, window, retry_ms;
    bool elsewhere;
    Tw__Status status; /* REQUEST and a client's HELLO: why it is refused */
    char *detail;      /* NULL: none */
    uint8_t *body;     /* REPLY, ACK and what a client gets of the handshake: a copy */
    size_t body_len;
    void *object;           /* DATA: what hooks.decode made */
    struct hello_id *hello; /* a client's HELLO, proof verified */
    const struct rpc_service *service;
    unsigned method;
    struct arena *arena; /* REQUEST: holds `request` */
    ProtobufCMessage *request;
};

struct rpc_side; /* a server or a client */

/* What the nng thread makes and the loop takes; the loop touches it only while nothing is being received. */
struct rpc_inbox {
    bool up, discard; /* set by the loop before it resumes receiving */
    struct rpc_in_frame *first, **end;
    bool bad;
    struct tw_err error;
};

enum rpc_state { PEER_HELLO, PEER_UP, PEER_LINGER, PEER_DOOMED, PEER_DOWN };

struct rpc_stub {
    ProtobufCService service; /* first: generated stubs get this address */
    struct rpc_peer *peer;
    enum rpc_service_number number;
    uint32_t deadline_ms;
};

struct rpc_peer {
    struct rpc_peer *prev, *next; /* in one of the lists of rpc_side */
    struct rpc_side *side;
    struct conn *conn;
    enum rpc_state state;
    bool was_up;
    bool put_off;     /* server: its HELLO is to be answered later; nothing is received meanwhile */
    struct rpc_inbox in;
    uint8_t nonce[HELLO_NONCE_LEN];
    bool joiner;      /* server: a stranger, of which the hooks hear nothing */
    uint32_t allowed; /* server: RPC_SERVICE_BIT()s that the peer may call */
    struct rpc_certificate certificate; /* if hello.certificate */
    bool greeted; /* client: the server's HELLO has come */
    uint32_t retry_ms; /* client: of that GOAWAY */
    bool elsewhere;    /* client: likewise */
    bool sent_away; /* by the peer's GOAWAY: end_status and end_detail are its words */
    bool silent;    /* it ends since nothing came for too long */
    struct hello_id id;
    struct rpc_hello hello; /* points into id and address */
    char address[CONN_ADDRESS_TEXT], local[CONN_ADDRESS_TEXT];
    void *ctx;

    struct loop_timer timer; /* by state: handshake deadline; PING and death; end of LINGER; now */
    struct tw_mono timer_due, last_in, next_ping;
    bool patient;                  /* has more time for its handshake: something has come */
    _Atomic uint64_t *end_counter; /* what a failed handshake counts as */
    Tw__Status end_status;
    char end_detail[RPC_MAX_DETAIL + 1];

    uint64_t next_id;
    struct rpc_out_call *calls;  /* hash by id: ours, unanswered */
    struct rpc_in_call *serving; /* hash by id: the peer's, unanswered */
    struct rpc_stub stub;

    unsigned refused; /* of the peer's calls, since its frames were last read: there were too many */
    size_t most;      /* octets that are read at a time; 0: any number */
    bool held;        /* nothing is read from it for a moment */
    struct loop_timer hold;
};

/* How many calls handlers have. Calls outlive their connection, and the side. */
struct rpc_load {
    unsigned refs, calls;
};

struct rpc_side {
    struct loop *loop;
    struct rpc_load *load;
    unsigned max_calls, max_calls_all; /* see rpc_server_conf */
    struct rpc_hooks hooks;
    struct rpc_service *services;
    size_t n_services;
    struct rpc_times times;
    struct rpc_stats stats;
    bool server, stopping, urgent;
    struct hello_policy policy;               /* server */
    struct rpc_peer *handshakes, *up, *joiners, *dying; /* lists, oldest first */
    size_t n_handshakes, n_up, n_joiners;
    /* A frame of the handshake has come. */
    void (*on_handshake)(struct rpc_peer *p, const struct rpc_in_frame *f);
    /* p has just gone down; on_down() has been called if it was up. */
    void (*on_ended)(struct rpc_peer *p);
};

/* ---- rpc_side.c ---- */
enum tw_rc side_init(struct rpc_side *s, struct loop *l, const struct rpc_hooks *hooks,
                     const struct rpc_service *services, size_t n_services, const struct rpc_times *times);
void side_load_unref(struct rpc_load *l); /* loop thread; NULL: none */
/* Ends every connection now and frees what side_init() made. */
void side_stop(struct rpc_side *s);
/* "tls+tcp://", "tcp://" and "ipc://" and nothing else. */
enum tw_rc side_check_url(const char *url, struct tw_err *err);
bool side_is_tls(const char *url);
/* What nng shall dial or listen on: TLS is ours. */
const char *side_nng_url(const char *url);

/* ---- rpc_peer.c ---- */
/* Takes the stream and the session (NULL: plain), also on failure; the handshake's clock starts. */
enum tw_rc peer_new(struct rpc_side *s, nng_stream *stream, struct rpc_tls_session *tls, struct rpc_peer **ret);
void peer_free(struct rpc_peer *p);
/* One of the calls that the peer waited for is over. */
void peer_served(struct rpc_peer *p, unsigned still);
/* The handshake is over, with whom peer_name() was told; the caller then calls on_up(). Nothing is being received. */
void peer_up(struct rpc_peer *p);
/* What comes is dealt with again. */
void peer_read_on(struct rpc_peer *p);
/* The connection as a proof is made for it; any thread that has the peer. */
enum tw_rc peer_channel(struct rpc_peer *p, struct hello_channel *ret);
/* Hands who `id` is to p->hello, and the certificate. */
void peer_name(struct rpc_peer *p, const struct hello_id *id);
/* Nobody needs it any more. */
void peer_forget_token(struct rpc_peer *p);
/* Soon, from the loop; no effect if it is ending already. */
void peer_doom(struct rpc_peer *p, Tw__Status status, const char *detail);
/* GOAWAY, then soon. */
void peer_refuse(struct rpc_peer *p, Tw__Status status, const char *detail);
/* The same, by the status, detail, retry_ms and elsewhere of a welcome that is none. */
void peer_go_away(struct rpc_peer *p, const struct rpc_welcome *w);
/* Now; not below a hook. */
void peer_down(struct rpc_peer *p);
/* Sets the reason that peer_down() reports, if there is none yet. */
void peer_reason(struct rpc_peer *p, Tw__Status status, const char *detail);
/* TW_EBUSY: the bound on what is queued; TW_ERANGE: larger than a frame may be; TW_ECLOSED. */
enum tw_rc peer_send(struct rpc_peer *p, const Tw__Frame *f, const ProtobufCMessage *body);
/* Small frames that must not be lost: if even they do not fit, the peer is not reading and is doomed. */
enum tw_rc peer_send_control(struct rpc_peer *p, const Tw__Frame *f, const ProtobufCMessage *body);
/* At most RPC_MAX_DETAIL octets of valid UTF-8. Returns buf. */
char *peer_clip_detail(const char *detail, char buf[RPC_MAX_DETAIL + 1]);

/* ---- rpc_decode.c: nng's thread ---- */
struct conn_cut peer_cut(void *ctx, const uint8_t *data, size_t len);
void in_frame_free(struct rpc_side *s, struct rpc_in_frame *f);

/* ---- rpc_call.c ---- */
void call_on_request(struct rpc_peer *p, struct rpc_in_frame *f);
void call_on_reply(struct rpc_peer *p, struct rpc_in_frame *f);
void call_on_cancel(struct rpc_peer *p, struct rpc_in_frame *f);
/* The connection is over: every call of ours ends, every one of the peer's loses its peer. */
void call_end_all(struct rpc_peer *p);

#endif
