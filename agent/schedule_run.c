/* agent/schedule_run.c - see schedule_run.h. Each session is a row with what is wanted and whether its worker
 * has been told; a full command ring only delays the telling. */
#include "agent/schedule_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "agent/keyring.h"
#include "agent/session_spec.h"
#include "common/log.h"

#define RETRY_NS (20 * TW_NS_PER_MS)
/* Of all sessions; each takes 112 to 224 octets. */
#define IN_FLIGHT_MAX 2097152

struct session_key {
    uint64_t pair_id;
    uint32_t flow;
    uint32_t zero; /* no padding octets in a hashed key */
};

struct run_session {
    struct session_key key;
    struct session_spec spec, next; /* next: if changed */
    uint64_t keys;                  /* version of the keyring that its form is of */
    bool wanted;                    /* in the present schedule */
    bool running;                   /* its worker has taken the add */
    bool changed;                   /* must stop, then start with the new settings */
    bool renumber;                  /* only the generation is new */
    UT_hash_handle hh;
};

/* Names outlive the session: its last summary comes after it has stopped. */
struct pair_name {
    uint64_t pair_id;
    char *mesh, *class_name, *target;
    uint64_t wanted_in; /* generation that last had it */
    size_t in_workers;  /* sessions handed over and not ended yet */
    UT_hash_handle hh;
};

struct schedule_run {
    struct schedule_run_conf conf;
    struct run_session *sessions;
    struct pair_name *names;
    struct loop_timer retry;
    bool settled; /* every worker knows everything */
    uint64_t generation;
    uint8_t digest[64];
    size_t digest_len;
    Tw__Refusal **refusals;
    size_t n_refusals;
    double pps, in_flight; /* of the accepted, at most */
    size_t accepted;
};

static struct session_key make_key(uint64_t pair_id, uint32_t flow)
{
    return (struct session_key){ .pair_id = pair_id, .flow = flow };
}

static struct run_session *find(struct schedule_run *r, struct session_key key)
{
    struct run_session *s;

    HASH_FIND(hh, r->sessions, &key, sizeof key, s);
    return s;
}

static struct worker *worker_of(const struct schedule_run *r, const struct session_key *k)
{
    return r->conf.workers[(k->pair_id * 31 + k->flow) % r->conf.n_workers];
}

/* ---- What cannot run ---- */

static void free_refusals(struct schedule_run *r)
{
    for (size_t i = 0; i < r->n_refusals; i++) {
        free(r->refusals[i]->reason);
        free(r->refusals[i]);
    }
    free(r->refusals);
    r->refusals = NULL;
    r->n_refusals = 0;
}

static enum tw_rc refuse(struct schedule_run *r, struct session_key key, const char *reason)
{
    Tw__Refusal **grown = realloc(r->refusals, (r->n_refusals + 1) * sizeof *grown);
    Tw__Refusal *one = calloc(1, sizeof *one);
    char *text = strdup(reason);

    if (grown)
        r->refusals = grown;
    if (!grown || !one || !text) {
        free(one);
        free(text);
        return TW_ENOMEM;
    }
    tw__refusal__init(one);
    one->pair_id = key.pair_id;
    one->flow = key.flow;
    one->reason = text;
    r->refusals[r->n_refusals++] = one;
    return TW_OK;
}

/* A session that was accepted and could not start after all: the next schedule tries again. */
static void give_up(struct schedule_run *r, struct run_session *s, enum tw_rc rc, const char *told)
{
    const char *why = "the agent could not open a socket for it";

    if (rc == TW_ENOMEM)
        why = "the agent has no memory or no file descriptors left for it";
    else if (told[0])
        why = told;
    else if (rc == TW_EINVAL)
        why = "more probes would be in flight than the agent can remember: shorter timeout or wider spacing";
    else if (rc == TW_ENOSPC)
        why = "one of the agent's workers has all the sessions or sockets that it can have";
    s->running = s->wanted = false;
    r->accepted--;
    log_warn("session could not start", LOG_U("pair", s->key.pair_id), LOG_U("flow", s->key.flow),
             LOG_S("reason", tw_rc_name(rc)));
    if (refuse(r, s->key, why) != TW_OK)
        log_error("out of memory: a refusal cannot be reported");
}

/* ---- Telling the workers ---- */

static struct pair_name *find_name(const struct schedule_run *r, uint64_t pair_id)
{
    struct pair_name *n;

