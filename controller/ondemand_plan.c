/* controller/ondemand_plan.c - see ondemand_plan.h. */
#include "controller/registry.h"
#include "controller/relay.h"
#include "controller/near.h"
#include "controller/ondemand_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/hostname.h"
#include "controller/schedule.h"

static Tw__Status fail(struct tw_err *err, Tw__Status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static Tw__Status fail(struct tw_err *err, Tw__Status status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return status;
}

static Tw__Status no_memory(struct tw_err *err)
{
    return fail(err, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

/* ---- Names ---- */

static void agents_near(const struct controller *c, struct name_near *n)
{
    for (const struct agent *a = c->inv.agents; a; a = a->hh.next)
        if (a->row.approved)
            name_near_look(n, a->row.name);
}

/* "MESH/NAME": *ret_mesh is empty without the first part. */
static const char *split(const char *text, char ret_mesh[MESH_NAME_MAX])
{
    const char *slash = strchr(text, '/');

    ret_mesh[0] = '\0';
    if (!slash || (size_t)(slash - text) >= MESH_NAME_MAX)
        return text;
    memcpy(ret_mesh, text, (size_t)(slash - text));
    ret_mesh[slash - text] = '\0';
    return slash + 1;
}

static bool is_of(const char *mesh, const struct mesh_state *m)
{
    return !*mesh || !strcmp(mesh, m->row.name);
}

/* ---- The source ---- */

bool ondemand_absent(struct controller *c, const char *name, char *text, size_t cap)
{
    const struct agent *a = inventory_agent(&c->inv, name);
    char when[TW_TIME_TEXT];

    if (a && a->row.approved && (a->peer || relay_reaches(c->relay, a)) && agent_can(a, "test"))
        return false;
    if (!a)
        snprintf(text, cap, "agent %s has been removed", name);
    else if (agent_is_revoked(a))
        snprintf(text, cap, "agent %s is revoked; to let it in again: twampctl agent remove %s, then approve",
                 name, name);
    else if (!a->row.approved)
        snprintf(text, cap, "agent %s is not approved: twampctl agent approve %s", name, name);
    else if (!a->peer && a->elsewhere && !relay_reaches(c->relay, a))
        registry_say_where(c->registry, a, text, cap);
    else if (!agent_is_up(a) && a->last_contact_ns)
        snprintf(text, cap, "agent %s is not connected since %.19sZ", name,
                 tw_wall_format((struct tw_wall){ a->last_contact_ns }, when));
    else if (!agent_is_up(a))
        snprintf(text, cap, "agent %s is not connected", name);
    else
        snprintf(text, cap, "agent %s runs no tests on demand: its program is older than this controller",
                 name);
    return true;
}

static Tw__Status find_source(struct controller *c, const char *name, struct agent **ret, struct tw_err *err)
{
    struct name_near n = { .wanted = name };
    char mean[NEAR_TEXT];

    *ret = inventory_agent(&c->inv, name);
    if (!*ret) {
        agents_near(c, &n);
        return fail(err, TW__STATUS__STATUS_NOT_FOUND,
                    "no agent \"%.63s\" to test from%s: twampctl agent list shows them", name,
                    near_text(&n, mean));
    }
    if (ondemand_absent(c, name, err->text, sizeof err->text))
        return TW__STATUS__STATUS_UNAVAILABLE;
    return TW__STATUS__STATUS_OK;
}

/* ---- The target ---- */

/* As a name: what is not allowed in one becomes a hyphen, which no address has. */
static void address_name(const struct tw_addr *a, char ret[STORE_NAME_MAX])
{
    char text[TW_ADDR_TEXT];
    size_t n = 0;

    tw_addr_format(a, text);
    for (const char *p = text; *p && n + 1 < STORE_NAME_MAX; p++)
        if (*p != '[' && *p != ']')
            ret[n++] = strchr("abcdefghijklmnopqrstuvwxyz0123456789.", *p) ? *p : '-';
    ret[n] = '\0';
}

static Tw__Status agent_target(const struct agent *source, const struct agent *target,
                               const struct mesh_class *class_, struct ondemand_goal *g, struct tw_err *err)
{
    struct tw_addr own = { 0 };

    if (source == target)
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s cannot test to itself", source->row.name);
    if (!target->row.approved)
        return fail(err, TW__STATUS__STATUS_FAILED_PRECONDITION, "the target agent %s is not approved",
                    target->row.name);
    agent_address(source, 0, &own);
    if (agent_address(target, own.family, &g->address) != TW_OK)
        return fail(err, TW__STATUS__STATUS_FAILED_PRECONDITION,
                    "no address of the target agent %s is known: it never connected", target->row.name);
    if (class_->protocol == MESH_TWAMP)
        g->address.port = agent_control_port(target);
    g->stateful = !agent_can(target, "stateless");
    snprintf(g->target, sizeof g->target, "%s", target->row.name);
    return TW__STATUS__STATUS_OK;
}

/* A name of its own for each host and port: what has to be changed or cut gets a number of all of it. */
static void host_name(const char *host, uint16_t port, char ret[STORE_NAME_MAX])
{
    char text[MESH_HOST_MAX + 8];
    size_t len = (size_t)snprintf(text, sizeof text, port == AGENT_PORT ? "%s" : "%s-%u", host, port);
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a */
    bool same = len < STORE_NAME_MAX;

    for (char *p = text; *p; p++) {
        hash = (hash ^ (uint8_t)*p) * UINT32_C(16777619);
        same &= *p != '_';
        *p = *p == '_' ? '-' : *p;
    }
    if (same)
        memcpy(ret, text, len + 1);
    else
        snprintf(ret, STORE_NAME_MAX, "%.54s-%08x", text, hash);
}

/* "router.example.net", "router:862": without dot and port it is more likely an agent that is not there. */
static bool host_target(const char *text, struct ondemand_goal *g)
{
    uint16_t port;

    if (!strpbrk(text, ".:") || hostname_parse(text, AGENT_PORT, g->host, sizeof g->host, &port) != TW_OK)
        return false;
    g->address = (struct tw_addr){ .port = port };
    host_name(g->host, port, g->target);
    return true;
}

static void take_place(struct ondemand_goal *g, const struct mesh_target *t)
{
    g->address = t->addr;
    memcpy(g->host, t->host, sizeof g->host);
    if (t->host[0])
        g->address.family = t->family;
}

static bool is_place(const struct ondemand_goal *g, const struct mesh_target *t)
{
    struct ondemand_goal other = { .source_index = 0 };

    take_place(&other, t);
    return !strcmp(g->host, other.host) && !memcmp(&g->address, &other.address, sizeof g->address);
}

/* A target of a mesh document, by its name; several may mean the same address. */
static Tw__Status named_target(struct controller *c, const char *text, struct ondemand_goal *g,
                               struct tw_err *err)
{
    char mesh[MESH_NAME_MAX], mean[NEAR_TEXT];
    const char *name = split(text, mesh), *first = NULL;
    struct name_near n = { .wanted = name };

    for (const struct mesh_state *m = c->inv.meshes; m; m = m->hh.next) {
        for (size_t i = 0; m->mesh && is_of(mesh, m) && i < m->mesh->n_targets; i++) {
            const struct mesh_target *t = &m->mesh->targets[i];
            name_near_look(&n, t->name);
            if (strcmp(t->name, name) != 0)
                continue;
            if (first && !is_place(g, t))
                return fail(
                    err, TW__STATUS__STATUS_FAILED_PRECONDITION,
                    "target \"%s\" has different addresses in the meshes %s and %s: say %s/%s or %s/%s", name,
                    first, m->row.name, first, name, m->row.name, name);
            first = m->row.name;
            take_place(g, t);
        }
    }
    snprintf(g->target, sizeof g->target, "%s", name);
    if (first || host_target(text, g))
        return TW__STATUS__STATUS_OK;
    agents_near(c, &n);
    return fail(
        err, TW__STATUS__STATUS_NOT_FOUND,
        "\"%.63s\" is no agent, no target of a mesh, no address and no host name with a dot or port%s: expected such as "
        "fra, 192.0.2.1:862, [2001:db8::1]:862 or router.example.net",
        text, near_text(&n, mean));
}

static Tw__Status find_target(struct controller *c, const struct agent *source, const char *text,
                              const struct mesh_class *class_, struct ondemand_goal *g, struct tw_err *err)
{
    const struct agent *target = inventory_agent(&c->inv, text);
    Tw__Status status = TW__STATUS__STATUS_OK;

    if (target)
        status = agent_target(source, target, class_, g, err);
    else if (tw_addr_parse(text, AGENT_PORT, &g->address) == TW_OK && g->address.port)
        address_name(&g->address, g->target);
    else
        status = named_target(c, text, g, err);
    if (!status)
        g->refuse = schedule_cannot(source, target, class_);
    if (!status && g->host[0] && !agent_can(source, "hosts"))
        g->refuse = "the agent's program is too old for targets by host name";
    return status;
}

/* ---- The class ---- */

static Tw__Status unknown_class(const struct controller *c, const char *text, const char *mesh,
                                struct name_near *n, struct tw_err *err)
{
    char mean[NEAR_TEXT];

    if (*mesh && !inventory_mesh(&c->inv, mesh))
        return fail(err, TW__STATUS__STATUS_NOT_FOUND, "no mesh \"%s\"%s: twampctl schedule list shows them",
                    mesh, near_mesh(&c->inv, mesh, mean));
    return fail(err, TW__STATUS__STATUS_NOT_FOUND,
                "no class \"%.130s\"%s: the documents of the meshes have them", text, near_text(n, mean));
}

/* The same class may stand in several documents, if it is the same. */
static Tw__Status find_class(const struct controller *c, const char *text, const struct mesh_class **ret,
                             struct tw_err *err)
{
    char mesh[MESH_NAME_MAX];
    const char *name = split(text, mesh), *first = NULL;
    struct name_near n = { .wanted = name };

    *ret = NULL;
    for (const struct mesh_state *m = c->inv.meshes; m; m = m->hh.next) {
        for (size_t i = 0; m->mesh && is_of(mesh, m) && i < m->mesh->n_classes; i++) {
            const struct mesh_class *k = &m->mesh->classes[i];
            name_near_look(&n, k->name);
            if (strcmp(k->name, name) != 0)
                continue;
            if (*ret && !mesh_class_same(*ret, k))
                return fail(err, TW__STATUS__STATUS_FAILED_PRECONDITION,
                            "class \"%s\" is different in the meshes %s and %s: say %s/%s or %s/%s", name,
                            first, m->row.name, first, name, m->row.name, name);
            *ret = k;
            first = m->row.name;
        }
    }
    return *ret ? TW__STATUS__STATUS_OK : unknown_class(c, text, mesh, &n, err);
}

/* Results are to come soon: a run may take less time than a report period. */
static void shorten_period(struct mesh_class *k)
{
    if (k->report_period_ns > ONDEMAND_PERIOD_MAX_NS && k->timeout_ns <= ONDEMAND_PERIOD_MAX_NS)
        k->report_period_ns = ONDEMAND_PERIOD_MAX_NS;
}

/* ---- How long ---- */

static Tw__Status check_length(const struct ondemand_plan *p, struct tw_err *err)
{
    for (size_t i = 0; i < p->n_classes; i++)
        if (p->count && !p->duration_ns &&
            (double)p->count * (double)p->classes[i].spacing_ns > (double)ONDEMAND_LASTS_MAX_NS)
            return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT,
                        "%llu probes of class %s take more than 24h: fewer, or narrower spacing",
                        (unsigned long long)p->count, p->classes[i].name);
    return TW__STATUS__STATUS_OK;
}

static Tw__Status read_length(const Tw__TestStartRequest *rq, struct ondemand_plan *p, struct tw_err *err)
{
    if (rq->count > ONDEMAND_COUNT_MAX)
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT, "count: expected at most %u probes",
                    ONDEMAND_COUNT_MAX);
    if (rq->duration_ns < 0 || rq->duration_ns > ONDEMAND_LASTS_MAX_NS)
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT, "duration: expected at most 24h");
    if (rq->parallel > ONDEMAND_PARALLEL_MAX)
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT, "parallel: expected at most %u",
                    ONDEMAND_PARALLEL_MAX);
    p->count = rq->count;
    p->duration_ns = rq->count || rq->duration_ns ? rq->duration_ns : ONDEMAND_LASTS_NS;
    p->parallel = rq->parallel ? rq->parallel : ONDEMAND_PARALLEL;
    return TW__STATUS__STATUS_OK;
}

