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

static void check_pair(const struct mesh *m, const struct mesh_pair *p)
{
    CHECK(p->source[0] && p->target[0] && p->source[0] != '@' && p->target[0] != '@');
    CHECK(strcmp(p->source, p->target));
    CHECK(p->class_index < m->n_classes);
    CHECK(p->target_index < 0 || !strcmp(m->targets[p->target_index].name, p->target));
}

static void check_order(const struct mesh *m, const struct mesh_pair *a, const struct mesh_pair *b)
{
    int order = strcmp(m->classes[a->class_index].name, m->classes[b->class_index].name);

    if (!order)
        order = strcmp(a->source, b->source);
    if (!order)
        order = strcmp(a->target, b->target);
    CHECK(order < 0);
}

static bool everybody(void *ctx, const char *name)
{
    (void)ctx;
    return name[0] != 'x'; /* but these */
}

static void check_mesh(const struct mesh *m)
{
    struct plan_cost cost = { 0 };
    struct plan_diff diff;
    struct mesh_pair *p;
    size_t n, unresolved;

    for (size_t i = 0; i < m->n_classes; i++)
        check_class(&m->classes[i]);
    if (mesh_expand(m, everybody, NULL, false, &p, &n, &unresolved, NULL))
        return;
    for (size_t i = 0; i < n; i++)
        check_pair(m, &p[i]);
    for (size_t i = 1; i < n; i++)
        check_order(m, &p[i - 1], &p[i]);
    CHECK(plan_add(&cost, m, p, n, true) == TW_OK && cost.pairs == n);
    plan_free(&cost);
    plan_compare(m, p, n, m, p, n, &diff);
    CHECK(diff.kept == n && !diff.added && !diff.removed && !diff.changed);
    free(p);
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
