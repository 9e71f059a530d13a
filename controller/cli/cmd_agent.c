#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/agents.h"

/* ---- List ---- */

static void print_hints(struct cli *c, const void *ctx, const struct out_table *t)
{
    const Tw__AgentListReply *reply = ctx;
    size_t pending = 0, refusing = 0, wrong = 0;

    (void)c;
    (void)t;
    for (size_t i = 0; i < reply->n_agents; i++) {
        pending += !strcmp(reply->agents[i]->state, "pending");
        refusing += reply->agents[i]->n_refusals > 0;
        wrong += agent_clock_is_wrong(reply->agents[i]);
    }
    if (pending || refusing || wrong)
        putchar('\n');
    if (pending)
        printf("%zu pending: compare the fingerprint (twampctl agent show NAME), then twampctl agent approve "
               "NAME\n",
               pending);
    if (refusing)
        printf("%zu with refused sessions: twampctl agent show NAME says why\n", refusing);
    if (wrong)
        printf("%zu with a wrong clock: twampctl clock says more\n", wrong);
}

enum cli_exit cmd_agent_list(struct cli *c)
{
    Tw__AgentListReply *list = NULL;
    struct ctl_error err;
    enum cli_exit code = cli_connect(c);

    if (code)
        return code;
    code = agents_fetch(c->ctl, c->opt.select, &list, &err);
    if (code)
        return cli_fail(code, "%s", err.text);
    if (!list->n_agents && c->opt.select && cli_for_people(c))
        code = cli_fail(CLI_OK, "no agent matches \"%.200s\"", c->opt.select);
    else
        code = cli_print_answer(
            c, &(struct cli_answer){ .main = { &agents_listing, OUT_ROWS(list->agents, list->n_agents) },
                                     .after = print_hints,
                                     .ctx = list });
    if (!code && list->truncated)
        cli_fail(CLI_OK, "there are more agents than these %zu, and this controller is too old to tell them",
                 list->n_agents);
    tw__agent_list_reply__free_unpacked(list, NULL);
    return code;
}

/* Calls a method that takes an AgentRequest and gives the agent. */
static enum cli_exit call_for(struct cli *c, const char *method, char *name, ProtobufCMessage **ret)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    enum cli_exit code;

    rq.name = name;
    if (c->opt.fingerprint)
        rq.fingerprint = c->opt.fingerprint;
    code = cli_call(c, method, &rq.base, ret);
    if (!code && !((const Tw__AgentReply *)*ret)->agent && strcmp(method, "AgentRemove") != 0) {
        cli_free_reply(*ret);
        return cli_fail(CLI_FAILED, "the controller's answer lacks the agent");
    }
    return code;
}

static enum cli_exit call(struct cli *c, const char *method, ProtobufCMessage **ret)
{
    return call_for(c, method, c->args.v[0], ret);
}

enum cli_exit cmd_agent_show(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = call(c, "AgentShow", &m);

    if (code)
        return code;
    code = agent_print(c, ((Tw__AgentReply *)m)->agent);
    cli_free_reply(m);
    return code;
}

/* ---- Changes ---- */

static enum cli_exit print_approved(struct cli *c, Tw__AgentInfo **v, size_t n)
{
    if (!cli_for_people(c))
        return n == 1 ? agent_print(c, v[0]) : cli_print_list(c, &agents_listing, OUT_ROWS(v, n), NULL);
    for (size_t i = 0; i < n; i++)
        printf("Approved %s with the key %s\n", v[i]->name, v[i]->fingerprint);
    return CLI_OK;
}

/* One after the other; the first that cannot be approved ends it, and those before it are. */
enum cli_exit cmd_agent_approve(struct cli *c)
{
    ProtobufCMessage **m = calloc(c->args.n, sizeof *m);
    Tw__AgentInfo **v = calloc(c->args.n, sizeof(Tw__AgentInfo *));
    enum cli_exit code = m && v ? CLI_OK : cli_no_memory(), printed = CLI_OK;
    size_t n = 0;

    if (!code && c->opt.fingerprint && c->args.n > 1)
        code = cli_fail(CLI_USAGE, "--fingerprint is that of one agent: expected one NAME with it");
    for (size_t i = 0; !code && i < c->args.n; i++) {
        code = call_for(c, "AgentApprove", c->args.v[i], &m[n]);
        if (!code) {
            v[n] = ((Tw__AgentReply *)m[n])->agent;
            n++;
        }
    }
    if (n)
        printed = print_approved(c, v, n);
    for (size_t i = 0; i < n; i++)
        cli_free_reply(m[i]);
    free(m);
    free(v);
    return code ? code : printed;
}

enum cli_exit cmd_agent_remove(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    struct out_records r = { 0 };
    enum cli_exit code;

    code = cli_confirm(c, "remove", "Forget agent", "and cut it off? Its results stay.");
    if (code)
        return code;
    code = call(c, "AgentRemove", &m);
    cli_free_reply(m);
    if (code)
        return code;
    if (cli_for_people(c)) {
        printf("Removed %s\n", c->args.v[0]);
        return CLI_OK;
    }
    out_record(&r);
    out_text(&r, "name", c->args.v[0]);
    out_text(&r, "state", "removed");
    return cli_print_records(c, "agents", &r);
}
