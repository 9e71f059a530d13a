#include "controller/cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/doc.h"
#include "controller/cli/cli.h"

#define CONFIG_BYTES_MAX (256u * 1024)
#define NAME_LEN_MAX 64

const struct context_setting context_settings[CONTEXT_SETTINGS] = {
    [CONTEXT_CONTROLLER] = { "controller", "controller" },
    [CONTEXT_OUTPUT] = { "output", "output" },
    [CONTEXT_TIMEOUT] = { "timeout", "timeout" },
    [CONTEXT_NO_COLOR] = { "no_color", "no-color" },
    [CONTEXT_TOKEN_FILE] = { "token_file", "token-file" },
    [CONTEXT_CA_FILE] = { "ca_file", "ca-file" },
    [CONTEXT_SERVER_NAME] = { "server_name", "server-name" },
    [CONTEXT_CLIENT_CERT] = { "client_cert", "client-cert" },
    [CONTEXT_CLIENT_KEY] = { "client_key", "client-key" },
};

char *config_default_path(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n = -1;

    if (base && *base == '/')
        n = asprintf(&path, "%s/twampmesh/twampctl.yaml", base);
    else if (home && *home)
        n = asprintf(&path, "%s/.config/twampmesh/twampctl.yaml", home);
    return n < 0 ? NULL : path;
}

bool config_is_name(const char *name)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    /* YAML has its own meaning for null. */
    return *name && strchr(first, *name) && n <= NAME_LEN_MAX && !name[n] && strcmp(name, "null") != 0;
}

bool config_is_url(const char *url)
{
    static const char *const schemes[] = { "tcp://", "tcp4://", "tcp6://", "tls+tcp://", "ipc:///" };

    for (size_t i = 0; i < TW_NELEM(schemes); i++)
        if (!strncmp(url, schemes[i], strlen(schemes[i])))
            return true;
    return false;
}

bool config_is_urls(const char *urls)
{
    size_t n = 1;

    for (const char *p = urls; p; p = strchr(p, ','), p = p ? p + 1 : NULL, n++)
        if (!config_is_url(p) || n > CTL_URLS_MAX)
            return false;
    return true;
}

const struct context *config_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->contexts[i].name, name))
            return &c->contexts[i];
    return NULL;
}

/* ---- The document ---- */

/* The row of cli_global decides whether a value is good, as on the command line. */
static enum tw_rc keep_setting(struct doc *d, const yaml_node_t *value, struct context *x, int setting)
{
    struct cli_options scratch = { 0 };
    struct tw_err why = { 0 };
    const char *text;
    enum tw_rc rc = doc_text(d, value, &text);
    const struct conf_opt *o = cli_global_option(context_settings[setting].option);

    if (rc)
        return rc;
    if (conf_set(o, &scratch, text, &why) != TW_OK)
        return doc_fail(d, value, "%s", why.text);
    conf_free(&cli_global, &scratch);
    if (setting == CONTEXT_CONTROLLER && !config_is_urls(text))
        return doc_fail(d, value, "\"%.60s\" is no URL: expected " CONFIG_URLS, text);
    x->values[setting] = strdup(text);
    x->last_line = (unsigned)value->end_mark.line + 1;
    return x->values[setting] ? TW_OK : doc_no_memory(d);
}

static enum tw_rc set_controller(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_CONTROLLER);
}

static enum tw_rc set_output(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_OUTPUT);
}

static enum tw_rc set_timeout(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_TIMEOUT);
}

static enum tw_rc set_no_color(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_NO_COLOR);
}

static enum tw_rc set_token_file(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_TOKEN_FILE);
}

static enum tw_rc set_ca_file(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_CA_FILE);
}

static enum tw_rc set_server_name(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_SERVER_NAME);
}

static enum tw_rc set_client_cert(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_CLIENT_CERT);
}

static enum tw_rc set_client_key(struct doc *d, const yaml_node_t *value, void *into)
{
    return keep_setting(d, value, into, CONTEXT_CLIENT_KEY);
}

static const struct doc_key context_keys[] = {
    { "controller", DOC_TEXT, true, set_controller },    { "output", DOC_TEXT, false, set_output },
    { "timeout", DOC_TEXT, false, set_timeout },         { "no_color", DOC_TEXT, false, set_no_color },
    { "token_file", DOC_TEXT, false, set_token_file },   { "ca_file", DOC_TEXT, false, set_ca_file },
    { "server_name", DOC_TEXT, false, set_server_name }, { "client_cert", DOC_TEXT, false, set_client_cert },
    { "client_key", DOC_TEXT, false, set_client_key },
};

static enum tw_rc each_context(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                               void *into)
{
    struct config *c = into;
    struct context *x = &c->contexts[i];
    const char *name = (const char *)key->data.scalar.value;

    if (!config_is_name(name))
        return doc_fail(
            d, key,
            "a name of a context has up to %d letters, digits, '.', '_' and '-', and begins with a "
            "letter or digit",
            NAME_LEN_MAX);
    c->n = i + 1;
    x->line = (unsigned)key->start_mark.line + 1;
    x->column = (unsigned)key->start_mark.column + 1;
    x->name = strdup(name);
    return x->name ? doc_map(d, value, context_keys, TW_NELEM(context_keys), x) : doc_no_memory(d);
}

