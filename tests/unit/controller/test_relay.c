/* What controllers ask of each other: texts there and back, and two books of calls side by side, as their
 * texts go to and fro. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "controller/relay_theirs.h"

#define S TW_NS_PER_S

/* One controller: its own calls, those of the other, and how often it has said something. */
struct side {
    const char *name;
    uint64_t self;
    struct relay_ours ours;
    struct relay_theirs theirs;
    char *text;
    int64_t lease, revision;
};

static struct side make(const char *name, uint64_t self)
{
    return (struct side){ .name = name, .self = self, .lease = (int64_t)self };
}

static void drop(struct side *s)
{
    struct relay_out *c;

    relay_ours_end_all(&s->ours, "over");
    while ((c = relay_ours_next_over(&s->ours)))
        relay_out_free(c);
    relay_theirs_free(&s->theirs);
    free(s->text);
}

static void say(struct side *s)
{
    Tw__RelaySaid m = TW__RELAY_SAID__INIT;
    Tw__RelayCall *calls[RELAY_CALLS_MAX];
    Tw__RelayAnswer *answers[RELAY_ANSWERS_MAX];

    m.self = s->self;
    m.calls = calls;
    m.answers = answers;
    relay_ours_fill(&s->ours, &m);
    relay_theirs_fill(&s->theirs, &m);
    assert_int_equal(s->ours.changed, RELAY_SAME);
    assert_int_equal(s->theirs.changed, RELAY_SAME);
    free(s->text);
    s->text = relay_text_write(&m);
    assert_non_null(s->text);
    s->revision++;
}

/* `from` NULL: nobody else is there. */
static void hear(struct side *s, const struct side *from, int64_t now_ns)
{
    struct arena *a = NULL;
    Tw__RelaySaid *said;
    struct tw_err err = { 0 };

    relay_theirs_begin(&s->theirs);
    if (from && !relay_theirs_has(&s->theirs, from->lease, from->revision)) {
        assert_int_equal(relay_text_read(from->text, &a, &said, &err), TW_OK);
        assert_int_equal(relay_theirs_take(&s->theirs, s->name,
                                           &(struct relay_from){ from->name, from->lease, from->revision },
                                           said),
                         TW_OK);
        relay_ours_take(&s->ours, from->name, s->self, said);
    }
    relay_theirs_end(&s->theirs, now_ns);
    arena_free(a);
}

static enum tw_rc ask_at(struct side *s, const char *to, const char *agent, size_t len, int64_t by_ns)
{
    static uint8_t octets[RELAY_REQUEST_MAX + 1] = "question";

    return relay_ours_ask(
        &s->ours,
        &(struct relay_ask){
            .to = to, .agent = agent, .method = 7, .request = octets, .len = len, .by_ns = by_ns, .ctx = s });
}

static void ask(struct side *s, const char *agent)
{
    assert_int_equal(ask_at(s, "two", agent, 8, 6 * S), TW_OK);
}

/* How many calls there are to make, all of which get this answer. */
static size_t serve(struct side *s, const struct relay_result *r)
{
    const struct relay_in *c;
    uint64_t asker;
    size_t n = 0;

    for (; (c = relay_theirs_next(&s->theirs, &asker)); n++) {
        assert_true(c->method == 7 && (!c->len || !memcmp(c->request, "question", c->len < 8 ? c->len : 8)));
        if (r)
            relay_theirs_answer(&s->theirs, asker, c->id, r);
    }
    return n;
}

static const struct relay_result fine = { .reply = (const uint8_t *)"answer", .len = 6 };

/* "OK answer", "UNAVAILABLE controller two is gone", "here", "-": nothing is over. Of the next that is over.
 */
static const char *over(struct side *s)
{
    static char text[700];
    struct relay_out *c = relay_ours_next_over(&s->ours);

    if (!c)
        return "-";
    assert_ptr_equal(c->ctx, s);
    if (c->here)
        snprintf(text, sizeof text, "here");
    else if (c->reply)
        snprintf(text, sizeof text, "OK %.*s", (int)c->reply_len, (const char *)c->reply);
    else
        snprintf(text, sizeof text, "%d%s %s", c->status, c->answered ? " answered" : "", c->detail);
    relay_out_free(c);
    return text;
}

/* ---- There and back ---- */

