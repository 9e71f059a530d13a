/* What another controller did with tens of thousands of pairs comes to memory in pieces of the loop, of which
 * none looks at more than a few thousand: counted, not timed. Others have their turn between two of them. */
#include "tests/unit/controller/fixture.h"
#include "controller/change_priv.h"
#include "controller/enrolment.h"
#include "controller/follow.h"
#include "controller/schedule_priv.h"
#include "db/store_join.h"

#define AGENTS 120
#define PAIRS (AGENTS * (AGENTS - 1)) /* 14,280 */
#define MOST 2000                     /* looks in a piece */

/* ---- What a piece does ---- */

static struct counts {
    unsigned pieces, turns; /* of what is wanted; of others, meanwhile */
    size_t rows, sums, most_rows, most_sums;
} counts;

static bool small_pieces; /* far smaller than they are */

enum tw_rc __real_wanting_go_on(struct wanting *g, size_t *left, struct wanted *ret);
enum tw_rc __wrap_wanting_go_on(struct wanting *g, size_t *left, struct wanted *ret);
uint32_t __real_inventory_pair_row(const struct inventory *inv, const struct store_pair *row);
uint32_t __wrap_inventory_pair_row(const struct inventory *inv, const struct store_pair *row);
enum tw_rc __real_summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                              struct digest_sum *ret);
enum tw_rc __wrap_summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                              struct digest_sum *ret);

enum tw_rc __wrap_wanting_go_on(struct wanting *g, size_t *left, struct wanted *ret)
{
    size_t few = 1;

    counts.pieces++;
    return __real_wanting_go_on(g, small_pieces ? &few : left, ret);
}

uint32_t __wrap_inventory_pair_row(const struct inventory *inv, const struct store_pair *row)
{
    counts.rows++;
    return __real_inventory_pair_row(inv, row);
}

enum tw_rc __wrap_summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                              struct digest_sum *ret)
{
    counts.sums++;
    return __real_summer_pair(s, w, id, slot, ret);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- What is stored ---- */

static void put_agent(struct store *s, unsigned i)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    struct store_agent a = { .approved = true, .approved_ns = 1, .first_seen_ns = 1, .software = "test" };
    char address[32], *addresses[] = { address };

    snprintf(a.name, sizeof a.name, "a%03u", i);
    snprintf(address, sizeof address, "10.0.%u.1", i);
    a.public_key[0] = (uint8_t)(i + 1);
    rq.n_addresses = 1;
    rq.addresses = addresses;
    rq.reflector_port = 862;
    a.enrolment = enrolment_to_json(&rq, "");
    assert_int_equal(store_put_agent(s, &a, NULL), TW_OK);
    free(a.enrolment);
}

static void put_pair(struct store *s, unsigned from, unsigned to)
{
    char source[16], target[16];
    struct store_pair p = { .mesh = "all", .class_name = "x", .source = source, .target = target };

    snprintf(source, sizeof source, "a%03u", from);
    snprintf(target, sizeof target, "a%03u", to);
    assert_int_equal(store_put_pair(s, &p, NULL), TW_OK);
}

/* The controller of the fixture, on a store that has the agents, and their pairs from a time before. */
static void begin(struct fixture *f)
{
    struct tw_err err = { 0 };
    struct store *s;
    char *path = strdup(f->c->db_path);

    assert_non_null(path);
    stop_controller(f);
    assert_int_equal(store_open(path, &s, &err), TW_OK);
    assert_int_equal(store_begin(s, &err), TW_OK);
    for (unsigned i = 0; i < AGENTS; i++)
        put_agent(s, i);
    for (unsigned i = 0; i < AGENTS; i++)
        for (unsigned k = 0; k < AGENTS; k++)
            if (i != k)
                put_pair(s, i, k);
    assert_int_equal(store_commit(s, &err), TW_OK);
    store_close(s);
    free(path);
    f->shared = true;
    start_controller(f);
}

/* ---- What another controller does ---- */

struct other_job {
    struct writer_job job; /* first */
    bool removes, done;    /* else it applies the mesh */
};

static enum tw_rc run_other(struct writer_job *j, struct store *s, struct tw_err *err)
{
    static const char document[] = "mesh: all\ntopology: full\ngroups: { all: { select: \"*\" } }\n"
                                   "members: [\"@all\"]\nclasses: { x: {} }\n";
    bool removes = ((struct other_job *)j)->removes;
    struct store_mesh m = {
        .name = "all", .document = document, .generation = 1, .changed_ns = 1, .author = "a"
    };
    struct store_generation g = {
        .number = removes ? 2 : 1, .time_ns = 1, .author = "a", .what = "w", .reason = ""
    };
    enum tw_rc rc = removes ? store_remove_agent(s, 1, err) : store_put_mesh(s, &m, err);

    return rc == TW_OK ? store_put_generation(s, &g, err) : rc;
}

