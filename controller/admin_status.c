#include <stdio.h>
#include <string.h>
#include "common/version.h"
#include "common/net/now.h"
#include "controller/admin.h"
#include "controller/maintenance.h"
#include "controller/registry.h"

#define SELF_MAX 192
#define PROBLEMS_MAX 8
#define MAINTENANCE_MAX 20
#define CONTROLLERS_MAX 100

static const char *unit_of(const char *name)
{
    if (strstr(name, "_seconds"))
        return "seconds";
    return strstr(name, "_bytes") ? "bytes" : "";
}

static char *counter_name(const struct metrics_self *row, struct arena *ar)
{
    char name[256];

    if (!row->label)
        return (char *)row->name;
    snprintf(name, sizeof name, "%s{%s=\"%s\"}", row->name, row->label, row->label_value);
    return admin_text(ar, name);
}

static void fill_counters(struct controller *c, struct arena *ar, Tw__StatusReply *reply)
{
    struct metrics_self rows[SELF_MAX];
    size_t n = controller_self(c, rows, SELF_MAX);

    reply->counters = arena_alloc(ar, sizeof *reply->counters * SELF_MAX);
    for (size_t i = 0; reply->counters && i < n; i++) {
        Tw__Counter *counter = arena_alloc(ar, sizeof *counter);

        if (!counter)
            return;
        tw__counter__init(counter);
        counter->name = counter_name(&rows[i], ar);
        counter->value = rows[i].value;
        counter->unit = (char *)unit_of(rows[i].name);
        reply->counters[reply->n_counters++] = counter;
    }
}

static void count_agent(const struct agent *a, int64_t now_ns, Tw__StatusReply *reply)
{
    if (agent_is_revoked(a)) {
        reply->agents_revoked++;
        return;
    }
    if (!a->row.approved)
        reply->agents_pending++;
    else if (agent_is_up(a))
        reply->agents_up++;
    else
        reply->agents_down++;
    reply->agents_drained += agent_is_drained(a);
    reply->agents_in_maintenance += agent_in_maintenance(a, now_ns);
}

static void count_all(const struct inventory *inv, int64_t now_ns, Tw__StatusReply *reply)
{
    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        count_agent(a, now_ns, reply);
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        reply->pairs += p->scheduled;
        reply->pairs_in_maintenance += pair_in_maintenance(p, now_ns);
    }
}

/* ---- Maintenance ---- */

static void add_maintenance(const struct maintenance_now *now, const char *mesh, struct arena *ar,
                            Tw__StatusReply *reply)
{
    Tw__MaintenanceNow *m = reply->maintenance && reply->n_maintenance < MAINTENANCE_MAX ? arena_alloc(ar, sizeof *m) : NULL;

    if (!m)
        return;
    tw__maintenance_now__init(m);
    m->agent = (char *)now->agent;
    m->mesh = (char *)mesh;
    m->reason = (char *)now->reason;
    m->until_ns = now->until_ns == TIMES_NEVER ? 0 : now->until_ns;
    reply->maintenance[reply->n_maintenance++] = m;
}

static void fill_maintenance(const struct inventory *inv, int64_t now_ns, struct arena *ar, Tw__StatusReply *reply)
{
    struct maintenance_now now;

    reply->maintenance = arena_alloc(ar, sizeof *reply->maintenance * MAINTENANCE_MAX);
    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        if (!agent_is_revoked(a) && maintenance_of_agent(a, now_ns, &now))
            add_maintenance(&now, "", ar, reply);
    for (const struct mesh_state *m = inv->meshes; m; m = m->hh.next)
        if (maintenance_of_mesh(m, now_ns, &now))
            add_maintenance(&now, m->row.name, ar, reply);
}

/* ---- Controllers ---- */

static Tw__ControllerInfo *controller_info(const struct registry_row *row, struct arena *ar)
{
    const struct registry_facts *f = row->facts;
    bool up = row->state == REGISTRY_UP;
    Tw__ControllerInfo *m = arena_alloc(ar, sizeof *m);

    if (!m)
        return NULL;
    tw__controller_info__init(m);
    m->name = (char *)f->name;
    m->state = (char *)registry_state_name(row->state);
    m->self = row->self;
    m->version = (char *)f->version;
    m->host = (char *)f->host;
    m->agents_address = (char *)f->agents_at;
    m->admin_address = (char *)f->admin_at;
    m->http_address = (char *)f->http_at;
    m->started_ns = f->started_ns;
    m->gone_ns = row->gone_ns;
    m->agents = up ? f->agents : 0;
    m->planner = up && f->planner;
    m->ready = up && f->ready;
    m->problem = (char *)(up ? f->problem : "");
    m->twin = row->twin;
    m->other_release = up && strcmp(f->version, tw_version) != 0;
    return m;
}

static void fill_controllers(struct controller *c, struct arena *ar, Tw__StatusReply *reply)
{
    const struct registry_row *rows;
    size_t n = registry_rows(c->registry, &rows);

    reply->controllers = arena_alloc(ar, sizeof *reply->controllers * (n + 1));
    for (size_t i = 0; reply->controllers && i < n && i < CONTROLLERS_MAX; i++) {
        Tw__ControllerInfo *m = controller_info(&rows[i], ar);

        if (m)
            reply->controllers[reply->n_controllers++] = m;
    }
}

void admin_status(Tw__Admin_Service *service, const Tw__StatusRequest *rq, Tw__StatusReply_Closure closure,
                  void *closure_data)
{
    struct controller *c = admin_controller(service);
    const char *problems[PROBLEMS_MAX], *warnings[PROBLEMS_MAX];
    struct arena *ar = admin_arena(c); /* once: it begins anew */
    int64_t now_ns = tw_wall_now().ns;
    Tw__StatusReply reply = TW__STATUS_REPLY__INIT;

    (void)rq;
    reply.version = (char *)tw_version;
    reply.started_ns = c->started_ns;
    reply.generation = c->inv.generation;
    count_all(&c->inv, now_ns, &reply);
    fill_maintenance(&c->inv, now_ns, ar, &reply);
    fill_controllers(c, ar, &reply);
    fill_counters(c, ar, &reply);
    reply.n_problems = controller_problems(c, problems, PROBLEMS_MAX);
    reply.problems = (char **)problems;
    reply.ready = !reply.n_problems;
    reply.n_warnings = controller_warnings(c, warnings, PROBLEMS_MAX);
    reply.warnings = (char **)warnings;
    closure(&reply, closure_data);
}
