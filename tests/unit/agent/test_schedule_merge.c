/* Differences and parts of schedules. That differences lead to the same list as the list itself, after any
 * changes, is in controller/test_schedule_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "agent/schedule_merge.h"

#define SESSIONS 8

static uint8_t digests[3][32] = { { 1 }, { 2 }, { 3 } };

/* Sessions are named by a digit: pair 100 + digit / 2, flow digit % 2. */
struct message {
    Tw__ScheduleRequest rq;
    Tw__SessionSpec specs[SESSIONS], *list[SESSIONS];
    Tw__SessionKey keys[SESSIONS], *removed[SESSIONS];
    size_t n_specs;
    Tw__TimesRule rules[SESSIONS], *times[SESSIONS];
    uint8_t octets[SESSIONS][2];
};

static uint64_t pair_of(char digit)
{
    return 100 + (uint64_t)(digit - '0') / 2;
}

static uint32_t flow_of(char digit)
{
    return (uint32_t)(digit - '0') % 2;
}

static Tw__SessionSpec **specs(struct message *m, const char *digits)
{
    Tw__SessionSpec **first = m->list + m->n_specs;

    for (; *digits; digits++) {
        Tw__SessionSpec *s = m->list[m->n_specs] = &m->specs[m->n_specs];

        m->n_specs++;
        tw__session_spec__init(s);
        s->pair_id = pair_of(*digits);
        s->flow = flow_of(*digits);
    }
    return first;
}

static void remove_keys(struct message *m, const char *digits)
{
    for (size_t i = 0; digits[i]; i++) {
        tw__session_key__init(&m->keys[i]);
        m->keys[i].pair_id = pair_of(digits[i]);
        m->keys[i].flow = flow_of(digits[i]);
        m->removed[i] = &m->keys[i];
    }
    m->rq.removed = m->removed;
    m->rq.n_removed = strlen(digits);
}

static void start(struct message *m, int digest)
{
    memset(m, 0, sizeof *m);
    tw__schedule_request__init(&m->rq);
    m->rq.generation = 5;
    m->rq.digest = (ProtobufCBinaryData){ 32, digests[digest] };
}

static void expect_list(const char *name, const Tw__ScheduleRequest *rq, const char *digits)
{
    if (rq->n_sessions != strlen(digits))
        fail_msg("%s: %zu sessions, expected \"%s\"", name, rq->n_sessions, digits);
    for (size_t i = 0; i < rq->n_sessions; i++)
        if (rq->sessions[i]->pair_id != pair_of(digits[i]) || rq->sessions[i]->flow != flow_of(digits[i]))
            fail_msg("%s: session %zu is %llu/%u, expected \"%s\"", name, i,
                     (unsigned long long)rq->sessions[i]->pair_id, rq->sessions[i]->flow, digits);
}

static void differences(void **state)
{
    static const struct {
        const char *name, *base; /* NULL: there is none */
        int base_digest;
        const char *removed, *added;
        uint32_t total;
        enum tw_rc rc;
        const char *whole;
    } cases[] = {
        { "one comes, one goes", "0123", 0, "1", "6", 4, TW_OK, "0236" },
        { "nothing", "01", 0, "", "", 2, TW_OK, "01" },
        { "all go", "01", 0, "01", "", 0, TW_OK, "" },
        { "from nothing", "", 0, "", "34", 2, TW_OK, "34" },
        { "one changes", "012", 0, "1", "1", 3, TW_OK, "021" },
        { "no list", NULL, 0, "", "1", 1, TW_ENOENT, NULL },
        { "to another list", "01", 2, "", "3", 3, TW_ENOENT, NULL },
        { "removes what is not there", "01", 0, "5", "", 1, TW_ENOENT, NULL },
        { "removes more than there is", "0", 0, "01", "", 0, TW_EINVAL, NULL },
        { "removes twice", "012", 0, "11", "", 1, TW_EINVAL, NULL },
        { "another number comes of it", "01", 0, "", "3", 4, TW_ENOENT, NULL },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct message base, rq;
        Tw__ScheduleRequest *whole = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc;

        start(&base, 0);
        if (cases[i].base) {
            base.rq.sessions = specs(&base, cases[i].base);
            base.rq.n_sessions = base.n_specs;
        }
        start(&rq, 1);
        rq.rq.base_digest = (ProtobufCBinaryData){ 32, digests[cases[i].base_digest] };
        remove_keys(&rq, cases[i].removed);
        rq.rq.added = specs(&rq, cases[i].added);
        rq.rq.n_added = rq.n_specs;
        rq.rq.total = cases[i].total;
        rc = schedule_merge(cases[i].base ? &base.rq : NULL, &rq.rq, &whole, &err);
        if (rc != cases[i].rc || (rc != TW_OK && !err.text[0]))
            fail_msg("%s: %s \"%s\"", cases[i].name, tw_rc_name(rc), err.text);
        if (!whole)
            continue;
        expect_list(cases[i].name, whole, cases[i].whole);
        assert_memory_equal(whole->digest.data, digests[1], 32);
        assert_int_equal(whole->generation, 5);
        assert_int_equal(whole->base_digest.len, 0);
        tw__schedule_request__free_unpacked(whole, NULL);
    }
}

