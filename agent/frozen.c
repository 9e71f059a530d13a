/* agent/frozen.c - see frozen.h. */
#include "agent/frozen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/flight_pb.h"
#include "common/log.h"
#include "common/net/now.h"

#define WRITE_DELAY_NS (200 * TW_NS_PER_MS)
enum { WRITES_AT_ONCE = 4 };

struct slot {
    struct frozen_part *part; /* NULL: free */
    bool stale;               /* what is on the disk is something else */
};

struct frozen {
    struct frozen_conf conf;
    struct slot slots[FROZEN_PARTS_MAX];
    unsigned order[FROZEN_PARTS_MAX]; /* slots in use, oldest first */
    size_t n;
    uint64_t last_id, octets, gave_way, refused, unwritten;
    struct loop_timer timer;
    bool armed;
    struct log_limit failed_log;
};

static size_t size_of(size_t n)
{
    return sizeof(struct frozen_part) + n * sizeof(struct flight_record);
}

static bool is_pinned(const struct frozen_part *p)
{
    return p->cause != TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN;
}

static struct frozen_part *nth(const struct frozen *f, size_t i)
{
    return f->slots[f->order[i]].part;
}

/* ---- On the disk ---- */

static const char *key_of(unsigned slot, char buf[32])
{
    snprintf(buf, 32, "flight/%u", slot);
    return buf;
}

static enum tw_rc pack(const struct frozen_part *p, uint8_t **ret, size_t *ret_len)
{
    Tw__FlightFrozen m;
    Tw__FlightRecord **list = flight_records_to_pb(p->records, p->n);

    if (!list)
        return TW_ENOMEM;
    frozen_describe(p, &m);
    m.n_records = p->n;
    m.records = list;
    *ret = malloc(tw__flight_frozen__get_packed_size(&m) + 1);
    if (*ret)
        *ret_len = tw__flight_frozen__pack(&m, *ret);
    free(list);
    return *ret ? TW_OK : TW_ENOMEM;
}

static enum tw_rc write_slot(struct frozen *f, unsigned slot)
{
    const struct frozen_part *p = f->slots[slot].part;
    uint8_t *data = NULL;
    size_t len = 0;
    char key[32];
    enum tw_rc rc = p ? pack(p, &data, &len) : TW_OK;

    if (!rc) /* an empty value is none */
        rc = spool_put_value(f->conf.spool, key_of(slot, key), p ? (const void *)data : "", len);
    free(data);
    return rc;
}

static void write_stale(struct frozen *f, unsigned most)
{
    unsigned held;

    for (unsigned i = 0; i < FROZEN_PARTS_MAX && most; i++) {
        enum tw_rc rc;
        if (!f->slots[i].stale)
            continue;
        rc = write_slot(f, i);
        f->slots[i].stale = false; /* not tried again: it is only for a restart */
        most--;
        if (!rc)
            continue;
        f->unwritten++;
        if (log_limit_ok(&f->failed_log, tw_mono_now().ns, &held))
            log_warn("a frozen part of the flight recorder cannot be written, it stays in memory",
                     LOG_S("reason", tw_rc_name(rc)), LOG_U("held_back", held));
    }
}

static bool any_stale(const struct frozen *f)
{
    for (unsigned i = 0; i < FROZEN_PARTS_MAX; i++)
        if (f->slots[i].stale)
            return true;
    return false;
}

static void arm(struct frozen *f)
{
    if (f->armed || !f->conf.spool)
        return;
    f->armed = true;
    loop_timer_set(f->conf.loop, &f->timer, (struct tw_mono){ tw_mono_now().ns + WRITE_DELAY_NS });
}

static void on_timer(struct loop_timer *t)
{
    struct frozen *f = t->ctx;

    f->armed = false;
    write_stale(f, WRITES_AT_ONCE);
    if (any_stale(f))
        arm(f);
}

/* ---- In memory ---- */

static void take_out(struct frozen *f, size_t i)
{
    struct slot *s = &f->slots[f->order[i]];

    f->octets -= size_of(s->part->n);
    free(s->part);
    s->part = NULL;
    s->stale = f->conf.spool != NULL;
    f->n--;
    memmove(f->order + i, f->order + i + 1, (f->n - i) * sizeof f->order[0]);
}

/* The one that gives way to `p`; n: none. */
static size_t find_victim(const struct frozen *f, bool pinned)
{
    for (size_t i = 0; i < f->n; i++)
        if (!is_pinned(nth(f, i)))
            return i;
    return pinned && f->n ? 0 : f->n;
}

static bool has_room(const struct frozen *f, size_t octets)
{
    return f->n < FROZEN_PARTS_MAX && f->octets + octets <= f->conf.max_octets;
}

static bool make_room(struct frozen *f, bool pinned, size_t octets)
{
    while (!has_room(f, octets)) {
        size_t victim = find_victim(f, pinned);
        if (victim == f->n)
            return false;
        take_out(f, victim);
        f->gave_way++;
    }
    return true;
}

static unsigned free_slot(const struct frozen *f)
{
    unsigned i = 0;

    while (f->slots[i].part)
        i++;
    return i;
}