static void other_done(struct writer_job *j)
{
    ((struct other_job *)j)->done = true;
}

/* ---- Who has a turn meanwhile ---- */

struct other {
    struct loop_task task;
    struct fixture *f;
    uint64_t generation; /* until all of it is taken over */
    size_t scheduled;    /* of agent a001 */
    unsigned stop_after; /* pieces of what is wanted; 0: never */
    bool stopped, over;
};

static void have_a_turn(struct loop_task *t)
{
    struct other *o = t->ctx;
    struct controller *c = o->f->c;

    counts.most_rows = larger(counts.most_rows, counts.rows);
    counts.most_sums = larger(counts.most_sums, counts.sums);
    counts.rows = counts.sums = 0;
    if (!follow_is_even(c) && counts.pieces) {
        counts.turns++;
        assert_false(change_hold(c->changes));
        assert_int_equal(c->inv.generation, o->generation);
        assert_int_equal(inventory_agent(&c->inv, "a001")->pairs, o->scheduled);
        o->stopped = o->stop_after && counts.pieces >= o->stop_after;
    }
    if (!o->stopped && !o->over)
        loop_post(o->f->loop, t);
    if (o->stopped)
        loop_stop(o->f->loop);
}

static void follow(struct fixture *f, struct other *o, bool removes)
{
    struct other_job j = { .job = { .run = run_other, .done = other_done, .urgent = true },
                           .removes = removes };
    const char *const keys[] = { removes ? "agent/1" : "mesh/all",
                                 removes ? "generation/2" : "generation/1" };

    o->task = (struct loop_task){ .fn = have_a_turn, .ctx = o };
    o->f = f;
    o->generation = f->c->inv.generation;
    o->scheduled = inventory_agent(&f->c->inv, "a001")->pairs;
    assert_int_equal(writer_submit(f->c->writer, &j.job), TW_OK);
    WAIT(j.done);
    counts = (struct counts){ 0 };
    loop_post(f->loop, &o->task);
    follow_changed(f->c, keys, 2);
    WAIT(o->stopped || follow_is_even(f->c));
    o->over = true;
    loop_unpost(f->loop, &o->task);
}

/* As whoever starts on this store has it. */
static void expect_as_if_loaded(struct fixture *f, size_t pairs)
{
    uint8_t digest[AGENT_DIGEST_LEN];

    memcpy(digest, inventory_agent(&f->c->inv, "a001")->digest, sizeof digest);
    assert_int_equal(inventory_agent(&f->c->inv, "a001")->pairs, pairs);
    stop_controller(f);
    start_controller(f);
    assert_int_equal(inventory_agent(&f->c->inv, "a001")->pairs, pairs);
    assert_memory_equal(digest, inventory_agent(&f->c->inv, "a001")->digest, sizeof digest);
}

/* ---- */

static void a_piece_looks_at_few_pairs(void **state)
{
    struct fixture *f = *state;
    struct other o = { 0 };

    begin(f);
    follow(f, &o, false);
    assert_int_equal(f->c->inv.generation, 1);
    assert_true(counts.most_rows > 0 && counts.most_rows <= MOST);
    assert_true(counts.most_sums > 0 && counts.most_sums <= MOST); /* and none when it was taken over */
    assert_true(counts.pieces > 5 * PAIRS / MOST);
    assert_true(counts.turns + 2 >= counts.pieces);
    expect_as_if_loaded(f, AGENTS - 1);
}

/* Which is taken out of the schedule before it goes. */
static void an_agent_goes_in_pieces(void **state)
{
    struct fixture *f = *state;
    struct other o = { 0 }, more = { 0 };

    begin(f);
    follow(f, &o, false);
    follow(f, &more, true);
    assert_int_equal(f->c->inv.generation, 2);
    assert_null(inventory_agent(&f->c->inv, "a000"));
    assert_true(counts.turns > 3 * PAIRS / MOST);
    expect_as_if_loaded(f, AGENTS - 2);
}

static void stop_while_it_is_followed(struct fixture *f, unsigned pieces)
{
    struct other o = { .stop_after = pieces };

    begin(f);
    follow(f, &o, false);
    assert_true(o.stopped);
    assert_int_equal(f->c->inv.generation, 0);
    stop_controller(f);
    small_pieces = false;
    start_controller(f);
    assert_int_equal(f->c->inv.generation, 1);
    assert_int_equal(inventory_agent(&f->c->inv, "a001")->pairs, AGENTS - 1);
}

static void a_stop_while_it_is_followed(void **state)
{
    stop_while_it_is_followed(*state, 5);
}

/* What expands a mesh borrows it. */
static void a_stop_while_a_mesh_is_expanded(void **state)
{
    small_pieces = true;
    stop_while_it_is_followed(*state, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_piece_looks_at_few_pairs, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_agent_goes_in_pieces, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_stop_while_it_is_followed, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_stop_while_a_mesh_is_expanded, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
