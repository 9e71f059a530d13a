#include "controller/cli/agents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum cli_exit next_page(struct ctl *c, const char *select, const Tw__AgentListReply *all,
                               Tw__AgentListReply **ret, struct ctl_error *err)
{
    Tw__AgentListRequest rq = TW__AGENT_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    if (select)
        rq.select = (char *)select;
    if (all)
        rq.after = all->agents[all->n_agents - 1]->name;
    code = ctl_call(c, "AgentList", &rq.base, &m, err);
    *ret = (Tw__AgentListReply *)m;
    return code;
}

/* Moves the agents of `page` behind those of `all`, and frees `page`. Both come from unpack() with malloc().
 */
static bool append(Tw__AgentListReply *all, Tw__AgentListReply *page)
{
    Tw__AgentInfo **agents = realloc(all->agents, (all->n_agents + page->n_agents + 1) * sizeof *agents);

    if (agents) {
        all->agents = agents;
        for (size_t i = 0; i < page->n_agents; i++)
            agents[all->n_agents++] = page->agents[i];
        all->truncated = page->truncated;
        page->n_agents = 0;
    }
    tw__agent_list_reply__free_unpacked(page, NULL);
    return agents != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(Tw__AgentInfo *const *)a)->name, (*(Tw__AgentInfo *const *)b)->name);
}

/* A controller that is too old to go on where it was asked to begins again. */
static bool goes_on(const Tw__AgentListReply *all, const Tw__AgentListReply *page)
{
    return page->n_agents && strcmp(page->agents[0]->name, all->agents[all->n_agents - 1]->name) > 0;
}

static enum cli_exit add_page(struct ctl *c, const char *select, Tw__AgentListReply *all, bool *more,
                              struct ctl_error *err)
{
    Tw__AgentListReply *page = NULL;
    enum cli_exit code = next_page(c, select, all, &page, err);

    if (code)
        return code;
    *more = goes_on(all, page);
    if (!*more) {
        all->truncated = page->n_agents > 0;
        tw__agent_list_reply__free_unpacked(page, NULL);
        return CLI_OK;
    }
    if (append(all, page))
        return CLI_OK;
    snprintf(err->text, sizeof err->text, "out of memory");
    return CLI_FAILED;
}

enum cli_exit agents_fetch(struct ctl *c, const char *select, Tw__AgentListReply **ret, struct ctl_error *err)
{
    Tw__AgentListReply *all = NULL;
    enum cli_exit code = next_page(c, select, NULL, &all, err);
    bool more = true;

    while (!code && more && all->truncated && all->n_agents)
        code = add_page(c, select, all, &more, err);
    if (!code && all->n_agents)
        qsort(all->agents, all->n_agents, sizeof(Tw__AgentInfo *), by_name);
    if (!code)
        *ret = all;
    else if (all)
        tw__agent_list_reply__free_unpacked(all, NULL);
    return code;
}
