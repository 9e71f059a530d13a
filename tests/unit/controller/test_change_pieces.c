/* Changes of a hundred thousand pairs are prepared in pieces of the loop, of which none looks at more than a
 * few thousand pairs: counted, not timed. Who else is there has a turn between two of them. */
#include "tests/unit/controller/fixture.h"
#include "controller/change_priv.h"
#include "controller/core/mesh_links.h"
#include "controller/enrolment.h"
#include "controller/inventory.h"
#include "controller/schedule_priv.h"

#define AGENTS 317
#define PAIRS (AGENTS * (AGENTS - 1)) /* 100,172 */
#define MOST 2000                     /* looks in a piece */
#define FULL "topology: full\ngroups: { all: { select: \"site=ams\" } }\nmembers: [\"@all\"]\n"

/* ---- What a piece does ---- */

static struct counts {
    unsigned pieces, turns; /* of preparing; of others, meanwhile */
    size_t rows, links, sums, listed, most_rows, most_links, most_sums, most_listed;
} counts;

enum tw_rc __real_change_prepare_some(struct change *ch, size_t *left);
enum tw_rc __wrap_change_prepare_some(struct change *ch, size_t *left);
uint32_t __real_inventory_pair_row(const struct inventory *inv, const struct store_pair *row);
uint32_t __wrap_inventory_pair_row(const struct inventory *inv, const struct store_pair *row);
enum tw_rc __real_links_push(struct links *l, uint32_t source, uint32_t target);
enum tw_rc __wrap_links_push(struct links *l, uint32_t source, uint32_t target);
enum tw_rc __real_summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                              struct digest_sum *ret);
enum tw_rc __wrap_summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                              struct digest_sum *ret);

enum tw_rc __real_plan_costs_add(struct plan_costs *s, const struct mesh_pairs *pairs, bool ipv6, size_t *at,
                                 size_t *left);
enum tw_rc __wrap_plan_costs_add(struct plan_costs *s, const struct mesh_pairs *pairs, bool ipv6, size_t *at,
                                 size_t *left);
enum tw_rc __real_plan_walk_go_on(struct plan_walk *w, size_t *left);
enum tw_rc __wrap_plan_walk_go_on(struct plan_walk *w, size_t *left);
void __real_wanted_compare_change(const struct inventory *inv, const struct wanted *w,
                                  const struct wanted_change *c, struct wanted_diff *d);
void __wrap_wanted_compare_change(const struct inventory *inv, const struct wanted *w,
                                  const struct wanted_change *c, struct wanted_diff *d);

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

enum tw_rc __wrap_change_prepare_some(struct change *ch, size_t *left)
{
    enum tw_rc rc;

    assert_true(*left <= MOST);
    counts.rows = counts.links = counts.sums = counts.listed = 0;
    rc = __real_change_prepare_some(ch, left);
    assert_true(rc != TW_EAGAIN || !*left);
    counts.pieces++;
    counts.most_rows = larger(counts.most_rows, counts.rows);
    counts.most_links = larger(counts.most_links, counts.links);
    counts.most_sums = larger(counts.most_sums, counts.sums);
    counts.most_listed = larger(counts.most_listed, counts.listed);
    return rc;
}

enum tw_rc __wrap_plan_costs_add(struct plan_costs *s, const struct mesh_pairs *pairs, bool ipv6, size_t *at,
                                 size_t *left)
{
    size_t was_at = *at, was_left = *left;
    enum tw_rc rc = __real_plan_costs_add(s, pairs, ipv6, at, left);

    assert_int_equal(*at - was_at, was_left - *left);
    return rc;
}

enum tw_rc __wrap_plan_walk_go_on(struct plan_walk *w, size_t *left)
{
    size_t was_at = w->a, was_left = *left;
    enum tw_rc rc = __real_plan_walk_go_on(w, left);

    assert_int_equal(w->a - was_at, was_left - *left); /* there is nothing before */
    return rc;
}

void __wrap_wanted_compare_change(const struct inventory *inv, const struct wanted *w,
                                  const struct wanted_change *c, struct wanted_diff *d)
{
    counts.listed++;
    __real_wanted_compare_change(inv, w, c, d);
}