    HASH_FIND(hh, r->names, &pair_id, sizeof pair_id, n);
    return n;
}

/* Its form with the keys as they are now. */
static enum tw_rc make_form(const struct schedule_run *r, const struct run_session *s, struct form **ret)
{
    struct form_key keys[STAMP_KEYS_MAX];
    size_t n = 0;

    if (session_spec_keyed(&s->spec))
        n = keyring_find(r->conf.keys, s->spec.key_id, keys, TW_NELEM(keys));
    return session_spec_form(&s->spec, keys, n, ret);
}

static uint64_t key_version(const struct schedule_run *r)
{
    return r->conf.keys ? keyring_version(r->conf.keys) : 0;
}

static enum tw_rc start_session(struct schedule_run *r, struct run_session *s)
{
    struct worker_session ws = { .cfg = s->spec.cfg,
                                 .target = s->spec.target,
                                 .ttl = s->spec.ttl,
                                 .df = s->spec.df,
                                 .bind = s->spec.bind };
    enum tw_rc rc = make_form(r, s, &ws.form);

    if (rc)
        return rc;
    memcpy(ws.interface, s->spec.interface, sizeof ws.interface);
    rc = worker_add(worker_of(r, &s->key), &ws);
    if (rc) {
        form_free(ws.form);
        return rc;
    }
    s->running = true;
    s->keys = key_version(r);
    find_name(r, s->key.pair_id)->in_workers++; /* it has one: the session is wanted */
    return TW_OK;
}

/* Other keys, while it goes on. */
static enum tw_rc rekey_session(struct schedule_run *r, struct run_session *s)
{
    struct form *form;
    enum tw_rc rc = make_form(r, s, &form);

    if (rc == TW_OK) {
        rc = worker_set_form(worker_of(r, &s->key), s->key.pair_id, s->key.flow, form);
        if (rc)
            form_free(form);
    }
    if (rc == TW_OK || rc == TW_ENOENT) /* ended: its notice is on the way */
        s->keys = key_version(r);
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc stop_session(struct schedule_run *r, struct run_session *s)
{
    enum tw_rc rc = worker_remove(worker_of(r, &s->key), s->key.pair_id, s->key.flow);

    if (rc == TW_OK)
        s->running = false;
    return rc;
}

/* One step of a session towards what is wanted. TW_EBUSY: its worker's ring is full. */
static enum tw_rc settle_session(struct schedule_run *r, struct run_session *s)
{
    enum tw_rc rc = TW_OK;

    if (s->running && (!s->wanted || s->changed))
        rc = stop_session(r, s);
    if (rc == TW_OK && s->changed) {
        s->spec = s->next;
        s->changed = s->renumber = false;
    }
    if (rc == TW_OK && s->wanted && !s->running) {
        rc = start_session(r, s);
        s->renumber = s->renumber && rc != TW_OK;
    }
    if (rc == TW_OK && s->running && s->renumber) {
        rc =
            worker_set_generation(worker_of(r, &s->key), s->key.pair_id, s->key.flow, s->spec.cfg.generation);
        s->renumber = rc != TW_OK;
    }
    if (rc == TW_OK && s->running && session_spec_keyed(&s->spec) && s->keys != key_version(r))
        rc = rekey_session(r, s);
    return rc;
}

static void settle(struct schedule_run *r)
{
    struct run_session *s, *tmp;
    bool busy = false;

    HASH_ITER(hh, r->sessions, s, tmp)
    {
        enum tw_rc rc = settle_session(r, s);

        if (rc == TW_EBUSY)
            busy = true;
        else if (rc != TW_OK && s->wanted)
            give_up(r, s, rc, "");
        if (rc != TW_EBUSY && !s->wanted && !s->running) {
            HASH_DEL(r->sessions, s);
            free(s);
        }
    }
    if (busy) {
        loop_timer_set(r->conf.loop, &r->retry,
                       (struct tw_mono){ loop_now(r->conf.loop).mono.ns + RETRY_NS });
    } else if (!r->settled) {
        r->settled = true;
        r->conf.on_applied(r->conf.ctx);
    }
}

static void on_retry(struct loop_timer *t)
{
    settle(t->ctx);
}

/* ---- Taking over a schedule ---- */

static double in_flight_of(int64_t timeout_ns, int64_t spacing_ns)
{
    return (double)timeout_ns / (double)spacing_ns + 1;
}

static const char *check_limits(const struct schedule_run *r, const struct session_cfg *c)
{
    if (r->accepted >= r->conf.limits.max_sessions)
        return "over this agent's --max-sessions";
    if (r->pps + 1e9 / (double)c->spacing_ns > (double)r->conf.limits.max_pps)
        return "over this agent's --max-pps";
    if (r->in_flight + in_flight_of(c->timeout_ns, c->spacing_ns) > IN_FLIGHT_MAX)
        return "over 2097152 probes in flight in all: shorter timeout or wider spacing";
    return NULL;
}

static const char *check_keys(const struct schedule_run *r, const struct session_spec *s)
{
    struct form_key key;

    if (!session_spec_keyed(s))
        return NULL;
    if (!r->conf.keys)
        return "it needs a key and the agent has no file of secrets: start it with --secrets";
    return keyring_find(r->conf.keys, s->key_id, &key, 1)
               ? NULL
               : "its key_id is not in the agent's file of secrets";
}

/* NULL when this agent can run it, else why not, for the operator. */
static const char *check_spec(const struct schedule_run *r, const Tw__SessionSpec *p, uint64_t generation,
                              struct session_spec *ret)
{
    const char *why = session_spec_read(p, generation, ret);

