/* A schedule that is altered step by step is the same as one made from scratch, and agents that are sent only
 * differences run the same as if they had been sent all. Random joins, leaves, drains, renames, other
 * addresses and abilities, documents, times and pauses; the seed is printed when something is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "agent/schedule_merge.h"
#include "common/net/rpc.h"
#include "controller/enrolment.h"
#include "controller/schedule.h"
#include "tests/unit/common/rng.h"

#define AGENTS 9
#define STEPS 1000
#define MESHES 4

/* What an agent outside has: the list that it was sent last and has taken. */
struct model {
    Tw__ScheduleRequest *has;   /* NULL: nothing yet */
    Tw__ScheduleRequest *taken; /* and this, of which the controller does not know */
};
struct world {
    struct inventory inv;
    struct model models[AGENTS];
    char names[AGENTS][16]; /* "": is not there */
    unsigned renames;
    uint64_t rng;
    unsigned forgotten;
    unsigned deltas, lists;
    bool disturbed; /* agents became others while the schedule was made */
};

static const char *const first_names[AGENTS] = {
    "ams", "ber", "cph", "dub", "edi", "fra", "gva", "hel", "ist"
};

/* Texts of meshes; the first of each row is the name. Some name agents that may not be there. */
static const char *const documents[MESHES][3] = {
    { "mesh: full\ntopology: full\nmembers: [ams, ber, cph, dub, edi]\nclasses: { voice: { spacing: 20ms, "
      "flows: 2 } }\n",
      "mesh: full\ntopology: full\nmembers: [ams, ber, cph, dub, edi, fra, gva, hel, ist]\n"
      "classes: { voice: { spacing: 20ms, flows: 2 }, bulk: { size: 1000 } }\n",
      "mesh: full\ntopology: full\nmembers: [cph, dub, edi, fra]\nexclude: [[cph, dub]]\n"
      "classes: { bulk: { size: 1000 }, voice: { spacing: 20ms, flows: 3, report_period: 30s } }\n" },
    { "mesh: hubs\ntopology: hub-spoke\nhubs: [ams]\nspokes: [gva, hel, ist, r1]\ntargets: { r1: 192.0.2.77 "
      "}\n"
      "classes: { a: { size: imix }, b: { protocol: twamp } }\n",
      "mesh: hubs\ntopology: hub-spoke\nhubs: [ams, ber]\nspokes: [gva, hel, ist, r1]\ntargets: { r1: "
      "192.0.2.78 }\n"
      "classes: { a: { size: imix } }\n",
      "mesh: hubs\ntopology: hub-spoke\nhubs: [ber]\nspokes: [gva, r2]\ntargets: { r2: 192.0.2.77 "
      "}\nclasses: { a: {} }\n" },
    { "mesh: list\ntopology: list\npairs: [[ams, ber], [ber, ams], [hel, ist]]\nclasses: { x: { protocol: "
      "stamp } }\n",
      "mesh: list\ntopology: list\npairs: [[ams, ber], [hel, ist], [ist, hel]]\nclasses: { x: { protocol: "
      "stamp } }\n",
      "mesh: list\ntopology: list\npairs: [[ams, z]]\ntargets: { z: \"2001:db8::9\" }\nclasses: { y: {} "
      "}\n" },
    /* Renamed agents are in no other; drained ones are not in this. */
    { "mesh: all\ntopology: full\ngroups: { all: { select: \"*\", allow_empty: true } }\nmembers: [all, m]\n"
      "targets: { m: 192.0.2.99 }\nclasses: { b: {}, t: { schedule: { every: 5m, for: 10s } } }\n",
      "mesh: all\ntopology: full\ngroups: { all: { select: \"*\", allow_empty: true } }\nmembers: [all, m]\n"
      "targets: { m: 192.0.2.99 }\nclasses: { b: { schedule: { every: 1h, for: 10s } }, t: { flows: 2, "
      "schedule: { "
      "every: 5m, for: 10s } } }\n",
      "mesh: all\ntopology: full\ngroups: { all: { select: \"*\", allow_empty: true } }\nmembers: [all, l]\n"
      "targets: { l: 192.0.2.99 }\nclasses: { t: {} }\nmaintenance: [{ from: 2027-01-01, to: 2027-01-02, "
      "reason: move, probes: continue }]\n" },
};

static void forget(void *ctx, struct pair *p)
{
    (void)p;
    ((struct world *)ctx)->forgotten++;
}

/* ---- As change.c does ---- */

