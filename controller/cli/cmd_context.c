/* Contexts: which controller is meant, and how its answers are printed. Nothing here asks a controller. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/cli.h"
#include "controller/cli/config.h"

static enum cli_exit failed(const struct tw_err *err)
{
    char text[512];

    return cli_fail(CLI_FAILED, "%s", tw_err_format(err, text, sizeof text));
}

static enum cli_exit unknown(const struct cli *c, const char *name)
{
    if (!c->config.n)
        return cli_fail(CLI_FAILED,
                        "there is no context \"%.64s\": twampctl context add %.64s --controller URL makes it",
                        name, name);
    return cli_fail(CLI_FAILED, "there is no context \"%.64s\" in %s: twampctl context list names them", name,
                    c->config.path);
}

/* ---- List ---- */

static const struct out_col list_columns[] = {
    { .title = "NAME", .name = "name" },
    { .title = "CURRENT", .name = "current" },
    { .title = "CONTROLLER", .name = "controller" },
    { .title = "OUTPUT", .name = "output" },
    { .title = "TIMEOUT", .name = "timeout" },
    { .title = "NO COLOR", .name = "no_color" },
    { .title = "TOKEN FILE", .name = "token_file" },
    { .title = "CA FILE", .name = "ca_file" },
    { .title = "SERVER NAME", .name = "server_name" },
    { .title = "CLIENT CERT", .name = "client_cert" },
    { .title = "CLIENT KEY", .name = "client_key", .wide = true },
};

static void put_context(struct out_records *r, const void *row, const void *ctx)
{
    const struct context *x = row;
    const struct cli *c = ctx;
    bool current = x->name && c->opt.context && !strcmp(x->name, c->opt.context);

    out_text(r, "name", x->name);
    out_bool(r, "current", current);
    out_show(r, "current", OUT_PLAIN, "%s", current ? "*" : "");
    for (int i = 0; i < CONTEXT_SETTINGS; i++)
        out_text(r, context_settings[i].key, x->values[i]);
}

static const struct context no_context;
static const struct out_listing contexts = {
    .key = "contexts",
    .columns = list_columns,
    .n_columns = TW_NELEM(list_columns),
    .put = put_context,
    .none = &no_context,
    .empty = "No contexts yet: twampctl context add NAME --controller URL",
};

enum cli_exit cmd_context_list(struct cli *c)
{
    return cli_print_list(c, &contexts, OUT_ROW_ARRAY(c->config.contexts, c->config.n), c);
}

/* ---- Show ---- */

static const struct out_col show_columns[] = {
    { .title = "SETTING", .name = "setting" },
    { .title = "VALUE", .name = "value" },
    { .title = "FROM", .name = "from" },
};

struct effective {
    const char *setting, *value;
    char from[160];
};

static void put_effective(struct out_records *r, const void *row, const void *ctx)
{
    const struct effective *e = row;

    (void)ctx;
    out_text(r, "setting", e->setting);
    out_text(r, "value", e->value);
    out_text(r, "from", e->from);
}

static const struct effective no_setting;
static const struct out_listing settings = {
    .key = "settings",
    .columns = show_columns,
    .n_columns = TW_NELEM(show_columns),
    .put = put_effective,
    .none = &no_setting,
};

static const char *value_now(const struct cli *c, int i, char buf[TW_TIME_TEXT])
{
    switch (i) {
    case CONTEXT_CONTROLLER:
        return c->opt.controller;
    case CONTEXT_OUTPUT:
        return out_format_names[c->opt.output];
    case CONTEXT_TIMEOUT:
        return tw_duration_format(c->opt.timeout_ns, buf);
    case CONTEXT_TOKEN_FILE:
        return c->opt.token_file;
    case CONTEXT_CA_FILE:
        return c->opt.ca_file;
    case CONTEXT_SERVER_NAME:
        return c->opt.server_name;
    case CONTEXT_CLIENT_CERT:
        return c->opt.client_cert;
    case CONTEXT_CLIENT_KEY:
        return c->opt.client_key;
    default:
        return c->opt.no_color ? "true" : "false";
    }
}