static void asked_and_answered(void **state)
{
    struct side a = make("one", 11), b = make("two", 22);

    (void)state;
    ask(&a, "x");
    assert_int_equal(a.ours.changed, RELAY_NEWS);
    say(&a);
    hear(&b, &a, 1);
    assert_int_equal(serve(&b, NULL), 1); /* under way */
    hear(&b, &a, 1);
    assert_int_equal(serve(&b, NULL), 0);
    ask(&a, "y"); /* meanwhile */
    say(&a);
    hear(&b, &a, 2);
    relay_theirs_answer(&b.theirs, 11, 1, &fine);
    assert_int_equal(b.theirs.changed, RELAY_NEWS);
    assert_int_equal(
        serve(&b, &(struct relay_result){ .status = TW__STATUS__STATUS_NOT_FOUND, .detail = "no such run" }),
        1);
    say(&b);
    assert_string_equal(over(&a), "-");
    hear(&a, &b, 3);
    assert_string_equal(over(&a), "OK answer");
    assert_string_equal(over(&a), "5 answered no such run");
    assert_string_equal(over(&a), "-");
    assert_int_equal(a.ours.changed, RELAY_TIDIER);
    say(&a);
    hear(&b, &a, 4);
    assert_int_equal(b.theirs.changed, RELAY_TIDIER);
    assert_null(b.theirs.askers->calls);
    drop(&a);
    drop(&b);
}

/* What is said again, by the same process with another lease or after it was not seen for a while, is not
 * made again. */
static void no_call_twice(void **state)
{
    struct side a = make("one", 11), b = make("two", 22);

    (void)state;
    ask(&a, "x");
    say(&a);
    hear(&b, &a, 1);
    assert_int_equal(serve(&b, &fine), 1);
    a.lease = 12;
    hear(&b, &a, 2);
    assert_int_equal(serve(&b, &fine), 0);
    hear(&b, NULL, 3);
    relay_theirs_answer(&b.theirs, 11, 1, &fine); /* nobody waits for it */
    assert_int_equal(b.theirs.n, 1);
    hear(&b, &a, 4);
    assert_int_equal(serve(&b, &fine), 0);
    ask(&a, "y");
    say(&a);
    hear(&b, &a, 5);
    assert_int_equal(serve(&b, &fine), 1);
    hear(&b, NULL, 6);
    hear(&b, NULL, 7 + RELAY_REMEMBER_NS);
    assert_int_equal(b.theirs.n, 0);
    drop(&a);
    drop(&b);
}

/* A process that starts again numbers its calls from 1. */
static void another_process(void **state)
{
    struct side a = make("one", 11), again = make("one", 13), b = make("two", 22);

    (void)state;
    ask(&a, "x");
    say(&a);
    hear(&b, &a, 1);
    assert_int_equal(serve(&b, &fine), 1);
    ask(&again, "x");
    say(&again);
    hear(&b, &again, 2);
    assert_int_equal(serve(&b, &fine), 1);
    say(&b);
    hear(&again, &b, 3);
    assert_string_equal(over(&again), "OK answer");
    hear(&a, &b, 3);
    assert_string_equal(over(&a), "-");
    drop(&a);
    drop(&again);
    drop(&b);
}

static void not_for_us(void **state)
{
    struct side a = make("one", 11), c = make("three", 33);

    (void)state;
    ask(&a, "x"); /* of two */
    say(&a);
    hear(&c, &a, 1);
    assert_int_equal(serve(&c, &fine), 0);
    drop(&a);
    drop(&c);
}

/* An answer of another one than who was asked counts as little as one to another process. */
static void not_from_it(void **state)
{
    static const struct {
        const char *who;
        uint64_t asker, id;
        bool taken;
    } rows[] = {
        { "three", 11, 1, false }, { "two", 12, 1, false }, { "two", 11, 2, false }, { "two", 11, 1, true }
    };
    struct side a = make("one", 11);

    (void)state;
    ask(&a, "x");
    for (int i = -1; i < (int)TW_NELEM(rows); i++) {
        Tw__RelaySaid m = TW__RELAY_SAID__INIT;
        Tw__RelayAnswer answer = TW__RELAY_ANSWER__INIT, *list[] = { &answer };

        m.answers = list;
        m.n_answers = 1;
        answer.asker = i < 0 ? 11 : rows[i].asker;
        answer.id = i < 0 ? 1 : rows[i].id;
        relay_ours_take(&a.ours, i < 0 ? "two" : rows[i].who, 11, &m);
        if (i < 0)
            say(&a); /* before, it was not even asked */
        else if ((strcmp(over(&a), "-") != 0) != rows[i].taken)
            fail_msg("%s %d", rows[i].who, (int)rows[i].id);
    }
    drop(&a);
}

/* ---- Where they go ---- */

struct world {
    const char *at; /* the agent; NULL: nowhere */
    bool two_is_up;
};

