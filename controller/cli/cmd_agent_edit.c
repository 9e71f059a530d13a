/* twampctl agent label, drain, undrain, maintenance, revoke, rename: what operators say of agents. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/agents.h"
#include "controller/cli/filter.h"

/* ---- The answer ---- */

struct outcome {
    const Tw__AgentChangeReply *reply;
    const char *done; /* "Drained" */
    const char *to;   /* the new name; NULL: it stays */
};

static void put_name(struct out_records *r, const void *row, const void *ctx)
{
    const struct outcome *o = ctx;

    out_text(r, "name", row);
    out_text(r, "done", o->done);
}

static void put_head(struct out_records *r, const void *ctx)
{
    const struct outcome *o = ctx;

    out_u64(r, "changed", o->reply->changed);
    out_u64(r, "generation", o->reply->generation);
}

static enum cli_exit print_outcome(struct cli *c, const Tw__AgentChangeReply *reply, const char *done)
{
    static const struct out_listing listing = { .key = "agents", .put = put_name, .none = "" };
    struct outcome o = { reply, done, c->command->run == cmd_agent_rename ? c->args.v[1] : NULL };
    size_t same = reply->n_agents - reply->changed;

    if (!cli_for_people(c))
        return cli_print_answer(
            c, &(struct cli_answer){ .main = { &listing, OUT_ROWS(reply->agents, reply->n_agents) },
                                     .head = put_head,
                                     .ctx = &o });
    printf("%s %s", done, reply->n_agents == 1 ? "" : "agents: ");
    for (size_t i = 0; i < reply->n_agents && i < 20; i++) {
        printf("%s", i ? ", " : "");
        out_safe(stdout, reply->agents[i], false);
    }
    if (o.to) {
        printf(" to ");
        out_safe(stdout, o.to, false);
    }
    if (reply->n_agents > 20)
        printf(" and %zu more", reply->n_agents - 20);
    if (same == reply->n_agents)
        printf(" already: nothing changed");
    else if (same)
        printf(" (%zu of them already)", same);
    putchar('\n');
    return CLI_OK;
}

/* ---- Requests ---- */

static enum cli_exit send_request(struct cli *c, const char *method, Tw__AgentRequest *rq, const char *done)
{
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code;

    rq->author = c->opt.author ? c->opt.author : ctl_user_name(user);
    if (c->opt.reason)
        rq->reason = c->opt.reason;
    code = cli_call(c, method, &rq->base, &m);
    if (!code)
        code = print_outcome(c, (const Tw__AgentChangeReply *)m, done);
    cli_free_reply(m);
    return code;
}

/* One by its name or all that --select means; `used` arguments are taken. */
static enum cli_exit read_agents(struct cli *c, Tw__AgentRequest *rq, size_t *used)
{
    *used = 0;
    if (c->opt.select) {
        rq->select = c->opt.select;
        return CLI_OK;
    }
    if (!c->args.n)
        return cli_fail(CLI_USAGE, "expected the NAME of an agent, or --select SELECTOR");
    rq->name = c->args.v[0];
    *used = 1;
    return CLI_OK;
}

/* Commands that take agents and nothing else behind them. */
static enum cli_exit only_agents(struct cli *c, Tw__AgentRequest *rq)
{
    size_t used;
    enum cli_exit code = read_agents(c, rq, &used);

    if (!code && c->args.n > used)
        return cli_fail(CLI_USAGE, "expected the NAME of an agent or --select, not both");
    return code;
}

/* ---- Labels ---- */

/* Cuts "KEY=VALUE" and "KEY-" where they lie. */
static enum cli_exit read_label(char *text, Tw__AgentRequest *rq, Tw__Label *room)
{
    char *eq = strchr(text, '=');
    size_t len = strlen(text);

    if (eq) {
        *eq = '\0';
        tw__label__init(room);
        room->key = text;
        room->value = eq + 1;
        rq->set_labels[rq->n_set_labels++] = room;
        return CLI_OK;
    }
    if (len < 2 || text[len - 1] != '-')
        return cli_fail(
            CLI_USAGE,
            "\"%.64s\" is no label: expected KEY=VALUE (set), KEY- (take away) or KEY= (as the agent says)",
            text);
    text[len - 1] = '\0';
    rq->remove_labels[rq->n_remove_labels++] = text;
    return CLI_OK;
}