/* ---- One pair ---- */

static Tw__Status make_class(struct controller *c, const Tw__TestStartRequest *rq, struct mesh_class *ret,
                             struct tw_err *err)
{
    const struct mesh_class *base = NULL;
    Tw__Status status = TW__STATUS__STATUS_OK;
    struct tw_err why = { 0 };
    enum tw_rc rc;

    if (*rq->class_name)
        status = find_class(c, rq->class_name, &base, err);
    if (status)
        return status;
    rc = ondemand_class(base, rq->settings, rq->n_settings, ret, &why);
    if (rc == TW_ENOMEM)
        return no_memory(err);
    if (rc)
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s%s%.230s", why.field,
                    why.field[0] ? ": " : "", why.text);
    shorten_period(ret);
    return TW__STATUS__STATUS_OK;
}

static Tw__Status plan_pair(struct controller *c, const Tw__TestStartRequest *rq, struct ondemand_plan *p,
                            struct tw_err *err)
{
    struct agent *source;
    Tw__Status status = find_source(c, rq->source, &source, err);

    if (status)
        return status;
    p->classes = calloc(1, sizeof *p->classes);
    p->goals = calloc(1, sizeof *p->goals);
    if (!p->classes || !p->goals)
        return no_memory(err);
    p->n_classes = 1;
    status = make_class(c, rq, &p->classes[0], err);
    if (!status)
        status = find_target(c, source, rq->target, &p->classes[0], &p->goals[0], err);
    if (status)
        return status;
    if (p->goals[0].refuse)
        return fail(err, TW__STATUS__STATUS_FAILED_PRECONDITION, "%s", p->goals[0].refuse);
    snprintf(p->goals[0].source, sizeof p->goals[0].source, "%s", source->row.name);
    p->n = p->n_sources = 1;
    snprintf(p->what, sizeof p->what, "%s > %s", p->goals[0].source, p->goals[0].target);
    ondemand_class_text(&p->classes[0], p->settings);
    return TW__STATUS__STATUS_OK;
}

