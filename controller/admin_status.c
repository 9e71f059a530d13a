#include <stdio.h>
#include <string.h>
#include "common/version.h"
#include "controller/admin.h"

#define SELF_MAX 192
#define PROBLEMS_MAX 8

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

static void count_agents(const struct inventory *inv, Tw__StatusReply *reply)
{
    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        if (agent_is_revoked(a))
            continue;
        else if (!a->row.approved)
            reply->agents_pending++;
        else if (a->peer)
            reply->agents_up++;
        else
            reply->agents_down++;
    for (size_t i = 0; i < inv->pairs.n; i++)
        reply->pairs += pair_table_at(&inv->pairs, i)->scheduled;
}

void admin_status(Tw__Admin_Service *service, const Tw__StatusRequest *rq, Tw__StatusReply_Closure closure,
                  void *closure_data)
{
    struct controller *c = admin_controller(service);
    const char *problems[PROBLEMS_MAX];
    Tw__StatusReply reply = TW__STATUS_REPLY__INIT;

    (void)rq;
    reply.version = (char *)TW_VERSION;
    reply.started_ns = c->started_ns;
    reply.generation = c->inv.generation;
    count_agents(&c->inv, &reply);
    fill_counters(c, admin_arena(c), &reply);
    reply.n_problems = controller_problems(c, problems, PROBLEMS_MAX);
    reply.problems = (char **)problems;
    reply.ready = !reply.n_problems;
    closure(&reply, closure_data);
}