static void say_from(const struct cli *c, enum cli_origin origin, const char *option, struct effective *e)
{
    const struct context *x = c->opt.context ? config_find(&c->config, c->opt.context) : NULL;
    char env[CONF_ENV_NAME_MAX];

    conf_env_name(&cli_global, cli_global_option(option), env);
    if (origin == CLI_FROM_OPTION)
        snprintf(e->from, sizeof e->from, "option --%s", option);
    else if (origin == CLI_FROM_ENV)
        snprintf(e->from, sizeof e->from, "variable %s", env);
    else if (origin == CLI_FROM_CONTEXT && x)
        snprintf(e->from, sizeof e->from, "context %s", x->name);
    else if (origin == CLI_FROM_FILE)
        snprintf(e->from, sizeof e->from, "file");
    else
        snprintf(e->from, sizeof e->from, "default");
}

enum cli_exit cmd_context_show(struct cli *c)
{
    struct effective rows[2 + CONTEXT_SETTINGS] = { { .setting = "file", .value = c->config.path },
                                                    { .setting = "context", .value = c->opt.context } };
    char text[TW_TIME_TEXT];

    say_from(c, c->config_origin, "config", &rows[0]);
    say_from(c, c->context_origin, "context", &rows[1]);
    for (int i = 0; i < CONTEXT_SETTINGS; i++) {
        struct effective *e = &rows[2 + i];
        e->setting = context_settings[i].key;
        e->value = value_now(c, i, text);
        say_from(c, c->origins[i], context_settings[i].option, e);
    }
    return cli_print_list(c, &settings, OUT_ROW_ARRAY(rows, TW_NELEM(rows)), NULL);
}

/* ---- Changes ---- */

static enum cli_exit say(struct cli *c, const char *done, const char *name, const char *state)
{
    struct out_records r = { 0 };

    if (cli_for_people(c)) {
        printf("%s %s in %s\n", done, name, c->config.path);
        return CLI_OK;
    }
    out_record(&r);
    out_text(&r, "name", name);
    out_text(&r, "state", state);
    return cli_print_records(c, "contexts", &r);
}

enum cli_exit cmd_context_use(struct cli *c)
{
    const char *name = c->args.v[0];
    struct tw_err err = { 0 };

    if (!config_find(&c->config, name))
        return unknown(c, name);
    if (config_use(&c->config, name, &err) != TW_OK)
        return failed(&err);
    return say(c, "Now uses", name, "current");
}

static enum cli_exit refuse_braces(struct cli *c)
{
    return cli_fail(
        CLI_FAILED,
        "%s:%u: contexts: is written in braces, and only lines can be edited here: change it by hand",
        c->config.path, c->config.contexts_line);
}

/* Which options of every command were given is what the context gets. */
enum cli_exit cmd_context_add(struct cli *c)
{
    struct context add = { .name = c->args.v[0] };
    char timeout[TW_TIME_TEXT];
    struct tw_err err = { 0 };

    if (!config_is_name(add.name))
        return cli_fail(
            CLI_USAGE,
            "\"%.70s\" is no name of a context: expected up to 64 letters, digits, '.', '_' and '-'",
            add.name);
    if (config_find(&c->config, add.name))
        return cli_fail(CLI_FAILED,
                        "there is a context \"%s\" already: twampctl context remove %s comes first", add.name,
                        add.name);
    if (c->config.contexts_in_braces)
        return refuse_braces(c);
    for (int i = 0; i < CONTEXT_SETTINGS; i++)
        if (c->origins[i] == CLI_FROM_OPTION)
            add.values[i] = (char *)value_now(c, i, timeout);
    if (!add.values[CONTEXT_CONTROLLER])
        return cli_fail(CLI_USAGE,
                        "--controller: is required: which controller is it? expected " CONFIG_URLS
                        "; twampctl context add --help tells more");
    if (!config_is_urls(add.values[CONTEXT_CONTROLLER]))
        return cli_fail(CLI_USAGE,
                        "--controller: \"%.60s\" is no URL: expected " CONFIG_URLS,
                        add.values[CONTEXT_CONTROLLER]);
    if (config_add(&c->config, &add, &err) != TW_OK)
        return failed(&err);
    return say(c, "Added", add.name, "added");
}

enum cli_exit cmd_context_remove(struct cli *c)
{
    const char *name = c->args.v[0];
    bool current = c->config.current && !strcmp(c->config.current, name);
    struct tw_err err = { 0 };
    enum cli_exit code;

    if (!config_find(&c->config, name))
        return unknown(c, name);
    if (c->config.contexts_in_braces)
        return refuse_braces(c);
    if (config_remove(&c->config, name, &err) != TW_OK)
        return failed(&err);
    code = say(c, "Removed", name, "removed");
    if (!code && current)
        cli_fail(CLI_OK, "it was the current one: now there is none, and the default controller is asked");
    return code;
}
