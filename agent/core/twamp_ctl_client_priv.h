/* agent/core/twamp_ctl_client_priv.h - what the files of the Control-Client share: twamp_ctl_client.c (life,
 * phases, what goes out and in), twamp_ctl_greeted.c (until Server-Start), twamp_ctl_asked.c (commands and
 * answers). */
#ifndef TW_AGENT_TWAMP_CTL_CLIENT_PRIV_H
#define TW_AGENT_TWAMP_CTL_CLIENT_PRIV_H

#include "agent/core/twamp_ctl_crypt.h"

enum phase {
    CL_GREETING,     /* waiting for Server-Greeting */
    CL_SERVER_START, /* for the part of Server-Start that is in clear */
    CL_START_TIME,   /* for its last block */
    CL_READY,        /* for a command from above */
    CL_ACCEPT,       /* for Accept-Session */
    CL_START_ACK,
    CL_START_N_ACK,
    CL_STOP_N_ACK,
    CL_CLOSED,
};

enum cl_state { CL_FREE, CL_ASKED, CL_ACCEPTED, CL_RUNNING };
struct cl_session {
    uint32_t id;
    enum cl_state state;
    bool awaited; /* named in the command that is to be acknowledged */
    uint8_t sid[CTL_SID];
};

/* A command from above that waits for its turn. */
struct command {
    struct command *next;
    enum ctl_command what; /* request, start, stop */
    uint32_t id;           /* of a request */
    struct ctl_session_spec spec;
    size_t n;
    uint32_t ids[]; /* none: all */
};

struct action {
    enum ctl_client_do what;
    uint32_t id;
    unsigned accept;
};

struct ctl_client {
    struct ctl_client_cfg cfg;
    char key_id[CTL_KEYID_MAX + 1];
    uint8_t passphrase[CTL_PASSPHRASE_MAX];

    enum phase phase;
    struct tw_now now;    /* of the last input */
    struct tw_mono since; /* when the answer that is awaited was asked for */
    struct ctl_greeting greeting;
    uint32_t mode;
    struct ctl_keys keys;
    uint8_t iv[16]; /* ours, until the stream begins */
    struct ctl_rx rx;
    struct ctl_tx tx;
    bool ending, any_stopped;

    struct command *queue, **queue_end, *current;
    size_t queue_len;
    struct cl_session *sessions;
    struct ctl_session accepted; /* CTLC_ACCEPTED */

    struct action *actions;
    size_t n_actions, at;
    uint8_t *send;
    size_t send_len;
    char text[240];
};

bool cl_is_individual(const struct ctl_client *c);
uint32_t cl_count(const struct ctl_client *c, enum cl_state state);
struct cl_session *cl_find(struct ctl_client *c, uint32_t id);
/* Every session in `from` goes to `to`. */
void cl_move_all(struct ctl_client *c, enum cl_state from, enum cl_state to);
/* The oldest of the queue, NULL: none. The caller frees it. */
struct command *cl_take_command(struct ctl_client *c);

/* Something to tell the shell. */
struct action *cl_act(struct ctl_client *c, enum ctl_client_do what, uint32_t id);
/* The connection ends. The first reason holds. */
void cl_end(struct ctl_client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sends what was written to c->send and goes to the phase that awaits the answer. */
void cl_send(struct ctl_client *c, size_t len, enum phase next);
void cl_send_sealed(struct ctl_client *c, size_t len, enum phase next);

/* One step of a phase; false: it waits. */
bool cl_step_greeting(struct ctl_client *c);
bool cl_step_server_start(struct ctl_client *c);
bool cl_step_start_time(struct ctl_client *c);
bool cl_step_ready(struct ctl_client *c);
bool cl_step_accept(struct ctl_client *c);
bool cl_step_start_ack(struct ctl_client *c);
bool cl_step_start_n_ack(struct ctl_client *c);
bool cl_step_stop_n_ack(struct ctl_client *c);

#endif
