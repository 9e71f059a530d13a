/* Why an answer is empty: a name that it was narrowed by is nobody's. */
#include <stdio.h>
#include <string.h>
#include "common/name_index.h"
#include "controller/cli/agents.h"

struct sought {
    struct name_near near;
    bool found;
};

static void look(struct sought *s, const char *name)
{
    s->found |= !strcmp(s->near.wanted, name);
    name_near_look(&s->near, name);
}

/* shown: where all of them are listed. */
static void say(const struct sought *s, const char *what, const char *shown)
{
    const char *best = name_near_get(&s->near);

    if (!s->found)
        cli_fail(CLI_OK, "there is no %s \"%.63s\"%s%s%s: %s shows them", what, s->near.wanted,
                 best ? "; did you mean \"" : "", best ? best : "", best ? "\"?" : "", shown);
}

static void explain_agents(struct cli *c)
{
    struct sought source = { .near.wanted = c->opt.source }, target = { .near.wanted = c->opt.target };
    struct ctl_error err;
    Tw__AgentListReply *list = NULL;

    if ((!source.near.wanted && !target.near.wanted) || agents_fetch(c->ctl, NULL, &list, &err))
        return;
    for (size_t i = 0; i < list->n_agents; i++) {
        if (source.near.wanted)
            look(&source, list->agents[i]->name);
        if (target.near.wanted)
            look(&target, list->agents[i]->name);
    }
    if (source.near.wanted)
        say(&source, "agent", "twampctl agent list");
    if (target.near.wanted && name_near_get(&target.near)) /* it may be a mesh's own */
        say(&target, "agent", "twampctl agent list");
    tw__agent_list_reply__free_unpacked(list, NULL);
}

static void look_at_meshes(const Tw__ScheduleListReply *reply, struct sought *mesh, struct sought *class_)
{
    for (size_t i = 0; i < reply->n_meshes; i++) {
        if (mesh->near.wanted)
            look(mesh, reply->meshes[i]->name);
        for (size_t k = 0; class_->near.wanted && k < reply->meshes[i]->n_classes; k++)
            look(class_, reply->meshes[i]->classes[k]);
    }
}

static void explain_meshes(struct cli *c)
{
    struct sought mesh = { .near.wanted = c->opt.mesh }, class_ = { .near.wanted = c->opt.class_name };
    Tw__ScheduleListRequest rq = TW__SCHEDULE_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct ctl_error err;

    if ((!mesh.near.wanted && !class_.near.wanted) || ctl_call(c->ctl, "ScheduleList", &rq.base, &m, &err))
        return;
    mesh.found = mesh.near.wanted && !strcmp(mesh.near.wanted, "on-demand"); /* of tests */
    class_.found = mesh.found;
    look_at_meshes((const Tw__ScheduleListReply *)m, &mesh, &class_);
    if (mesh.near.wanted)
        say(&mesh, "mesh", "twampctl schedule list");
    if (class_.near.wanted)
        say(&class_, "class", "twampctl schedule list -o wide");
    cli_free_reply(m);
}

void cli_explain_empty(struct cli *c)
{
    if (!c->ctl)
        return;
    explain_agents(c);
    explain_meshes(c);
}