static void put_in(struct frozen *f, unsigned slot, struct frozen_part *p)
{
    size_t at = f->n;

    while (at && nth(f, at - 1)->id > p->id) /* only while loading */
        at--;
    f->slots[slot].part = p;
    memmove(f->order + at + 1, f->order + at, (f->n - at) * sizeof f->order[0]);
    f->order[at] = slot;
    f->n++;
    f->octets += size_of(p->n);
    if (p->id > f->last_id)
        f->last_id = p->id;
}

static void drop_same(struct frozen *f, const struct frozen_part *head)
{
    for (size_t i = f->n; i-- > 0;) {
        const struct frozen_part *p = nth(f, i);
        if (p->pair_id == head->pair_id && p->flow == head->flow && p->cause == head->cause &&
            p->at_ns == head->at_ns)
            take_out(f, i);
    }
}

enum tw_rc frozen_add(struct frozen *f, const struct frozen_part *head, const struct flight_record *r,
                      size_t n, const struct frozen_part **ret)
{
    struct frozen_part *p;
    unsigned slot;

    if (!n || n > FROZEN_PROBES_MAX)
        return TW_EINVAL;
    p = malloc(size_of(n));
    if (!p)
        return TW_ENOMEM;
    *p = *head;
    p->n = n;
    memcpy(p->records, r, n * sizeof *r);
    drop_same(f, head);
    if (!make_room(f, is_pinned(p), size_of(n))) {
        free(p);
        f->refused++;
        return TW_ENOSPC;
    }
    p->id = f->last_id + 1;
    slot = free_slot(f);
    put_in(f, slot, p);
    f->slots[slot].stale = f->conf.spool != NULL;
    arm(f);
    *ret = p;
    return TW_OK;
}

const struct frozen_part *frozen_at(const struct frozen *f, size_t i)
{
    return i < f->n ? nth(f, i) : NULL;
}

void frozen_describe(const struct frozen_part *p, Tw__FlightFrozen *ret)
{
    tw__flight_frozen__init(ret);
    ret->id = p->id;
    ret->pair_id = p->pair_id;
    ret->flow = p->flow;
    ret->cause = p->cause;
    ret->reason = (char *)p->reason;
    ret->at_ns = p->at_ns;
    ret->frozen_ns = p->frozen_ns;
    ret->first_ns = p->records[0].t1_ns;
    ret->last_ns = p->records[p->n - 1].t1_ns;
    ret->probes = p->n;
    for (size_t i = 0; i < p->n; i++)
        ret->lost += p->records[i].fate == FLIGHT_LOST || p->records[i].fate == FLIGHT_LATE;
}

void frozen_stats(const struct frozen *f, struct frozen_stats *ret)
{
    *ret = (struct frozen_stats){ f->n, f->octets, f->gave_way, f->refused, f->unwritten };
}

/* ---- Start ---- */

/* NULL: it is not what we wrote. */
static struct frozen_part *part_from(const Tw__FlightFrozen *m)
{
    struct frozen_part *p;
    size_t len = strlen(m->reason);

    if (!m->n_records || m->n_records > FROZEN_PROBES_MAX || len > FROZEN_REASON_MAX ||
        (unsigned)m->cause > 2)
        return NULL;
    p = calloc(1, size_of(m->n_records));
    if (!p)
        return NULL;
    p->id = m->id;
    p->pair_id = m->pair_id;
    p->flow = m->flow;
    p->cause = m->cause;
    memcpy(p->reason, m->reason, len);
    p->at_ns = m->at_ns;
    p->frozen_ns = m->frozen_ns;
    p->n = m->n_records;
    for (size_t i = 0; i < p->n; i++) {
        if (flight_record_from_pb(m->records[i], &p->records[i])) {
            free(p);
            return NULL;
        }
    }
    return p;
}

static void load_slot(struct frozen *f, unsigned slot)
{
    struct frozen_part *p = NULL;
    Tw__FlightFrozen *m;
    uint8_t *data = NULL;
    size_t len = 0;
    char key[32];

    if (spool_get_value(f->conf.spool, key_of(slot, key), &data, &len) != TW_OK)
        return;
    m = len ? tw__flight_frozen__unpack(NULL, len, data) : NULL;
    if (m) {
        p = part_from(m);
        tw__flight_frozen__free_unpacked(m, NULL);
    }
    if (len && !p)
        log_warn("a frozen part of the flight recorder cannot be read", LOG_S("value", key));
    if (p)
        put_in(f, slot, p);
    free(data);
}

enum tw_rc frozen_new(const struct frozen_conf *c, struct frozen **ret)
{
    struct frozen *f = calloc(1, sizeof *f);

    if (!f)
        return TW_ENOMEM;
    f->conf = *c;
    f->timer = (struct loop_timer){ .fn = on_timer, .ctx = f };
    f->failed_log.burst = 5;
    for (unsigned i = 0; c->spool && i < FROZEN_PARTS_MAX; i++)
        load_slot(f, i);
    while (f->n && f->octets > c->max_octets) { /* the bound is lower than it was */
        take_out(f, find_victim(f, true));
        f->gave_way++;
        arm(f);
    }
    *ret = f;
    return TW_OK;
}

void frozen_free(struct frozen *f)
{
    if (!f)
        return;
    loop_timer_cancel(f->conf.loop, &f->timer);
    if (f->conf.spool)
        write_stale(f, FROZEN_PARTS_MAX);
    while (f->n) {
        free(nth(f, f->n - 1));
        f->n--;
    }
    free(f);
}
