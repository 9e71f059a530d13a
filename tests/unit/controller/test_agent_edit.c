/* Operators label, drain, revoke and rename agents, and set them in maintenance. */
#include "tests/unit/controller/fixture.h"
#include "controller/agent_edit.h"
#include "controller/maintenance.h"

struct edited {
    struct op_result r;
    uint32_t changed;
    size_t n_agents;
    char first[STORE_NAME_MAX];
};

static void edit_done(const Tw__AgentChangeReply *m, void *ctx)
{
    struct edited *e = ctx;

    if (m) {
        e->changed = m->changed;
        e->n_agents = m->n_agents;
        e->r.generation = m->generation;
        snprintf(e->first, sizeof e->first, "%s", m->n_agents ? m->agents[0] : "");
    }
    op_note(&e->r, m != NULL);
}

typedef void (*edit_method)(ProtobufCService *, const Tw__AgentRequest *, Tw__AgentChangeReply_Closure,
                            void *);

static struct edited edit(struct fixture *f, edit_method method, const Tw__AgentRequest *rq)
{
    struct edited e = { 0 };

    method(admin_stub(f), rq, edit_done, &e);
    WAIT(e.r.done);
    return e;
}

static Tw__AgentRequest request(const char *name, const char *select)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;

    rq.name = (char *)name;
    rq.select = (char *)select;
    rq.author = (char *)"joe";
    rq.reason = (char *)"new disks";
    return rq;
}

static struct edited drain(struct fixture *f, const char *name)
{
    Tw__AgentRequest rq = request(name, "");

    return edit(f, tw__admin__agent_drain, &rq);
}

static struct edited set_label(struct fixture *f, const char *name, const char *select, const char *key,
                               const char *value)
{
    Tw__AgentRequest rq = request(name, select);
    Tw__Label l = TW__LABEL__INIT, *labels = &l;

    l.key = (char *)key;
    l.value = (char *)value;
    rq.set_labels = &labels;
    rq.n_set_labels = 1;
    return edit(f, tw__admin__agent_label, &rq);
}

static const char *label_of(struct fixture *f, const char *name, const char *key)
{
    const struct agent *a = inventory_agent(&f->c->inv, name);
    const char *value = label_value(a->labels, a->n_labels, key);

    return value ? value : "(none)";
}

/* As after a power failure, but for the connections. */
static void restart(struct fixture *f)
{
    rpc_client_stop(f->operator_);
    f->operator_ = NULL;
    f->op = NULL;
    stop_controller(f);
    start_controller(f);
    start_operator(f);
}

static void labels_are_set_and_stored(void **state)
{
    struct fixture *f = *state;
    Tw__AgentRequest rq = request("a", "");
    char *keys[] = { (char *)"site" };
    struct edited e;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    assert_string_equal(label_of(f, "a", "site"), "ams"); /* as it says */
    e = set_label(f, "a", "", "role", "edge");
    assert_true(e.r.ok && e.changed == 1 && e.n_agents == 1);
    assert_string_equal(e.first, "a");
    e = set_label(f, "", "site=ams,role!=edge", "site", "fra");
    assert_true(e.r.ok && e.changed == 1);
    assert_string_equal(e.first, "b");
    e = set_label(f, "", "site=fra", "site", "fra");
    assert_true(e.r.ok && !e.changed && e.n_agents == 1); /* it was as asked for */
    rq.remove_labels = keys;
    rq.n_remove_labels = 1;
    assert_true(edit(f, tw__admin__agent_label, &rq).r.ok);
    assert_string_equal(label_of(f, "a", "site"), "(none)");
    restart(f);
    assert_string_equal(label_of(f, "a", "site"), "(none)");
    assert_string_equal(label_of(f, "a", "role"), "edge");
    assert_string_equal(label_of(f, "b", "site"), "fra");
    assert_true(set_label(f, "b", "", "site", "").r.ok); /* as it says again */
    assert_string_equal(label_of(f, "b", "site"), "ams");
}

