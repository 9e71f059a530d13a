/* common/times_pack.c - rules as octets: in schedules for agents, and in the store. Numbers are LEB128; the
 * order is that of pack_rule(). A set that is empty takes one octet, a zone that is the other set's, too. */
#include "common/times.h"

#include <stdlib.h>
#include <string.h>
#include "common/wire.h"

#define VERSION 1

enum { ZONE_OWN, ZONE_OF_WINDOWS };

/* ---- Out ---- */

static void pack_zone(struct wire_wr *w, const struct zone *z)
{
    int64_t at_s = 0;

    wire_put_zigzag(w, z->offset_s);
    wire_put_varint(w, z->n);
    for (size_t i = 0; i < z->n; i++) {
        wire_put_zigzag(w, z->v[i].at_s - at_s);
        wire_put_zigzag(w, z->v[i].offset_s);
        at_s = z->v[i].at_s;
    }
}

static void pack_set(struct wire_wr *w, const struct times_set *s)
{
    wire_put_varint(w, s->n_week);
    for (size_t i = 0; i < s->n_week; i++) {
        wire_put_varint(w, s->week[i].from);
        wire_put_varint(w, s->week[i].to);
    }
    wire_put_varint(w, s->n_spans);
    for (size_t i = 0; i < s->n_spans; i++) {
        wire_put_zigzag(w, s->spans[i].from_ns);
        wire_put_zigzag(w, s->spans[i].to_ns);
    }
}

static void pack_cron(struct wire_wr *w, const struct times_cron *c)
{
    wire_put_u64(w, c->minutes);
    wire_put_u32(w, c->hours);
    wire_put_u32(w, c->days);
    wire_put_u16(w, c->months);
    wire_put_u8(w, c->weekdays);
    wire_put_u8(w, (uint8_t)(c->any_day | c->any_weekday << 1 | c->wild << 2));
}

static bool same_table(const struct zone *a, const struct zone *b)
{
    if (a->n != b->n || a->offset_s != b->offset_s)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].at_s != b->v[i].at_s || a->v[i].offset_s != b->v[i].offset_s)
            return false;
    return true;
}

static void pack_rule(struct wire_wr *w, const struct times *t)
{
    bool same = same_table(&t->windows.zone, &t->stop.zone);

    wire_put_u8(w, VERSION);
    wire_put_u8(w, (uint8_t)t->kind);
    wire_put_varint(w, (uint64_t)t->every_ns);
    wire_put_varint(w, (uint64_t)t->at_ns);
    wire_put_varint(w, (uint64_t)t->for_ns);
    wire_put_varint(w, t->count);
    wire_put_varint(w, (uint64_t)t->start_ns);
    wire_put_varint(w, (uint64_t)t->until_ns);
    wire_put_varint(w, t->max_runs);
    wire_put_varint(w, (uint64_t)t->last_ns);
    if (t->kind == TIMES_CRON)
        pack_cron(w, &t->cron);
    pack_zone(w, &t->windows.zone);
    pack_set(w, &t->windows);
    wire_put_u8(w, same ? ZONE_OF_WINDOWS : ZONE_OWN);
    if (!same)
        pack_zone(w, &t->stop.zone);
    pack_set(w, &t->stop);
}

enum tw_rc times_pack(const struct times *t, uint8_t *buf, size_t cap, size_t *ret_len)
{
    struct wire_wr w = { .p = buf, .end = buf + cap };

    pack_rule(&w, t);
    if (w.bad)
        return TW_ENOSPC;
    *ret_len = (size_t)(w.p - buf);
    return TW_OK;
}

/* ---- In ---- */

static int64_t get_number(struct wire_rd *r, int64_t max)
{
    uint64_t v = wire_get_varint(r);

    if (v > (uint64_t)max)
        r->bad = true;
    return r->bad ? 0 : (int64_t)v;
}

static enum tw_rc unpack_zone(struct wire_rd *r, struct zone *ret)
{
    struct zone z = { .offset_s = (int32_t)wire_get_zigzag(r) };
    int64_t at_s = 0;

    z.n = (size_t)get_number(r, ZONE_CHANGES_MAX);
    if (r->bad)
        return TW_EINVAL;
    if (z.n && !(z.v = calloc(z.n, sizeof *z.v)))
        return TW_ENOMEM;
    for (size_t i = 0; i < z.n; i++) {
        if (__builtin_add_overflow(at_s, wire_get_zigzag(r), &at_s))
            r->bad = true;
        z.v[i] = (struct zone_change){ at_s, (int32_t)wire_get_zigzag(r) };
    }
    *ret = z;
    return !r->bad && zone_is_valid(&z) ? TW_OK : TW_EINVAL;
}

/* The lists are in order, or they are refused. */
static enum tw_rc unpack_week(struct wire_rd *r, struct times_set *s)
{
    size_t n = (size_t)get_number(r, TIMES_WEEK_MAX);
    unsigned at = 0;

