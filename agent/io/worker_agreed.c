/* agent/io/worker_agreed.c - reflectors of sessions agreed by TWAMP-Control: each has a socket of its own and
 * a bounded life. The upper half of this file runs on the loop thread, the lower half on the worker. */
#include <stddef.h>
#include <stdlib.h>
#include "agent/core/crypto.h"
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

enum { AGREED_RCVBUF = 1 << 20 };

/* ---- Loop thread: the registry ---- */

enum tw_rc agreed_init(struct worker *w, size_t max)
{
    w->max_agreed = max;
    for (w->agreed_buckets = 16; w->agreed_buckets < max;)
        w->agreed_buckets *= 2;
    w->agreed_registry = calloc(w->agreed_buckets, sizeof *w->agreed_registry);
    return w->agreed_registry ? ring_new(sizeof(struct agreed *), max, &w->agreed_endings) : TW_ENOMEM;
}

static struct agreed **slot_of(const struct worker *w, uint64_t id)
{
    struct agreed **at = &w->agreed_registry[id & (w->agreed_buckets - 1)]; /* ids count upwards */

    while (*at && (*at)->id != id)
        at = &(*at)->bucket_next;
    return at;
}

static void free_agreed(struct agreed *a)
{
    udp_close(&a->mirror.port.sock);
    reflect_session_free(a->mirror.session);
    free(a);
}

static void free_finished(struct worker *w)
{
    uint64_t done = atomic_load(&w->cmds_done);
    struct agreed **at = &w->agreed_finished, *a;

    while ((a = *at)) {
        if (a->last_cmd > done) { /* the worker has yet to read a command that names it */
            at = &a->bucket_next;
            continue;
        }
        *at = a->bucket_next;
        free_agreed(a);
    }
}

static void free_list(struct agreed **list)
{
    struct agreed *a;

    while ((a = *list)) {
        *list = a->bucket_next;
        free_agreed(a);
    }
}

void agreed_free_all(struct worker *w)
{
    for (size_t i = 0; w->agreed_registry && i < w->agreed_buckets; i++)
        free_list(&w->agreed_registry[i]);
    free_list(&w->agreed_finished);
    free(w->agreed_registry);
    ring_free(w->agreed_endings);
}

/* ---- Loop thread: commands ---- */

static enum tw_rc make_agreed(const struct worker *w, const struct tw_addr *local,
                              const struct reflect_session_cfg *cfg, struct agreed **ret, struct tw_err *err)
{
    struct udp_conf conf = {
        .local = *local, .want_to = true, .rcvbuf_bytes = AGREED_RCVBUF, .hw_times = w->cfg.hw_times
    };
    struct agreed *a = calloc(1, sizeof *a);
    struct reflect_session_cfg mine = *cfg;
    enum tw_rc rc;

    if (!a)
        return tw_err_set(err, TW_ENOMEM, "out of memory for a reflector session");
    mine.limit = w->cfg.limit;
    a->mirror.port.kind = PORT_REFLECTOR;
    a->mirror.port.sock.fd = -1;
    rc = reflect_session_new(&mine, tw_mono_now(), &a->mirror.session);
    crypto_wipe(&mine, sizeof mine);
    if (rc)
        tw_err_set(err, rc, "cannot set up a reflector session: %s", tw_rc_name(rc));
    else
        rc = udp_open(&conf, &a->mirror.port.sock, err);
    if (rc) {
        free_agreed(a);
        return rc;
    }
    *ret = a;
    return TW_OK;
}

static enum tw_rc may_open(struct worker *w, struct tw_err *err)
{
    enum tw_rc rc = worker_check_room(w);

    if (rc)
        return tw_err_set(err, rc, "the worker takes no commands now: %s", tw_rc_name(rc));
    if (w->n_agreed == w->max_agreed)
        return tw_err_set(err, TW_ENOSPC, "this worker has all the %zu reflector sessions it can have",
                          w->max_agreed);
    return TW_OK;
}

enum tw_rc worker_reflect_open(struct worker *w, const struct tw_addr *local,
                               const struct reflect_session_cfg *cfg, uint64_t *ret_id, uint16_t *ret_port,
                               struct tw_err *err)
{
    struct agreed *a = NULL;
    enum tw_rc rc;

    free_finished(w);
    rc = may_open(w, err);
    if (!rc)
        rc = make_agreed(w, local, cfg, &a, err);
    if (rc)
        return rc;
    a->id = ++w->last_agreed_id;
    *slot_of(w, a->id) = a;
    w->n_agreed++;
    *ret_id = a->id;
    *ret_port = a->mirror.port.sock.local.port;
    a->last_cmd = worker_send(w, &(struct cmd){ .op = CMD_AGREED_OPEN, .agreed = a });
    return TW_OK;
}

static enum tw_rc tell(struct worker *w, enum cmd_op op, uint64_t id)
{
    struct agreed *a = *slot_of(w, id);
    enum tw_rc rc = a ? worker_check_room(w) : TW_ENOENT;

