/* What controllers say of themselves, and who is there by what is heard: tables of texts, and of moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/clk.h"
#include "controller/registry_homes.h"
#include "controller/registry_list.h"

#define T0 (INT64_C(1800000000) * TW_NS_PER_S)
#define S TW_NS_PER_S

static struct registry_facts facts(const char *name, int64_t owner, int64_t started_ns)
{
    struct registry_facts f;

    memset(&f, 0, sizeof f);
    snprintf(f.name, sizeof f.name, "%s", name);
    snprintf(f.version, sizeof f.version, "1.2.3");
    snprintf(f.agents_at, sizeof f.agents_at, "tcp://%s:8620", name);
    f.owner = owner;
    f.started_ns = started_ns;
    f.time_ns = started_ns + S;
    f.agents = 7;
    f.ready = true;
    return f;
}

static void there_and_back(void **state)
{
    struct registry_facts f = facts("ctl \"1\"", INT64_MAX, T0), got;
    char *text;

    (void)state;
    snprintf(f.problem, sizeof f.problem, "the disk is full");
    f.planner = true;
    text = registry_row_write(&f);
    assert_non_null(text);
    assert_int_equal(registry_row_read(text, &got), TW_OK);
    assert_true(registry_row_same(&f, &got));
    assert_true(got.owner == INT64_MAX && got.time_ns == T0 + S && got.planner && got.ready);
    got.time_ns++;
    assert_true(registry_row_same(&f, &got));
    got.agents++;
    assert_false(registry_row_same(&f, &got));
    free(text);
}

static void other_texts(void **state)
{
    static const struct {
        const char *text;
        enum tw_rc rc;
    } rows[] = {
        { "{\"name\":\"a\"}", TW_OK }, /* of a release that says less */
        { "{\"name\":\"a\",\"later\":[1,{}]}", TW_OK },
        { "{\"name\":\"a\",\"agents\":4294967295}", TW_OK },
        { "{}", TW_ECORRUPT },
        { "", TW_ECORRUPT },
        { "[]", TW_ECORRUPT },
        { "{\"name\":\"\"}", TW_ECORRUPT },
        { "{\"name\":7}", TW_ECORRUPT },
        { "{\"name\":\"a\",\"agents\":-1}", TW_ECORRUPT },
        { "{\"name\":\"a\",\"agents\":4294967296}", TW_ECORRUPT },
        { "{\"name\":\"a\",\"owner\":7}", TW_ECORRUPT },
        { "{\"name\":\"a\",\"owner\":\"7x\"}", TW_ECORRUPT },
        { "{\"name\":\"a\",\"owner\":\"\"}", TW_ECORRUPT },
        { "{\"name\":\"a\",\"ready\":1}", TW_ECORRUPT },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct registry_facts f;

        if (registry_row_read(rows[i].text, &f) != rows[i].rc)
            fail_msg("%s", rows[i].text);
    }
}

