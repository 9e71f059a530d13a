/* The keys that say when sessions run; docs/mesh.md is their reference. They are read when the whole document
 * has been: a class takes the schedule of its mesh unless it has one, and whether runs fit between each other
 * depends on its spacing. */
#include "controller/mesh_doc_times.h"
#include "controller/mesh_doc_priv.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/civil.h"
#include "controller/core/class_times.h"
#include "controller/zone_table.h"

#define DAY_MINUTES 1440
#define WINDOWS_MAX 64
#define MAINTENANCE_MAX 64
#define TWAMP_REST_NS (15 * TW_NS_PER_S) /* a control connection for each run: ended, dialled, agreed */

/* Nodes as they stand, NULL: not given. */
struct schedule_doc {
    const yaml_node_t *map;
    const yaml_node_t *every, *cron, *at, *for_, *count, *start, *until, *max_runs, *zone, *windows;
};

/* ---- Times ---- */

static enum tw_rc take_zone(struct doc *d, const yaml_node_t *node, struct zone *ret)
{
    char near[ZONE_NAME], quote[DOC_QUOTE];
    const char *name = "";
    size_t before;
    enum tw_rc rc;

    if (!node)
        return TW_OK;
    before = doc_push(d, ".zone");
    rc = doc_text(d, node, &name);
    if (rc)
        return rc;
    rc = zone_table_make(name, ret, near);
    if (rc == TW_ENOMEM)
        return doc_no_memory(d);
    if (rc)
        return near[0]
                   ? doc_fail(d, node, "time zone \"%s\" is unknown: did you mean \"%s\"?",
                              doc_quote(name, quote), near)
                   : doc_fail(d, node,
                              "time zone \"%s\" is unknown: expected a name such as Europe/Amsterdam, or UTC",
                              doc_quote(name, quote));
    doc_pop(d, before);
    return TW_OK;
}

/* With an offset it says all, without one it is a time in the zone. */
static enum tw_rc take_moment(struct doc *d, const yaml_node_t *node, const struct zone *z, int64_t *ret_ns)
{
    char quote[DOC_QUOTE];
    const char *text = "";
    struct tw_wall t = { 0 };
    int64_t local_s;
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    if (tw_local_parse(text, &local_s) == TW_OK)
        t.ns = zone_moment(z, local_s) * TW_NS_PER_S;
    else if (tw_wall_parse(text, &t) != TW_OK)
        t.ns = 0;
    if (t.ns <= 0 || t.ns >= TIMES_END_NS)
        return doc_fail(
            d, node,
            "expected a time such as \"2026-12-01 08:00\" in the schedule's zone, or 2026-12-01T08:00:00Z, "
            "before 2200; got \"%s\"",
            doc_quote(text, quote));
    *ret_ns = t.ns;
    return TW_OK;
}

static enum tw_rc take_key_moment(struct doc *d, const char *key, const yaml_node_t *node,
                                  const struct zone *z, int64_t *ret_ns)
{
    size_t before;
    enum tw_rc rc;

    if (!node)
        return TW_OK;
    before = doc_push(d, ".%s", key);
    rc = take_moment(d, node, z, ret_ns);
    if (!rc)
        doc_pop(d, before);
    return rc;
}

/* ---- Windows ---- */