    if (!rc)
        a->last_cmd = worker_send(w, &(struct cmd){ .op = op, .agreed = a });
    return rc;
}

enum tw_rc worker_reflect_start(struct worker *w, uint64_t id)
{
    struct agreed *a = *slot_of(w, id);

    if (a)
        atomic_store(&a->start_told, true);
    return tell(w, CMD_AGREED_START, id);
}

enum tw_rc worker_reflect_stop(struct worker *w, uint64_t id)
{
    return tell(w, CMD_AGREED_STOP, id);
}

enum tw_rc worker_reflect_drop(struct worker *w, uint64_t id)
{
    return tell(w, CMD_AGREED_DROP, id);
}

/* After the thread has ended, those that were open then are ours. */
static struct agreed *left_over(const struct worker *w)
{
    for (size_t i = 0; w->stopped && i < w->agreed_buckets; i++) {
        if (w->agreed_registry[i])
            return w->agreed_registry[i];
    }
    return NULL;
}

enum tw_rc worker_next_reflect_end(struct worker *w, struct worker_reflect_end *ret)
{
    struct agreed *a, **at;

    free_finished(w);
    if (!ring_pop(w->agreed_endings, &a)) {
        a = left_over(w);
        if (!a)
            return TW_EAGAIN;
        reflect_session_counters(a->mirror.session, &a->counted);
        udp_close(&a->mirror.port.sock);
    }
    *ret = (struct worker_reflect_end){ .id = a->id, .counters = a->counted };
    at = slot_of(w, a->id);
    *at = a->bucket_next;
    w->n_agreed--;
    a->bucket_next = w->agreed_finished;
    w->agreed_finished = a;
    return TW_OK;
}

/* ---- Worker thread ---- */

void agreed_count(struct worker *w, struct agreed *a)
{
    struct reflect_counters c;

    reflect_session_counters(a->mirror.session, &c);
    mirror_add_counters(&w->count, &c, &a->counted);
    a->counted = c;
}

void agreed_set_clock(struct worker *w)
{
    for (struct agreed *a = w->agreed; a; a = a->next)
        reflect_session_set_clock(a->mirror.session, &w->clock);
}

static void list_add(struct worker *w, struct agreed *a)
{
    a->next = w->agreed;
    if (a->next)
        a->next->prev = a;
    w->agreed = a;
    w->count.reflect_sessions++;
}

static void list_remove(struct worker *w, struct agreed *a)
{
    *(a->prev ? &a->prev->next : &w->agreed) = a->next;
    if (a->next)
        a->next->prev = a->prev;
    w->count.reflect_sessions--;
}

static void say_ended(struct worker *w, struct agreed *a)
{
    ring_push(w->agreed_endings, &a); /* has room for every registered one */
    w->news = true;
}

static void end(struct worker *w, struct agreed *a)
{
    a->open = false;
    timerq_cancel(&w->timers, &a->ends.entry);
    list_remove(w, a);
    udp_close(&a->mirror.port.sock); /* leaves epoll with it */
    say_ended(w, a);
}

/* Every probe moves the end by REFWAIT away; the timer does not follow each, it looks again when it fires. */
static void wait_for_end(struct worker *w, struct agreed *a)
{
    struct tw_mono due = reflect_session_ends(a->mirror.session);

    if (due.ns <= w->now.mono.ns)
        end(w, a);
    else if (due.ns == TW_MONO_NEVER.ns)
        timerq_cancel(&w->timers, &a->ends.entry);
    else
        worker_set_timer(w, &a->ends, due);
}

static void on_end(struct worker *w, struct wtimer *t)
{
    wait_for_end(w, (struct agreed *)(void *)((char *)t - offsetof(struct agreed, ends)));
}

static void open_agreed(struct worker *w, struct agreed *a)
{
    a->ends.fn = on_end;
    if (worker_watch(w, &a->mirror.port, 0) != TW_OK) { /* no memory: it ends as if dropped */
        udp_close(&a->mirror.port.sock);
        say_ended(w, a);
        return;
    }
    a->open = true;
    list_add(w, a);
    reflect_session_set_clock(a->mirror.session, &w->clock);
    wait_for_end(w, a);
}

static void start(struct worker *w, struct agreed *a)
{
    if (!a->started)
        reflect_session_start(a->mirror.session, w->now.mono);
    a->started = true;
}

/* The sender may have been told to go ahead, and its first probe may be here, before the command is read. */
void agreed_catch_up(struct worker *w, struct agreed *a)
{
    if (!a->started && atomic_load(&a->start_told))
        start(w, a);
}

void agreed_execute(struct worker *w, const struct cmd *c)
{
    struct agreed *a = c->agreed;

    if (c->op == CMD_AGREED_OPEN) {
        open_agreed(w, a);
        return;
    }
    if (!a->open) /* has ended by itself meanwhile */
        return;
    if (c->op == CMD_AGREED_DROP) {
        end(w, a);
        return;
    }
    if (c->op == CMD_AGREED_START)
        start(w, a);
    else
        reflect_session_stop(a->mirror.session, w->now.mono);
    wait_for_end(w, a);
}
