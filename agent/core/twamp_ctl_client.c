/* agent/core/twamp_ctl_client.c - the Control-Client of TWAMP-Control; see twamp_ctl.h.
 *
 * As the server does, it works in ctl_client_next() when nothing waits to go out: it reads one answer, or
 * gives the next command of the queue when no answer is awaited. */
#include "agent/core/twamp_ctl_client_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RX_BYTES_MIN = 1024,
    SESSIONS_DEFAULT = 16,
    SESSIONS_MAX = 10000,
    QUEUE_MAX = 32768,
    COUNT_DEFAULT = 32768
};

/* ---- Making and freeing ---- */

static bool is_cfg_good(const struct ctl_client_cfg *cfg)
{
    if (cfg->answer_ns <= 0 || cfg->modes & ~(uint32_t)TWAMP_SECURITY || cfg->max_sessions > SESSIONS_MAX ||
        (cfg->features | cfg->need) & ~(uint32_t)TWAMP_FEATURES)
        return false;
    if (!cfg->key_id)
        return true;
    return *cfg->key_id && strlen(cfg->key_id) <= CTL_KEYID_MAX && cfg->passphrase && cfg->passphrase_len &&
           cfg->passphrase_len <= CTL_PASSPHRASE_MAX;
}

static void copy_cfg(struct ctl_client *c, const struct ctl_client_cfg *cfg)
{
    c->cfg = *cfg;
    if (!cfg->max_sessions)
        c->cfg.max_sessions = SESSIONS_DEFAULT;
    if (!cfg->max_count)
        c->cfg.max_count = COUNT_DEFAULT;
    if (!cfg->modes)
        c->cfg.modes = TWAMP_SECURITY;
    c->cfg.features |= cfg->need;
    if (cfg->key_id) {
        memcpy(c->key_id, cfg->key_id, strlen(cfg->key_id));
        memcpy(c->passphrase, cfg->passphrase, cfg->passphrase_len);
    }
    c->cfg.key_id = NULL; /* the caller's, as is the passphrase */
    c->cfg.passphrase = NULL;
}

static enum tw_rc allocate(struct ctl_client *c)
{
    size_t n = c->cfg.max_sessions, largest = ctl_many_bytes(n);

    c->sessions = calloc(n, sizeof *c->sessions);
    c->actions = calloc(n + 4, sizeof *c->actions); /* one a session, a message, a note, the end */
    c->send = malloc(largest > CTL_SET_UP_BYTES ? largest : CTL_SET_UP_BYTES);
    if (!c->sessions || !c->actions || !c->send)
        return TW_ENOMEM;
    return ctl_rx_init(&c->rx, 2 * largest > RX_BYTES_MIN ? 2 * largest : RX_BYTES_MIN);
}

enum tw_rc ctl_client_new(const struct ctl_client_cfg *cfg, struct tw_now now, struct ctl_client **ret)
{
    struct ctl_client *c;

    if (!is_cfg_good(cfg))
        return TW_EINVAL;
    c = calloc(1, sizeof *c);
    if (!c)
        return TW_ENOMEM;
    c->queue_end = &c->queue;
    c->now = now;
    c->since = now.mono;
    copy_cfg(c, cfg);
    if (allocate(c)) {
        ctl_client_free(c);
        return TW_ENOMEM;
    }
    *ret = c;
    return TW_OK;
}

void ctl_client_free(struct ctl_client *c)
{
    struct command *m;

    if (!c)
        return;
    while ((m = cl_take_command(c)))
        free(m);
    free(c->current);
    ctl_rx_free(&c->rx);
    ctl_tx_free(&c->tx);
    free(c->sessions);
    free(c->actions);
    free(c->send);
    crypto_wipe(c, sizeof *c);
    free(c);
}

uint32_t ctl_client_mode(const struct ctl_client *c)
{
    return c->mode;
}

uint32_t ctl_client_offered(const struct ctl_client *c)
{
    return c->greeting.modes;
}

/* ---- Sessions ---- */

struct cl_session *cl_find(struct ctl_client *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].state != CL_FREE && c->sessions[i].id == id)
            return &c->sessions[i];
    return NULL;
}

uint32_t cl_count(const struct ctl_client *c, enum cl_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        n += c->sessions[i].state == state;
    return n;
}