/* ---- All pairs of a mesh ---- */

static Tw__Status find_mesh(struct controller *c, const char *name, const struct mesh_state **ret,
                            struct tw_err *err)
{
    char mean[NEAR_TEXT];

    *ret = inventory_mesh(&c->inv, name);
    if (*ret)
        return TW__STATUS__STATUS_OK;
    return fail(err, TW__STATUS__STATUS_NOT_FOUND, "no mesh \"%.63s\"%s: twampctl schedule list shows them",
                name, near_mesh(&c->inv, name, mean));
}

/* Which pairs of a mesh. */
struct choice {
    struct inventory *inv;
    const char *class_name; /* "": any */
    struct selector *select, *target_select;
};

/* Whoever is no agent has a name, but no labels. */
static bool is_selected(const struct choice *ch, const struct selector *sel, const char *name)
{
    const struct agent *a = sel ? inventory_agent(ch->inv, name) : NULL;

    return !sel || selector_match(sel, a ? a->labels : NULL, a ? a->n_labels : 0, name);
}

/* Is pair `at` asked for, and can it be measured now? */
static bool is_wanted(const struct choice *ch, const struct wanted *w, const struct wanted_mesh *m, size_t at,
                      struct wanted_pair *ret)
{
    return (!*ch->class_name ||
            !strcmp(m->mesh->classes[m->pairs.v[at].class_index].name, ch->class_name)) &&
           wanted_pair(w, m, at, ret) && is_selected(ch, ch->select, ret->source) &&
           is_selected(ch, ch->target_select, ret->target);
}

