/* The suite: what is committed is there, what is not is not, also after a restart; and random changes of
 * everything against a plain table. CONFORM_SEED=N in the environment: another sequence than always the same.
 */
#include "tests/unit/db/conform_control.h"
#include "common/splitmix.h"
#include "tests/unit/db/control_model.h"

static const struct control_backend *backend;

struct fx {
    char place[CONTROL_PLACE];
    struct store *s;
    struct store_reader *r;
};

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);

    *state = f;
    backend->make(f->place);
    backend->open(f->place, &f->s, &f->r);
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;

    backend->close(f->s, f->r);
    if (backend->drop)
        backend->drop(f->place);
    free(f);
    return 0;
}

static void restart(struct fx *f)
{
    backend->close(f->s, f->r);
    backend->open(f->place, &f->s, &f->r);
}

/* ---- Names and numbers ---- */

static void a_number_is_never_another_agent_s(void **state)
{
    struct fx *f = *state;
    struct store_agent a = { .name = "ams" }, same = { .name = "ams" }, b = { .name = "fra" };
    int64_t gone;

    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    assert_int_equal(store_put_agent(f->s, &same, &test_err), TW_EEXIST);
    CHECK_OK(store_commit(f->s, &test_err));
    gone = a.id;
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_remove_agent(f->s, gone, &test_err));
    assert_int_equal(store_remove_agent(f->s, gone, &test_err), TW_ENOENT);
    CHECK_OK(store_commit(f->s, &test_err));
    restart(f); /* nobody remembers it but the database */
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_put_agent(f->s, &b, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    assert_true(b.id > gone);
}

/* Two agents change names in one transaction. */
static void names_can_be_exchanged(void **state)
{
    struct fx *f = *state;
    struct store_agent a = { .name = "a" }, b = { .name = "b" };

    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    CHECK_OK(store_put_agent(f->s, &b, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    CHECK_OK(store_begin(f->s, &test_err));
    strcpy(a.name, "c");
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    strcpy(b.name, "a");
    CHECK_OK(store_put_agent(f->s, &b, &test_err));
    strcpy(a.name, "b");
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    restart(f);
    a.id = 0;
    assert_int_equal(store_put_agent(f->s, &a, &test_err), TW_EEXIST);
}

static enum tw_rc count_run(void *ctx, const struct store_mesh_change *c)
{
    char *to = ctx;

    snprintf(to + strlen(to), 200 - strlen(to), "%s:%s>%s ", c->mesh, c->before ? c->before : "-",
             c->after ? c->after : "-");
    return TW_OK;
}

static void put_mesh(struct fx *f, uint64_t generation, const char *document)
{
    const struct store_mesh m = {
        .name = "core", .document = document, .generation = generation, .changed_ns = 5, .author = "me"
    };

    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_put_generation(
        f->s, &(struct store_generation){ .number = generation, .time_ns = (int64_t)generation, .what = "w" },
        &test_err));
    CHECK_OK(document ? store_put_mesh(f->s, &m, &test_err)
                      : store_remove_mesh(f->s, "core", generation, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
}

static void generations_know_what_they_changed(void **state)
{
    struct fx *f = *state;
    char text[200] = "";

    put_mesh(f, 1, "one");
    put_mesh(f, 2, "two");
    put_mesh(f, 3, "one"); /* a document that is known */
    put_mesh(f, 4, NULL);
    restart(f);
    for (uint64_t g = 1; g <= 4; g++)
        CHECK_OK(store_read_mesh_changes(f->r, g, count_run, text, &test_err));
    assert_string_equal(text, "core:->one core:one>two core:two>one core:one>- ");
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_retain_history(f->s, 3, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    restart(f);
    text[0] = '\0';
    for (uint64_t g = 1; g <= 4; g++)
        CHECK_OK(store_read_mesh_changes(f->r, g, count_run, text, &test_err));
    assert_string_equal(text, "core:->one core:one>- ");
    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(store_put_generation(f->s, &(struct store_generation){ .number = 4 }, &test_err),
                     TW_EEXIST);
    store_rollback(f->s);
}

/* ---- Transactions ---- */

static void what_is_not_committed_is_not_there(void **state)
{
    struct fx *f = *state;
    struct store_agent a = { .name = "ams" };
    struct model nothing;

    model_start(&nothing);
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    store_rollback(f->s);
    check_model(&nothing, f->s, f->r, "rolled back");
    CHECK_OK(store_begin(f->s, &test_err));
    a.id = 0;
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    restart(f);
    check_model(&nothing, f->s, f->r, "ended before the commit");
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_commit(f->s, &test_err)); /* of nothing */
}

/* 92 rows. */
static void a_transaction_may_be_large(void **state)
{
    struct fx *f = *state;
    struct model m;

    model_start(&m);
    CHECK_OK(store_begin(f->s, &test_err));
    for (unsigned i = 1; i < M_ROWS; i++) {
        m.alert[i].state = 2;
        m.silence[i].state = m.document[i].state = m.notice[i].state = 1;
        CHECK_OK(store_put_alert(f->s, &(struct store_alert){ .id = i, .open = true, .body = "{\"v\":0}" },
                                 &test_err));
        CHECK_OK(store_put_alert_silence(
            f->s, &(struct store_alert_silence){ i, INT64_MAX - i, "\xe2\x82\xac\"" }, &test_err));
        CHECK_OK(store_put_alert_document(f->s, &(struct store_alert_document){ i, 1, "a", "", "rules: []" },
                                          &test_err));
        CHECK_OK(
            store_put_alert_notice(f->s, &(struct store_alert_notice){ i, 1, "r", "", "{}" }, &test_err));
    }
    CHECK_OK(store_commit(f->s, &test_err));
    check_model(&m, f->s, f->r, "after the commit");
    restart(f);
    check_model(&m, f->s, f->r, "after a restart");
}

static void random_changes(void **state)
{
    struct fx *f = *state;
    const char *given = getenv("CONFORM_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261128;
    struct model *now = malloc(sizeof *now), *durable = malloc(sizeof *durable);

    assert_true(now && durable);
    print_message("CONFORM_SEED=%llu\n", (unsigned long long)seed);
    model_start(now);
    *durable = *now;
    for (unsigned round = 0; round < 150; round++) {
        unsigned n = (unsigned)(tw_splitmix64(&seed) % 8), fate = (unsigned)(tw_splitmix64(&seed) % 10);
        CHECK_OK(store_begin(f->s, &test_err));
        for (unsigned i = 0; i < n; i++)
            if (!model_change(now, &seed, f->s))
                fail_msg("%s", test_err.text);
        if (fate == 0) {
            store_rollback(f->s);
            *now = *durable;
        } else if (fate == 1) {
            restart(f);
            *now = *durable;
        } else {
            CHECK_OK(store_commit(f->s, &test_err));
            *durable = *now;
        }
        if (fate < 4)
            check_model(now, f->s, f->r, "a round later");
        if (fate == 2)
            restart(f);
    }
    restart(f);
    check_model(now, f->s, f->r, "at the end");
    assert_true(now->n_pairs > 3 && now->generation > 5 && now->audit > 5 &&
                now->n_absences > 2); /* there is something to compare */
    free(now);
    free(durable);
}

int conform_control(const struct control_backend *b)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_number_is_never_another_agent_s, setup, teardown),
        cmocka_unit_test_setup_teardown(names_can_be_exchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(generations_know_what_they_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_committed_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_transaction_may_be_large, setup, teardown),
        cmocka_unit_test_setup_teardown(random_changes, setup, teardown),
    };

    backend = b;
    return cmocka_run_group_tests_name(b->name, tests, NULL, NULL);
}
