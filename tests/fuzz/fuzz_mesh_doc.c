/* Whatever mesh_doc_parse() accepts must expand to pairs in order, none with itself, and have a cost;
 * whatever it refuses must say why. */
#include <stdlib.h>
#include <string.h>

#include "controller/core/plan.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_class(const struct mesh_class *c)
{
    CHECK(c->name[0] && c->dscp < 64 && c->ttl && c->flows >= 1 && c->flows <= 32);
    CHECK(c->imix ? !c->size_bytes : c->size_bytes >= mesh_class_min_bytes(c) && c->size_bytes <= 9000);
    CHECK(mesh_auth_allowed(c->protocol, c->auth));
    CHECK(!c->tlvs || c->protocol == MESH_STAMP);
    CHECK(!!c->key_id[0] == (c->auth || c->tlvs & MESH_TLV_BIT(MESH_TLV_HMAC)));
    CHECK(c->reply_dscp <= 63 && strlen(c->bind) < sizeof c->bind);
    CHECK(c->spacing_ns >= TW_NS_PER_MS && c->timeout_ns >= 10 * TW_NS_PER_MS &&
          c->timeout_ns <= c->report_period_ns);
    CHECK(INT64_C(86400) * TW_NS_PER_S % c->report_period_ns == 0);
}

static void check_target(const struct mesh_target *t)
{
    CHECK(t->addr.port && strlen(t->host) < sizeof t->host);
    CHECK(t->host[0] ? !t->addr.family && (!t->family || t->family == 4 || t->family == 6)
                     : (t->addr.family == 4 || t->addr.family == 6) && !t->family);
}

static void check_pair(const struct mesh_pairs *pairs, const struct mesh_pair *p)
{
    const char *source = mesh_pair_source(pairs->agents, p);
    const char *target = mesh_pair_target(pairs->mesh, pairs->agents, p);

    CHECK(p->source < pairs->agents->n && p->class_index < pairs->mesh->n_classes);
    CHECK(p->target < 0 ? (size_t)~p->target < pairs->mesh->n_targets : (size_t)p->target < pairs->agents->n);
    CHECK(source[0] && target[0] && source[0] != '@' && target[0] != '@');
    CHECK(strcmp(source, target));
}

static void check_order(const struct mesh_pairs *pairs, const struct mesh_pair *a, const struct mesh_pair *b)
{
    const struct mesh *m = pairs->mesh;
    int order = strcmp(m->classes[a->class_index].name, m->classes[b->class_index].name);

    if (!order)
        order = strcmp(mesh_pair_source(pairs->agents, a), mesh_pair_source(pairs->agents, b));
    if (!order)
        order = strcmp(mesh_pair_target(m, pairs->agents, a), mesh_pair_target(m, pairs->agents, b));
    CHECK(order < 0);
}

/* ---- The agents: every name in the document but those that begin with x ---- */

static const struct tw_label labels[] = { { "role", "edge" }, { "site", "ams" } };
static const struct tw_addr addresses[] = { { .family = 4, .ip = { 10, 0, 0, 1 } },
                                            { .family = 6, .ip = { 0x20, 1, 0xd, 0xb8 } } };

struct crowd {
    struct mesh_agent *v;
    size_t n, cap;
};

static void join(struct crowd *c, const struct mesh_name *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].name[0] == '@' || v[i].name[0] == 'x')
            continue;
        if (c->n == c->cap) {
            c->cap = 2 * c->cap + 16;
            c->v = reallocarray(c->v, c->cap, sizeof *c->v);
            CHECK(c->v);
        }
        c->v[c->n++] = (struct mesh_agent){ .name = v[i].name,
                                            .labels = labels,
                                            .n_labels = v[i].name[0] & 1 ? 2 : 1,
                                            .addresses = addresses,
                                            .n_addresses = v[i].name[0] & 2 ? 2 : 1,
                                            .draining = v[i].name[0] == 'y' };
    }
}

static void join_links(struct crowd *c, const struct mesh_link *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        join(c, &v[i].source, 1);
        join(c, &v[i].target, 1);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mesh_agent *)a)->name, ((const struct mesh_agent *)b)->name);
}

static void gather(struct crowd *c, const struct mesh *m)
{
    size_t out = 0;

    join(c, m->members.v, m->members.n);
    join(c, m->hubs.v, m->hubs.n);
    join(c, m->spokes.v, m->spokes.n);
    join(c, m->left.v, m->left.n);
    join(c, m->right.v, m->right.n);
    join_links(c, m->pairs, m->n_pairs);
    join_links(c, m->exclude, m->n_exclude);
    for (size_t i = 0; i < m->n_groups; i++)
        join(c, m->groups[i].members.v, m->groups[i].members.n);
    if (c->n)
        qsort(c->v, c->n, sizeof *c->v, by_name);
    for (size_t i = 0; i < c->n; i++)
        if (!out || by_name(&c->v[out - 1], &c->v[i]))
            c->v[out++] = c->v[i];
    c->n = out;
}

/* ---- */

static void check_pairs(const struct mesh_pairs *pairs)
{
    struct plan_cost cost = { 0 };
    struct plan_diff diff;
    size_t below;

    for (size_t i = 0; i < pairs->n; i++)
        check_pair(pairs, &pairs->v[i]);
    for (size_t i = 1; i < pairs->n; i++)
        check_order(pairs, &pairs->v[i - 1], &pairs->v[i]);
    CHECK(plan_add(&cost, pairs, true) == TW_OK && cost.pairs == pairs->n);
    plan_free(&cost);
    plan_compare(pairs, pairs, &diff);
    CHECK(diff.kept == pairs->n && !diff.added && !diff.removed && !diff.changed);
    CHECK(mesh_below_degree(pairs, &below) == TW_OK && below <= pairs->agents->n);
}

static void check_mesh(const struct mesh *m)
{
    struct crowd c = { 0 };
    struct mesh_agents agents;
    struct mesh_pairs pairs = { .mesh = m, .agents = &agents };
    size_t unresolved;

    for (size_t i = 0; i < m->n_classes; i++)
        check_class(&m->classes[i]);
    for (size_t i = 0; i < m->n_targets; i++)
        check_target(&m->targets[i]);
    gather(&c, m);
    agents = (struct mesh_agents){ c.v, c.n };
    if (!mesh_expand(m, &agents, false, &pairs.v, &pairs.n, &unresolved, NULL)) {
        check_pairs(&pairs);
        free(pairs.v);
    }
    free(c.v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mesh *m = NULL;
    struct tw_err e;

    if (mesh_doc_parse("fuzz.yaml", (const char *)data, size, &m, &e)) {
        CHECK(!m && e.rc && e.text[0] && !strcmp(e.file, "fuzz.yaml"));
        CHECK(!strchr(e.text, '\n') && strlen(e.field) < sizeof e.field);
        return 0;
    }
    check_mesh(m);
    mesh_free(m);
    return 0;
}