static enum tw_rc set_current(struct doc *d, const yaml_node_t *value, void *into)
{
    struct config *c = into;
    const char *text;
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    c->current_line = (unsigned)value->start_mark.line + 1;
    c->current = strdup(text);
    return c->current ? TW_OK : doc_no_memory(d);
}

static enum tw_rc set_contexts(struct doc *d, const yaml_node_t *value, void *into)
{
    struct config *c = into;

    c->contexts_in_braces = value->data.mapping.style == YAML_FLOW_MAPPING_STYLE;
    c->contexts = calloc(doc_count(value) + 1, sizeof *c->contexts);
    return c->contexts ? doc_named(d, value, DOC_MAP, each_context, c) : doc_no_memory(d);
}

static const struct doc_key root_keys[] = {
    { "current", DOC_TEXT, false, set_current },
    { "contexts", DOC_MAP, true, set_contexts },
};

/* The line of a key of the root, which the values do not tell. */
static unsigned line_of_key(struct doc *d, const char *name)
{
    const yaml_node_t *root = doc_root(d);

    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(&d->yaml, p->key);
        if (!strcmp((const char *)key->data.scalar.value, name))
            return (unsigned)key->start_mark.line + 1;
    }
    return 0;
}

/* Does a file say anything? One of comments alone is as good as none. */
static bool says_nothing(const char *text)
{
    while (*text) {
        size_t blank = strspn(text, " \t\r"), line = strcspn(text, "\n");
        if (blank < line && text[blank] != '#')
            return false;
        text += line + (text[line] == '\n');
    }
    return true;
}

static enum tw_rc parse(struct config *c, struct tw_err *err)
{
    struct doc d;
    enum tw_rc rc;

    if (says_nothing(c->text))
        return TW_OK;
    rc = doc_open(&d, c->path, c->text, strlen(c->text), err);
    if (rc)
        return rc;
    rc = doc_map(&d, doc_root(&d), root_keys, TW_NELEM(root_keys), c);
    if (!rc)
        c->contexts_line = line_of_key(&d, "contexts");
    if (!rc && c->current && !config_find(c, c->current)) {
        err->line = c->current_line;
        snprintf(err->field, sizeof err->field, "current");
        rc = tw_err_set(err, TW_EINVAL, "there is no context \"%.64s\" in this file", c->current);
    }
    doc_close(&d);
    return rc;
}

/* ---- The file ---- */

static enum tw_rc read_file(const char *path, char **ret, struct tw_err *err)
{
    FILE *f = fopen(path, "re");
    char *text;
    size_t n;

    if (!f && (errno == ENOENT || access(path, F_OK) < 0)) /* a file in another user's home is none of ours */
        return TW_OK;
    if (!f)
        return tw_err_set(err, TW_EIO, "cannot read it: %s", strerror(errno));
    text = malloc(CONFIG_BYTES_MAX + 2);
    n = text ? fread(text, 1, CONFIG_BYTES_MAX + 1, f) : 0;
    if (text)
        text[n] = '\0';
    *ret = text;
    if (!text)
        tw_err_set(err, TW_ENOMEM, "out of memory");
    else if (ferror(f))
        tw_err_set(err, TW_EIO, "cannot read it: %s", strerror(errno));
    else if (n > CONFIG_BYTES_MAX)
        tw_err_set(err, TW_EINVAL, "larger than %u KiB: is it the right file?", CONFIG_BYTES_MAX / 1024);
    else if (strlen(text) != n)
        tw_err_set(err, TW_EINVAL, "it has a zero octet: expected text");
    fclose(f);
    return err->rc;
}

/* Takes text, which may be NULL: no file. */
static enum tw_rc load(const char *path, char *text, struct config *ret, struct tw_err *err)
{
    struct config c = { .path = strdup(path), .text = text };
    enum tw_rc rc = c.path ? TW_OK : tw_err_set(err, TW_ENOMEM, "out of memory");

    if (!rc && text)
        rc = parse(&c, err);
    if (rc)
        config_free(&c);
    else
        *ret = c;
    return rc;
}

enum tw_rc config_parse(const char *path, const char *text, struct config *ret, struct tw_err *err)
{
    char *copy = strdup(text);

    return copy ? load(path, copy, ret, err) : tw_err_set(err, TW_ENOMEM, "out of memory");
}

enum tw_rc config_load(const char *path, struct config *ret, struct tw_err *err)
{
    char *text = NULL;
    enum tw_rc rc;

    *err = (struct tw_err){ 0 };
    snprintf(err->file, sizeof err->file, "%s", path);
    rc = read_file(path, &text, err);
    if (rc) {
        free(text);
        return rc;
    }
    return load(path, text, ret, err);
}

void config_free(struct config *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->contexts[i].name);
        for (int k = 0; k < CONTEXT_SETTINGS; k++)
            free(c->contexts[i].values[k]);
    }
    free(c->contexts);
    free(c->current);
    free(c->text);
    free(c->path);
    *c = (struct config){ 0 };
}