static void add_new_pairs(struct inventory *inv, const struct wanted *w)
{
    for (size_t i = 0; i < w->n_changes; i++) {
        struct wanted_pair p;
        struct store_pair row;

        if (w->changes[i].row != PAIR_NEW)
            continue;
        wanted_change_pair(w, &w->changes[i], &p);
        row = (struct store_pair){
            .mesh = p.mesh->name, .class_name = p.class_->name, .source = p.source, .target = p.target
        };
        row.id = store_pair_id(&row);
        while (inventory_pair(inv, row.id)) /* of a pair that had these names once; the store does alike */
            row.id++;
        assert_non_null(inventory_add_pair(inv, &row));
    }
}

static void put_mesh(struct inventory *inv, const char *text, bool paused)
{
    struct tw_err err = { 0 };
    struct mesh *m = NULL;
    struct store_mesh row = { .document = text, .author = "test", .paused = paused };

    if (mesh_doc_parse("test", text, strlen(text), &m, &err) != TW_OK)
        fail_msg("mesh: %s", err.text);
    snprintf(row.name, sizeof row.name, "%s", m->name);
    assert_int_equal(inventory_put_mesh(inv, &row, m), TW_OK);
}

/* ---- Steps ---- */

static void random_enrolment(struct world *w, struct agent *a)
{
    static char v6[] = "2001:db8::1", stamp[] = "stamp", shapes[] = "shapes", twamp[] = "twamp",
                stateless[] = "stateless", times[] = "times";
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    char v4[32], *addresses[] = { v4, v6 }, *able[5];
    uint64_t bits = rng_next(&w->rng);

    snprintf(v4, sizeof v4, "192.0.2.%u", (unsigned)rng_below(&w->rng, 250) + 1);
    rq.addresses = addresses + (bits & 1);
    rq.n_addresses = bits & 6 ? 1 : 2 - (bits & 1);
    if (!(bits >> 3 & 7))
        rq.n_addresses = 0; /* not to be reached */
    rq.capabilities = able;
    if (bits >> 6 & 3)
        able[rq.n_capabilities++] = shapes;
    if (bits >> 8 & 3)
        able[rq.n_capabilities++] = stamp;
    if (bits >> 10 & 3)
        able[rq.n_capabilities++] = twamp;
    if (bits >> 12 & 1)
        able[rq.n_capabilities++] = stateless;
    if (bits >> 14 & 7)
        able[rq.n_capabilities++] = times;
    rq.control_port = bits >> 13 & 1 ? 862 : 0;
    if (a->enrolment)
        tw__enrol_request__free_unpacked(a->enrolment, NULL);
    a->enrolment = message_clone(&rq.base);
    assert_non_null(a->enrolment);
}

static void drop_model(struct model *m)
{
    if (m->has)
        tw__schedule_request__free_unpacked(m->has, NULL);
    if (m->taken)
        tw__schedule_request__free_unpacked(m->taken, NULL);
    *m = (struct model){ 0 };
}

static void new_agent(struct world *w, size_t i)
{
    struct store_agent row = { .id = (int64_t)i + 1, .approved = true };
    struct agent *a;

    snprintf(w->names[i], sizeof w->names[i], "%s", first_names[i]);
    snprintf(row.name, sizeof row.name, "%s", first_names[i]);
    a = inventory_add_agent(&w->inv, &row);
    assert_non_null(a);
    random_enrolment(w, a);
}

static void drain_or_not(struct world *w, struct agent *a)
{
    struct agent_ops *ops = calloc(1, sizeof *ops);

    assert_non_null(ops);
    ops->drained.at_ns = !agent_is_drained(a);
    assert_int_equal(agent_set_ops(&w->inv, a, ops), TW_OK);
}

/* ---- A piece of a schedule at a time ---- */

/* What may happen between two pieces: agents enrol or are drained, somebody else expands the meshes. */
static void disturb(struct world *w)
{
    struct agent *a = inventory_agent(&w->inv, w->names[rng_below(&w->rng, AGENTS)]);
    struct wanted other;
    struct tw_err err;

    switch (a ? rng_below(&w->rng, 8) : 0) {
    case 0:
        assert_int_equal(wanted_build(&w->inv, &(struct overlay){ .remove = a }, &other, &err), TW_OK);
        wanted_free(&other);
        break;
    case 1:
        random_enrolment(w, a);
        w->disturbed = true;
        break;
    case 2:
        drain_or_not(w, a);
        w->disturbed = true;
        break;
    default:
        break;
    }
}