/* Every session in `from` goes to `to`. */
void cl_move_all(struct ctl_client *c, enum cl_state from, enum cl_state to)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].state == from)
            c->sessions[i].state = to;
}

static struct cl_session *find_free(struct ctl_client *c)
{
    for (uint32_t i = 0; i < c->cfg.max_sessions; i++)
        if (c->sessions[i].state == CL_FREE)
            return &c->sessions[i];
    return NULL;
}

/* ---- What goes out ---- */

struct action *cl_act(struct ctl_client *c, enum ctl_client_do what, uint32_t id)
{
    struct action *a = &c->actions[c->n_actions++];

    *a = (struct action){ .what = what, .id = id };
    return a;
}

void cl_end(struct ctl_client *c, const char *fmt, ...)
{
    va_list ap;

    if (c->ending || c->phase == CL_CLOSED)
        return;
    c->ending = true;
    va_start(ap, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, ap);
    va_end(ap);
}

void cl_send(struct ctl_client *c, size_t len, enum phase next)
{
    c->send_len = len;
    cl_act(c, CTLC_SEND, 0);
    c->phase = next;
    c->since = c->now.mono;
}

void cl_send_sealed(struct ctl_client *c, size_t len, enum phase next)
{
    if (ctl_tx_seal(&c->tx, c->send, len))
        cl_end(c, "libcrypto cannot encrypt");
    else
        cl_send(c, len, next);
}

/* ---- Phases ---- */

/* step: does one thing; false = waits. awaited: the answer, which has cfg.answer_ns to come. */
static const struct {
    bool (*step)(struct ctl_client *c);
    const char *awaited;
} phases[] = {
    [CL_GREETING] = { cl_step_greeting, "Server-Greeting" },
    [CL_SERVER_START] = { cl_step_server_start, "Server-Start" },
    [CL_START_TIME] = { cl_step_start_time, "the rest of Server-Start" },
    [CL_READY] = { cl_step_ready, NULL },
    [CL_ACCEPT] = { cl_step_accept, "Accept-Session" },
    [CL_START_ACK] = { cl_step_start_ack, "Start-Ack" },
    [CL_START_N_ACK] = { cl_step_start_n_ack, "Start-N-Ack" },
    [CL_STOP_N_ACK] = { cl_step_stop_n_ack, "Stop-N-Ack" },
    [CL_CLOSED] = { NULL, NULL },
};

enum tw_rc ctl_client_next(struct ctl_client *c, struct ctl_client_out *ret)
{
    const struct action *a;

    if (c->at == c->n_actions) {
        c->at = c->n_actions = c->send_len = 0;
        while (!c->n_actions && c->phase != CL_CLOSED) {
            if (c->ending) {
                cl_act(c, CTLC_CLOSE, 0);
                c->ending = false;
                c->phase = CL_CLOSED;
            } else if (!phases[c->phase].step(c)) {
                break;
            }
        }
        if (!c->n_actions)
            return TW_EAGAIN;
    }
    a = &c->actions[c->at++];
    *ret = (struct ctl_client_out){ .what = a->what, .id = a->id, .accept = a->accept, .text = "" };
    if (a->what == CTLC_SEND) {
        ret->data = c->send;
        ret->len = c->send_len;
    } else if (a->what == CTLC_ACCEPTED) {
        ret->session = &c->accepted;
    } else if (a->what == CTLC_CLOSE) {
        ret->text = c->text;
    }
    return TW_OK;
}

/* ---- Inputs ---- */

size_t ctl_client_room(const struct ctl_client *c)
{
    return c->phase == CL_CLOSED ? 0 : ctl_rx_room(&c->rx);
}

void ctl_client_on_bytes(struct ctl_client *c, struct tw_now now, const uint8_t *data, size_t len)
{
    c->now = now;
    if (c->phase == CL_CLOSED)
        return;
    if (c->phase == CL_READY && len)
        cl_end(c, "the server sends something that was not asked for");
    else
        ctl_rx_put(&c->rx, data, len);
}

struct tw_mono ctl_client_next_due(const struct ctl_client *c)
{
    if (!phases[c->phase].awaited || c->ending)
        return TW_MONO_NEVER;
    return (struct tw_mono){ c->since.ns + c->cfg.answer_ns };
}

