/* `schedule` and `maintenance` of mesh documents: what they mean, and what is said about mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include "controller/core/class_times.h"
#include "controller/core/mesh.h"
#include "controller/core/plan.h"
#include "controller/core/spread.h"

#define S TW_NS_PER_S

static struct mesh *parse(const char *tail, struct tw_err *err)
{
    char text[4096];
    struct mesh *m = NULL;

    snprintf(text, sizeof text, "mesh: m\ntopology: full\nmembers: [a, b]\n%s", tail);
    *err = (struct tw_err){ 0 };
    mesh_doc_parse("m.yaml", text, strlen(text), &m, err);
    return m;
}

static int64_t at(const char *text)
{
    struct tw_wall t = { 0 };

    assert_int_equal(tw_wall_parse(text, &t), TW_OK);
    return t.ns;
}

static void mistakes(void **state)
{
    static const struct {
        const char *tail, *field, *text;
        unsigned line, column;
    } rows[] = {
        { "classes: { c: {} }\nschedule: { evry: 5m }\n", "schedule", "did you mean \"every\"?", 5, 13 },
        { "classes: { c: {} }\nschedule: { every: 5 }\n", "schedule.every", "a time with its unit", 5, 20 },
        { "classes: { c: {} }\nschedule: { every: 5m }\n", "schedule", "`for` or `count`", 5, 11 },
        { "classes: { c: {} }\nschedule: { every: 5m, at: 2027-01-01, count: 5 }\n", "schedule",
          "either every, cron or at", 5, 28 },
        { "classes: { c: {} }\nschedule: { every: 5m, count: 5, for: 1s }\n", "schedule.count", "not both", 5,
          31 },
        { "classes: { c: {} }\nschedule: { cron: \"0 25 * * *\", count: 5 }\n", "schedule.cron",
          "hour \"25\": expected 0..23", 5, 19 },
        { "classes: { c: {} }\nschedule: { cron: \"0 0 31 2 *\", count: 5 }\n", "schedule", "never runs", 5,
          11 },
        { "classes: { c: {} }\nschedule: { every: 1h, count: 5, zone: Europe/Amsterdm }\n", "schedule.zone",
          "did you mean \"Europe/Amsterdam\"?", 5, 40 },
        { "classes: { c: {} }\nschedule: { start: soon }\n", "schedule.start", "expected a time such as", 5,
          20 },
        { "classes: { c: {} }\nschedule: { start: 2027-02-29 }\n", "schedule.start",
          "expected a time such as", 5, 20 },
        { "classes: { c: {} }\nschedule: { start: 2027-02-02, until: 2027-02-01 }\n", "schedule.until",
          "after `start`", 5, 39 },
        { "classes: { c: {} }\nschedule: { windows: [{ days: mon-fry }] }\n", "schedule.windows[0].days",
          "mon-fri or sat,sun", 5, 31 },
        { "classes: { c: {} }\nschedule: { windows: [{ from: \"8:00\" }] }\n", "schedule.windows[0].from",
          "\"00:00\" to \"24:00\"", 5, 31 },
        { "classes: { c: {} }\nschedule: { windows: [{ from: \"08:00\", to: \"08:00\" }] }\n",
          "schedule.windows[0]", "empty", 5, 23 },
        { "classes: { c: {} }\nschedule: { every: 3h, count: 1, windows: [{ from: \"08:00\", to: \"09:00\" "
          "}] }\n",
          "schedule.every", "3h is longer than a window of 1h", 5, 20 },
        { "classes: { c: {} }\nschedule: { every: 5m, count: 1, max_runs: 5 }\n", "schedule.max_runs",
          "`start`, too", 5, 44 },
        { "classes: { c: { spacing: 1s, schedule: { every: 10s, count: 11 } } }\n",
          "classes.c.schedule.count", "does not end before the next one", 4, 61 },
        { "schedule: { every: 10s, count: 11 }\nclasses: { fast: {}, slow: { spacing: 1s } }\n",
          "schedule.count", "10s of `every`", 4, 32 },
        { "classes: { c: { spacing_kind: exponential, schedule: { every: 10s, count: 5 } } }\n",
          "classes.c.schedule.count", "expected `for`", 4, 75 },
        { "classes: { c: { protocol: twamp, schedule: { every: 10s, count: 5 } } }\n",
          "classes.c.schedule.count", "between runs", 4, 65 },
        { "classes: { c: {} }\nmaintenance: [{ from: 2027-01-02, to: 2027-01-01 }]\n", "maintenance[0]",
          "after its begin", 5, 39 },
        { "classes: { c: {} }\nmaintenance: [{ days: mon, from: 2027-01-01, to: \"08:00\" }]\n",
          "maintenance[0].from", "a time of day", 5, 34 },
        { "classes: { c: {} }\nmaintenance: [{ from: 2027-01-01, to: 2027-01-02, probes: pause }]\n",
          "maintenance[0].probes", "continue", 5, 59 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_err err;
        struct mesh *m = parse(rows[i].tail, &err);

        if (m || strcmp(err.field, rows[i].field) || !strstr(err.text, rows[i].text) ||
            err.line != rows[i].line || err.column != rows[i].column)
            fail_msg("%s%u:%u: %s: %s", rows[i].tail, err.line, err.column, err.field, err.text);
    }
}

static void what_they_mean(void **state)
{
    static const char doc[] =
        "classes: { plain: {}, own: { schedule: { at: \"2027-03-28 02:30\", for: 1m, zone: Europe/Amsterdam "
        "} },\n"
        "           same: {}, slow: { spacing: 2s } }\n"
        "schedule: { every: 5m, count: 20, zone: Europe/Amsterdam, start: \"2027-07-01 08:00\",\n"
        "            until: 2028-01-01T00:00:00Z, max_runs: 50,\n"
        "            windows: [{ days: mon-fri, from: \"08:00\", to: \"18:00\" }, { days: \"sat,sun\", from: "
        "\"22:00\", to: \"02:00\" }] }\n";
    struct tw_err err;
    struct mesh *m = parse(doc, &err);
    const struct class_times *plain, *own, *same, *slow;

    (void)state;
    if (!m)
        fail_msg("%u: %s: %s", err.line, err.field, err.text);
    plain = m->classes[0].times;
    own = m->classes[1].times;
    same = m->classes[2].times;
    slow = m->classes[3].times;
    assert_true(plain->id && plain->id == same->id && plain->id == slow->id && plain->id != own->id);
    assert_true(mesh_class_same(&m->classes[0], &m->classes[2]) &&
                !mesh_class_same(&m->classes[0], &m->classes[1]));
    assert_int_equal(plain->times->kind, TIMES_INTERVAL);
    assert_int_equal(plain->times->start_ns, at("2027-07-01T06:00:00Z"));
    assert_int_equal(plain->times->until_ns, at("2028-01-01T00:00:00Z"));
    assert_int_equal(plain->times->max_runs, 50);
    assert_int_equal(plain->times->windows.n_week,
                     8); /* five days, two nights, one of which goes over the week */
    assert_int_equal(own->times->kind, TIMES_ONCE);
    assert_int_equal(own->times->at_ns, at("2027-03-28T01:00:00Z")); /* 02:30 does not exist that night */
    assert_int_equal(slow->spacing_ns, 2 * S);
    mesh_free(m);
}

