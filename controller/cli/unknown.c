/* Why an answer is empty: a name that it was narrowed by is nobody's. */
#include <stdio.h>
#include <string.h>
#include "common/name_index.h"
#include "controller/cli/agents.h"

struct sought {
    const char *wanted, *best;
    unsigned distance;
    bool found;
};

static void look(struct sought *s, const char *name)
{
    unsigned d = name_distance(s->wanted, name);

    s->found |= !strcmp(s->wanted, name);
    if (s->best && d >= s->distance)
        return;
    s->best = name;
    s->distance = d;
}

/* shown: where all of them are listed. */
static void say(const struct sought *s, const char *what, const char *shown)
{
    bool near = s->best && name_is_near(s->distance, s->wanted);

    if (!s->found)
        cli_fail(CLI_OK, "there is no %s \"%.63s\"%s%s%s: %s shows them", what, s->wanted,
                 near ? "; did you mean \"" : "", near ? s->best : "", near ? "\"?" : "", shown);
}

static void explain_agents(struct cli *c)
{
    struct sought source = { .wanted = c->opt.source }, target = { .wanted = c->opt.target };
    struct ctl_error err;
    Tw__AgentListReply *list = NULL;

    if ((!source.wanted && !target.wanted) || agents_fetch(c->ctl, NULL, &list, &err))
        return;
    for (size_t i = 0; i < list->n_agents; i++) {
        if (source.wanted)
            look(&source, list->agents[i]->name);
        if (target.wanted)
            look(&target, list->agents[i]->name);
    }
    if (source.wanted)
        say(&source, "agent", "twampctl agent list");
    if (target.wanted && target.best &&
        name_is_near(target.distance, target.wanted)) /* it may be a mesh's own */
        say(&target, "agent", "twampctl agent list");
    tw__agent_list_reply__free_unpacked(list, NULL);
}

static void look_at_meshes(const Tw__ScheduleListReply *reply, struct sought *mesh, struct sought *class_)
{
    for (size_t i = 0; i < reply->n_meshes; i++) {
        if (mesh->wanted)
            look(mesh, reply->meshes[i]->name);
        for (size_t k = 0; class_->wanted && k < reply->meshes[i]->n_classes; k++)
            look(class_, reply->meshes[i]->classes[k]);
    }
}

static void explain_meshes(struct cli *c)
{
    struct sought mesh = { .wanted = c->opt.mesh }, class_ = { .wanted = c->opt.class_name };
    Tw__ScheduleListRequest rq = TW__SCHEDULE_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct ctl_error err;

    if ((!mesh.wanted && !class_.wanted) || ctl_call(c->ctl, "ScheduleList", &rq.base, &m, &err))
        return;
    mesh.found = mesh.wanted && !strcmp(mesh.wanted, "on-demand"); /* of tests */
    class_.found = mesh.found;
    look_at_meshes((const Tw__ScheduleListReply *)m, &mesh, &class_);
    if (mesh.wanted)
        say(&mesh, "mesh", "twampctl schedule list");
    if (class_.wanted)
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
