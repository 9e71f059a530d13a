/* twampctl audit: who changed what. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/alerts.h"
#include "controller/cli/filter.h"

static const struct out_col columns[] = {
    { .title = "ID", .name = "id", .as = OUT_AS_COUNT },
    { .title = "TIME", .name = "time_ns", .as = OUT_AS_TIME },
    { .title = "WHO", .name = "who" },
    { .title = "ROLE", .name = "role", .drop = 2 },
    { .title = "FROM", .name = "origin", .drop = 3 },
    { .title = "METHOD", .name = "method" },
    { .title = "SUBJECT", .name = "subject" },
    { .title = "RESULT", .name = "result" },
    { .title = "DETAIL", .name = "detail", .drop = 1 },
    { .title = "WAY", .name = "way", .wide = true },
    { .title = "TOKEN", .name = "token_id", .wide = true },
};

static void put_entry(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AuditEntry *e = row;

    (void)ctx;
    out_u64(r, "id", e->id);
    out_ns(r, "time_ns", e->time_ns);
    out_text(r, "who", e->who);
    out_text(r, "role", e->role);
    out_text(r, "token_id", e->token_id);
    out_text(r, "way", e->way);
    out_text(r, "origin", e->origin);
    out_text(r, "method", e->method);
    out_text(r, "subject", e->subject);
    out_text(r, "result", e->result);
    if (strcmp(e->result, "OK") != 0)
        out_style(r, "result", strcmp(e->result, "BEGUN") ? OUT_BAD : OUT_DOUBT);
    out_text(r, "detail", e->detail);
    out_text(r, "request", e->request);
    out_text(r, "before", e->before);
    out_text(r, "after", e->after);
}

static const Tw__AuditEntry none = TW__AUDIT_ENTRY__INIT;
static const struct out_listing entries = { .key = "entries",
                                            .columns = columns,
                                            .n_columns = TW_NELEM(columns),
                                            .put = put_entry,
                                            .none = &none,
                                            .empty = "Nothing of that is in the audit log." };

static void put_head(struct out_records *r, const void *ctx)
{
    out_bool(r, "truncated", ((const Tw__AuditListReply *)ctx)->truncated);
}

static enum cli_exit print_list(struct cli *c, const Tw__AuditListReply *reply)
{
    enum cli_exit code = cli_print_answer(
        c, &(struct cli_answer){ .main = { &entries, OUT_ROWS(reply->entries, reply->n_entries) },
                                 .head = put_head,
                                 .ctx = reply });

    if (!code && reply->truncated && reply->n_entries)
        cli_fail(CLI_OK, "there are older ones: go on with --before %" PRIu64,
                 reply->entries[reply->n_entries - 1]->id);
    return code;
}

static void print_text(const char *title, const char *text)
{
    if (!*text)
        return;
    printf("\n%s\n", title);
    out_safe(stdout, text, true);
    if (text[strlen(text) - 1] != '\n')
        putchar('\n');
}

static enum cli_exit print_one(struct cli *c, const Tw__AuditListReply *reply, uint64_t id)
{
    const Tw__AuditEntry *e = reply->n_entries && reply->entries[0]->id == id ? reply->entries[0] : NULL;
    enum cli_exit code;

    if (!e)
        return cli_fail(CLI_FAILED,
                        "there is no entry %" PRIu64 " in the audit log: twampctl audit shows the newest",
                        id);
    code = cli_print_facts(c, &entries, e, NULL);
    if (code || !cli_for_people(c))
        return code;
    print_text("Request", e->request);
    print_text("Before", e->before);
    print_text("After", e->after);
    return CLI_OK;
}

static enum cli_exit fill(struct cli *c, Tw__AuditListRequest *rq)
{
    enum cli_exit code = filter_time(c, "since", c->opt.from, &rq->from_ns);

    if (!code)
        code = filter_time(c, "to", c->opt.to, &rq->to_ns);
    if (c->opt.who)
        rq->who = c->opt.who;
    if (c->opt.what)
        rq->what = c->opt.what;
    rq->refused = c->opt.refused;
    rq->limit = (uint32_t)c->opt.limit;
    rq->before = (uint64_t)c->opt.before;
    return code;
}

enum cli_exit cmd_audit(struct cli *c)
{
    Tw__AuditListRequest rq = TW__AUDIT_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    uint64_t id = 0;
    enum cli_exit code = fill(c, &rq);

    if (!code && c->args.n)
        code = alerts_read_id(c->args.v[0], "an entry: twampctl audit shows them", &id);
    if (id) { /* the first one older than the next */
        rq.before = id + 1;
        rq.limit = 1;
    }
    if (!code)
        code = cli_call(c, "AuditList", &rq.base, &m);
    if (!code)
        code = id ? print_one(c, (const Tw__AuditListReply *)m, id)
                  : print_list(c, (const Tw__AuditListReply *)m);
    cli_free_reply(m);
    return code;
}