static Tw__Status begin_choice(struct controller *c, const Tw__TestStartRequest *rq, struct choice *ret,
                               struct tw_err *err)
{
    *ret = (struct choice){ .inv = &c->inv, .class_name = rq->class_name };
    if ((*rq->select && selector_parse(rq->select, &ret->select, err) != TW_OK) ||
        (*rq->target_select && selector_parse(rq->target_select, &ret->target_select, err) != TW_OK))
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    return TW__STATUS__STATUS_OK;
}

static void end_choice(struct choice *ch)
{
    selector_free(ch->select);
    selector_free(ch->target_select);
}

static void add_goal(struct ondemand_plan *p, const struct mesh *mesh, const struct wanted_pair *w)
{
    struct ondemand_goal *g = &p->goals[p->n++];

    g->class_index = (uint32_t)(w->class_ - mesh->classes);
    if (w->host)
        take_place(g, w->host);
    else
        g->address = w->address;
    g->stateful = w->stateful;
    g->refuse = w->refuse;
    snprintf(g->source, sizeof g->source, "%s", w->source);
    snprintf(g->target, sizeof g->target, "%s", w->target);
}

static int by_source(const void *a, const void *b)
{
    const struct ondemand_goal *x = *(struct ondemand_goal *const *)a, *y = *(struct ondemand_goal *const *)b;

    return strcmp(x->source, y->source);
}

static bool number_sources(struct ondemand_plan *p)
{
    struct ondemand_goal **v = malloc((p->n + 1) * sizeof(*v));

    if (!v)
        return false;
    for (size_t i = 0; i < p->n; i++)
        v[i] = &p->goals[i];
    qsort(v, p->n, sizeof(*v), by_source);
    for (size_t i = 0; i < p->n; i++) {
        p->n_sources += !i || strcmp(v[i - 1]->source, v[i]->source) != 0;
        v[i]->source_index = (uint32_t)p->n_sources - 1;
    }
    free(v);
    return true;
}