static void addresses(void **state)
{
    static const struct {
        const char *listen, *scheme, *host, *ret;
    } rows[] = {
        { "tcp://127.0.0.1:8620", "tcp", NULL, "tcp://127.0.0.1:8620" },
        { "tls+tcp://0.0.0.0:8620", "tcp", NULL, "tls+tcp://own:8620" },
        { "tls+tcp://[::]:8620", "tcp", NULL, "tls+tcp://own:8620" },
        { "tls+tcp://:8620", "tcp", NULL, "tls+tcp://own:8620" },
        { "tls+tcp://*:8620", "tcp", "ctl-1.example.net", "tls+tcp://ctl-1.example.net:8620" },
        { "tcp://192.0.2.1:8620", "tcp", "ctl-1", "tcp://ctl-1:8620" },
        { "tcp://192.0.2.1:8620", "tcp", "2001:db8::1", "tcp://[2001:db8::1]:8620" },
        { "0.0.0.0:8080", "https", NULL, "https://own:8080" },
        { "[2001:db8::1]:8080", "http", NULL, "http://[2001:db8::1]:8080" },
        { "192.0.2.1:8080", "http", "ctl-1", "http://ctl-1:8080" },
        { "ipc:///run/twampmesh/ctl.sock", "tcp", "ctl-1", "" },
        { "off", "http", "ctl-1", "" },
        { NULL, "http", NULL, "" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char got[REGISTRY_ADDRESS_MAX];

        registry_address(rows[i].listen, rows[i].scheme, rows[i].host, "own", got);
        if (strcmp(got, rows[i].ret) != 0)
            fail_msg("%s: %s, not %s", rows[i].listen ? rows[i].listen : "-", got, rows[i].ret);
    }
}

/* ---- Who is there ---- */

struct said {
    struct registry_facts f;
    int64_t lease, revision;
};

static void hear(struct registry_list *l, const struct said *v, size_t n, int64_t own_lease, int64_t now_ns)
{
    registry_list_begin(l);
    for (size_t i = 0; i < n; i++) {
        char *text = registry_row_write(&v[i].f);

        assert_non_null(text);
        assert_int_equal(
            registry_list_take(l, &(struct presence_text){ v[i].f.name, v[i].lease, 0, v[i].revision, text },
                               now_ns),
            TW_OK);
        free(text);
    }
    assert_int_equal(registry_list_end(l, own_lease, now_ns), TW_OK);
}

/* "one:up* two:missing": twins with !, ourselves with *. */
static void expect_rows(const struct registry_list *l, const char *wanted)
{
    char got[512] = "";

    for (size_t i = 0; i < l->n_rows; i++) {
        const struct registry_row *r = &l->rows[i];
        size_t len = strlen(got);

        snprintf(got + len, sizeof got - len, "%s%s:%s%s%s", i ? " " : "", r->facts->name,
                 registry_state_name(r->state), r->twin ? "!" : "", r->self ? "*" : "");
    }
    assert_string_equal(got, wanted);
}

static void comes_and_goes(void **state)
{
    struct registry_list l = { 0 };
    struct said v[] = { { facts("one", 1, T0), 11, 5 },
                        { facts("one", 1, T0), 0, 5 },
                        { facts("two", 2, T0), 22, 6 },
                        { facts("two", 2, T0), 0, 6 } };

    (void)state;
    hear(&l, v, 4, 11, T0);
    expect_rows(&l, "one:up* two:up");
    v[2] = v[3]; /* its lease has ended */
    hear(&l, v, 3, 11, T0 + 60 * S);
    expect_rows(&l, "one:up* two:missing");
    assert_true(l.rows[1].gone_ns == T0 + 60 * S);
    hear(&l, v, 3, 11, T0 + 70 * S);
    assert_true(l.rows[1].gone_ns == T0 + 60 * S);
    v[2].f.ended_ns = T0 + 80 * S;
    hear(&l, v, 3, 11, T0 + 80 * S);
    expect_rows(&l, "one:up* two:ended");
    hear(&l, v, 2, 11, T0 + 90 * S);
    expect_rows(&l, "one:up*");
    registry_list_free(&l);
}

/* Who started after it was gone knows it by what it wrote last. */
static void gone_before(void **state)
{
    struct registry_list l = { 0 };
    const struct said v[] = { { facts("one", 1, T0), 11, 5 }, { facts("two", 2, T0 - 900 * S), 0, 6 } };

    (void)state;
    hear(&l, v, 2, 11, T0);
    expect_rows(&l, "one:up* two:missing");
    assert_true(l.rows[1].gone_ns == T0 - 899 * S);
    registry_list_free(&l);
}

static void twins(void **state)
{
    struct registry_list l = { 0 };
    const struct said v[] = { { facts("one", 1, T0), 11, 5 },
                              { facts("one", 2, T0 + S), 12, 6 },
                              { facts("one", 2, T0 + S), 0, 6 } };

    (void)state;
    hear(&l, v, 3, 12, T0);
    expect_rows(&l, "one:up!* one:up!");
    hear(&l, v + 1, 2, 12, T0 + S);
    expect_rows(&l, "one:up*");
    registry_list_free(&l);
}

/* One that was killed has its old key until the lease ends; a copy of its machine has one for longer. */
static void started_again(void **state)
{
    struct registry_list l = { 0 };
    const struct said v[] = { { facts("one", 1, T0), 11, 5 }, { facts("one", 1, T0 + 100 * S), 12, 6 } };

    (void)state;
    hear(&l, v, 1, 0, T0);
    hear(&l, v, 2, 12, T0 + 100 * S);
    expect_rows(&l, "one:up*");
    assert_null(registry_list_member(&l, 11));
    assert_non_null(registry_list_member(&l, 12));
    hear(&l, v, 2, 12, T0 + 100 * S + REGISTRY_AGAIN_NS);
    expect_rows(&l, "one:up!* one:up!");
    registry_list_free(&l);
}

/* It lost its lease and has another one: the old one is not there, however long etcd keeps it. */
static void another_lease(void **state)
{
    struct registry_list l = { 0 };
    const struct said v[] = { { facts("one", 1, T0), 11, 5 }, { facts("one", 1, T0), 12, 6 } };

    (void)state;
    hear(&l, v, 2, 12, T0 + 100 * S);
    hear(&l, v, 2, 12, T0 + 1000 * S);
    expect_rows(&l, "one:up*");
    registry_list_free(&l);
}

static void not_of_its_key(void **state)
{
    struct registry_list l = { 0 };
    const struct registry_facts f = facts("one", 1, T0);
    char *text = registry_row_write(&f);

    (void)state;
    registry_list_begin(&l);
    assert_int_equal(registry_list_take(&l, &(struct presence_text){ "two", 11, 0, 5, text }, T0),
                     TW_ECORRUPT);
    assert_int_equal(registry_list_end(&l, 11, T0), TW_OK);
    expect_rows(&l, "");
    free(text);
    registry_list_free(&l);
}

/* ---- Which agents they have ---- */

static void own_agents(void **state)
{
    struct homes_own h = { 0 };
    uint64_t sum;
    char *text;

    (void)state;
    for (int64_t id = 1; id <= 50; id++)
        assert_int_equal(homes_own_add(&h, id, id != 17), TW_OK);
    text = homes_text(&h.parts[1]);
    assert_string_equal(text, "[1,-17,33,49]");
    free(text);
    sum = h.parts[1].sum;
    homes_own_clear(&h);
    text = homes_text(&h.parts[1]);
    assert_string_equal(text, "[]");
    free(text);
    homes_own_add(&h, 49, true);
    homes_own_add(&h, 17, false);
    homes_own_add(&h, 33, true);
    homes_own_add(&h, 1, true);
    assert_true(h.parts[1].sum == sum); /* in whatever order */
    homes_own_clear(&h);
    homes_own_add(&h, 49, true);
    homes_own_add(&h, 17, true);
    homes_own_add(&h, 33, true);
    homes_own_add(&h, 1, true);
    assert_true(h.parts[1].sum != sum);
    homes_own_free(&h);
}

static void texts_of_agents(void **state)
{
    static const struct {
        const char *text;
        enum tw_rc rc;
    } rows[] = {
        { "[]", TW_OK },
        { "[1]", TW_OK },
        { "[-1,999999999999999999]", TW_OK },
        { "", TW_ECORRUPT },
        { "[", TW_ECORRUPT },
        { "1]", TW_ECORRUPT },
        { "[1", TW_ECORRUPT },
        { "[1,]", TW_ECORRUPT },
        { "[,1]", TW_ECORRUPT },
        { "[1] ", TW_ECORRUPT },
        { "[0]", TW_ECORRUPT },
        { "[-]", TW_ECORRUPT },
        { "[+1]", TW_ECORRUPT },
        { "[1.5]", TW_ECORRUPT },
        { "[1000000000000000000]", TW_ECORRUPT },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct homes h = { 0 };

        homes_begin(&h);
        if (homes_take(&h, "a", 1, 1, 1, rows[i].text) != rows[i].rc)
            fail_msg("%s", rows[i].text);
        homes_free(&h);
    }
}

static void expect_home(const struct homes *h, int64_t id, const char *controller, bool connected)
{
    const struct home *at = homes_find(h, id);

    if (!at ? controller != NULL : !controller || strcmp(at->controller, controller) != 0 || at->connected != connected)
        fail_msg("%lld: %s, not %s", (long long)id, at ? at->controller : "nowhere", controller ? controller : "nowhere");
}

/* One moves: for a moment both have it, or nobody; who has it counts more than who had it. */
static void an_agent_moves(void **state)
{
    struct homes h = { 0 };

    (void)state;
    homes_begin(&h);
    homes_take(&h, "a", 1, 1, 5, "[1,17]");
    homes_take(&h, "b", 2, 1, 6, "[33]");
    assert_true(homes_end(&h));
    expect_home(&h, 17, "a", true);
    expect_home(&h, 33, "b", true);
    expect_home(&h, 16, NULL, false);
    expect_home(&h, 18, NULL, false);
    homes_begin(&h);
    homes_take(&h, "a", 1, 1, 7, "[1,-17]");
    homes_take(&h, "b", 2, 1, 6, "[33]");
    assert_true(homes_end(&h));
    expect_home(&h, 17, "a", false);
    homes_begin(&h);
    homes_take(&h, "a", 1, 1, 7, "[1,-17]");
    homes_take(&h, "b", 2, 1, 8, "[33,17]");
    assert_true(homes_end(&h));
    expect_home(&h, 17, "b", true);
    homes_begin(&h);
    homes_take(&h, "a", 1, 1, 7, "[1,-17]");
    homes_take(&h, "b", 2, 1, 8, "[33,17]");
    assert_false(homes_end(&h));
    expect_home(&h, 17, "b", true);
    homes_begin(&h);
    homes_take(&h, "a", 1, 1, 7, "[1,-17]");
    assert_true(homes_end(&h)); /* b has died */
    expect_home(&h, 17, "a", false);
    expect_home(&h, 33, NULL, false);
    homes_begin(&h);
    assert_true(homes_end(&h));
    expect_home(&h, 1, NULL, false);
    homes_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(other_texts),   cmocka_unit_test(addresses),
        cmocka_unit_test(comes_and_goes), cmocka_unit_test(gone_before),   cmocka_unit_test(twins),
        cmocka_unit_test(started_again),  cmocka_unit_test(another_lease), cmocka_unit_test(not_of_its_key),
        cmocka_unit_test(own_agents),    cmocka_unit_test(texts_of_agents), cmocka_unit_test(an_agent_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