    if (!why)
        why = check_keys(r, ret);
    return why ? why : check_limits(r, &ret->cfg);
}

static void free_name(struct pair_name *n)
{
    free(n->mesh);
    free(n->class_name);
    free(n->target);
    free(n);
}

static enum tw_rc keep_name(struct schedule_run *r, const Tw__SessionSpec *p, uint64_t generation)
{
    struct pair_name *n = find_name(r, p->pair_id);

    if (!n) {
        n = calloc(1, sizeof *n);
        if (!n)
            return TW_ENOMEM;
        n->pair_id = p->pair_id;
        n->mesh = strdup(p->mesh);
        n->class_name = strdup(p->class_name);
        n->target = strdup(p->target);
        if (!n->mesh || !n->class_name || !n->target) {
            free_name(n);
            return TW_ENOMEM;
        }
        HASH_ADD(hh, r->names, pair_id, sizeof n->pair_id, n);
    }
    n->wanted_in = generation;
    return TW_OK;
}

/* Names that neither this schedule nor the one before has, nor a session that still waits for its last
 * answers, are not needed any more. */
static void forget_names(struct schedule_run *r, uint64_t previous, uint64_t present)
{
    struct pair_name *n, *tmp;

    HASH_ITER(hh, r->names, n, tmp)
    {
        if (n->in_workers || n->wanted_in == previous || n->wanted_in == present)
            continue;
        HASH_DEL(r->names, n);
        free_name(n);
    }
}

void schedule_run_name(const struct schedule_run *r, Tw__Summary *m)
{
    const struct pair_name *n = find_name(r, m->pair_id);

    if (!n)
        return;
    m->mesh = n->mesh;
    m->class_name = n->class_name;
    m->target = n->target;
}

/* Puts what is wanted of one session into its row, new or old. */
static enum tw_rc want(struct schedule_run *r, const Tw__SessionSpec *p, const struct session_spec *spec)
{
    struct session_key key = make_key(p->pair_id, p->flow);
    struct run_session *s = find(r, key);

    if (keep_name(r, p, spec->cfg.generation) != TW_OK)
        return TW_ENOMEM;
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            return TW_ENOMEM;
        s->key = key;
        s->spec = *spec;
        HASH_ADD(hh, r->sessions, key, sizeof s->key, s);
    } else if (session_spec_same(&s->spec, spec)) {
        s->changed = false;
        s->renumber = s->running && (s->renumber || s->spec.cfg.generation != spec->cfg.generation);
        s->spec.cfg.generation = spec->cfg.generation;
    } else {
        s->changed = true;
        s->next = *spec;
    }
    s->wanted = true;
    r->accepted++;
    r->pps += 1e9 / (double)p->spacing_ns;
    r->in_flight += in_flight_of(p->timeout_ns, p->spacing_ns);
    return TW_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct session_key *x = a, *y = b;

    if (x->pair_id != y->pair_id)
        return x->pair_id < y->pair_id ? -1 : 1;
    return (x->flow > y->flow) - (x->flow < y->flow);
}