static const char *const day_names[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

static bool take_day(const char **p, unsigned *ret)
{
    for (unsigned i = 0; i < TW_NELEM(day_names); i++)
        if (!strncasecmp(*p, day_names[i], 3)) {
            *p += 3;
            *ret = i;
            return true;
        }
    return false;
}

/* "mon-fri", "sat,sun", "fri-mon": bits from Monday. */
static bool parse_days(const char *p, unsigned *ret)
{
    unsigned first, last;

    for (*ret = 0;; p++) {
        p += strspn(p, " ");
        if (!take_day(&p, &first))
            return false;
        last = first;
        if (*p == '-' && (p++, !take_day(&p, &last)))
            return false;
        for (unsigned i = first;; i = (i + 1) % 7) {
            *ret |= 1u << i;
            if (i == last)
                break;
        }
        if (*p != ',')
            return !*p;
    }
}

static bool parse_minute(const char *text, unsigned *ret)
{
    unsigned hour = 0, minute = 0;
    int len = -1;

    if (strlen(text) != 5 || strspn(text, "0123456789:") != 5 ||
        sscanf(text, "%2u:%2u%n", &hour, &minute, &len) != 2 || len != 5)
        return false;
    *ret = hour * 60 + minute;
    return minute < 60 && *ret <= DAY_MINUTES;
}

struct window {
    const yaml_node_t *map, *from, *to, *reason, *probes;
    unsigned days;
    bool weekly; /* days are given */
};

static enum tw_rc set_days(struct doc *d, const yaml_node_t *value, void *into)
{
    struct window *w = into;
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    w->weekly = true;
    if (!parse_days(text, &w->days))
        return doc_fail(d, value, "expected days such as mon-fri or sat,sun; got \"%s\"",
                        doc_quote(text, quote));
    return TW_OK;
}

static enum tw_rc set_from(struct doc *d, const yaml_node_t *value, void *into)
{
    (void)d;
    ((struct window *)into)->from = value;
    return TW_OK;
}

static enum tw_rc set_to(struct doc *d, const yaml_node_t *value, void *into)
{
    (void)d;
    ((struct window *)into)->to = value;
    return TW_OK;
}

static const struct doc_key window_keys[] = {
    { "days", DOC_TEXT, false, set_days },
    { "from", DOC_TEXT, false, set_from },
    { "to", DOC_TEXT, false, set_to },
};
const struct mesh_doc_table mesh_doc_table_window = { "window", window_keys, TW_NELEM(window_keys) };

static enum tw_rc take_minute(struct doc *d, const char *key, const yaml_node_t *node, unsigned *ret)
{
    char quote[DOC_QUOTE];
    const char *text = "";
    size_t before;
    enum tw_rc rc;

    if (!node)
        return TW_OK;
    before = doc_push(d, ".%s", key);
    rc = doc_text(d, node, &text);
    if (rc)
        return rc;
    if (!parse_minute(text, ret))
        return doc_fail(d, node, "expected a time of day, \"00:00\" to \"24:00\"; got \"%s\"",
                        doc_quote(text, quote));
    doc_pop(d, before);
    return TW_OK;
}

/* Where `to` is not after `from` it is on the next day. */
static enum tw_rc add_window(struct doc *d, const struct window *w, struct times_set *ret)
{
    unsigned from = 0, to = DAY_MINUTES;
    enum tw_rc rc = take_minute(d, "from", w->from, &from);

    if (!rc)
        rc = take_minute(d, "to", w->to, &to);
    if (rc)
        return rc;
    if (from == to || from == DAY_MINUTES)
        return doc_fail(d, w->map,
                        "the window is empty: expected from and to that differ, and from before 24:00");
    for (unsigned day = 0; !rc && day < 7; day++)
        if ((w->weekly ? w->days : 0x7f) & 1u << day)
            rc = times_set_add_week(ret, day * DAY_MINUTES + from,
                                    from < to ? to - from : DAY_MINUTES - from + to);
    return rc ? doc_no_memory(d) : TW_OK;
}

static enum tw_rc each_window(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct window w = { .map = item };
    enum tw_rc rc = doc_map(d, item, window_keys, TW_NELEM(window_keys), &w);

    (void)i;
    return rc ? rc : add_window(d, &w, into);
}

static enum tw_rc take_windows(struct doc *d, const yaml_node_t *list, struct times_set *ret)
{
    size_t before;
    enum tw_rc rc;

    if (!list)
        return TW_OK;
    before = doc_push(d, ".windows");
    if (!doc_count(list) || doc_count(list) > WINDOWS_MAX)
        return doc_fail(d, list, "expected 1 to %d windows, got %zu", WINDOWS_MAX, doc_count(list));
    rc = doc_list(d, list, DOC_MAP, each_window, ret);
    if (!rc)
        doc_pop(d, before);
    return rc;
}

/* ---- A schedule ---- */

#define SET_NODE(name)                                                                \
    static enum tw_rc set_##name(struct doc *d, const yaml_node_t *value, void *into) \
    {                                                                                 \
        (void)d;                                                                      \
        ((struct schedule_doc *)into)->name = value;                                  \
        return TW_OK;                                                                 \
    }
SET_NODE(every)
SET_NODE(cron)
SET_NODE(at)
SET_NODE(for_)
SET_NODE(count)
SET_NODE(start)
SET_NODE(until)
SET_NODE(max_runs)
SET_NODE(zone)
SET_NODE(windows)

static const struct doc_key schedule_keys[] = {
    { "every", DOC_TEXT, false, set_every }, { "cron", DOC_TEXT, false, set_cron },
    { "at", DOC_TEXT, false, set_at },       { "for", DOC_TEXT, false, set_for_ },
    { "count", DOC_TEXT, false, set_count }, { "start", DOC_TEXT, false, set_start },
    { "until", DOC_TEXT, false, set_until }, { "max_runs", DOC_TEXT, false, set_max_runs },
    { "zone", DOC_TEXT, false, set_zone },   { "windows", DOC_LIST, false, set_windows },
};
const struct mesh_doc_table mesh_doc_table_schedule = { "schedule", schedule_keys, TW_NELEM(schedule_keys) };

static enum tw_rc take_kind(struct doc *d, const struct schedule_doc *s, struct times *t)
{
    const yaml_node_t *second = s->every && s->cron ? s->cron : (s->every || s->cron) ? s->at : NULL;
    struct tw_err err = { 0 };
    const char *text = "";
    size_t before;
    enum tw_rc rc = TW_OK;

    if (second)
        return doc_fail(d, second, "runs begin by one rule: expected either every, cron or at");
    t->kind = s->every ? TIMES_INTERVAL : s->cron ? TIMES_CRON : s->at ? TIMES_ONCE : TIMES_CONTINUOUS;
    if (s->every) {
        before = doc_push(d, ".every");
        rc = doc_duration(d, s->every, TIMES_EVERY_MIN_NS, TIMES_EVERY_MAX_NS, &t->every_ns);
        if (!rc)
            doc_pop(d, before);
    }
    if (!s->cron || rc)
        return rc;
    before = doc_push(d, ".cron");
    rc = doc_text(d, s->cron, &text);
    if (!rc && times_cron_parse(text, &t->cron, &err) != TW_OK)
        rc = doc_fail(d, s->cron, "%s", err.text);
    if (!rc)
        doc_pop(d, before);
    return rc;
}

static enum tw_rc take_number(struct doc *d, const char *key, const yaml_node_t *node, int64_t max,
                              const char *what, uint32_t *ret)
{
    int64_t n = 0;
    size_t before;
    enum tw_rc rc;

    if (!node)
        return TW_OK;
    before = doc_push(d, ".%s", key);
    rc = doc_integer(d, node, 1, max, what, &n);
    *ret = (uint32_t)n;
    if (!rc)
        doc_pop(d, before);
    return rc;
}

static enum tw_rc take_length(struct doc *d, const struct schedule_doc *s, struct times *t)
{
    size_t before;
    enum tw_rc rc = take_number(d, "count", s->count, TIMES_COUNT_MAX, "probes", &t->count);

    if (!rc)
        rc = take_number(d, "max_runs", s->max_runs, TIMES_RUNS_MAX, "runs", &t->max_runs);
    if (rc || !s->for_)
        return rc;
    before = doc_push(d, ".for");
    rc = doc_duration(d, s->for_, TW_NS_PER_MS, TIMES_LENGTH_MAX_NS, &t->for_ns);
    if (!rc)
        doc_pop(d, before);
    return rc;
}

static enum tw_rc take_bounds(struct doc *d, const struct schedule_doc *s, struct times *t)
{
    const struct zone *z = &t->windows.zone;
    enum tw_rc rc = take_key_moment(d, "at", s->at, z, &t->at_ns);

    if (!rc)
        rc = take_key_moment(d, "start", s->start, z, &t->start_ns);
    return rc ? rc : take_key_moment(d, "until", s->until, z, &t->until_ns);
}

/* Where what times_compile() names stands. */
static const yaml_node_t *node_of(const struct schedule_doc *s, const char *key)
{
    const struct {
        const char *key;
        const yaml_node_t *node;
    } rows[] = { { "every", s->every }, { "cron", s->cron },   { "for", s->for_ },
                 { "count", s->count }, { "until", s->until }, { "max_runs", s->max_runs } };

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (!strcmp(rows[i].key, key) && rows[i].node)
            return rows[i].node;
    return s->map;
}

static enum tw_rc fail_rule(struct doc *d, const struct schedule_doc *s, const struct tw_err *e)
{
    if (e->rc == TW_ENOMEM)
        return doc_no_memory(d);
    if (e->field[0])
        doc_push(d, ".%s", e->field);
    return doc_fail(d, node_of(s, e->field), "%s", e->text);
}

/* All but maintenance; not compiled yet. */
static enum tw_rc read_schedule(struct doc *d, const yaml_node_t *map, struct schedule_doc *s,
                                struct times *t)
{
    enum tw_rc rc = TW_OK;

    *s = (struct schedule_doc){ .map = map };
    if (!map)
        return TW_OK;
    rc = doc_map(d, map, schedule_keys, TW_NELEM(schedule_keys), s);
    if (!rc)
        rc = take_zone(d, s->zone, &t->windows.zone);
    if (!rc)
        rc = take_kind(d, s, t);
    if (!rc)
        rc = take_length(d, s, t);
    if (!rc)
        rc = take_bounds(d, s, t);
    return rc ? rc : take_windows(d, s->windows, &t->windows);
}

enum tw_rc mesh_doc_schedule(struct doc *d, const yaml_node_t *map)
{
    struct schedule_doc s;
    struct tw_err err = { 0 };
    struct times *t;
    enum tw_rc rc;

    if (times_new(&t))
        return doc_no_memory(d);
    rc = read_schedule(d, map, &s, t);
    if (!rc && times_compile(t, &err) != TW_OK)
        rc = fail_rule(d, &s, &err);
    times_unref(t);
    return rc;
}

/* ---- Maintenance ---- */

struct maintenance_doc {
    struct mesh_maintenance *all;
    const struct zone *zone;
};

static enum tw_rc set_reason(struct doc *d, const yaml_node_t *value, void *into)
{
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (!rc && strlen(text) >= CLASS_TIMES_REASON)
        rc = doc_fail(d, value, "expected at most %d octets of text, got %zu", CLASS_TIMES_REASON - 1,
                      strlen(text));
    ((struct window *)into)->reason = value;
    return rc;
}

static enum tw_rc set_probes(struct doc *d, const yaml_node_t *value, void *into)
{
    static const char *const words[] = { "continue", "stop" };
    int word = 0;
    enum tw_rc rc = doc_choice(d, value, words, TW_NELEM(words), &word);

    ((struct window *)into)->probes = word ? value : NULL;
    return rc;
}

static const struct doc_key maintenance_keys[] = {
    { "days", DOC_TEXT, false, set_days },     { "from", DOC_TEXT, true, set_from },
    { "to", DOC_TEXT, true, set_to },          { "reason", DOC_TEXT, false, set_reason },
    { "probes", DOC_TEXT, false, set_probes },
};
const struct mesh_doc_table mesh_doc_table_maintenance = { "maintenance", maintenance_keys, TW_NELEM(maintenance_keys) };

static enum tw_rc take_dated(struct doc *d, const struct window *w, const struct zone *z,
                             struct times_set *ret)
{
    int64_t from_ns = 0, to_ns = 0;
    enum tw_rc rc = take_key_moment(d, "from", w->from, z, &from_ns);

    if (!rc)
        rc = take_key_moment(d, "to", w->to, z, &to_ns);
    if (rc)
        return rc;
    if (from_ns >= to_ns)
        return doc_fail(d, w->to, "expected an end after its begin");
    return times_set_add_span(ret, from_ns, to_ns) ? doc_no_memory(d) : TW_OK;
}

static enum tw_rc each_maintenance(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct maintenance_doc *md = into;
    struct maintenance *m = &md->all->v[i];
    struct window w = { .map = item };
    enum tw_rc rc = doc_map(d, item, maintenance_keys, TW_NELEM(maintenance_keys), &w);

    if (rc)
        return rc;
    m->stop = w.probes;
    if (w.reason)
        snprintf(m->reason, sizeof m->reason, "%s", (const char *)w.reason->data.scalar.value);
    if (!w.weekly)
        return take_dated(d, &w, md->zone, &m->when);
    if (zone_copy(md->zone, &m->when.zone))
        return doc_no_memory(d);
    return add_window(d, &w, &m->when);
}

static enum tw_rc read_maintenance(struct doc *d, const yaml_node_t *list, const struct zone *z,
                                   struct mesh_maintenance *ret)
{
    size_t n = list ? doc_count(list) : 0;

    if (!n)
        return TW_OK;
    doc_push(d, "maintenance");
    if (n > MAINTENANCE_MAX)
        return doc_fail(d, list, "expected at most %d entries, got %zu", MAINTENANCE_MAX, n);
    ret->v = calloc(n, sizeof *ret->v);
    if (!ret->v)
        return doc_no_memory(d);
    ret->n = n;
    return doc_list(d, list, DOC_MAP, each_maintenance, &(struct maintenance_doc){ ret, z });
}

/* What stops probes, as one set; all of a mesh are of one zone. */
static enum tw_rc add_stops(struct doc *d, const struct mesh_maintenance *m, struct times *t)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct times_set *s = &m->v[i].when;
        enum tw_rc rc = TW_OK;

        if (!m->v[i].stop)
            continue;
        if (s->n_week && !t->stop.n_week)
            rc = zone_copy(&s->zone, &t->stop.zone);
        for (size_t k = 0; !rc && k < s->n_week; k++)
            rc = times_set_add_week(&t->stop, s->week[k].from, (unsigned)(s->week[k].to - s->week[k].from));
        for (size_t k = 0; !rc && k < s->n_spans; k++)
            rc = times_set_add_span(&t->stop, s->spans[k].from_ns, s->spans[k].to_ns);
        if (rc)
            return doc_no_memory(d);
    }
    return TW_OK;
}