uint32_t __wrap_inventory_pair_row(const struct inventory *inv, const struct store_pair *row)
{
    counts.rows++;
    return __real_inventory_pair_row(inv, row);
}

enum tw_rc __wrap_links_push(struct links *l, uint32_t source, uint32_t target)
{
    counts.links++;
    return __real_links_push(l, source, target);
}

enum tw_rc __wrap_summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                              struct digest_sum *ret)
{
    counts.sums++;
    return __real_summer_pair(s, w, id, slot, ret);
}

/* ---- Agents, of which the store knows nothing: nothing of them is stored here ---- */

static void enrol(struct agent *a, unsigned i)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    Tw__Label site = TW__LABEL__INIT, *labels[] = { &site };
    char address[32], *addresses[] = { address };

    snprintf(address, sizeof address, "10.0.%u.%u", i / 250, 1 + i % 250);
    site.key = (char *)"site";
    site.value = (char *)"ams";
    rq.labels = labels;
    rq.n_labels = 1;
    rq.addresses = addresses;
    rq.n_addresses = 1;
    if (a->enrolment)
        tw__enrol_request__free_unpacked(a->enrolment, NULL);
    a->enrolment = message_clone(&rq.base);
    assert_non_null(a->enrolment);
    assert_int_equal(agent_refresh(a), TW_OK);
}

static void add_agents(struct fixture *f)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        struct store_agent row = { .id = 1000 + i, .approved = true };
        struct agent *a;

        snprintf(row.name, sizeof row.name, "n%03u", i);
        a = inventory_add_agent(&f->c->inv, &row);
        assert_non_null(a);
        enrol(a, i);
    }
}

/* ---- Who has a turn meanwhile ---- */

struct other {
    struct loop_task task;
    struct fixture *f;
    bool stops; /* in the middle of this step: */
    enum change_step step;
    bool stopped, over;
};

static void have_a_turn(struct loop_task *t)
{
    struct other *o = t->ctx;
    struct changes *s = o->f->c->changes;

    if (s->preparing) {
        counts.turns++;
        assert_true(s->busy);
        assert_false(change_hold(s));
        assert_null(inventory_mesh(&o->f->c->inv, "large"));
        if (counts.turns % 16 == 0) /* what the roster had of it goes */
            enrol(inventory_agent(&o->f->c->inv, "n007"), 7 + counts.turns);
        o->stopped = o->stops && s->preparing->step == o->step &&
                     (o->step != CHANGE_LIST || s->preparing->n_listed > PAIRS / 2);
    }
    if (o->stopped)
        loop_unpost(o->f->loop, &s->prepare_task);
    else if (!o->over)
        loop_post(o->f->loop, t);
}

static void begin_turns(struct other *o, struct fixture *f)
{
    *o = (struct other){ .task = { .fn = have_a_turn, .ctx = o }, .f = f };
    counts = (struct counts){ 0 };
    loop_post(f->loop, &o->task);
}

static void end_turns(struct other *o)
{
    o->over = true;
    loop_unpost(o->f->loop, &o->task);
}

struct ended {
    unsigned n;
    Tw__Status status;
    struct tw_err err;
    bool over_budget, in_document;
    uint64_t generation, pairs, added;
};

static void done(void *ctx, const struct change_result *r)
{
    struct ended *e = ctx;

    e->n++;
    e->status = r->status;
    e->err = r->err;
    e->over_budget = r->over_budget;
    e->in_document = r->in_document;
    e->generation = r->generation;
    e->pairs = r->plan ? r->plan->pairs : 0;
    e->added = r->plan ? r->plan->diff.added : 0;
}

static void submit(struct fixture *f, const char *document, bool plan_only, struct ended *e)
{
    struct change_request rq = { .kind = CHANGE_APPLY,
                                 .file = "x.yaml",
                                 .document = document,
                                 .plan_only = plan_only,
                                 .force = true,
                                 .done = done,
                                 .ctx = e };

    assert_int_equal(change_submit(f->c->changes, &rq), TW_OK);
}

