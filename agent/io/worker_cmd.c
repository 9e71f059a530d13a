/* agent/io/worker_cmd.c - commands from the loop thread, and what comes back to it. The upper half of this
 * file runs on the loop thread, the lower half on the worker. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

#define LIVE_TIMEOUT_NS TW_NS_PER_S

static void ring_bell(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one); /* fails only when it is ringing already */

    (void)n;
}

static void silence_bell(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count); /* EAGAIN: was silent already */

    (void)n;
}

/* ---- Loop thread: the registry ---- */

static struct flow **bucket_of(const struct worker *w, uint64_t pair_id, uint32_t number)
{
    uint64_t h = (pair_id ^ (uint64_t)number << 40) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */

    return &w->registry[(size_t)(h >> 32) & (w->buckets - 1)];
}

/* A removed one may still be waiting for its last answers: it does not count. */
struct flow *worker_find_flow(const struct worker *w, uint64_t pair_id, uint32_t number)
{
    struct flow *f = *bucket_of(w, pair_id, number);

    while (f && (f->removed || f->pair_id != pair_id || f->number != number))
        f = f->bucket_next;
    return f;
}

static void enter(struct worker *w, struct flow *f)
{
    struct flow **bucket = bucket_of(w, f->pair_id, f->number);

    f->bucket_next = *bucket;
    *bucket = f;
    w->registered++;
    w->running++;
}

static void take_out(struct worker *w, struct flow *f)
{
    struct flow **at = bucket_of(w, f->pair_id, f->number);

    while (*at != f)
        at = &(*at)->bucket_next;
    *at = f->bucket_next;
    w->registered--;
    if (!f->removed)
        w->running--;
}

static void free_flow(struct flow *f)
{
    session_free(f->session);
    flight_free(f->flight);
    if (f->start)
        udp_close(&f->start->given);
    free(f->start);
    free(f->err);
    free(f->tail);
    free(f);
}

static void free_finished(struct worker *w)
{
    uint64_t done = atomic_load(&w->cmds_done);
    struct flow **at = &w->finished, *f;

    while ((f = *at)) {
        if (f->last_cmd > done) { /* the worker has yet to read a command that names it */
            at = &f->bucket_next;
            continue;
        }
        *at = f->bucket_next;
        free_flow(f);
    }
}

void worker_free_flows(struct worker *w)
{
    struct flow *f;

    for (size_t i = 0; i < w->buckets; i++) {
        while ((f = w->registry[i])) {
            w->registry[i] = f->bucket_next;
            free_flow(f);
        }
    }
    while ((f = w->finished)) {
        w->finished = f->bucket_next;
        free_flow(f);
    }
}

/* ---- Loop thread: commands ---- */

static void free_keys(const struct worker *w, struct stamp_keys *keys)
{
    for (size_t i = 0; i < w->n_mirrors; i++)
        stamp_keys_clear(&keys[i]);
    free(keys);
}

enum tw_rc worker_check_room(struct worker *w)
{
    if (w->stopped)
        return TW_ECLOSED;
    if (ring_len(w->cmds) < w->cmds_max)
        return TW_OK;
    /* If it is still full after the flag is up, the worker will see the flag when it makes room. */
    atomic_store(&w->want_room, true);
    return ring_len(w->cmds) < w->cmds_max ? TW_OK : TW_EBUSY;
}

uint64_t worker_send(struct worker *w, const struct cmd *c)
{
    ring_push(w->cmds, c);
    ring_bell(w->commands.sock.fd);
    return ++w->cmds_sent;
}

static enum tw_rc send_cmd(struct worker *w, enum cmd_op op, struct flow *f, uint64_t number)
{
    enum tw_rc rc = worker_check_room(w);
    uint64_t n;

    if (rc)
        return rc;
    n = worker_send(w, &(struct cmd){ .op = op, .flow = f, .number = number });
    if (f)
        f->last_cmd = n;
    return TW_OK;
}

void worker_drop_commands(struct worker *w)
{
    struct cmd c;

    while (ring_pop(w->cmds, &c)) {
        if (c.op == CMD_FORM)
            form_free(c.form);
        if (c.op == CMD_TAIL)
            free(c.tail);
        if (c.op == CMD_KEYS)
            free_keys(w, c.keys);
        if (c.op == CMD_ACL)
            acl_free(c.acl);
    }
}