static void build(struct inventory *inv, const struct overlay *o, struct world *w, struct wanted *ret)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = TW_EAGAIN;
    struct wanting *g;

    assert_int_equal(wanting_new(inv, o, &g, &err), TW_OK);
    while (rc == TW_EAGAIN) {
        size_t left = 1 + rng_below(&w->rng, 60);

        rc = wanting_go_on(g, &left, ret);
        if (rc == TW_EAGAIN)
            disturb(w);
    }
    wanting_free(g);
    if (rc != TW_OK)
        fail_msg("wanting_go_on: %s", err.text);
}

static void adopt(struct inventory *inv, const struct overlay *o, struct world *w)
{
    struct tw_err err = { 0 };
    struct wanted wanted;

    if (inv == &w->inv)
        build(inv, o, w, &wanted);
    else if (wanted_build(inv, o, &wanted, &err) != TW_OK)
        fail_msg("wanted_build: %s", err.text);
    add_new_pairs(inv, &wanted);
    assert_int_equal(schedule_adopt(inv, &wanted, 1, forget, w), TW_OK);
    wanted_free(&wanted);
}

/* To a place before, after or between the others. */
static void rename_agent(struct world *w, size_t i, struct agent *a)
{
    snprintf(w->names[i], sizeof w->names[i], "%c-%u", (char)('a' + rng_below(&w->rng, 26)), w->renames++);
    assert_non_null(names_keep(&w->inv.names, w->names[i]));
    inventory_rename_agent(&w->inv, a, w->names[i]);
}

static void step_agent(struct world *w)
{
    size_t i = rng_below(&w->rng, AGENTS);
    struct agent *a = inventory_agent(&w->inv, w->names[i]);

    if (!a) {
        new_agent(w, i);
        return;
    }
    switch (rng_below(&w->rng, 8)) {
    case 0:
        drain_or_not(w, a);
        break;
    case 1:
        rename_agent(w, i, a);
        break;
    case 2:
    case 3:
    case 4:
        random_enrolment(w, a);
        break;
    default:
        adopt(&w->inv, &(struct overlay){ .remove = a }, w);
        inventory_drop_agent(&w->inv, a);
        drop_model(&w->models[i]);
        w->names[i][0] = '\0';
    }
}

static void step_mesh(struct world *w)
{
    size_t i = rng_below(&w->rng, MESHES);
    const char *text = documents[i][rng_below(&w->rng, 3)];
    char name[16] = "";
    struct mesh_state *m;

    sscanf(text, "mesh: %15s", name);
    m = inventory_mesh(&w->inv, name);
    if (!m || rng_below(&w->rng, 3) == 0) {
        put_mesh(&w->inv, text, m && m->row.paused);
    } else if (rng_below(&w->rng, 2)) {
        m->row.paused = !m->row.paused;
    } else {
        adopt(&w->inv,
              &(struct overlay){ .meshes = &(struct overlay_mesh){ .name = name, .drop = true },
                                 .n_meshes = 1 },
              w);
        inventory_drop_mesh(&w->inv, m);
    }
}

/* ---- From scratch ---- */

static void copy_world(const struct inventory *from, struct inventory *to)
{
    struct agent_ops *ops;

    for (const struct agent *a = from->agents; a; a = a->hh.next) {
        struct agent *copy = inventory_add_agent(to, &a->row);

        assert_non_null(copy);
        copy->enrolment = message_clone(&a->enrolment->base);
        assert_non_null(copy->enrolment);
        if (!a->ops)
            continue;
        ops = malloc(sizeof *ops);
        assert_non_null(ops);
        *ops = *a->ops;
        assert_int_equal(agent_set_ops(to, copy, ops), TW_OK);
    }
    for (size_t i = 0; i < from->pairs.n; i++) /* their ids are history */
        assert_non_null(inventory_add_pair(to, &pair_table_at(&from->pairs, i)->row));
    for (const struct mesh_state *m = from->meshes; m; m = m->hh.next)
        put_mesh(to, m->document, m->row.paused);
}

static int by_key(const void *a, const void *b)
{
    const Tw__SessionSpec *x = *(Tw__SessionSpec *const *)a, *y = *(Tw__SessionSpec *const *)b;

    if (x->pair_id != y->pair_id)
        return x->pair_id < y->pair_id ? -1 : 1;
    return (x->flow > y->flow) - (x->flow < y->flow);
}

