/* Changes of the schedule: several documents at once, what the history says of them, and the way back. */
#include "tests/unit/controller/fixture.h"
#include "controller/change_priv.h"
#include "controller/history.h"

#define CLASSES "classes:\n  voice: { spacing: 20ms, report_period: 10s, timeout: 1s }\n"
#define DOC(name) "mesh: " name "\ntopology: full\nmembers: [a, b]\n" CLASSES
#define DOC_SLOW(name)                                  \
    "mesh: " name "\ntopology: full\nmembers: [a, b]\n" \
    "classes:\n  voice: { spacing: 50ms, report_period: 10s, timeout: 1s }\n"

/* ---- What the operator does ---- */

struct reply { /* of an apply or a rollback */
    bool done, ok;
    Tw__Status status;
    char detail[512];
    uint64_t generation;
    bool unchanged;
    char meshes[512]; /* "core added 2+2-0~0; " */
    char error[512];  /* "file:line: text" */
    char pairs[1024], excesses[2048];
};

static void note_plan(struct reply *r, const Tw__Plan *p)
{
    for (size_t i = 0; i < p->n_meshes; i++) {
        const Tw__PlanMesh *m = p->meshes[i];

        sprintf(r->meshes + strlen(r->meshes), "%s %s%s %d+%d-%d~%d; ", m->mesh, m->action,
                m->paused ? " paused" : "", (int)m->pairs, (int)m->added, (int)m->removed, (int)m->changed);
    }
    for (size_t i = 0; i < p->n_changed_pairs; i++) {
        const Tw__PlanPair *x = p->changed_pairs[i];

        sprintf(r->pairs + strlen(r->pairs), "%s %s/%s %s>%s %s; ", x->action, x->mesh, x->class_name, x->source,
                x->target, x->what);
    }
    strcat(r->pairs, p->changed_pairs_truncated ? "..." : "");
    for (size_t i = 0; i < p->n_excesses; i++) {
        const Tw__PlanExcess *x = p->excesses[i];

        sprintf(r->excesses + strlen(r->excesses), "%s %s %.0f>%.0f%s", x->kind, x->agent, x->value, x->limit,
                x->hard ? " hard" : "");
        for (size_t k = 0; k < x->n_contributors; k++)
            sprintf(r->excesses + strlen(r->excesses), " %s/%s %.0f", x->contributors[k]->mesh, x->contributors[k]->class_name,
                    x->contributors[k]->value);
        sprintf(r->excesses + strlen(r->excesses), " (%s); ", x->fits);
    }
}

static void applied(const Tw__ScheduleApplyReply *m, void *ctx)
{
    struct reply *r = ctx;

    r->done = true;
    r->ok = m && !m->error;
    r->status = rpc_result().status;
    snprintf(r->detail, sizeof r->detail, "%s", rpc_result().detail ? rpc_result().detail : "");
    if (!m)
        return;
    r->generation = m->generation;
    r->unchanged = m->unchanged;
    if (m->plan)
        note_plan(r, m->plan);
    if (m->error)
        snprintf(r->error, sizeof r->error, "%s:%u: %s", m->error->file, m->error->line, m->error->text);
}

struct apply_args {
    const char *files[4]; /* name, text, name, text */
    bool prune, plan, force;
    uint32_t max_pairs;
    const char *reason;
};

static struct reply apply_all(struct fixture *f, struct apply_args args)
{
    Tw__ScheduleApplyRequest rq = TW__SCHEDULE_APPLY_REQUEST__INIT;
    Tw__ScheduleFile files[2], *list[2];
    struct reply r = { 0 };

