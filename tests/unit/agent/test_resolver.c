/* Names and their addresses over time, by a lookup function of the test; at the end by the system's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "common/net/now.h"
#include "tests/unit/agent/fake_dns.h"

#define USES 4
#define PATIENCE_NS (20 * TW_NS_PER_S)

struct user {
    struct resolver_use use;
    unsigned news;
    bool end_at_news;
};
struct fx {
    struct loop *loop;
    struct resolver *r;
    struct user u[USES];
};

static void on_news(struct resolver_use *use)
{
    struct user *u = use->ctx;

    u->news++;
    if (u->end_at_news)
        resolver_end(use);
}

static int setup_with(void **state, const struct resolver_conf *conf)
{
    struct fx *f = calloc(1, sizeof *f);
    struct resolver_conf c = *conf;

    dns_reset();
    assert_int_equal(loop_new(&f->loop), TW_OK);
    c.loop = f->loop;
    assert_int_equal(resolver_new(&c, &f->r), TW_OK);
    for (size_t i = 0; i < USES; i++)
        f->u[i].use = (struct resolver_use){ .on_news = on_news, .ctx = &f->u[i] };
    *state = f;
    return 0;
}

/* Asks without end, so that changes are seen soon. */
static int setup(void **state)
{
    return setup_with(state, &(struct resolver_conf){ .lookup = dns_lookup,
                                                      .every_ns = 5 * TW_NS_PER_MS,
                                                      .retry_ns = TW_NS_PER_MS });
}

/* Asks once. */
static int setup_patient(void **state)
{
    return setup_with(state, &(struct resolver_conf){ .lookup = dns_lookup,
                                                      .every_ns = 3600 * TW_NS_PER_S,
                                                      .retry_ns = 3600 * TW_NS_PER_S });
}

static int setup_system(void **state)
{
    return setup_with(state, &(struct resolver_conf){ .every_ns = 3600 * TW_NS_PER_S });
}