/* A pair and flow may be named once: two sessions under one key could not be told apart in the results. */
static enum tw_rc check_unique(const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    struct session_key *keys = calloc(rq->n_sessions + 1, sizeof *keys);
    enum tw_rc rc = TW_OK;

    if (!keys)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < rq->n_sessions; i++)
        keys[i] = make_key(rq->sessions[i]->pair_id, rq->sessions[i]->flow);
    qsort(keys, rq->n_sessions, sizeof *keys, compare_keys);
    for (size_t i = 1; i < rq->n_sessions && rc == TW_OK; i++)
        if (!compare_keys(&keys[i - 1], &keys[i]))
            rc = tw_err_set(err, TW_EINVAL, "pair %llu flow %u stands twice in the schedule",
                            (unsigned long long)keys[i].pair_id, keys[i].flow);
    free(keys);
    return rc;
}

static enum tw_rc take_sessions(struct schedule_run *r, const Tw__ScheduleRequest *rq)
{
    for (size_t i = 0; i < rq->n_sessions; i++) {
        const Tw__SessionSpec *p = rq->sessions[i];
        struct session_spec spec;
        const char *why = check_spec(r, p, rq->generation, &spec);
        enum tw_rc rc = why ? refuse(r, make_key(p->pair_id, p->flow), why) : want(r, p, &spec);
        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

enum tw_rc schedule_run_apply(struct schedule_run *r, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    struct run_session *s, *tmp;
    enum tw_rc rc;

    if (!rq->digest.len || rq->digest.len > sizeof r->digest)
        return tw_err_set(err, TW_EINVAL, "schedule without a digest");
    rc = check_unique(rq, err);
    if (rc != TW_OK)
        return rc;
    free_refusals(r);
    r->accepted = 0;
    r->pps = r->in_flight = 0;
    r->settled = false;
    HASH_ITER(hh, r->sessions, s, tmp)
    s->wanted = false;
    rc = take_sessions(r, rq);
    forget_names(r, r->generation, rq->generation);
    r->generation = rq->generation;
    memcpy(r->digest, rq->digest.data, rq->digest.len);
    r->digest_len = rq->digest.len;
    settle(r);
    return rc == TW_OK ? TW_OK : tw_err_set(err, rc, "out of memory while taking over the schedule");
}

void schedule_run_notice(struct schedule_run *r, const struct worker_notice *n)
{
    struct run_session *s = find(r, make_key(n->pair_id, n->flow));
    struct pair_name *name = find_name(r, n->pair_id);

    if (name && name->in_workers)
        name->in_workers--;
    if (n->rc == TW_OK || n->removed || !s || !s->running)
        return;
    s->running = false;
    if (s->wanted && !s->changed) /* what it changes to may well start */
        give_up(r, s, n->rc, n->why);
    if (r->settled) /* else it is acknowledged when it is */
        r->conf.on_applied(r->conf.ctx);
}

/* ---- Lifetime and figures ---- */

enum tw_rc schedule_run_new(const struct schedule_run_conf *c, struct schedule_run **ret)
{
    struct schedule_run *r = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    r->conf = *c;
    r->retry.fn = on_retry;
    r->retry.ctx = r;
    r->settled = true;
    *ret = r;
    return TW_OK;
}

void schedule_run_free(struct schedule_run *r)
{
    struct run_session *s, *tmp;
    struct pair_name *n, *next;

    if (!r)
        return;
    loop_timer_cancel(r->conf.loop, &r->retry);
    HASH_ITER(hh, r->sessions, s, tmp)
    {
        HASH_DEL(r->sessions, s);
        free(s);
    }
    HASH_ITER(hh, r->names, n, next)
    {
        HASH_DEL(r->names, n);
        free_name(n);
    }
    free_refusals(r);
    free(r);
}

uint64_t schedule_run_generation(const struct schedule_run *r)
{
    return r->generation;
}

ProtobufCBinaryData schedule_run_digest(const struct schedule_run *r)
{
    return (ProtobufCBinaryData){ .len = r->digest_len, .data = (uint8_t *)r->digest };
}

size_t schedule_run_sessions(const struct schedule_run *r)
{
    return r->accepted;
}

size_t schedule_run_refusals(const struct schedule_run *r, Tw__Refusal ***ret)
{
    *ret = r->refusals;
    return r->n_refusals;
}