static void expect_same_sessions(const char *what, Tw__SessionSpec **x, size_t nx, Tw__SessionSpec **y,
                                 size_t ny)
{
    uint8_t bx[2048], by[2048];

    if (nx != ny)
        fail_msg("%s: %zu sessions, not %zu", what, nx, ny);
    if (!nx)
        return;
    qsort(x, nx, sizeof(Tw__SessionSpec *), by_key);
    qsort(y, ny, sizeof(Tw__SessionSpec *), by_key);
    for (size_t i = 0; i < nx; i++) {
        size_t lx = tw__session_spec__pack(x[i], bx), ly = tw__session_spec__pack(y[i], by);

        if (lx != ly || memcmp(bx, by, lx) != 0)
            fail_msg("%s: session %zu of %zu differs", what, i, nx);
    }
}

static void expect_same_agent(const struct inventory *inv, const struct agent *a,
                              const struct inventory *fresh, const struct agent *b)
{
    struct session_list *x = schedule_list(inv, a), *y = schedule_list(fresh, b);

    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(a->pairs, b->pairs);
    assert_int_equal(a->sessions, b->sessions);
    assert_int_equal(a->unopened, b->unopened);
    assert_int_equal(x->n, a->sessions);
    expect_same_sessions(a->row.name, x->list, x->n, y->list, y->n);
    assert_memory_equal(a->digest, b->digest, sizeof a->digest);
    session_list_free(x);
    session_list_free(y);
}

static bool has_drained_end(struct inventory *inv, const struct pair *p)
{
    const struct agent *a = inventory_agent(inv, p->row.source), *b = inventory_agent(inv, p->row.target);

    return (a && agent_is_drained(a)) || (b && agent_is_drained(b));
}

static void expect_same_pairs(struct inventory *inv, struct inventory *fresh)
{
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i), *q = inventory_pair(fresh, p->row.id);

        assert_int_equal(p->scheduled, q && q->scheduled);
        assert_int_equal(p->paused, q && q->paused);
        if (!q || !q->scheduled) {
            assert_true(!p->drained || !p->paused || q->drained);
            assert_true(!p->drained || has_drained_end(inv, p));
            continue;
        }
        assert_false(p->drained);
        assert_true(class_times_same(p->times, q->times));
        assert_int_equal(p->flows, q->flows);
        assert_int_equal(p->report_period_ns, q->report_period_ns);
    }
    assert_int_equal(inv->pairs.n, fresh->pairs.n);
}

static void compare_with_scratch(struct world *w)
{
    struct inventory fresh = { 0 };
    struct mesh_state *m, *n;

    copy_world(&w->inv, &fresh);
    adopt(&fresh, &(struct overlay){ 0 }, w);
    for (const struct agent *a = w->inv.agents; a; a = a->hh.next)
        expect_same_agent(&w->inv, a, &fresh, inventory_agent(&fresh, a->row.name));
    expect_same_pairs(&w->inv, &fresh);
    assert_int_equal(w->inv.spread.n, fresh.spread.n);
    for (size_t i = 0; i < fresh.spread.n; i++) /* nobody has moved, and nobody is counted who has gone */
        assert_memory_equal(w->inv.spread.v[i], fresh.spread.v[i], sizeof *fresh.spread.v[i]);
    for (m = w->inv.meshes; m; m = m->hh.next) {
        n = inventory_mesh(&fresh, m->row.name);
        assert_int_equal(m->pairs, n->pairs);
        assert_int_equal(m->unresolved, n->unresolved);
    }
    inventory_free(&fresh);
}

/* ---- Agents that are sent it ---- */

static void list_request(const struct agent *a, struct session_list *list, Tw__ScheduleRequest *rq)
{
    tw__schedule_request__init(rq);
    rq->generation = 1;
    rq->digest = (ProtobufCBinaryData){ sizeof a->digest, (uint8_t *)a->digest };
    rq->sessions = list->list;
    rq->n_sessions = list->n;
    rq->times = list->rules.list;
    rq->n_times = list->rules.n;
}

static Tw__ScheduleRequest *send_list(const struct world *w, const struct agent *a)
{
    struct session_list *list = schedule_list(&w->inv, a);
    Tw__ScheduleRequest rq, *copy;

    list_request(a, list, &rq);
    copy = message_clone(&rq.base);
    assert_non_null(copy);
    session_list_free(list);
    return copy;
}

