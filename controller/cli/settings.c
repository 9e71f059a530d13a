/* Option, variable, context, default: which of them says what. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/cli.h"

const struct conf_opt *cli_global_option(const char *name)
{
    for (size_t i = 0; i < cli_global.n_opts; i++)
        if (!strcmp(cli_global.opts[i].name, name))
            return &cli_global.opts[i];
    abort(); /* our own names */
}

static enum cli_origin origin_of(const struct cli *c, const struct conf_opt *o)
{
    char env[CONF_ENV_NAME_MAX];

    if (c->given & 1u << (o - cli_global.opts))
        return CLI_FROM_OPTION;
    conf_env_name(&cli_global, o, env);
    return getenv(env) ? CLI_FROM_ENV : CLI_FROM_DEFAULT;
}

static enum cli_exit bad(const struct tw_err *err)
{
    char text[512];

    return cli_fail(CLI_USAGE, "%s", tw_err_format(err, text, sizeof text));
}

static enum cli_exit load(struct cli *c)
{
    struct tw_err err = { 0 };
    enum tw_rc rc;

    c->config_origin = origin_of(c, cli_global_option("config"));
    if (!c->opt.config || !*c->opt.config) {
        free(c->opt.config);
        c->opt.config = config_default_path();
        c->config_origin = CLI_FROM_DEFAULT;
    }
    if (!c->opt.config) /* no home: no file */
        return CLI_OK;
    rc = config_load(c->opt.config, &c->config, &err);
    return rc ? bad(&err) : CLI_OK;
}

/* Which context is meant; opt.context stays NULL if none is. */
static enum cli_exit choose(struct cli *c)
{
    c->context_origin = origin_of(c, cli_global_option("context"));
    if (c->opt.context && !*c->opt.context) { /* an empty variable is none */
        free(c->opt.context);
        c->opt.context = NULL;
        c->context_origin = CLI_FROM_DEFAULT;
    } else if (!c->opt.context && c->config.current) {
        c->opt.context = strdup(c->config.current);
        c->context_origin = CLI_FROM_FILE;
        if (!c->opt.context)
            return cli_no_memory();
    }
    if (!c->opt.context || config_find(&c->config, c->opt.context))
        return CLI_OK;
    return cli_fail(CLI_USAGE, "%s: there is no context \"%.64s\" in %s; twampctl context list names them",
                    c->context_origin == CLI_FROM_ENV ? "TWAMPCTL_CONTEXT" : "--context", c->opt.context,
                    c->config.path ? c->config.path : "any file");
}

/* An explicit file must be there, but for the command that makes it. */
static enum cli_exit check_file(struct cli *c)
{
    if (c->config.text || c->config_origin == CLI_FROM_DEFAULT ||
        (c->command && c->command->run == cmd_context_add))
        return CLI_OK;
    return cli_fail(CLI_USAGE, "%s: there is no file %s",
                    c->config_origin == CLI_FROM_ENV ? "TWAMPCTL_CONFIG" : "--config", c->opt.config);
}

enum cli_exit cli_configure(struct cli *c)
{
    const struct context *x;
    enum cli_exit code = load(c);

    if (!code)
        code = check_file(c);
    if (!code)
        code = choose(c);
    if (code)
        return code;
    c->token_origin = origin_of(c, cli_global_option("token"));
    x = c->opt.context ? config_find(&c->config, c->opt.context) : NULL;
    for (int i = 0; i < CONTEXT_SETTINGS; i++) {
        const struct conf_opt *o = cli_global_option(context_settings[i].option);
        c->origins[i] = origin_of(c, o);
        if (c->origins[i] != CLI_FROM_DEFAULT || !x || !x->values[i])
            continue;
        c->origins[i] = CLI_FROM_CONTEXT;
        if (conf_set(o, &c->opt, x->values[i], NULL) != TW_OK) /* config_load() has tried it */
            return cli_no_memory();
    }
    return CLI_OK;
}