static void maintenance(void **state)
{
    static const char doc[] =
        "classes: { c: {}, d: { schedule: { zone: America/New_York } } }\n"
        "schedule: { zone: Europe/Amsterdam }\n"
        "maintenance:\n"
        "  - { from: \"2027-07-01 22:00\", to: \"2027-07-02 02:00\", reason: new core, probes: stop }\n"
        "  - { days: sun, from: \"03:00\", to: \"04:00\" }\n";
    const struct pair_key key = { "m", "c", "a", "b", 1, 1 };
    struct tw_err err;
    struct mesh *m = parse(doc, &err), *other;
    const struct class_times *c;

    (void)state;
    if (!m)
        fail_msg("%u: %s: %s", err.line, err.field, err.text);
    c = m->classes[0].times;
    assert_true(c->id && c->id == m->classes[1].times->id); /* the weekly one stops nothing */
    assert_string_equal(class_times_maintenance(c, at("2027-07-01T20:00:00Z"))->reason, "new core");
    assert_null(class_times_maintenance(c, at("2027-07-01T19:59:59Z")));
    assert_null(class_times_maintenance(c, at("2027-07-02T00:00:00Z")));
    assert_string_equal(class_times_maintenance(c, at("2027-07-04T01:30:00Z"))->reason, "");
    assert_string_equal(class_times_maintenance(m->classes[1].times, at("2027-07-04T01:30:00Z"))->reason, "");
    assert_true(class_times_is_idle(c, &key, at("2027-07-01T21:00:00Z")));
    assert_false(class_times_is_idle(c, &key, at("2027-07-04T01:30:00Z")));
    assert_true(class_times_next(c, &key, at("2027-07-01T21:00:00Z")) == at("2027-07-02T00:00:00Z"));
    assert_true(class_times_next(c, &key, at("2027-07-04T01:30:00Z")) == TIMES_NEVER); /* it runs, for good */
    other = parse("classes: { c: {} }\nmaintenance: [{ days: sun, from: \"03:00\", to: \"04:00\" }]\n", &err);
    assert_non_null(other);
    assert_true(other->classes[0].times && !other->classes[0].times->id); /* agents need not know */
    assert_false(mesh_class_same(&m->classes[0], &other->classes[0]));
    mesh_free(other);
    other = parse("classes: { c: {} }\nschedule: {}\nmaintenance: []\n", &err);
    assert_non_null(other);
    assert_null(other->classes[0].times);
    mesh_free(other);
    mesh_free(m);
}

