/* agent/schedule_merge.c - see schedule_merge.h. */
#include "agent/schedule_merge.h"

#include <stdlib.h>
#include <string.h>

static bool same_octets(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static enum tw_rc no_memory(struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "out of memory");
}

/* ---- Sets of sessions ---- */

struct key {
    uint64_t pair_id;
    uint32_t flow, used;
};
struct keys {
    struct key *v; /* sorted */
    size_t n;
};

static int by_key(const void *a, const void *b)
{
    const struct key *x = a, *y = b;

    if (x->pair_id != y->pair_id)
        return x->pair_id < y->pair_id ? -1 : 1;
    return (x->flow > y->flow) - (x->flow < y->flow);
}

static bool is_twice(const struct keys *k)
{
    for (size_t i = 1; i < k->n; i++)
        if (!by_key(&k->v[i - 1], &k->v[i]))
            return true;
    return false;
}

static enum tw_rc list_removed(const Tw__ScheduleRequest *rq, struct keys *ret, struct tw_err *err)
{
    ret->v = calloc(rq->n_removed + 1, sizeof *ret->v);
    if (!ret->v)
        return no_memory(err);
    for (size_t i = 0; i < rq->n_removed; i++)
        ret->v[i] = (struct key){ rq->removed[i]->pair_id, rq->removed[i]->flow, 0 };
    ret->n = rq->n_removed;
    qsort(ret->v, ret->n, sizeof *ret->v, by_key);
    return is_twice(ret) ? tw_err_set(err, TW_EINVAL, "a session is removed twice") : TW_OK;
}

static struct key *find(const struct keys *k, const Tw__SessionSpec *s)
{
    struct key key = { s->pair_id, s->flow, 0 };

    return k->n ? bsearch(&key, k->v, k->n, sizeof *k->v, by_key) : NULL;
}

/* ---- Rules that sessions refer to ---- */

struct rule_id {
    uint64_t id;
    bool taken;
};
struct rule_ids {
    struct rule_id *v; /* sorted, each once */
    size_t n;
};

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct rule_id *)a)->id, y = ((const struct rule_id *)b)->id;

    return (x > y) - (x < y);
}

static enum tw_rc list_needed(const Tw__ScheduleRequest *rq, struct rule_ids *ret, struct tw_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < rq->n_sessions; i++)
        n += rq->sessions[i]->times_id != 0;
    ret->v = calloc(n + 1, sizeof *ret->v);
    if (!ret->v)
        return no_memory(err);
    n = 0;
    for (size_t i = 0; i < rq->n_sessions; i++)
        if (rq->sessions[i]->times_id)
            ret->v[n++].id = rq->sessions[i]->times_id;
    qsort(ret->v, n, sizeof *ret->v, by_id);
    for (size_t i = 0; i < n; i++)
        if (!ret->n || ret->v[ret->n - 1].id != ret->v[i].id)
            ret->v[ret->n++] = ret->v[i];
    return TW_OK;
}

/* Is it needed, and has it not been taken yet? */
static bool take_rule(const struct rule_ids *ids, const Tw__TimesRule *r)
{
    const struct rule_id key = { .id = r->id };
    struct rule_id *found = ids->n ? bsearch(&key, ids->v, ids->n, sizeof key, by_id) : NULL;

    if (!found || found->taken)
        return false;
    found->taken = true;
    return true;
}

/* Of what the request brings and what the base has those that the sessions in *ret need. What does not exist
 * is for whoever applies it to say. */
static enum tw_rc join_rules(const Tw__ScheduleRequest *base, const Tw__ScheduleRequest *rq,
                             Tw__ScheduleRequest *ret, struct tw_err *err)
{
    struct rule_ids ids = { 0 };
    enum tw_rc rc = list_needed(ret, &ids, err);

    ret->times = calloc(ids.n + 1, sizeof *ret->times);
    if (rc == TW_OK && !ret->times)
        rc = no_memory(err);
    for (size_t i = 0; rc == TW_OK && i < rq->n_times; i++)
        if (take_rule(&ids, rq->times[i]))
            ret->times[ret->n_times++] = rq->times[i];
    for (size_t i = 0; rc == TW_OK && i < base->n_times; i++)
        if (take_rule(&ids, base->times[i]))
            ret->times[ret->n_times++] = base->times[i];
    free(ids.v);
    return rc;
}