    for (size_t i = 0; i < 2 && args.files[2 * i]; i++) {
        tw__schedule_file__init(&files[i]);
        files[i].name = (char *)args.files[2 * i];
        files[i].text = (char *)args.files[2 * i + 1];
        list[i] = &files[i];
        rq.n_files++;
    }
    rq.files = list;
    rq.prune = args.prune;
    rq.plan_only = args.plan;
    rq.force = args.force;
    rq.max_pairs = args.max_pairs;
    rq.author = (char *)"eve";
    if (args.reason)
        rq.reason = (char *)args.reason;
    tw__admin__schedule_apply(admin_stub(f), &rq, applied, &r);
    WAIT(r.done);
    return r;
}
#define APPLY(f, ...) apply_all(f, (struct apply_args){ __VA_ARGS__ })

static struct reply roll_back(struct fixture *f, uint64_t generation, bool plan)
{
    Tw__ScheduleRollbackRequest rq = TW__SCHEDULE_ROLLBACK_REQUEST__INIT;
    struct reply r = { 0 };

    rq.generation = generation;
    rq.plan_only = plan;
    rq.author = (char *)"eve";
    rq.reason = (char *)"too much";
    tw__admin__schedule_rollback(admin_stub(f), &rq, applied, &r);
    WAIT(r.done);
    return r;
}

struct listing {
    bool done, ok;
    char detail[256], text[4096];
};

static void listed(const Tw__ScheduleHistoryReply *m, void *ctx)
{
    struct listing *l = ctx;
    char *p = l->text;

    l->done = true;
    l->ok = m != NULL;
    snprintf(l->detail, sizeof l->detail, "%s", rpc_result().detail ? rpc_result().detail : "");
    for (size_t i = 0; m && i < m->n_generations; i++) {
        const Tw__GenerationInfo *g = m->generations[i];

        p += sprintf(p, "%d-%d %s|%s|%s|%d+%d-%d~%d", (int)g->first_generation, (int)g->generation, g->author, g->what,
                     g->reason, (int)g->pairs, (int)g->added, (int)g->removed, (int)g->changed);
        for (size_t k = 0; k < g->n_meshes; k++)
            p += sprintf(p, "|%s %s +%u-%u\n%s", g->meshes[k]->mesh, g->meshes[k]->action,
                         g->meshes[k]->lines_added, g->meshes[k]->lines_removed, g->meshes[k]->diff);
        p += sprintf(p, "\n");
    }
    if (m && m->truncated)
        sprintf(p, "...\n");
}

static struct listing history(struct fixture *f, uint64_t number, uint32_t limit)
{
    Tw__ScheduleHistoryRequest rq = TW__SCHEDULE_HISTORY_REQUEST__INIT;
    struct listing l = { 0 };

    rq.generation = number;
    rq.limit = limit;
    tw__admin__schedule_history(admin_stub(f), &rq, listed, &l);
    WAIT(l.done);
    return l;
}

