/* Two years of runs in four zones against what Python's zoneinfo found by looking at every minute
 * (tests/golden/times): the tables that GLib's zones become, cron, windows and maintenance over changes of
 * clocks; and a walk through a year as an agent makes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include "common/civil.h"
#include "common/times.h"
#include "controller/zone_table.h"

#define COLUMNS 8

struct row {
    char *col[COLUMNS]; /* zone, rule, phase_s, windows, maintenance, year, runs, fingerprint */
};

static struct zone zone_of(const char *name)
{
    struct zone z = { 0 };
    char near[ZONE_NAME];

    if (zone_table_make(name, &z, near) != TW_OK)
        fail_msg("no zone %s", name);
    return z;
}

static void add_pieces(struct times_set *s, const char *text)
{
    unsigned first, last, from, to;

    while (*text) {
        if (sscanf(text, "%u-%u,%u,%u", &first, &last, &from, &to) != 4) {
            assert_int_equal(sscanf(text, "%u,%u,%u", &first, &from, &to), 3);
            last = first;
        }
        for (unsigned d = first; d <= last; d++)
            assert_int_equal(times_set_add_week(s, d * 1440 + from, from < to ? to - from : 1440 - from + to),
                             TW_OK);
        text += strcspn(text, ";");
        text += *text == ';';
    }
}

static struct times *rule_of(const struct row *r)
{
    struct tw_err err = { 0 };
    struct times *t;

    assert_int_equal(times_new(&t), TW_OK);
    t->windows.zone = zone_of(r->col[0]);
    t->stop.zone = zone_of(r->col[0]);
    t->count = 1;
    if (!strncmp(r->col[1], "every ", 6)) {
        t->kind = TIMES_INTERVAL;
        t->every_ns = atoll(r->col[1] + 6) * TW_NS_PER_S;
    } else {
        t->kind = TIMES_CRON;
        assert_int_equal(times_cron_parse(r->col[1], &t->cron, &err), TW_OK);
    }
    add_pieces(&t->windows, r->col[3]);
    add_pieces(&t->stop, r->col[4]);
    if (times_compile(t, &err) != TW_OK)
        fail_msg("%s: %s", r->col[1], err.text);
    return t;
}

static uint64_t fingerprint(uint64_t h, int64_t s)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        h = (h ^ (uint8_t)(s >> shift)) * UINT64_C(0x100000001b3);
    return h;
}

static void check_year(const struct row *r)
{
    struct times *t = rule_of(r);
    struct times_pace p = { .phase_ns = atoll(r->col[2]) * TW_NS_PER_S, .spacing_ns = TW_NS_PER_S };
    int64_t at_ns = civil_days(atoi(r->col[5]), 1, 1) * CIVIL_DAY_S * TW_NS_PER_S - 1, searched;
    int64_t from_ns = at_ns + 1, to_ns = civil_days(atoi(r->col[5]) + 1, 1, 1) * CIVIL_DAY_S * TW_NS_PER_S;
    uint64_t h = UINT64_C(0xcbf29ce484222325), n = 0, want = strtoull(r->col[6], NULL, 10);
    struct times_span run;

    while (times_next(t, &p, at_ns, &run, &searched) && run.from_ns < to_ns) {
        h = fingerprint(h, run.from_ns / TW_NS_PER_S);
        n++;
        at_ns = run.from_ns;
    }
    if (n != want || h != strtoull(r->col[7], NULL, 16))
        fail_msg("%s in %s, %s: %llu runs, %s are right, or at other moments", r->col[1], r->col[0],
                 r->col[5], (unsigned long long)n, r->col[6]);
    assert_int_equal(times_runs(t, &p, from_ns, to_ns, UINT64_MAX / 2), want);
    /* Each run is one probe: one summary, unless the year cuts it off. */
    assert_int_equal(times_expected(t, &p, 10 * TW_NS_PER_S, from_ns, to_ns), want);
    times_unref(t);
}

static void check_changes(const struct row *r)
{
    struct zone z = zone_of(r->col[0]);
    uint64_t sum = 0;

    for (size_t i = 0; i < z.n; i++)
        sum += (uint64_t)z.v[i].at_s * (i + 1) + (uint64_t)(int64_t)z.v[i].offset_s;
    assert_int_equal(z.n, strtoull(r->col[6], NULL, 10));
    assert_int_equal(sum, strtoull(r->col[7], NULL, 16));
    assert_true(zone_is_valid(&z));
    zone_clear(&z);
}