/* Parts bring a rule as often as they need it. */
static enum tw_rc drop_needless_rules(Tw__ScheduleRequest *list, struct tw_err *err)
{
    struct rule_ids ids = { 0 };
    enum tw_rc rc = list_needed(list, &ids, err);
    size_t n = 0;

    if (rc != TW_OK)
        return rc;
    for (size_t i = 0; i < list->n_times; i++)
        if (take_rule(&ids, list->times[i]))
            list->times[n++] = list->times[i];
        else
            tw__times_rule__free_unpacked(list->times[i], NULL);
    list->n_times = n;
    free(ids.v);
    return TW_OK;
}

/* ---- A difference ---- */

static enum tw_rc check_delta(const Tw__ScheduleRequest *base, const Tw__ScheduleRequest *rq,
                              struct tw_err *err)
{
    if (rq->n_sessions || schedule_is_part(rq))
        return tw_err_set(err, TW_EINVAL, "a difference of a schedule with a list, or in parts");
    if (!base || !same_octets(&base->digest, &rq->base_digest))
        return tw_err_set(err, TW_ENOENT,
                          "this agent has another list than the one that this is the difference to");
    if (rq->n_removed > base->n_sessions)
        return tw_err_set(err, TW_EINVAL, "more sessions are removed than there are");
    if (rq->n_added > SCHEDULE_TOTAL_MAX || rq->total > SCHEDULE_TOTAL_MAX)
        return tw_err_set(err, TW_EINVAL, "more than %d sessions", SCHEDULE_TOTAL_MAX);
    return TW_OK;
}

/* Sessions that stay keep their order, what is new follows. The messages are those of base and rq. */
static enum tw_rc join(const Tw__ScheduleRequest *base, const Tw__ScheduleRequest *rq, struct keys *removed,
                       Tw__ScheduleRequest *ret, struct tw_err *err)
{
    size_t gone = 0;

    ret->sessions = calloc(base->n_sessions + rq->n_added + 1, sizeof *ret->sessions);
    if (!ret->sessions)
        return no_memory(err);
    for (size_t i = 0; i < base->n_sessions; i++) {
        struct key *k = find(removed, base->sessions[i]);

        if (!k)
            ret->sessions[ret->n_sessions++] = base->sessions[i];
        else if (!k->used++)
            gone++;
    }
    for (size_t i = 0; i < rq->n_added; i++)
        ret->sessions[ret->n_sessions++] = rq->added[i];
    if (gone != removed->n)
        return tw_err_set(err, TW_ENOENT, "a session is removed that is not in the list");
    if (ret->n_sessions != rq->total)
        return tw_err_set(err, TW_ENOENT, "%zu sessions come of the difference, not %u", ret->n_sessions,
                          rq->total);
    return TW_OK;
}

static Tw__ScheduleRequest *clone(const Tw__ScheduleRequest *m)
{
    size_t len = tw__schedule_request__get_packed_size(m);
    uint8_t *buf = malloc(len + 1);
    Tw__ScheduleRequest *copy = NULL;

    if (buf)
        copy = tw__schedule_request__unpack(NULL, tw__schedule_request__pack(m, buf), buf);
    free(buf);
    return copy;
}