static const char *where(void *ctx, const char *agent)
{
    return strcmp(agent, "x") == 0 ? ((const struct world *)ctx)->at : NULL;
}

static bool is_up(void *ctx, const char *controller)
{
    return strcmp(controller, "two") != 0 || ((const struct world *)ctx)->two_is_up;
}

static void moves(void **state)
{
    enum { UNSAID, SAID, NOT_HERE };
    static const struct {
        int how;
        const char *at;
        bool two_is_up;
        const char *over, *to; /* to: where it is asked then, if it is not over */
    } rows[] = {
        { SAID, "two", true, "-", "two" },
        { SAID, NULL, true, "-", "two" }, /* its answer may be on its way */
        { UNSAID, "three", true, "-", "three" },
        { UNSAID, "one", true, "here", NULL },
        { UNSAID, NULL, false, "-", "two" },
        { NOT_HERE, "two", true, "-", "two" }, /* two says so later than it is */
        { NOT_HERE, NULL, true, "-", "two" },
        { NOT_HERE, "three", true, "-", "three" },
        { NOT_HERE, "one", true, "here", NULL },
        { SAID, "three", true, "14 agent x has moved from controller two to three meanwhile", NULL },
        { SAID, "one", true, "14 agent x has moved from controller two to one meanwhile", NULL },
        { SAID, "two", false, "14 controller two is gone", NULL },
        { SAID, NULL, false, "14 controller two is gone", NULL },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct side a = make("one", 11), b = make("two", 22);
        struct world w = { rows[i].at, rows[i].two_is_up };
        const char *got;

        ask(&a, "x");
        if (rows[i].how != UNSAID)
            say(&a);
        if (rows[i].how == NOT_HERE) {
            hear(&b, &a, 1);
            serve(&b, &(struct relay_result){ .not_here = true });
            say(&b);
            hear(&a, &b, 1);
        }
        relay_ours_route(&a.ours, &(struct relay_places){ "one", where, is_up, &w });
        got = over(&a);
        if (strcmp(got, rows[i].over) != 0 ||
            (rows[i].to ? strcmp(a.ours.calls->call.to, rows[i].to) != 0 : a.ours.calls != NULL))
            fail_msg("row %zu: %s, to %s", i, got, a.ours.calls ? a.ours.calls->call.to : "nobody");
        drop(&a);
        drop(&b);
    }
}

/* All that wait for one controller go on to the next, once each. */
static void all_move(void **state)
{
    struct side a = make("one", 11), c = make("three", 33);
    struct world w = { "three", true };

    (void)state;
    for (int i = 0; i < 3; i++)
        ask(&a, "x");
    relay_ours_route(&a.ours, &(struct relay_places){ "one", where, is_up, &w });
    say(&a);
    hear(&c, &a, 1);
    assert_int_equal(serve(&c, &fine), 3);
    say(&c);
    hear(&a, &c, 2);
    for (int i = 0; i < 3; i++)
        assert_string_equal(over(&a), "OK answer");
    assert_null(a.ours.calls);
    drop(&a);
    drop(&c);
}

static void no_answer(void **state)
{
    struct side a = make("one", 11), b = make("two", 22);

    (void)state;
    ask(&a, "x");
    say(&a);
    relay_ours_expire(&a.ours, 6 * S - 1);
    assert_string_equal(over(&a), "-");
    relay_ours_expire(&a.ours, 6 * S);
    assert_string_equal(over(&a), "14 controller two did not answer in time");
    assert_int_equal(a.ours.changed, RELAY_TIDIER);
    ask(&a, "x");
    say(&a);
    hear(&b, &a, 1);
    serve(&b, &(struct relay_result){ .not_here = true });
    say(&b);
    hear(&a, &b, 1);
    relay_ours_expire(&a.ours, 6 * S);
    assert_string_equal(over(&a), "14 agent x is not connected to controller two any more");
    /* It was given up before it was made. */
    ask(&a, "x");
    say(&a);
    hear(&b, &a, 2);
    relay_ours_expire(&a.ours, 6 * S);
    over(&a);
    say(&a);
    hear(&b, &a, 3);
    assert_int_equal(serve(&b, &fine), 0);
    drop(&a);
    drop(&b);
}

/* ---- Bounds ---- */

