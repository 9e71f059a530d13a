/* Generations and the documents that meshes had in them. */
#include "tests/unit/db/db_fixture.h"
#include "db/sqlite/sq.h"

extern const struct sq_migration store_migrations[];

struct fx {
    char path[PATH_SIZE];
    struct store *s;
    struct store_reader *r;
    char text[4096];
};

static void open_both(struct fx *f)
{
    CHECK_OK(store_open(f->path, &f->s, &test_err));
    CHECK_OK(store_reader_open(f->path, &f->r, &test_err));
}

static int setup(void **state)
{
    static unsigned n;
    struct fx *f = calloc(1, sizeof *f);
    char name[32];

    snprintf(name, sizeof name, "history-%u", n++);
    in_dir(f->path, name);
    open_both(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;

    store_reader_close(f->r);
    store_close(f->s);
    free(f);
    return 0;
}

static void put(struct fx *f, const char *name, const char *document, uint64_t generation, bool paused)
{
    struct store_mesh m = {
        .document = document, .generation = generation, .paused = paused, .author = "root"
    };

    snprintf(m.name, sizeof m.name, "%s", name);
    CHECK_OK(store_put_mesh(f->s, &m, &test_err));
}

static void generation(struct fx *f, uint64_t number, uint64_t first, int64_t time_ns, const char *what)
{
    struct store_generation g = { .number = number,
                                  .first = first,
                                  .time_ns = time_ns,
                                  .author = "eve",
                                  .what = what,
                                  .reason = "ticket",
                                  .pairs = number * 10,
                                  .added = 1,
                                  .removed = 2,
                                  .changed = 3 };

    CHECK_OK(store_put_generation(f->s, &g, &test_err));
}

static char *say(struct fx *f)
{
    return f->text + strlen(f->text);
}

static enum tw_rc say_mesh(void *ctx, const struct store_mesh *m)
{
    sprintf(say(ctx), "%s=%s%s@%llu ", m->name, m->document, m->paused ? "(paused)" : "",
            (unsigned long long)m->generation);
    return TW_OK;
}

static void expect_at(struct fx *f, uint64_t number, const char *expected)
{
    f->text[0] = '\0';
    CHECK_OK(store_read_meshes_at(f->r, number, say_mesh, f, &test_err));
    if (strcmp(f->text, expected) != 0)
        fail_msg("generation %llu: \"%s\", expected \"%s\"", (unsigned long long)number, f->text, expected);
}

static enum tw_rc say_change(void *ctx, const struct store_mesh_change *c)
{
    sprintf(say(ctx), "%s:%s%s>%s%s ", c->mesh, c->before ? c->before : "-", c->was_paused ? "(paused)" : "",
            c->after ? c->after : "-", c->paused ? "(paused)" : "");
    return TW_OK;
}

static void expect_changes(struct fx *f, uint64_t number, const char *expected)
{
    f->text[0] = '\0';
    CHECK_OK(store_read_mesh_changes(f->r, number, say_change, f, &test_err));
    if (strcmp(f->text, expected) != 0)
        fail_msg("generation %llu: \"%s\", expected \"%s\"", (unsigned long long)number, f->text, expected);
}

static enum tw_rc say_generation(void *ctx, const struct store_generation *g)
{
    sprintf(say(ctx), "%llu-%llu %s %s%s", (unsigned long long)g->first, (unsigned long long)g->number,
            g->author, g->what, g->complete ? "" : " (incomplete)");
    if (g->counted)
        sprintf(say(ctx), " %s %llu+%llu-%llu~%llu", g->reason, (unsigned long long)g->pairs,
                (unsigned long long)g->added, (unsigned long long)g->removed, (unsigned long long)g->changed);
    strcat(say(ctx), "; ");
    return TW_OK;
}

static void expect_list(struct fx *f, uint64_t before, uint64_t limit, const char *expected)
{
    f->text[0] = '\0';
    CHECK_OK(store_read_generations(f->r, before, limit, say_generation, f, &test_err));
    if (strcmp(f->text, expected) != 0)
        fail_msg("\"%s\", expected \"%s\"", f->text, expected);
}

/* core is changed, paused and resumed, edge comes and goes. */
static void tell_story(struct fx *f)
{
    put(f, "core", "A", 1, false);
    generation(f, 1, 0, 100, "apply core");
    put(f, "core", "B", 2, false);
    put(f, "edge", "A", 2, false);
    generation(f, 2, 0, 200, "apply core, edge");
    put(f, "core", "B", 3, true);
    generation(f, 3, 0, 300, "pause core");
    CHECK_OK(store_remove_mesh(f->s, "edge", 4, &test_err));
    generation(f, 4, 0, 400, "delete edge");
    put(f, "core", "A", 5, false);
    generation(f, 5, 0, 500, "rollback to generation 1");
}

static void each_generation_is_whole(void **state)
{
    struct fx *f = *state;

    tell_story(f);
    expect_at(f, 1, "core=A@1 ");
    expect_at(f, 2, "core=B@2 edge=A@2 ");
    expect_at(f, 3, "core=B(paused)@3 edge=A@2 ");
    expect_at(f, 4, "core=B(paused)@3 ");
    expect_at(f, 5, "core=A@5 ");
    expect_changes(f, 1, "core:->A ");
    expect_changes(f, 2, "core:A>B edge:->A ");
    expect_changes(f, 3, "core:B>B(paused) ");
    expect_changes(f, 4, "edge:A>- ");
    expect_changes(f, 5, "core:B(paused)>A ");
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM document"), 2); /* by content */
    expect_list(f, 0, 2,
                "5-5 eve rollback to generation 1 ticket 50+1-2~3; 4-4 eve delete edge ticket 40+1-2~3; ");
    expect_list(f, 2, 100, "1-1 eve apply core ticket 10+1-2~3; ");
}

static void the_fleet_shares_a_row(void **state)
{
    struct fx *f = *state;
    struct tw_err err;

    put(f, "core", "A", 1, false);
    generation(f, 1, 0, 100, "apply core");
    generation(f, 2, 2, 200, "approve agent a");
    generation(f, 3, 2, 300, "approve agents a, b");
    generation(f, 4, 2, 400, "approve agents a, b, c");
    expect_list(f, 0, 9,
                "2-4 eve approve agents a, b, c ticket 40+1-2~3; 1-1 eve apply core ticket 10+1-2~3; ");
    for (uint64_t n = 2; n <= 4; n++) {
        f->text[0] = '\0';
        CHECK_OK(store_read_generation(f->r, n, say_generation, f, &test_err));
        assert_string_equal(f->text, "2-4 eve approve agents a, b, c ticket 40+1-2~3; ");
        expect_at(f, n, "core=A@1 ");
    }
    assert_int_equal(store_read_generation(f->r, 5, say_generation, f, &err), TW_ENOENT);
    assert_non_null(strstr(err.text, "generation 5"));
    assert_int_equal(store_read_generation(f->r, UINT64_MAX, say_generation, f, &err), TW_ENOENT);
}

/* What is kept can be gone back to as before, whatever has gone. */
static void retention_keeps_the_rest_whole(void **state)
{
    struct fx *f = *state;
    struct tw_err err;

    tell_story(f);
    CHECK_OK(store_retain_history(f->s, 400, &test_err));
    expect_list(f, 0, 9,
                "5-5 eve rollback to generation 1 ticket 50+1-2~3; 4-4 eve delete edge ticket 40+1-2~3; ");
    expect_at(f, 4, "core=B(paused)@3 ");
    expect_at(f, 5, "core=A@5 ");
    assert_int_equal(store_read_generation(f->r, 3, say_generation, f, &err), TW_ENOENT);
    CHECK_OK(store_retain_history(f->s, 10000, &test_err));
    expect_list(f, 0, 9, "5-5 eve rollback to generation 1 ticket 50+1-2~3; ");
    expect_at(f, 5, "core=A@5 ");
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM document"), 1);
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM mesh_version"), 1);
}

/* What is rolled back leaves nothing. */
static void a_transaction_is_whole(void **state)
{
    struct fx *f = *state;

    tell_story(f);
    CHECK_OK(store_begin(f->s, &test_err));
    put(f, "core", "C", 6, false);
    CHECK_OK(store_remove_mesh(f->s, "core", 7, &test_err));
    generation(f, 6, 0, 600, "apply core");
    store_rollback(f->s);
    expect_at(f, 5, "core=A@5 ");
    expect_at(f, 9, "core=A@5 ");
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM document"), 2);
}

/* A database of the release before this history. */
static void an_old_database_gets_a_history(void **state)
{
    struct fx *f = *state;
    uint64_t last = 0;

    store_reader_close(f->r);
    store_close(f->s);
    in_dir(f->path, "old");
    sql(f->path, store_migrations[0].sql);
    sql(f->path, "PRAGMA application_id = 0x74776d68; PRAGMA user_version = 1;"
                 "INSERT INTO generation VALUES (1, 10, 'root', 'apply core'), (2, 20, 'root', 'apply edge'),"
                 " (3, 30, 'eve', 'apply core');"
                 "INSERT INTO mesh VALUES ('core', 'B', 0, 3, 30, 'eve'), ('edge', 'A', 1, 2, 20, 'root')");
    open_both(f);
    CHECK_OK(store_last_generation(f->s, &last, &test_err));
    assert_int_equal(last, 3);
    expect_list(f, 0, 9,
                "3-3 eve apply core; 2-2 root apply edge (incomplete); 1-1 root apply core (incomplete); ");
    expect_at(f, 3, "core=B@3 edge=A(paused)@2 ");
    put(f, "core", "C", 4, false);
    generation(f, 4, 0, 40, "apply core");
    expect_changes(f, 4, "core:B>C ");
    expect_at(f, 3, "core=B@3 edge=A(paused)@2 ");
    expect_at(f, 4, "core=C@4 edge=A(paused)@2 ");
    store_reader_close(f->r);
    store_close(f->s);
    open_both(f); /* it is migrated once */
    expect_at(f, 4, "core=C@4 edge=A(paused)@2 ");
}

static enum tw_rc note_time(void *ctx, const struct store_time *t)
{
    *(struct store_time *)ctx = *t;
    return TW_OK;
}

/* What operators had said of agents is what reports went by so far. */
static void an_old_database_keeps_maintenance(void **state)
{
    struct fx *f = *state;
    struct store_time t = { 0 };
    char text[96];
    int n = 0;

    store_reader_close(f->r);
    store_close(f->s);
    in_dir(f->path, "older");
    for (; !strstr(store_migrations[n].sql, "CREATE TABLE agent_maintenance"); n++)
        sql(f->path, store_migrations[n].sql);
    snprintf(text, sizeof text, "PRAGMA application_id = 0x74776d68; PRAGMA user_version = %d;", n);
    sql(f->path, text);
    sql(f->path,
        "INSERT INTO agent (name, public_key, approved, first_seen_ns, approved_ns, last_contact_ns, software, ops)"
        " VALUES ('a', x'00', 1, 1, 1, 1, '', '{\"maintenance\":[{\"from_ns\":\"1700000000000000001\","
        "\"to_ns\":\"1700000000000000009\",\"author\":\"\",\"reason\":\"\"}]}'),"
        " ('b', x'01', 1, 1, 1, 1, '', NULL)");
    open_both(f);
    CHECK_OK(store_read_maintenance(f->r, "a", 0, INT64_MAX, note_time, &t, &test_err));
    assert_int_equal(t.from_ns, INT64_C(1700000000000000001));
    assert_int_equal(t.to_ns, INT64_C(1700000000000000009));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(each_generation_is_whole),       WITH_STORE(the_fleet_shares_a_row),
        WITH_STORE(retention_keeps_the_rest_whole), WITH_STORE(a_transaction_is_whole),
        WITH_STORE(an_old_database_gets_a_history), WITH_STORE(an_old_database_keeps_maintenance),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
