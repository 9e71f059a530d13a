/* twampctl access token create, list, revoke. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/hextext.h"
#include "common/id_secret.h"
#include "controller/cli/cli.h"

static const struct out_col columns[] = {
    { .title = "ID", .name = "id" },
    { .title = "NAME", .name = "name" },
    { .title = "ROLE", .name = "role" },
    { .title = "STATE", .name = "state" },
    { .title = "USED", .name = "used_ns", .as = OUT_AS_AGO },
    { .title = "EXPIRES", .name = "expires_ns", .as = OUT_AS_TIME },
    { .title = "BY", .name = "author", .drop = 1 },
    { .title = "CREATED", .name = "created_ns", .as = OUT_AS_TIME, .drop = 2 },
    { .title = "REVOKED", .name = "revoked_ns", .as = OUT_AS_TIME, .wide = true },
};

static void put_token(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AccessToken *t = row;

    (void)ctx;
    out_text(r, "id", t->id);
    out_text(r, "name", t->name);
    out_text(r, "role", t->role);
    out_text(r, "state", t->state);
    if (strcmp(t->state, "active") != 0)
        out_style(r, "state", OUT_DIM);
    out_text(r, "author", t->author);
    out_ns(r, "created_ns", t->created_ns);
    out_ns(r, "expires_ns", t->expires_ns);
    out_ns(r, "revoked_ns", t->revoked_ns);
    out_ns(r, "used_ns", t->used_ns);
}

static const Tw__AccessToken none = TW__ACCESS_TOKEN__INIT;
static const struct out_listing tokens = {
    .key = "tokens",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_token,
    .none = &none,
    .empty = "No access tokens yet: twampctl access token create --role ROLE --name NAME",
};

enum cli_exit cmd_access_list(struct cli *c)
{
    Tw__AccessListRequest rq = TW__ACCESS_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AccessListReply *reply;
    enum cli_exit code = cli_call(c, "AccessList", &rq.base, &m);

    reply = (const Tw__AccessListReply *)m;
    if (!code)
        code = cli_print_list(c, &tokens, OUT_ROWS(reply->tokens, reply->n_tokens), NULL);
    cli_free_reply(m);
    return code;
}

/* ---- Create ---- */

static void put_new(struct out_records *r, const void *row, const void *ctx)
{
    put_token(r, row, NULL);
    out_text(r, "token", ctx);
}

/* The token alone on standard output, so that it can go to a file; what people want to know beside it. */
static enum cli_exit print_new(struct cli *c, const Tw__AccessCreateReply *reply)
{
    static const struct out_listing listing = { .key = "tokens", .put = put_new, .none = &none };
    char until[OUT_NUM];

    if (!reply->token)
        return cli_fail(CLI_FAILED, "the controller's answer lacks the token");
    if (!cli_for_people(c))
        return cli_print_answer(
            c, &(struct cli_answer){ .main = { &listing, OUT_ONE_ROW(reply->token) }, .ctx = reply->text });
    printf("%s\n", reply->text);
    return cli_fail(
        CLI_OK,
        "access token %s for %s, role %s, %s%s; it is shown this once: keep it in a file of mode 0600",
        reply->token->id, reply->token->name, reply->token->role,
        reply->token->expires_ns ? "until " : "until it is revoked",
        reply->token->expires_ns ? out_time(reply->token->expires_ns, until) : "");
}

enum cli_exit cmd_access_create(struct cli *c)
{
    Tw__AccessCreateRequest rq = TW__ACCESS_CREATE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    rq.name = c->opt.access_name;
    rq.role = c->opt.access_role;
    rq.duration_ns = c->opt.access_ttl_ns;
    code = cli_call(c, "AccessCreate", &rq.base, &m);
    if (!code)
        code = print_new(c, (const Tw__AccessCreateReply *)m);
    cli_free_reply(m);
    return code;
}

/* ---- Revoke ---- */

/* The ID of the token that works under this name; malloc'ed. */
static enum cli_exit find_id(struct cli *c, const char *name, char **ret)
{
    Tw__AccessListRequest rq = TW__ACCESS_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AccessListReply *reply;
    enum cli_exit code = cli_call(c, "AccessList", &rq.base, &m);

    reply = (const Tw__AccessListReply *)m;
    for (size_t i = 0; !code && i < reply->n_tokens; i++)
        if (!*ret && !strcmp(reply->tokens[i]->name, name) && !strcmp(reply->tokens[i]->state, "active"))
            *ret = strdup(reply->tokens[i]->id);
    cli_free_reply(m);
    if (!code && !*ret)
        code = cli_fail(CLI_FAILED, "no access token \"%.70s\" works: twampctl access token list shows them",
                        name);
    return code;
}

static enum cli_exit print_revoked(struct cli *c, const Tw__AccessToken *t)
{
    if (!t)
        return cli_fail(CLI_FAILED, "the controller's answer lacks the token");
    if (!cli_for_people(c))
        return cli_print_list(c, &tokens, OUT_ONE_ROW(t), NULL);
    printf("Revoked access token %s of %s: what it let in is cut off\n", t->id, t->name);
    return CLI_OK;
}

enum cli_exit cmd_access_revoke(struct cli *c)
{
    Tw__AccessRevokeRequest rq = TW__ACCESS_REVOKE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char *found = NULL;
    enum cli_exit code = hextext_is(c->args.v[0], ID_SECRET_ID_OCTETS) ? CLI_OK : find_id(c, c->args.v[0], &found);

    rq.id = found ? found : c->args.v[0];
    if (!code)
        code = cli_call(c, "AccessRevoke", &rq.base, &m);
    if (!code)
        code = print_revoked(c, ((const Tw__AccessRevokeReply *)m)->token);
    cli_free_reply(m);
    free(found);
    return code;
}