void ctl_client_on_time(struct ctl_client *c, struct tw_now now)
{
    c->now = now;
    if (now.mono.ns >= ctl_client_next_due(c).ns)
        cl_end(c, "%s did not come within %lld ms", phases[c->phase].awaited,
               (long long)(c->cfg.answer_ns / TW_NS_PER_MS));
}

void ctl_client_on_close(struct ctl_client *c, struct tw_now now)
{
    c->now = now;
    if (c->phase == CL_READY && c->any_stopped && !c->queue && !cl_count(c, CL_RUNNING))
        cl_end(c, "%s", "");
    else if (c->phase == CL_READY && cl_count(c, CL_RUNNING))
        cl_end(c, "the server closed the connection while sessions run");
    else if (phases[c->phase].awaited)
        cl_end(c, "the server closed the connection where %s was due", phases[c->phase].awaited);
    else
        cl_end(c, "the server closed the connection");
}

/* ---- Commands ---- */

bool cl_is_individual(const struct ctl_client *c)
{
    return c->mode & TWAMP_INDIVIDUAL;
}

struct command *cl_take_command(struct ctl_client *c)
{
    struct command *m = c->queue;

    if (!m)
        return NULL;
    c->queue = m->next;
    if (!c->queue)
        c->queue_end = &c->queue;
    c->queue_len--;
    return m;
}

static bool is_open(const struct ctl_client *c)
{
    return c->phase >= CL_READY && c->phase != CL_CLOSED && !c->ending;
}

/* Will sessions run when all that is queued is done? */
static bool will_run(const struct ctl_client *c)
{
    bool run = cl_count(c, CL_RUNNING) || c->phase == CL_START_ACK;

    for (const struct command *m = c->queue; m; m = m->next)
        if (m->what != CTL_CMD_REQUEST)
            run = m->what == CTL_CMD_START;
    return run;
}

static enum tw_rc enqueue(struct ctl_client *c, enum ctl_command what, const uint32_t *ids, size_t n,
                          struct command **ret)
{
    struct command *m;

    if (c->queue_len >= QUEUE_MAX)
        return TW_EBUSY;
    m = calloc(1, sizeof *m + n * sizeof *ids);
    if (!m)
        return TW_ENOMEM;
    m->what = what;
    m->n = n;
    if (n)
        memcpy(m->ids, ids, n * sizeof *ids);
    *c->queue_end = m;
    c->queue_end = &m->next;
    c->queue_len++;
    *ret = m;
    return TW_OK;
}

static bool is_spec_good(const struct ctl_client *c, const struct ctl_session_spec *s)
{
    if (s->dscp > 63 || !s->sender.port || (s->ipvn && s->ipvn != 4 && s->ipvn != 6) || s->timeout_ns < 0)
        return false;
    return c->mode & TWAMP_REFLECT || !(s->reflect_octets | s->reflect_bytes);
}

enum tw_rc ctl_client_request(struct ctl_client *c, struct tw_now now, uint32_t id,
                              const struct ctl_session_spec *spec)
{
    struct cl_session *v;
    struct command *m;
    enum tw_rc rc;

    c->now = now;
    if (!is_open(c) || id == CTL_ALL || !is_spec_good(c, spec) || (!cl_is_individual(c) && will_run(c)))
        return TW_EINVAL;
    if (cl_find(c, id))
        return TW_EEXIST;
    v = find_free(c);
    if (!v)
        return TW_ENOSPC;
    rc = enqueue(c, CTL_CMD_REQUEST, NULL, 0, &m);
    if (rc)
        return rc;
    m->id = id;
    m->spec = *spec;
    *v = (struct cl_session){ .id = id, .state = CL_ASKED };
    return TW_OK;
}

enum tw_rc ctl_client_start(struct ctl_client *c, struct tw_now now, const uint32_t *ids, size_t n)
{
    struct command *m;

    c->now = now;
    if (!is_open(c) || (cl_is_individual(c) ? n > c->cfg.max_sessions : n || will_run(c)))
        return TW_EINVAL;
    return enqueue(c, CTL_CMD_START, ids, n, &m);
}

enum tw_rc ctl_client_stop(struct ctl_client *c, struct tw_now now, const uint32_t *ids, size_t n)
{
    struct command *m;

    c->now = now;
    if (!is_open(c) || (cl_is_individual(c) ? n > c->cfg.max_sessions : n > 0))
        return TW_EINVAL;
    return enqueue(c, CTL_CMD_STOP, ids, n, &m);
}