/* ---- Of each class ---- */

static bool is_always(const struct times *t)
{
    return t->kind == TIMES_CONTINUOUS && !t->start_ns && t->until_ns == TIMES_NEVER && !t->windows.n_week &&
           times_set_is_empty(&t->stop);
}

static uint64_t id_of(const struct times *t)
{
    uint8_t *buf = malloc(TIMES_PACKED_MAX), hash[SHA256_DIGEST_LENGTH];
    uint64_t id = 0;
    size_t len;

    if (!buf)
        return 0;
    if (times_pack(t, buf, TIMES_PACKED_MAX, &len) == TW_OK && SHA256(buf, len, hash))
        for (size_t i = 0; i < sizeof id; i++)
            id = id << 8 | hash[i];
    free(buf);
    return id;
}

static enum tw_rc make_times(struct doc *d, const struct mesh_class *c, const yaml_node_t *map,
                             struct mesh_maintenance *m, struct class_times *ret)
{
    struct schedule_doc s;
    struct tw_err err = { 0 };
    enum tw_rc rc;

    if (times_new(&ret->times))
        return doc_no_memory(d);
    rc = read_schedule(d, map, &s, ret->times);
    if (!rc)
        rc = add_stops(d, m, ret->times);
    if (!rc && times_compile(ret->times, &err) != TW_OK)
        rc = fail_rule(d, &s, &err);
    if (!rc &&
        times_check_length(ret->times, c->spacing_ns, c->exponential,
                           c->protocol == MESH_TWAMP ? TWAMP_REST_NS + c->timeout_ns : 0, &err) != TW_OK)
        rc = fail_rule(d, &s, &err);
    ret->duty = times_duty(ret->times, &(struct times_pace){ .spacing_ns = c->spacing_ns, .exponential = c->exponential },
                           c->report_period_ns);
    if (rc || is_always(ret->times))
        return rc;
    ret->id = id_of(ret->times);
    return ret->id ? TW_OK : doc_no_memory(d);
}

