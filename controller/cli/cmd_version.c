/* Which twampctl this is, which controller it speaks to, and whether they fit together. */
#include <stdio.h>
#include <string.h>
#include "common/version.h"
#include "controller/cli/cli.h"

static const struct out_col columns[] = {
    { .title = "twampctl", .name = "twampctl" },
    { .title = "Controller", .name = "controller" },
    { .title = "Asked at", .name = "url" },
};

struct versions {
    const char *controller, *url; /* controller NULL: not reached */
};

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const struct versions *v = row;

    (void)ctx;
    out_text(r, "twampctl", tw_version);
    out_text(r, "controller", v->controller);
    if (!v->controller)
        out_show(r, "controller", OUT_DOUBT, "not reached");
    out_text(r, "url", v->url);
    out_bool(r, "skew", v->controller && strcmp(v->controller, tw_version) != 0);
}

static const struct versions none;
static const struct out_listing versions = {
    .key = "versions", .columns = columns, .n_columns = TW_NELEM(columns), .put = put_row, .none = &none
};

/* One release of skew either way is meant to work; what may be missing is named when it is missed. */
static void warn_of_skew(const char *controller)
{
    if (controller && strcmp(controller, tw_version) != 0)
        cli_fail(CLI_OK,
                 "versions differ: twampctl is %s, the controller %.40s; what one of them does not know yet "
                 "fails and says so",
                 tw_version, controller);
}

/* That the controller is not there is not this command's failure: what is asked is known without it. */
enum cli_exit cmd_version(struct cli *c)
{
    Tw__StatusRequest rq = TW__STATUS_REQUEST__INIT;
    struct versions v = { .url = c->opt.controller };
    struct ctl_error err = { "" };
    ProtobufCMessage *m = NULL;
    enum cli_exit code = cli_connect(c);

    if (code)
        return code;
    if (ctl_call(c->ctl, "Status", &rq.base, &m, &err) == CLI_OK)
        v.controller = ((const Tw__StatusReply *)m)->version;
    code = cli_print_facts(c, &versions, &v, NULL);
    if (!code && err.text[0])
        cli_fail(CLI_OK, "%s", err.text);
    warn_of_skew(v.controller);
    cli_free_reply(m);
    return code;
}