static enum tw_rc make_start(const struct worker_session *ws, struct flow_start **ret)
{
    struct flow_start *s = calloc(1, sizeof *s);

    if (!s)
        return TW_ENOMEM;
    s->target = ws->target;
    s->given.fd = -1;
    s->key.local = ws->bind;
    s->key.local.family = ws->target.family;
    s->key.df = ws->df;
    memcpy(s->key.interface, ws->interface, strnlen(ws->interface, sizeof ws->interface));
    *ret = s;
    return TW_OK;
}

static enum tw_rc make_flow(const struct worker *w, const struct worker_session *ws, struct flow **ret)
{
    struct session_cfg cfg = ws->cfg;
    struct flow *f = calloc(1, sizeof *f);
    enum tw_rc rc;

    if (!f)
        return TW_ENOMEM;
    cfg.samples = 0;
    /* Made here and handed over, so that the worker is not held up by allocation. */
    rc = make_start(ws, &f->start);
    if (!rc)
        rc = flight_flow_init(w, f);
    if (!rc)
        rc = session_new(&cfg, ws->form, tw_now(), &f->session);
    if (rc) {
        flight_free(f->flight);
        free(f->start);
        free(f);
        return rc;
    }
    f->pair_id = cfg.pair_id;
    f->number = cfg.flow;
    f->tos = (uint8_t)(cfg.dscp << 2);
    f->ttl = ws->ttl;
    if (ws->sock) {
        f->start->given = *ws->sock;
        ws->sock->fd = -1;
    }
    *ret = f;
    return TW_OK;
}

static bool agree_families(const struct worker_session *ws)
{
    uint8_t family = ws->target.family;

    return (family == 4 || family == 6) && (!ws->bind.family || ws->bind.family == family) &&
           (!ws->sock || ws->sock->local.family == family);
}

enum tw_rc worker_add(struct worker *w, const struct worker_session *ws)
{
    struct flow *f;
    enum tw_rc rc;

    free_finished(w);
    if (!agree_families(ws))
        return TW_EINVAL;
    if (worker_find_flow(w, ws->cfg.pair_id, ws->cfg.flow))
        return TW_EEXIST;
    if (w->running == w->max_sessions)
        return TW_ENOSPC;
    if (w->registered == 2 * w->max_sessions) /* too many removed ones are still waiting for answers */
        return TW_EBUSY;
    rc = worker_check_room(w); /* before anything is taken over */
    if (!rc)
        rc = make_flow(w, ws, &f);
    if (rc)
        return rc;
    send_cmd(w, CMD_START, f, 0);
    enter(w, f);
    return TW_OK;
}

enum tw_rc worker_remove(struct worker *w, uint64_t pair_id, uint32_t flow)
{
    struct flow *f = worker_find_flow(w, pair_id, flow);
    enum tw_rc rc = f ? send_cmd(w, CMD_STOP, f, 0) : TW_ENOENT;

    if (rc)
        return rc;
    f->removed = true;
    w->running--;
    return TW_OK;
}

void worker_let_end(struct worker *w, uint64_t pair_id, uint32_t flow)
{
    struct flow *f = worker_find_flow(w, pair_id, flow);

    if (!f)
        return;
    f->removed = true;
    w->running--;
}

enum tw_rc worker_set_generation(struct worker *w, uint64_t pair_id, uint32_t flow, uint64_t generation)
{
    struct flow *f = worker_find_flow(w, pair_id, flow);

    return f ? send_cmd(w, CMD_GENERATION, f, generation) : TW_ENOENT;
}

enum tw_rc worker_set_form(struct worker *w, uint64_t pair_id, uint32_t flow, struct form *form)
{
    struct flow *f = worker_find_flow(w, pair_id, flow);
    enum tw_rc rc = f ? worker_check_room(w) : TW_ENOENT;

    if (rc)
        return rc;
    if (!session_form_fits(f->session, form))
        return TW_EINVAL;
    f->last_cmd = worker_send(w, &(struct cmd){ .op = CMD_FORM, .flow = f, .form = form });
    return TW_OK;
}