static enum tw_rc times_of_class(struct doc *d, struct mesh_class *c, const yaml_node_t *map,
                                 struct mesh_maintenance *m)
{
    struct class_times *t = calloc(1, sizeof *t);
    enum tw_rc rc;

    if (!t)
        return doc_no_memory(d);
    *t = (struct class_times){ .maintenance = m->v,
                               .n_maintenance = m->n,
                               .owner = m,
                               .spacing_ns = c->spacing_ns,
                               .report_period_ns = c->report_period_ns,
                               .exponential = c->exponential,
                               .flows = c->flows,
                               .refs = 1 };
    m->refs++;
    rc = make_times(d, c, map, m, t);
    if (rc || (!t->id && !t->n_maintenance))
        class_times_unref(t);
    else
        c->times = t;
    return rc;
}

static enum tw_rc times_of_classes(struct doc *d, struct mesh *m, struct mesh_maintenance *maintenance)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < m->n_classes; i++) {
        struct mesh_class *c = &m->classes[i];
        const yaml_node_t *map = c->schedule_node ? c->schedule_node : m->schedule_node;

        doc_pop(d, 0);
        if (c->schedule_node)
            doc_push(d, "classes.%s.", c->name);
        doc_push(d, "schedule");
        rc = times_of_class(d, c, map, maintenance);
    }
    return rc;
}

enum tw_rc mesh_doc_times(struct doc *d, struct mesh *m)
{
    struct mesh_maintenance *maintenance = calloc(1, sizeof *maintenance);
    struct schedule_doc s;
    struct times *t = NULL;
    enum tw_rc rc;

    if (!maintenance || times_new(&t)) {
        free(maintenance);
        return doc_no_memory(d);
    }
    maintenance->refs = 1;
    doc_push(d, "schedule");
    rc = read_schedule(d, m->schedule_node, &s, t);
    if (!rc) {
        doc_pop(d, 0);
        rc = read_maintenance(d, m->maintenance_node, &t->windows.zone, maintenance);
    }
    if (!rc)
        rc = times_of_classes(d, m, maintenance);
    mesh_maintenance_unref(maintenance);
    times_unref(t);
    if (!rc)
        doc_pop(d, 0);
    return rc;
}