static int teardown(void **state)
{
    struct fx *f = *state;

    dns_hold(false);
    for (size_t i = 0; i < USES; i++)
        resolver_end(&f->u[i].use);
    resolver_free(f->r);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void turn(struct fx *f)
{
    static const bool never = false;

    loop_run_until(f->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
}

#define WAIT(f, condition)                                    \
    do {                                                      \
        int64_t wait_end_ns = tw_mono_now().ns + PATIENCE_NS; \
        while (!(condition)) {                                \
            if (tw_mono_now().ns > wait_end_ns)               \
                fail_msg("never happened: %s", #condition);   \
            turn(f);                                          \
        }                                                     \
    } while (0)

static enum tw_rc begin(struct fx *f, unsigned i, const char *name, uint8_t family)
{
    return resolver_begin(f->r, name, family, &f->u[i].use);
}

static const char *address(struct fx *f, unsigned i)
{
    static char text[TW_ADDR_TEXT];
    const struct tw_addr *a = resolver_address(&f->u[i].use);

    return a ? tw_addr_format_ip(a, text) : "";
}

static bool is(struct fx *f, unsigned i, const char *want)
{
    return !strcmp(address(f, i), want);
}

static struct resolver_counters counters(struct fx *f)
{
    struct resolver_counters c;

    resolver_counters(f->r, &c);
    return c;
}

/* So many lookups more have come back. */
static void lookups_later(struct fx *f, unsigned n)
{
    unsigned before = dns_asked();

    WAIT(f, dns_asked() > before + n);
}

/* ---- Tests ---- */

static void a_name_is_asked_once_for_all(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1.example", "192.0.2.1");
    assert_int_equal(begin(f, 0, "r1.example", 0), TW_OK);
    assert_int_equal(begin(f, 1, "R1.Example", 0), TW_OK);
    assert_true(resolver_is(&f->u[1].use, "r1.EXAMPLE", 0) && !resolver_is(&f->u[1].use, "r1.example", 4));
    assert_string_equal(resolver_name(&f->u[1].use), "r1.example");
    WAIT(f, is(f, 0, "192.0.2.1") && is(f, 1, "192.0.2.1"));
    assert_int_equal(begin(f, 2, "r1.example", 0), TW_OK);
    assert_true(is(f, 2, "192.0.2.1")); /* at once */
    for (int i = 0; i < 20; i++)
        turn(f);
    assert_int_equal(dns_asked(), 1);
    assert_int_equal(f->u[0].news + f->u[1].news, 2);
    assert_int_equal(f->u[2].news, 0);
    assert_int_equal(counters(f).names, 1);
    assert_int_equal(counters(f).lookups, 1);
    for (unsigned i = 0; i < 3; i++)
        resolver_end(&f->u[i].use);
    assert_int_equal(counters(f).names, 0);
}

static void the_address_stays_while_it_is_among_the_answers(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1", "192.0.2.1", "192.0.2.2");
    begin(f, 0, "r1", 0);
    WAIT(f, is(f, 0, "192.0.2.1"));
    DNS_SET("r1", "192.0.2.3", "192.0.2.2", "192.0.2.1");
    lookups_later(f, 5);
    assert_true(is(f, 0, "192.0.2.1"));
    assert_int_equal(f->u[0].news, 1);
    DNS_SET("r1", "192.0.2.3", "192.0.2.2");
    WAIT(f, is(f, 0, "192.0.2.3"));
    assert_int_equal(f->u[0].news, 2);
    assert_int_equal(counters(f).failures, 0);
}

static void failures_leave_the_last_address_in_use(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1", "192.0.2.1");
    begin(f, 0, "r1", 0);
    WAIT(f, is(f, 0, "192.0.2.1"));
    assert_int_equal(counters(f).stale, 0);
    DNS_SET("r1", NULL);
    WAIT(f, counters(f).stale == 1 && counters(f).failures >= 3);
    assert_true(is(f, 0, "192.0.2.1"));
    assert_string_equal(resolver_why(&f->u[0].use), "no such name");
    assert_int_equal(counters(f).unresolved, 0);
    assert_int_equal(f->u[0].news, 1);
    DNS_SET("r1", "192.0.2.1"); /* as before: no news */
    WAIT(f, counters(f).stale == 0);
    assert_string_equal(resolver_why(&f->u[0].use), "");
    assert_int_equal(f->u[0].news, 1);
    DNS_SET("r1", NULL);
    WAIT(f, counters(f).stale == 1);
    DNS_SET("r1", "192.0.2.9");
    WAIT(f, is(f, 0, "192.0.2.9") && counters(f).stale == 0);
}

static void a_name_that_has_none_is_tried_again(void **state)
{
    struct fx *f = *state;

    begin(f, 0, "r1", 0);
    WAIT(f, f->u[0].news >= 3); /* each failure is told, as long as there is no address */
    assert_true(is(f, 0, ""));
    assert_int_equal(counters(f).unresolved, 1);
    assert_int_equal(counters(f).stale, 0);
    assert_int_equal(counters(f).names, 1);
    DNS_SET("r1", "2001:db8::1");
    WAIT(f, is(f, 0, "2001:db8::1"));
    assert_int_equal(counters(f).unresolved, 0);
}

static void who_comes_new_has_it_asked_at_once(void **state)
{
    struct fx *f = *state;

    begin(f, 0, "r1", 0);
    WAIT(f, f->u[0].news == 1); /* again in an hour */
    DNS_SET("r1", "192.0.2.1");
    begin(f, 1, "r1", 0);
    WAIT(f, is(f, 0, "192.0.2.1") && is(f, 1, "192.0.2.1"));
    assert_int_equal(dns_asked(), 2);
}

static void families(void **state)
{
    struct fx *f = *state;

    DNS_SET("both", "2001:db8::1", "192.0.2.1");
    DNS_SET("old", "192.0.2.4");
    begin(f, 0, "both", 0);
    begin(f, 1, "both", 4);
    begin(f, 2, "both", 6);
    begin(f, 3, "old", 6);
    WAIT(f, is(f, 0, "2001:db8::1") && is(f, 1, "192.0.2.1") && is(f, 2, "2001:db8::1"));
    WAIT(f, f->u[3].news >= 1);
    assert_true(is(f, 3, ""));
    assert_non_null(strstr(resolver_why(&f->u[3].use), "family"));
    assert_int_equal(counters(f).names, 4);
    assert_int_equal(counters(f).unresolved, 1);
}

static void what_is_no_name(void **state)
{
    static const char *const rows[] = { "", "192.0.2.1", "127.1", "a b", "-a", "[::1]" };
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        assert_int_equal(begin(f, 0, rows[i], 0), TW_EINVAL);
    assert_int_equal(counters(f).names, 0);
}

static void a_use_may_end_when_it_is_told(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1", "192.0.2.1");
    for (unsigned i = 0; i < 3; i++) {
        f->u[i].end_at_news = i != 1;
        begin(f, i, "r1", 0);
    }
    WAIT(f, f->u[0].news && f->u[1].news && f->u[2].news);
    assert_int_equal(counters(f).names, 1);
    resolver_end(&f->u[1].use);
    resolver_end(&f->u[1].use); /* no effect */
    f->u[3].end_at_news = true; /* the only one */
    begin(f, 3, "r2", 0);
    WAIT(f, f->u[3].news);
    assert_int_equal(counters(f).names, 0);
}

/* Names that come and go while a server is silent are not asked twice. */
static void one_question_at_a_time(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1", "192.0.2.1");
    dns_hold(true);
    for (int i = 0; i < 50; i++) {
        begin(f, 0, "r1", 0);
        WAIT(f, dns_asked() == 1);
        resolver_end(&f->u[0].use);
        assert_int_equal(counters(f).names, 0);
    }
    begin(f, 0, "r1", 0);
    dns_hold(false);
    WAIT(f, is(f, 0, "192.0.2.1"));
    assert_int_equal(dns_asked(), 1);
    assert_int_equal(counters(f).lookups, 1);
}

/* The loop goes on, and the end does not wait. */
static void a_silent_server_holds_nobody_up(void **state)
{
    struct fx *f = *state;
    int64_t began;

    dns_hold(true);
    begin(f, 0, "r1", 0);
    WAIT(f, dns_asked() == 1);
    began = tw_mono_now().ns;
    for (int i = 0; i < 20; i++)
        turn(f);
    resolver_end(&f->u[0].use);
    resolver_free(f->r);
    assert_true(tw_mono_now().ns - began < PATIENCE_NS); /* else it hangs for ever */
    f->r = NULL;
}

static void names_are_bounded(void **state)
{
    struct fx *f = *state;
    struct resolver_use *uses = calloc(RESOLVER_NAMES_MAX, sizeof *uses);
    char name[32];

    dns_hold(true);
    for (unsigned i = 0; i < RESOLVER_NAMES_MAX; i++) {
        uses[i] = (struct resolver_use){ .on_news = on_news, .ctx = &f->u[0] };
        snprintf(name, sizeof name, "r%u.example", i);
        assert_int_equal(resolver_begin(f->r, name, 0, &uses[i]), TW_OK);
    }
    assert_int_equal(begin(f, 0, "one-more.example", 0), TW_ENOSPC);
    assert_int_equal(begin(f, 0, "r7.example", 0), TW_OK);
    dns_hold(false);
    WAIT(f, counters(f).failures >= RESOLVER_NAMES_MAX);
    assert_int_equal(counters(f).unresolved, RESOLVER_NAMES_MAX);
    for (unsigned i = 0; i < RESOLVER_NAMES_MAX; i++)
        resolver_end(&uses[i]);
    assert_int_equal(counters(f).names, 1);
    free(uses);
}

static void the_systems_way(void **state)
{
    struct fx *f = *state;

    begin(f, 0, "localhost", 4);
    begin(f, 1, "no-such-host.invalid", 0);
    WAIT(f, is(f, 0, "127.0.0.1") && f->u[1].news == 1);
    assert_true(is(f, 1, "") && *resolver_why(&f->u[1].use));
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define PATIENT(t) cmocka_unit_test_setup_teardown(t, setup_patient, teardown)
    const struct CMUnitTest tests[] = {
        PATIENT(a_name_is_asked_once_for_all),
        ROW(the_address_stays_while_it_is_among_the_answers),
        ROW(failures_leave_the_last_address_in_use),
        ROW(a_name_that_has_none_is_tried_again),
        PATIENT(who_comes_new_has_it_asked_at_once),
        ROW(families),
        ROW(what_is_no_name),
        ROW(a_use_may_end_when_it_is_told),
        PATIENT(one_question_at_a_time),
        PATIENT(a_silent_server_holds_nobody_up),
        PATIENT(names_are_bounded),
        cmocka_unit_test_setup_teardown(the_systems_way, setup_system, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