enum tw_rc worker_set_stamp_keys(struct worker *w, struct stamp_keys *keys)
{
    struct stamp_keys *sets = calloc(w->n_mirrors + 1, sizeof *sets);
    enum tw_rc rc = sets ? worker_check_room(w) : TW_ENOMEM;

    /* A copy for each reflector: what signs with a key works in its memory. */
    for (size_t i = 0; !rc && i < w->n_mirrors; i++)
        rc = stamp_keys_copy(keys, &sets[i]);
    if (rc) {
        if (sets)
            free_keys(w, sets);
        return rc;
    }
    worker_send(w, &(struct cmd){ .op = CMD_KEYS, .keys = sets });
    stamp_keys_clear(keys);
    return TW_OK;
}

enum tw_rc worker_set_acl(struct worker *w, struct acl *acl)
{
    enum tw_rc rc = worker_check_room(w);

    if (rc == TW_OK)
        worker_send(w, &(struct cmd){ .op = CMD_ACL, .acl = acl_hold(acl) });
    return rc;
}

/* ---- Loop thread: answers ---- */

enum tw_rc worker_next_notice(struct worker *w, struct worker_notice *ret)
{
    struct ending e;

    free_finished(w);
    if (!ring_pop(w->endings, &e))
        return TW_EAGAIN;
    *ret = (struct worker_notice){ e.flow->pair_id, e.flow->number, e.rc, e.flow->removed, "", NULL, 0 };
    if (e.flow->err)
        snprintf(ret->why, sizeof ret->why, "%.*s", (int)sizeof ret->why - 1, e.flow->err->text);
    ret->tail = e.flow->tail;
    ret->n_tail = e.flow->n_tail;
    take_out(w, e.flow);
    e.flow->bucket_next = w->finished;
    w->finished = e.flow;
    return TW_OK;
}

/* After the thread has ended its sessions are ours: what did not fit into the ring is fetched from them. */
static enum tw_rc next_left_over(struct worker *w, struct tw_summary *ret)
{
    for (; w->drain_bucket < w->buckets; w->drain_bucket++) {
        for (struct flow *f = w->registry[w->drain_bucket]; f; f = f->bucket_next) {
            if (f->peer && session_next_summary(f->session, w->now, ret) == TW_OK) {
                hoststate_fill(w->host, ret);
                return TW_OK;
            }
        }
    }
    return TW_EAGAIN;
}

enum tw_rc worker_next_summary(struct worker *w, struct tw_summary *ret)
{
    enum tw_rc rc = sumring_pop(w->results, ret);

    return rc == TW_EAGAIN && w->stopped ? next_left_over(w, ret) : rc;
}

enum tw_rc worker_quiet(struct worker *w, struct tw_mono deadline)
{
    struct pollfd p = { .fd = w->live_fd, .events = POLLIN };

    while (atomic_load(&w->live_done) < w->live_asked) {
        int64_t left_ns = deadline.ns - tw_mono_now().ns;

        if (left_ns <= 0)
            return TW_ETIMEOUT;
        poll(&p, 1, (int)(left_ns / TW_NS_PER_MS) + 1);
        silence_bell(w->live_fd);
    }
    return TW_OK;
}

enum tw_rc worker_ask(struct worker *w, enum cmd_op op, struct flow *f, struct tw_mono deadline)
{
    enum tw_rc rc = send_cmd(w, op, f, w->live_asked + 1);

    if (rc)
        return rc;
    w->live_asked++;
    return worker_quiet(w, deadline);
}

static size_t copy_live(const struct worker *w, struct worker_live *ret, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < w->buckets; i++) {
        for (const struct flow *f = w->registry[i]; f; f = f->bucket_next, n++) {
            if (n >= cap)
                continue;
            ret[n] = (struct worker_live){ f->pair_id, f->number, w->live_rows[n].totals };
            if (!w->live_rows[n].told)
                session_totals(f->session, &ret[n].totals);
        }
    }
    return n;
}

static enum tw_rc make_live_rows(struct worker *w)
{
    uint32_t n = 0;

    free(w->live_rows);
    w->live_rows = calloc(w->registered + 1, sizeof *w->live_rows);
    if (!w->live_rows)
        return TW_ENOMEM;
    for (size_t i = 0; i < w->buckets; i++)
        for (struct flow *f = w->registry[i]; f; f = f->bucket_next)
            f->live_row = n++;
    return TW_OK;
}