/* A pair's slot and id say when its runs begin; one without a slot is from before there were any. */
static void slots_say_when_runs_begin(void **state)
{
    struct tw_err err;
    struct mesh *m = parse("classes: { c: { flows: 2 } }\nschedule: { every: 1m, count: 5 }\n", &err);
    struct pair_key key = { "m", "c", "a", "b", 4711, 0 }, other = key;
    const struct class_times *c;

    (void)state;
    assert_non_null(m);
    c = m->classes[0].times;
    assert_int_equal(class_times_every(c), 60 * S);
    assert_int_equal(class_times_every(NULL), 0);
    assert_int_equal(class_times_pace(c, &key, 1).phase_ns, plan_run_phase_ns("m", "c", "a", "b", 1, 60 * S));
    for (key.slot = other.slot = 1; key.slot <= SPREAD_SLOTS; key.slot = ++other.slot) {
        int64_t begin = (key.slot - 1) * (60 * S / SPREAD_SLOTS), phase = class_times_pace(c, &key, 0).phase_ns;

        assert_in_range(phase, begin, begin + 60 * S / SPREAD_SLOTS - 1);
        other.source = "another name";
        assert_int_equal(class_times_pace(c, &other, 0).phase_ns, phase);
        phase = class_times_pace(c, &key, 1).phase_ns; /* the other flow, half a minute later */
        begin = (begin + 30 * S) % (60 * S);
        assert_in_range(phase, begin, begin + 60 * S / SPREAD_SLOTS - 1);
    }
    mesh_free(m);
    m = parse("classes: { c: {} }\nschedule: { cron: \"* * * * *\", count: 5 }\n", &err);
    assert_non_null(m);
    assert_int_equal(class_times_every(m->classes[0].times), 0);
    mesh_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes),
        cmocka_unit_test(what_they_mean),
        cmocka_unit_test(maintenance),
        cmocka_unit_test(slots_say_when_runs_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