static bool split(char *line, struct row *r)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        r->col[i] = line;
        line += strcspn(line, "|\n");
        if (!*line)
            return false;
        *line++ = 0;
    }
    return true;
}

static void runs_of_two_years_are_those_of_the_oracle(void **state)
{
    FILE *f = fopen(TW_SOURCE_DIR "/tests/golden/times/runs.txt", "r");
    unsigned years = 0, changes = 0;
    char line[256];

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct row r;

        if (line[0] == '#')
            continue;
        assert_true(split(line, &r));
        if (!strcmp(r.col[1], "changes")) {
            check_changes(&r);
            changes++;
        } else {
            check_year(&r);
            years++;
        }
    }
    fclose(f);
    assert_int_equal(years, 4 * 14 * 2);
    assert_int_equal(changes, 4);
}

/* An agent looks, sleeps to the end or to the next begin, and looks again; once it is away for a week. */
static void a_year_of_looking_finds_the_same_runs(void **state)
{
    const struct row r = { { (char *)"Europe/Amsterdam", (char *)"*/10 8-18 * * mon-fri", (char *)"0",
                             (char *)"0-4,480,1080", (char *)"2,600,660" } };
    struct times *t = rule_of(&r);
    struct times_pace p = { .spacing_ns = TW_NS_PER_S };
    int64_t from_ns = civil_days(2027, 1, 1) * CIVIL_DAY_S * TW_NS_PER_S,
            to_ns = from_ns + 365 * CIVIL_DAY_S * TW_NS_PER_S;
    int64_t away_ns = from_ns + 100 * CIVIL_DAY_S * TW_NS_PER_S,
            back_ns = away_ns + 7 * CIVIL_DAY_S * TW_NS_PER_S;
    uint64_t begun = 0, missed = times_runs(t, &p, away_ns, back_ns, 10000), looks = 0;
    int64_t last_ns = 0;

    (void)state;
    for (int64_t now_ns = from_ns; now_ns < to_ns; looks++) {
        struct times_run run;

        times_look(t, &p, now_ns, &run);
        if (run.in && run.begin_ns != last_ns) {
            assert_true(run.begin_ns > last_ns && run.begin_ns == now_ns &&
                        run.end_ns == now_ns + TW_NS_PER_S);
            last_ns = run.begin_ns;
            begun++;
        }
        assert_true(run.next_sure && run.next_ns > now_ns);
        now_ns = run.in ? run.end_ns : run.next_ns;
        if (now_ns >= away_ns && now_ns < back_ns)
            now_ns = back_ns;
    }
    assert_int_equal(begun + missed, times_runs(t, &p, from_ns, to_ns, 1000000));
    assert_true(missed > 250 && looks < 2 * begun + 10);
    times_unref(t);
}

static void unknown_zones_have_a_near_name(void **state)
{
    static const struct {
        const char *name, *near;
    } rows[] = { { "Europe/Amsterdm", "Europe/Amsterdam" },
                 { "europe/amsterdam", "Europe/Amsterdam" },
                 { "Asia/Calcuta", "Asia/Calcutta" },
                 { "../../etc/passwd", "" },
                 { "+01:00", "" },
                 { "/etc/localtime", "" },
                 { "", "" },
                 { "Nowhere/At_All", "" } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct zone z;
        char near[ZONE_NAME];

        assert_int_equal(zone_table_make(rows[i].name, &z, near), TW_ENOENT);
        assert_string_equal(near, rows[i].near);
    }
    for (size_t i = 0; i < 2; i++) {
        struct zone z = zone_of(i ? "UTC" : "Asia/Kolkata");

        assert_int_equal(z.n, 0);
        assert_int_equal(z.offset_s, i ? 0 : 19800);
        zone_clear(&z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_two_years_are_those_of_the_oracle),
        cmocka_unit_test(a_year_of_looking_finds_the_same_runs),
        cmocka_unit_test(unknown_zones_have_a_near_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
