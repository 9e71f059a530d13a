/* agent/core/twamp_ctl_server_priv.h - what the files of the TWAMP-Control Server share: twamp_ctl_server.c
 * (life, phases, what goes out and in), twamp_ctl_login.c (until Server-Start), twamp_ctl_commands.c (after
 * it). */
#ifndef TW_AGENT_TWAMP_CTL_SERVER_PRIV_H
#define TW_AGENT_TWAMP_CTL_SERVER_PRIV_H

#include "agent/core/twamp_ctl_crypt.h"

enum phase {
    SV_GREET,   /* nothing sent yet */
    SV_SET_UP,  /* waiting for Set-Up-Response */
    SV_COMMAND, /* waiting for a command */
    SV_OPENING, /* waiting for the shell's answer to CTL_OPEN */
    SV_OPENED,  /* it has come */
    SV_CLOSED,
};

enum sv_state { SV_FREE, SV_ACCEPTED, SV_RUNNING, SV_STOPPED };
struct sv_session {
    uint32_t id;
    enum sv_state state;
    uint8_t sid[CTL_SID];
};

struct action {
    enum ctl_server_do what;
    uint32_t id;
    enum ctl_accept accept;
};

struct ctl_server {
    struct ctl_server_cfg cfg;
    struct tw_now now;    /* of the last input */
    struct tw_mono since; /* handshake or SERVWAIT runs from here */
    enum phase phase;
    struct ctl_greeting greeting;
    uint32_t mode;
    char key_id[CTL_KEYID_MAX + 1];
    struct ctl_keys keys;
    struct ctl_rx rx;
    struct ctl_tx tx;
    bool ending, shutting_down;
    enum ctl_why why; /* of ending */

    struct ctl_session opening; /* SV_OPENING, SV_OPENED */
    uint32_t opening_id;
    enum ctl_accept opened;
    uint16_t opened_port;

    /* What waits to go out: one message's answer. */
    struct action *actions;
    size_t n_actions, at;
    uint8_t *send;
    size_t send_len;
    char note[160], text[160];

    uint32_t last_id;
    struct sv_session *sessions;
};

/* Sessions in this state. */
uint32_t sv_count(const struct ctl_server *s, enum sv_state state);
/* Something to do for the shell. */
void sv_act(struct ctl_server *s, enum ctl_server_do what, uint32_t id);
void sv_note(struct ctl_server *s, enum ctl_accept accept, const char *text);
/* The connection ends after what is said already. The first reason holds. */
void sv_end(struct ctl_server *s, enum ctl_why why, const char *text);
/* Appends the message that was written at the end of what is to be sent. */
void sv_send_sealed(struct ctl_server *s, size_t len);

/* One step of a phase; false: it waits for more octets. */
bool sv_step_greet(struct ctl_server *s);
bool sv_step_set_up(struct ctl_server *s);
bool sv_step_command(struct ctl_server *s);
bool sv_step_opened(struct ctl_server *s);

#endif