enum tw_rc worker_live(struct worker *w, struct worker_live *ret, size_t cap, size_t *ret_n)
{
    struct tw_mono deadline = { tw_mono_now().ns + LIVE_TIMEOUT_NS };
    enum tw_rc rc = worker_quiet(w, deadline);

    if (!rc)
        rc = make_live_rows(w);
    if (!rc)
        rc = worker_ask(w, CMD_LIVE, NULL, deadline);
    if (!rc)
        *ret_n = copy_live(w, ret, cap);
    return rc;
}

enum tw_rc worker_peek(struct worker *w, uint64_t pair_id, uint32_t flow, struct tw_summary *sum,
                       struct session_peek *ret)
{
    struct flow *f = worker_find_flow(w, pair_id, flow);
    struct tw_mono deadline = { tw_mono_now().ns + LIVE_TIMEOUT_NS };
    struct peek_question *q = &w->peek_question;
    enum tw_rc rc = f ? worker_quiet(w, deadline) : TW_ENOENT;

    if (!rc) { /* what is left there is of a question whose answer came too late */
        summary_free(&q->sum);
        summary_init(&q->sum);
        rc = worker_ask(w, CMD_PEEK, f, deadline);
    }
    if (rc)
        return rc;
    if (q->rc == TW_OK && (q->sum.start_ns || q->sum.end_ns))
        summary_merge(sum, &q->sum);
    *ret = q->peek;
    return q->rc;
}

/* ---- Worker thread ---- */

static void answer_peek(struct worker *w, const struct flow *f)
{
    struct peek_question *q = &w->peek_question;

    q->rc = session_peek(f->session, w->now.wall, &q->sum, &q->peek);
}

void worker_answered(struct worker *w, uint64_t question)
{
    atomic_store(&w->live_done, question);
    ring_bell(w->live_fd);
}

static void answer_live(struct worker *w, uint64_t question)
{
    for (struct flow *f = w->flows; f; f = f->next) {
        struct live_row *row = &w->live_rows[f->live_row];
        session_totals(f->session, &row->totals);
        row->told = true;
    }
    worker_answered(w, question);
}

/* One that has ended takes it, too, and is freed with it. */
static void set_form(struct flow *f, struct form *form)
{
    if (session_set_form(f->session, form) != TW_OK)
        form_free(form); /* cannot be: worker_set_form() has asked the same */
}

static void execute(struct worker *w, const struct cmd *c)
{
    switch (c->op) {
    case CMD_START:
        flow_start(w, c->flow);
        break;
    case CMD_STOP:
        flow_stop(w, c->flow);
        break;
    case CMD_GENERATION:
        session_set_generation(c->flow->session, c->number);
        break;
    case CMD_FORM:
        set_form(c->flow, c->form);
        break;
    case CMD_LIVE:
        answer_live(w, c->number);
        break;
    case CMD_FLIGHT:
        flight_answer(w, c->flow);
        worker_answered(w, c->number);
        break;
    case CMD_PEEK:
        answer_peek(w, c->flow);
        worker_answered(w, c->number);
        break;
    case CMD_TAIL:
        free(c->flow->tail);
        c->flow->tail = c->tail;
        break;
    case CMD_KEYS:
        mirrors_set_keys(w, c->keys);
        free_keys(w, c->keys);
        break;
    case CMD_ACL:
        mirrors_set_acl(w, c->acl);
        acl_free(c->acl);
        break;
    case CMD_AGREED_OPEN:
    case CMD_AGREED_START:
    case CMD_AGREED_STOP:
    case CMD_AGREED_DROP:
        agreed_execute(w, c);
        break;
    }
}

void worker_take_commands(struct worker *w)
{
    struct cmd c;

    silence_bell(w->commands.sock.fd); /* before the ring is emptied, so that no command is overlooked */
    while (ring_pop(w->cmds, &c)) {
        w->now = tw_now(); /* not before the session that the command brings was made */
        execute(w, &c);
        atomic_fetch_add(&w->cmds_done, 1);
    }
    if (atomic_exchange(&w->want_room, false))
        w->news = true;
}