static void many(void **state)
{
    struct side a = make("one", 11), b = make("two", 22);
    size_t made = 0, got = 0, rounds = 0;

    (void)state;
    assert_int_equal(ask_at(&a, "two", "x", RELAY_REQUEST_MAX + 1, S), TW_ERANGE);
    for (size_t i = 0; i < RELAY_WAITING_MAX; i++)
        ask(&a, "x");
    assert_int_equal(ask_at(&a, "two", "x", 8, S), TW_EBUSY);
    for (; a.ours.calls && rounds < 100; rounds++) {
        size_t n;

        say(&a);
        hear(&b, &a, 1);
        n = serve(&b, &fine);
        assert_true(n <= RELAY_CALLS_MAX);
        made += n;
        say(&b);
        hear(&a, &b, 2);
        for (; strcmp(over(&a), "-") != 0; got++)
            ;
    }
    assert_int_equal(made, RELAY_WAITING_MAX);
    assert_int_equal(got, RELAY_WAITING_MAX);
    assert_int_equal(rounds, RELAY_WAITING_MAX / RELAY_CALLS_MAX);
    assert_int_equal(b.theirs.ignored, 0);
    drop(&a);
    drop(&b);
}

/* Large ones take turns; one that is larger than the room for all fails with the reason. */
static void large(void **state)
{
    static uint8_t octets[RELAY_ANSWER_MAX + 1] = "answer";
    struct side a = make("one", 11), b = make("two", 22);
    size_t rounds = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask_at(&a, "two", "x", RELAY_REQUEST_MAX, S), TW_OK);
    for (; a.ours.calls && rounds < 100; rounds++) {
        say(&a);
        hear(&b, &a, 1);
        serve(&b, &(struct relay_result){ .reply = octets, .len = RELAY_ANSWER_MAX / 2 });
        say(&b);
        hear(&a, &b, 2);
        while (!strncmp(over(&a), "OK answer", 9))
            ;
    }
    assert_in_range(rounds, 4, 10);
    ask(&a, "x");
    say(&a);
    hear(&b, &a, 1);
    serve(&b, &(struct relay_result){ .reply = octets, .len = sizeof octets });
    say(&b);
    hear(&a, &b, 2);
    assert_string_equal(over(&a),
                        "8 answered the answer is larger than what one controller may tell another");
    drop(&a);
    drop(&b);
}

/* Whoever says more than we ever would is served as far as we would be. */
static void beyond_bounds(void **state)
{
    Tw__RelayCall calls[RELAY_CALLS_MAX + 5], *list[RELAY_CALLS_MAX + 5];
    Tw__RelaySaid m = TW__RELAY_SAID__INIT;
    struct side b = make("two", 22);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(calls); i++) {
        tw__relay_call__init(&calls[i]);
        calls[i].id = i + 1;
        calls[i].to = (char *)"two";
        calls[i].method = 7;
        list[i] = &calls[i];
    }
    m.self = 11;
    m.calls = list;
    m.n_calls = TW_NELEM(list);
    relay_theirs_begin(&b.theirs);
    assert_int_equal(relay_theirs_take(&b.theirs, "two", &(struct relay_from){ "one", 11, 1 }, &m), TW_OK);
    relay_theirs_end(&b.theirs, 1);
    assert_int_equal(serve(&b, &fine), RELAY_CALLS_MAX);
    assert_int_equal(b.theirs.ignored, 5);
    m.n_calls = 0;
    for (uint64_t self = 100; self < 100 + 2 * RELAY_ASKERS_MAX; self++) {
        m.self = self;
        relay_theirs_take(&b.theirs, "two", &(struct relay_from){ "one", (int64_t)self, 1 }, &m);
    }
    assert_int_equal(b.theirs.n, RELAY_ASKERS_MAX);
    /* Of those that are gone the oldest makes room. */
    relay_theirs_begin(&b.theirs);
    relay_theirs_end(&b.theirs, 2);
    m.self = 1000;
    assert_int_equal(relay_theirs_take(&b.theirs, "two", &(struct relay_from){ "one", 1000, 1 }, &m), TW_OK);
    assert_int_equal(b.theirs.n, RELAY_ASKERS_MAX);
    drop(&b);
}

/* ---- Texts ---- */

static void texts(void **state)
{
    static const struct {
        const char *text;
        enum tw_rc rc;
    } rows[] = {
        { "CQEAAAAAAAAA", TW_OK },     /* self 1 */
        { "CQEAAAAAAAAAeAE=", TW_OK }, /* and a field of a later release */
        { "", TW_ECORRUPT },
        { "C", TW_ECORRUPT },
        { "CQEAAAAAAA=A", TW_ECORRUPT },
        { "====", TW_ECORRUPT },
        { "[1,2", TW_ECORRUPT },
        { "CQAAAAAAAAAA", TW_EINVAL }, /* self 0 */
        { "eAE=", TW_EINVAL },
        { "CQEAAAAA", TW_ECORRUPT },         /* cut */
        { "CQEAAAAAAAAAEgIS", TW_ECORRUPT }, /* a call that goes beyond the end */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct arena *a = NULL;
        Tw__RelaySaid *said = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc = relay_text_read(rows[i].text, &a, &said, &err);

        if (rc != rows[i].rc || (rc ? !err.text[0] || a : said->self != 1))
            fail_msg("%s: %s %s", rows[i].text, tw_rc_name(rc), err.text);
        arena_free(a);
    }
}