#define EXPECT(got, expected)                                             \
    do {                                                                  \
        if (strcmp((got), (expected)) != 0)                               \
            fail_msg("%s is\n%s\nexpected\n%s", #got, (got), (expected)); \
    } while (0)

static bool has_mesh(struct fixture *f, const char *name)
{
    return inventory_mesh(&f->c->inv, name) != NULL;
}

static void bring_up_two(struct fixture *f)
{
    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
}

/* ---- Several documents ---- */

static void all_documents_are_one_generation(void **state)
{
    struct fixture *f = *state;
    struct reply r;
    uint64_t before;

    bring_up_two(f);
    before = f->c->inv.generation;
    r = APPLY(f,
              .files = { "x.yaml", DOC("core") "---\n" DOC("edge"), "y.json",
                         "{\"mesh\": \"spare\", "
                         "\"topology\": \"full\", \"members\": [\"a\", \"b\"], \"classes\": {\"c\": {}}}" });
    assert_true(r.ok && !r.unchanged);
    assert_int_equal(r.generation, before + 1);
    EXPECT(r.meshes, "core added 2+2-0~0; edge added 2+2-0~0; spare added 2+2-0~0; ");
    assert_true(has_mesh(f, "core") && has_mesh(f, "edge") && has_mesh(f, "spare"));
}

static void one_wrong_document_refuses_all(void **state)
{
    static const struct {
        const char *name, *x, *y, *error;
    } cases[] = {
        { "a key", DOC("core") "---\n" DOC("edge") "colour: red\n", DOC("spare"),
          "x.yaml:12: unknown key \"colour\"" },
        { "an agent", DOC("core"),
          "\n" DOC("edge") "---\nmesh: spare\ntopology: full\nmembers: [a, nobody]\n" CLASSES,
          "y.yaml:10: \"nobody\" is unknown: expected an approved agent, or a name under targets" },
        { "twice", DOC("core") "---\n" DOC("edge"), DOC("edge"),
          "y.yaml:1: mesh \"edge\" is already in x.yaml, line 7: expected each mesh once" },
        { "no YAML", DOC("core") "---\n{", DOC("edge"), "x.yaml:8: " },
    };
    struct fixture *f = *state;
    uint64_t before;

    bring_up_two(f);
    before = f->c->inv.generation;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct reply r = APPLY(f, .files = { "x.yaml", cases[i].x, "y.yaml", cases[i].y });

        if (r.ok || strncmp(r.error, cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("%s: \"%s\", expected \"%s\"", cases[i].name, r.error, cases[i].error);
        assert_false(has_mesh(f, "core") || has_mesh(f, "edge") || has_mesh(f, "spare"));
        assert_int_equal(f->c->inv.generation, before);
    }
}

static void what_is_the_same_makes_no_generation(void **state)
{
    struct fixture *f = *state;
    struct reply r;
    uint64_t before;

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", DOC("core") }).ok);
    before = f->c->inv.generation;
    r = APPLY(f, .files = { "x", "---\n" DOC("core") "...\n" });
    assert_true(r.ok && r.unchanged);
    assert_int_equal(r.generation, before);
    EXPECT(r.meshes, "core unchanged 2+0-0~0; ");
    r = APPLY(f, .files = { "x", "# with a comment\n" DOC("core") });
    assert_true(r.ok && !r.unchanged);
    EXPECT(r.meshes, "core changed 2+0-0~0; ");
}

static void prune_deletes_what_is_not_named(void **state)
{
    struct fixture *f = *state;
    struct reply r;

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", DOC("core") "---\n" DOC("edge") }).ok);
    r = APPLY(f, .files = { "x", DOC("core") }, .prune = true, .plan = true);
    EXPECT(r.meshes, "core unchanged 2+0-0~0; edge deleted 0+0-2~0; ");
    assert_true(has_mesh(f, "edge"));
    r = APPLY(f, .files = { "x", DOC_SLOW("core") }, .prune = true);
    EXPECT(r.meshes, "core changed 2+0-0~2; edge deleted 0+0-2~0; ");
    assert_true(has_mesh(f, "core") && !has_mesh(f, "edge"));
}

/* ---- History ---- */

static void the_history_tells_what_was_done(void **state)
{
    struct fixture *f = *state;
    uint64_t base;
    char text[2048];
    struct listing l;

    bring_up_two(f);
    base = f->c->inv.generation;
    assert_true(APPLY(f, .files = { "x", DOC("core") "---\n" DOC("edge") }, .reason = "ticket 1").ok);
    assert_true(APPLY(f, .files = { "x", DOC_SLOW("core") }, .prune = true).ok);
    assert_true(change_one_mesh(f, tw__admin__schedule_pause, "core").ok);
    l = history(f, 0, 3);
    snprintf(text, sizeof text,
             "%d-%d tester|pause core||0+0-2~0|core paused +0-0\n\n"
             "%d-%d eve|apply core; delete edge||2+0-2~2|core changed +0-0\n|edge deleted +0-0\n\n"
             "%d-%d eve|apply core, edge|ticket 1|4+4-0~0|core added +0-0\n|edge added +0-0\n\n",
             (int)base + 3, (int)base + 3, (int)base + 2, (int)base + 2, (int)base + 1, (int)base + 1);
    EXPECT(l.text, text);
    l = history(f, base + 2, 0);
    snprintf(
        text, sizeof text,
        "%d-%d eve|apply core; delete edge||2+0-2~2|core changed +1-1\n"
        "@@ -3,3 +3,3 @@\n members: [a, b]\n classes:\n-  voice: { spacing: 20ms, report_period: 10s, "
        "timeout: 1s }\n+  voice: { spacing: 50ms, report_period: 10s, timeout: 1s }\n"
        "|edge deleted +0-5\n@@ -1,5 +0,0 @@\n-mesh: edge\n-topology: full\n-members: [a, b]\n-classes:\n"
        "-  voice: { spacing: 20ms, report_period: 10s, timeout: 1s }\n\n",
        (int)base + 2, (int)base + 2);
    EXPECT(l.text, text);
    l = history(f, 4711, 0);
    assert_false(l.ok);
    EXPECT(l.detail, "generation 4711 is not in the history: twampctl schedule history shows them");
}

/* Both approvals bring pairs, and share a row. */
static void agents_that_join_share_a_row(void **state)
{
    struct fixture *f = *state;
    struct listing l;
    struct fake *c, *d;
    uint64_t base;
    char text[512];

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", "mesh: core\ntopology: list\npairs: [[a, b]]\n" CLASSES }).ok);
    c = new_fake(f, "c", "c", "127.0.0.3");
    d = new_fake(f, "d", "d", "127.0.0.4");
    connect_fake(c);
    connect_fake(d);
    WAIT(c->n_enrolled && d->n_enrolled);
    assert_true(change_one_mesh(f, tw__admin__schedule_delete, "core").ok);
    base = f->c->inv.generation;
    assert_int_equal(
        change_submit(f->c->changes,
                      &(struct change_request){
                          .kind = CHANGE_ROLLBACK,
                          .file = "x",
                          .document = "mesh: core\ntopology: full\nmembers: [a, c, d]\n" CLASSES }),
        TW_OK);
    WAIT(f->c->inv.generation == base + 1);
    assert_true(approve(f, "c", "").ok);
    WAIT(c->n_enrolled == 2);
    WAIT(f->c->inv.generation >= base + 2);
    assert_true(approve(f, "d", "").ok);
    WAIT(d->n_enrolled == 2);
    l = history(f, 0, 1);
    snprintf(text, sizeof text, "%d-%d |approve agents c, d||6+6-0~0\n...\n", (int)base + 2, (int)base + 3);
    EXPECT(l.text, text);
}

static void a_rollback_restores_all(void **state)
{
    struct fixture *f = *state;
    struct reply r;
    struct listing l;
    uint64_t good;

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", DOC("core") "---\n" DOC("edge") "---\n" DOC("same") }).ok);
    assert_true(change_one_mesh(f, tw__admin__schedule_pause, "edge").ok);
    good = f->c->inv.generation;
    assert_true(
        APPLY(f, .files = { "x", DOC_SLOW("core") "---\n" DOC("new") "---\n" DOC("same") }, .prune = true)
            .ok);
    r = roll_back(f, good, true);
    EXPECT(r.meshes,
           "core changed 2+0-0~2; edge added paused 2+2-0~0; same unchanged 2+0-0~0; new deleted 0+0-2~0; ");
    assert_true(has_mesh(f, "new"));
    r = roll_back(f, good, false);
    assert_true(r.ok && !r.unchanged);
    assert_int_equal(r.generation, good + 2);
    assert_true(inventory_mesh(&f->c->inv, "edge")->row.paused && !has_mesh(f, "new"));
    EXPECT(inventory_mesh(&f->c->inv, "core")->document, DOC("core"));
    l = history(f, good + 2, 0);
    assert_non_null(strstr(l.text, "eve|rollback to generation "));
    assert_non_null(strstr(l.text, "|too much|4+0-2~2|core changed +1-1"));
    r = roll_back(f, good, false);
    assert_true(r.ok && r.unchanged);
    r = roll_back(f, 4711, false);
    assert_int_equal(r.status, TW__STATUS__STATUS_NOT_FOUND);
}

/* An agent that has gone since does not stand in the way. */
static void a_rollback_goes_back_over_a_removed_agent(void **state)
{
    struct fixture *f = *state;
    struct reply r;
    uint64_t good;

    bring_up_two(f);
    bring_up(f, "c", "127.0.0.3");
    assert_true(APPLY(f, .files = { "x", "mesh: core\ntopology: full\nmembers: [a, b, c]\n" CLASSES }).ok);
    good = f->c->inv.generation;
    assert_true(APPLY(f, .files = { "x", DOC("core") }).ok);
    f->fakes[2]->once = true;
    assert_true(remove_agent(f, "c").ok);
    r = roll_back(f, good, false);
    if (!r.ok)
        fail_msg("%s%s", r.error, r.detail);
    EXPECT(r.meshes, "core changed 2+0-0~0; ");
}

static void a_slip_of_the_fingers_is_recognised(void **state)
{
    struct fixture *f = *state;
    struct op_result r;

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", DOC("core") }).ok);
    r = change_one_mesh(f, tw__admin__schedule_pause, "croe");
    assert_false(r.ok);
    EXPECT(r.detail, "no mesh \"croe\"; did you mean \"core\"?: twampctl schedule list shows them");
    r = change_one_mesh(f, tw__admin__schedule_delete, "something else");
    EXPECT(r.detail, "no mesh \"something else\": twampctl schedule list shows them");
}

static void a_restart_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", DOC("core") "---\n" DOC("edge") }).ok);
    assert_true(change_one_mesh(f, tw__admin__schedule_pause, "edge").ok);
    before = f->c->inv.generation;
    stop_controller(f);
    WAIT(!f->op);
    start_controller(f);
    WAIT(f->op);
    assert_int_equal(f->c->inv.generation, before);
    assert_true(APPLY(f, .files = { "x", DOC("core") "---\n" DOC("edge") }, .prune = true).unchanged);
    assert_int_equal(f->c->inv.generation, before);
}

#define DOC_EVERY(name, every) DOC(name) "schedule: { every: " every ", count: 50 }\n"

static void note_slots(const struct fixture *f, uint8_t ret[16])
{
    const struct pair_table *t = &f->c->inv.pairs;

    assert_true(t->n <= 16);
    memset(ret, 0, 16);
    for (size_t i = 0; i < t->n; i++)
        if (pair_table_at(t, i)->scheduled)
            ret[pair_table_at(t, i)->row.id % 16] += pair_table_at(t, i)->row.slot;
}

/* When runs begin is chosen as the pairs come, and stored with them. */
static void a_restart_moves_no_run(void **state)
{
    struct fixture *f = *state;
    uint8_t before[16], after[16], none[16] = { 0 };

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", DOC("core") }).ok);
    note_slots(f, before);
    assert_memory_equal(before, none, sizeof none); /* continuous */
    assert_true(APPLY(f, .files = { "x", DOC_EVERY("core", "1m") "---\n" DOC_EVERY("edge", "5m") }).ok);
    note_slots(f, before);
    assert_memory_not_equal(before, none, sizeof none);
    stop_controller(f);
    WAIT(!f->op);
    start_controller(f);
    WAIT(f->op);
    note_slots(f, after);
    assert_memory_equal(after, before, sizeof before);
    assert_true(APPLY(f, .files = { "x", DOC_EVERY("edge", "5m") "---\n" DOC_EVERY("core", "1m") }).unchanged);
    note_slots(f, after);
    assert_memory_equal(after, before, sizeof before);
}

/* ---- Budgets ---- */

static void a_dear_mesh_is_refused_with_all_reasons(void **state)
{
    struct fixture *f = *state;
    struct reply r;

    bring_up_two(f);
    f->c->budgets = (struct budget_limits){ .pairs = 1, .agent_pps = 40 };
    inventory_agent(&f->c->inv, "a")->enrolment->max_pps = 30;
    r = APPLY(f, .files = { "x", DOC("core") }, .plan = true);
    assert_false(r.ok);
    EXPECT(r.error, ":0: agent a would send 50 packets/s: its own limit is 30, and 3 more reasons");
    EXPECT(r.excesses, "packets_per_second a 50>30 hard core/voice 50 (a spacing of 34ms instead of 20ms in "
                       "core/voice); pairs  2>1 core/voice 2 (1 pairs instead of 2 of core/voice: fewer members, "
                       "or k-regular or hub-spoke); packets_per_second a 50>40 core/voice 50 (a spacing of 25ms "
                       "instead of 20ms in core/voice); packets_per_second b 50>40 core/voice 50 (a spacing of "
                       "25ms instead of 20ms in core/voice); ");
    r = APPLY(f, .files = { "x", DOC("core") }, .force = true);
    assert_false(r.ok || has_mesh(f, "core")); /* its own limit holds */
    inventory_agent(&f->c->inv, "a")->enrolment->max_pps = 0;
    inventory_agent(&f->c->inv, "a")->enrolment->max_bps = 1000;
    r = APPLY(f, .files = { "x", DOC("core") }, .force = true);
    assert_false(r.ok || has_mesh(f, "core"));
    assert_non_null(strstr(r.error, "bit/s: its own limit is 1000"));
    inventory_agent(&f->c->inv, "a")->enrolment->max_bps = 0;
    r = APPLY(f, .files = { "x", DOC("core") });
    assert_false(r.ok || has_mesh(f, "core"));
    EXPECT(r.meshes, "core added 2+2-0~0; ");
    assert_int_equal(f->c->inv.generation, 0);
    r = APPLY(f, .files = { "x", DOC("core") }, .force = true);
    assert_true(r.ok && has_mesh(f, "core"));
    r = APPLY(f, .files = { "x", DOC_SLOW("core") }); /* still too many pairs, but no more than before */
    if (!r.ok)
        fail_msg("%s", r.error);
}

static void a_plan_tells_each_pair(void **state)
{
    struct fixture *f = *state;
    struct reply r;

    bring_up_two(f);
    bring_up(f, "c", "127.0.0.3");
    assert_true(APPLY(f, .files = { "x", "mesh: core\ntopology: list\npairs: [[a, b], [a, c]]\n" CLASSES }).ok);
    r = APPLY(f, .files = { "x", "mesh: core\ntopology: list\npairs: [[a, b], [b, c]]\nclasses:\n  voice: { spacing: "
                            "50ms, report_period: 10s, timeout: 1s, flows: 2 }\n" }, .plan = true, .max_pairs = 9);
    EXPECT(r.pairs, "changed core/voice a>b spacing 20ms -> 50ms, flows 1 -> 2; removed core/voice a>c ; "
                    "added core/voice b>c ; ");
    r = APPLY(f, .files = { "x", "mesh: core\ntopology: list\npairs: [[a, b], [b, c]]\n" CLASSES }, .plan = true,
              .max_pairs = 1);
    EXPECT(r.pairs, "removed core/voice a>c ; ...");
}

/* ---- Export and rollout ---- */

struct exported {
    bool done;
    char text[8192];
};

static void exported(const Tw__ScheduleExportReply *m, void *ctx)
{
    struct exported *e = ctx;

    e->done = true;
    for (size_t i = 0; m && i < m->n_meshes; i++)
        strcat(e->text, m->meshes[i]->text);
}

static void what_runs_can_be_applied_again(void **state)
{
    static const bool as_json[] = { false, true };
    struct fixture *f = *state;
    uint64_t before;

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", "# mine\n---\n" DOC("core") "...\n%YAML 1.1\n---\n" DOC("edge") "---\n"
                                    "{\"mesh\": \"json\", \"topology\": \"full\", \"members\": [\"a\", \"b\"], \"classes\": "
                                    "{\"c\": {}}}" }).ok);
    before = f->c->inv.generation;
    for (size_t i = 0; i < TW_NELEM(as_json); i++) {
        Tw__ScheduleExportRequest rq = TW__SCHEDULE_EXPORT_REQUEST__INIT;
        struct exported e = { 0 };
        struct reply r;

        rq.json = as_json[i];
        tw__admin__schedule_export(admin_stub(f), &rq, exported, &e);
        WAIT(e.done);
        r = APPLY(f, .files = { "x", e.text }, .prune = true);
        if (!r.unchanged)
            fail_msg("%s%s%s\n%s", r.error, r.detail, r.meshes, e.text);
        EXPECT(r.meshes, "core unchanged 2+0-0~0; edge unchanged 2+0-0~0; json unchanged 2+0-0~0; ");
        assert_int_equal(f->c->inv.generation, before);
    }
}