    if (!n || r->bad)
        return r->bad ? TW_EINVAL : TW_OK;
    if (!(s->week = calloc(TIMES_WEEK_MAX + 1, sizeof *s->week)))
        return TW_ENOMEM;
    for (; s->n_week < n; s->n_week++) {
        unsigned from = (unsigned)get_number(r, TIMES_WEEK_MINUTES);
        unsigned to = (unsigned)get_number(r, TIMES_WEEK_MINUTES);

        if (r->bad || from >= to || (s->n_week && from <= at))
            return TW_EINVAL;
        s->week[s->n_week] = (struct times_piece){ (uint16_t)from, (uint16_t)to };
        at = to;
    }
    return TW_OK;
}

static enum tw_rc unpack_spans(struct wire_rd *r, struct times_set *s)
{
    size_t n = (size_t)get_number(r, TIMES_SPANS_MAX);

    if (!n || r->bad)
        return r->bad ? TW_EINVAL : TW_OK;
    if (!(s->spans = calloc(TIMES_SPANS_MAX, sizeof *s->spans)))
        return TW_ENOMEM;
    for (; s->n_spans < n; s->n_spans++) {
        struct times_span v;

        v.from_ns = wire_get_zigzag(r);
        v.to_ns = wire_get_zigzag(r);
        if (r->bad || v.from_ns < 0 || v.to_ns > TIMES_END_NS || v.from_ns >= v.to_ns ||
            (s->n_spans && v.from_ns <= s->spans[s->n_spans - 1].to_ns))
            return TW_EINVAL;
        s->spans[s->n_spans] = v;
    }
    return TW_OK;
}

static enum tw_rc unpack_set(struct wire_rd *r, struct times_set *s)
{
    enum tw_rc rc = unpack_week(r, s);

    return rc ? rc : unpack_spans(r, s);
}

static void unpack_cron(struct wire_rd *r, struct times_cron *c)
{
    uint8_t flags;

    c->minutes = wire_get_u64(r);
    c->hours = wire_get_u32(r);
    c->days = wire_get_u32(r);
    c->months = wire_get_u16(r);
    c->weekdays = wire_get_u8(r);
    flags = wire_get_u8(r);
    c->any_day = flags & 1;
    c->any_weekday = flags & 2;
    c->wild = flags & 4;
    if (!c->minutes || c->minutes >> 60 || !c->hours || c->hours >> 24 || !c->days || c->days & 1 ||
        !c->months || c->months & 1 || c->months >> 13 || !c->weekdays || c->weekdays & 0x80 || flags > 7)
        r->bad = true;
}

static bool is_sound(const struct times *t)
{
    bool timed = t->kind != TIMES_CONTINUOUS;

    return t->start_ns < t->until_ns && timed == (t->for_ns || t->count) && !(t->for_ns && t->count) &&
           (t->kind == TIMES_INTERVAL ? t->every_ns >= TIMES_EVERY_MIN_NS : !t->every_ns) &&
           (t->kind == TIMES_ONCE || !t->at_ns) && !t->windows.n_spans;
}

static enum tw_rc unpack_sets(struct wire_rd *r, struct times *t)
{
    enum tw_rc rc = unpack_zone(r, &t->windows.zone);
    uint8_t of = ZONE_OWN;

    if (!rc)
        rc = unpack_set(r, &t->windows);
    if (!rc)
        of = wire_get_u8(r);
    if (!rc && of == ZONE_OF_WINDOWS)
        rc = zone_copy(&t->windows.zone, &t->stop.zone);
    else if (!rc)
        rc = of == ZONE_OWN ? unpack_zone(r, &t->stop.zone) : TW_EINVAL;
    return rc ? rc : unpack_set(r, &t->stop);
}

static enum tw_rc unpack_rule(struct wire_rd *r, struct times *t)
{
    uint8_t kind = wire_get_u8(r);
    enum tw_rc rc;

    if (kind > TIMES_CRON)
        return TW_EINVAL;
    t->kind = (enum times_kind)kind;
    t->every_ns = get_number(r, TIMES_EVERY_MAX_NS);
    t->at_ns = get_number(r, TIMES_END_NS);
    t->for_ns = get_number(r, TIMES_LENGTH_MAX_NS);
    t->count = (uint32_t)get_number(r, TIMES_COUNT_MAX);
    t->start_ns = get_number(r, TIMES_END_NS);
    t->until_ns = get_number(r, TIMES_NEVER);
    t->max_runs = (uint32_t)get_number(r, TIMES_RUNS_MAX);
    t->last_ns = get_number(r, TIMES_NEVER);
    if (t->kind == TIMES_CRON)
        unpack_cron(r, &t->cron);
    if (r->bad)
        return TW_EINVAL;
    rc = unpack_sets(r, t);
    return rc ? rc : is_sound(t) ? TW_OK : TW_EINVAL;
}

enum tw_rc times_unpack(const uint8_t *data, size_t len, struct times **ret)
{
    struct wire_rd r;
    struct times *t;
    enum tw_rc rc;

    if (!len)
        return TW_ETRUNC;
    r = (struct wire_rd){ .p = data, .end = data + len };
    if (wire_get_u8(&r) != VERSION)
        return data[0] > VERSION ? TW_EVERSION : TW_EINVAL;
    rc = times_new(&t);
    if (rc)
        return rc;
    rc = unpack_rule(&r, t);
    if (!rc && (r.bad || r.p != r.end))
        rc = TW_EINVAL;
    if (rc) {
        times_unref(t);
        return rc;
    }
    *ret = t;
    return TW_OK;
}