enum tw_rc schedule_merge(const Tw__ScheduleRequest *base, const Tw__ScheduleRequest *rq,
                          Tw__ScheduleRequest **ret, struct tw_err *err)
{
    Tw__ScheduleRequest whole = TW__SCHEDULE_REQUEST__INIT, *copy = NULL;
    struct keys removed = { 0 };
    enum tw_rc rc = check_delta(base, rq, err);

    if (rc == TW_OK)
        rc = list_removed(rq, &removed, err);
    if (rc == TW_OK)
        rc = join(base, rq, &removed, &whole, err);
    if (rc == TW_OK)
        rc = join_rules(base, rq, &whole, err);
    if (rc == TW_OK) {
        whole.generation = rq->generation;
        whole.digest = rq->digest;
        copy = clone(&whole);
        rc = copy ? TW_OK : no_memory(err);
    }
    free(removed.v);
    free(whole.sessions);
    free(whole.times);
    if (rc == TW_OK)
        *ret = copy;
    return rc;
}

/* ---- Parts ---- */

void schedule_parts_drop(struct schedule_parts *p)
{
    if (p->list)
        tw__schedule_request__free_unpacked(p->list, NULL);
    *p = (struct schedule_parts){ 0 };
}

static enum tw_rc check_part(const struct schedule_parts *p, const Tw__ScheduleRequest *rq,
                             struct tw_err *err)
{
    if (rq->base_digest.len || rq->n_added || rq->n_removed)
        return tw_err_set(err, TW_EINVAL, "a part of a list is no difference");
    if (!rq->total || rq->total > SCHEDULE_TOTAL_MAX)
        return tw_err_set(err, TW_EINVAL, "a list in parts has 1 to %d sessions", SCHEDULE_TOTAL_MAX);
    if (!rq->part)
        return TW_OK;
    if (!p->list || rq->part != p->next || rq->generation != p->list->generation ||
        rq->total != p->list->total || !same_octets(&rq->digest, &p->list->digest))
        return tw_err_set(err, TW_ENOENT, "part %u of a schedule does not follow the one before", rq->part);
    return TW_OK;
}

/* The sessions and rules of a copy of the part go over into the list. */
static enum tw_rc append(Tw__ScheduleRequest *list, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    Tw__ScheduleRequest *copy = clone(rq);
    Tw__SessionSpec **v = NULL;
    Tw__TimesRule **rules = NULL;

    if (copy)
        v = reallocarray(list->sessions, list->n_sessions + copy->n_sessions + 1, sizeof *v);
    if (v) {
        list->sessions = v;
        rules = reallocarray(list->times, list->n_times + copy->n_times + 1, sizeof *rules);
    }
    if (rules) {
        list->times = rules;
        for (size_t i = 0; i < copy->n_sessions; i++)
            v[list->n_sessions++] = copy->sessions[i];
        for (size_t i = 0; i < copy->n_times; i++)
            rules[list->n_times++] = copy->times[i];
        copy->n_sessions = copy->n_times = 0;
    }
    if (copy)
        tw__schedule_request__free_unpacked(copy, NULL);
    return rules ? TW_OK : no_memory(err);
}

static enum tw_rc take(struct schedule_parts *p, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    enum tw_rc rc = check_part(p, rq, err);

    if (rc != TW_OK)
        return rc;
    if (!rq->part) {
        schedule_parts_drop(p);
        p->list = clone(rq);
        rc = p->list ? TW_OK : no_memory(err);
    } else {
        rc = append(p->list, rq, err);
    }
    if (rc != TW_OK)
        return rc;
    p->next = rq->part + 1;
    if (p->list->n_sessions > rq->total || (!rq->more && p->list->n_sessions != rq->total))
        return tw_err_set(err, TW_EINVAL, "the parts have other than the %u sessions of the list", rq->total);
    return TW_OK;
}

enum tw_rc schedule_parts_take(struct schedule_parts *p, const Tw__ScheduleRequest *rq,
                               Tw__ScheduleRequest **ret, struct tw_err *err)
{
    enum tw_rc rc = take(p, rq, err);

    if (rc == TW_OK && !rq->more)
        rc = drop_needless_rules(p->list, err);
    if (rc != TW_OK) {
        schedule_parts_drop(p);
        return rc;
    }
    if (rq->more)
        return TW_EAGAIN;
    p->list->total = 0;
    p->list->more = false;
    *ret = p->list;
    *p = (struct schedule_parts){ 0 };
    return TW_OK;
}
