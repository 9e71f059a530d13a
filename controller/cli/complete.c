/* "twampctl --complete WORD...": what the last word may become. Errors say nothing: a shell cannot use them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/token.h"
#include "controller/cli/cli.h"

#define ASK_FOR_NS (400 * TW_NS_PER_MS) /* who pressed Tab waits no longer */

/* ---- Names from the controller and the configuration ---- */

static void offer(const char *before, const char *name, const char *word)
{
    if (!strncmp(name, word, strlen(word)) && !strpbrk(name, " \t\n"))
        printf("%s%s\n", before, name);
}

static ProtobufCMessage *ask(struct cli *c, const char *method, const ProtobufCMessage *rq)
{
    struct ctl_error err;
    ProtobufCMessage *m = NULL;
    char token[TOKEN_MAX] = "";

    if (c->opt.timeout_ns > ASK_FOR_NS)
        c->opt.timeout_ns = ASK_FOR_NS;
    if (!c->ctl && (token_read(c, token, NULL) != TW_OK || ctl_new(c->opt.controller, c->opt.timeout_ns, false, &c->ctl) != TW_OK))
        return NULL;
    ctl_set_token(c->ctl, token);
    ctl_set_tls(c->ctl, &(struct ctl_tls){ c->opt.ca_file, c->opt.server_name, c->opt.client_cert,
                                           c->opt.client_key });
    return ctl_call(c->ctl, method, rq, &m, &err) == CLI_OK ? m : NULL;
}

static void offer_agents(struct cli *c, const char *before, const char *word)
{
    Tw__AgentListRequest rq = TW__AGENT_LIST_REQUEST__INIT;
    ProtobufCMessage *m = ask(c, "AgentList", &rq.base);
    const Tw__AgentListReply *reply = (const Tw__AgentListReply *)m;

    for (size_t i = 0; m && i < reply->n_agents; i++)
        offer(before, reply->agents[i]->name, word);
    cli_free_reply(m);
}

static void offer_meshes(struct cli *c, const char *before, const char *word)
{
    Tw__ScheduleListRequest rq = TW__SCHEDULE_LIST_REQUEST__INIT;
    ProtobufCMessage *m = ask(c, "ScheduleList", &rq.base);
    const Tw__ScheduleListReply *reply = (const Tw__ScheduleListReply *)m;

    for (size_t i = 0; m && i < reply->n_meshes; i++)
        offer(before, reply->meshes[i]->name, word);
    cli_free_reply(m);
}

static void offer_classes(struct cli *c, const char *before, const char *word)
{
    Tw__ScheduleListRequest rq = TW__SCHEDULE_LIST_REQUEST__INIT;
    ProtobufCMessage *m = ask(c, "ScheduleList", &rq.base);
    const Tw__ScheduleListReply *reply = (const Tw__ScheduleListReply *)m;

    for (size_t i = 0; m && i < reply->n_meshes; i++)
        for (size_t k = 0; k < reply->meshes[i]->n_classes; k++)
            offer(before, reply->meshes[i]->classes[k], word);
    cli_free_reply(m);
}

static void offer_contexts(struct cli *c, const char *before, const char *word)
{
    for (size_t i = 0; i < c->config.n; i++)
        offer(before, c->config.contexts[i].name, word);
}

static void offer_commands(struct cli *c, const char *before, const char *word)
{
    (void)c;
    (void)before;
    cli_complete_commands(NULL, word, stdout);
}

static void offer_shells(struct cli *c, const char *before, const char *word)
{
    (void)c;
    (void)before;
    cli_complete_shells(word, stdout);
}

/* What a placeholder stands for: of options, and of arguments within a group (NULL: of any command). */
static const struct {
    const char *group, *arg;
    void (*offer)(struct cli *c, const char *before, const char *word);
} names[] = {
    { NULL, "AGENT", offer_agents },       { NULL, "TARGET", offer_agents },
    { NULL, "SRC", offer_agents },         { NULL, "DST", offer_agents },
    { NULL, "MESH", offer_meshes },        { NULL, "CLASS", offer_classes },
    { NULL, "COMMAND", offer_commands },   { NULL, "SHELL", offer_shells },
    { "agent", "NAME", offer_agents },     { "schedule", "NAME", offer_meshes },
    { "context", "NAME", offer_contexts },
};

static void offer_names(struct cli *c, const char *group, const char *arg, size_t len, const char *before,
                        const char *word)
{
    for (size_t i = 0; i < TW_NELEM(names); i++)
        if (strlen(names[i].arg) == len && !strncmp(names[i].arg, arg, len) &&
            (!names[i].group || (group && !strcmp(names[i].group, group))))
            names[i].offer(c, before, word);
}

/* The n-th argument, by the n-th word in capitals of the command's usage: "SRC DST", "[NAME]", "AGENT...". */
static void offer_argument(struct cli *c, size_t n, const char *word)
{
    static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-";
    const char *group = c->command->group, *at = c->command->args ? c->command->args : "";

    for (size_t len;; at += len) {
        at += strcspn(at, capitals);
        len = strspn(at, capitals);
        if (!len)
            return;
        if (!n--) {
            offer_names(c, group, at, len, "", word);
            return;
        }
    }
}

/* ---- What is asked for ---- */

static void offer_value(struct cli *c, const struct conf_opt *o, const char *before, const char *value)
{
    conf_complete_value(o, before, value, stdout);
    if (!strcmp(o->name, "context"))
        offer_contexts(c, before, value);
    else if (o->arg)
        offer_names(c, NULL, o->arg, strlen(o->arg), before, value);
}

void cli_complete(struct cli *c, const struct conf_program *own, const struct cli_place *at)
{
    const struct conf_opt *o = NULL;
    const char *equals = strchr(at->word, '=');
    char before[CONF_ENV_NAME_MAX];

    if (at->option) {
        offer_value(c, at->option, "", at->word);
        return;
    }
    if (equals) {
        o = conf_option_of_word(&cli_global, at->word);
        if (!o && own)
            o = conf_option_of_word(own, at->word);
    }
    if (o) {
        snprintf(before, sizeof before, "%.*s", (int)(equals + 1 - at->word), at->word);
        offer_value(c, o, before, equals + 1);
    } else if (at->word[0] == '-') {
        if (own)
            conf_complete_options(own, at->word, stdout);
        conf_complete_options(&cli_global, at->word, stdout);
    } else if (own) {
        offer_argument(c, at->n_args, at->word);
    } else {
        cli_complete_commands(at->group, at->word, stdout);
    }
}
