/* twampctl token create, list, revoke: what lets agents join. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/cli.h"

/* ---- Tokens as rows ---- */

static const struct out_col columns[] = {
    { .title = "TOKEN", .name = "id" },
    { .title = "STATE", .name = "state" },
    { .title = "USED", .name = "used", .as = OUT_AS_COUNT },
    { .title = "OF", .name = "uses", .as = OUT_AS_COUNT },
    { .title = "EXPIRES", .name = "expires_ns", .as = OUT_AS_TIME },
    { .title = "NAMES", .name = "names" },
    { .title = "APPROVES", .name = "approve" },
    { .title = "LABELS", .name = "labels", .drop = 2 },
    { .title = "BY", .name = "author", .drop = 1 },
    { .title = "MADE", .name = "created_ns", .as = OUT_AS_TIME, .wide = true },
};

static void put_labels(struct out_records *r, const Tw__JoinTokenInfo *t)
{
    cJSON *labels = cJSON_CreateObject();
    char text[512] = "";
    size_t len = 0;

    for (size_t i = 0; i < t->n_labels && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", i ? " " : "", t->labels[i]->key,
                                t->labels[i]->value);
    for (size_t i = 0; i < t->n_labels; i++)
        cJSON_AddItemToObject(labels, t->labels[i]->key, cJSON_CreateString(t->labels[i]->value));
    out_tree(r, "labels", labels);
    if (r->for_people)
        out_show(r, "labels", OUT_PLAIN, "%s", text[0] ? text : "-");
}

static void put_token(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__JoinTokenInfo *t = row;

    (void)ctx;
    out_text(r, "id", t->id);
    out_text(r, "state", t->state);
    out_style(r, "state", strcmp(t->state, "usable") ? OUT_DIM : OUT_PLAIN);
    out_u64(r, "used", t->used);
    out_u64(r, "uses", t->uses);
    out_ns(r, "expires_ns", t->expires_ns);
    out_text(r, "names", t->name_glob);
    out_bool(r, "approve", t->approve);
    put_labels(r, t);
    out_text(r, "author", t->author);
    out_ns(r, "created_ns", t->created_ns);
    out_ns(r, "revoked_ns", t->revoked_ns);
}

static const Tw__JoinTokenInfo no_token = TW__JOIN_TOKEN_INFO__INIT;
static const struct out_listing tokens = {
    .key = "tokens",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_token,
    .none = &no_token,
    .empty = "No token lets an agent join: twampctl token create makes one"
};

/* ---- Create ---- */

/* Cuts "KEY=VALUE" where they lie. */
static enum cli_exit read_labels(struct cli *c, Tw__JoinTokenCreateRequest *rq, Tw__Label *room)
{
    for (size_t i = 0; i < c->opt.labels.n; i++) {
        char *eq = strchr(c->opt.labels.v[i], '=');

        if (!eq)
            return cli_fail(CLI_USAGE, "--label: \"%.64s\" is no label: expected KEY=VALUE",
                            c->opt.labels.v[i]);
        *eq = '\0';
        tw__label__init(&room[i]);
        room[i].key = c->opt.labels.v[i];
        room[i].value = eq + 1;
        rq->labels[rq->n_labels++] = &room[i];
    }
    return CLI_OK;
}

static void create_head(struct out_records *r, const void *ctx)
{
    out_text(r, "token", ((const Tw__JoinTokenCreateReply *)ctx)->token);
}

/* The token alone on standard output, for $(...) and files; the rest is for people. */
static enum cli_exit print_created(struct cli *c, const Tw__JoinTokenCreateReply *reply)
{
    const Tw__JoinTokenInfo *t = reply->info;
    char when[OUT_NUM];

    if (!t)
        return cli_fail(CLI_FAILED, "the controller's answer lacks the token");
    if (!cli_for_people(c))
        return cli_print_answer(
            c,
            &(struct cli_answer){ .main = { &tokens, OUT_ONE_ROW(t) }, .head = create_head, .ctx = reply });
    printf("%s\n", reply->token);
    fprintf(stderr,
            "Token %s: %u agent%s named %s may join by it until %s, %s.\n"
            "It is shown this once. Put it in a file that only the agent reads: twamp-agent "
            "--join-token-file FILE\n",
            t->id, t->uses, t->uses == 1 ? "" : "s", t->name_glob[0] ? t->name_glob : "as they like",
            out_time(t->expires_ns, when),
            t->approve ? "approved at once" : "then wait for twampctl agent approve");
    return CLI_OK;
}

enum cli_exit cmd_token_create(struct cli *c)
{
    Tw__JoinTokenCreateRequest rq = TW__JOIN_TOKEN_CREATE_REQUEST__INIT;
    Tw__Label *room = calloc(c->opt.labels.n + 1, sizeof *room),
              **list = calloc(c->opt.labels.n + 1, sizeof(Tw__Label *));
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code = CLI_OK;

    rq.labels = list;
    rq.ttl_ns = c->opt.ttl_ns;
    rq.uses = (uint32_t)c->opt.uses;
    rq.approve = c->opt.approve;
    if (c->opt.name_glob)
        rq.name_glob = c->opt.name_glob;
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    code = room && list ? read_labels(c, &rq, room) : cli_no_memory();
    if (!code)
        code = cli_call(c, "JoinTokenCreate", &rq.base, &m);
    if (!code)
        code = print_created(c, (const Tw__JoinTokenCreateReply *)m);
    cli_free_reply(m);
    free(room);
    free(list);
    return code;
}

/* ---- The others ---- */

enum cli_exit cmd_token_list(struct cli *c)
{
    Tw__JoinTokenListRequest rq = TW__JOIN_TOKEN_LIST_REQUEST__INIT;
    const Tw__JoinTokenListReply *reply;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    rq.all = c->opt.all;
    code = cli_call(c, "JoinTokenList", &rq.base, &m);
    reply = (const Tw__JoinTokenListReply *)m;
    if (!code)
        code = cli_print_list(c, &tokens, OUT_ROWS(reply->tokens, reply->n_tokens), NULL);
    cli_free_reply(m);
    return code;
}

enum cli_exit cmd_token_revoke(struct cli *c)
{
    Tw__JoinTokenRevokeRequest rq = TW__JOIN_TOKEN_REVOKE_REQUEST__INIT;
    const Tw__JoinTokenInfo *t;
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code;

    rq.id = c->args.v[0];
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    code = cli_call(c, "JoinTokenRevoke", &rq.base, &m);
    if (code)
        return code;
    t = ((const Tw__JoinTokenRevokeReply *)m)->info;
    if (!t)
        code = cli_fail(CLI_FAILED, "the controller's answer lacks the token");
    else if (!cli_for_people(c))
        code = cli_print_list(c, &tokens, OUT_ONE_ROW(t), NULL);
    else
        printf("Revoked token %s; %u of %u had joined by it\n", t->id, t->used, t->uses);
    cli_free_reply(m);
    return code;
}