static void a_difference_has_no_list(void **state)
{
    struct message base, rq;
    Tw__ScheduleRequest *whole = NULL;
    struct tw_err err = { 0 };

    (void)state;
    start(&base, 0);
    start(&rq, 1);
    rq.rq.base_digest = base.rq.digest;
    rq.rq.sessions = specs(&rq, "1");
    rq.rq.n_sessions = 1;
    assert_int_equal(schedule_merge(&base.rq, &rq.rq, &whole, &err), TW_EINVAL);
}

/* ---- Rules ---- */

/* Digits name rules, too: '0' is none. */
static void refer(Tw__SessionSpec *const *v, const char *rules)
{
    for (size_t i = 0; rules[i]; i++)
        v[i]->times_id = (uint64_t)(rules[i] - '0');
}

/* A rule's octets are its digit and who brings it. */
static void bring(struct message *m, const char *rules, uint8_t from)
{
    for (size_t i = 0; rules[i]; i++) {
        m->octets[i][0] = (uint8_t)rules[i];
        m->octets[i][1] = from;
        tw__times_rule__init(&m->rules[i]);
        m->rules[i].id = (uint64_t)(rules[i] - '0');
        m->rules[i].rule = (ProtobufCBinaryData){ 2, m->octets[i] };
        m->times[i] = &m->rules[i];
    }
    m->rq.times = m->times;
    m->rq.n_times = strlen(rules);
}

static void expect_rules(const char *name, const Tw__ScheduleRequest *rq, const char *rules)
{
    if (rq->n_times * 2 != strlen(rules))
        fail_msg("%s: %zu rules, expected \"%s\"", name, rq->n_times, rules);
    for (size_t i = 0; i < rq->n_times; i++)
        if (rq->times[i]->id != (uint64_t)(rules[2 * i] - '0') || rq->times[i]->rule.len != 2 ||
            memcmp(rq->times[i]->rule.data, rules + 2 * i, 2) != 0)
            fail_msg("%s: rule %zu is %.2s, expected \"%s\"", name, i, (char *)rq->times[i]->rule.data,
                     rules);
}

static void a_difference_keeps_the_rules_that_are_needed(void **state)
{
    static const struct {
        const char *name, *base, *base_refer, *base_rules, *removed, *added, *added_refer, *rules;
        const char *whole; /* each with who brought it */
    } cases[] = {
        { "of what stays", "0123", "1200", "12", "2", "", "", "", "1b2b" },
        { "of what comes", "01", "00", "", "", "2", "3", "3", "3d" },
        { "of both", "01", "10", "1", "", "2", "3", "3", "3d1b" },
        { "both have it", "01", "10", "1", "", "2", "1", "1", "1d" },
        { "of what went", "012", "123", "123", "1", "", "", "", "1b3b" },
        { "what changes has another", "01", "12", "12", "0", "0", "3", "3", "3d2b" },
        { "nobody needs it", "01", "00", "12", "", "2", "0", "34", "" },
        { "it is missing", "01", "00", "", "", "2", "3", "", "" },
        { "twice", "01", "11", "11", "", "2", "3", "33", "3d1b" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct message base, rq;
        Tw__ScheduleRequest *whole = NULL;
        struct tw_err err = { 0 };

        start(&base, 0);
        base.rq.sessions = specs(&base, cases[i].base);
        base.rq.n_sessions = base.n_specs;
        refer(base.list, cases[i].base_refer);
        bring(&base, cases[i].base_rules, 'b');
        start(&rq, 1);
        rq.rq.base_digest = (ProtobufCBinaryData){ 32, digests[0] };
        remove_keys(&rq, cases[i].removed);
        rq.rq.added = specs(&rq, cases[i].added);
        rq.rq.n_added = rq.n_specs;
        refer(rq.list, cases[i].added_refer);
        bring(&rq, cases[i].rules, 'd');
        rq.rq.total = (uint32_t)(strlen(cases[i].base) + strlen(cases[i].added) - strlen(cases[i].removed));
        if (schedule_merge(&base.rq, &rq.rq, &whole, &err) != TW_OK)
            fail_msg("%s: %s", cases[i].name, err.text);
        expect_rules(cases[i].name, whole, cases[i].whole);
        tw__schedule_request__free_unpacked(whole, NULL);
    }
}

static void parts_bring_their_rules(void **state)
{
    static const char *const sessions[] = { "01", "23", "4" }, *const refers[] = { "10", "21", "2" },
                             *const brings[] = { "1", "21", "24" };
    struct schedule_parts p = { 0 };
    Tw__ScheduleRequest *whole = NULL;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct message m;
        struct tw_err err = { 0 };

        start(&m, 0);
        m.rq.sessions = specs(&m, sessions[i]);
        m.rq.n_sessions = m.n_specs;
        refer(m.list, refers[i]);
        bring(&m, brings[i], (uint8_t)('0' + i));
        m.rq.part = i;
        m.rq.total = 5;
        m.rq.more = i < 2;
        assert_int_equal(schedule_parts_take(&p, &m.rq, &whole, &err), i < 2 ? TW_EAGAIN : TW_OK);
    }
    expect_list("parts", whole, "01234");
    expect_rules("parts", whole, "1021");
    tw__schedule_request__free_unpacked(whole, NULL);
}