/* ---- */

static void a_piece_looks_at_few_pairs(void **state)
{
    struct fixture *f = *state;
    struct ended large = { 0 }, small = { 0 };
    struct other o;

    add_agents(f);
    begin_turns(&o, f);
    submit(f, "mesh: large\n" FULL "classes: { c: {} }\n", true, &large);
    submit(f, "mesh: small\ntopology: list\npairs: [[n001, n002]]\nclasses: { c: {} }\n", true, &small);
    assert_int_equal(large.n + small.n, 0);
    WAIT(large.n);
    end_turns(&o);
    assert_int_equal(large.status, 0);
    assert_int_equal(large.pairs, PAIRS);
    assert_int_equal(large.added, PAIRS);
    assert_int_equal(small.n, 1); /* in its turn, and at once */
    assert_int_equal(small.pairs, 1);
    assert_true(counts.most_rows > 0 && counts.most_rows <= MOST);
    assert_true(counts.most_links > 0 && counts.most_links <= MOST);
    assert_true(counts.pieces > 5 * PAIRS / MOST);
    assert_true(counts.turns + 4 >= counts.pieces); /* the first one is that of submit() */
}

static void stop_in(struct fixture *f, enum change_step step)
{
    struct ended e[2] = { 0 };
    uint64_t before;
    struct other o;

    add_agents(f);
    before = f->c->inv.generation;
    begin_turns(&o, f);
    o.stops = true;
    o.step = step;
    submit(f, "mesh: large\n" FULL "classes: { c: {} }\n", false, &e[0]);
    submit(f, "mesh: small\ntopology: list\npairs: [[n001, n002]]\nclasses: { c: {} }\n", false, &e[1]);
    WAIT(o.stopped);
    end_turns(&o);
    stop_controller(f);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(e[i].n, 1);
        assert_int_equal(e[i].status, TW__STATUS__STATUS_UNAVAILABLE);
    }
    start_controller(f);
    assert_int_equal(f->c->inv.generation, before);
    assert_null(f->c->inv.meshes);
}

/* Nothing of it is stored. */
static void a_stop_while_it_is_prepared(void **state)
{
    stop_in(*state, CHANGE_WANT);
    stop_in(*state, CHANGE_PLAN);
    stop_in(*state, CHANGE_LIST);
    assert_true(counts.most_listed > 0 && counts.most_listed <= MOST);
}

/* After all of its pairs are known, at the latest; and the next one goes on. */
static void a_refusal_of_what_is_half_prepared(void **state)
{
    static char many[4096];
    struct fixture *f = *state;
    struct ended many_pairs = { 0 }, many_sessions = { 0 }, small = { 0 };
    struct other o;
    size_t len;

    len = (size_t)snprintf(many, sizeof many, "mesh: large\n" FULL "classes:\n");
    for (unsigned i = 0; i < 1 + MESH_PAIRS_MAX / PAIRS; i++)
        len += (size_t)snprintf(many + len, sizeof many - len, "  c%u: {}\n", i);
    add_agents(f);
    begin_turns(&o, f);
    submit(f, many, false, &many_pairs);
    WAIT(many_pairs.n);
    assert_true(counts.turns > PAIRS / MOST);
    assert_true(many_pairs.in_document);
    assert_int_equal(many_pairs.status, TW__STATUS__STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(many_pairs.err.text, "are more than 4000000 pairs"));
    submit(f, "mesh: large\n" FULL "classes: { c: { flows: 32, spacing: 1s } }\n", false, &many_sessions);
    submit(f, "mesh: small\ntopology: list\npairs: [[n001, n002]]\nclasses: { c: {} }\n", true, &small);
    WAIT(many_sessions.n);
    end_turns(&o);
    assert_true(many_sessions.over_budget);
    assert_int_equal(many_sessions.pairs, PAIRS);
    assert_int_equal(small.n, 1);
    assert_int_equal(small.status, 0);
    assert_true(change_hold(f->c->changes));
    change_release(f->c->changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_piece_looks_at_few_pairs, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_stop_while_it_is_prepared, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_refusal_of_what_is_half_prepared, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