enum cli_exit cmd_agent_label(struct cli *c)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    Tw__Label *room = calloc(c->args.n + 1, sizeof *room), **set = calloc(c->args.n + 1, sizeof(Tw__Label *));
    char **removed = calloc(c->args.n + 1, sizeof(char *));
    size_t used = 0;
    enum cli_exit code = room && set && removed ? read_agents(c, &rq, &used) : cli_no_memory();

    rq.set_labels = set;
    rq.remove_labels = removed;
    if (!code && used == c->args.n)
        code = cli_fail(CLI_USAGE,
                        "expected labels: KEY=VALUE (set), KEY- (take away) or KEY= (as the agent says)");
    for (size_t i = used; !code && i < c->args.n; i++)
        code = read_label(c->args.v[i], &rq, &room[i]);
    if (!code)
        code = send_request(c, "AgentLabel", &rq, "Labelled");
    free(room);
    free(set);
    free(removed);
    return code;
}

/* ---- The others ---- */

enum cli_exit cmd_agent_drain(struct cli *c)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    enum cli_exit code = only_agents(c, &rq);

    return code ? code : send_request(c, "AgentDrain", &rq, "Drained");
}

enum cli_exit cmd_agent_undrain(struct cli *c)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    enum cli_exit code = only_agents(c, &rq);

    return code ? code : send_request(c, "AgentUndrain", &rq, "Undrained");
}

enum cli_exit cmd_agent_maintenance(struct cli *c)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    enum cli_exit code = only_agents(c, &rq);

    rq.end = c->opt.end;
    if (!code && rq.end && (c->opt.from || c->opt.to))
        return cli_fail(CLI_USAGE, "--end goes without --from and --to");
    if (!code && !rq.end && !c->opt.to)
        return cli_fail(CLI_USAGE, "expected --to TIME, such as --to +2h, or --end");
    if (!code)
        code = filter_time(c, "from", c->opt.from, &rq.from_ns);
    if (!code)
        code = filter_time(c, "to", c->opt.to, &rq.to_ns);
    return code
               ? code
               : send_request(c, "AgentMaintenance", &rq, rq.end ? "Maintenance ended of" : "Maintenance of");
}

/* Whoever answers has seen which these are. */
static enum cli_exit show_selected(struct cli *c)
{
    Tw__AgentListReply *list = NULL;
    struct ctl_error err;
    enum cli_exit code = cli_connect(c);
    size_t n = 0;

    if (code)
        return code;
    code = agents_fetch(c->ctl, c->opt.select, &list, &err);
    if (code)
        return cli_fail(code, "%s", err.text);
    for (size_t i = 0; i < list->n_agents; i++) {
        if (!strcmp(list->agents[i]->state, "revoked"))
            continue;
        fputs(n++ ? ", " : "", stderr);
        out_safe(stderr, list->agents[i]->name, false);
    }
    if (n)
        fprintf(stderr, ": %zu agent%s\n", n, n == 1 ? "" : "s");
    tw__agent_list_reply__free_unpacked(list, NULL);
    return n ? CLI_OK : cli_fail(CLI_FAILED, "no agent matches \"%.200s\"", c->opt.select);
}

enum cli_exit cmd_agent_revoke(struct cli *c)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    enum cli_exit code = only_agents(c, &rq);
    bool many = c->opt.select != NULL;

    if (!code && many && !c->opt.yes && isatty(STDIN_FILENO))
        code = show_selected(c);
    if (!code)
        code = cli_confirm(c, "revoke", many ? "Cut off the agents" : "Cut off agent",
                           many ? "and refuse their keys from now on?" : "and refuse its key from now on?");
    return code ? code : send_request(c, "AgentRevoke", &rq, "Revoked");
}

enum cli_exit cmd_agent_rename(struct cli *c)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;

    rq.name = c->args.v[0];
    rq.new_name = c->args.v[1];
    return send_request(c, "AgentRename", &rq, "Renamed");
}