static void texts_that_are_too_long(void **state)
{
    char *text = malloc(RELAY_TEXT_MAX + 5);
    struct arena *a = NULL;
    Tw__RelaySaid *said = NULL;
    struct tw_err err = { 0 };

    (void)state;
    memset(text, 'A', RELAY_TEXT_MAX + 4);
    text[RELAY_TEXT_MAX + 4] = '\0';
    assert_int_equal(relay_text_read(text, &a, &said, &err), TW_ERANGE);
    text[RELAY_TEXT_MAX] = '\0';
    assert_int_equal(relay_text_read(text, &a, &said, &err), TW_ECORRUPT);
    free(text);
}

/* Which tests another one runs: until it does not say so any more, or is not there. */
static void tests_of_others(void **state)
{
    Tw__RelaySaid m = TW__RELAY_SAID__INIT;
    Tw__RelayTest tests[RELAY_TESTS_MAX + 1], *list[RELAY_TESTS_MAX + 1];
    const struct relay_running *got = NULL;
    struct side b = make("two", 22);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(tests); i++) {
        tw__relay_test__init(&tests[i]);
        tests[i].test_id = 100 + i;
        tests[i].state = (char *)"a state that is longer than any of ours";
        tests[i].running = 3;
        list[i] = &tests[i];
    }
    m.self = 11;
    m.tests = list;
    m.n_tests = TW_NELEM(list);
    for (int64_t round = 1; round <= 2; round++) {
        relay_theirs_begin(&b.theirs);
        assert_int_equal(relay_theirs_take(&b.theirs, "two", &(struct relay_from){ "one", 11, round }, &m),
                         TW_OK);
        relay_theirs_end(&b.theirs, round);
        assert_int_equal(b.theirs.tests_changed, round == 1);
        b.theirs.tests_changed = false;
    }
    assert_string_equal(relay_theirs_test(&b.theirs, 100, &got), "one");
    assert_true(got->id == 100 && got->running == 3);
    assert_string_equal(got->state, "a state that is");
    assert_null(relay_theirs_test(&b.theirs, 100 + RELAY_TESTS_MAX, &got));
    hear(&b, NULL, 3);
    assert_null(relay_theirs_test(&b.theirs, 100, &got));
    assert_true(b.theirs.tests_changed);
    drop(&b);
}

/* It is looked at once, and again when it is another one. */
static void unread(void **state)
{
    struct side a = make("one", 11), b = make("two", 22);
    const struct relay_from from = { "one", 11, 7 };

    (void)state;
    relay_theirs_begin(&b.theirs);
    assert_int_equal(relay_theirs_take(&b.theirs, "two", &from, NULL), TW_OK);
    relay_theirs_end(&b.theirs, 1);
    assert_true(relay_theirs_has(&b.theirs, 11, 7));
    assert_false(relay_theirs_has(&b.theirs, 11, 8));
    ask(&a, "x");
    say(&a);
    hear(&b, &a, 2);
    assert_int_equal(serve(&b, NULL), 1);
    relay_theirs_begin(&b.theirs);
    assert_int_equal(relay_theirs_take(&b.theirs, "two", &from, NULL), TW_OK);
    relay_theirs_end(&b.theirs, 3);
    relay_theirs_answer(&b.theirs, 11, 1, &fine); /* nobody is there for it */
    assert_int_equal(b.theirs.n, 1);
    drop(&a);
    drop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_and_answered),
        cmocka_unit_test(no_call_twice),
        cmocka_unit_test(another_process),
        cmocka_unit_test(not_for_us),
        cmocka_unit_test(not_from_it),
        cmocka_unit_test(moves),
        cmocka_unit_test(all_move),
        cmocka_unit_test(no_answer),
        cmocka_unit_test(many),
        cmocka_unit_test(large),
        cmocka_unit_test(beyond_bounds),
        cmocka_unit_test(texts),
        cmocka_unit_test(texts_that_are_too_long),
        cmocka_unit_test(unread),
        cmocka_unit_test(tests_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