struct part {
    const char *digits; /* NULL: no further part */
    uint32_t number, total;
    int digest;
    bool more;
};

static enum tw_rc send(struct schedule_parts *p, const struct part *part, Tw__ScheduleRequest **ret)
{
    struct message m;
    struct tw_err err = { 0 };

    start(&m, part->digest);
    m.rq.sessions = specs(&m, part->digits);
    m.rq.n_sessions = m.n_specs;
    m.rq.part = part->number;
    m.rq.total = part->total;
    m.rq.more = part->more;
    return schedule_parts_take(p, &m.rq, ret, &err);
}

static void parts(void **state)
{
    static const struct {
        const char *name;
        struct part v[4];
        enum tw_rc rc; /* of the last one */
        const char *whole;
    } cases[] = {
        { "three",
          { { "01", 0, 5, 0, true }, { "23", 1, 5, 0, true }, { "4", 2, 5, 0, false } },
          TW_OK,
          "01234" },
        { "begun again",
          { { "01", 0, 4, 0, true }, { "67", 0, 3, 1, true }, { "5", 1, 3, 1, false } },
          TW_OK,
          "675" },
        { "one is missing", { { "01", 0, 5, 0, true }, { "4", 2, 5, 0, false } }, TW_ENOENT, NULL },
        { "not from the beginning", { { "01", 1, 5, 0, true } }, TW_ENOENT, NULL },
        { "of another list", { { "01", 0, 3, 0, true }, { "2", 1, 3, 1, false } }, TW_ENOENT, NULL },
        { "too few", { { "01", 0, 5, 0, true }, { "2", 1, 5, 0, false } }, TW_EINVAL, NULL },
        { "too many", { { "01", 0, 3, 0, true }, { "234", 1, 3, 0, true } }, TW_EINVAL, NULL },
        { "of nothing", { { "", 0, 0, 0, true } }, TW_EINVAL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct schedule_parts p = { 0 };
        Tw__ScheduleRequest *whole = NULL;
        enum tw_rc rc = TW_EAGAIN;

        for (size_t k = 0; k < 4 && cases[i].v[k].digits; k++) {
            if (rc != TW_EAGAIN)
                fail_msg("%s: part %zu: %s", cases[i].name, k - 1, tw_rc_name(rc));
            rc = send(&p, &cases[i].v[k], &whole);
        }
        if (rc != cases[i].rc)
            fail_msg("%s: %s", cases[i].name, tw_rc_name(rc));
        assert_null(p.list);
        if (!whole)
            continue;
        expect_list(cases[i].name, whole, cases[i].whole);
        tw__schedule_request__free_unpacked(whole, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences),
        cmocka_unit_test(a_difference_has_no_list),
        cmocka_unit_test(a_difference_keeps_the_rules_that_are_needed),
        cmocka_unit_test(parts_bring_their_rules),
        cmocka_unit_test(parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
