/* Changes of thousands of pairs: taken over in pieces of the loop, between which all is as before; who comes
 * meanwhile waits in order. */
#include "tests/unit/controller/fixture.h"
#include "controller/change_priv.h"

#define PAIRS 3500 /* more than three pieces take */
#define SMALL "mesh: small\ntopology: full\nmembers: [a, b]\nclasses: { c: {} }\n"

/* Looks at everything whenever something else may run, too. */
struct spy {
    struct loop_task task;
    struct fixture *f;
    uint64_t before;     /* generation */
    unsigned in_between; /* times that it looked while the change was being taken over */
    bool stops;          /* it goes no further then */
    bool left, over;
};

static size_t scheduled(const struct fixture *f)
{
    const struct pair_table *t = &f->c->inv.pairs;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += pair_table_at(t, i)->scheduled;
    return n;
}

static void look(struct loop_task *t)
{
    struct spy *s = t->ctx;
    struct fixture *f = s->f;

    if (f->c->changes->taking) {
        s->in_between++;
        assert_int_equal(f->c->inv.generation, s->before);
        assert_int_equal(scheduled(f), 0);
        assert_int_equal(inventory_agent(&f->c->inv, "a")->sessions, 0);
        assert_null(inventory_mesh(&f->c->inv, "large"));
        s->left = s->stops;
        if (s->stops)
            loop_unpost(f->loop, &f->c->changes->take_task);
    }
    if (!s->left && !s->over)
        loop_post(f->loop, t);
}

static void spy_begin(struct spy *s, struct fixture *f)
{
    *s = (struct spy){ .task = { .fn = look, .ctx = s }, .f = f, .before = f->c->inv.generation };
    loop_post(f->loop, &s->task);
}

static void spy_end(struct spy *s)
{
    s->over = true;
    loop_unpost(s->f->loop, &s->task);
}

/* malloc'ed */
static char *large(void)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    assert_non_null(f);
    fprintf(f, "mesh: large\ntopology: list\ntargets:\n");
    for (unsigned i = 0; i < PAIRS; i++)
        fprintf(f, "  t%u: 10.0.%u.%u\n", i, i / 250, 1 + i % 250);
    fprintf(f, "pairs:\n");
    for (unsigned i = 0; i < PAIRS; i++)
        fprintf(f, "  - [a, t%u]\n", i);
    fprintf(f, "classes: { c: { spacing: 1s, report_period: 60s, timeout: 1s } }\n");
    fclose(f);
    return text;
}

/* What came of it, and as which one. */
struct ended {
    unsigned *count, place;
    enum tw_rc rc;
    uint64_t generation;
};

static void done(void *ctx, const struct change_result *r)
{
    struct ended *e = ctx;

    e->place = ++*e->count;
    e->rc = r->status ? TW_EIO : TW_OK;
    if (r->status)
        fprintf(stderr, "%s\n", r->err.text);
    e->generation = r->generation;
}

static void submit(struct fixture *f, enum change_kind kind, const char *name, const char *document,
                   struct ended *e)
{
    struct change_request rq = { .kind = kind,
                                 .name = name,
                                 .file = document ? "x.yaml" : NULL,
                                 .document = document,
                                 .force = true,
                                 .done = done,
                                 .ctx = e };

    assert_int_equal(change_submit(f->c->changes, &rq), TW_OK);
}

static void others_have_their_turn_and_changes_wait(void **state)
{
    struct fixture *f = *state;
    unsigned count = 0;
    struct ended e[3] = { { .count = &count }, { .count = &count }, { .count = &count } };
    char *document = large();
    struct spy s;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    spy_begin(&s, f);
    submit(f, CHANGE_APPLY, NULL, document, &e[0]);
    submit(f, CHANGE_APPLY, NULL, SMALL, &e[1]);
    submit(f, CHANGE_DELETE, "large", NULL, &e[2]);
    WAIT(count >= 1);
    spy_end(&s);
    assert_true(s.in_between >= 3);
    assert_int_equal(e[0].generation, s.before + 1);
    WAIT(count == 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(e[i].rc, TW_OK);
        assert_int_equal(e[i].place, i + 1);
    }
    assert_true(e[0].generation < e[1].generation && e[1].generation < e[2].generation);
    assert_int_equal(scheduled(f), 2);
    WAIT(inventory_agent(&f->c->inv, "a")->acked_current && inventory_agent(&f->c->inv, "b")->acked_current);
    free(document);
}

/* What is worked out ahead is what a controller that loads it works out. */
static void a_stop_in_the_middle_loses_nothing(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[AGENT_DIGEST_LEN];
    unsigned count = 0;
    struct ended e = { .count = &count };
    char *document = large();
    struct spy s;

    bring_up(f, "a", "127.0.0.1");
    spy_begin(&s, f);
    s.stops = true;
    submit(f, CHANGE_APPLY, NULL, document, &e);
    WAIT(s.left);
    assert_int_equal(count, 0);
    spy_end(&s);
    stop_controller(f);
    assert_int_equal(count, 1); /* it is durable, and so it has happened */
    assert_int_equal(e.rc, TW_OK);
    assert_int_equal(e.generation, s.before + 1);
    start_controller(f);
    assert_int_equal(f->c->inv.generation, s.before + 1);
    assert_int_equal(scheduled(f), PAIRS);
    memcpy(digest, inventory_agent(&f->c->inv, "a")->digest, sizeof digest);
    WAIT(f->op);
    submit(f, CHANGE_PAUSE, "large", NULL, &e);
    WAIT(count == 2);
    assert_int_equal(scheduled(f), 0);
    submit(f, CHANGE_RESUME, "large", NULL, &e);
    WAIT(count == 3);
    assert_int_equal(scheduled(f), PAIRS);
    assert_memory_equal(digest, inventory_agent(&f->c->inv, "a")->digest, sizeof digest);
    free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_have_their_turn_and_changes_wait, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_stop_in_the_middle_loses_nothing, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