struct rolled {
    bool done;
    char text[1024];
};

static void rolled_out(const Tw__ScheduleRolloutReply *m, void *ctx)
{
    struct rolled *r = ctx;

    r->done = true;
    if (!m) {
        snprintf(r->text, sizeof r->text, "%s", rpc_result().detail);
        return;
    }
    sprintf(r->text, "%d/%d behind %d away %d: ", (int)m->agents_current, (int)m->agents, (int)m->agents_behind,
            (int)m->agents_away);
    for (size_t i = 0; i < m->n_rollout; i++)
        sprintf(r->text + strlen(r->text), "%s %s %d%s%s; ", m->rollout[i]->agent, m->rollout[i]->word,
                (int)m->rollout[i]->generation, m->rollout[i]->missing ? " less" : "",
                m->rollout[i]->behind_ns ? " since" : "");
}

static struct rolled rollout(struct fixture *f, const char *selector)
{
    Tw__ScheduleRolloutRequest rq = TW__SCHEDULE_ROLLOUT_REQUEST__INIT;
    struct rolled r = { 0 };

    rq.select = (char *)selector;
    tw__admin__schedule_rollout(admin_stub(f), &rq, rolled_out, &r);
    WAIT(r.done);
    return r;
}

static void the_rollout_tells_who_is_behind(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");

    assert_true(APPLY(f, .files = { "x", DOC("core") }).ok);
    WAIT(inventory_agent(&f->c->inv, "a")->acked_current && inventory_agent(&f->c->inv, "b")->acked_current);
    EXPECT(rollout(f, "").text, "2/2 behind 0 away 0: a current 1; b current 1; ");
    stop_fake(a); /* it comes back with what it has, and has nothing to acknowledge */
    WAIT(!inventory_agent(&f->c->inv, "a")->peer);
    connect_fake(a);
    WAIT(inventory_agent(&f->c->inv, "a")->peer && !inventory_agent(&f->c->inv, "a")->ack &&
         inventory_agent(&f->c->inv, "a")->acked_current);
    EXPECT(rollout(f, "").text, "2/2 behind 0 away 0: a current 1; b current 1; ");
    a->schedule_age_ns = b->schedule_age_ns = 3600 * TW_NS_PER_S;
    stop_controller(f); /* the next one does not know since when */
    WAIT(!f->op);
    start_controller(f);
    WAIT(f->op && inventory_agent(&f->c->inv, "a") && inventory_agent(&f->c->inv, "b"));
    WAIT(inventory_agent(&f->c->inv, "a")->acked_current && inventory_agent(&f->c->inv, "b")->acked_current);
    EXPECT(rollout(f, "").text, "2/2 behind 0 away 0: a current 1; b current 1; ");
    assert_in_range(tw_wall_now().ns - inventory_agent(&f->c->inv, "a")->acked_ns, 3600 * TW_NS_PER_S,
                    3660 * TW_NS_PER_S);
    b->acks = false;
    assert_true(APPLY(f, .files = { "x", DOC_SLOW("core") }).ok);
    WAIT(inventory_agent(&f->c->inv, "a")->acked_current);
    EXPECT(rollout(f, "").text, "1/2 behind 1 away 0: a current 2; b behind 1 since; ");
    EXPECT(rollout(f, "name=b").text, "0/1 behind 1 away 0: b behind 1 since; ");
    EXPECT(rollout(f, "site=ams").text, "1/2 behind 1 away 0: a current 2; b behind 1 since; ");
    EXPECT(rollout(f, "site=none").text, "0/0 behind 0 away 0: ");
    assert_non_null(strstr(rollout(f, "site=").text, "at character "));
    stop_fake(b);
    WAIT(!inventory_agent(&f->c->inv, "b")->peer);
    EXPECT(rollout(f, "").text, "1/2 behind 0 away 1: a current 2; b away 1 since; ");
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static void move(struct fixture *f, const char *name, uint32_t port)
{
    inventory_agent(&f->c->inv, name)->enrolment->reflector_port = port;
    change_expand_for(f->c->changes, name);
}

/* Acknowledged, and no interval is left to be closed. */
static bool settled(const struct fixture *f)
{
    const struct agent *a;

    for (a = f->c->inv.agents; a; a = a->hh.next)
        if (a->unopened)
            return false;
    return !f->c->changes->busy && !f->c->changes->expand_waiting;
}

/* One after which nothing happens for long is followed at once; then those that come together are one. */
static void agents_that_come_together_are_one_expansion(void **state)
{
    struct fixture *f = *state;
    struct changes *s;
    uint64_t before;

    bring_up_two(f);
    assert_true(APPLY(f, .files = { "x", DOC("core") }).ok);
    s = f->c->changes;
    WAIT(settled(f));
    before = f->c->inv.generation;
    s->expand_from.ns = 0;
    move(f, "a", 8701);
    assert_true(s->busy); /* with the writer */
    WAIT(f->c->inv.generation == before + 1 && settled(f));
    s->expand_from.ns = tw_mono_now().ns + 3600 * TW_NS_PER_S;
    move(f, "a", 8702);
    move(f, "b", 8703);
    assert_true(s->expand_held && !s->busy);
    assert_int_equal(loop_timer_set(f->loop, &s->expand_timer, tw_mono_now()), TW_OK); /* an hour later */
    WAIT(f->c->inv.generation > before + 1);
    assert_false(s->expand_held || s->expand_waiting);
    assert_int_equal(f->c->inv.generation, before + 2);
    s->expand_from.ns = tw_mono_now().ns + 3600 * TW_NS_PER_S;
    move(f, "a", 8704); /* still held when the controller stops */
    assert_true(s->expand_held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_documents_are_one_generation),
        T(one_wrong_document_refuses_all),
        T(what_is_the_same_makes_no_generation),
        T(prune_deletes_what_is_not_named),
        T(the_history_tells_what_was_done),
        T(agents_that_join_share_a_row),
        T(a_rollback_restores_all),
        T(a_rollback_goes_back_over_a_removed_agent),
        T(a_slip_of_the_fingers_is_recognised),
        T(a_restart_changes_nothing),
        T(a_restart_moves_no_run),
        T(a_dear_mesh_is_refused_with_all_reasons),
        T(a_plan_tells_each_pair),
        T(what_runs_can_be_applied_again),
        T(the_rollout_tells_who_is_behind),
        T(agents_that_come_together_are_one_expansion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