static Tw__Status list_goals(const struct choice *ch, const struct mesh *mesh, const struct wanted *w,
                             struct ondemand_plan *p, struct tw_err *err)
{
    const struct wanted_mesh *m = wanted_find_mesh(w, mesh->name);
    struct wanted_pair pair;
    size_t n = 0;

    for (size_t i = 0; i < m->pairs.n; i++)
        n += is_wanted(ch, w, m, i, &pair);
    if (!n)
        return fail(err, TW__STATUS__STATUS_NOT_FOUND, "mesh %s has no pair%s%.63s%s that could be tested",
                    mesh->name, *ch->class_name ? " of class " : "", ch->class_name,
                    ch->select || ch->target_select ? " between agents with such labels" : "");
    if (n > ONDEMAND_RUNS_MAX)
        return fail(err, TW__STATUS__STATUS_FAILED_PRECONDITION,
                    "%zu pairs are too many for one test, %u are allowed: name a class, or select agents by labels",
                    n, ONDEMAND_RUNS_MAX);
    p->goals = calloc(n, sizeof *p->goals);
    p->classes = calloc(mesh->n_classes, sizeof *p->classes);
    if (!p->goals || !p->classes)
        return no_memory(err);
    memcpy(p->classes, mesh->classes, mesh->n_classes * sizeof *p->classes);
    p->n_classes = mesh->n_classes;
    for (size_t i = 0; i < m->pairs.n; i++)
        if (is_wanted(ch, w, m, i, &pair))
            add_goal(p, mesh, &pair);
    for (size_t i = 0; i < p->n_classes; i++)
        shorten_period(&p->classes[i]);
    return number_sources(p) ? TW__STATUS__STATUS_OK : no_memory(err);
}

static Tw__Status plan_mesh(struct controller *c, const Tw__TestStartRequest *rq, struct ondemand_plan *p,
                            struct tw_err *err)
{
    const struct mesh_state *m;
    struct choice ch = { 0 };
    struct wanted w;
    Tw__Status status = find_mesh(c, rq->mesh, &m, err);

    if (status)
        return status;
    if (rq->n_settings)
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT,
                    "a mesh is tested with its own classes: leave out %.40s", rq->settings[0]->key);
    status = begin_choice(c, rq, &ch, err);
    if (!status && wanted_of_mesh(&c->inv, m, &w, err) != TW_OK)
        status = TW__STATUS__STATUS_INTERNAL;
    else if (!status) {
        status = list_goals(&ch, m->mesh, &w, p, err);
        wanted_free(&w);
    }
    end_choice(&ch);
    snprintf(p->what, sizeof p->what, "mesh %s", m->row.name);
    if (*rq->class_name)
        snprintf(p->settings, sizeof p->settings, "class %.63s", rq->class_name);
    return status;
}

/* ---- All of it ---- */

void ondemand_plan_free(struct ondemand_plan *p)
{
    free(p->goals);
    free(p->classes);
    *p = (struct ondemand_plan){ 0 };
}

Tw__Status ondemand_plan(struct controller *c, const Tw__TestStartRequest *rq, struct ondemand_plan *ret,
                         struct tw_err *err)
{
    bool pair = *rq->source && *rq->target;
    Tw__Status status;

    *ret = (struct ondemand_plan){ 0 };
    if (*rq->mesh ? *rq->source || *rq->target : !pair)
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT, "expected source and target, or a mesh");
    if (pair && (*rq->select || *rq->target_select))
        return fail(err, TW__STATUS__STATUS_INVALID_ARGUMENT, "select: expected it with a mesh, not with a pair");
    status = read_length(rq, ret, err);
    if (!status)
        status = *rq->mesh ? plan_mesh(c, rq, ret, err) : plan_pair(c, rq, ret, err);
    if (!status)
        status = check_length(ret, err);
    if (status)
        ondemand_plan_free(ret);
    return status;
}

void ondemand_plan_spec(const struct ondemand_plan *p, size_t goal, char address[TW_ADDR_TEXT],
                        uint32_t imix[MESH_IMIX], Tw__SessionSpec *s)
{
    const struct ondemand_goal *g = &p->goals[goal];
    const struct mesh_class *c = &p->classes[g->class_index];

    tw__session_spec__init(s);
    s->mesh = (char *)ONDEMAND_MESH;
    s->class_name = (char *)c->name;
    s->target = (char *)g->target;
    s->host = (char *)g->host;
    s->host_family = g->host[0] ? g->address.family : 0;
    s->address = g->host[0] ? (char *)"" : (char *)tw_addr_format_ip(&g->address, address);
    s->port = g->address.port;
    s->reflector_stateful = g->stateful;
    schedule_fill_class(c, g->address.family == 6, imix, s);
}