/* NULL: not with a difference. */
static Tw__ScheduleRequest *send_delta(struct world *w, struct agent *a, const struct model *m)
{
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT, *whole = NULL;
    struct session_delta d;
    struct tw_err err = { 0 };

    if (schedule_delta(&w->inv, a, &d) != TW_OK)
        return NULL;
    rq.generation = 1;
    rq.digest = (ProtobufCBinaryData){ sizeof a->digest, a->digest };
    rq.base_digest = (ProtobufCBinaryData){ sizeof a->acked_digest, a->acked_digest };
    rq.removed = d.removed;
    rq.n_removed = d.n_removed;
    rq.added = d.added->list;
    rq.n_added = d.added->n;
    rq.times = d.added->rules.list;
    rq.n_times = d.added->rules.n;
    rq.total = (uint32_t)a->sessions;
    if (schedule_merge(m->has, &rq, &whole, &err) != TW_OK)
        fail_msg("%s: %s", a->row.name, err.text);
    session_delta_free(&d);
    return whole;
}

static void acknowledge(struct agent *a, struct model *m)
{
    if (m->taken) {
        if (m->has)
            tw__schedule_request__free_unpacked(m->has, NULL);
        m->has = m->taken;
        m->taken = NULL;
    }
    if (!m->has)
        return;
    memcpy(a->acked_digest, m->has->digest.data, sizeof a->acked_digest);
    a->acked_generation = 1;
    a->acked_current = !memcmp(a->acked_digest, a->digest, sizeof a->digest);
    journal_acked(&a->journal, a->acked_digest, a->acked_current);
}

/* Sent; now and then it does not arrive, or the answer does not. */
static void push(struct world *w, struct agent *a, struct model *m)
{
    Tw__ScheduleRequest *rq;

    if (a->acked_current || m->taken)
        return;
    rq = send_delta(w, a, m);
    if (rq)
        w->deltas++;
    else
        w->lists++;
    if (!rq)
        rq = send_list(w, a);
    journal_sent(&a->journal, a->digest);
    m->taken = rq;
    if (rng_below(&w->rng, 8) == 0) { /* lost on the way, and it connects again */
        tw__schedule_request__free_unpacked(rq, NULL);
        m->taken = NULL;
        acknowledge(a, m);
    }
}

/* All that the sessions need, no other, each once. */
static void expect_same_rules(const char *what, const Tw__ScheduleRequest *has, const struct rule_list *want)
{
    if (has->n_times != want->n)
        fail_msg("%s: %zu rules, not %zu", what, has->n_times, want->n);
    for (size_t i = 0; i < want->n; i++) {
        const ProtobufCBinaryData *x = &want->list[i]->rule, *y = NULL;

        for (size_t k = 0; k < has->n_times; k++)
            if (has->times[k]->id == want->list[i]->id)
                y = &has->times[k]->rule;
        if (!y || x->len != y->len || memcmp(x->data, y->data, x->len) != 0)
            fail_msg("%s: a rule is missing, or another", what);
    }
}

static void expect_model(const struct world *w, const struct agent *a, const struct model *m)
{
    struct session_list *l = schedule_list(&w->inv, a);

    expect_same_sessions(a->row.name, m->has->sessions, m->has->n_sessions, l->list, l->n);
    expect_same_rules(a->row.name, m->has, &l->rules);
    session_list_free(l);
}

static void exchange(struct world *w)
{
    for (size_t i = 0; i < AGENTS; i++) {
        struct agent *a = inventory_agent(&w->inv, w->names[i]);
        struct model *m = &w->models[i];

        if (!a || rng_below(&w->rng, 4) == 0) /* away, or slow */
            continue;
        if (rng_below(&w->rng, 2))
            acknowledge(a, m);
        push(w, a, m);
        if (rng_below(&w->rng, 2))
            acknowledge(a, m);
        if (a->acked_current && !m->taken)
            expect_model(w, a, m);
    }
}

static void any_order_of_changes_leads_to_the_same(void **state)
{
    uint64_t seed = 20261127;
    struct world *w = calloc(1, sizeof *w);

    (void)state;
    w->rng = seed;
    for (unsigned i = 0; i < STEPS; i++) {
        if (rng_below(&w->rng, 4))
            step_agent(w);
        else
            step_mesh(w);
        do {
            w->disturbed = false;
            adopt(&w->inv, &(struct overlay){ 0 }, w);
        } while (w->disturbed);
        compare_with_scratch(w);
        exchange(w);
    }
    printf("seed %llu: %u differences and %u lists sent\n", (unsigned long long)seed, w->deltas, w->lists);
    assert_true(w->deltas > STEPS / 4 && w->renames > STEPS / 20); /* or this tests nothing */
    for (size_t i = 0; i < AGENTS; i++)
        drop_model(&w->models[i]);
    inventory_free(&w->inv);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_changes_leads_to_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