static const struct {
    const char *name, *select, *key, *value;
    Tw__Status status;
    const char *expected;
} wrong[] = {
    { "", "", "k", "v", TW__STATUS__STATUS_INVALID_ARGUMENT, "expected the name of an agent or a selector" },
    { "a", "site=ams", "k", "v", TW__STATUS__STATUS_INVALID_ARGUMENT, "one of the two" },
    { "x", "", "k", "v", TW__STATUS__STATUS_NOT_FOUND, "no agent \"x\"" },
    { "", "site=x", "k", "v", TW__STATUS__STATUS_NOT_FOUND, "no agent matches" },
    { "", "site=", "k", "v", TW__STATUS__STATUS_INVALID_ARGUMENT, "expected a value" },
    { "a", "", "k v", "v", TW__STATUS__STATUS_INVALID_ARGUMENT, "is no label" },
    { "a", "", "k", "v w", TW__STATUS__STATUS_INVALID_ARGUMENT, "is no label" },
    { "a", "", "name", "v", TW__STATUS__STATUS_INVALID_ARGUMENT, "the key is not \"name\"" },
};

static void what_is_wrong_is_said(void **state)
{
    struct fixture *f = *state;
    Tw__AgentRequest rq = request("a", "");
    struct edited e;

    bring_up(f, "a", "127.0.0.1");
    for (size_t i = 0; i < TW_NELEM(wrong); i++) {
        e = set_label(f, wrong[i].name, wrong[i].select, wrong[i].key, wrong[i].value);
        if (e.r.ok || e.r.status != wrong[i].status || !strstr(e.r.detail, wrong[i].expected))
            fail_msg("%zu: %d \"%s\"", i, e.r.status, e.r.detail);
    }
    rq.reason = (char *)"two\nlines";
    assert_int_equal(edit(f, tw__admin__agent_drain, &rq).r.status, TW__STATUS__STATUS_INVALID_ARGUMENT);
    rq = request("", "site=ams");
    assert_non_null(strstr(edit(f, tw__admin__agent_rename, &rq).r.detail, "name"));
}

static struct pair *pair_between(struct fixture *f, const char *source, const char *target)
{
    return inventory_pair_by_names(&f->c->inv, "lab", "voice", source, target);
}

static void drained_agents_measure_nothing(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    uint64_t generation = apply(f, MESH_AB, false).generation;
    Tw__AgentRequest rq = request("", "name=a");
    int64_t now = tw_wall_now().ns;
    struct edited e;

    WAIT(a->n_acked && b->n_acked && pair_between(f, "a", "b")->interval == INTERVAL_OPEN);
    e = drain(f, "a");
    assert_true(e.r.ok && e.changed == 1);
    assert_int_equal(e.r.generation, generation + 1);
    WAIT(!a->n_sessions && !b->n_sessions); /* neither from it nor to it */
    assert_string_equal(pair_state(pair_between(f, "a", "b"), now), "drained");
    assert_string_equal(pair_state(pair_between(f, "b", "a"), now), "drained");
    assert_int_equal(pair_between(f, "a", "b")->interval, INTERVAL_CLOSED);
    assert_string_equal(agent_state(inventory_agent(&f->c->inv, "a")), "up");
    assert_non_null(a->peer); /* the connection stays */
    assert_string_equal(inventory_agent(&f->c->inv, "a")->ops->drained.reason, "new disks");
    assert_int_equal(drain(f, "a").changed, 0);
    restart(f);
    assert_string_equal(pair_state(pair_between(f, "a", "b"), now), "drained");
    assert_int_equal(f->c->inv.generation, generation + 1);
    e = edit(f, tw__admin__agent_undrain, &rq);
    assert_true(e.r.ok && e.changed == 1);
    WAIT(a->n_sessions == 1 && b->n_sessions == 1);
    assert_true(pair_between(f, "a", "b")->scheduled);
    WAIT(pair_between(f, "a", "b")->interval == INTERVAL_OPEN);
}

static void revoked_agents_stay_out(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2"), *again;
    Tw__AgentRequest rq = request("a", "");
    unsigned down = a->n_down;
    struct edited e;

    assert_true(apply(f, MESH_AB, false).ok);
    WAIT(a->n_acked && b->n_acked);
    e = edit(f, tw__admin__agent_revoke, &rq);
    assert_true(e.r.ok && e.changed == 1);
    WAIT(a->n_down > down);
    assert_int_equal(a->down_status, TW__STATUS__STATUS_PERMISSION_DENIED);
    assert_int_equal(a->n_sessions, 0); /* it was told */
    WAIT(!b->n_sessions);
    assert_string_equal(agent_state(inventory_agent(&f->c->inv, "a")), "revoked");
    assert_int_equal(f->c->inv.pending, 0);
    stop_fake(a);
    for (int i = 0; i < 2; i++) { /* its key under its name, and under another one */
        again = new_fake(f, i ? "c" : "a", "a", "127.0.0.1");
        again->once = true;
        connect_fake(again);
        WAIT(again->n_down);
        assert_int_equal(again->n_up, 0);
        assert_int_equal(again->down_status, TW__STATUS__STATUS_PERMISSION_DENIED);
        assert_non_null(strstr(again->down_detail, "twampctl agent remove a"));
    }
    assert_int_equal(approve(f, "a", "").status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_int_equal(drain(f, "a").r.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    restart(f);
    assert_string_equal(agent_state(inventory_agent(&f->c->inv, "a")), "revoked");
    assert_int_equal(f->c->inv.revoked, 1);
    assert_string_equal(inventory_agent(&f->c->inv, "a")->ops->revoked.author, "joe");
    assert_true(remove_agent(f, "a").ok); /* forgets it */
    assert_int_equal(f->c->inv.revoked, 0);
}

static void all_of_a_site_are_revoked(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    Tw__AgentRequest rq = request("", "rack=7");
    unsigned down[] = { a->n_down, b->n_down };
    struct edited e;

    bring_up(f, "c", "127.0.0.3");
    assert_true(set_label(f, "a", "", "rack", "7").r.ok);
    assert_true(set_label(f, "b", "", "rack", "7").r.ok);
    e = edit(f, tw__admin__agent_revoke, &rq);
    assert_true(e.r.ok && e.changed == 2);
    WAIT(a->n_down > down[0] && b->n_down > down[1]);
    assert_int_equal(f->c->inv.revoked, 2);
    assert_string_equal(agent_state(inventory_agent(&f->c->inv, "c")), "up");
    assert_int_equal(edit(f, tw__admin__agent_revoke, &rq).r.status, TW__STATUS__STATUS_NOT_FOUND);
}

static struct edited rename_agent(struct fixture *f, const char *name, const char *new_name)
{
    Tw__AgentRequest rq = request(name, "");

    rq.new_name = (char *)new_name;
    return edit(f, tw__admin__agent_rename, &rq);
}

#define MESH_TARGET(source)                                                                               \
    "mesh: lab\ntopology: list\ntargets:\n  out: 127.0.0.9\npairs:\n  - [" source                         \
    ", out]\nclasses:\n  voice: { spacing: 20ms, report_period: 10s, timeout: 1s }\n"
#define MESH_B_TARGET MESH_TARGET("b")
#define MESH_NONE MESH_TARGET("a")

static void renamed_agents_keep_their_history(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    struct edited e;
    uint64_t id, generation;

    assert_true(apply(f, MESH_B_TARGET, false).ok);
    WAIT(b->n_acked);
    id = pair_between(f, "b", "out")->row.id;
    e = rename_agent(f, "b", "c");
    assert_int_equal(e.r.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(e.r.detail, "mesh lab names it"));
    assert_true(apply(f, MESH_NONE, false).ok);
    assert_int_equal(rename_agent(f, "b", "a").r.status, TW__STATUS__STATUS_ALREADY_EXISTS);
    assert_int_equal(rename_agent(f, "b", "out").r.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_int_equal(rename_agent(f, "b", "B!").r.status, TW__STATUS__STATUS_INVALID_ARGUMENT);
    generation = f->c->inv.generation;
    e = rename_agent(f, "b", "c");
    if (!e.r.ok)
        fail_msg("%s", e.r.detail);
    assert_int_equal(e.r.generation, generation + 1); /* it is in the history, and agents get the new names */
    assert_null(inventory_agent(&f->c->inv, "b"));
    assert_int_equal(pair_between(f, "c", "out")->row.id, id);
    assert_null(pair_between(f, "b", "out"));
    restart(f);
    assert_int_equal(pair_between(f, "c", "out")->row.id, id);
    WAIT(inventory_agent(&f->c->inv, "c")->peer); /* it still says "b": its key says who it is */
    WAIT(b->peer && a->peer);
    assert_null(inventory_agent(&f->c->inv, "b"));
}

static void another_agent_can_have_the_old_name(void **state)
{
    struct fixture *f = *state;
    struct fake *b = bring_up(f, "b", "127.0.0.2"), *other;
    uint64_t id;

    bring_up(f, "a", "127.0.0.1");
    assert_true(apply(f, MESH_B_TARGET, false).ok);
    WAIT(b->n_acked);
    id = pair_between(f, "b", "out")->row.id;
    assert_true(apply(f, MESH_NONE, false).ok);
    assert_true(rename_agent(f, "b", "c").r.ok);
    other = new_fake(f, "b", "other", "127.0.0.3");
    connect_fake(other);
    WAIT(other->n_enrolled && inventory_agent(&f->c->inv, "b")->row.id);
    assert_true(approve(f, "b", "").ok);
    assert_true(apply(f, MESH_B_TARGET, false).ok);
    WAIT(other->n_sessions == 1);
    assert_int_not_equal(other->pair_ids[0], id); /* which is c's */
    assert_int_equal(pair_between(f, "b", "out")->row.id, other->pair_ids[0]);
    assert_int_equal(pair_between(f, "c", "out")->row.id, id);
}

static void maintenance_marks(void **state)
{
    struct fixture *f = *state;
    Tw__AgentRequest rq = request("a", "");
    int64_t now = tw_wall_now().ns;
    const struct agent *a;

    bring_up(f, "a", "127.0.0.1");
    assert_int_equal(edit(f, tw__admin__agent_maintenance, &rq).r.status,
                     TW__STATUS__STATUS_INVALID_ARGUMENT);
    rq.to_ns = now + 3600 * TW_NS_PER_S;
    assert_int_equal(edit(f, tw__admin__agent_maintenance, &rq).changed, 1);
    a = inventory_agent(&f->c->inv, "a");
    assert_true(agent_in_maintenance(a, tw_wall_now().ns));
    assert_false(agent_in_maintenance(a, rq.to_ns));
    restart(f);
    a = inventory_agent(&f->c->inv, "a");
    assert_true(agent_in_maintenance(a, tw_wall_now().ns));
    rq.to_ns = 0;
    rq.end = true;
    assert_int_equal(edit(f, tw__admin__agent_maintenance, &rq).changed, 1);
    assert_false(agent_in_maintenance(a, tw_wall_now().ns));
    assert_int_equal(edit(f, tw__admin__agent_maintenance, &rq).changed, 0);
    assert_int_equal(f->c->inv.generation, 0); /* nothing else changed */
}

static void set_span(struct fixture *f, const char *name, int64_t from_ns, int64_t to_ns, const char *reason)
{
    Tw__AgentRequest rq = request(name, "");

    rq.from_ns = from_ns;
    rq.to_ns = to_ns;
    rq.reason = (char *)reason;
    if (!edit(f, tw__admin__agent_maintenance, &rq).r.ok)
        fail_msg("maintenance of %s", name);
}

#define MESH_SPANS                                                                                          \
    "mesh: lab\ntopology: list\ntargets:\n  out: 127.0.0.9\npairs:\n  - [a, b]\n  - [b, out]\n"      \
    "maintenance: [{ from: \"2026-11-01 00:00\", to: \"2049-11-01 00:00\", reason: works, probes: "         \
    "continue }]\nclasses:\n  voice: { spacing: 20ms, report_period: 10s, timeout: 1s }\n"

static void expect_maintenance(struct fixture *f, const char *source, const char *target, int64_t at_ns,
                               const char *agent, const char *reason, int64_t until_ns)
{
    const struct pair *p = pair_between(f, source, target);
    struct maintenance_now m;
    struct maintenance_note *n;

    assert_non_null(p);
    assert_int_equal(pair_in_maintenance(p, at_ns), agent != NULL);
    assert_int_equal(maintenance_of_pair(p, at_ns, &m), agent != NULL);
    n = maintenance_note_pair(p, at_ns);
    assert_int_equal(n != NULL, agent != NULL);
    if (!agent)
        return;
    if (strcmp(m.agent, agent) || strcmp(m.reason, reason) || m.until_ns != until_ns)
        fail_msg("%s:%s is in maintenance of \"%s\" (%s) until %lld", source, target, m.agent, m.reason,
                 (long long)m.until_ns);
    assert_string_equal(n->agent, agent);
    assert_string_equal(n->reason, reason);
    assert_int_equal(n->until_ns, until_ns == TIMES_NEVER ? 0 : until_ns);
    free(n);
}

/* A pair is in maintenance while its mesh is, or either end. */
static void pairs_have_the_maintenance_of_both_ends(void **state)
{
    struct fixture *f = *state;
    int64_t now = tw_wall_now().ns, hour = 3600 * TW_NS_PER_S;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    assert_true(apply(f, MESH_AB, false).ok);
    expect_maintenance(f, "a", "b", now, NULL, NULL, 0);
    set_span(f, "b", now - hour, now + hour, "new kernel");
    expect_maintenance(f, "a", "b", now, "b", "new kernel", now + hour); /* as target */
    expect_maintenance(f, "b", "a", now, "b", "new kernel", now + hour); /* as source */
    expect_maintenance(f, "a", "b", now + hour, NULL, NULL, 0);
    expect_maintenance(f, "a", "b", now - 2 * hour, NULL, NULL, 0);
    set_span(f, "a", now - hour, now + hour / 2, "cables");
    expect_maintenance(f, "a", "b", now, "b", "new kernel", now + hour); /* it lasts longer */
    set_span(f, "a", now + hour / 2, now + 3 * hour, "more cables"); /* begins before b's ends */
    expect_maintenance(f, "a", "b", now, "b", "new kernel", now + 3 * hour);
    expect_maintenance(f, "a", "b", now + 2 * hour, "a", "more cables", now + 3 * hour);
    set_span(f, "a", now + 4 * hour, now + 5 * hour, "later"); /* an hour of rest before */
    expect_maintenance(f, "a", "b", now, "b", "new kernel", now + 3 * hour);
    restart(f);
    expect_maintenance(f, "b", "a", now, "b", "new kernel", now + 3 * hour);
}

static void meshes_have_it_too(void **state)
{
    struct fixture *f = *state;
    int64_t now = tw_wall_now().ns, end = INT64_C(2519337600) * TW_NS_PER_S; /* 2049-11-01 */
    struct maintenance_now m;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    assert_true(apply(f, MESH_SPANS, false).ok);
    set_span(f, "a", now - TW_NS_PER_S, now + TW_NS_PER_S, "cables");
    expect_maintenance(f, "a", "b", now, "", "works", end);
    expect_maintenance(f, "b", "out", now, "", "works", end); /* whose target is no agent */
    assert_true(maintenance_of_mesh(inventory_mesh(&f->c->inv, "lab"), now, &m));
    assert_string_equal(m.reason, "works");
    assert_int_equal(m.until_ns, end);
    assert_false(maintenance_of_mesh(inventory_mesh(&f->c->inv, "lab"), end, &m));
    assert_true(maintenance_of_agent(inventory_agent(&f->c->inv, "a"), now, &m));
    assert_string_equal(m.reason, "cables");
    assert_false(maintenance_of_agent(inventory_agent(&f->c->inv, "b"), now, &m));
}

/* ---- Addresses ---- */

#define MESH_NET                                                                                        \
    "mesh: lab\ngroups:\n  inside: { cidr: [10.9.0.0/16], allow_empty: true }\ntopology: full\n"    \
    "members: [\"@inside\"]\nclasses:\n  voice: { spacing: 20ms, report_period: 10s, timeout: 1s }\n"

static void enrol_with(struct fake *a, const char *second_address)
{
    struct fixture *f = a->f;
    unsigned before = a->n_enrolled;

    a->second_address = second_address;
    fake_enrol(a);
    WAIT(a->n_enrolled == before + 1);
}

/* Sessions go to its first address, but a group of addresses takes any. */
static void a_second_address_counts_for_groups(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");

    enrol_with(a, "10.9.0.1");
    assert_true(apply(f, MESH_NET, false).ok);
    assert_null(pair_between(f, "a", "b"));
    enrol_with(b, "10.8.0.2");
    WAIT(!f->c->inv.agents->saving);
    assert_null(pair_between(f, "a", "b"));
    enrol_with(b, "10.9.0.2");
    WAIT(pair_between(f, "a", "b") && a->n_sessions == 1 && b->n_sessions == 1);
    assert_string_equal(a->addresses[0], "127.0.0.2");
    enrol_with(b, NULL);
    WAIT(a->n_sessions == 0 && b->n_sessions == 0);
    assert_false(pair_between(f, "a", "b") && pair_between(f, "a", "b")->scheduled);
}

/* ---- Lists ---- */

struct page {
    bool done, truncated;
    size_t n;
    char first[STORE_NAME_MAX], last[STORE_NAME_MAX];
};

static void page_done(const Tw__AgentListReply *m, void *ctx)
{
    struct page *p = ctx;

    p->done = true;
    if (!m)
        return;
    p->truncated = m->truncated;
    p->n = m->n_agents;
    snprintf(p->first, sizeof p->first, "%s", m->n_agents ? m->agents[0]->name : "");
    snprintf(p->last, sizeof p->last, "%s", m->n_agents ? m->agents[m->n_agents - 1]->name : "");
}

static struct page get_page(struct fixture *f, const char *select, const char *after, uint32_t limit)
{
    Tw__AgentListRequest rq = TW__AGENT_LIST_REQUEST__INIT;
    struct page p = { 0 };

    rq.select = (char *)select;
    rq.after = (char *)after;
    rq.limit = limit;
    tw__admin__agent_list(admin_stub(f), &rq, page_done, &p);
    WAIT(p.done);
    return p;
}

/* Thousands are more than a frame holds: page by page all of them come, each once. */
static void a_list_of_thousands_comes_in_pages(void **state)
{
    struct fixture *f = *state;
    struct page p = { .truncated = true };
    size_t seen = 0, pages = 0;

    for (unsigned i = 0; i < 8000; i++) {
        struct store_agent row = { .approved = true, .software = "a program with a rather long name 0.1.0" };

        snprintf(row.name, sizeof row.name, "agent-%05u.with-a-name-that-takes-its-room.example.net",
                 8000 - i);
        assert_non_null(inventory_add_agent(&f->c->inv, &row));
    }
    while (p.truncated) {
        p = get_page(f, "", p.last, 0);
        assert_true(p.n > 0);
        seen += p.n;
        pages++;
    }
    assert_int_equal(seen, 8000);
    assert_true(pages > 1);
    p = get_page(f, "", "agent-04997", 2);
    assert_true(p.n == 2 && p.truncated);
    assert_memory_equal(p.first, "agent-04997", 11);
    assert_memory_equal(p.last, "agent-04998", 11);
    p = get_page(f, "name=agent-00007.with-a-name-that-takes-its-room.example.net", "", 0);
    assert_true(p.n == 1 && !p.truncated);
    assert_int_equal(get_page(f, "site", "", 0).n, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(labels_are_set_and_stored),
        TEST(what_is_wrong_is_said),
        TEST(drained_agents_measure_nothing),
        TEST(revoked_agents_stay_out),
        TEST(all_of_a_site_are_revoked),
        TEST(renamed_agents_keep_their_history),
        TEST(another_agent_can_have_the_old_name),
        TEST(maintenance_marks),
        TEST(pairs_have_the_maintenance_of_both_ends),
        TEST(meshes_have_it_too),
        TEST(a_second_address_counts_for_groups),
        TEST(a_list_of_thousands_comes_in_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
